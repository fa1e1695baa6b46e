"""Saved models load in a fresh process whichever of keras and convsmith is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convsmith.testing.contract import check_backends, check_reload
from layer_cases import CASES, ONE_OF_EACH, starting_at_zero


def test_all_layers_reload_when_keras_comes_first() -> None:
    check_reload(
        [starting_at_zero(case) for case in CASES.values()], imports=("keras", "convsmith")
    )


@pytest.mark.parametrize(
    "imports",
    [
        ("convsmith", "keras"),
        # Modules that import Keras while they're being imported themselves.
        pytest.param(("convsmith.ops",), marks=pytest.mark.one_backend),
        pytest.param(("convsmith.lowerings", "json.tool"), marks=pytest.mark.one_backend),
        pytest.param(("convsmith.transforms",), marks=pytest.mark.one_backend),
    ],
)
def test_reload_in_other_orders(imports: tuple[str, ...]) -> None:
    check_reload([CASES["conv2d transformed"], CASES["fixed conv2d bank"]], imports=imports)


@pytest.mark.backend_free
def test_looking_for_keras_does_not_import_it_or_lose_the_hook() -> None:
    code = """
import importlib.util, sys
import convsmith
assert importlib.util.find_spec("keras") is not None
assert "keras" not in sys.modules
import keras
assert "convsmith.layers" in sys.modules
assert not any("convsmith" in type(finder).__module__ for finder in sys.meta_path)
assert type(keras.__spec__.loader).__module__ != "convsmith.registration"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.one_backend
def test_all_layers_move_to_the_other_backends() -> None:
    cases = [starting_at_zero(case) for case in ONE_OF_EACH.values()]
    assert check_backends(cases, backends=["jax", "torch"]) is None

"""Saved models load in a fresh process whichever of keras and convsmith is imported first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.testing.contract import check_reload
from layer_cases import CASES


def test_all_layers_reload_when_keras_comes_first() -> None:
    check_reload(list(CASES.values()), imports=("keras", "convsmith"))


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
@pytest.mark.parametrize("other", ["jax", "torch"])
def test_a_model_moves_to_another_backend(other: str, tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            layers.FixedConv2D("sobel_x", padding="same", padding_mode="reflect"),
            layers.StandardizedConv2D(4, 3, strides=2, padding=((1, 2), "same")),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = """
import sys, keras, numpy, convsmith
assert keras.backend.backend() == sys.argv[2]
model = keras.models.load_model(sys.argv[1] + "/model.keras")
y = keras.ops.convert_to_numpy(model(numpy.load(sys.argv[1] + "/x.npy")))
numpy.save(sys.argv[1] + "/y.npy", y)
"""
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), other],
        check=True,
        env={**os.environ, "KERAS_BACKEND": other},
    )
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-4, atol=1e-5)

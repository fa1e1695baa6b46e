"""Names for kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError
from convsmith.kernels import registry

pytestmark = pytest.mark.backend_free


@pytest.fixture
def own_names() -> Iterator[None]:
    """Forget what a test registers."""
    before = dict(registry._BUILDERS)
    yield
    registry._BUILDERS.clear()
    registry._BUILDERS.update(before)


def test_the_first_names_are_there() -> None:
    assert set(kernels.names()) >= {"sobel_x", "sobel_y", "laplacian", "identity", "box"}
    assert list(kernels.names()) == sorted(kernels.names())


@pytest.mark.parametrize("name", kernels.names())
def test_every_name_builds_a_finite_array(name: str) -> None:
    kernel = kernels.get(name, ndim=2)
    assert kernel.ndim == 2
    assert np.isfinite(kernel).all()


def test_get_returns_a_new_array_each_time() -> None:
    kernels.get("sobel_x")[:] = 0
    assert kernels.get("sobel_x").any()


@pytest.mark.usefixtures("own_names")
def test_registered_builders_are_told_the_rank_only_if_they_ask() -> None:
    kernels.register("pair", lambda: np.array([[1.0, -1.0]]))
    kernels.register("ones", lambda ndim: np.ones((2,) * ndim))
    assert kernels.get("pair", ndim=2).shape == (1, 2)
    assert kernels.get("ones", ndim=3).shape == (2, 2, 2)


@pytest.mark.usefixtures("own_names")
def test_overwrite_replaces_a_name() -> None:
    kernels.register("box", lambda: np.ones((1, 1)), overwrite=True)
    assert kernels.get("box").shape == (1, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.get("sobel"), r"kernels.get\('sobel'\): is not .* Try: 'sobel_[xy]'"),
        (lambda: kernels.get("qqqq"), r"Try: kernels.register\(name, builder\) first"),
        (lambda: kernels.get("box", sise=3), r"sise=3\): is not a parameter .*any of size, ndim"),
        (lambda: kernels.register("box", np.ones), r"is taken; .* overwrite=True"),
        (lambda: kernels.register("a b", np.ones), r"kernels.register\('a b'\): is not a name"),
        (lambda: kernels.register("a", 3), r"builder=3\): can't be called"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

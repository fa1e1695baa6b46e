"""The classical kernels: values, gains and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def correlate(kernel: np.ndarray, image: np.ndarray) -> float:
    """One output of a correlation: the window as large as the image."""
    return float((kernel * image).sum())


@pytest.mark.parametrize(("axis", "position"), [("x", 2), ("y", 1), ("z", 0)])
def test_sobel_measures_slope_along_its_axis_only(axis: Any, position: int) -> None:
    ramps = np.indices((3, 3, 3)).astype(float)
    answers = [correlate(kernels.sobel(axis, ndim=3), ramp) for ramp in ramps]
    expected = [0.0, 0.0, 0.0]
    expected[position] = 2 * 4**2
    assert answers == expected


def test_sobel_is_the_textbook_array() -> None:
    assert kernels.sobel("x").tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert kernels.sobel("y").tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert kernels.sobel("x", ndim=1).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laplacian_is_exact_on_quadratics_and_silent_on_ramps(ndim: int) -> None:
    coordinates = np.indices((3,) * ndim) - 1.0
    kernel = kernels.laplacian(ndim=ndim)
    assert correlate(kernel, (coordinates**2).sum(0)) == 2 * ndim
    assert correlate(kernel, 3 + coordinates.sum(0)) == 0


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["box", "identity"])
def test_gain_one_kernels_sum_to_one(name: str, ndim: int) -> None:
    kernel = kernels.get(name, ndim=ndim, size=5)
    assert kernel.shape == (5,) * ndim
    assert kernel.dtype == np.float64
    np.testing.assert_allclose(kernel.sum(), 1.0)


def test_identity_has_its_one_at_the_centre_of_an_oblong_kernel() -> None:
    assert np.argwhere(kernels.identity((3, 5))).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.sobel("z"), r"sobel\(axis='z'\): is not an axis .* Try: axis=\"x\""),
        (lambda: kernels.sobel("x", ndim=4), r"ndim=4: .* expected 1, 2 or 3"),
        (lambda: kernels.laplacian(ndim=0), r"ndim=0: .* expected 1, 2 or 3"),
        (lambda: kernels.identity(4), r"identity\(size=4\): is even.* Try: size=5"),
        (lambda: kernels.identity(ndim=9), r"ndim=9: "),
        (lambda: kernels.box(0), r"box\(size=0\): is not a kernel size"),
        (lambda: kernels.box((3, 3, 3)), r"expected a positive whole number, or 2 of them"),
        (lambda: kernels.box(True), r"box\(size=True\): is not a kernel size"),
        (lambda: kernels.box(ndim=-1), r"ndim=-1: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

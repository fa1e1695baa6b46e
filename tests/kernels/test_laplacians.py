"""Laplacians, of images and of Gaussians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def correlate(kernel: np.ndarray, image: np.ndarray) -> float:
    """One output of a correlation: the window as large as the image."""
    return float((kernel * image).sum())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laplacian_is_exact_on_quadratics_and_silent_on_ramps(ndim: int) -> None:
    coordinates = np.indices((3,) * ndim) - 1.0
    kernel = kernels.laplacian(ndim=ndim)
    assert correlate(kernel, (coordinates**2).sum(0)) == 2 * ndim
    assert correlate(kernel, 3 + coordinates.sum(0)) == 0


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_neighbours_are_scipys(ndim: int) -> None:
    for connectivity in range(1, ndim + 1):
        neighbours = scipy.ndimage.generate_binary_structure(ndim, connectivity)
        kernel = kernels.laplacian(connectivity=connectivity, ndim=ndim)
        centre = (1,) * ndim
        assert kernel[centre] == 1 - neighbours.sum()
        kernel[centre] = 1
        np.testing.assert_array_equal(kernel, neighbours)


def test_eight_neighbours_and_their_gain() -> None:
    kernel = kernels.laplacian(connectivity=2)
    assert kernel.tolist() == [[1, 1, 1], [1, -8, 1], [1, 1, 1]]
    coordinates = np.indices((3, 3)) - 1.0
    assert correlate(kernel, (coordinates**2).sum(0)) == 3 * 4


@pytest.mark.parametrize(("sigma", "ndim"), [(1.0, 1), (2.0, 2), ((1.5, 2.5), 2), (1.2, 3)])
def test_laplacian_of_gaussian_is_scipys_but_for_its_sum(sigma: Any, ndim: int) -> None:
    kernel = kernels.laplacian_of_gaussian(sigma, ndim=ndim, truncate=7.0)
    image = np.zeros(kernel.shape)
    image[tuple(n // 2 for n in kernel.shape)] = 1.0
    expected = scipy.ndimage.gaussian_laplace(image, sigma, mode="constant", truncate=7.0)
    np.testing.assert_allclose(kernel, expected, atol=1e-6)
    assert kernel.sum() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("method", ["sampled", "integrated", "discrete"])
def test_laplacian_of_gaussian_has_the_laplacians_gain(method: Any) -> None:
    kernel = kernels.laplacian_of_gaussian(1.3, method=method, truncate=7.0)
    radius = kernel.shape[0] // 2
    y, x = np.indices(kernel.shape) - radius
    assert correlate(kernel, (x**2 + y**2).astype(float)) == pytest.approx(4, rel=1e-3)
    assert correlate(kernel, np.ones_like(kernel)) == pytest.approx(0, abs=1e-14)


def test_three_taps_are_enough() -> None:
    kernel = kernels.laplacian_of_gaussian(0.5, size=3)
    assert kernel.shape == (3, 3)
    assert kernel[1, 1] < 0 < kernel[0, 1]


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_difference_of_gaussians_is_scikit_images(sigma: float) -> None:
    kernel = kernels.difference_of_gaussians(sigma, ratio=1.6, truncate=8.0)
    image = np.zeros(kernel.shape)
    image[tuple(n // 2 for n in kernel.shape)] = 1.0
    expected = skimage.filters.difference_of_gaussians(
        image, sigma, 1.6 * sigma, mode="constant", truncate=8.0
    )
    np.testing.assert_allclose(kernel, expected, atol=1e-12)
    assert kernel.sum() == pytest.approx(0, abs=1e-15)


def test_difference_of_gaussians_is_nearly_a_laplacian() -> None:
    kernel = kernels.difference_of_gaussians(2.0, ratio=1.01, size=21)
    expected = (1 - 1.01**2) / 2 * 4 * kernels.laplacian_of_gaussian(2.0, size=21)
    np.testing.assert_allclose(kernel, expected, atol=2e-2 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.laplacian(ndim=0), r"ndim=0: .* expected 1, 2 or 3"),
        (lambda: kernels.laplacian(connectivity=3), r"connectivity=3\): .* from 1 to 2"),
        (lambda: kernels.laplacian(connectivity=0), r"connectivity=0\): is out of range"),
        (lambda: kernels.laplacian_of_gaussian(-1), r"laplacian_of_gaussian\(sigma=-1\)"),
        (lambda: kernels.laplacian_of_gaussian(size=1), r"fewer than 3 taps along an axis"),
        (lambda: kernels.laplacian_of_gaussian(0.1), r"fewer than 3 taps .* Try: size=3"),
        (lambda: kernels.difference_of_gaussians(ratio=1), r"ratio=1\): .* above 1"),
        (lambda: kernels.difference_of_gaussians(ratio=0.5), r"ratio=0.5\): is out of range"),
        (lambda: kernels.difference_of_gaussians(float("nan")), r"difference_of_gaussians\(sigma="),
        (lambda: kernels.difference_of_gaussians(ndim=5), r"ndim=5: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

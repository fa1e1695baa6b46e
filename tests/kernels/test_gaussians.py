"""Gaussians against SciPy's, against quadrature, and by their own properties."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.integrate
import scipy.ndimage
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free

METHODS = ("sampled", "integrated", "discrete")


def impulse_response(filtered: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the correlation kernel of a linear filter that keeps an image's shape."""
    image = np.zeros(shape)
    image[tuple(n // 2 for n in shape)] = 1.0
    return np.flip(filtered(image))


@pytest.mark.parametrize("sigma", [(0.7, 0.7), (1.0, 2.0), (3.2, 1.3)])
@pytest.mark.parametrize("order", [(0, 0), (0, 1), (1, 0), (2, 1), (0, 3), (4, 0)])
def test_sampled_ones_are_scipys(sigma: tuple[float, ...], order: tuple[int, ...]) -> None:
    kernel = kernels.gaussian(sigma, order=order)
    expected = impulse_response(
        lambda image: scipy.ndimage.gaussian_filter(image, sigma, order, mode="constant"),
        kernel.shape,
    )
    np.testing.assert_allclose(kernel, expected, atol=1e-14)


@pytest.mark.parametrize("ndim", [1, 3])
def test_other_ranks_are_scipys(ndim: int) -> None:
    kernel = kernels.gaussian(1.1, order=1, ndim=ndim, truncate=3.0)
    expected = impulse_response(
        lambda image: scipy.ndimage.gaussian_filter(image, 1.1, 1, mode="constant", truncate=3.0),
        kernel.shape,
    )
    np.testing.assert_allclose(kernel, expected, atol=1e-14)


@pytest.mark.parametrize(("size", "sigma"), [(3, 0.8), (7, 1.5), (31, 4.0)])
def test_sampled_ones_of_a_size_are_opencvs(size: int, sigma: float) -> None:
    line = cv2.getGaussianKernel(size, sigma, cv2.CV_64F)[:, 0]
    np.testing.assert_allclose(kernels.gaussian(sigma, size=size, ndim=1), line, rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("sigma", [0.4, 1.7])
def test_integrated_ones_are_means_over_pixels(order: int, sigma: float) -> None:
    def derivative(t: float) -> float:
        z = t / sigma
        bell = math.exp(-(z**2) / 2) / (sigma * math.sqrt(2 * math.pi))
        return float(scipy.special.eval_hermitenorm(order, z)) / sigma**order * bell

    radius = 5
    pixels = [
        scipy.integrate.quad(derivative, t - 0.5, t + 0.5, epsabs=1e-9)[0]
        for t in range(-radius, radius + 1)
    ]
    mass = math.erf((radius + 0.5) / sigma / math.sqrt(2))
    kernel = kernels.gaussian(sigma, order=order, method="integrated", radius=radius, ndim=1)
    np.testing.assert_allclose(kernel, np.array(pixels) / mass, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.0, 4.0, 40.0])
def test_discrete_ones_are_bessel_functions(sigma: float) -> None:
    radius = 2 * math.ceil(4 * sigma)
    line = scipy.special.ive(np.abs(np.arange(-radius, radius + 1)), sigma**2)
    kernel = kernels.gaussian(sigma, method="discrete", radius=radius, ndim=1)
    np.testing.assert_allclose(kernel, line / line.sum(), rtol=1e-11, atol=1e-300)


def test_discrete_widths_add_up_exactly() -> None:
    first = kernels.gaussian(0.6, method="discrete", radius=20, ndim=1)
    second = kernels.gaussian(0.8, method="discrete", radius=20, ndim=1)
    both = kernels.gaussian(1.0, method="discrete", radius=40, ndim=1)
    np.testing.assert_allclose(kernels.compose(first, second), both, atol=1e-14)
    sampled = [kernels.gaussian(s, radius=20, ndim=1) for s in (0.6, 0.8)]
    wrong = kernels.compose(*sampled) - kernels.gaussian(1.0, radius=40, ndim=1)
    assert np.abs(wrong).max() > 1e-3


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_discrete_derivatives_are_central_differences(order: int) -> None:
    plain = kernels.gaussian(1.2, method="discrete", radius=30, ndim=1)
    difference = np.ones(1)
    for _ in range(order // 2):
        difference = np.convolve(difference, [1, -2, 1])
    if order % 2:
        difference = np.convolve(difference, [-0.5, 0, 0.5])
    expected = np.convolve(plain, difference, "same")
    kernel = kernels.gaussian(1.2, order=order, method="discrete", radius=30, ndim=1)
    np.testing.assert_allclose(kernel[5:-5], expected[5:-5], atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_discrete_derivatives_of_few_taps_have_the_windows_mass(order: int) -> None:
    whole = kernels.gaussian(1.5, method="discrete", radius=30, ndim=1)
    wide = kernels.gaussian(1.5, order=order, method="discrete", radius=30, ndim=1)
    few = kernels.gaussian(1.5, order=order, method="discrete", radius=2, ndim=1)
    np.testing.assert_allclose(few, wide[28:33] / whole[28:33].sum(), rtol=1e-12, atol=1e-15)


@given(
    sigma=st.floats(0.2, 6.0),
    method=st.sampled_from(METHODS),
    ndim=st.integers(1, 2),
    truncate=st.floats(1.0, 5.0),
)
def test_blurs_have_sum_one_and_are_symmetric(
    sigma: float, method: Any, ndim: int, truncate: float
) -> None:
    kernel = kernels.gaussian(sigma, method=method, ndim=ndim, truncate=truncate)
    assert (kernel >= 0).all()
    np.testing.assert_allclose(kernel.sum(), 1.0, rtol=1e-13)
    np.testing.assert_allclose(kernel, np.flip(kernel), rtol=1e-12)
    assert kernel.shape == (2 * int(truncate * sigma + 0.5) + 1,) * ndim


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_answer_their_factorial_to_powers(method: Any, order: int) -> None:
    kernel = kernels.gaussian(1.5, order=order, method=method, ndim=1, truncate=9.0)
    t = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel * t**order).sum() == pytest.approx(math.factorial(order), rel=1e-3)
    for lower in range(order):
        assert (kernel * t**lower).sum() == pytest.approx(0, abs=1e-4)


def test_sizes() -> None:
    assert kernels.gaussian(2.0, size=(4, 5)).shape == (4, 5)
    assert kernels.gaussian(2.0, radius=(0, 3)).shape == (1, 7)
    assert kernels.gaussian(np.array([1.0, 2.0])).shape == (9, 17)
    assert kernels.gaussian(0.001).tolist() == [[1.0]]
    assert kernels.gaussian(1e9, size=2, ndim=1).tolist() == [0.5, 0.5]
    narrow = kernels.gaussian(0.001, size=4, ndim=1)
    assert narrow.tolist() == [0.0, 0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("method", "sigma"), [("sampled", 1e9), ("integrated", 1e9), ("discrete", 1e4)]
)
def test_wide_ones_are_flat(method: Any, sigma: float) -> None:
    kernel = kernels.gaussian(sigma, method=method, size=5, ndim=1)
    np.testing.assert_allclose(kernel, 0.2, rtol=1e-7 if method == "discrete" else 1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_narrow_ones_are_the_identity(method: Any) -> None:
    kernel = kernels.gaussian(0.01, method=method, size=3)
    np.testing.assert_allclose(kernel, kernels.identity(), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"sigma": 0},
            r"gaussian\(sigma=0\): is out of range; expected a finite number from 0.001",
        ),
        ({"sigma": -1.0}, r"sigma=-1.0\): is out of range"),
        ({"sigma": float("nan")}, r"sigma=nan\): is not a finite number"),
        ({"sigma": float("inf")}, r"sigma=inf\): is not a finite number"),
        ({"sigma": True}, r"sigma=True\): is not a finite number"),
        ({"sigma": "2"}, r"sigma='2'\): is not a finite number"),
        ({"sigma": 10**400}, r"is not a finite number"),
        ({"sigma": (1, 2, 3)}, r"has 3 values for 2 spatial axes; .* Try: ndim=3"),
        ({"sigma": 1e6}, r"is too large"),
        ({"order": -1}, r"order=-1\): is out of range"),
        ({"order": 1.0}, r"order=1.0\): is not a whole number"),
        ({"order": 21}, r"expected a whole number from 0 to 20"),
        ({"method": "exact"}, r"method='exact'\): is not a choice; .*'sampled', 'integrated'"),
        ({"method": "discrete", "size": 4}, r"is even, and the discrete Gaussian .* Try: size=5"),
        ({"method": "discrete", "sigma": 2e4, "size": 3}, r"sigma=20000.0\): .* up to 10000"),
        ({"size": 0}, r"size=0\): is not a kernel size"),
        ({"radius": -1}, r"radius=-1\): is out of range"),
        ({"size": 3, "radius": 1}, r"states the size twice"),
        ({"truncate": 0}, r"truncate=0\): is out of range; expected a finite number above 0"),
        ({"ndim": 4}, r"ndim=4: "),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words) as caught:
        kernels.gaussian(**options)
    assert "Try: " in str(caught.value)

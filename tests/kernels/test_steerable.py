"""Steering, and banks of Gaussian derivatives against SciPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def hermite_along(order: int, sigma: float, angle: float, radius: int) -> np.ndarray:
    """Return a Gaussian's derivative along a direction, from its closed form."""
    y, x = np.indices((2 * radius + 1,) * 2) - float(radius)
    u = (x * math.cos(angle) + y * math.sin(angle)) / sigma
    bell = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    polynomial = {
        1: u,
        2: u**2 - 1,
        3: u**3 - 3 * u,
        4: u**4 - 6 * u**2 + 3,
    }[order]
    return polynomial / sigma**order * bell / bell.sum()


@given(order=st.integers(1, 4), angle=st.floats(-7, 7), sigma=st.floats(0.7, 3))
def test_the_steered_bank_is_the_derivative_in_any_direction(
    order: int, angle: float, sigma: float
) -> None:
    bank = kernels.steerable(order, sigma=sigma, radius=8)
    assert bank.shape == (17, 17, order + 1)
    steered = bank @ kernels.steering_weights(order, angle)
    expected = hermite_along(order, sigma, angle, 8)
    np.testing.assert_allclose(steered, expected, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("order", range(1, 9))
def test_each_filter_steers_to_itself(order: int) -> None:
    for j in range(order + 1):
        weights = kernels.steering_weights(order, math.pi * j / (order + 1))
        np.testing.assert_allclose(weights, np.eye(order + 1)[j], atol=1e-14)


@pytest.mark.parametrize("method", ["integrated", "discrete"])
def test_other_methods_have_the_axes_derivatives(method: Any) -> None:
    bank = kernels.steerable(1, sigma=1.2, method=method)
    np.testing.assert_array_equal(bank[..., 0], kernels.gaussian(1.2, order=(0, 1), method=method))
    np.testing.assert_array_equal(bank[..., 1], kernels.gaussian(1.2, order=(1, 0), method=method))


def test_the_pyramid_is_scipys_derivatives_in_the_stated_order() -> None:
    bank = kernels.gaussian_derivative_pyramid(2, sigma=1.5, ratio=2.0, scales=2)
    orders = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
    assert bank.shape == (25, 25, 12)
    image = np.zeros((25, 25))
    image[12, 12] = 1
    for s, width in enumerate((1.5, 3.0)):
        for n, order in enumerate(orders):
            response = scipy.ndimage.gaussian_filter(
                image, width, order, mode="constant", radius=12
            )
            expected = np.flip(response) * width ** sum(order)
            np.testing.assert_allclose(bank[..., 6 * s + n], expected, atol=1e-14)


def test_the_pyramid_of_volumes_and_signals() -> None:
    bank = kernels.gaussian_derivative_pyramid(1, scales=1, ndim=3)
    for position, axis in enumerate("xyz", start=1):
        ramp = np.indices(bank.shape[:3])["zyx".index(axis)] - 4.0
        answers = (bank * ramp[..., None]).sum((0, 1, 2))
        np.testing.assert_allclose(answers, np.eye(4)[position], atol=2e-3)
    assert kernels.gaussian_derivative_pyramid(3, scales=1, ndim=1).shape == (9, 4)


def test_scale_normalization_makes_enlarged_patterns_answer_alike() -> None:
    y, x = np.indices((97, 97)) - 48.0
    answers = []
    for s in (2.0, 4.0):
        blob = np.exp(-(x**2 + y**2) / (2 * s**2))
        bank = kernels.gaussian_derivative_pyramid(2, sigma=s, scales=1, size=97)
        answers.append((bank * blob[..., None]).sum((0, 1)))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-9)
    plain = kernels.gaussian_derivative_pyramid(1, sigma=2.0, scales=1, scale_normalized=False)
    scaled = kernels.gaussian_derivative_pyramid(1, sigma=2.0, scales=1)
    np.testing.assert_allclose(scaled[..., 1], 2 * plain[..., 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.steerable(0), r"steerable\(order=0\): .* from 1 to 8"),
        (lambda: kernels.steerable(sigma=0), r"steerable\(sigma=0\)"),
        (lambda: kernels.steerable(sigma=(1, 2)), r"steerable\(sigma=\(1, 2\)\)"),  # type: ignore[arg-type]
        (lambda: kernels.steerable(method="x"), r"method='x'"),  # type: ignore[arg-type]
        (lambda: kernels.steerable(size=0), r"size=0"),
        (lambda: kernels.steerable(ndim=3), r"steerable\(ndim=3\)"),
        (lambda: kernels.steering_weights(9, 0), r"steering_weights\(order=9\)"),
        (lambda: kernels.steering_weights(1, float("nan")), r"angle_radians=nan"),
        (lambda: kernels.gaussian_derivative_pyramid(7), r"order=7\): .* from 0 to 6"),
        (lambda: kernels.gaussian_derivative_pyramid(ratio=0.5), r"ratio=0.5"),
        (lambda: kernels.gaussian_derivative_pyramid(scales=0), r"scales=0"),
        (lambda: kernels.gaussian_derivative_pyramid(scale_normalized=1), r"scale_normalized=1"),  # type: ignore[arg-type]
        (lambda: kernels.gaussian_derivative_pyramid(sigma=-1), r"sigma=-1"),
        (lambda: kernels.gaussian_derivative_pyramid(ratio=100, scales=16), r"is out of range"),
        (lambda: kernels.gaussian_derivative_pyramid(ndim=0), r"ndim=0: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

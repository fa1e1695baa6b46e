"""Trained families with the bank's numbers are the bank's kernels: one convention for both."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import kernels, transforms
from convsmith.testing.contract import as_numpy


def filters(family: Any, taps: tuple[int, ...], **numbers: float) -> np.ndarray:
    """Return a family's filter for given numbers, for one pair of channels."""
    positions = []
    for axis, count in enumerate(taps):
        shape = [1] * (len(taps) + 2)
        shape[axis] = count
        middle = np.arange(count) - (count - 1) / 2
        positions.append(keras.ops.convert_to_tensor(middle.reshape(shape), "float32"))
    given = {
        name: keras.ops.convert_to_tensor(np.full((1, 1), value, "float32"))
        for name, value in numbers.items()
    }
    return as_numpy(family.filters(positions, **given))[..., 0, 0]


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0, -1.2])
@pytest.mark.parametrize("phase", [0.0, 1.0])
def test_gabor(angle: float, phase: float) -> None:
    theirs = filters(
        transforms.Gabor(),
        (9, 11),
        frequency=2 * math.pi / 5,
        theta=angle,
        psi=phase,
        sigma=2.0,
        gamma=0.7,
    )
    ours = kernels.gabor(
        5.0,
        angle_radians=angle,
        phase_radians=phase,
        sigma=2.0,
        aspect_ratio=0.7,
        size=(9, 11),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_difference_of_gaussians() -> None:
    theirs = filters(transforms.DifferenceOfGaussians(), (9, 6), sigma1=1.2, sigma2=1.2 * 1.6)
    ours = kernels.difference_of_gaussians(1.2, ratio=1.6, size=(9, 6))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_gaussian_and_binomial() -> None:
    from convsmith.layers import DepthwiseConv2D

    for family, ours in (
        (transforms.Gaussian(1.3, amplitude=False), kernels.gaussian(1.3, size=5)),
        (transforms.Binomial(amplitude=False), kernels.binomial(5)),
    ):
        layer = DepthwiseConv2D(5, kernel_transform=family)
        layer.build((1, 8, 8, 1))
        np.testing.assert_allclose(as_numpy(layer.kernel)[..., 0, 0], ours, atol=1e-6)

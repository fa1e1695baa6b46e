"""Pillboxes and motions against fine sampling of what they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def sampled_ball(radius: float, shape: tuple[int, ...], steps: int) -> np.ndarray:
    """Return the share of fine grid points of a ball in each pixel."""
    axes = [(np.arange(count * steps) + 0.5) / steps - count / 2 for count in shape]
    squares = sum(g**2 for g in np.meshgrid(*axes, indexing="ij"))
    inside = (squares <= radius**2).astype(float)
    cells = inside.reshape([n for count in shape for n in (count, steps)])
    shares = cells.mean(tuple(range(1, 2 * len(shape), 2)))
    return shares / shares.sum()


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.8, 1.0, 1.5, 2.3, 4.0])
@pytest.mark.parametrize(("ndim", "steps"), [(1, 2000), (2, 200), (3, 32)])
def test_disk_is_each_pixels_share(radius: float, ndim: int, steps: int) -> None:
    kernel = kernels.disk(radius, ndim=ndim)
    np.testing.assert_allclose(
        kernel, sampled_ball(radius, kernel.shape, steps), atol=0.3 / steps / radius**ndim + 1e-5
    )
    assert kernel.sum() == pytest.approx(1, rel=1e-12)


@given(st.floats(0.01, 12.0))
def test_disk_has_the_symmetries_of_the_grid_and_the_disks_variance(radius: float) -> None:
    kernel = kernels.disk(radius)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-14)
    np.testing.assert_allclose(kernel, np.flip(kernel, 0), atol=1e-14)
    assert (kernel >= 0).all()
    assert kernel.sum() == pytest.approx(1, rel=1e-10)
    assert (kernel[0] > 0).any()
    # Each pixel's share is as good as at its centre: less than the variance of a pixel is lost.
    x = np.arange(len(kernel)) - len(kernel) // 2
    variance = (kernel * x**2).sum()
    assert abs(variance - radius**2 / 4) < 1 / 4


def test_the_middle_of_a_disk_is_flat_with_the_inverse_area() -> None:
    kernel = kernels.disk(4.0)
    np.testing.assert_allclose(kernel[3:6, 3:6], 1 / (math.pi * 16), rtol=1e-12)
    ball = kernels.disk(4.0, ndim=3)
    np.testing.assert_allclose(ball[3:6, 3:6, 3:6], 3 / (4 * math.pi * 64), rtol=1e-12)


@given(length=st.floats(0.05, 30), angle=st.floats(-7, 7))
def test_motion_is_the_segments_share(length: float, angle: float) -> None:
    kernel = kernels.motion(length, angle_radians=angle)
    steps = 4000
    places = ((np.arange(steps) + 0.5) / steps - 0.5) * length
    rows = np.rint(places * math.sin(angle)).astype(int) + kernel.shape[0] // 2
    columns = np.rint(places * math.cos(angle)).astype(int) + kernel.shape[1] // 2
    sampled = np.zeros_like(kernel)
    np.add.at(sampled, (rows, columns), 1 / steps)
    np.testing.assert_allclose(kernel, sampled, atol=4 / steps)
    np.testing.assert_allclose(kernel, np.flip(kernel), atol=1e-7)


@given(length=st.floats(0.05, 12), angle=st.floats(-7, 7), elevation=st.floats(-7, 7))
def test_motion_in_a_volume(length: float, angle: float, elevation: float) -> None:
    kernel = kernels.motion(length, angle_radians=angle, elevation_radians=elevation, ndim=3)
    steps = 4000
    places = ((np.arange(steps) + 0.5) / steps - 0.5) * length
    shares = (
        math.sin(elevation),
        math.cos(elevation) * math.sin(angle),
        math.cos(elevation) * math.cos(angle),
    )
    pixels = tuple(
        np.rint(places * share).astype(int) + n // 2
        for share, n in zip(shares, kernel.shape, strict=True)
    )
    sampled = np.zeros_like(kernel)
    np.add.at(sampled, pixels, 1 / steps)
    np.testing.assert_allclose(kernel, sampled, atol=4 / steps)


def test_motion_along_the_depth_and_in_a_plane() -> None:
    up = kernels.motion(5.0, elevation_radians=math.pi / 2, ndim=3)
    np.testing.assert_allclose(up, np.full((5, 1, 1), 0.2))
    level = kernels.motion(7.3, angle_radians=0.4, ndim=3)
    np.testing.assert_allclose(level[0], kernels.motion(7.3, angle_radians=0.4), atol=1e-12)


def test_motion_along_axes_and_diagonals() -> None:
    np.testing.assert_allclose(kernels.motion(5.0), np.full((1, 5), 0.2))
    np.testing.assert_allclose(kernels.motion(4.0)[0], [0.125, 0.25, 0.25, 0.25, 0.125])
    np.testing.assert_allclose(kernels.motion(5.0, angle_radians=math.pi / 2), np.full((5, 1), 0.2))
    diagonal = kernels.motion(3 * math.sqrt(2), angle_radians=math.pi / 4)
    np.testing.assert_allclose(diagonal, np.eye(3) / 3, atol=1e-12)
    np.testing.assert_allclose(kernels.motion(5.0, ndim=1), np.full(5, 0.2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.disk(0), r"disk\(radius_pixels=0\): .* from 0.001 on"),
        (lambda: kernels.disk(float("nan")), r"disk\(radius_pixels=nan\)"),
        (lambda: kernels.disk(1e5), r"disk: a kernel of shape .* is too large"),
        (lambda: kernels.disk(ndim=4), r"ndim=4: "),
        (lambda: kernels.motion(-1), r"motion\(length_pixels=-1\)"),
        (lambda: kernels.motion(angle_radians=float("inf")), r"angle_radians=inf"),
        (lambda: kernels.motion(angle_radians=1, ndim=1), r"has no plane to turn in"),
        (lambda: kernels.motion(ndim=4), r"motion\(ndim=4\): .* expected 1, 2 or 3"),
        (lambda: kernels.motion(elevation_radians=1), r"has no depth to rise to"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

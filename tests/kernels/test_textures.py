"""Texture banks: norms, turns, and filters of theirs against SciPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def scipys(size: int, filtered: Any) -> np.ndarray:
    """Return a filter's impulse response as a correlation kernel, of mean 0 and 1-norm 1."""
    image = np.zeros((size, size))
    image[size // 2, size // 2] = 1
    kernel = np.flip(filtered(image))
    kernel = kernel - kernel.mean()
    return kernel / np.abs(kernel).sum()


@pytest.mark.parametrize(
    ("bank", "count", "blurs"),
    [
        (kernels.leung_malik(), 48, (44, 45, 46, 47)),
        (kernels.schmid(), 13, ()),
        (kernels.mr8(), 38, (36,)),
    ],
)
def test_norms(bank: np.ndarray, count: int, blurs: tuple[int, ...]) -> None:
    assert bank.shape == (49, 49, count)
    np.testing.assert_allclose(np.abs(bank).sum((0, 1)), 1, rtol=1e-12)
    sums = bank.sum((0, 1))
    np.testing.assert_allclose(sums, [float(i in blurs) for i in range(count)], atol=1e-12)


@pytest.mark.parametrize(
    ("bank", "widths"),
    [
        (kernels.leung_malik(math.sqrt(2)), [2**0.5, 2, 2 * 2**0.5]),
        (kernels.mr8(), [1, 2, 4]),
    ],
)
def test_edges_and_bars_along_columns_are_scipys(bank: np.ndarray, widths: list[float]) -> None:
    for order in (1, 2):
        for k, s in enumerate(widths):
            expected = scipys(
                49,
                lambda image, o=order, s=s: scipy.ndimage.gaussian_filter(
                    image, (s, 3 * s), (o, 0), mode="constant", radius=24
                ),
            )
            first = 18 * (order - 1) + 6 * k
            np.testing.assert_allclose(bank[..., first], expected, atol=1e-10)
            # Half of the six directions are a quarter turn further.
            turned = np.rot90(bank[..., first : first + 3], -1)
            np.testing.assert_allclose(bank[..., first + 3 : first + 6], turned, atol=1e-15)


def test_directions_between_are_turned_stripes() -> None:
    bank = kernels.leung_malik(4.0, size=97)
    for first in (0, 18):
        peak = np.abs(bank[..., first]).max()
        for j in range(6):
            turned = kernels.rotate(bank[..., first], math.pi * j / 6)
            np.testing.assert_allclose(bank[..., first + j], turned, atol=2e-2 * peak)


def test_blobs_and_blurs_are_scipys() -> None:
    bank = kernels.leung_malik(1.0)
    widths = [2 ** (k / 2) for k in range(4)]
    for k, s in enumerate([*widths, *(3 * s for s in widths)]):
        expected = scipys(
            49,
            lambda image, s=s: scipy.ndimage.gaussian_laplace(image, s, mode="constant", radius=24),
        )
        np.testing.assert_allclose(bank[..., 36 + k], expected, atol=5e-5)
    for k, s in enumerate(widths):
        np.testing.assert_array_equal(bank[..., 44 + k], kernels.gaussian(s, size=49))
    blob = kernels.laplacian_of_gaussian(10.0, size=49)
    np.testing.assert_allclose(kernels.mr8()[..., 37], blob / np.abs(blob).sum(), atol=1e-15)
    np.testing.assert_array_equal(kernels.mr8()[..., 36], kernels.gaussian(10.0, size=49))


def test_schmid_is_round_and_has_its_rings() -> None:
    bank = kernels.schmid()
    np.testing.assert_allclose(bank, bank.swapaxes(0, 1), atol=1e-16)
    profile = bank[24, 24:]
    pairs = [(2, 1), (4, 1), (4, 2), (6, 1), (6, 2), (6, 3)]
    pairs += [(8, 1), (8, 2), (8, 3), (10, 1), (10, 2), (10, 3), (10, 4)]
    r = np.arange(25)
    for n, (sigma, tau) in enumerate(pairs):
        wave = np.cos(np.pi * tau * r / sigma) * np.exp(-(r**2) / (2 * sigma**2))
        # Two unknowns are left, the mean and the norm: three places settle it.
        ours, theirs = profile[:, n], wave
        slope = (ours[3] - ours[0]) / (theirs[3] - theirs[0])
        np.testing.assert_allclose(ours - ours[0], slope * (theirs - theirs[0]), atol=1e-15)
        assert slope > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.leung_malik(0.1), r"leung_malik\(sigma=0.1\)"),
        (lambda: kernels.leung_malik(20.0), r"leung_malik\(sigma=20.0\): .* up to 12.25"),
        (lambda: kernels.leung_malik(size=48), r"size=\(48,\)\): is even"),
        (lambda: kernels.leung_malik(size=1), r"leung_malik\(size=1\)"),
        (lambda: kernels.leung_malik(ndim=1), r"leung_malik\(ndim=1\)"),
        (lambda: kernels.schmid(size=2), r"schmid\(size=2\)"),
        (lambda: kernels.schmid(ndim=3), r"schmid\(ndim=3\)"),
        (lambda: kernels.mr8(size=10), r"is even"),
        (lambda: kernels.mr8(ndim=3), r"mr8\(ndim=3\)"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

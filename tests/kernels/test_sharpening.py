"""Sharpening kernels against Pillow and scikit-image, and by what they leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from PIL import ImageFilter

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def pillows(kernel: Any) -> np.ndarray:
    """Return the array of one of Pillow's kernels."""
    size, scale, _, entries = kernel.filterargs
    return np.array(entries, float).reshape(size) / scale


def test_edge_enhance_is_pillows() -> None:
    np.testing.assert_array_equal(kernels.edge_enhance(), pillows(ImageFilter.EDGE_ENHANCE))
    more = pillows(ImageFilter.EDGE_ENHANCE_MORE)
    np.testing.assert_array_equal(kernels.edge_enhance(1.0), more)


def test_pillows_sharpen_is_an_amount() -> None:
    ours = kernels.sharpen(2 / 16, connectivity=2)
    np.testing.assert_allclose(ours, pillows(ImageFilter.SHARPEN), rtol=1e-15)


def test_sharpen_is_the_textbook_array() -> None:
    assert kernels.sharpen().tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    assert kernels.sharpen(connectivity=2)[1].tolist() == [-1, 9, -1]
    np.testing.assert_array_equal(kernels.sharpen(0, ndim=3), kernels.identity(ndim=3))


@pytest.mark.parametrize(("sigma", "amount"), [(1.0, 1.0), (2.0, 0.5), (1.5, 2.0)])
def test_unsharp_is_scikit_images(sigma: float, amount: float) -> None:
    image = np.random.default_rng(0).uniform(size=(40, 41))
    theirs = skimage.filters.unsharp_mask(image, sigma, amount, preserve_range=True)
    ours = scipy.ndimage.correlate(image, kernels.unsharp(sigma, amount=amount), mode="reflect")
    np.testing.assert_allclose(ours[9:-9, 9:-9], theirs[9:-9, 9:-9], rtol=1e-10)


@pytest.mark.parametrize("name", ["sharpen", "edge_enhance", "unsharp"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_constants_and_ramps_stay(name: str, ndim: int) -> None:
    kernel = getattr(kernels, name)(amount=1.7, ndim=ndim)
    ramp = np.indices(kernel.shape).sum(0) - sum(n // 2 for n in kernel.shape)
    assert (kernel * (3 + ramp)).sum() == pytest.approx(3)


def test_emboss_is_the_textbook_array_turned() -> None:
    assert kernels.emboss().tolist() == [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
    assert kernels.emboss("east").tolist() == [[-1, 0, 1], [-2, 1, 2], [-1, 0, 1]]
    assert kernels.emboss("north", amount=0.5)[0].tolist() == [0.5, 1.0, 0.5]
    slope = kernels.emboss("south", amount=3.0) - kernels.identity()
    np.testing.assert_array_equal(slope, 3 * kernels.sobel("y"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.sharpen(-1), r"sharpen\(amount=-1\): .* from 0 on"),
        (lambda: kernels.sharpen(connectivity=3), r"connectivity=3"),
        (lambda: kernels.sharpen(ndim=4), r"ndim=4: "),
        (lambda: kernels.edge_enhance(float("nan")), r"edge_enhance\(amount=nan\)"),
        (lambda: kernels.edge_enhance(ndim=0), r"ndim=0: "),
        (lambda: kernels.unsharp(amount="1"), r"unsharp\(amount='1'\)"),  # type: ignore[arg-type]
        (lambda: kernels.unsharp(size=4), r"size=\(4, 4\)\): is even"),
        (lambda: kernels.unsharp(0), r"sigma=0\)"),
        (lambda: kernels.emboss("up"), r"emboss\(direction='up'\)"),  # type: ignore[arg-type]
        (lambda: kernels.emboss(amount=float("inf")), r"emboss\(amount=inf\)"),
        (lambda: kernels.emboss(ndim=3), r"emboss\(ndim=3\)"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

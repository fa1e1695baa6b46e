"""Blurs, edges, morphology and masks: their equations, and outside truth where it exists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith import images, kernels
from convsmith.errors import ArgumentError, KernelError, ShapeError
from convsmith.images import engine

pytestmark = pytest.mark.backend_free

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_gaussian_blur_is_a_filter(dtype: str) -> None:
    image = RNG.uniform(0, 200, (30, 40, 3)).astype(dtype)
    kernel = kernels.gaussian((1.0, 2.5))
    expected = images.filter(image, kernel, method="direct")
    actual = images.gaussian_blur(image, (1.0, 2.5))
    np.testing.assert_allclose(actual.astype(float), expected.astype(float), atol=1e-4)


def test_blurs_keep_constants_and_sums() -> None:
    flat = np.full((20, 21), 7, np.uint8)
    for blurred in (images.gaussian_blur(flat, 3.0), images.box_blur(flat, 5)):
        np.testing.assert_array_equal(blurred, flat)
    spot = np.zeros((31, 31))
    spot[15, 15] = 1
    np.testing.assert_allclose(images.gaussian_blur(spot, 2.0).sum(), 1.0)
    np.testing.assert_allclose(images.box_blur(spot, (3, 5))[14:17, 13:18], 1 / 15)


def test_unsharp_mask_is_its_equation() -> None:
    image = RNG.uniform(0, 255, (20, 30)).astype(np.uint8)
    x = image.astype(np.float32)
    expected = x + 1.5 * (x - images.gaussian_blur(x, 2.0))
    np.testing.assert_array_equal(
        images.unsharp_mask(image, 2.0, 1.5), np.clip(np.rint(expected), 0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int32"])
def test_local_normalize_has_no_mean_and_one_deviation(dtype: str) -> None:
    image = (RNG.normal(size=(80, 90)) * 20 + 100).astype(dtype)
    image[:, 45:] = image[:, 45:] // 4  # another mean and contrast
    y = images.local_normalize(image, 6.0)
    assert y.dtype == (np.float32 if dtype == "uint8" else np.float64)
    for half in (y[:, 5:35], y[:, 55:85]):
        assert abs(half.mean()) < 0.1
        assert abs(half.std() - 1) < 0.15


@pytest.mark.parametrize("operator", ["sobel", "scharr", "prewitt", "farid"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_of_ramps(operator: Any, rank: int) -> None:
    if operator != "sobel" and rank != 2:
        ranks = kernels.describe(f"{operator}_x").ndims
        if rank not in ranks:
            pytest.skip("this operator has no kernel of that rank")
    slopes = np.arange(1, rank + 1) * 0.5
    ramp = sum(s * g for s, g in zip(slopes, np.indices((9,) * rank), strict=True))
    middle = (4,) * rank
    axes = tuple(range(rank))
    got = images.gradient(ramp, operator=operator, axes=axes)
    np.testing.assert_allclose(got[middle], slopes, atol=1e-12)
    steep = images.gradient_magnitude(ramp, operator=operator, axes=axes)
    np.testing.assert_allclose(steep[middle], np.linalg.norm(slopes))
    if rank == 2:
        angle = images.gradient_orientation(ramp, operator=operator)
        np.testing.assert_allclose(angle[middle], np.arctan2(*slopes))


def test_sobel_of_bytes_keeps_negative_slopes() -> None:
    image = np.tile(np.arange(10, 0, -1, dtype=np.uint8), (4, 1))
    assert images.sobel(image)[2, 5] == -8
    assert images.sobel(image, dtype="uint8")[2, 5] == 0
    assert images.sobel(image, "y")[2, 5] == 0
    volume = np.broadcast_to(np.arange(5.0)[:, None, None], (5, 5, 5))
    assert images.sobel(volume, "z", axes=(0, 1, 2))[2, 2, 2] == 2 * 4**2


@settings(max_examples=15)  # Each shape is machine code of its own.
@given(st.data())
def test_dilate_and_erode(data: Any) -> None:
    rank = data.draw(st.integers(1, 3))
    shape = [data.draw(st.integers(1, 12)) for _ in range(rank)]
    taps = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from(["uint8", "int16", "float32", "float64", "bool"]))
    image = rng.uniform(-100, 100, shape).astype(dtype)
    footprint = rng.uniform(size=taps) < 0.7
    footprint[tuple(n // 2 for n in taps)] = True
    axes = tuple(range(rank))
    for mine, theirs in ((images.dilate, ndi.maximum_filter), (images.erode, ndi.minimum_filter)):
        expected = theirs(image, footprint=footprint, mode="nearest")
        np.testing.assert_array_equal(
            mine(image, footprint, axes=axes, padding_mode="edge"), expected
        )
        expected = theirs(image, size=taps, mode="nearest")
        np.testing.assert_array_equal(mine(image, taps, axes=axes, padding_mode="edge"), expected)
    heights = np.where(footprint, rng.uniform(-5, 5, taps), -np.inf)
    wide = image.astype(np.float64)
    expected = ndi.grey_dilation(
        wide, footprint=footprint, structure=np.where(footprint, heights, 0), mode="nearest"
    )
    odd = all(n % 2 for n in taps)
    if odd:
        actual = images.dilate(wide, heights, axes=axes, padding_mode="edge", flip=True)
        np.testing.assert_allclose(actual, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("compiled", [True, False])
def test_long_windows_and_large_images(
    dtype: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(engine, "compiled", None)
    image = (RNG.normal(size=(150, 333)) * 60 + 70).astype(dtype)
    for size in ((31, 2), (1, 70), (9, 15)):
        for mine, theirs in (
            (images.dilate, ndi.maximum_filter),
            (images.erode, ndi.minimum_filter),
        ):
            expected = theirs(image.astype(np.float64), size, mode="mirror").astype(dtype)
            actual = mine(image, size)
            assert actual.dtype == dtype
            np.testing.assert_array_equal(actual, expected)
    disk = kernels.structuring_element("disk", 7)
    expected = ndi.maximum_filter(
        image.astype(np.float64), footprint=np.isfinite(disk), mode="mirror"
    )
    np.testing.assert_array_equal(images.dilate(image, disk), expected.astype(dtype))


@pytest.mark.parametrize("compiled", [True, False])
def test_nan_is_the_largest_and_the_smallest(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(engine, "compiled", None)
    for dtype in ("float32", "float64"):
        image = RNG.normal(size=(40, 50)).astype(dtype)
        image[20, 30] = np.nan
        image[5, 6] = -np.float64(np.nan)
        near = ndi.maximum_filter(np.isnan(image), (5, 3))
        for mine in (images.dilate, images.erode):
            np.testing.assert_array_equal(np.isnan(mine(image, (5, 3))), near)


def test_constant_edges_never_win() -> None:
    low = np.full((3, 3), -7, np.int16)
    np.testing.assert_array_equal(images.dilate(low, padding_mode="constant"), low)
    np.testing.assert_array_equal(images.erode(-low, padding_mode="constant"), -low)
    minus = np.full((5, 5), -np.inf, np.float32)
    np.testing.assert_array_equal(images.dilate(minus, padding_mode="constant"), minus)
    assert np.isnan(images.dilate(np.array([0.0, np.nan, 0.0, 0.0]))[:3]).all()


def test_masked_means_of_what_is_there() -> None:
    image = RNG.uniform(1, 2, (12, 15))
    there = RNG.uniform(size=image.shape) < 0.6
    kernel = kernels.gaussian(1.0)
    gaps = np.where(there, image, np.nan)
    weights = ndi.correlate(there.astype(float), kernel, mode="constant")
    expected = ndi.correlate(np.where(there, image, 0.0), kernel, mode="constant") / weights
    np.testing.assert_allclose(images.masked(gaps, kernel), expected)
    np.testing.assert_allclose(images.masked(image, kernel, there), expected)
    colours = np.repeat(image[..., None], 3, -1)
    np.testing.assert_allclose(images.masked(colours, kernel, there)[..., 1], expected)
    nothing = images.masked(np.full((5, 5), np.nan), kernel)
    assert np.isnan(nothing).all()
    whole = images.masked(image, kernel, padding_mode="reflect")
    np.testing.assert_allclose(whole, images.filter(image, kernel))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: images.gaussian_blur(x), ArgumentError, "says nothing of the blur"),
        (lambda x: images.gaussian_blur(x, -1.0), ArgumentError, "sigma"),
        (lambda x: images.gaussian_blur(x, convention="opencv"), ArgumentError, "says nothing"),
        (lambda x: images.gaussian_blur(x, (1, 2, 3)), ArgumentError, "has 3 entries"),
        (lambda x: images.box_blur(x, 0), ArgumentError, "size"),
        (lambda x: images.local_normalize(x, epsilon=0.0), ArgumentError, "epsilon=0.0"),
        (lambda x: images.sobel(x, "z"), ArgumentError, r"sobel\(axis='z'\)"),
        (lambda x: images.sobel(x, size=4), ArgumentError, "size=4"),
        (lambda x: images.gradient(x, operator="canny"), ArgumentError, "operator='canny'"),
        (lambda x: images.gradient_orientation(x, axes=0), ArgumentError, "no single angle"),
        (lambda x: images.dilate(x, np.array([[np.nan]])), KernelError, "structuring element"),
        (lambda x: images.dilate(x, np.ones((2, 2, 2, 2))), KernelError, r"shape \(2, 2, 2, 2\)"),
        (lambda x: images.dilate(x, np.zeros((2, 2), bool)), KernelError, "at least one entry"),
        (lambda x: images.masked(x, np.ones((3, 3)), np.ones((2, 2))), ShapeError, "mask"),
        (lambda x: images.filter_lines(x, [np.ones((2, 2))]), KernelError, "lines of shapes"),
        (lambda x: images.filter_lines(x, []), KernelError, "lines of shapes"),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(np.ones((6, 7), np.float32))

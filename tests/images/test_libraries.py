"""Equality with OpenCV, SciPy, scikit-image and kornia under their own conventions."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi
import skimage.data
import skimage.filters
from hypothesis import given
from hypothesis import strategies as st

from convsmith import images, kernels

pytestmark = pytest.mark.backend_free

BORDERS = {
    "reflect101": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}
SCIPY_MODES = ("reflect", "mirror", "nearest", "constant", "wrap")
DTYPES = ("uint8", "uint16", "int16", "float32", "float64")
MOST_SUMMED = 11
"""OpenCV filters by Fourier transforms beyond, which are off by a rounding here and there."""


def picture(shape: Any, dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = (-200, 200) if dtype.startswith(("int", "float")) else (0, 255)
    return rng.uniform(low, high, shape).astype(dtype)


def assert_same(actual: np.ndarray, expected: np.ndarray, scale: float = 1.0) -> None:
    """Assert equality: to the bit for integers, 1e-5 of the scale for floats."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if actual.dtype.kind in "iu":
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * scale)


@st.composite
def filters(draw: Any, longest: int = MOST_SUMMED, border: Any = tuple(BORDERS)) -> dict[str, Any]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 90))
    channels = draw(st.sampled_from([(), (3,)]))
    taps = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    kind = draw(st.sampled_from(["any", "whole", "mean"]))
    kernel = rng.normal(size=taps)
    if kind == "whole":
        kernel = rng.integers(-3, 4, taps).astype(float)
    if kind == "mean":
        kernel = np.abs(kernel) / np.abs(kernel).sum()
    return {
        "image": picture(
            (height, width, *channels), draw(st.sampled_from(DTYPES)), int(rng.integers(1000))
        ),
        "kernel": kernel,
        "mode": draw(st.sampled_from(border)),
        "anchor": tuple(int(rng.integers(n)) for n in taps),
    }


@given(filters())
def test_filter2d(case: dict[str, Any]) -> None:
    image, anchor = case["image"], case["anchor"]
    wide = image.dtype == np.float64
    kernel = case["kernel"] if wide else case["kernel"].astype(np.float32)
    # OpenCV's limit for sums is lower for other dtypes than uint8, where it counts no bits.
    if image.dtype in (np.uint16, np.int16) and kernel.size > 49:
        kernel = np.ascontiguousarray(kernel[:7, :7])
        anchor = tuple(min(a, n - 1) for a, n in zip(anchor, kernel.shape, strict=True))
    expected = cv2.filter2D(
        image, -1, kernel, anchor=anchor[::-1], borderType=BORDERS[case["mode"]]
    )
    actual = images.filter(
        image, kernel, padding_mode=case["mode"], anchor=anchor, convention="opencv"
    )
    assert_same(actual, expected, 255 * float(np.abs(kernel).sum()))


@given(filters(), st.booleans(), st.sampled_from(DTYPES))
def test_sep_filter2d(case: dict[str, Any], even: bool, dtype: str) -> None:
    image = case["image"].astype(dtype)
    rows, columns = (case["kernel"][:, 0], case["kernel"][0])
    if even:
        rows, columns = rows + rows[::-1], columns + columns[::-1]
    if dtype != "float64":
        rows, columns = rows.astype(np.float32), columns.astype(np.float32)
    if dtype in ("uint16", "int16"):
        # Their sums are vectorised otherwise in every build: whole numbers are exact in all.
        rows, columns = np.rint(rows * 2), np.rint(columns * 2)
    expected = cv2.sepFilter2D(image, -1, columns, rows, borderType=BORDERS[case["mode"]])
    actual = images.filter_lines(
        image, [rows, columns], padding_mode=case["mode"], convention="opencv"
    )
    assert_same(actual, expected, 255 * float(np.abs(rows).sum() * np.abs(columns).sum()) + 1)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize(
    ("sigma", "size"),
    [(0.8, None), (2.3, None), (1.0, 3), (0, 3), (0, 5), (0, 7), (0, 9), (0, 15), (3.0, 31)],
)
@pytest.mark.parametrize("shape", [(61, 83), (40, 33, 3), (3, 5)])
def test_opencv_gaussian_blur(dtype: str, sigma: float, size: int | None, shape: Any) -> None:
    image = picture(shape, dtype)
    pair = (size, size) if size else (0, 0)
    expected = cv2.GaussianBlur(image, pair, sigma)
    assert_same(images.gaussian_blur(image, sigma, size=size, convention="opencv"), expected, 255)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("order", [1, 2])
def test_opencv_sobel(dtype: str, axis: str, size: int, order: int) -> None:
    image = picture((41, 53), dtype)
    dx, dy = (order, 0) if axis == "x" else (0, order)
    expected = cv2.Sobel(image, -1, dx, dy, ksize=size)
    actual = images.sobel(image, axis, size=size, order=order, convention="opencv")
    assert_same(actual, expected, 255.0 * 4**size)
    if dtype == "uint8":
        wide = images.sobel(image, axis, size=size, order=order, convention="opencv", dtype="int16")
        assert_same(wide, cv2.Sobel(image, cv2.CV_16S, dx, dy, ksize=size))


@pytest.mark.parametrize("dtype", DTYPES)
def test_opencv_laplacian(dtype: str) -> None:
    image = picture((41, 53, 3), dtype)
    assert_same(images.laplacian(image, convention="opencv"), cv2.Laplacian(image, -1), 2000)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", ["square", "cross", "disk", "diamond"])
def test_opencv_dilate_and_erode(dtype: str, shape: Any) -> None:
    image = picture((41, 53), dtype)
    element = kernels.structuring_element(shape, 3)
    ours = (images.dilate, images.erode)
    for mine, theirs in zip(ours, (cv2.dilate, cv2.erode), strict=True):
        expected = theirs(image, (element == 0).astype(np.uint8), borderType=cv2.BORDER_REPLICATE)
        np.testing.assert_array_equal(mine(image, element, padding_mode="edge"), expected)
    np.testing.assert_array_equal(
        images.dilate(image, (5, 3), padding_mode="edge"),
        cv2.dilate(image, np.ones((5, 3), np.uint8), borderType=cv2.BORDER_REPLICATE),
    )


@given(filters(border=SCIPY_MODES), st.booleans())
def test_scipy_correlate_and_convolve(case: dict[str, Any], flip: bool) -> None:
    image, kernel = case["image"], case["kernel"]
    image = image[..., 0] if image.ndim == 3 else image
    function = ndi.convolve if flip else ndi.correlate
    actual = images.filter(image, kernel, padding_mode=case["mode"], flip=flip, convention="scipy")
    expected = function(image, kernel, mode=case["mode"])
    assert_same(actual, expected, 255 * float(np.abs(kernel).sum()))


@pytest.mark.parametrize("mode", SCIPY_MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(41, 53), (9, 10, 11), (70,)])
def test_scipy_line_filters(mode: str, dtype: str, shape: Any) -> None:
    image = picture(shape, dtype)
    axes = tuple(range(len(shape)))
    options: dict[str, Any] = {"axes": axes, "padding_mode": mode, "convention": "scipy"}
    for sigma in (0.7, 2.0):
        expected = ndi.gaussian_filter(image, sigma, mode=mode)
        assert_same(images.gaussian_blur(image, sigma, **options), expected, 255)
    assert_same(images.laplacian(image, **options), ndi.laplace(image, mode=mode), 2000)
    for axis in axes:
        name = "xyz"[len(shape) - 1 - axis]
        expected = ndi.sobel(image, axis, mode=mode)
        assert_same(images.sobel(image, name, **options), expected, 2000)


@pytest.mark.parametrize("origin", [-1, 0, 1])
def test_scipy_origins_are_anchors(origin: int) -> None:
    image, kernel = picture((30, 40), "uint8"), np.random.default_rng(0).normal(size=(5, 3))
    expected = ndi.correlate(image, kernel, origin=origin)
    anchor = tuple(n // 2 + origin for n in kernel.shape)
    assert_same(images.filter(image, kernel, anchor=anchor, convention="scipy"), expected)


def real_pictures() -> list[np.ndarray]:
    return [skimage.data.camera()[::2, ::2], skimage.data.astronaut()[:150, :200]]


@pytest.mark.parametrize("index", [0, 1])
def test_scikit_image_on_real_pictures(index: int) -> None:
    image = real_pictures()[index]
    channel = -1 if image.ndim == 3 else None
    for sigma in (1.0, 3.0):
        expected = skimage.filters.gaussian(image, sigma, channel_axis=channel)
        assert_same(images.gaussian_blur(image, sigma, convention="skimage"), expected)
    gray = image if image.ndim == 2 else image[..., 0]
    expected = skimage.filters.unsharp_mask(gray, 2.0, 1.5)
    actual = images.unsharp_mask(image, 2.0, 1.5, convention="skimage")
    np.testing.assert_allclose(actual[..., 0] if channel else actual, expected, atol=1e-5)
    for name in ("sobel", "scharr", "prewitt", "farid"):
        expected = getattr(skimage.filters, name)(gray)
        actual = images.gradient_magnitude(gray, operator=name, convention="skimage")
        np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert_same(images.laplacian(gray, convention="skimage"), skimage.filters.laplace(gray))
    for axis, expected in (
        ("y", skimage.filters.sobel_h(gray)),
        ("x", skimage.filters.sobel_v(gray)),
    ):
        actual = images.sobel(gray, axis, convention="skimage")
        np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_opencv_and_scipy_on_real_pictures(index: int) -> None:
    image = real_pictures()[index]
    kernel = kernels.gabor(wavelength_pixels=5.0, size=9).astype(np.float32)
    assert_same(images.filter(image, kernel, convention="opencv"), cv2.filter2D(image, -1, kernel))
    expected = cv2.GaussianBlur(image, (0, 0), 2.5)
    assert_same(images.gaussian_blur(image, 2.5, convention="opencv"), expected)
    axes = (0, 1)
    expected = ndi.gaussian_filter(image, 2.5, axes=axes)
    assert_same(images.gaussian_blur(image, 2.5, convention="scipy"), expected)


def test_kornia() -> None:
    torch = pytest.importorskip("torch")
    import kornia.filters as theirs

    image = picture((2, 3, 20, 30), "float32")
    kernel = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for mode in ("reflect", "replicate", "constant", "circular"):
        expected = theirs.filter2d(
            torch.from_numpy(image), torch.from_numpy(kernel)[None], border_type=mode
        )
        actual = images.filter(image, kernel, axes=(-2, -1), padding_mode=mode, convention="kornia")
        assert_same(actual, expected.numpy(), 200 * float(np.abs(kernel).sum()))
    expected = theirs.gaussian_blur2d(torch.from_numpy(image), (7, 7), (1.5, 1.5))
    actual = images.gaussian_blur(image, 1.5, size=7, axes=(-2, -1), convention="kornia")
    assert_same(actual, expected.numpy(), 200)

"""What `filter` takes and refuses, and the dtypes and shapes that come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith import images, kernels
from convsmith.errors import ArgumentError, DtypeError, KernelError, ShapeError

pytestmark = pytest.mark.backend_free

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 255, (20, 31)).astype(np.uint8)


def test_names_arrays_and_lists_are_kernels() -> None:
    expected = images.filter(IMAGE, kernels.sobel("x"), dtype="int16")
    for kernel in ("sobel_x", kernels.sobel("x").tolist(), kernels.sobel("x").astype(np.int8)):
        np.testing.assert_array_equal(images.filter(IMAGE, kernel, dtype="int16"), expected)
    blurred = images.filter(IMAGE, "gaussian(sigma=2)")
    np.testing.assert_array_equal(blurred, images.filter(IMAGE, kernels.gaussian(2.0)))


def test_banks_and_lists_of_kernels_add_an_axis() -> None:
    pair = [kernels.sobel("x"), kernels.sobel("y")]
    colour = np.stack([IMAGE] * 3, -1)
    expected = np.stack([images.filter(colour, k, dtype="float32") for k in pair], -1)
    for bank in (pair, np.stack(pair, -1), ["sobel_x", "sobel_y"]):
        actual = images.filter(colour, bank, dtype="float32")
        assert actual.shape == (20, 31, 3, 2)
        np.testing.assert_array_equal(actual, expected)
    assert images.filter(IMAGE, "frei_chen", dtype="float32").ndim == 3
    mixed = images.filter(IMAGE, [np.ones((3, 3)), np.ones((5, 1))], dtype="float32")
    np.testing.assert_array_equal(
        mixed[..., 1], images.filter(IMAGE, np.ones((5, 1)), dtype="float32")
    )


def test_complex_kernels_give_complex_results() -> None:
    kernel = RNG.normal(size=(5, 5)) + 1j * RNG.normal(size=(5, 5))
    x = IMAGE.astype(np.float32)
    actual = images.filter(x, kernel)
    assert actual.dtype == np.complex64
    np.testing.assert_array_equal(actual.imag, images.filter(x, kernel.imag))
    bank = images.filter(x, np.stack([kernel, kernel.conj()], -1))
    np.testing.assert_array_equal(bank[..., 1], actual.conj())
    with pytest.raises(ArgumentError, match=r"is complex, and results of dtype uint8"):
        images.filter(IMAGE, kernel)


def test_results_are_rounded_and_saturated() -> None:
    row = np.array([[100, 200, 50, 1]], np.uint8)
    np.testing.assert_array_equal(images.filter(row, [[2.0]]), [[200, 255, 100, 2]])
    np.testing.assert_array_equal(images.filter(row, [[-1.0]]), [[0, 0, 0, 0]])
    np.testing.assert_array_equal(
        images.filter(row, [[-1.0]], dtype="int8"), [[-100, -128, -50, -1]]
    )
    halves = np.array([[1, 3, 5, 7]], np.uint8)
    np.testing.assert_array_equal(images.filter(halves, [[0.5]]), [[0, 2, 2, 4]])
    big = np.array([[2**31 - 1, -(2**31)]], np.int32)
    np.testing.assert_array_equal(images.filter(big, [[1.0]]), big)
    np.testing.assert_array_equal(images.filter(big, [[4.0]]), big)
    wide = np.array([[2**32 - 1, 0]], np.uint32)
    np.testing.assert_array_equal(images.filter(wide, [[1.0]]), wide)
    nan = np.array([[np.nan, np.inf, -np.inf]])
    np.testing.assert_array_equal(images.filter(nan, [[1.0]], dtype="uint8"), [[0, 255, 0]])


def test_extreme_numbers_are_saturated_too() -> None:
    assert images.filter(np.array([[np.nan]]), [[1.0]], dtype="int8").item() == 0
    row = np.array([[1, 2, 3]], np.uint8)
    far = images.filter(row, [[1.0, 1.0, 1.0]], padding_mode="constant", padding_value=1e12)
    np.testing.assert_array_equal(far, [[255, 6, 255]])


def test_one_row_is_all_of_a_renormalized_window() -> None:
    flat = np.full((1, 5), 3.0)
    kernel = np.ones((3, 3)) / 9
    np.testing.assert_allclose(images.filter(flat, kernel, padding_mode="renormalize"), flat)


@pytest.mark.parametrize("source", ["uint8", "uint16", "int16"])
def test_whole_kernels_are_exact(source: str) -> None:
    info = np.iinfo(source)
    image = RNG.integers(info.min, info.max, (15, 40), endpoint=True).astype(source)
    kernel = RNG.integers(-900, 900, (5, 5))
    exact = images.filter(image.astype(np.float64), kernel.astype(float), method="direct")
    np.testing.assert_array_equal(images.filter(image, kernel, dtype="float64"), exact)
    np.testing.assert_array_equal(images.filter(image, kernel, dtype="int32"), exact.astype(int))
    narrow = images.filter(image, kernel, dtype="float32", method="direct")
    np.testing.assert_array_equal(narrow, exact.astype(np.float32))


@pytest.mark.parametrize("channels", [2, 5, 17, 300, 20001])
def test_any_number_of_channels(channels: int) -> None:
    image = RNG.normal(size=(6, 9, channels)).astype(np.float32)
    for kernel in (RNG.normal(size=(3, 3)), np.ones((5, 5))):
        got = images.filter(image, kernel, padding_mode="wrap")
        for c in (0, channels // 2, channels - 1):
            alone = images.filter(image[..., c], kernel, padding_mode="wrap")
            np.testing.assert_array_equal(got[..., c], alone)


@pytest.mark.parametrize("shape", [(3, 3), (8, 9)])
def test_a_kernel_of_zeros(shape: Any) -> None:
    np.testing.assert_array_equal(images.filter(IMAGE, np.zeros(shape)), np.zeros_like(IMAGE))


def test_any_memory_order() -> None:
    x = RNG.normal(size=(14, 15, 3))
    expected = images.filter(x, "sobel_x")
    np.testing.assert_array_equal(images.filter(np.asfortranarray(x), "sobel_x"), expected)
    np.testing.assert_array_equal(images.filter(x[::-1][::-1], "sobel_x"), expected)
    np.testing.assert_array_equal(images.filter(x.astype(">f8"), "sobel_x"), expected)
    first = images.filter(np.moveaxis(x, -1, 0), "sobel_x", axes=(1, 2))
    np.testing.assert_array_equal(np.moveaxis(first, 0, -1), expected)
    turned = images.filter(x, kernels.sobel("x").T, axes=(1, 0))
    np.testing.assert_array_equal(turned, expected)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(images.filter(frozen, "sobel_x"), expected)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (4, 5, 0)])
def test_empty_images_stay_empty(shape: Any) -> None:
    y = images.filter(np.ones(shape, np.float32), np.ones((3, 3)), padding_mode="constant")
    assert y.shape == shape


def test_renormalized_edges_keep_constants() -> None:
    flat = np.full((9, 10, 2), 3.0)
    for kernel in (np.ones((3, 4)) / 12, np.ones((5, 5)) / 25):
        np.testing.assert_allclose(images.filter(flat, kernel, padding_mode="renormalize"), flat)
    volume = np.full((5, 6, 7), 2.0)
    cube = np.ones((3, 3, 3)) / 27
    for method in ("direct", "separable"):
        got = images.filter(volume, cube, axes=(0, 1, 2), padding_mode="renormalize", method=method)
        np.testing.assert_allclose(got, volume)
    line = images.filter(np.ones(6), np.ones(3) / 3, padding_mode=("renormalize"))
    np.testing.assert_allclose(line, 1.0)


def test_one_mode_for_each_axis_and_side() -> None:
    x = RNG.normal(size=(8, 9))
    kernel = RNG.normal(size=(3, 3))
    panorama = images.filter(x, kernel, padding_mode=("edge", "wrap"))
    padded = np.pad(np.pad(x, ((1, 1), (0, 0)), "edge"), ((0, 0), (1, 1)), "wrap")
    expected = sum(kernel[i, j] * padded[i : i + 8, j : j + 9] for i in range(3) for j in range(3))
    np.testing.assert_allclose(panorama, expected)
    sides = images.filter(x, kernel, padding_mode=(("edge", "constant"), "wrap"))
    np.testing.assert_allclose(sides[:-1], panorama[:-1])
    assert not np.allclose(sides[-1], panorama[-1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_transforms_dont_spread_what_is_not_finite(bad: float) -> None:
    x = RNG.normal(size=(90, 100)).astype(np.float32)
    kernel = RNG.normal(size=(5, 7))
    clean = images.filter(x, kernel, method="fourier")
    x[40, 50] = bad
    for method in ("fourier", "direct"):
        y = images.filter(x, kernel, method=method)
        touched = np.zeros(x.shape, bool)
        touched[38:43, 47:54] = True
        assert not np.isfinite(y[touched]).any()
        np.testing.assert_allclose(y[~touched], clean[~touched], atol=1e-4)


def test_plans_say_which_method_and_why() -> None:
    large = RNG.normal(size=(41, 41))
    cases = (
        (RNG.normal(size=(3, 3)), "direct"),
        (np.ones((9, 9)), "separable"),
        (large, "fourier"),
    )
    for kernel, method in cases:
        (plan,) = images.plan(np.zeros((50, 50), np.float32), kernel)
        assert plan.method == method
        assert f"-> {method}" in str(plan)
    (plan,) = images.plan(IMAGE, large, convention="scipy")
    assert plan.method == "direct"
    assert "would round otherwise" in str(plan)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"image": np.ones((3, 3), np.int64)}, DtypeError, r"int64.*astype\(\"float64\"\)"),
        ({"image": np.ones((3, 3), complex)}, DtypeError, "image.real and image.imag"),
        ({"image": np.array(["a"])}, DtypeError, "is not of numbers"),
        ({"image": np.float32(3)}, ShapeError, "single number"),
        ({"image": np.ones((2, 3, 4, 5), np.float32)}, ArgumentError, "leaves open which 2"),
        ({"kernel": np.ones((2, 2, 2, 2))}, KernelError, "doesn't fit the 2 filtered axes"),
        ({"kernel": np.ones((0, 3))}, KernelError, "doesn't fit"),
        ({"kernel": [[np.nan]]}, KernelError, "infinite or NaN"),
        ({"kernel": [["a"]]}, KernelError, "is not made of numbers"),
        ({"kernel": "sobel_q"}, ArgumentError, "sobel_q"),
        ({"axes": (0, 0)}, ArgumentError, r"axes=\(0, 0\)"),
        ({"axes": (0, 7)}, ArgumentError, "are not axes of an image with 2"),
        ({"axes": (0.5, 1)}, ArgumentError, "are not axes"),
        ({"padding_mode": "mirror"}, ArgumentError, 'Try: padding_mode="reflect"'),
        ({"padding_mode": "edge", "convention": "scipy"}, ArgumentError, "one of scipy's words"),
        ({"padding_value": 3.0}, ArgumentError, "would be ignored"),
        ({"dtype": "complex64"}, DtypeError, "is not one that results can have"),
        ({"dtype": "nonsense"}, DtypeError, "nonsense"),
        ({"anchor": (3, 0)}, ArgumentError, r"anchor=\(3, 0\)"),
        ({"anchor": -1}, ArgumentError, "anchor=-1"),
        ({"convention": "matlab"}, ArgumentError, "convention='matlab'"),
        ({"convention": "kornia"}, DtypeError, "is not floating"),
        ({"method": "magic"}, ArgumentError, "method='magic'"),
        ({"method": "fourier", "convention": "scipy"}, ArgumentError, "would round otherwise"),
        ({"workers": 0}, ArgumentError, "workers=0"),
        ({"workers": True}, ArgumentError, "workers=True"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = {"image": IMAGE, "kernel": np.ones((3, 3)), **options}
    with pytest.raises(error, match=words):
        images.filter(arguments.pop("image"), arguments.pop("kernel"), **arguments)

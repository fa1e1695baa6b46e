"""Running sums over bytes against the definition in whole numbers, rounded exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import images
from convsmith.errors import ArgumentError
from convsmith.geometry import source_index
from convsmith.images import compiled, engine, running

pytestmark = pytest.mark.backend_free

MODES = ("reflect", "symmetric", "edge", "wrap", "constant")


def by_definition(
    image: np.ndarray, sizes: Any, share: Fraction, modes: Any, value: int, anchor: Any
) -> np.ndarray:
    """Return sums of whole numbers, each divided and rounded by itself, halves to even."""
    x = image.astype(np.int64)
    outside = np.zeros(image.shape, bool)
    for axis, (taps, mode, at) in enumerate(zip(sizes, modes, anchor, strict=True)):
        size = image.shape[axis]
        places = [
            source_index(i, size, mode[0] if i < 0 else mode[1])
            for i in range(-at, size + taps - 1 - at)
        ]
        x = np.take(x, [0 if p is None else p for p in places], axis)
        outside = np.take(outside, [0 if p is None else p for p in places], axis)
        gone = np.array([p is None for p in places])
        outside = outside | np.expand_dims(gone, [a for a in range(image.ndim) if a != axis])
    x[outside] = value
    windows = np.lib.stride_tricks.sliding_window_view(x, sizes, tuple(range(len(sizes))))
    sums = windows.sum(tuple(range(-len(sizes), 0)))
    rounded = {int(s): min(round(int(s) * share), 255) for s in np.unique(sums)}
    return np.vectorize(rounded.__getitem__, otypes=["uint8"])(sums)


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 2))
    shape = [draw(st.integers(1, 40)) for _ in range(rank)]
    channels = draw(st.sampled_from([None, 3, 11]))
    most = draw(st.sampled_from([3, 9, 20, 33 if rank == 2 else 300]))
    sizes = tuple(draw(st.integers(1, most)) for _ in range(rank))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(draw(st.sampled_from([0, 250])), 256, (*shape, channels or 1), np.uint8)
    count = int(np.prod(sizes))
    share = draw(
        st.sampled_from(
            [Fraction(1, count)] * 3 + [Fraction(1), Fraction(0.0123456789), Fraction(1, 7)]
        )
    )
    modes = tuple((draw(st.sampled_from(MODES)), draw(st.sampled_from(MODES))) for _ in range(rank))
    fills = any("constant" in mode for mode in modes)
    return {
        "image": image if channels else image[..., 0],
        "share": share,
        "sizes": sizes,
        "modes": modes,
        "value": draw(st.integers(0, 255)) if fills else 0,
        "anchor": tuple(draw(st.integers(0, n - 1)) for n in sizes),
    }


def filtered(case: dict[str, Any], image: Any, **more: Any) -> Any:
    return images.filter(
        image,
        np.full(case["sizes"], float(case["share"])),
        axes=tuple(range(len(case["sizes"]))),
        padding_mode=case["modes"],
        padding_value=case["value"] or None,
        anchor=case["anchor"],
        method="running",
        **more,
    )


def check(case: dict[str, Any], **more: Any) -> None:
    actual = filtered(case, case["image"], **more)
    expected = by_definition(
        case["image"], case["sizes"], case["share"], case["modes"], case["value"], case["anchor"]
    )
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, expected)


@given(cases(), st.integers(1, 2))
def test_values(case: dict[str, Any], workers: int) -> None:
    check(case, workers=workers)


@given(cases())
def test_values_without_machine_code(case: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compiled", None)
        check(case)


@given(cases(), st.integers(7, 40), st.integers(7, 40))
def test_parts_are_those_of_the_whole(case: dict[str, Any], rows: int, columns: int) -> None:
    image = case["image"]
    chunks = (rows, columns, 2)[: image.ndim]
    lazy = filtered(case, da.from_array(image, chunks=chunks))
    np.testing.assert_array_equal(
        lazy.compute(scheduler="synchronous"), filtered(case, image), strict=True
    )


@pytest.mark.parametrize("size", [3, 16, 31, (150, 2), (2, 150)])
def test_bands_and_tiles_are_those_of_the_whole(size: Any, monkeypatch: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 2560, 3), np.uint8)
    expected = images.box_blur(image, size, workers=1)
    np.testing.assert_array_equal(images.box_blur(image, size, workers=8), expected)
    part = images.box_blur(image[50:250, 1000:2000], size)
    rows, columns = np.broadcast_to(size, 2)
    inside = np.s_[rows:-rows, columns:-columns]
    np.testing.assert_array_equal(part[inside], expected[50:250, 1000:2000][inside])
    corner = images.box_blur(image[:100, :200], size)
    monkeypatch.setattr(compiled, "PAST", 1)
    np.testing.assert_array_equal(images.box_blur(image, size), expected)
    monkeypatch.setattr(engine, "compiled", None)
    np.testing.assert_array_equal(images.box_blur(image[:100, :200], size), corner)


def test_every_sum_of_many_boxes_is_rounded_rightly() -> None:
    """Not only where sums are rounded to the next number, which is where numbers are chosen."""
    counts = [*range(1, 257, 7), 98, 255, *range(258, 2500, 97), 31 * 31, 127 * 127, 65_000]
    for count in counts:
        share, most = Fraction(1, count), 255 * count
        numbers = running.rounding(most, share)
        assert numbers is not None
        assert bool(numbers.multiplier) == (count % 2 == 1 and 1 < count < 257)
        sums = np.unique(np.linspace(0, most, 66_000).astype(np.int64))
        whole, rest = np.divmod(sums, count)
        up = (2 * rest > count) | ((2 * rest == count) & (whole % 2 == 1))
        if numbers.multiplier:
            found = (sums + numbers.bias) * numbers.multiplier >> (16 + numbers.shift)
            assert (sums + numbers.bias).max() < 2**16
        else:
            single = sums.astype(np.float32)
            high, low = (np.float32(factor) for factor in numbers.factors)
            found = np.rint((single.astype(float) * high + single * low).astype(np.float32))
        np.testing.assert_array_equal(found, whole + up)


def test_plans_say_so() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    (plan,) = images.plan(image, "box(9)")
    assert plan.method == "running"
    assert "uint8 in, summed in uint16, uint8 out" in str(plan)
    assert "-> running    3 multiplications an output" in str(plan)
    assert "summed in uint32" in str(images.plan(image, np.ones((40, 40)) / 1600))
    assert "summed in float32" in str(images.plan(image, "box(9)", method="separable"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": np.ones((3, 3), np.float32)}, "only for uint8 in and out"),
        ({"dtype": "float32"}, "only for uint8 in and out"),
        ({"image": np.ones((3, 3, 3), np.uint8), "kernel": np.ones((3, 3, 3)), "axes": (0, 1, 2)},
         "only for one or two axes"),
        ({"kernel": [[1.0, 2.0]]}, "only for kernels of one positive number"),
        ({"kernel": -np.ones((3, 3))}, "only for kernels of one positive number"),
        ({"kernel": np.zeros((3, 3))}, "only for kernels of one positive number"),
        ({"padding_mode": "renormalize"}, "only for edges that aren't rescaled"),
        ({"padding_mode": "constant", "padding_value": 0.5}, "only for fills that are bytes"),
        ({"padding_mode": "constant", "padding_value": 256.0}, "only for fills that are bytes"),
        ({"kernel": np.ones((300, 300)) / 90_000}, "not all sums can be rounded rightly"),
        ({"kernel": np.full((3, 3), 1e9)}, "not all sums can be rounded rightly"),
        ({"convention": "opencv"}, "would round otherwise than the convention"),
        ({"convention": "scipy"}, "would round otherwise than the convention"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], reason: str) -> None:
    arguments: dict[str, Any] = {
        "image": np.ones((3, 3), np.uint8), "kernel": np.ones((3, 3)) / 9, **options
    }  # fmt: skip
    image, kernel = arguments.pop("image"), arguments.pop("kernel")
    (plan,) = images.plan(image, kernel, **arguments)
    assert plan.method != "running"
    with pytest.raises(ArgumentError, match=f"can't apply this kernel: {reason}"):
        images.filter(image, kernel, method="running", **arguments)


def test_rounding_of_the_kernels_own_dtype_is_undone() -> None:
    """1 / 98 in float32 is another number, by which halves would be rounded down."""
    image = np.zeros((20, 20), np.uint8)
    image[10, 10] = 147
    kernel = np.full((7, 14), 1 / 98)
    for given_kernel in (kernel, kernel.astype(np.float32)):
        assert images.filter(image, given_kernel, padding_mode="constant").max() == 2
    assert images.box_blur(image, (7, 14), padding_mode="constant").max() == 2


def test_lines_of_one_number_are_boxes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    expected = images.filter(image, np.full((3, 5), 1 / 15), method="running")
    np.testing.assert_array_equal(images.filter_lines(image, [[1 / 3] * 3, [1 / 5] * 5]), expected)
    np.testing.assert_array_equal(images.box_blur(image, (3, 5)), expected)
    np.testing.assert_array_equal(images.box_blur(image, (5, 3), axes=(1, 0)), expected)

"""Sizes and pads against counting by hand, `numpy.pad`, and published formulas."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from convsmith import geometry
from convsmith.errors import ArgumentError, ShapeError
from convsmith.geometry import Pads, ReceptiveField

pytestmark = pytest.mark.backend_free

GRID = list(itertools.product(range(1, 12), range(1, 6), range(1, 5), range(1, 4)))
"""Sizes, kernels, strides, dilations."""


def counted(size: int, kernel: int, stride: int, dilation: int, low: int, high: int) -> int:
    """Return how often a window fits, by moving it."""
    reach = 0
    for tap in range(kernel):
        reach = tap * dilation + 1
    start, count = -low, 0
    while start + reach <= size + high:
        start, count = start + stride, count + 1
    return count


def pads(padding: Any, size: int | None, kernel: int | None, stride: int, dilation: int) -> Pads:
    return geometry.resolve_padding(padding, size, kernel, stride, dilation)


@pytest.mark.parametrize("padding", ["valid", "full", "causal", 0, 2, (1, 3), (-1, 2), (0, -1)])
def test_sizes_are_what_counting_gives(padding: Any) -> None:
    for size, kernel, stride, dilation in GRID:
        low, high = pads(padding, size, kernel, stride, dilation)
        assert low is not None
        assert high is not None
        expected = counted(size, kernel, stride, dilation, low, high)
        if expected == 0:
            with pytest.raises(ShapeError, match="larger than the padded input"):
                geometry.output_size(size, kernel, stride, dilation, Pads(low, high))
        else:
            found = geometry.output_size(size, kernel, stride, dilation, Pads(low, high))
            assert found == expected, (size, kernel, stride, dilation, padding)


@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_same_is_tensorflows(padding: str) -> None:
    for size, kernel, stride, dilation in GRID:
        low, high = pads(padding, size, kernel, stride, dilation)
        reach = (kernel - 1) * dilation + 1
        # TensorFlow's published rule, by the remainder.
        rest = size % stride
        total = max(reach - (stride if rest == 0 else rest), 0)
        small, large = total // 2, total - total // 2
        assert (low, high) == ((small, large) if padding == "same" else (large, small))
        found = geometry.output_size(size, kernel, stride, dilation, Pads(low, high))
        assert found == math.ceil(size / stride)


def test_full_sees_every_overlap_and_causal_no_future() -> None:
    for size, kernel, _, dilation in GRID:
        reach = (kernel - 1) * dilation + 1
        assert pads("full", size, kernel, 1, dilation) == (reach - 1, reach - 1)
        assert pads("causal", size, kernel, 1, dilation) == (reach - 1, 0)
        assert geometry.output_size(size, kernel, 1, dilation, Pads(reach - 1, 0)) == size


def test_effective_kernel_size() -> None:
    for kernel, dilation in itertools.product(range(1, 8), range(1, 5)):
        spread = np.zeros((kernel - 1) * dilation + 1)
        spread[::dilation] = 1
        assert geometry.effective_kernel_size(kernel, dilation) == spread.size
        assert spread.sum() == kernel


def test_transposed_sizes_are_where_the_windows_end() -> None:
    for size, kernel, stride, dilation in GRID:
        written = [stride * n + dilation * k for n in range(size) for k in range(kernel)]
        assert geometry.transposed_size(size, kernel, stride, dilation) == max(written) + 1
        low, high = geometry.resolve_transposed_padding("same", kernel, stride, dilation)
        found = geometry.transposed_size(size, kernel, stride, dilation, Pads(low, high))
        assert found == size * stride
        # The adjoint of the convolution that reads that size with "same".
        assert pads("same", size * stride, kernel, stride, dilation).low == low


def test_unknown_sizes_flow_through() -> None:
    assert geometry.output_size(None, 3) is None
    assert geometry.output_size(8, None) is None
    assert geometry.transposed_size(None, 3) is None
    assert pads("same", None, 3, 1, 1) == (1, 1)
    assert pads("same", None, 3, 2, 1) == (None, None)
    assert pads("full", None, None, 1, 1) == (None, None)
    assert geometry.output_size(8, 3, pads=Pads(None, None)) is None


def test_the_kernel_that_still_fits() -> None:
    for size, kernel, stride, dilation in GRID:
        positions = counted(size, kernel, stride, dilation, 0, 0)
        if positions:
            found = geometry.kernel_size_from(size, positions, stride, dilation, Pads(0, 0))
            assert found is not None
            assert found >= kernel
            assert counted(size, found, stride, dilation, 0, 0) == positions
            assert counted(size, found + 1, stride, dilation, 0, 0) < positions


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_pads_read_what_numpy_pads(mode: Any) -> None:
    for size, low, high in itertools.product(range(1, 6), range(12), range(12)):
        expected = np.pad(np.arange(size), (low, high), mode=mode)
        found: list[int | None] = []
        for part in geometry.pad_segments(size, Pads(low, high), (mode, mode)):
            assert part.start is not None
            found += [part.start + part.step * i for i in range(part.length)]
        assert found == expected.tolist(), (size, low, high)
        single = [geometry.source_index(i - low, size, mode) for i in range(size + low + high)]
        assert single == expected.tolist()


@pytest.mark.parametrize("mode", ["constant", "renormalize"])
def test_constant_pads_read_nothing(mode: Any) -> None:
    found = geometry.pad_segments(3, Pads(2, 1), (mode, mode))
    assert [(s.start, s.length) for s in found] == [(None, 2), (0, 3), (None, 1)]


def test_negative_pads_crop_and_sides_may_differ() -> None:
    line = np.arange(6)
    for low, high in itertools.product(range(-4, 3), range(-4, 3)):
        if 6 + low + high < 1:
            continue
        grown = np.pad(line, (max(low, 0), max(high, 0)), mode="reflect")
        expected = grown[max(-low, 0) : grown.size - max(-high, 0)]
        found: list[int] = []
        for part in geometry.pad_segments(6, Pads(low, high), ("reflect", "reflect")):
            assert part.start is not None
            found += [part.start + part.step * i for i in range(part.length)]
        assert found == expected.tolist(), (low, high)
    mixed = geometry.pad_segments(3, Pads(2, 2), ("wrap", "edge"))
    assert (mixed[0].start, mixed[0].length) == (1, 2)
    assert mixed[-1].step == 0


def test_an_empty_axis_has_nothing_to_show() -> None:
    with pytest.raises(ShapeError, match="nothing to read on an axis of size 0.*Try: "):
        geometry.pad_segments(0, Pads(1, 1), ("reflect", "reflect"))


@pytest.mark.parametrize(
    "chain",
    [
        [(3, 1, 1, 1)],
        [(3, 2, 1, 1), (3, 1, 1, 1)],
        [(7, 2, 1, 3), (3, 2, 1, 0), (3, 1, 2, 2), (1, 1, 1, 0), (2, 3, 1, 1)],
        [(4, 4, 1, 0), (3, 1, 3, 0)],
        [],
    ],
)
def test_receptive_fields_are_what_dependencies_show(chain: Any) -> None:
    """Follow two neighbouring outputs down the chain, tap by tap."""

    def seen(output: int) -> tuple[int, int]:
        places = {output}
        for kernel, stride, dilation, low in reversed(chain):
            places = {p * stride - low + k * dilation for p in places for k in range(kernel)}
        return min(places), max(places)

    field = geometry.receptive_field(chain)
    first, last = seen(0)
    assert field.size == last - first + 1
    assert field.start == first
    assert field.stride == seen(1)[0] - first
    assert field.center == (first + last) / 2


def test_the_receptive_field_of_a_resnet_stem() -> None:
    # 7x7 stride 2, then 3x3 max pooling stride 2: 11 wide, 4 apart (Araujo et al., 2019).
    assert geometry.receptive_field([(7, 2, 1, 3), (3, 2, 1, 1)]) == ReceptiveField(11, 4, -5)


def test_normal_forms() -> None:
    assert geometry.normalize_tuple(2, 3, "strides") == (2, 2, 2)
    assert geometry.normalize_tuple([1, 2], 2, "strides") == (1, 2)
    assert geometry.normalize_tuple(np.array([1, 2]), 2, "strides") == (1, 2)
    assert geometry.normalize_padding("SAME", 2) == ("same", "same")
    assert geometry.normalize_padding(((1, 2), "same"), 2) == ((1, 2), "same")
    assert geometry.normalize_padding((1, 2), 1) == ((1, 2),)
    assert geometry.normalize_padding(3, 2) == (3, 3)
    assert geometry.normalize_padding_mode("zeros", 1) == (("constant", "constant"),)
    assert geometry.normalize_padding_mode("replicate", 1) == (("edge", "edge"),)
    assert geometry.normalize_padding_mode("circular", 2) == (("wrap", "wrap"),) * 2
    assert geometry.normalize_padding_mode(("edge", "wrap"), 1) == (("edge", "wrap"),)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geometry.normalize_tuple((1, 2, 3), 2, "strides"), r"has 3 entries.*Try: "),
        (lambda: geometry.normalize_tuple(0, 2, "strides"), r"is too small.*Try: strides=1"),
        (lambda: geometry.normalize_tuple(True, 2, "strides"), r"not a whole number.*Try: "),
        (lambda: geometry.normalize_tuple("2", 2, "strides"), r"not a whole number.*Try: "),
        (lambda: geometry.normalize_padding("sane", 2), r"'sane'.*'same'"),
        (lambda: geometry.normalize_padding((1, 2, 3), 2), r"has 3 entries.*Try: "),
        (lambda: geometry.normalize_padding(1.5, 2), r"1\.5.*expected"),
        (lambda: geometry.normalize_padding_mode("mirror", 2), r"'mirror'.*Try: .*reflect"),
        (lambda: geometry.normalize_padding_mode("nearest", 2), r"Try: .*edge"),
        (lambda: geometry.axis_mode(("renormalize", "edge")), r"mixes 'renormalize'"),
        (lambda: geometry.fill("a", [("constant", "constant")], 0.0), r"is not a number.*Try: "),
        (lambda: geometry.fill(1.0, [("edge", "edge")], 0.0), r"would be ignored.*Try: "),
    ],
)
def test_errors_tell_the_fix(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        call()


def test_fills() -> None:
    assert geometry.fill(None, [("edge", "edge")], -math.inf) == -math.inf
    assert geometry.fill(3, [("edge", "constant")], 0.0) == 3.0
    assert geometry.fill(np.float32(0.5), [], 0.0) == 0.5


def test_the_error_of_a_lost_output_shows_the_arithmetic() -> None:
    with pytest.raises(ShapeError) as caught:
        geometry.output_size(4, 3, 1, 3, axis="h")
    text = str(caught.value)
    assert "axis 'h'" in text
    assert "floor((4 + 0 + 0 - (3*(3-1)+1)) / 1) + 1 = -2" in text
    assert "Try: padding of 3 more, or a smaller kernel" in text

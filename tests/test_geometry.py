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


@pytest.mark.parametrize("padding", [*geometry.PADDING_NAMES, 0, 2, (1, 3), (-1, 2), (0, -1)])
def test_a_transposed_window_is_the_adjoint_of_the_window_that_reads(padding: Any) -> None:
    """What it writes, read with the same padding, has the positions that wrote it."""
    for positions, kernel, stride, dilation in GRID:
        crop = geometry.resolve_transposed_padding(padding, kernel, stride, dilation)
        low, high = crop
        assert low is not None
        assert high is not None
        reached = {stride * n + dilation * k - low for n in range(positions) for k in range(kernel)}
        end = max(reached) + 1 - high
        if end < 1:
            with pytest.raises(ShapeError, match="the crop leaves nothing"):
                geometry.transposed_size(positions, kernel, stride, dilation, crop)
            continue
        written = geometry.transposed_size(positions, kernel, stride, dilation, crop)
        assert written == end
        read = pads(padding, written, kernel, stride, dilation)
        if padding in ("same", "same_lower"):
            # Where the stride jumps over entries, reading pads nothing and writing adds zeros.
            assert (read.low, read.high) == (low, max(high, 0))
        else:
            assert read == crop
        assert geometry.output_size(written, kernel, stride, dilation, read) == positions


def test_output_padding_is_a_negative_crop() -> None:
    # PyTorch: (n-1)*stride - 2*padding + dilation*(kernel-1) + output_padding + 1.
    for size, kernel, stride, dilation in GRID:
        for padding, extra in itertools.product(range(3), range(stride)):
            expected = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
            if expected > 0:
                crop = Pads(padding, padding - extra)
                found = geometry.transposed_size(size, kernel, stride, dilation, crop)
                assert found == expected


def test_unknown_sizes_flow_through() -> None:
    assert geometry.output_size(None, 3) is None
    assert geometry.output_size(8, None) is None
    assert geometry.transposed_size(None, 3) is None
    assert pads("same", None, 3, 1, 1) == (1, 1)
    assert pads("same", None, 3, 2, 1) == (None, None)
    assert pads("full", None, None, 1, 1) == (None, None)
    assert geometry.output_size(8, 3, pads=Pads(None, None)) is None
    assert geometry.output_size(8, 3, pads=Pads(0, None)) is None
    assert geometry.transposed_size(8, None) is None
    assert geometry.transposed_size(8, 3, pads=Pads(None, 0)) is None
    assert pads("causal", None, 3, 2, 2) == (4, 0)
    assert pads("full", None, 3, 2, 2) == (4, 4)
    assert pads("valid", None, None, 2, 1) == (0, 0)
    assert pads((1, -2), None, None, 2, 1) == (1, -2)
    assert geometry.resolve_transposed_padding("same", None, 2, 1) == (None, None)
    assert geometry.resolve_transposed_padding("same", 3, 2, 1) == (0, 1)
    assert geometry.resolve_transposed_padding("same_lower", 3, 2, 1) == (1, 0)
    for unknown in (Pads(None, 0), Pads(0, None)):
        assert geometry.kernel_size_from(8, 3, 1, 1, unknown) is None
        with pytest.raises(ValueError, match="known pads"):
            geometry.pad_segments(3, unknown, ("edge", "edge"))


def test_strides_and_dilations_are_one_unless_given() -> None:
    assert geometry.effective_kernel_size(4) == 4
    assert geometry.output_size(9, 4) == 6
    assert geometry.transposed_size(6, 4) == 9


def test_the_kernel_that_still_fits() -> None:
    for size, kernel, stride, dilation in GRID:
        positions = counted(size, kernel, stride, dilation, 0, 0)
        if positions:
            found = geometry.kernel_size_from(size, positions, stride, dilation, Pads(0, 0))
            assert found is not None
            assert found >= kernel
            assert counted(size, found, stride, dilation, 0, 0) == positions
            assert counted(size, found + 1, stride, dilation, 0, 0) < positions


def test_the_kernel_that_still_fits_between_pads() -> None:
    for size, kernel, stride, dilation in GRID:
        for low, high in ((1, 0), (0, 2), (-1, 1)):
            positions = counted(size, kernel, stride, dilation, low, high)
            if positions:
                found = geometry.kernel_size_from(
                    size, positions, stride, dilation, Pads(low, high)
                )
                fitting = [
                    k
                    for k in range(1, size + 4)
                    if counted(size, k, stride, dilation, low, high) >= positions
                ]
                assert found == max(fitting)


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


def segments(size: int, low: int, high: int, *modes: Any) -> list[tuple[int | None, int, int]]:
    pair = (modes[0], modes[-1])
    found = geometry.pad_segments(size, Pads(low, high), pair)
    return [(s.start, s.length, s.step) for s in found]


def test_runs_are_as_long_as_they_can_be() -> None:
    assert segments(4, 2, 3, "reflect") == [(2, 2, -1), (0, 4, 1), (2, 3, -1)]
    assert segments(4, 2, 3, "symmetric") == [(1, 2, -1), (0, 4, 1), (3, 3, -1)]
    assert segments(4, 2, 3, "wrap") == [(2, 2, 1), (0, 4, 1), (0, 3, 1)]
    assert segments(4, 2, 3, "edge") == [(0, 2, 0), (0, 4, 1), (3, 3, 0)]
    assert segments(4, 2, 3, "constant") == [(None, 2, 0), (0, 4, 1), (None, 3, 0)]
    assert segments(4, 1, 1, "wrap", "edge") == [(3, 1, 1), (0, 4, 1), (3, 1, 1)]
    assert segments(3, 0, 7, "wrap") == [(0, 3, 1), (0, 3, 1), (0, 3, 1), (0, 1, 1)]
    assert segments(2, 0, 5, "symmetric") == [(0, 2, 1), (1, 2, -1), (0, 2, 1), (1, 1, 1)]
    assert segments(1, 3, 3, "reflect") == [(0, 3, 0), (0, 1, 1), (0, 3, 0)]
    assert segments(5, 0, 0, "wrap") == [(0, 5, 1)]


@pytest.mark.parametrize("modes", list(itertools.product(geometry.PADDING_MODES[:5], repeat=2)))
def test_sides_of_different_modes_are_what_numpy_pads(modes: Any) -> None:
    for size, low, high in itertools.product(range(1, 5), range(6), range(6)):
        line = np.arange(1, size + 1)
        left = np.pad(line, (low, 0), mode=modes[0])[:low]
        right = np.pad(line, (0, high), mode=modes[1])[size:]
        found: list[int] = []
        for start, length, step in segments(size, low, high, *modes):
            found += [0 if start is None else line[start + step * i] for i in range(length)]
        assert found == [*left, *line, *right]


def test_a_crop_may_leave_nothing_or_only_what_lies_beyond() -> None:
    assert segments(3, -1, -2, "edge") == []
    assert segments(3, -3, 2, "wrap") == [(0, 2, 1)]
    assert segments(3, -4, 3, "wrap") == [(1, 2, 1)]
    assert segments(3, 4, -3, "symmetric") == [(2, 2, 0), (1, 2, -1)]
    assert segments(3, 5, -4, "constant") == [(None, 4, 0)]
    assert segments(0, 0, 0, "reflect") == []
    assert segments(0, 1, 2, "constant") == [(None, 1, 0), (None, 2, 0)]


def test_an_empty_axis_has_nothing_to_show() -> None:
    with pytest.raises(ShapeError, match="nothing to read on an axis of size 0.*Try: "):
        geometry.pad_segments(0, Pads(1, 1), ("reflect", "reflect"))


def test_an_empty_axis_can_be_filled_on_the_side_that_has_pads() -> None:
    assert segments(0, 2, 0, "constant", "edge") == [(None, 2, 0)]
    assert segments(0, 0, 2, "edge", "constant") == [(None, 2, 0)]


@pytest.mark.parametrize("padding", [b"ab", bytearray(b"ab")])
def test_bytes_are_no_padding(padding: Any) -> None:
    with pytest.raises(ArgumentError, match="is not a padding"):
        geometry.axis_padding(padding)


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


def test_receptive_fields_of_random_chains() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        chain = [
            tuple(int(v) for v in random.integers((1, 1, 1, -1), (4, 4, 4, 4)))
            for _ in range(random.integers(1, 5))
        ]
        test_receptive_fields_are_what_dependencies_show(chain)


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
    assert geometry.normalize_padding_mode(("edge", ("wrap", "zeros")), 2) == (
        ("edge", "edge"),
        ("wrap", "constant"),
    )
    assert geometry.normalize_tuple(0, 2, "padding", minimum=0) == (0, 0)
    assert geometry.normalize_tuple(np.int64(3), 1, "strides") == (3,)
    assert geometry.normalize_padding(((1, 2),), 1) == ((1, 2),)
    assert geometry.normalize_padding(("Causal",), 1) == ("causal",)
    assert geometry.normalize_padding([[1, 2], 3], 2) == ((1, 2), 3)
    assert geometry.normalize_padding(np.array([[1, 2], [-3, 4]]), 2) == ((1, 2), (-3, 4))
    assert geometry.normalize_padding((1, 2), 2) == (1, 2)
    assert geometry.normalize_padding(-2, 1) == (-2,)


def test_one_entry_for_each_axis() -> None:
    axes = ("h", "w")
    assert geometry.per_axis("same", axes, "padding", "padding") == ("same", "same")
    assert geometry.per_axis(None, axes, "padding", "padding") == (None, None)
    assert geometry.per_axis({"w": (1, -2)}, axes, "padding", "padding") == (None, (1, -2))
    assert geometry.per_axis({}, axes, "padding", "padding") == (None, None)
    assert geometry.per_axis({"w": 1, "h": 0}, axes, "padding", "padding") == (0, 1)


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
        (lambda: geometry.normalize_padding_mode("grid-wrap", 2), r"Try: .*wrap"),
        (lambda: geometry.normalize_padding_mode("nonsense", 2), r"NumPy's words.*Try: .*reflect"),
        (lambda: geometry.normalize_padding_mode(("edge",) * 3, 2), r"has 3 entries.*2 spatial"),
        (lambda: geometry.normalize_padding_mode(3, 2), r"=3: is not a padding mode.*Try: "),
        (lambda: geometry.axis_mode(("renormalize", "edge")), r"mixes 'renormalize'"),
        (lambda: geometry.axis_mode(("edge", "renormalize")), r"mixes 'renormalize'.*Try: "),
        (lambda: geometry.axis_mode(("edge",)), r"is not a padding mode.*for the two sides"),
        (lambda: geometry.axis_mode(("edge", 1)), r"is not a padding mode; expected a mode"),
        (
            lambda: geometry.normalize_tuple(2.0, 2, "strides"),
            r"strides=2.0: is not a whole number",
        ),
        (
            lambda: geometry.normalize_tuple([1, 2, 3], 2, "s"),
            r"expected an int or 2 .*Try: s=\(1, 1\)",
        ),
        (
            lambda: geometry.integer(-1, "kh", minimum=0),
            r"kh=-1: is too small; .* at least 0.*kh=0",
        ),
        (lambda: geometry.integer(None, "kh"), r"kh=None: is not a whole number.*Try: kh=1"),
        (lambda: geometry.normalize_padding((True, 1), 1), r"padding=True: is not a whole number"),
        (
            lambda: geometry.normalize_padding(("same", "valid"), 1),
            r"'same': is not a whole number",
        ),
        (lambda: geometry.normalize_padding(((1, 2, 3), 1), 2), r"\(1, 2, 3\): is not a padding;"),
        (lambda: geometry.normalize_padding(None, 1), r"padding=None: is not a padding; expected"),
        (lambda: geometry.per_axis({"x": 1}, ("h", "w"), "padding", "padding"), r"'x', .*'h', 'w'"),
        (lambda: geometry.per_axis({"x": 1}, (), "padding", "padding"), r"none \(no windows\)"),
        (lambda: geometry.fill(True, [], 0.0), r"padding_value=True: is not a number"),
        (lambda: geometry.fill(math.nan, [], 0.0), r"padding_value=nan: is not a number"),
        (lambda: geometry.fill(1j, [], 0.0), r"padding_value=1j: is not a number"),
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


def test_the_error_of_a_lost_transposed_output_shows_the_arithmetic() -> None:
    with pytest.raises(ShapeError) as caught:
        geometry.transposed_size(2, 3, 2, 1, Pads(3, 4), axis="w")
    text = str(caught.value)
    assert "axis 'w': the crop leaves nothing" in text
    assert "= 2*(2-1) + 1*(3-1) + 1 - 3 - 4 = -2" in text
    assert "Try: less padding" in text
    with pytest.raises(ShapeError, match="^output size: "):
        geometry.transposed_size(2, 3, 2, 1, Pads(3, 4))


def test_the_padding_that_an_error_proposes_is_just_enough() -> None:
    for size, kernel, stride, dilation in GRID:
        for low, high in ((0, 0), (1, 0), (-1, 0), (0, -2)):
            reach = dilation * (kernel - 1) + 1
            if size + low + high >= reach:
                continue
            with pytest.raises(ShapeError, match=r"Try: padding of \d+ more") as caught:
                geometry.output_size(size, kernel, stride, dilation, Pads(low, high))
            more = int(str(caught.value).split("padding of ")[1].split()[0])
            enough = Pads(low, high + more)
            assert geometry.output_size(size, kernel, stride, dilation, enough) == 1
            with pytest.raises(ShapeError):
                geometry.output_size(size, kernel, stride, dilation, Pads(low, high + more - 1))

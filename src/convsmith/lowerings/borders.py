"""What lies beyond the edges of axes, made real in one pass where that can be, and its adjoint.

Nothing here is scattered: gradients add whole runs, so that they're the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from convsmith.geometry import AxisMode, Pads, Segment, pad_segments
from convsmith.lowerings.backend import current
from convsmith.lowerings.tensors import (
    MOST_PADDED_AXES,
    SEMIRING_FILL,
    at,
    connected,
    dtype_name,
    fill_value,
    pad_zeros,
    reshape,
    shape_of,
    strided,
)

Tensor = Any

FILLS = ("constant", "renormalize")
"""Modes that read nothing."""

MOST_INDICES = 2**18
"""A longer list of indices would weigh on the graph that holds it."""

LEAST_RUN = 16
"""Shorter runs of neighbours are gathered more slowly than axes are concatenated."""


class Border(NamedTuple):
    """What lies beyond the edges of one axis; negative pads crop."""

    axis: int
    size: Any
    pads: Pads
    mode: AxisMode

    @property
    def known(self) -> bool:
        """Whether sizes are ints, and nothing is cropped."""
        low, high = self.pads
        return (
            isinstance(self.size, int)
            and isinstance(low, int)
            and isinstance(high, int)
            and min(low, high) >= 0
        )

    @property
    def fills(self) -> bool:
        """Whether both sides hold the fill value."""
        return all(m in FILLS for m in self.mode)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The runs of the padded axis."""
        return pad_segments(self.size, self.pads, self.mode)


def pad_borders(x: Tensor, borders: Sequence[Border], value: float) -> Tensor:
    """Return `x` with what lies beyond the edges made real; the order of axes has no effect."""
    fills = [b for b in borders if b.known and b.fills]
    reads = [b for b in borders if b.known and not b.fills]
    x = pad_each(x, [b for b in borders if not b.known], value)
    if reads:
        x = current().pad_reading(x, tuple(reads), value)
    if len(x.shape) > MOST_PADDED_AXES:
        return pad_each(x, fills, value)
    widths: list[tuple[Any, Any]] = [(0, 0)] * len(x.shape)
    for border in fills:
        widths[border.axis] = (border.pads.low, border.pads.high)
    return current().pad(x, widths, value) if fills else x


def pad_each(x: Tensor, borders: Sequence[Border], value: float) -> Tensor:
    """Return the same, one axis at a time."""
    for border in borders:
        x = pad_axis(x, border, value)
    return x


def pad_axis(x: Tensor, border: Border, value: float) -> Tensor:
    """Return `x` with what lies beyond the edges of one axis made real."""
    axis, size, (low, high), mode = border
    if border.known and border.fills:
        return pad_zeros(x, axis, low, high, value)
    if not all(isinstance(n, int) for n in (size, low, high)):
        return _pad_open_axis(x, axis, size, low, high, mode, value)
    pieces = [_segment(x, axis, s, value) for s in border.segments]
    result = pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, axis=axis)
    kept = any(s.start is not None for s in border.segments)
    return result if kept else connected(result, x)


def _segment(x: Tensor, axis: int, segment: Segment, value: float) -> Tensor:
    if segment.start is None:
        shape = tuple(segment.length if i == axis else n for i, n in enumerate(shape_of(x)))
        return ops.full(shape, value, dtype=x.dtype)
    if segment.step == 1:
        return strided(x, axis, segment.start, segment.length, 1)
    if segment.step == 0:
        edge = at(x, axis, slice(segment.start, segment.start + 1))
        return ops.repeat(edge, segment.length, axis)
    first = segment.start - segment.length + 1
    return ops.flip(at(x, axis, slice(first, segment.start + 1)), axis=axis)


def gathered(x: Tensor, borders: Sequence[Border], take: Any) -> Tensor | None:
    """Return the padded `x` from one ``take(x, indices, axis)``, or None where that is slow.

    Neighbouring axes are one while their entries are gathered: one pass instead of one an axis.
    """
    first, last = borders[0].axis, borders[-1].axis
    after = x.shape[last + 1 :]
    length = prod(b.size + sum(b.pads) for b in borders)  # type: ignore[arg-type]
    if (
        last - first + 1 != len(borders)
        or None in after
        or prod(after) < LEAST_RUN
        or length > MOST_INDICES
        or any(s.start is None for b in borders for s in b.segments)
    ):
        return None
    before = shape_of(x)[:first]
    merged = prod(b.size for b in borders)
    result = take(reshape(x, [*before, merged, *after]), _sources(tuple(borders)), first)
    return reshape(result, [*before, *(b.size + sum(b.pads) for b in borders), *after])  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _sources(borders: tuple[Border, ...]) -> np.ndarray:
    """Return where each entry of the padded axes, merged, is read."""
    merged = np.zeros(1, "int32")
    for border in borders:
        own = [s.start + s.step * np.arange(s.length) for s in border.segments]  # type: ignore[operator]
        merged = (merged[:, None] * border.size + np.concatenate(own)).ravel()
    return merged.astype("int32")


def unpad_each(x: Tensor, borders: Sequence[Border]) -> Tensor:
    """Return the adjoint of `pad_borders` for borders of known sizes."""
    for border in borders:
        x = unpad_axis(x, border)
    return x


def unpad_axis(x: Tensor, border: Border, semiring: str = "sum_product") -> Tensor:
    """Return the adjoint of `pad_axis`: entries beyond the edges are added to their sources.

    The axis is cut where runs begin and end; most of it is one run that is only copied.
    """
    from convsmith.lowerings.contract import plus, reduce

    axis, size = border.axis, border.size
    fill = fill_value(SEMIRING_FILL[semiring], dtype_name(x))
    pieces: list[tuple[int, int, Tensor]] = []
    offset = 0
    for segment in border.segments:
        if segment.start is not None:
            piece = strided(x, axis, offset, segment.length, 1)
            begin, length = segment.start, segment.length
            if segment.step == 0:
                piece, length = ops.expand_dims(reduce(semiring, piece, (axis,)), axis), 1
            elif segment.step == -1:
                piece, begin = ops.flip(piece, axis=axis), segment.start - length + 1
            pieces.append((begin, begin + length, piece))
        offset += segment.length
    if not pieces:  # A crop that kept nothing but fill.
        shape = [size if i == axis else n for i, n in enumerate(shape_of(x))]
        return connected(ops.full(shape, fill, x.dtype), x)
    cuts = sorted({0, size, *(b for b, _, _ in pieces), *(e for _, e, _ in pieces)})
    parts: list[Tensor] = []
    for low, high in pairwise(cuts):
        part: Tensor = None
        for begin, end, piece in pieces:
            if begin <= low and high <= end:
                term = strided(piece, axis, low - begin, high - low, 1)
                part = term if part is None else plus(semiring, part, term)
        if part is None:
            shape = tuple(high - low if i == axis else n for i, n in enumerate(shape_of(x)))
            part = ops.full(shape, fill, x.dtype)
        parts.append(part)
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=axis)


def _pad_open_axis(
    x: Tensor, axis: int, size: Any, low: Any, high: Any, mode: AxisMode, value: float
) -> Tensor:
    """Pad an axis whose size only the running graph knows, by gathering computed indices."""
    place: Any = ops.arange(-low, size + high, dtype="int32")
    source = ops.where(place < 0, _source(place, size, mode[0]), _source(place, size, mode[1]))
    inside = ops.logical_and(place >= 0, place < size)
    source = ops.where(inside, place, source)
    result = ops.take(x, ops.clip(source, 0, size - 1), axis=axis)
    constant = [m in FILLS for m in mode]
    if any(constant):
        fill = ops.where(place < 0, constant[0], constant[1])
        shape = tuple(-1 if i == axis else 1 for i in range(len(x.shape)))
        outside = ops.reshape(ops.logical_and(ops.logical_not(inside), fill), shape)
        result = ops.where(outside, ops.cast(value, x.dtype), result)
    return result


def _source(place: Tensor, size: Any, mode: str) -> Tensor:
    if mode == "wrap":
        return _modulo(place, size)
    if mode == "symmetric":
        folded: Any = _modulo(place, 2 * size)
        return ops.where(folded < size, folded, 2 * size - 1 - folded)
    if mode == "reflect":
        period = ops.maximum(2 * size - 2, 1)
        folded = _modulo(place, period)
        return ops.where(folded < size, folded, 2 * size - 2 - folded)
    return ops.clip(place, 0, size - 1)


def _modulo(place: Tensor, period: Any) -> Tensor:
    """Return the remainder, never negative.

    Twice, because the usual translation of the operation to ONNX takes the dividend's sign.
    """
    return ops.mod(ops.mod(place, period) + period, period)

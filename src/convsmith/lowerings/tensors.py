"""Small tensor moves on `keras.ops` that skip themselves when they'd change nothing.

In eager mode each needless reshape costs as much as a small convolution, so identity is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keras import ops

from convsmith.geometry import AxisMode, Pads, Segment, pad_segments
from convsmith.lowerings.backend import current

Tensor = Any

SEMIRING_FILL = {"sum_product": 0.0, "max_plus": float("-inf"), "min_plus": float("inf")}


def permute(x: Tensor, order: Sequence[int]) -> Tensor:
    """Return `x` with its axes in the given order."""
    return x if list(order) == list(range(len(order))) else ops.transpose(x, tuple(order))


def reshape(x: Tensor, shape: Sequence[Any]) -> Tensor:
    """Return `x` in the given shape, whose entries may be scalars of a graph."""
    shape = tuple(shape)
    unknown = [i for i, n in enumerate(shape) if not isinstance(n, int)]
    if not unknown and tuple(x.shape) == shape:
        return x
    if len(unknown) == 1 and not any(isinstance(n, int) and n == 0 for n in shape):
        # -1 keeps what a graph knows of the shape; a scalar would hide it.
        shape = tuple(-1 if i == unknown[0] else n for i, n in enumerate(shape))
    return ops.reshape(x, shape)


MOST_SLICED_AXES = 8
"""TensorFlow can't slice or pad tensors of more axes; those are merged around the one touched."""


def _merged_around(x: Tensor, axis: int) -> tuple[Tensor, list[Any], list[Any]]:
    """Return `x` as (before, axis, after), and the shapes that were merged."""
    shape = list(_shape(x))
    before, after = shape[:axis], shape[axis + 1 :]
    return reshape(x, [size_product(before), shape[axis], size_product(after)]), before, after


def size_product(sizes: Iterable[Any]) -> Any:
    """Return the product of sizes, which may be scalars of a graph."""
    total: Any = 1
    for size in sizes:
        total = size if isinstance(total, int) and total == 1 else total * size
    return total


def at(x: Tensor, axis: int, index: Any) -> Tensor:
    """Return ``x[..., index, ...]`` with `index` at one axis."""
    if len(x.shape) > MOST_SLICED_AXES:
        x, before, after = _merged_around(x, axis)
        x = x[:, index]
        middle = [] if isinstance(index, int) else [current().size(x, 1)]
        return reshape(x, [*before, *middle, *after])
    return x[(slice(None),) * axis + (index,)]


def strided(x: Tensor, axis: int, start: Any, count: Any, stride: int) -> Tensor:
    """Return `count` entries of an axis from `start` on, `stride` apart."""
    if isinstance(count, int) and isinstance(start, int):
        if start == 0 and stride == 1 and x.shape[axis] == count:
            return x
        stop = start + stride * (count - 1) + 1
        return at(x, axis, slice(start, stop, stride))
    return at(x, axis, slice(start, start + stride * (count - 1) + 1, stride))


def pad_zeros(x: Tensor, axis: int, low: Any, high: Any, value: float = 0.0) -> Tensor:
    """Return `x` with `value` before and after one axis."""
    if isinstance(low, int) and isinstance(high, int) and low == 0 and high == 0:
        return x
    rank = len(x.shape)
    if rank > MOST_SLICED_AXES:
        x, before, after = _merged_around(x, axis)
        x = current().pad(x, [(0, 0), (low, high), (0, 0)], value)
        return reshape(x, [*before, current().size(x, 1), *after])
    widths = [(0, 0)] * axis + [(low, high)] + [(0, 0)] * (rank - axis - 1)
    return current().pad(x, widths, value)


def fill_value(value: float, dtype: str) -> float | int:
    """Return a fill as the dtype can hold it: infinity is the extreme integer for integers."""
    if dtype.startswith(("int", "uint")) and value in (float("inf"), float("-inf")):
        return 2**31 - 1 if value > 0 else -(2**31)
    return int(value) if dtype.startswith(("int", "uint")) else value


def pad_axis(x: Tensor, axis: int, size: Any, pads: Pads, mode: AxisMode, value: float) -> Tensor:
    """Return `x` with what lies beyond the edges of one axis made real; negative pads crop."""
    low, high = pads
    known = all(isinstance(n, int) for n in (size, low, high))
    if known and all(m in ("constant", "renormalize") for m in mode) and min(low, high) >= 0:  # type: ignore[type-var]
        return pad_zeros(x, axis, low, high, value)
    if not known:
        return _pad_open_axis(x, axis, size, low, high, mode, value)
    pieces = [_segment(x, axis, s, value) for s in pad_segments(size, pads, mode)]
    result = pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, axis=axis)
    kept = any(s.start is not None for s in pad_segments(size, pads, mode))
    return result if kept else connected(result, x)


def connected(result: Tensor, x: Tensor) -> Tensor:
    """Return `result`, which doesn't depend on `x`, such that `x` has a gradient: zeros."""
    if not dtype_name(result).startswith(("float", "bfloat", "complex")):
        return result
    nothing: Any = ops.reshape(x, (-1,))
    return result + ops.cast(ops.sum(nothing[:0]), result.dtype)


def _segment(x: Tensor, axis: int, segment: Segment, value: float) -> Tensor:
    if segment.start is None:
        shape = tuple(segment.length if i == axis else n for i, n in enumerate(_shape(x)))
        return ops.full(shape, value, dtype=x.dtype)
    if segment.step == 1:
        return strided(x, axis, segment.start, segment.length, 1)
    if segment.step == 0:
        return ops.repeat(
            at(x, axis, slice(segment.start, segment.start + 1)), segment.length, axis
        )
    first = segment.start - segment.length + 1
    return ops.flip(at(x, axis, slice(first, segment.start + 1)), axis=axis)


def _shape(x: Tensor) -> tuple[Any, ...]:
    return tuple(current().size(x, i) for i in range(len(x.shape)))


def _pad_open_axis(
    x: Tensor, axis: int, size: Any, low: Any, high: Any, mode: AxisMode, value: float
) -> Tensor:
    """Pad an axis whose size only the running graph knows, by gathering computed indices."""
    place: Any = ops.arange(-low, size + high, dtype="int32")
    source = ops.where(place < 0, _source(place, size, mode[0]), _source(place, size, mode[1]))
    inside = ops.logical_and(place >= 0, place < size)
    source = ops.where(inside, place, source)
    result = ops.take(x, ops.clip(source, 0, size - 1), axis=axis)
    constant = [m in ("constant", "renormalize") for m in mode]
    if any(constant):
        fill = ops.where(place < 0, constant[0], constant[1])
        shape = tuple(-1 if i == axis else 1 for i in range(len(x.shape)))
        outside = ops.reshape(ops.logical_and(ops.logical_not(inside), fill), shape)
        result = ops.where(outside, ops.cast(value, x.dtype), result)
    return result


def _source(place: Tensor, size: Any, mode: str) -> Tensor:
    if mode == "wrap":
        return ops.mod(place, size)
    if mode == "symmetric":
        folded: Any = ops.mod(place, 2 * size)
        return ops.where(folded < size, folded, 2 * size - 1 - folded)
    if mode == "reflect":
        period = ops.maximum(2 * size - 2, 1)
        folded = ops.mod(place, period)
        return ops.where(folded < size, folded, 2 * size - 2 - folded)
    return ops.clip(place, 0, size - 1)


def unpad_axis(
    x: Tensor, axis: int, size: int, pads: Pads, mode: AxisMode, semiring: str
) -> Tensor:
    """Return the adjoint of `pad_axis`: entries beyond the edges are added to their sources."""
    from convsmith.lowerings.contract import plus, reduce

    fill = fill_value(SEMIRING_FILL[semiring], dtype_name(x))
    total: Tensor = None
    offset = 0
    for segment in pad_segments(size, pads, mode):
        if segment.start is not None:
            piece = strided(x, axis, offset, segment.length, 1)
            begin, length = segment.start, segment.length
            if segment.step == 0:
                piece, length = ops.expand_dims(reduce(semiring, piece, (axis,)), axis), 1
            elif segment.step == -1:
                piece, begin = ops.flip(piece, axis=axis), segment.start - length + 1
            piece = pad_zeros(piece, axis, begin, size - begin - length, fill)
            total = piece if total is None else plus(semiring, total, piece)
        offset += segment.length
    if total is None:  # A crop that kept nothing but fill.
        shape = [size if i == axis else n for i, n in enumerate(_shape(x))]
        return connected(ops.full(shape, fill, x.dtype), x)
    return total


def dtype_name(x: Tensor) -> str:
    """Return the dtype as Keras writes it."""
    name = getattr(x.dtype, "name", None)
    return name if name is not None else str(x.dtype).rsplit(".", 1)[-1]


def crop_or_extend(x: Tensor, axis: int, low: Any, high: Any, value: float) -> Tensor:
    """Return `x` without `low` and `high` entries at the ends; negative amounts add `value`."""
    if not (isinstance(low, int) and isinstance(high, int)):
        return at(x, axis, slice(low, current().size(x, axis) - high))
    if low > 0 or high > 0:
        begin, end = max(low, 0), max(high, 0)
        size = current().size(x, axis)
        if isinstance(size, int) and begin + end > size:
            # The crop of one side reaches into what the other side adds.
            x = pad_zeros(x, axis, max(-low, 0), max(-high, 0), value)
            return at(x, axis, slice(begin, current().size(x, axis) - end))
        x = at(x, axis, slice(begin, size - end))
    return pad_zeros(x, axis, max(-low, 0), max(-high, 0), value)

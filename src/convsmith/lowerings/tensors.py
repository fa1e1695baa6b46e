"""Small tensor moves on `keras.ops` that skip themselves when they'd change nothing.

In eager mode each needless reshape costs as much as a small convolution, so identity is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keras import ops

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
"""TensorFlow can't slice tensors of more axes; those are merged around the one touched."""

MOST_PADDED_AXES = 6
"""The same for padding."""


def _merged_around(x: Tensor, axis: int) -> tuple[Tensor, list[Any], list[Any]]:
    """Return `x` as (before, axis, after), and the shapes that were merged."""
    shape = list(shape_of(x))
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
    if rank > MOST_PADDED_AXES:
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


def connected(result: Tensor, x: Tensor) -> Tensor:
    """Return `result`, which doesn't depend on `x`, such that `x` has a gradient: zeros."""
    if not dtype_name(result).startswith(("float", "bfloat", "complex")):
        return result
    nothing: Any = ops.reshape(x, (-1,))
    return result + ops.cast(ops.sum(nothing[:0]), result.dtype)


def shape_of(x: Tensor) -> tuple[Any, ...]:
    """Return the sizes of the axes: ints, or scalars where a graph leaves them open."""
    return tuple(current().size(x, i) for i in range(len(x.shape)))


def dtype_name(x: Tensor) -> str:
    """Return the dtype as Keras writes it."""
    name = getattr(x.dtype, "name", None)
    return name if name is not None else str(x.dtype).rsplit(".", 1)[-1]


def crop_or_extend_all(x: Tensor, first: int, pads: Sequence[Any]) -> Tensor:
    """Return `x` with the axes from `first` on cropped by their pads, or extended by zeros.

    One slice for all axes: its gradient is one copy.
    """
    if all(isinstance(n, int) and n >= 0 for low_high in pads for n in low_high):
        slices = [slice(low, -high or None) for low, high in pads]
        return x[(slice(None),) * first + tuple(slices)] if any(map(any, pads)) else x
    for axis, (low, high) in enumerate(pads, start=first):
        x = crop_or_extend(x, axis, low, high, 0.0)
    return x


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

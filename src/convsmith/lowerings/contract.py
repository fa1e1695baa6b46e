"""Contraction of named axes without windows: the inner step of every portable lowering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from convsmith.lowerings.backend import current
from convsmith.lowerings.base import Sizes
from convsmith.lowerings.tensors import permute, reshape, size_product

Tensor = Any
Names = Sequence[Any]

MOST_BROADCAST_AXES = 5
"""TensorFlow broadcasts no more, counting neighbours that broadcast alike as one."""


def times(semiring: str, a: Tensor, b: Tensor) -> Tensor:
    """The product of the semiring."""
    return a * b if semiring == "sum_product" else a + b


def plus(semiring: str, a: Tensor, b: Tensor) -> Tensor:
    """The sum of the semiring."""
    if semiring == "sum_product":
        return a + b
    return current().maximum(a, b) if semiring == "max_plus" else current().minimum(a, b)


def reduce(semiring: str, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The sum of the semiring over axes."""
    if not axes:
        return x
    if semiring == "sum_product":
        # An axis of size 1 needs no pass; NumPy's sum also widens small integers, ours are wide.
        return ops.sum(x, axis=axes)
    return ops.max(x, axis=axes) if semiring == "max_plus" else ops.min(x, axis=axes)


def reduce_to(
    x: Tensor, names: Names, keep: Sequence[Any], semiring: str
) -> tuple[Tensor, list[Any]]:
    """Return `x` summed over the axes that aren't in `keep`, and the names that are left."""
    axes = tuple(i for i, n in enumerate(names) if n not in keep)
    return reduce(semiring, x, axes), [n for n in names if n in keep]


def align(x: Tensor, names: Names, order: Names, sizes: Sizes) -> Tensor:
    """Return `x` with its axes in `order`, size-1 axes where it has none."""
    present = [n for n in order if n in names]
    x = permute(x, [names.index(n) for n in present])
    if len(present) == len(order):
        return x
    if all(n in names for n in order[len(order) - len(present) :]):
        return x  # Broadcasting adds leading axes by itself.
    own = iter(_shape_of(x, present, sizes))
    return reshape(x, [next(own) if n in names else 1 for n in order])


def _shape_of(x: Tensor, names: Names, sizes: Sizes) -> list[Any]:
    return [s if isinstance(s, int) else sizes.of(n) for s, n in zip(x.shape, names, strict=True)]


def broadcasts(a_names: Names, b_names: Names, order: Names) -> bool:
    """Whether every backend can broadcast two tensors with these axes to `order`."""
    runs, last = 0, None
    for n in order:
        kind = (n in a_names, n in b_names)
        runs += kind != last
        last = kind
    return runs <= MOST_BROADCAST_AXES


def contract(
    a: Tensor,
    a_names: Names,
    b: Tensor,
    b_names: Names,
    output: Names,
    sizes: Sizes,
    semiring: str,
) -> Tensor:
    """Return the sum over all names that `output` lacks of the product of two tensors."""
    a, a_names = reduce_to(a, a_names, {*b_names, *output}, semiring)  # type: ignore[arg-type]
    b, b_names = reduce_to(b, b_names, {*a_names, *output}, semiring)  # type: ignore[arg-type]
    shared = [n for n in a_names if n in b_names]
    summed = [n for n in shared if n not in output]
    if not summed and broadcasts(a_names, b_names, output):
        return times(semiring, align(a, a_names, output, sizes), align(b, b_names, output, sizes))
    batch = [n for n in shared if n in output]
    rows = [n for n in a_names if n not in b_names]
    columns = [n for n in b_names if n not in a_names]
    order = [*output, *summed]
    merging = not broadcasts(a_names, b_names, order)
    if not merging and (semiring != "sum_product" or (batch and not columns)):
        full = times(semiring, align(a, a_names, order, sizes), align(b, b_names, order, sizes))
        return reduce(semiring, full, tuple(range(len(output), len(order))))
    # The names that the output has first are rows: nothing has to be transposed then.
    first = [min(map(output.index, side), default=-1) for side in (rows, columns)]
    upside_down = rows and columns and first[1] < first[0]
    if upside_down or (batch and not rows):
        rows, columns, a, b, a_names, b_names = columns, rows, b, a, b_names, a_names
    return _merged(a, a_names, b, b_names, output, sizes, (batch, rows, columns, summed), semiring)


def _merged(
    a: Tensor,
    a_names: Names,
    b: Tensor,
    b_names: Names,
    output: Names,
    sizes: Sizes,
    roles: tuple[Names, Names, Names, Names],
    semiring: str,
) -> Tensor:
    batch, rows, columns, summed = roles

    def extent(names: Names, x: Tensor, own: Names) -> list[Any]:
        shape = dict(zip(own, _shape_of(x, own, sizes), strict=True))
        return [shape[n] for n in names]

    batch_shape = extent(batch, a, a_names)
    row_shape, column_shape = extent(rows, a, a_names), extent(columns, b, b_names)
    depth = size_product(extent(summed, a, a_names))
    front = [size_product(batch_shape)] if batch else []
    left_order = [*batch, *rows, *summed]
    left = permute(a, [a_names.index(n) for n in left_order])
    right = permute(b, [b_names.index(n) for n in [*batch, *summed, *columns]])
    left = reshape(left, [*front, size_product(row_shape or [1]), depth])
    right = reshape(right, [*front, depth, size_product(column_shape or [1])])
    if semiring == "sum_product":
        result = current().matmul(left, right)
    else:
        full = times(semiring, ops.expand_dims(left, -1), ops.expand_dims(right, -3))
        result = reduce(semiring, full, (len(front) + 1,))
    natural = [*batch, *rows, *columns]
    result = reshape(result, [*batch_shape, *row_shape, *column_shape])
    return permute(result, [natural.index(n) for n in output])

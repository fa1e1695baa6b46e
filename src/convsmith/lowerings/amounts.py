"""How much a step reads, writes and multiplies: what lowerings build their cost features from.

Unknown sizes count as `steps.ASSUMED_SIZE`. Keys of features are ``kind`` or ``kind.detail``:
`calls` are counted in operations, `bytes` in bytes, `macs` in multiply-adds.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from convsmith.lowerings.base import Target
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step, assumed, elements

Features = dict[str, float]

_ITEM_SIZE = {"float64": 8, "complex64": 8, "complex128": 16, "float16": 2, "bfloat16": 2}

LANES = 16
"""Numbers that one vector holds; shorter innermost axes waste the rest."""


def item_size(dtype: str) -> int:
    """Return the bytes of one number."""
    return _ITEM_SIZE.get(dtype, 4)


def operand_bytes(step: Step, target: Target) -> float:
    """Return the bytes of all operands."""
    shapes = [step.operand_shape(i) for i in range(len(step.operands))]
    return float(item_size(target.dtype) * sum(map(elements, shapes)))


def output_bytes(step: Step, target: Target) -> float:
    """Return the bytes of the result."""
    return float(item_size(target.dtype) * elements(step.output_shape))


def padded_bytes(step: Step, target: Target) -> float:
    """Return the bytes of copies of those operands whose zero pads must be made real."""
    total = 0
    windows = step.input_windows
    for side in step.operands:
        count, padded = 1, False
        for place in side:
            size = assumed(step.size(place))
            if isinstance(place, SizedWindow) and place in windows and any(place.pads):
                size += sum(p or 0 for p in place.pads)
                padded = True
            count *= size
        total += count if padded else 0
    return float(item_size(target.dtype) * total)


def patch_bytes(step: Step, target: Target) -> float:
    """Return the bytes of operands whose windows have become positions and taps."""
    total = 0
    for side in step.operands:
        read = [p for p in side if isinstance(p, SizedWindow) and p in step.input_windows]
        if read:
            total += prod(_extents(step, side, taps=True).values())
    return float(item_size(target.dtype) * total)


def sums_products(step: Step) -> bool:
    """Whether something besides taps is summed over two operands: a matrix product."""
    if len(step.operands) < 2:
        return False
    names = [{p for p in side if isinstance(p, str)} for side in step.operands]
    taps = {w.tap for w in step.input_windows}
    if taps & set(step.output):
        return False
    summed = (names[0] & names[1]) - set(step.output) - taps
    return any(step.sizes[n] != 1 for n in summed)


def dense(step: Step) -> bool:
    """Whether a step is one matrix product for each tap, with no groups: what backends do well."""
    return sums_products(step) and matrices(step, taps=False).batch == 1


class Matrices(NamedTuple):
    """A batch of matrix products: `batch` of [rows, depth] times [depth, columns]."""

    batch: int
    rows: int
    columns: int
    depth: int

    @property
    def macs(self) -> float:
        """Multiply-adds, counting the lanes that short rows leave idle."""
        wide, narrow = max(self.rows, self.columns), min(self.rows, self.columns)
        return float(self.batch * round_up(wide, LANES) * round_up(narrow, 4) * self.depth)


def matrices(step: Step, *, taps: bool) -> Matrices:
    """Return the matrix products of a step whose windows are read; `taps` summed inside or not."""
    sides = [_extents(step, side, taps=taps) for side in step.operands]
    one, other = (sides[0], sides[1]) if len(sides) == 2 else (sides[0], {})
    output = {n for p in step.output for n in _names(p)}
    shared = set(one) & set(other)
    return Matrices(
        batch=prod(one[n] for n in shared if n in output),
        rows=prod(one[n] for n in one if n not in shared),
        columns=prod(other[n] for n in other if n not in shared),
        depth=prod(one[n] for n in shared if n not in output),
    )


def innermost(step: Step) -> int:
    """Return the size of the last axis of the result that has more than one entry."""
    return next((assumed(n) for n in reversed(step.output_shape) if n != 1), 1) or 1


def vector_macs(step: Step) -> float:
    """Return the multiply-adds, counting the lanes that a short last axis leaves idle."""
    inner = innermost(step)
    return step.macs * round_up(inner, LANES) / inner


def round_up(number: int, unit: int) -> int:
    """Return the next multiple of a unit."""
    return -(-number // unit) * unit


def strided(step: Step) -> bool:
    """Whether a window that is read skips positions."""
    return any(w.stride > 1 for w in step.input_windows)


def _names(place: Place) -> tuple[str, ...]:
    return (place.position, place.tap) if isinstance(place, SizedWindow) else (place,)


def _extents(step: Step, side: tuple[Place, ...], *, taps: bool) -> dict[str, int]:
    """Return the sizes of an operand's axes once its windows are gone."""
    extents: dict[str, int] = {}
    summed = {w.tap for w in step.input_windows}
    for place in side:
        if isinstance(place, SizedWindow) and place in step.input_windows:
            extents[place.position] = assumed(place.positions)
            if taps:
                extents[place.tap] = assumed(place.taps)
        elif isinstance(place, SizedWindow):
            extents[place.axis] = assumed(place.size)
        elif taps or place not in summed:
            extents[place] = assumed(step.sizes[place])
    return extents

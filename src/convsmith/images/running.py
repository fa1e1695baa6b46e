"""Boxes over bytes: sums that run on from one output to the next, exactly, at the cost of no size.

What a box adds up is a difference of sums that began at the tile's first column. In whole numbers
these are exact wherever they begin, so that parts of an image give the numbers of the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.plane import OUTSIDE, Plane
from convsmith.images.requests import Edges

Array = NDArray[Any]

BYTE = 255

MOST_NARROW = 2**16 - 1
"""Sums up to here are computed in 16 bits."""

PIECE = 128
"""So many bytes add up to a signed number of 16 bits."""

FEW = 5
"""So many columns are added one by one."""

MOST = 2**24
"""Sums up to here are held by float32, in which the larger ones are rounded."""

LOSS = 2.0**-50
"""How far from 1 / n a number may be, relatively, and be taken for it: products were rounded."""


@dataclass(frozen=True)
class Rounding:
    """Numbers by which sums become results: ``(sum + bias) * multiplier >> 16 + shift``; or in
    float32, where the multiplier is 0, ``sum * factors[0] + sum * factors[1]``.
    """

    multiplier: int = 0
    bias: int = 0
    shift: int = 0
    factors: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Box:
    """A kernel of one number."""

    shape: tuple[int, ...]
    share: Fraction
    """What sums are multiplied by."""
    rounding: Rounding

    @property
    def most(self) -> int:
        """The largest sum that there can be."""
        return BYTE * prod(self.shape)

    @property
    def sums(self) -> str:
        """The dtype of sums."""
        return "uint16" if self.most <= MOST_NARROW else "uint32"


@dataclass(frozen=True)
class Form:
    """What machine code is made for; sizes of boxes and images aren't part of it."""

    step: int
    """How many entries neighbouring pixels are apart: the channels."""
    taps: int
    """How many columns are added one by one, which is faster for few; 0 for running sums."""
    pieces: int
    """How many differences a sum that needs 32 bits is made of; 0 for sums of 16 bits."""
    whole: Rounding | None
    """Where whole numbers round: they; as constants, which is how LLVM finds the instruction."""
    split: bool
    """Whether float32 holds the box's number only as a sum of two."""
    past: bool = False
    """Whether results are written past the caches."""


@dataclass(frozen=True)
class Running:
    """What is to be computed for one image plane, as a `Program` is."""

    box: Box
    rows: int
    columns: int
    step: int

    def form(self, past: bool) -> Form:
        """Return what machine code is needed."""
        narrow = self.box.most <= MOST_NARROW
        return Form(
            step=self.step,
            taps=self.columns if narrow and self.columns <= FEW else 0,
            pieces=0 if narrow else -(-self.columns // PIECE),
            whole=self.box.rounding if self.box.rounding.multiplier else None,
            split=self.box.rounding.factors[1] != 0.0,
            past=past,
        )


def box_for(
    kernel: Array, tolerance: float | None, dtypes: tuple[str, str], edges: Edges
) -> tuple[Box | None, str]:
    """Return a kernel as a box, or None; and what there is to say.

    Args:
        kernel: its numbers.
        tolerance: what rounding to the dtype in which the kernel was given loses.
        dtypes: of the image and of the result.
        edges: what lies beyond the image.
    """
    number = float(kernel.flat[0])
    if dtypes != ("uint8", "uint8"):
        return None, "only for uint8 in and out"
    if kernel.ndim > 2:
        return None, "only for one or two axes"
    if number <= 0 or (kernel != number).any():
        return None, "only for kernels of one positive number"
    if any("renormalize" in mode for mode in edges.modes):
        return None, "only for edges that aren't rescaled"
    if edges.value not in range(BYTE + 1):
        return None, "only for fills that are bytes"
    box = _box(kernel.shape, number, max(tolerance or 0.0, LOSS))
    return box, "exact for boxes of any size" if box else "not all sums can be rounded rightly"


@functools.lru_cache(maxsize=256)
def _box(shape: tuple[int, ...], number: float, tolerance: float) -> Box | None:
    """Return a box; its number exactly, or as 1 / n where it is that but for rounding."""
    share = Fraction(number)
    inverse = round(1 / share)
    if inverse and abs(share * inverse - 1) <= tolerance:
        share = Fraction(1, inverse)
    numbers = rounding(BYTE * prod(shape), share)
    return None if numbers is None else Box(shape, share, numbers)


def rounding(most: int, share: Fraction) -> Rounding | None:
    """Return numbers that round all sums up to `most` rightly; None if there are none.

    Rounded sums never fall where sums grow, so that it is enough to look where they rise.
    """
    largest = largest_sums(share)
    largest = largest[largest < most]

    def right(rounded: Callable[[Array], Array]) -> bool:
        wanted = np.arange(len(largest))
        below, above = rounded(largest), rounded(largest + 1)
        return bool((below <= wanted).all() and (above > wanted).all())

    # Other numbers have halves to round, or are none that a few bits hold.
    if most <= MOST_NARROW and share.numerator == 1 and share.denominator % 2:
        for numbers in _whole_numbers(most, share):
            if right(functools.partial(_by_whole_numbers, numbers)):
                return numbers
    if most >= MOST or most * share >= 2**31:
        return None
    high = float(np.float32(float(share)))
    low = float(np.float32(float(share - Fraction(high))))
    for factors in ((high, 0.0), (high, low)):
        if right(functools.partial(_by_floats, factors)):
            return Rounding(factors=factors)
    return None


def largest_sums(share: Fraction) -> Array:
    """Return the largest sum that is rounded to each result below 255, halves to even."""
    found = []
    for result in range(BYTE):
        half = (result + Fraction(1, 2)) / share
        whole = half.numerator // half.denominator
        found.append(min(whole - (half.denominator == 1 and result % 2), MOST))
    return np.array(found)


def _whole_numbers(most: int, share: Fraction) -> Iterator[Rounding]:
    """Yield what may do, the fastest first."""
    for shift in range(8):
        exact = int(2 ** (16 + shift) * share)
        middle = int(1 / share) // 2
        for multiplier in (exact, exact + 1):
            for bias in range(max(middle - 2, 0), middle + 3):
                if 0 < multiplier < 2**16 and bias + most < 2**16:
                    yield Rounding(multiplier, bias, shift)


def _by_whole_numbers(numbers: Rounding, sums: Array) -> Array:
    return (sums + numbers.bias) * numbers.multiplier >> (16 + numbers.shift)


def _by_floats(factors: tuple[float, float], sums: Array) -> Array:
    """Return sums rounded as by machine code: products of 24 bits by 24 are exact in float64."""
    low = (sums.astype(np.float32) * np.float32(factors[1])).astype(np.float64)
    return np.rint((sums * factors[0] + low).astype(np.float32))


def portable(wanted: Running, plane: Plane) -> None:
    """Filter a plane by NumPy."""
    row_map, column_map = plane.row_map.places, plane.column_map.places
    source = plane.source.reshape(plane.source.shape[0], -1, wanted.step)
    rows, columns = row_map != OUTSIDE, column_map != OUTSIDE
    window = np.full((len(row_map), len(column_map), wanted.step), int(plane.fill), np.int64)
    window[np.ix_(rows, columns)] = source[np.ix_(row_map[rows], column_map[columns])]
    for axis, taps in enumerate((wanted.rows, wanted.columns)):
        before = np.pad(np.cumsum(window, axis), [(int(a == axis), 0) for a in range(3)])
        last = before.shape[axis]
        window = np.take(before, range(taps, last), axis) - np.take(
            before, range(last - taps), axis
        )
    plane.target[...] = np.searchsorted(largest_sums(wanted.box.share), window).reshape(
        len(window), -1
    )

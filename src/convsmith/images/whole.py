"""Kernels of whole numbers, or of halves, quarters, ...: exact in 16 bits on 8-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.program import LIMITS, NARROW

Array = NDArray[Any]

SMALL = ("uint8", "int8", "bool")
"""Images of which sums may fit 16 bits."""

MOST_SHIFT = 12
"""How often kernels are doubled at most: with 8-bit pixels more than 16 bits need not be tried."""


@dataclass(frozen=True)
class Whole:
    """A kernel as whole numbers."""

    work: str
    """The dtype that holds all sums of an image's numbers."""
    shift: int
    """The power of two that sums are divided by."""
    numbers: tuple[Array, ...]
    """The kernel, or its lines."""


def doubled(numbers: Array) -> tuple[Array, int] | None:
    """Return numbers times the least power of two that makes them whole, and the power."""
    for shift in range(MOST_SHIFT + 1):
        large = numbers * 2.0**shift
        if (large == np.rint(large)).all():
            return large, shift
    return None


def lines_of(kernel: Array) -> tuple[Array, Array] | None:
    """Return two lines of whole numbers whose product is a kernel of whole numbers, if any are."""
    row, column = np.unravel_index(np.argmax(np.abs(kernel)), kernel.shape)
    if not kernel[row, column]:
        return None
    across = kernel[row] / np.gcd.reduce(kernel[row].astype(np.int64))
    down = kernel[:, column] / across[column]
    exact = (down == np.rint(down)).all() and (np.outer(down, across) == kernel).all()
    return (down, across) if exact else None


def fitting(kernel: Array, source: str, target: str, rounding: str) -> tuple[str, int] | None:
    """Return the dtype that holds all sums, and the shift; None if none does.

    Sums on the way may be larger: they come right again, as in any arithmetic of so many bits.
    """
    known = source in SMALL and target in LIMITS and np.dtype(target).itemsize <= 2
    if not known or rounding not in ("even", "up"):
        return None
    made = doubled(kernel)
    if made is None:
        return None
    large, shift = made
    low, high = LIMITS[source]
    above, below = large[large > 0].sum(), large[large < 0].sum()
    half = 2.0 ** (shift - 1) if shift else 0.0
    least, most = low * above + high * below, high * above + low * below + half
    for work in NARROW:
        if LIMITS[work][0] <= least and most <= LIMITS[work][1]:
            return work, shift
    return None


def whole(kernel: Array, source: str, target: str, rounding: str, by_lines: bool) -> Whole | None:
    """Return a kernel as whole numbers if all sums fit 16 bits."""
    fits = fitting(kernel, source, target, rounding)
    if fits is None:
        return None
    work, shift = fits
    large = kernel * 2.0**shift
    if not by_lines:
        return Whole(work, shift, (large,))
    lines = lines_of(large) if kernel.ndim == 2 else None
    return None if lines is None else Whole(work, shift, lines)

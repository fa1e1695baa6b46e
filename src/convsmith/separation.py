"""Patterns whose kernel is taken apart into lines: one convolution for each axis of its taps.

With a kernel that is an outer product of two lines, ``b (h+kh) (w+kw) c, kh kw -> b h w c`` is
``b (h+kh) (w+kw) c, kh, kw -> b h w c``; with any other it is a sum of such terms. Names that are
no taps stay with the last line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import PatternError
from convsmith.kernels.factors import ROUNDINGS, separate
from convsmith.notation import Axis, Group, One, Spec, Window, names_of, parse

SEPARABLE = "separable"
"""The lowering that forces a kernel to be taken apart, whatever it costs."""

CANCELLATION = 2.0
"""How much larger than the kernel its terms may be altogether: what they cancel is lost."""

Lines = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Separation:
    """How the kernel of a pattern is taken apart: operand `index`, into a line for each tap."""

    pattern: str
    """The pattern of the lines: the first in the kernel's place, the others at the end."""

    index: int
    names: tuple[str, ...]
    """The kernel's axes, groups split and ones gone."""

    taps: tuple[str, ...]

    def operands(self, operands: tuple[Any, ...], lines: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the operands of `pattern`: those given, with lines for the kernel."""
        before, after = operands[: self.index], operands[self.index + 1 :]
        return (*before, lines[0], *after, *lines[1:])

    def line_shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the lines of a kernel whose flat shape is given."""
        sizes = dict(zip(self.names, shape, strict=True))
        *taps, last = self.taps
        return (*((sizes[t],) for t in taps), (sizes[last], *(sizes[n] for n in self._rest)))

    def terms(self, kernel: NDArray[Any], tolerance: float) -> list[Lines]:
        """Return the lines of each term; they miss at most `tolerance` times the kernel's norm."""
        order = [self.names.index(n) for n in (*self.taps, *self._rest)]
        moved = kernel.transpose(order).astype(np.float64)
        sizes, before = moved.shape, len(self.taps) - 1
        matrix = moved.reshape(*sizes[:before], prod(sizes[before:]))
        *first, last = (line.T for line in separate(matrix, tolerance=tolerance))
        return [
            (*lines, end.reshape(sizes[before:])) for *lines, end in zip(*first, last, strict=True)
        ]

    def exact_terms(self, kernel: NDArray[Any], rounding: float) -> list[Lines] | None:
        """Return terms that lose no more than direct summation does; None where they cancel much.

        `rounding` is that of the sums, relative to 1.
        """
        terms = self.terms(kernel, ROUNDINGS * rounding)
        size = sum(prod(float(np.abs(line).sum()) for line in lines) for lines in terms)
        return terms if size <= CANCELLATION * float(np.abs(kernel).sum()) else None

    @property
    def _rest(self) -> tuple[str, ...]:
        return tuple(n for n in self.names if n not in self.taps)


@lru_cache(maxsize=4096)
def separation(pattern: str) -> Separation | None:
    """Return how a pattern's kernel is taken apart; None where no operand has two taps or more.

    Example:
        >>> separation("b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)").pattern
        'b (h+kh) (w+kw) c, kh, kw c m -> b h w (c m)'
    """
    try:
        spec = parse(pattern)
    except PatternError:
        return None  # Planning says what is wrong.
    read = {item.tap for side in spec.operands for item in side if isinstance(item, Window)}
    kept = {n for item in spec.output for n in names_of(item)}
    for index, side in enumerate(spec.operands):
        if not all(isinstance(item, Axis | Group | One) for item in side):
            continue
        names = tuple(n for item in side for n in names_of(item))
        taps = tuple(n for n in names if n in read)
        if len(taps) > 1 and not kept.intersection(taps):
            return Separation(_pattern(spec, index, names, taps), index, names, taps)
    return None


def _pattern(spec: Spec, index: int, names: tuple[str, ...], taps: tuple[str, ...]) -> str:
    first, *others, last = taps
    rest = [n for n in names if n not in taps]
    sides = [" ".join(map(str, side)) for side in spec.operands]
    sides[index] = first
    output = " ".join(map(str, spec.output))
    return f"{', '.join([*sides, *others, ' '.join([last, *rest])])} -> {output}"

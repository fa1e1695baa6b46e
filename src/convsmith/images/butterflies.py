"""Discrete Fourier transforms of a few vectors in registers, lane by lane, as instructions.

Only what multiplies by other numbers than 1, i and their like is a multiplication; all operations
come in one order, so that every machine gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from convsmith.images.emit import Emitter

Complex = tuple[Any, Any]
"""The vectors of real and of imaginary parts."""


def swapped(values: Sequence[Complex]) -> list[Complex]:
    """Return numbers with both parts exchanged: transforms between two exchanges are inverse."""
    return [(imaginary, real) for real, imaginary in values]


class Butterflies:
    """Writes transforms into a function."""

    def __init__(self, emitter: Emitter, work: str) -> None:
        self.emitter = emitter
        self.work = work

    def transformed(self, values: Sequence[Complex]) -> list[Complex]:
        """Return the transform (minus sign, not scaled) of 1, 2, 3, 4, 8 or 16 numbers."""
        count = len(values)
        if count == 1:
            return list(values)
        if count == 2:
            return [self._sum(*values), self._difference(*values)]
        if count == 3:
            return self._three(values)
        if count == 4:
            return self._four(values)
        rest = count // 4
        columns = []
        for j in range(rest):
            four = self._four([values[j + rest * k] for k in range(4)])
            columns.append([self._turned(value, j * k, count) for k, value in enumerate(four)])
        result: list[Complex] = [values[0]] * count
        for k in range(4):
            result[k::4] = self.transformed([column[k] for column in columns])
        return result

    def times(self, value: Complex, factor: Complex) -> Complex:
        """Return a product."""
        e, b = self.emitter, self.emitter.builder
        (real, imaginary), (cosine, sine) = value, factor
        first = e.multiply_add(b.fneg(imaginary), sine, b.fmul(real, cosine), self.work, fused=True)
        second = e.multiply_add(real, sine, b.fmul(imaginary, cosine), self.work, fused=True)
        return first, second

    def _three(self, values: Sequence[Complex]) -> list[Complex]:
        e, b, work = self.emitter, self.emitter.builder, self.work
        both, apart = self._sum(values[1], values[2]), self._difference(values[1], values[2])
        half, high = e.constant(-0.5, work), e.constant(math.sqrt(0.75), work)
        middle = [
            e.multiply_add(both[part], half, values[0][part], work, fused=True) for part in range(2)
        ]
        less = b.fneg(high)
        return [
            self._sum(values[0], both),
            (
                e.multiply_add(apart[1], high, middle[0], work, fused=True),
                e.multiply_add(apart[0], less, middle[1], work, fused=True),
            ),
            (
                e.multiply_add(apart[1], less, middle[0], work, fused=True),
                e.multiply_add(apart[0], high, middle[1], work, fused=True),
            ),
        ]

    def _four(self, values: Sequence[Complex]) -> list[Complex]:
        b = self.emitter.builder
        even, odd = self._sum(values[0], values[2]), self._sum(values[1], values[3])
        x, y = self._difference(values[0], values[2]), self._difference(values[1], values[3])
        return [
            self._sum(even, odd),
            (b.fadd(x[0], y[1]), b.fsub(x[1], y[0])),
            self._difference(even, odd),
            (b.fsub(x[0], y[1]), b.fadd(x[1], y[0])),
        ]

    def _turned(self, value: Complex, steps: int, whole: int) -> Complex:
        """Return a number turned clockwise by so many steps of a whole turn."""
        e, b = self.emitter, self.emitter.builder
        real, imaginary = value
        if steps % whole == 0:
            return value
        if 4 * steps % whole == 0:
            return ((imaginary, b.fneg(real)), (b.fneg(real), b.fneg(imaginary)),
                    (b.fneg(imaginary), real))[4 * steps // whole % 4 - 1]  # fmt: skip
        if 8 * steps == whole or 8 * steps == 3 * whole:
            half = e.constant(math.sqrt(0.5), self.work)
            plus = b.fmul(b.fadd(real, imaginary), half)
            minus = b.fmul(b.fsub(imaginary, real), half)
            return (plus, minus) if 8 * steps == whole else (minus, b.fneg(plus))
        angle = -2 * math.pi * steps / whole
        return self.times(
            value,
            (e.constant(math.cos(angle), self.work), e.constant(math.sin(angle), self.work)),
        )

    def _sum(self, a: Complex, c: Complex) -> Complex:
        b = self.emitter.builder
        return b.fadd(a[0], c[0]), b.fadd(a[1], c[1])

    def _difference(self, a: Complex, c: Complex) -> Complex:
        b = self.emitter.builder
        return b.fsub(a[0], c[0]), b.fsub(a[1], c[1])

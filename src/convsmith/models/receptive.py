"""Receptive fields: which entries of one axis of a model's input a position sees, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm
from typing import Self

Interval = tuple[int, int] | None
"""First and last entry; None sees nothing."""


@dataclass(frozen=True)
class Field:
    """What the positions along an axis of a tensor see of one axis of the model's input.

    Position ``p + q * len(intervals)`` sees ``intervals[p]`` moved by ``q * advance`` entries: a
    transposed convolution gives different positions windows of different sizes, and strides that
    are fractions.

    `axis` is the tensor's axis along which the windows move; None for positions that see all. An
    empty `intervals` stands for windows that aren't known. `placed` is False where only sizes and
    strides are known, because paddings depend on an unknown size.
    """

    axis: int | None
    intervals: tuple[Interval, ...] = ((0, 0),)
    advance: int = 1
    placed: bool = True

    @property
    def sees_all(self) -> bool:
        """Whether each position sees the whole axis."""
        return self.axis is None

    @property
    def is_known(self) -> bool:
        """Whether the windows are known."""
        return self.sees_all or bool(self.intervals)

    @property
    def size(self) -> int:
        """How many entries lie between the first and the last that a position sees, at most."""
        return max((i[1] - i[0] + 1 for i in self.intervals if i is not None), default=0)

    @property
    def stride(self) -> Fraction:
        """How far the windows of neighbours are apart, on average."""
        return Fraction(self.advance, len(self.intervals))

    @property
    def offset(self) -> int | None:
        """Where the first position's window starts; negative in the padding, None if unknown."""
        first = self.at(0)
        return first[0] if self.placed and first is not None else None

    def at(self, position: int) -> Interval:
        """Return the first and the last entry that a position sees, on an endless axis.

        Example:
            >>> Field(1).read(3, stride=2, dilation=1, low=1).at(2)
            (3, 5)
        """
        cycle, place = divmod(position, len(self.intervals))
        seen = self.intervals[place]
        if seen is None:
            return None
        return seen[0] + cycle * self.advance, seen[1] + cycle * self.advance

    def read(self, taps: int, stride: int, dilation: int, low: int | None) -> Self:
        """Return the field of windows that read this axis: position j at ``stride*j - low`` on.

        Example:
            >>> field = Field(1).read(3, 2, 1, 1).read(3, 1, 1, 1)
            >>> field.size, field.stride, field.offset
            (7, Fraction(2, 1), -3)

        Source: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural
        Networks", Distill, 2019.
        """
        start = low or 0
        made = self.remapped(
            1, stride, lambda j: (stride * j - start + dilation * k for k in range(taps))
        )
        return replace(made, placed=self.placed and low is not None)

    def written(self, taps: int, stride: int, dilation: int, low: int | None) -> Self:
        """Return the field of what is written: position i writes ``stride*i - low`` and on.

        Example:
            >>> field = Field(1).written(4, 2, 1, 1)
            >>> field.size, field.stride, field.offset
            (2, Fraction(1, 2), -1)
        """
        start = low or 0

        def sources(j: int) -> Iterable[int]:
            for k in range(taps):
                i, rest = divmod(j + start - dilation * k, stride)
                if rest == 0:
                    yield i

        made = self.remapped(stride, 1, sources)
        return replace(made, placed=self.placed and low is not None)

    def remapped(self, positions: int, moves: int, sources: Callable[[int], Iterable[int]]) -> Self:
        """Return the field where position j sees what the positions ``sources(j)`` of this do.

        ``sources(j + positions)`` must be ``sources(j)`` moved by `moves`.
        """
        if not self.intervals or self.sees_all:
            return self
        cycles = len(self.intervals) // gcd(len(self.intervals), moves)
        intervals = tuple(hull(map(self.at, sources(j))) for j in range(positions * cycles))
        advance = self.advance * moves * cycles // len(self.intervals)
        return replace(self, **_shortest(intervals, advance))

    def union(self, other: Field) -> Field | None:
        """Return what positions see that see both, None where that has no regular windows."""
        if self.sees_all or other.sees_all:
            return replace(self, axis=None)
        if self == other:
            return self
        if self.axis != other.axis or not (self.intervals and other.intervals):
            return None
        if self.stride != other.stride or not (self.placed and other.placed):
            return None
        period = lcm(len(self.intervals), len(other.intervals))
        intervals = tuple(hull((self.at(j), other.at(j))) for j in range(period))
        return replace(self, **_shortest(intervals, self.advance * period // len(self.intervals)))


ALL = Field(None)


def hull(intervals: Iterable[Interval]) -> Interval:
    """Return the shortest interval around several."""
    seen = [i for i in intervals if i is not None]
    if not seen:
        return None
    return min(i[0] for i in seen), max(i[1] for i in seen)


def _shortest(intervals: tuple[Interval, ...], advance: int) -> dict[str, object]:
    """Return the shortest cycle of intervals that repeat after a move."""
    count = len(intervals)
    for period in range(1, count + 1):
        if count % period or advance * period % count:
            continue
        step = advance * period // count
        moved = (None if i is None else (i[0] + step, i[1] + step) for i in intervals[:-period])
        if all(a == b for a, b in zip(moved, intervals[period:], strict=True)):
            return {"intervals": intervals[:period], "advance": step}
    return {"intervals": intervals, "advance": advance}

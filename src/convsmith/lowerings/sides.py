"""One operand of `shift`: a round takes a block of it, a tap reads from the block.

Blocks may begin where only the running graph knows; within a block every index is a plain int,
which is what lets a compiler fuse the taps.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

from convsmith.lowerings.arrangement import Arrangement
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import Sizes, Tensor
from convsmith.lowerings.contract import align
from convsmith.lowerings.tensors import at, permute, reshape, size_product, strided
from convsmith.lowerings.windows import pad_windows, semiring_fill, spread
from convsmith.problem import Place, SizedWindow


class Round(NamedTuple):
    """Where one round of a loop stands."""

    outer: Mapping[str, Any]
    """Names with one index each."""
    partial: str | None
    """The name of which a block is taken,"""
    start: Any
    """from here,"""
    length: int
    """so long."""


class Side:
    """An operand whose indexed plain axes stand in front, merged into one axis."""

    def __init__(
        self, x: Tensor, side: tuple[Place, ...], arranged: Arrangement, sizes: Sizes
    ) -> None:
        self.sizes = sizes
        step = arranged.step
        self.windows = [p for p in side if isinstance(p, SizedWindow) and p in step.input_windows]
        places = list(side)
        for axis, place in enumerate(places):
            stride = arranged.spread.get(self._name(place))
            if stride is not None:
                assert isinstance(place, SizedWindow)
                assert place.size is not None
                positions = (place.size - 1) // stride + 1
                x = spread(x, axis, stride, positions, semiring_fill(x, step.semiring))
        x = pad_windows(x, places, step.input_windows, step.semiring)
        counts: dict[str, Any] = dict(zip(arranged.summed, arranged.counts, strict=True))
        counts |= {t: arranged.count(t) for t in arranged.kept}
        self.front = {
            n: c if c is not None else sizes.of(n) for n, c in counts.items() if n in places
        }
        self.rest: list[Place] = [p for p in places if p not in self.front]
        self.x = permute(x, [places.index(p) for p in [*self.front, *self.rest]])
        if len(self.front) > 1:
            body = [self._size(p) for p in self.rest]
            self.x = reshape(self.x, [size_product(self.front.values()), *body])

    def _size(self, place: Place) -> Any:
        """Return the size of an axis whose pads are real."""
        if place in self.windows:
            assert isinstance(place, SizedWindow)
            return self.sizes.of(place) + place.pads.low + place.pads.high
        return self.sizes.of(place)

    def _name(self, place: Place) -> str:
        if isinstance(place, SizedWindow):
            return place.position if place in self.windows else place  # type: ignore[return-value]
        return place

    @property
    def names(self) -> list[Any]:
        """The names of what a tap reads."""
        return [self._name(p) for p in self.rest]

    def align(self, output: list[Place]) -> None:
        """Bring the axes into the output's order, so that taps only slice and multiply."""
        by_name = {self._name(p): p for p in self.rest}
        order: list[Any] = [by_name.get(n, n) for n in output]  # type: ignore[call-overload]
        if not self.front:
            self.x = align(self.x, self.rest, order, self.sizes)
            self.rest = order[len(order) - len(self.x.shape) :]
            return
        flat: list[Any] = ["taps", *self.rest]
        own = dict(zip(flat, self.x.shape, strict=True))
        body = [own[p] if p in self.rest else 1 for p in order]
        body = [self._size(p) if n is None else n for p, n in zip(order, body, strict=True)]
        kept = [p for p in order if p in self.rest]
        self.x = permute(self.x, [0, *(1 + self.rest.index(p) for p in kept)])
        self.x = reshape(self.x, [size_product(self.front.values()), *body])
        self.rest = order

    def take(self, at_round: Round) -> Taken:
        """Return the block that one round reads."""
        x, base = self.x, 0
        inner: dict[str, int] = {}
        for n, count in self.front.items():
            if n in at_round.outer:
                base = base * count + at_round.outer[n]
            elif n == at_round.partial:
                # Blocks may not begin at multiples of their length: count in entries.
                base = base * count + at_round.start
                inner[n] = at_round.length
            else:
                base = base * count
                inner[n] = count
        if not isinstance(base, int):
            x = current().take_block(x, 0, base, prod(inner.values()))
            base = 0
        offsets: dict[SizedWindow, tuple[int, int]] = {}
        for axis, place in enumerate(self.rest):
            if not (isinstance(place, SizedWindow) and place in self.windows):
                continue
            first, length = self._taps(place, at_round)
            assert place.taps is not None
            if not isinstance(first, int):
                lowest = place.taps - first - length if place.flipped else first
                extent = place.stride * (self.sizes.positions(place) - 1) + 1
                extent = extent + place.dilation * (length - 1)
                x = current().take_block(
                    x, axis + bool(self.front), lowest * place.dilation, extent
                )
                offsets[place] = (0, length)
            else:
                offsets[place] = (first, place.taps)
        return Taken(self, x, base, inner, offsets)

    def _taps(self, window: SizedWindow, at_round: Round) -> tuple[Any, int]:
        """Return the first tap of a round, and how many it takes."""
        if window.tap in at_round.outer:
            return at_round.outer[window.tap], 1
        if window.tap == at_round.partial:
            return at_round.start, at_round.length
        assert window.taps is not None
        return 0, window.taps


class Taken(NamedTuple):
    """A block of one operand."""

    side: Side
    x: Tensor
    base: int
    inner: Mapping[str, int]
    """Names along the front axis with how many entries the block has."""
    offsets: Mapping[SizedWindow, tuple[int, int]]
    """For each window its first tap, and the taps that `x` was padded or taken for."""

    def read(self, taps: Mapping[str, int]) -> Tensor:
        """Return what one tap of the block sees."""
        x = self.x
        if self.side.front:
            index = 0
            for n, count in self.inner.items():
                index = index * count + taps[n]
            x = at(x, 0, self.base + index)
        for axis, place in enumerate(self.side.rest):
            if isinstance(place, SizedWindow) and place in self.offsets:
                first, count = self.offsets[place]
                tap = first + taps.get(place.tap, 0)
                offset = place.dilation * (count - 1 - tap if place.flipped else tap)
                positions = self.side.sizes.positions(place)
                x = strided(x, axis, offset, positions, place.stride)
        return x

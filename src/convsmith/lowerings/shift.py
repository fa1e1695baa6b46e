"""`shift`: one pass per tap, summed; compilers fuse the passes into one."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import align, contract, plus, reduce_to, times
from convsmith.lowerings.tensors import at, permute
from convsmith.lowerings.windows import pad_windows, read_tap
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step

name = "shift"

MOST_TAPS = 1024
"""Taps are unrolled; beyond this a compiler takes minutes."""


def supports(step: Step, target: Target) -> Support:
    """Windows on operands only, with taps that are summed."""
    if step.output_windows:
        return Support(False, "it can't write windows")
    if not step.input_windows:
        return Support(False, "there is no window to shift")
    taps = 1
    for window in step.input_windows:
        if window.tap in step.output:
            return Support(False, f"taps '{window.tap}' are kept in the output")
        if window.taps is None:
            return Support(False, f"the number of taps '{window.tap}' is unknown")
        taps *= window.taps
    if taps > MOST_TAPS:
        return Support(False, f"{taps} taps would be unrolled, more than {MOST_TAPS}")
    return YES


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Sum over taps of (slice of the data) times (entry of the kernel)."""
    windows = step.input_windows
    taps = list(dict.fromkeys(w.tap for w in windows))
    counts = {w.tap: w.taps for w in windows}
    prepared = _Prepared(step, sizes, operands, taps)
    total: Tensor = None
    for assignment in product(*(range(counts[t] or 0) for t in taps)):
        term = prepared.term(dict(zip(taps, assignment, strict=True)))
        total = term if total is None else plus(step.semiring, total, term)
    return prepared.finish(total)


class _Prepared:
    """Operands arranged once, so that every tap is slices and one product."""

    def __init__(
        self, step: Step, sizes: Sizes, operands: tuple[Tensor, ...], taps: list[str]
    ) -> None:
        self.step, self.sizes, self.taps = step, sizes, taps
        self.windows = step.input_windows
        self.output = list(step.output)
        self.operands: list[Tensor] = []
        self.places: list[list[Place]] = []
        for x, side in zip(operands, step.operands, strict=True):
            places = list(side)
            x = pad_windows(x, places, self.windows, step.semiring)
            # Plain tap axes go first, so that a tap is an index into leading axes.
            front = [p for p in taps if p in places]
            order: list[Place] = [*front, *(p for p in places if p not in front)]
            self.operands.append(permute(x, [places.index(p) for p in order]))
            self.places.append(order)
        self.elementwise = len(operands) == 2 and self._is_elementwise()
        if self.elementwise:
            self._align()

    def _names(self, places: list[Place]) -> list[Place]:
        return [
            p.position if isinstance(p, SizedWindow) and p in self.windows else p
            for p in places
            if p not in self.taps
        ]

    def _is_elementwise(self) -> bool:
        names = [self._names(p) for p in self.places]
        return all(n in self.output for side in names for n in side)

    def _align(self) -> None:
        for i, places in enumerate(self.places):
            front = [p for p in places if p in self.taps]
            by_name: dict[Any, Place] = {
                (p.position if isinstance(p, SizedWindow) and p in self.windows else p): p
                for p in places
                if p not in front
            }
            order = [by_name.get(n, n) for n in self.output]
            self.operands[i] = (
                align(self.operands[i], places, [*front, *order], self.sizes)
                if front or i == 0
                else align(self.operands[i], places, order, self.sizes)
            )
            missing = len(front) + len(order) - len(self.operands[i].shape)
            self.places[i] = [*front, *order][missing:] if not front else [*front, *order]

    def term(self, tap: dict[str, int]) -> Tensor:
        semiring = self.step.semiring
        read = [
            self._read(x, places, tap) for x, places in zip(self.operands, self.places, strict=True)
        ]
        if self.elementwise:
            return times(semiring, read[0], read[1])
        names = [self._names(p) for p in self.places]
        if len(read) == 1:
            return read[0]
        return contract(read[0], names[0], read[1], names[1], self.output, self.sizes, semiring)

    def _read(self, x: Tensor, places: list[Place], tap: dict[str, int]) -> Tensor:
        front = [p for p in places if p in self.taps]
        for p in front:
            x = at(x, 0, tap[str(p)])
        rest = [p for p in places if p not in front]
        for axis, place in enumerate(rest):
            if isinstance(place, SizedWindow) and place in self.windows:
                x = read_tap(x, axis, place, tap[place.tap], self.sizes)
        return x

    def finish(self, total: Tensor) -> Tensor:
        if len(self.operands) == 2:
            return total
        names = self._names(self.places[0])
        x, left = reduce_to(total, names, self.output, self.step.semiring)
        return permute(x, [left.index(n) for n in self.output])


def tap_count(step: Step) -> int:
    """Return how many passes this lowering makes."""
    counts = {w.tap: w.taps or 1 for w in step.input_windows}
    return prod(counts.values())

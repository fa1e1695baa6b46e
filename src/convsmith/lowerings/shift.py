"""`shift`: one pass per tap, summed; compilers fuse the passes into one."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from convsmith.lowerings.amounts import (
    Features,
    matrices,
    operand_bytes,
    output_bytes,
    padded_bytes,
    strided,
    sums_products,
    vector_macs,
)
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import align, broadcasts, contract, plus, reduce_to, times
from convsmith.lowerings.tensors import at, permute, reshape
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
    prepared = _Prepared(step, sizes, operands)
    total: Tensor = None
    for assignment in product(*(range(counts[t] or 0) for t in taps)):
        term = prepared.term(dict(zip(taps, assignment, strict=True)))
        total = term if total is None else plus(step.semiring, total, term)
    return prepared.finish(total)


class _Side:
    """One operand, arranged so that a tap is one index into a flat leading axis, and slices."""

    def __init__(self, x: Tensor, side: tuple[Place, ...], step: Step, sizes: Sizes) -> None:
        self.sizes = sizes
        self.windows = step.input_windows
        places = list(side)
        x = pad_windows(x, places, self.windows, step.semiring)
        summed = [w.tap for w in self.windows]
        self.front = [p for p in dict.fromkeys(summed) if p in places]
        self.rest: list[Place] = [p for p in places if p not in self.front]
        self.x = permute(x, [places.index(p) for p in [*self.front, *self.rest]])
        self.counts = [_count(p, self.windows) for p in self.front]
        if len(self.front) > 1:
            body = [sizes.of(p) for p in self.rest]
            self.x = reshape(self.x, [prod(self.counts), *body])

    @property
    def names(self) -> list[Place]:
        """The names of what a tap reads."""
        return [self._name(p) for p in self.rest]

    def _name(self, place: Place) -> Place:
        read = isinstance(place, SizedWindow) and place in self.windows
        return place.position if read else place  # type: ignore[union-attr]

    def align(self, output: list[Place]) -> None:
        """Bring the axes into the output's order, so that taps only slice and multiply."""
        by_name = {self._name(p): p for p in self.rest}
        order = [by_name.get(n, n) for n in output]
        if not self.front:
            self.x = align(self.x, self.rest, order, self.sizes)
            self.rest = order[len(order) - len(self.x.shape) :]
            return
        flat: list[Any] = ["taps", *self.rest]
        own = dict(zip(flat, self.x.shape, strict=True))
        body = [own[p] if p in self.rest else 1 for p in order]
        body = [self.sizes.of(p) if n is None else n for p, n in zip(order, body, strict=True)]
        kept = [p for p in order if p in self.rest]
        self.x = permute(self.x, [0, *(1 + self.rest.index(p) for p in kept)])
        self.x = reshape(self.x, [prod(self.counts), *body])
        self.rest = order

    def read(self, tap: dict[str, int]) -> Tensor:
        """Return what one tap sees."""
        x = self.x
        if self.front:
            index = 0
            for name, count in zip(self.front, self.counts, strict=True):
                index = index * count + tap[str(name)]
            x = at(x, 0, index)
        for axis, place in enumerate(self.rest):
            if isinstance(place, SizedWindow) and place in self.windows:
                x = read_tap(x, axis, place, tap[place.tap], self.sizes)
        return x


def _count(tap: Place, windows: tuple[SizedWindow, ...]) -> int:
    return next(w.taps or 1 for w in windows if w.tap == tap)


class _Prepared:
    """Both operands arranged once for all taps."""

    def __init__(self, step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> None:
        self.step, self.sizes = step, sizes
        self.output = list(step.output)
        self.sides = [
            _Side(x, side, step, sizes) for x, side in zip(operands, step.operands, strict=True)
        ]
        names = [n for side in self.sides for n in side.names]
        self.elementwise = (
            len(operands) == 2
            and all(n in self.output for n in names)
            and broadcasts(self.sides[0].names, self.sides[1].names, self.output)
        )
        if self.elementwise:
            for side in self.sides:
                side.align(self.output)

    def term(self, tap: dict[str, int]) -> Tensor:
        """Return what one tap adds to the result."""
        read = [side.read(tap) for side in self.sides]
        if len(read) == 1:
            return read[0]
        if self.elementwise:
            return times(self.step.semiring, read[0], read[1])
        one, other = self.sides
        return contract(
            read[0],
            one.names,
            read[1],
            other.names,
            self.output,
            self.sizes,
            self.step.semiring,
        )

    def finish(self, total: Tensor) -> Tensor:
        """Sum what else a single operand has, and order its axes."""
        if len(self.sides) == 2:
            return total
        x, left = reduce_to(total, self.sides[0].names, self.output, self.step.semiring)
        return permute(x, [left.index(n) for n in self.output])


def tap_count(step: Step) -> int:
    """Return how many passes this lowering makes."""
    counts = {w.tap: w.taps or 1 for w in step.input_windows}
    return prod(counts.values())


def features(step: Step, target: Target) -> Features:
    """One pass a tap: fused into one where a compiler does, a matrix product where one is due."""
    taps = tap_count(step)
    passes = taps * output_bytes(step, target)
    amounts = {
        "calls": 1.0,
        "calls.taps": float(taps),
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.padded": padded_bytes(step, target),
    }
    if sums_products(step):
        found = matrices(step, taps=False)
        return {
            **amounts,
            "bytes.products": passes,
            "bytes.slices": taps * operand_bytes(step, target),
            "calls.matrices": float(found.batch * taps),
            "macs.matmul": found.macs * taps,
        }
    kind = "strided" if strided(step) else "passes"
    return {**amounts, f"bytes.{kind}": passes, "macs.products": vector_macs(step)}


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of the padded copy, and of one term where no compiler fuses it away."""
    fused = target.compiled and not sums_products(step)
    term = 0.0 if fused else 2 * output_bytes(step, target)
    return int(padded_bytes(step, target) + term)

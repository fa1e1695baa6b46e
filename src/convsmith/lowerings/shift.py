"""`shift`: one pass per tap, summed; compilers fuse blocks of the passes into one.

Long sums become loops whose bodies unroll a block of taps (`blocks`); gradients of data and of
kernels are the same algorithm, seen from the other side (`arrangement`).
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from keras import ops

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
from convsmith.lowerings.arrangement import Arrangement, arrange
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import XLA_MODES, YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.blocks import Block, blocks, body_size
from convsmith.lowerings.contract import broadcasts, contract, plus, reduce_to, times
from convsmith.lowerings.sides import Round, Side, Taken
from convsmith.lowerings.tensors import dtype_name, permute, reshape, size_product
from convsmith.lowerings.windows import semiring_fill
from convsmith.steps import Step, assumed

name = "shift"

MOST_TAPS = 1024
"""Where no loop can be compiled, taps are unrolled; beyond this a graph takes minutes."""
MOST_COMPILED_TAPS = 128
"""The same for bodies of loops and for what a compiler gets to fuse."""


def supports(step: Step, target: Target) -> Support:
    """Windows that are read, or can be; taps that are summed, or kept by two operands."""
    arranged = arrange(step, target.by_xla)
    if isinstance(arranged, str):
        return Support(False, arranged)
    unrolled = unrolled_taps(arranged, target.by_xla)
    most = MOST_COMPILED_TAPS if target.compiled else MOST_TAPS
    if unrolled > most:
        return Support(False, f"{unrolled} taps would be unrolled, more than {most}")
    if target.spread and arranged.exchanged:
        return Support(True, "it adds up samples in a loop, and devices have but their own")
    return YES


def unrolled_taps(arranged: Arrangement, loops: bool) -> int:
    """Return how many passes a compiler sees."""
    kept = _kept(arranged)
    if not loops:
        return kept * prod(n or 1 for n in arranged.counts)
    return kept * max(body_size(arranged.counts, b) for b in blocks(arranged.counts))


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Sum over taps of (slice of the data) times (entry of the kernel)."""
    loops = current().mode(operands) in XLA_MODES
    arranged = arrange(step, loops)
    assert isinstance(arranged, Arrangement)
    return _Pass(arranged, sizes, operands, loops).result()


class _Pass:
    """One run: both operands arranged, then all taps."""

    def __init__(
        self, arranged: Arrangement, sizes: Sizes, operands: tuple[Tensor, ...], loops: bool
    ) -> None:
        self.arranged, self.loops = arranged, loops
        self.step = step = arranged.step
        self.sizes = sizes = Sizes({**sizes.names, **arranged.named}, sizes.windows)
        self.output = [p for p in step.output if p not in arranged.kept]
        self.sides = [
            Side(x, side, arranged, sizes) for x, side in zip(operands, step.operands, strict=True)
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

    def result(self) -> Tensor:
        """Return the sum, with kept taps as axes, in the output's order."""
        arranged = self.arranged
        kept = [range(arranged.count(t)) for t in arranged.kept]
        terms = [self.sum(dict(zip(arranged.kept, k, strict=True))) for k in product(*kept)]
        total: Any = terms[0]
        names: list[Any] = list(self.output)
        if kept:
            total = ops.stack(terms, axis=0)
            body = [current().size(total, i) for i in range(1, len(total.shape))]
            total = reshape(total, [*(len(k) for k in kept), *body])
            names = [*arranged.kept, *self.output]
        total = permute(total, [names.index(n) for n in self.step.output])
        if arranged.reversed:
            axes = tuple(self.step.output.index(n) for n in arranged.reversed)
            total = ops.flip(total, axis=axes)
        return total

    def sum(self, kept: dict[str, int]) -> Tensor:
        """Return the sum over all summed taps, with the kept ones fixed."""
        arranged = self.arranged
        sizes = [self.sizes.of(n) if c is None else c for n, c in self._summed()]
        if not self.loops:
            whole = Block(0, 0, sizes[0] if sizes else 1, 1)
            return self.finish(self.block(None, whole, 0, sizes, kept, None))
        total: Tensor = None
        for block in blocks(arranged.counts):
            total = self.loop(block, sizes, kept, total)
        return self.finish(total)

    def _summed(self) -> list[tuple[str, int | None]]:
        return list(zip(self.arranged.summed, self.arranged.counts, strict=True))

    def loop(self, block: Block, sizes: list[Any], kept: dict[str, int], total: Tensor) -> Tensor:
        """Return `total` plus all rounds of a block."""
        count = sizes[block.outer] // block.length if block.count is None else block.count
        rounds = size_product([*sizes[: block.outer], count])
        if isinstance(rounds, int) and rounds == 1:
            return self.block(None, block, block.start, sizes, kept, total)

        def body(index: Any, so_far: Tensor) -> Tensor:
            outer: list[Any] = []
            inner = index // count
            for size in reversed(sizes[1 : block.outer]):
                outer.insert(0, inner % size)
                inner = inner // size
            if block.outer:
                outer.insert(0, inner)
            start = block.start + (index % count) * block.length
            return self.block(outer, block, start, sizes, kept, so_far)

        start = self.nothing() if total is None else total
        return current().loop(rounds, body, start)

    def block(
        self,
        outer: list[Any] | None,
        block: Block,
        start: Any,
        sizes: list[Any],
        kept: dict[str, int],
        total: Tensor,
    ) -> Tensor:
        """Return `total` plus the taps of one round."""
        summed = self.arranged.summed
        here = Round(
            outer=dict(zip(summed[: block.outer], outer or [0] * block.outer, strict=True)),
            partial=summed[block.outer] if summed else None,
            start=start,
            length=block.length,
        )
        taken = [side.take(here) for side in self.sides]
        inner = summed[block.outer :]
        ranges = [range(n) for n in (block.length, *sizes[block.outer + 1 :])][: len(inner)]
        for assignment in product(*ranges):
            taps = {**kept, **dict(zip(inner, assignment, strict=True))}
            term = self.term(taken, taps)
            total = term if total is None else plus(self.step.semiring, total, term)
        return total

    def term(self, taken: list[Taken], taps: dict[str, int]) -> Tensor:
        """Return what one tap adds to the result."""
        read = [side.read(taps) for side in taken]
        if len(read) == 1:
            return read[0]
        if self.elementwise:
            return times(self.step.semiring, read[0], read[1])
        one, other = self.sides
        names = (one.names, other.names)
        return contract(
            read[0], names[0], read[1], names[1], self.output, self.sizes, self.step.semiring
        )

    def nothing(self) -> Tensor:
        """Return the zero of the semiring in the shape of a term."""
        names = self.output if len(self.sides) == 2 else self.sides[0].names
        shape = tuple(self.sizes.of(n) for n in names)
        x = self.sides[0].x
        return ops.full(shape, semiring_fill(x, self.step.semiring), dtype=dtype_name(x))

    def finish(self, total: Tensor) -> Tensor:
        """Sum what else a single operand has, and order its axes."""
        if len(self.sides) == 2:
            return total
        x, left = reduce_to(total, self.sides[0].names, self.output, self.step.semiring)
        return permute(x, [left.index(n) for n in self.output])


def features(step: Step, target: Target) -> Features:
    """One pass a tap: fused into one where a compiler does, a matrix product where one is due."""
    loops = target.by_xla
    arranged = arrange(step, loops)
    assert isinstance(arranged, Arrangement)
    arranged_step = arranged.step
    kept = _kept(arranged)
    taps = kept * prod(map(assumed, arranged.counts))
    passes = taps * output_bytes(arranged_step, target) / kept
    amounts = {
        "calls": 1.0,
        "calls.taps": float(min(taps, unrolled_taps(arranged, loops))),
        "calls.rounds": taps / unrolled_taps(arranged, loops) if loops else 1.0,
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.padded": padded_bytes(arranged_step, target),
    }
    if arranged.exchanged:
        return {**amounts, "macs.accumulated": vector_macs(arranged_step)}
    if sums_products(arranged_step):
        found = matrices(arranged_step, taps=False)
        return {
            **amounts,
            "bytes.products": passes,
            "bytes.slices": taps * operand_bytes(arranged_step, target),
            "calls.matrices": float(found.batch * taps),
            "macs.matmul": found.macs * taps,
        }
    kind = "strided" if strided(arranged_step) else "passes"
    macs = "macs.stacked" if arranged.kept else "macs.products"
    if arranged.kept and loops and arranged_step.output_shape[0] == 1:
        macs = "macs.stacked_alone"  # XLA takes up to 7 times as long for a batch of one.
    if arranged.kept and not loops and _makes_matrices(arranged_step):
        macs = "macs.stacked_matrices"
    return {**amounts, f"bytes.{kind}": passes, macs: vector_macs(arranged_step)}


def _makes_matrices(step: Step) -> bool:
    """Whether each operand has an axis of the output that the other lacks."""
    one, other = (set(filter(lambda p: isinstance(p, str), side)) for side in step.operands)
    return bool((one - other) & set(step.output)) and bool((other - one) & set(step.output))


def _kept(arranged: Arrangement) -> int:
    return prod(arranged.count(t) for t in arranged.kept)


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of the padded copy and of the terms that exist at once.

    One term without a compiler, none where it fuses them, all where a graph runs them side by side.
    """
    arranged = arrange(step, target.by_xla)
    if isinstance(arranged, str):
        return 0
    kept = _kept(arranged)
    term = output_bytes(arranged.step, target) / kept
    taken = operand_bytes(arranged.step, target) if sums_products(arranged.step) else 0.0
    taps = kept * prod(map(assumed, arranged.counts))
    unrolled = unrolled_taps(arranged, target.by_xla)
    if target.mode == "graph":
        terms = taps * (2 * term + taken)
    elif not target.compiled:
        terms = 2 * term + taken
    elif arranged.exchanged or not taken:
        # Of loops, the state before and after a round, and their body's result.
        terms = 3 * term if target.by_xla and unrolled < taps else 0.0
    else:
        terms = unrolled * term + 2 * term
    return int(padded_bytes(arranged.step, target) + terms)

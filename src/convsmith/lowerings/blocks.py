"""Which taps a compiled loop takes at once: some unrolled in its body, the others its rounds.

A compiler fuses unrolled taps into one pass. Measured on AVX-512 cores (depthwise, 3x3 to 31x31):
fewer than about 20 taps a pass wait for memory (a quarter of the speed), more than about 100 spill
registers (a tenth), hence blocks between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 21
MOST = 64


@dataclass(frozen=True)
class Block:
    """One loop over some taps: `outer` axes one index at a time, then `count` blocks of an axis.

    The body unrolls `length` indices of axis number `outer`, from `start` on, and all of the axes
    behind it. `count` is None where only the running graph knows it.
    """

    outer: int
    start: int
    length: int
    count: int | None


def blocks(counts: Sequence[int | None], most: int = MOST) -> list[Block]:
    """Return the loops that together visit every combination of `counts` once."""
    inner, axis = 1, len(counts)
    while axis > 0:
        size = counts[axis - 1]
        if size is None or inner * size > most:
            break
        axis -= 1
        inner *= size
    if axis == 0:
        return [Block(0, 0, (counts[0] if counts else 1) or 1, 1)]
    size = counts[axis - 1]
    if size is None:
        below = counts[axis] if axis < len(counts) else None
        return [Block(axis - 1, 0, 1, None)] if below is None else [Block(axis, 0, below, 1)]
    choices = range(1, min(size, max(most // inner, 1)) + 1)
    length = min(choices, key=lambda n: _cost(n, size, inner))
    whole, rest = divmod(size, length)
    found = [Block(axis - 1, 0, length, whole)]
    if rest:
        found.append(Block(axis - 1, whole * length, rest, 1))
    return found


def body_size(counts: Sequence[int | None], block: Block) -> int:
    """Return how many taps the body of a block unrolls."""
    total = block.length
    for count in counts[block.outer + 1 :]:
        total *= count or 1
    return total


def _cost(length: int, count: int, inner: int) -> float:
    whole, rest = divmod(count, length)
    return whole * _pass(length * inner) + (_pass(rest * inner) if rest else 0.0)


def _pass(taps: int) -> float:
    """Return the time of one pass, in taps at full speed."""
    return taps + 4.0 if taps >= FEWEST else 4.0 * taps + 4.0

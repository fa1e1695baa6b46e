"""How an image is cut into the tiles that are transformed.

The grid depends on the kernel and the whole image, not on the part of it that is at hand; and two
tiles beside each other that are transformed together are so in every part.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

SIZES: dict[int, float] = {
    16: 3.4, 32: 3.4, 64: 3.5, 96: 3.7, 128: 3.5, 192: 4.1, 256: 4.2, 384: 5.6, 512: 7.0,
    768: 8.5, 1024: 10.0, 2048: 12.0, 4096: 13.0,
}  # fmt: skip
"""The sizes of tiles, and what transforms along an axis of such a size take, a number each."""

MOVING = 2.5
"""What an entry's way in and out takes, compared with that."""

TOGETHER = (1, 2)
"""How many tiles of each axis are transformed together."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a plane, for each of its two axes."""

    size: tuple[int, int]
    """How many entries tiles read at most."""
    step: tuple[int, int]
    """How many outputs a tile makes."""

    @property
    def unit(self) -> tuple[int, int]:
        """How many outputs tiles make that are transformed together."""
        return self.step[0] * TOGETHER[0], self.step[1] * TOGETHER[1]

    def reach(self, axis: int, first: int, last: int) -> tuple[int, int]:
        """Return which outputs are made to have those from `first` to before `last`."""
        unit = self.unit[axis]
        return first // unit * unit, -(-last // unit) * unit


@functools.lru_cache(maxsize=256)
def grid(taps: Sequence[int], sizes: Sequence[int]) -> Grid:
    """Return the tiles that take the least time for a kernel and an image."""
    down, across = (_axis(*axis) for axis in zip(taps, sizes, TOGETHER, strict=True))
    choices: list[tuple[float, Grid]] = []
    for size, step, work, cost in down:
        for other, other_step, other_work, other_cost in across:
            time = work * other_work * (cost + other_cost + MOVING)
            choices.append((time, Grid((size, other), (step, other_step))))
    return min(choices, key=lambda choice: choice[0])[1]


def _axis(taps: int, size: int, together: int) -> list[tuple[int, int, int, float]]:
    """Return sizes of tiles, the outputs of each, all that is transformed, and its cost."""
    largest = max(SIZES)
    sizes = dict(SIZES)
    while 2 * taps > largest:
        largest *= 2
        sizes[largest] = sizes[largest // 2] + 1
    found = []
    for tile, cost in sizes.items():
        if tile >= taps:
            groups = -(-size // (together * (tile - taps + 1)))
            step = -(-size // (together * groups))
            found.append((tile, step, groups * together * tile, cost))
    return found

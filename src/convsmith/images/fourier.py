"""Large kernels by Fourier transforms of tiles, which overlap by the kernel (overlap-save)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.fourier_grid import Grid, grid
from convsmith.images.plane import AxisMap
from convsmith.images.planning import KernelPlan, whole_sums
from convsmith.images.program import LIMITS
from convsmith.images.region import Region, map_at_hand, places_of
from convsmith.images.requests import Edges

Array = NDArray[Any]


def reach(
    plan: KernelPlan, sizes: Sequence[int], axis: int, first: int, last: int
) -> tuple[int, int]:
    """Return which places of an axis are read for outputs `first` to before `last`."""
    begin, end = grid(plan.shape, tuple(sizes)).reach(axis, first, last)
    return begin - plan.before[axis], min(end, sizes[axis]) + plan.after[axis]


@dataclass(frozen=True)
class Span:
    """A stretch of an axis of a tile."""

    start: int
    """Where it begins: of what is read in the map, of what is written in the result."""
    count: int
    offset: int = 0
    """Where it begins in the tile."""


@dataclass(frozen=True)
class Tiled:
    """One plane that is filtered by transforms of tiles."""

    plan: KernelPlan
    grid: Grid
    source: Array
    """(rows, columns, channels)"""
    result: Array
    """(rows, columns, channels)"""
    maps: Sequence[AxisMap]
    """Where the places of all tiles are read."""
    fill: float
    scales: Sequence[Array | None]
    """What rows and columns of the result are multiplied by."""

    @property
    def whole(self) -> bool:
        """Whether sums are whole numbers."""
        return whole_sums(self.plan.source, self.plan.kernel)

    @property
    def work(self) -> str:
        """The dtype of the transforms."""
        return "float64" if self.whole else self.plan.work

    @property
    def most(self) -> float:
        """Below this, no sum that transforms make on the way is infinite."""
        if self.plan.source in LIMITS:
            return float("inf")
        growth = 4.0 * self.grid.size[0] * self.grid.size[1]
        return float(np.finfo(self.work).max) / growth / max(1.0, np.abs(self.plan.kernel).sum())


@functools.lru_cache(maxsize=32)
def kernel_transform(kernel: bytes, shape: tuple[int, ...], size: tuple[int, int]) -> Array:
    """Return a kernel's transform, such that a product with it correlates; not to be changed."""
    result: Array = np.conj(np.fft.fft2(np.frombuffer(kernel).reshape(shape), s=size))
    result /= result.size
    result.flags.writeable = False
    return result


@dataclass(frozen=True)
class Pair:
    """Two tiles beside each other that are filtered together."""

    rows: Span
    """What both read."""
    to_rows: Span
    """What of both is written."""
    columns: tuple[Span, Span]
    to_columns: tuple[Span, Span]

    @property
    def wanted(self) -> int:
        """How many of the tiles' first columns hold all that is written."""
        return max(span.offset + span.count for span in self.to_columns)


def apply(
    plan: KernelPlan, edges: Edges, source: Array, result: Array, region: Region,
    tiles: Any, share: Callable[..., None], direct: Callable[[Array], Array],
) -> None:  # fmt: skip
    """Filter one plane (rows, columns, channels).

    Args:
        plan: how.
        edges: what lies beyond.
        source: the part of the image that is at hand.
        result: where results go.
        region: which results.
        tiles: `portable_tiles.Tiles` or `compiled_tiles.Tiles`.
        share: calls a function with each entry of a list, maybe on several threads.
        direct: sums a tile that holds all that is read tap by tap: transforms would spread one NaN
            over two whole tiles.
    """
    cut = grid(plan.shape, region.sizes)
    reached = [cut.reach(axis, region.first[axis], region.last[axis]) for axis in range(2)]
    maps = [
        map_at_hand(
            begin - plan.before[axis], min(end, region.sizes[axis]) + plan.after[axis],
            edges.modes[axis], region, axis,
        )
        for axis, (begin, end) in enumerate(reached)
    ]  # fmt: skip
    scales = [places_of(plan, edges, region, axis)[1] for axis in range(2)]
    every = tiles(Tiled(plan, cut, source, result, maps, edges.value, scales))

    def spans(axis: int, corner: int) -> tuple[Span, Span]:
        """Return what a tile reads, and what of it is written."""
        if corner >= region.sizes[axis]:  # Beyond the image there is no tile.
            return Span(0, 0), Span(0, 0)
        begin = corner - reached[axis][0]
        read = Span(begin, min(cut.step[axis] + plan.shape[axis] - 1, len(maps[axis]) - begin))
        first = max(region.first[axis], corner)
        last = min(region.last[axis], corner + cut.step[axis])
        if first >= last:  # Only its partner is wanted.
            return read, Span(0, 0)
        return read, Span(first - region.first[axis], last - first, first - corner)

    (top, bottom), (left, right) = reached
    down = [spans(0, corner) for corner in range(top, bottom, cut.step[0])]
    across = [spans(1, corner) for corner in range(left, right, cut.step[1])]
    pairs = [
        Pair(rows, to_rows, (first[0], second[0]), (first[1], second[1]))
        for rows, to_rows in down
        for first, second in zip(across[::2], across[1::2], strict=True)
    ]
    share(functools.partial(every.filter, direct), pairs)

"""Arrays of any axes as planes, and plans as programs on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images import fourier, portable, portable_tiles, running
from convsmith.images.plane import OUTSIDE, Plane, nowhere, straight
from convsmith.images.planning import KernelPlan, columns_first
from convsmith.images.program import FIRST, FLAT, MOST_UNROLLED, Program, Stage
from convsmith.images.region import Region, places_of
from convsmith.images.requests import Edges
from convsmith.images.running import Running
from convsmith.images.threads import processors, share

compiled: Any = None
compiled_tiles: Any = None
try:
    from convsmith.images import compiled as _compiled
    from convsmith.images import compiled_tiles as _compiled_tiles
    from convsmith.images.emit import supported

    if supported():
        compiled, compiled_tiles = _compiled, _compiled_tiles
except ImportError:  # llvmlite is in the extra "images".
    pass

Array = NDArray[Any]

MOST_AT_ONCE = 7
"""Extremes of so many entries take less than two passes of fewer."""

NO_EDGES = Edges((), 0.0)

FEW_CHANNELS = 16
"""Rows of pixels with more channels are filtered as columns: a row's windows lie far apart."""


@dataclass(frozen=True)
class Arranged:
    """An image with its axes as (others before, filtered axes, channels)."""

    array: Array
    """(leading, filtered axes..., channels), the last two contiguous."""
    order: tuple[int, ...]
    """Where each of the image's axes went."""
    leading: tuple[int, ...]
    trailing: tuple[int, ...]

    def restored(self, result: Array) -> Array:
        """Return a result, arranged likewise, with axes as the image's; more may follow."""
        shaped = result.reshape((*self.leading, *result.shape[1:-1], *self.trailing))
        back = _back(self.order)
        return shaped if back is None else np.transpose(shaped, back)


def arranged(image: Array, axes: tuple[int, ...]) -> Arranged:
    """Return an image so that filtered axes follow each other and channels come last."""
    order, leading, trailing = _order(image.ndim, axes)
    moved = image if _back(order) is None else np.transpose(image, order)
    before, after = moved.shape[:leading], moved.shape[moved.ndim - trailing :]
    flat = (prod(before), *moved.shape[leading : moved.ndim - trailing], prod(after))
    return Arranged(np.ascontiguousarray(moved).reshape(flat), order, before, after)


@functools.cache
def _order(rank: int, axes: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return where axes go, and how many there are before and after the filtered ones."""
    last = axes[-1]
    leading = tuple(a for a in range(rank) if a not in axes and a < last)
    trailing = tuple(range(last + 1, rank))
    return (*leading, *axes, *trailing), len(leading), len(trailing)


@functools.cache
def _back(order: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the order that undoes another one, None if that is straight."""
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return None if back == tuple(range(len(order))) else back


class Kept:
    """What calls share whose images have one shape and dtype: everything but their numbers."""

    jobs: Any = None


def apply(
    plans: Sequence[KernelPlan],
    edges: Edges,
    source: Array,
    results: Sequence[Array],
    region: Region,
    workers: int | None = None,
    kept: Kept | None = None,
) -> None:
    """Write the outputs of a region, one result for each plan.

    `source` is (leading, filtered axes..., channels) and each result likewise. `kept` is of calls
    with these plans, edges, shapes and region.
    """
    if source.ndim == 4 and len(source) == 1 and kept is not None:
        _apply_again(plans, edges, source[0], [r[0] for r in results], region, workers, kept)
        return
    if source.ndim == 3:
        _apply_lines(plans, edges, source, results, region, workers)
        return
    for index in range(source.shape[0]):
        if source.ndim == 5:
            for plan, result in zip(plans, results, strict=True):
                _apply_volume(plan, edges, source[index], result[index], region, workers)
            continue
        _apply_planes(plans, edges, source[index], [r[index] for r in results], region, workers)


def _apply_lines(
    plans: Sequence[KernelPlan], edges: Edges, source: Array, results: Sequence[Array],
    region: Region, workers: int | None,
) -> None:  # fmt: skip
    """Filter along one axis."""
    channels = source.shape[-1]
    if channels <= FEW_CHANNELS:
        rows = straight(source.shape[0])
        jobs = []
        for plan, result in zip(plans, results, strict=True):
            columns, scale = places_of(plan, edges, region, 0)
            stage, numbers = _line(plan, (1, plan.shape[0]))
            plane = Plane(
                source.reshape(len(rows), -1), result.reshape(len(rows), -1), rows, columns,
                [numbers], edges.value, np.ones(len(rows)), scale,
            )  # fmt: skip
            jobs.append((_program(plan, channels, [[stage]], edges), plane))
        execute(jobs, workers)
        return
    columns = straight(channels)
    for index in range(source.shape[0]):
        jobs = []
        for plan, result in zip(plans, results, strict=True):
            rows, scale = places_of(plan, edges, region, 0)
            stage, numbers = _line(plan, (plan.shape[0], 1))
            plane = Plane(
                source[index], result[index], rows, columns, [numbers], edges.value, scale,
                np.ones(channels),
            )  # fmt: skip
            jobs.append((_program(plan, 1, [[stage]], edges), plane))
        execute(jobs, workers)


def _apply_again(
    plans: Sequence[KernelPlan], edges: Edges, source: Array, results: Sequence[Array],
    region: Region, workers: int | None, kept: Kept,
) -> None:  # fmt: skip
    """Filter one plane as the last one was."""
    if compiled is None or any(plan.method == "fourier" for plan in plans):
        _apply_planes(plans, edges, source, results, region, workers)
        return
    rows_of = source.reshape(len(source), -1)
    targets = [result.reshape(len(result), -1) for result in results]
    if kept.jobs is None:
        made = _jobs(zip(plans, results, strict=True), edges, source, region)
        kept.jobs = [compiled.job(*each).without_arrays() for each in made]
    jobs = [job.of(rows_of, t) for job, t in zip(kept.jobs, targets, strict=True)]
    compiled.run(jobs, workers or processors())


def _apply_planes(
    plans: Sequence[KernelPlan], edges: Edges, source: Array, results: Sequence[Array],
    region: Region, workers: int | None,
) -> None:  # fmt: skip
    """Filter one plane (rows, columns, channels) by several kernels."""
    direct = []
    for plan, result in zip(plans, results, strict=True):
        if plan.method == "fourier":
            tiles = portable_tiles if compiled is None else compiled_tiles
            several = functools.partial(share, workers=workers or processors())
            sums = functools.partial(_padded_sums, plan)
            fourier.apply(plan, edges, source, result, region, tiles.Tiles, several, sums)
        else:
            direct.append((plan, result))
    if direct:
        execute(_jobs(direct, edges, source, region), workers)


def _jobs(
    each: Iterable[tuple[KernelPlan, Array]], edges: Edges, source: Array, region: Region
) -> list[tuple[Program | Running, Plane]]:
    """Return what is to be run on one plane for some plans and their results."""
    rows_of = source.reshape(source.shape[0], -1)
    jobs = []
    for plan, result in each:
        rows, row_scale = places_of(plan, edges, region, 0)
        columns, column_scale = places_of(plan, edges, region, 1)
        chains, numbers = _chains(plan, edges)
        target = result.reshape(result.shape[0], -1)
        plane = Plane(rows_of, target, rows, columns, numbers, edges.value, row_scale, column_scale)
        jobs.append((_program(plan, source.shape[-1], chains, edges), plane))
    return jobs


def _padded_sums(plan: KernelPlan, tile: Array) -> Array:
    """Return direct sums over a tile that holds all that they read, (rows, columns)."""
    alone = replace(plan, method="direct", source=tile.dtype.name, target=plan.work, bounded=False)
    shape = tuple(n - k + 1 for n, k in zip(tile.shape, plan.shape, strict=True))
    result = np.empty(shape, plan.work)
    chains, numbers = _chains(alone, NO_EDGES)
    plane = Plane(tile, result, straight(tile.shape[0]), straight(tile.shape[1]), numbers)
    execute([(_program(alone, 1, chains, NO_EDGES), plane)], 1)
    return result


def _apply_volume(
    plan: KernelPlan, edges: Edges, source: Array, result: Array, region: Region,
    workers: int | None,
) -> None:  # fmt: skip
    """Filter one volume (depth, rows, columns, channels)."""
    depth, depth_scale = places_of(plan, edges, region, 0)
    flat = replace(
        region, **{f: getattr(region, f)[1:] for f in ("sizes", "first", "last", "held")}
    )
    inner = Edges(edges.modes[1:], edges.value)
    if plan.method == "separable":
        # Along the depth first, where neighbours lie a whole plane apart.
        across, *lines = plan.lines
        size = source.shape[1] * source.shape[2] * source.shape[3]
        middle = np.empty((result.shape[0], *source.shape[1:]), plan.work)
        plane = Plane(
            source.reshape(-1, size), middle.reshape(-1, size), depth, straight(size), [across],
            edges.value, depth_scale, np.ones(size),
        )  # fmt: skip
        chain = [Stage(plan.shape[0], 1)]
        wide = replace(plan, target=plan.work)
        execute([(_program(wide, 1, [chain], edges), plane)], workers)
        # What the fill adds along the depth is in `middle`; beyond its planes' edges lies as much.
        beyond = edges.value * float(across.sum())
        rest = replace(
            plan, shape=plan.shape[1:], anchor=plan.anchor[1:], source=plan.work, bounded=False,
            lines=tuple(lines), mirrored=plan.mirrored[1:],
        )  # fmt: skip
        for z in range(result.shape[0]):
            _apply_planes([rest], Edges(inner.modes, beyond), middle[z], [result[z]], flat, workers)
        return
    part = replace(plan, shape=plan.shape[1:], anchor=plan.anchor[1:], target=plan.work)
    rows, row_scale = places_of(part, inner, flat, 0)
    columns, column_scale = places_of(part, inner, flat, 1)
    total = np.empty((result.shape[1], result.shape[2] * result.shape[3]), plan.work)
    end = replace(part, source=plan.work, target=plan.target)
    last = _program(end, 1, [[Stage(1, 1)]], edges)
    for z in range(result.shape[0]):
        total[...] = FIRST[plan.semiring]
        for tap in range(plan.shape[0]):
            at = depth.places[z + tap]
            chains, numbers = _chains(
                replace(part, kernel=plan.kernel[tap], method="direct"), inner
            )
            plane = Plane(
                source[max(at, 0)].reshape(source.shape[1], -1), total,
                nowhere(len(rows)) if at == OUTSIDE else rows, columns, numbers, edges.value,
            )  # fmt: skip
            program = _program(part, source.shape[-1], chains, Edges((), edges.value))
            execute([(replace(program, continued=True), plane)], workers)
        plane = Plane(
            total, result[z].reshape(result.shape[1], -1), straight(total.shape[0]),
            straight(total.shape[1]), [np.ones(1)], 0.0,
            None if row_scale is None or depth_scale is None else row_scale * depth_scale[z],
            None if column_scale is None else np.repeat(column_scale, source.shape[-1]),
        )  # fmt: skip
        execute([(last, plane)], workers)


def _chains(plan: KernelPlan, edges: Edges) -> tuple[list[list[Stage]], list[Array]]:
    """Return the passes over a plane, and their numbers."""
    if plan.method == "separable":
        down, across = plan.lines
        if plan.semiring in FLAT:
            last = Stage(len(down), 1, None, plan.semiring)
            chain = [*_covering(len(across), plan.semiring), last]
            return [chain], [np.zeros(stage.count) for stage in chain]
        chains: list[list[Stage]] = []
        numbers: list[Array] = []
        below = Stage(len(down), 1, None, plan.semiring, plan.mirrored[0])
        along = Stage(1, len(across), None, plan.semiring, plan.mirrored[1])
        if columns_first(plan, edges):
            return [[below, along]], [down[:, 0], across[:, 0]]
        for term in range(down.shape[1]):
            chains.append([along, below])
            numbers += [across[:, term], down[:, term]]
        return chains, numbers
    stage, numbers_of = _whole(plan, plan.kernel)
    return [[stage]], [numbers_of]


def _covering(width: int, semiring: str) -> list[Stage]:
    """Return passes along rows after which each entry is the extreme of a window.

    The extreme of extremes of short windows is that of a long one, however they overlap.
    """
    stages, covered = [], 1
    while covered < width:
        left = -(-width // covered)
        taps = left if left <= MOST_AT_ONCE else math.ceil(math.sqrt(left))
        reached = min(covered * taps, width)
        places = sorted({*range(0, reached - covered, covered), reached - covered})
        stages.append(Stage(1, places[-1] + 1, tuple((0, place) for place in places), semiring))
        covered = reached
    return stages or [Stage(1, 1, None, semiring)]


def _whole(plan: KernelPlan, kernel: Array) -> tuple[Stage, Array]:
    """Return the pass that reads a kernel (rows, columns), leaving out what multiplies nothing."""
    rows, columns = kernel.shape
    if plan.semiring in FLAT:
        unread = np.isinf(kernel)
    else:
        unread = kernel == (0.0 if plan.semiring == "sum_product" else FIRST[plan.semiring])
    few = plan.semiring in FLAT or np.count_nonzero(~unread) <= MOST_UNROLLED
    if unread.any() and few:
        taps = tuple((int(i), int(j)) for i, j in np.argwhere(~unread))
        return Stage(rows, columns, taps, plan.semiring), kernel[~unread]
    return Stage(rows, columns, None, plan.semiring), kernel


def _line(plan: KernelPlan, shape: tuple[int, int]) -> tuple[Stage, Array]:
    """Return the pass that reads a line, as a row or as a column."""
    if plan.mirrored[0]:
        return Stage(*shape, None, plan.semiring, plan.mirrored[0]), plan.kernel
    return _whole(plan, plan.kernel.reshape(shape))


def _program(
    plan: KernelPlan, step: int, chains: Sequence[Sequence[Stage]], edges: Edges
) -> Program | Running:
    if plan.method == "running":
        assert plan.box is not None
        return Running(plan.box, chains[0][0].rows, chains[0][0].columns, step)
    return Program(
        source=plan.source,
        work=plan.work,
        target=plan.target,
        step=step,
        terms=tuple(tuple(chain) for chain in chains),
        rounding=plan.rounding,
        fused=plan.fused,
        scaled=any("renormalize" in mode for mode in edges.modes),
        bounded=plan.bounded,
        shift=plan.shift,
    )


def execute(jobs: Sequence[tuple[Program | Running, Plane]], workers: int | None) -> None:
    """Run programs on planes of one height."""
    if compiled is None:
        for program, plane in jobs:
            if isinstance(program, Running):
                running.portable(program, plane)
            else:
                portable.run(program, plane)
        return
    compiled.run([compiled.job(*each) for each in jobs], workers or processors())

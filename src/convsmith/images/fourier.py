"""Large kernels by Fourier transforms of tiles, which overlap by the kernel (overlap-save).

The tiles lie on a grid that belongs to the image, not to the part of it that is at hand, so that
every part gives the numbers of the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.plane import OUTSIDE, AxisMap
from convsmith.images.planning import KernelPlan
from convsmith.images.portable import converted
from convsmith.images.program import LIMITS
from convsmith.images.region import Region, map_at_hand, places_of
from convsmith.images.requests import Edges
from convsmith.images.threads import processors

fft: Any
try:
    from scipy import fft
except ImportError:  # NumPy's does the same, in about twice the time.
    from numpy import fft

Array = NDArray[Any]

SIZES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Products of small primes, whose transforms are fast."""

TILE_PER_TAP = 10
"""Tiles so much larger than the kernel waste little on the overlap and still fit the cache."""


def tile_size(taps: int) -> int:
    """Return the size of the tiles of an axis."""
    return next((n for n in SIZES if n >= TILE_PER_TAP * taps), SIZES[-1] * (1 + taps // SIZES[-1]))


def reach(plan: KernelPlan, axis: int, first: int, last: int) -> tuple[int, int]:
    """Return which places of an axis are read for outputs `first` to before `last`."""
    taps = plan.shape[axis]
    step = tile_size(taps) - taps + 1
    begin = first // step * step
    end = -(-last // step) * step
    return begin - plan.before[axis], end + plan.after[axis]


@functools.lru_cache(maxsize=32)
def _spectrum(kernel: bytes, shape: tuple[int, int], size: tuple[int, int], work: str) -> Array:
    """Return the transform of a kernel, such that a product with it correlates."""
    flipped = np.frombuffer(kernel).reshape(shape)[::-1, ::-1]
    result: Array = fft.rfft2(flipped, s=size)
    return result.astype(np.complex64 if work == "float32" else np.complex128)


def apply(
    plan: KernelPlan, edges: Edges, source: Array, result: Array, region: Region,
    workers: int | None, direct: Callable[[Array], Array],
) -> None:  # fmt: skip
    """Filter one plane (rows, columns, channels).

    `direct` sums a padded tile tap by tap: transforms would spread one NaN over all of it.
    """
    taps = plan.shape
    size = tile_size(taps[0]), tile_size(taps[1])
    # Sums of whole numbers are whole numbers, which float32's transforms miss by more than a half.
    whole = plan.source in LIMITS and bool((plan.kernel == np.rint(plan.kernel)).all())
    work = np.dtype("float64" if whole else plan.work)
    spectrum = _spectrum(plan.kernel.tobytes(), (taps[0], taps[1]), size, work.name)
    steps = [n - k + 1 for n, k in zip(size, taps, strict=True)]
    starts = [
        range(first // step * step, last, step)
        for first, last, step in zip(region.first, region.last, steps, strict=True)
    ]
    scales = [places_of(plan, edges, region, axis)[1] for axis in range(2)]

    def one(corner: tuple[int, ...], channel: int) -> None:
        tile = np.zeros(size, work)
        rows, columns = (
            _places(plan, edges, region, axis, corner[axis], size[axis]) for axis in range(2)
        )
        inside = tile[: len(rows), : len(columns)]
        _gather(inside, source[:, :, channel], rows, columns, edges.value)
        with np.errstate(over="ignore", invalid="ignore"):  # See below.
            values = fft.irfft2(fft.rfft2(tile) * spectrum, s=size)
        values = values[taps[0] - 1 :, taps[1] - 1 :]
        begin = [max(f, c) for f, c in zip(region.first, corner, strict=True)]
        end = [min(n, c + s) for n, c, s in zip(region.last, corner, steps, strict=True)]
        cut = tuple(slice(b - c, e - c) for b, e, c in zip(begin, end, corner, strict=True))
        to = tuple(slice(b - f, e - f) for b, e, f in zip(begin, end, region.first, strict=True))
        if not np.isfinite(values).all():  # Of the whole tile, whatever part of it is wanted.
            values = direct(tile)
        part = values[cut]
        if scales[0] is not None and scales[1] is not None:
            part = part * scales[0][to[0], None] * scales[1][to[1]]
        result[(*to, channel)] = converted(part, plan.target, plan.rounding)

    todo = list(product(product(*starts), range(source.shape[2])))
    _each(one, todo, workers)


def _each(one: Callable[..., None], todo: list[Any], workers: int | None) -> None:
    if workers == 1 or len(todo) == 1:
        for arguments in todo:
            one(*arguments)
        return
    with ThreadPoolExecutor(workers or processors()) as pool:
        list(pool.map(lambda arguments: one(*arguments), todo))


def _places(
    plan: KernelPlan, edges: Edges, region: Region, axis: int, corner: int, size: int
) -> AxisMap:
    """Return where a tile's entries are read; none beyond what the image's outputs need."""
    first = corner - plan.before[axis]
    last = min(first + size, region.sizes[axis] + plan.after[axis])
    return map_at_hand(first, last, edges.modes[axis], region, axis)


def _gather(tile: Array, source: Array, rows: AxisMap, columns: AxisMap, value: float) -> None:
    """Fill a tile: what lies side by side in one piece, the edges entry by entry."""
    (top, bottom, down), (left, right, across) = rows.run, columns.run
    piece = source[top + down : bottom + down, left + across : right + across]
    tile[top:bottom, left:right] = piece
    every = np.arange(len(columns))
    for at, beside in (
        (np.arange(top), every),
        (np.arange(bottom, len(rows)), every),
        (np.arange(top, bottom), np.concatenate([every[:left], every[right:]])),
    ):
        if len(at) and len(beside):
            read = np.ix_(rows.places[at], columns.places[beside])
            gone = (read[0] == OUTSIDE) | (read[1] == OUTSIDE)
            tile[np.ix_(at, beside)] = np.where(gone, value, source[read])

"""Which part of an image is computed, and where each of its outputs reads."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.geometry import AxisMode
from convsmith.images.plane import OUTSIDE, AxisMap, axis_map, index_map, inside_run
from convsmith.images.planning import KernelPlan
from convsmith.images.requests import Edges

Array = NDArray[Any]


@dataclass(frozen=True)
class Region:
    """Which outputs are computed, and which part of the image is at hand, for each axis."""

    sizes: tuple[int, ...]
    """The whole image's."""
    first: tuple[int, ...]
    last: tuple[int, ...]
    """The outputs, from and to before."""
    held: tuple[int | Array, ...]
    """Where the part that is at hand begins; or which places it holds, ascending."""


@functools.lru_cache(maxsize=64)
def whole(sizes: tuple[int, ...]) -> Region:
    """Return the region of a whole image."""
    zeros = (0,) * len(sizes)
    return Region(sizes, zeros, sizes, zeros)


def places_of(
    plan: KernelPlan, edges: Edges, region: Region, axis: int
) -> tuple[AxisMap, Array | None]:
    """Return where each place of an axis is read, and by what outputs are multiplied."""
    first, last = region.first[axis], region.last[axis]
    mode, taps = edges.modes[axis], plan.shape[axis]
    begin, end = first - plan.before[axis], last + plan.after[axis]
    places = map_at_hand(begin, end, mode, region, axis)
    scale = None
    if "renormalize" in mode:
        inside = np.concatenate([[0], np.cumsum(places.places != OUTSIDE)])
        scale = taps / np.maximum(inside[taps:] - inside[:-taps], 1)
    elif any("renormalize" in m for m in edges.modes):
        scale = np.ones(last - first)
    return places, scale


def map_at_hand(first: int, last: int, mode: AxisMode, region: Region, axis: int) -> AxisMap:
    """Return where places of an axis are read in the part of the image that is at hand."""
    size, held = region.sizes[axis], region.held[axis]
    if isinstance(held, int):
        return axis_map(first, last, size, mode, held)
    places = index_map(first, last, size, mode)
    inside = places != OUTSIDE
    places[inside] = np.searchsorted(held, places[inside])
    return AxisMap(places, inside_run(places))

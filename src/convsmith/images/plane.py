"""One image plane to filter by one program: the arrays, and where each row and column is read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.geometry import AxisMode, source_index

Array = NDArray[Any]

OUTSIDE = -1
"""Where the fill value lies."""

NOWHERE: AxisMode = ("constant", "constant")


@dataclass(frozen=True)
class AxisMap:
    """Where each place of a padded axis is read."""

    places: NDArray[np.int64]
    """The entry that each place shows, or `OUTSIDE`."""
    run: tuple[int, int, int]
    """The longest stretch that reads neighbours one after the other, and its shift."""

    def __len__(self) -> int:
        return len(self.places)


@functools.lru_cache(maxsize=64)
def axis_map(first: int, last: int, size: int, mode: AxisMode, held: int = 0) -> AxisMap:
    """Return where the places from `first` to before `last` of an axis are read.

    Entries are counted from `held` on, where the part of the axis that is at hand begins.
    """
    places = index_map(first, last, size, mode)
    places[places != OUTSIDE] -= held
    places.flags.writeable = False
    return AxisMap(places, inside_run(places))


def straight(size: int) -> AxisMap:
    """Return the map of an axis that is read as it is."""
    return axis_map(0, size, size, NOWHERE)


def nowhere(size: int) -> AxisMap:
    """Return the map of an axis of which nothing is read."""
    return axis_map(-size, 0, 0, NOWHERE)


def index_map(first: int, last: int, size: int, mode: AxisMode) -> NDArray[np.int64]:
    """Return which entry of an axis each place from `first` to before `last` shows."""
    places = np.arange(first, last, dtype=np.int64)
    beyond = np.flatnonzero((places < 0) | (places >= size))
    for i in beyond:
        place = int(places[i])
        found = source_index(place, size, mode[0] if place < 0 else mode[1])
        places[i] = OUTSIDE if found is None else found
    return places


def inside_run(places: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return the longest stretch that reads neighbours one after the other, and its shift."""
    shifts = places - np.arange(len(places))
    shifts[places == OUTSIDE] = np.iinfo(np.int64).min
    breaks = np.flatnonzero(np.diff(shifts)) + 1
    starts = np.concatenate([[0], breaks])
    ends = np.concatenate([breaks, [len(places)]])
    inside = places[starts] != OUTSIDE
    if not len(places) or not inside.any():
        return 0, 0, 0
    longest = int(np.argmax((ends - starts) * inside))
    first = int(starts[longest])
    return first, int(ends[longest]), int(shifts[first])


@dataclass
class Plane:
    """What one call filters; rows and columns of `source` are read where the maps say."""

    source: Array
    """(rows, columns * step) with neighbouring entries of a row side by side."""
    target: Array
    """(rows, columns * step), likewise."""
    row_map: AxisMap
    column_map: AxisMap
    kernels: Sequence[Array]
    """The numbers of each pass."""
    fill: float = 0.0
    row_scale: Array | None = None
    column_scale: Array | None = field(default=None)
    """One number for each column of pixels."""

"""One image plane to filter by one program: the arrays, and where each row and column is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.geometry import AxisMode, source_index

Array = NDArray[Any]

OUTSIDE = -1
"""Where the fill value lies."""


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
    row_map: NDArray[np.int64]
    column_map: NDArray[np.int64]
    kernels: Sequence[Array]
    """The numbers of each pass."""
    fill: float = 0.0
    row_scale: Array | None = None
    column_scale: Array | None = field(default=None)
    """One number for each column of pixels."""

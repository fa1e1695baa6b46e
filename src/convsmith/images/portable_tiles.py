"""Tiles without machine code: the same by NumPy, and SciPy's transforms where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.fourier import Span, Tiled, kernel_transform
from convsmith.images.plane import OUTSIDE
from convsmith.images.portable import converted
from convsmith.images.program import LIMITS

fft: Any
try:
    from scipy import fft
except ImportError:  # NumPy's does the same, in about twice the time.
    from numpy import fft

Array = NDArray[Any]


class Tiles:
    """What all tiles of a plane have in common."""

    def __init__(self, tiled: Tiled) -> None:
        self.tiled = tiled
        kernel = tiled.plan.kernel
        transform = kernel_transform(kernel.tobytes(), kernel.shape, tiled.grid.size)
        self.spectrum = transform.astype(np.result_type(tiled.work, np.complex64))

    def memory(self) -> Memory:
        """Return memory for two tiles."""
        return Memory(self)


class Memory:
    """Two tiles that are filtered together, the real and the imaginary part of one."""

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles
        self.planes: Array = np.zeros((2, *tiles.tiled.grid.size), tiles.tiled.work)

    def load(self, index: int, rows: Span, columns: Span, channel: int) -> float:
        """Fill a tile, zeros where it reads nothing; return the largest magnitude, or NaN."""
        tiled, plane = self.tiles.tiled, self.planes[index]
        plane[...] = 0
        read = np.ix_(
            *(
                axis.places[span.start : span.start + span.count]
                for axis, span in zip(tiled.maps, (rows, columns), strict=True)
            )
        )
        gone = (read[0] == OUTSIDE) | (read[1] == OUTSIDE)
        entries = tiled.source[(*read, channel)]
        plane[: rows.count, : columns.count] = np.where(gone, tiled.fill, entries)
        return 0.0 if tiled.plan.source in LIMITS else float(np.abs(plane).max())

    def transform(self, columns: int) -> None:
        """Filter both tiles, at least some of their first columns."""
        values = self.planes[0] + 1j * self.planes[1]
        values = fft.ifft2(fft.fft2(values) * self.tiles.spectrum, norm="forward")
        self.planes[0], self.planes[1] = values.real, values.imag

    def store(self, index: int, rows: Span, columns: Span, channel: int) -> None:
        """Write a part of a filtered tile to the result."""
        tiled = self.tiles.tiled
        down, across = (
            slice(span.start, span.start + span.count) for span in (rows, columns)
        )
        inside = tuple(slice(s.offset, s.offset + s.count) for s in (rows, columns))
        part = self.planes[index][inside]
        if tiled.whole:
            part = np.rint(part)
        if tiled.scales[0] is not None and tiled.scales[1] is not None:
            part = part * tiled.scales[0][down, None] * tiled.scales[1][across]
        part = converted(part, tiled.plan.target, tiled.plan.rounding)
        tiled.result[down, across, channel] = part

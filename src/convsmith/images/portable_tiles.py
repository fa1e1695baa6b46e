"""Tiles without machine code: the same by NumPy, and SciPy's transforms where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.fourier import Pair, Span, Tiled, kernel_transform
from convsmith.images.plane import OUTSIDE
from convsmith.images.portable import converted

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

    def filter(self, direct: Callable[[Array], Array], pair: Pair) -> None:
        """Filter two tiles in all channels, `direct` what isn't finite."""
        for channel in range(self.tiled.source.shape[2]):
            planes = np.zeros((2, *self.tiled.grid.size), self.tiled.work)
            for plane, columns in zip(planes, pair.columns, strict=True):
                self._load(plane, pair.rows, columns, channel)
            # A comparison with NaN fails.
            if bool((np.abs(planes) < self.tiled.most).all()):
                values = planes[0] + 1j * planes[1]
                values = fft.ifft2(fft.fft2(values) * self.spectrum, norm="forward")
                planes = np.stack([values.real, values.imag])
            else:
                planes = np.stack([direct(plane) for plane in planes])
            for plane, columns in zip(planes, pair.to_columns, strict=True):
                self._store(plane, pair.to_rows, columns, channel)

    def _load(self, plane: Array, rows: Span, columns: Span, channel: int) -> None:
        """Fill a tile, but leave zeros where it reads nothing."""
        tiled = self.tiled
        read = np.ix_(
            *(
                axis.places[span.start : span.start + span.count]
                for axis, span in zip(tiled.maps, (rows, columns), strict=True)
            )
        )
        gone = (read[0] == OUTSIDE) | (read[1] == OUTSIDE)
        entries = np.where(gone, tiled.fill, tiled.source[(*read, channel)])
        plane[: rows.count, : columns.count] = entries

    def _store(self, plane: Array, rows: Span, columns: Span, channel: int) -> None:
        """Write a part of a filtered tile to the result."""
        tiled = self.tiled
        down, across = (slice(span.start, span.start + span.count) for span in (rows, columns))
        inside = tuple(slice(s.offset, s.offset + s.count) for s in (rows, columns))
        part = plane[inside]
        if tiled.whole:
            part = np.rint(part)
        if tiled.scales[0] is not None and tiled.scales[1] is not None:
            part = part * tiled.scales[0][down, None] * tiled.scales[1][across]
        part = converted(part, tiled.plan.target, tiled.plan.rounding)
        tiled.result[down, across, channel] = part

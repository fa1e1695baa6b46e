"""Tiles by machine code: the same as `portable_tiles`."""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images import compiled, portable_tiles, tile_code, transform_code
from convsmith.images.fourier import Span, Tiled, kernel_transform
from convsmith.images.memory import ALIGNED
from convsmith.images.program import LIMITS, SIZES
from convsmith.images.tile_code import LOAD_FIELDS, STORE_FIELDS, Load, Store
from convsmith.images.transform_code import FACTORS, PAD, Transform

Array = NDArray[Any]

BEYOND = 16
"""Vectors at the end of a row go on behind it."""


@functools.lru_cache(maxsize=256)
def _function(wanted: Load | Store | Transform) -> Any:
    """Return machine code as a function that doesn't hold Python's lock."""
    writer: Any = transform_code if isinstance(wanted, Transform) else tile_code
    address = compiled.address_of(writer.name_of(wanted), lambda: writer.written(wanted))
    pointers, numbers = {Load: (3, 5), Store: (2, 5), Transform: (5, 1)}[type(wanted)]
    kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * numbers
    return ctypes.CFUNCTYPE(None, *kinds)(address)


@functools.lru_cache(maxsize=32)
def _turns(size: int, work: str) -> Array:
    return transform_code.turns(size, work)


@functools.lru_cache(maxsize=32)
def _spectrum(kernel: bytes, shape: tuple[int, ...], transform: Transform) -> Array:
    size = transform.rows, transform.columns
    return transform_code.spectrum(transform, kernel_transform(kernel, shape, size))


class Tiles:
    """What all tiles of a plane have in common."""

    def __new__(cls, tiled: Tiled) -> Any:
        """Return tiles by NumPy where they are larger than machine code is made for."""
        made = all(size in FACTORS for size in tiled.grid.size)
        return super().__new__(cls) if made else portable_tiles.Tiles(tiled)

    def __init__(self, tiled: Tiled) -> None:
        self.tiled = tiled
        plan, work, step = tiled.plan, tiled.work, tiled.source.shape[2]
        scaled = tiled.scales[0] is not None
        self.size = Transform(*tiled.grid.size, work)
        self.load = _function(Load(plan.source, work, step))
        self.transform = _function(self.size)
        self.store = _function(
            Store(work, plan.target, step, plan.rounding, plan.bounded, tiled.whole, scaled)
        )
        numbers = (
            _spectrum(plan.kernel.tobytes(), plan.shape, self.size), _turns(self.size.rows, work),
            _turns(self.size.columns, work),
        )  # fmt: skip
        self.numbers = [each.ctypes.data for each in numbers]
        scales = [
            np.zeros(0, work) if scale is None else np.pad(scale, (0, BEYOND)).astype(work)
            for scale in tiled.scales
        ]
        rows, columns = tiled.maps
        values = {
            "source": tiled.source,
            "source_stride": tiled.source.strides[0] // SIZES[plan.source],
            "target": tiled.result,
            "target_stride": tiled.result.strides[0] // SIZES[plan.target],
            "row_map": np.ascontiguousarray(rows.places),
            "column_map": np.ascontiguousarray(columns.places),
            **dict(zip(("first_column", "last_column", "column_shift"), columns.run, strict=True)),
            "fill": np.full(1, tiled.fill, work),
            "row_scale": scales[0],
            "column_scale": scales[1],
            "tile_rows": self.size.rows,
            "tile_columns": self.size.columns,
            "tile_stride": self.size.columns + PAD,
        }
        self._held = values, numbers  # Arrays whose addresses machine code is given must stay.
        self.load_fields, self.store_fields = (
            np.array([_number(values[name]) for name in names], np.int64)
            for names in (LOAD_FIELDS, STORE_FIELDS)
        )
        self.fields = self.load_fields.ctypes.data, self.store_fields.ctypes.data

    def memory(self) -> Memory:
        """Return memory for two tiles."""
        return Memory(self)


def _number(value: Any) -> int:
    return int(value.ctypes.data) if isinstance(value, np.ndarray) else int(value)


_kept = threading.local()


def _entries(count: int, work: str) -> Array:
    """Return this thread's memory for tiles."""
    needed = count * SIZES[work] + ALIGNED
    held = getattr(_kept, "tiles", None)
    if held is None or held.nbytes < needed:
        held = _kept.tiles = np.zeros(needed, np.uint8)
    start = -held.ctypes.data % ALIGNED
    found: Array = held[start : start + count * SIZES[work]].view(work)
    return found


class Memory:
    """Two tiles that are filtered together, the real and the imaginary part of one."""

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles
        size = tiles.size
        both = 2 * size.plane
        entries = _entries(both + size.scratch, size.work)
        padded = entries[:both].reshape(2, size.rows, size.columns + PAD)
        self.planes = padded[:, :, : size.columns]
        address = entries.ctypes.data
        self.at = [address + i * size.plane * SIZES[size.work] for i in range(3)]
        self.largest = np.zeros(64 // SIZES[size.work], size.work)
        self.floating = tiles.tiled.plan.source not in LIMITS

    def load(self, index: int, rows: Span, columns: Span, channel: int) -> float:
        """Fill a tile, zeros where it reads nothing; return the largest magnitude, or NaN."""
        self.tiles.load(
            self.tiles.fields[0], self.at[index], self.largest.ctypes.data,
            rows.start, rows.count, columns.start, columns.count, channel,
        )  # fmt: skip
        return float(self.largest.max()) if self.floating else 0.0

    def transform(self, columns: int) -> None:
        """Filter both tiles, at least some of their first columns."""
        self.tiles.transform(self.at[0], self.at[2], *self.tiles.numbers, columns)

    def store(self, index: int, rows: Span, columns: Span, channel: int) -> None:
        """Write a part of a filtered tile to the result."""
        stride = self.tiles.size.columns + PAD
        start = (rows.offset * stride + columns.offset) * SIZES[self.tiles.size.work]
        self.tiles.store(
            self.tiles.fields[1], self.at[index] + start,
            rows.start, rows.count, columns.start, columns.count, channel,
        )  # fmt: skip

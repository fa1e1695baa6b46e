"""Tiles by machine code: the same as `portable_tiles`."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images import compiled, pair_code, portable_tiles, tile_code, transform_code
from convsmith.images.fourier import Pair, Tiled, kernel_transform
from convsmith.images.memory import ALIGNED
from convsmith.images.pair_code import COMMON, PAIR
from convsmith.images.program import SIZES
from convsmith.images.tile_code import LOAD, LOAD_FIELDS, STORE, STORE_FIELDS, Load, Store
from convsmith.images.transform_code import FACTORS, PAD, Transform

Array = NDArray[Any]

BEYOND = 16
"""Vectors at the end of a row go on behind it."""


@functools.lru_cache(maxsize=256)
def _address(wanted: Load | Store | Transform | str) -> int:
    """Return where machine code lies; a dtype's is what filters pairs of tiles."""
    writers = {Load: tile_code, Store: tile_code, Transform: transform_code, str: pair_code}
    writer: Any = writers[type(wanted)]
    return compiled.address_of(writer.name_of(wanted), lambda: writer.written(wanted))


def _function(address: int, parameters: str) -> Any:
    """Return machine code as a function that doesn't hold Python's lock."""
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int64}
    return ctypes.CFUNCTYPE(None, *(kinds[letter] for letter in parameters))(address)


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
        store = Store(work, plan.target, step, plan.rounding, plan.bounded, tiled.whole, scaled)
        functions = {
            "load": _address(Load(plan.source, work, step)),
            "transform": _address(self.size),
            "store": _address(store),
        }
        self._load = _function(functions["load"], LOAD)
        self._store = _function(functions["store"], STORE)
        self._pair = _function(_address(work), "pppp")
        numbers = (
            _spectrum(plan.kernel.tobytes(), plan.shape, self.size), _turns(self.size.rows, work),
            _turns(self.size.columns, work),
        )  # fmt: skip
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
        load_fields, store_fields = (_told(values, names) for names in (LOAD_FIELDS, STORE_FIELDS))
        common = functions | {
            "load_fields": load_fields,
            "store_fields": store_fields,
            **dict(zip(("spectrum", "turns_down", "turns_across"), numbers, strict=True)),
            "channels": step,
            "tile_stride": self.size.columns + PAD,
            "plane": self.size.plane,
            "most": int(np.array(tiled.most, work).view(f"int{8 * SIZES[work]}")),
        }
        self._common = _told(common, COMMON)
        self._fields = load_fields, store_fields
        self._held = values, common  # Arrays whose addresses machine code is given must stay.
        self._threads = threading.local()

    def filter(self, direct: Callable[[Array], Array], pair: Pair) -> None:
        """Filter two tiles in all channels, `direct` what isn't finite."""
        held = getattr(self._threads, "held", None)
        if held is None:
            held = self._threads.held = _Memory(self.size, self.tiled.source.shape[2])
        told = [
            pair.rows.start, pair.rows.count, pair.to_rows.start, pair.to_rows.count,
            pair.to_rows.offset, pair.wanted,
        ]  # fmt: skip
        for read, to in zip(pair.columns, pair.to_columns, strict=True):
            told += [read.start, read.count, to.start, to.count, to.offset]
        held.pair[:] = told
        self._pair(self._common.ctypes.data, held.pair_at, held.at[0], held.left_at)
        if held.left.any():
            for channel in np.flatnonzero(held.left):
                self._filter_directly(direct, pair, held, int(channel))
            held.left[:] = 0

    def _filter_directly(
        self, direct: Callable[[Array], Array], pair: Pair, held: _Memory, channel: int
    ) -> None:
        rows, to_rows = pair.rows, pair.to_rows
        for i, (read, to) in enumerate(zip(pair.columns, pair.to_columns, strict=True)):
            self._load(
                self._fields[0].ctypes.data, held.at[i], held.left_at, rows.start, rows.count,
                read.start, read.count, channel,
            )  # fmt: skip
            sums = direct(held.planes[i])
            held.planes[i, : sums.shape[0], : sums.shape[1]] = sums
            start = held.planes[i, to_rows.offset :, to.offset :].ctypes.data
            self._store(
                self._fields[1].ctypes.data, start, to_rows.start, to_rows.count, to.start,
                to.count, channel,
            )  # fmt: skip


def _told(values: dict[str, Any], names: Sequence[str]) -> Array:
    """Return what machine code is told: numbers, and the addresses of arrays."""
    return np.array([_number(values[name]) for name in names], np.int64)


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


class _Memory:
    """One thread's memory for two tiles that are filtered together."""

    def __init__(self, size: Transform, channels: int) -> None:
        both = 2 * size.plane
        entries = _entries(both + size.scratch, size.work)
        padded = entries[:both].reshape(2, size.rows, size.columns + PAD)
        self.planes = padded[:, :, : size.columns]
        address = entries.ctypes.data
        self.at = [address + i * size.plane * SIZES[size.work] for i in range(2)]
        self.pair, self.left = np.zeros(len(PAIR), np.int64), np.zeros(channels, np.int64)
        self.pair_at, self.left_at = self.pair.ctypes.data, self.left.ctypes.data

"""Programs as callables: made once, kept in the user's cache folder, run on several threads.

The environment variable ``CONVSMITH_IMAGES`` names another folder, or keeps nothing if it is
``off``.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import platformdirs

from convsmith.files import replacing
from convsmith.images import emit, machine_code, running_code
from convsmith.images.machine_code import FIELDS, Tiling
from convsmith.images.memory import ALIGNED
from convsmith.images.plane import Plane
from convsmith.images.program import SIZES, Program
from convsmith.images.running import Form, Running
from convsmith.images.threads import share

VARIABLE = "CONVSMITH_IMAGES"
NOWHERE = "off"

SMALL = 1 << 21
"""For fewer multiplications, waking a thread takes longer than the work."""

OVERHEAD = 8
"""What loading and storing an entry takes, in multiplications."""

PAST = 1 << 23
"""Images of so many bytes don't stay in the caches, so that writing past them is faster."""

BAND_BYTES = 1 << 19
"""What the bands of several programs may take together."""

_making = threading.Lock()  # LLVM's engine takes one module at a time.

Band = Callable[[Any, int, int, Any], None]


def folder() -> Path | None:
    """Return where machine code is kept, or None."""
    chosen = os.environ.get(VARIABLE)
    if chosen == NOWHERE:
        return None
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("convsmith")) / "images"


def function(wanted: Program | Form) -> Band:
    """Return a program's machine code as a function that doesn't hold Python's lock."""
    name = machine_code.name_of(wanted)

    def write() -> Any:
        if isinstance(wanted, Form):
            return running_code.written(wanted, name)
        return machine_code.written(wanted)

    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    return kind(address_of(name, write))


def address_of(name: str, write: Callable[[], Any]) -> int:
    """Return where a function's machine code lies, which is made from a module only once."""
    with _making:
        address = _addresses.get(name)
        if address is None:
            made = _kept(name)
            if made is None:
                made = emit.optimised(write())
                _keep(name, made)
            address = emit.loaded(made, name)
            _addresses[name] = address
    return address


@lru_cache(maxsize=4096)
def ready(wanted: Program) -> tuple[Band, int, int]:
    """Return a program's function, how many rows its tiles have, and the memory it needs."""
    tiling = Tiling(wanted)
    return function(wanted), tiling.tile_rows, tiling.scratch_bytes


_addresses: dict[str, int] = {}


def _kept(name: str) -> bytes | None:
    place = folder()
    if place is None:
        return None
    with suppress(OSError):
        held = (place / f"{name}.o").read_bytes()
        # A file that a full disk cut short must not be run.
        digest, body = held[:32], held[32:]
        if hashlib.sha256(body).digest() == digest:
            return body
    return None


def _keep(name: str, made: bytes) -> None:
    place = folder()
    if place is None:
        return
    # A folder that can't be written only costs the time of making it again.
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        with replacing(place / f"{name}.o") as temporary:
            temporary.write_bytes(hashlib.sha256(made).digest() + made)


_memory = threading.local()


def scratch(needed: int) -> int:
    """Return where this thread's memory for blocks begins."""
    held = getattr(_memory, "blocks", None)
    if held is None or held.nbytes < needed + ALIGNED:
        held = _memory.blocks = np.empty(needed + ALIGNED, np.uint8)
    return -(-held.ctypes.data // ALIGNED) * ALIGNED


class Ready:
    """What is ready to run on bands of rows."""

    names: tuple[str, ...]
    """What machine code is given, in its order."""
    held: dict[str, Any]
    fields: Any
    address: int
    function: Band
    scratch: int
    rows: int
    columns: int
    high: int
    """How many rows more than it writes a band reads."""
    tile_rows: int
    work: int

    def run(self, first: int, last: int) -> None:
        """Filter some rows."""
        self.function(self.address, first, last, scratch(self.scratch))

    def without_arrays(self) -> Self:
        """Return it without a hold on the arrays it was made for."""
        self.held = {k: v for k, v in self.held.items() if k not in ("source", "target")}
        return self

    def of(self, source: Any, target: Any) -> Self:
        """Return it for other arrays of the shapes and strides, and as well aligned."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.fields = fields = self.fields.copy()
        fields[self.names.index("source")] = _number(source)
        fields[self.names.index("target")] = _number(target)
        other.address = _number(fields)
        return other


class Job(Ready):
    """A program and a plane."""

    names = FIELDS

    def __init__(self, wanted: Program, plane: Plane) -> None:
        self.program = wanted
        self.function, self.tile_rows, self.scratch = ready(wanted)
        row, column = plane.row_map.run, plane.column_map.run
        scales = [
            np.ascontiguousarray(v, wanted.work) for v in (plane.row_scale, _spread(plane, wanted))
        ] if wanted.scaled else [np.empty(0)] * 2  # fmt: skip
        entries = SIZES[wanted.source], SIZES[wanted.target]
        values = {
            "source": plane.source,
            "source_stride": plane.source.strides[0] // entries[0],
            "target": plane.target,
            "target_stride": plane.target.strides[0] // entries[1],
            "row_map": plane.row_map.places,
            "column_map": plane.column_map.places,
            "columns": plane.target.shape[1],
            **dict(zip(("first_row", "last_row", "row_shift"), row, strict=True)),
            **dict(zip(("first_column", "last_column", "column_shift"), column, strict=True)),
            "kernel": _numbers(plane.kernels, wanted),
            "fill": np.full(1, plane.fill, wanted.work),
            "row_scale": scales[0],
            "column_scale": scales[1],
        }
        self.held = values  # Arrays whose addresses machine code is given must stay.
        self.fields = np.array([_number(values[name]) for name in self.names], np.int64)
        self.address = _number(self.fields)
        self.rows, self.columns = plane.target.shape
        self.high = wanted.margin[0]
        taps = sum(s.count for term in wanted.terms for s in term)
        self.work = plane.target.size * (taps + OVERHEAD)


def _numbers(kernels: Sequence[Any], wanted: Program) -> Any:
    numbers = np.concatenate([np.ravel(k) for k in kernels])
    # Only whole numbers may be negative and become unsigned.
    return (numbers.astype(np.int64) if wanted.whole else numbers).astype(wanted.work)


class BoxJob(Ready):
    """A box and a plane."""

    names = running_code.FIELDS

    def __init__(self, wanted: Running, plane: Plane) -> None:
        columns = plane.target.shape[1]
        layout = running_code.Layout(wanted.step, columns, wanted.columns)
        past = plane.target.nbytes >= PAST and layout.may_pass(plane.target)
        self.function = _of_form(wanted.form(past))
        self.scratch = layout.scratch_bytes
        self.rows, self.columns = plane.target.shape[0], columns
        self.high = wanted.rows - 1
        self.tile_rows = 1
        self.work = plane.target.size * OVERHEAD
        first, last, shift = plane.column_map.run
        values = {
            "source": plane.source,
            "source_stride": plane.source.strides[0],
            "target": plane.target,
            "target_stride": plane.target.strides[0],
            "row_map": plane.row_map.places,
            "column_map": plane.column_map.places,
            "columns": columns,
            "tile": layout.tile,
            "first_column": first,
            "last_column": last,
            "column_shift": shift,
            "fill": plane.fill,
            "rows": wanted.rows,
            "taps": wanted.columns,
            "factors": np.array(wanted.box.rounding.factors, np.float32),
        }
        self.held = values
        self.fields = np.array([_number(values[name]) for name in self.names], np.int64)
        self.address = _number(self.fields)


@lru_cache(maxsize=256)
def _of_form(wanted: Form) -> Band:
    return function(wanted)


def _spread(plane: Plane, wanted: Program) -> Any:
    return None if plane.column_scale is None else np.repeat(plane.column_scale, wanted.step)


def _number(value: Any) -> int:
    return value.__array_interface__["data"][0] if isinstance(value, np.ndarray) else int(value)


def job(wanted: Program | Running, plane: Plane) -> Job | BoxJob:
    """Return a program and a plane, ready to run."""
    if isinstance(wanted, Running):
        return BoxJob(wanted, plane)
    past = may_pass(wanted, plane.target)
    return Job(replace(wanted, past=True) if past else wanted, plane)


def may_pass(wanted: Program, target: Any) -> bool:
    """Whether writing past the caches is possible, and better."""
    if target.nbytes < PAST:
        return False
    tiling = Tiling(wanted)
    vector = tiling.lanes * SIZES[wanted.target]
    return (
        tiling.tile_columns % tiling.lanes == 0
        and target.ctypes.data % vector == 0
        and target.strides[0] % vector == 0
        and vector >= 16
        and not wanted.continued
    )


def run(jobs: Sequence[Job | BoxJob], workers: int) -> None:
    """Filter all rows of planes of one height."""
    rows, work = jobs[0].rows, sum(job.work for job in jobs)
    least = max(jobs[0].tile_rows, 8 * max(job.high for job in jobs))
    bands = min(workers * 4, rows // least or 1, work // SMALL or 1)
    if len(jobs) > 1:
        # What several programs read should be found in the cache.
        line = sum(job.columns for job in jobs) * 8
        bands = max(bands, min(rows * line // BAND_BYTES, rows // 32 or 1))
    edges = [rows * i // bands for i in range(bands + 1)]

    def one(band: int) -> None:
        for job in jobs:
            job.run(edges[band], edges[band + 1])

    share(one, range(bands), workers)

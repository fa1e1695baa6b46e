"""The machine code that filters one band of rows: tiles, their load, their passes, their store.

A tile is loaded into a block that stays in the processor's cache, converted to the dtype of the
arithmetic and with what lies beyond the edges in place; so no padded copy of the image exists.
Tiles that don't touch an edge and need no conversion are read where they lie.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from convsmith.images import emit
from convsmith.images.emit import INT64, POINTER, Emitter, number
from convsmith.images.passes import Pass, Sink, Source, blocking
from convsmith.images.program import SIZES, Program, Stage, nothing

FIELDS = (
    "source", "source_stride", "target", "target_stride", "row_map", "column_map", "columns",
    "first_row", "last_row", "row_shift", "first_column", "last_column", "column_shift",
    "kernel", "fill", "row_scale", "column_scale",
)  # fmt: skip
"""What a call is told, as 64-bit numbers in this order; addresses and strides in entries."""

TILE_ROWS = 16
"""How many rows a tile writes; twice as many where more are shared with the next tile."""

ROW_BYTES = 24_576
"""The longest row of a tile: long rows are what processors fetch from memory ahead of time."""

MOST_UNIT = 1 << 14
"""Pixels of very many channels needn't be whole vectors: tiles would outgrow every cache."""

PIECE = 4096
"""How many bytes of a row of sums of columns are kept at a time."""

BLOCK_BYTES = 400_000
"""What blocks may take together of the second cache, of which processors have a megabyte or so."""


@dataclass(frozen=True)
class Tiling:
    """How a plane is cut into tiles that stay in the processor's cache."""

    program: Program

    @property
    def lanes(self) -> int:
        """How many numbers are computed at a time."""
        return emit.vector_bytes() // SIZES[self.program.work]

    @property
    def by_lines(self) -> bool:
        """Whether terms are passes along rows, then columns, with a block between."""
        return len(self.program.terms[0]) > 1

    @property
    def high(self) -> int:
        """How many rows each tile shares with the next one below; they are kept."""
        return self.program.margin[0]

    @property
    def tile_rows(self) -> int:
        """How many rows a tile writes."""
        return TILE_ROWS if self.high < TILE_ROWS // 2 else 2 * TILE_ROWS

    @property
    def unit(self) -> int:
        """Tiles are multiples of so many entries wide: whole vectors, whole pixels."""
        widest = max(blocking(s).vectors for term in self.program.terms for s in term)
        unit = math.lcm(self.lanes * widest, self.program.step)
        return self.program.step if unit > MOST_UNIT else unit

    @property
    def tile_columns(self) -> int:
        """How many entries of a row a tile writes at most."""
        unit = self.unit
        # By lines, the first block is used one row at a time.
        block = BLOCK_BYTES // (self.blocks - self.by_lines)
        row = min(ROW_BYTES, block // (self.tile_rows + self.high))
        return max(row // SIZES[self.program.work] // unit, 1) * unit

    @property
    def piece(self) -> int:
        """How long sums of columns are that wait for sums of rows in the smallest cache."""
        return max(PIECE // SIZES[self.program.work] // self.unit, 1) * self.unit

    @property
    def block_stride(self) -> int:
        """How many entries apart the rows of a block are."""
        width = self.tile_columns + self.program.margin[1] * self.program.step
        width = -(-width // self.lanes) * self.lanes
        # Rows a power of two apart would share the same few places of the cache.
        return width + (self.lanes if width * SIZES[self.program.work] % 1024 == 0 else 0)

    @property
    def block_entries(self) -> int:
        """How many entries a block holds, and one vector that masked loads never reach."""
        return (self.tile_rows + self.program.margin[0]) * self.block_stride + self.lanes

    @property
    def blocks(self) -> int:
        """How many blocks a tile needs: what is read, what each term keeps, and their sum."""
        count = len(self.program.terms)
        return 1 + count * self.by_lines + (count > 1)

    @property
    def scratch_bytes(self) -> int:
        """How much memory a thread needs."""
        return self.blocks * self.block_entries * SIZES[self.program.work]


def name_of(program: Any) -> str:
    """Return the name of a program's machine code, which no other has."""
    text = repr((program, emit.processor(), emit.sources()))
    return "filter_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def written(program: Program) -> Any:
    """Return the module with the program's function: ``(fields, first row, last row, scratch)``."""
    module = ir.Module(name_of(program))
    module.triple = emit.machine().triple
    return _Writer(module, program).write()


@dataclass(frozen=True)
class _BlockSink(Sink):
    """Between two passes, and between two terms: a block."""

    program: Program
    pointer: Any
    stage: Stage
    beginning: Any = None
    """The block that sums begin with."""

    def begin(self, emitter: Emitter, row: Any, column: Any, mask: Any) -> Any:
        if self.beginning is None:
            return _nothing(self.program, emitter)
        return _beginning(self.program, emitter, self.beginning, row, column, mask)

    def end(self, emitter: Emitter, value: Any, row: Any, column: Any, mask: Any) -> None:
        place = _in_block(self.program, emitter, self.pointer, row, column)
        emitter.store(value, place, self.program.work, mask)


@dataclass(frozen=True)
class _ImageSink(Sink):
    """The end: rounded and saturated, into the image."""

    program: Program
    fields: dict[str, Any]
    row: Any
    column: Any
    beginning: Any = None

    def begin(self, emitter: Emitter, row: Any, column: Any, mask: Any) -> Any:
        program = self.program
        if program.continued and self.beginning is None:
            return emitter.load(self._place(emitter, row, column), program.target, mask)
        return _beginning(program, emitter, self.beginning, row, column, mask)

    def end(self, emitter: Emitter, value: Any, row: Any, column: Any, mask: Any) -> None:
        program, b = self.program, emitter.builder
        if program.scaled:
            scales = emitter.address(self.fields["row_scale"], b.add(self.row, row), program.work)
            scale = emitter.splat(b.load(scales, typ=emitter.vector(program.work).element))
            across = emitter.address(
                self.fields["column_scale"], b.add(self.column, column), program.work
            )
            value = b.fmul(b.fmul(value, scale), emitter.load(across, program.work, mask))
        if program.whole:
            value = emitter.halved(
                value, program.work, program.target, program.shift, program.rounding
            )
            emitter.store(
                value, self._place(emitter, row, column), program.target, mask, program.past
            )
            return
        if program.ordered:
            emitter.store(
                emitter.from_order(value, program.target),
                self._place(emitter, row, column), program.target, mask, program.past,
            )  # fmt: skip
            return
        value = emitter.convert(
            value, program.work, program.target, program.rounding, program.bounded
        )
        place = self._place(emitter, row, column)
        emitter.store(value, place, program.target, mask, program.past)

    def _place(self, emitter: Emitter, row: Any, column: Any) -> Any:
        b = emitter.builder
        start = b.mul(b.add(self.row, row), self.fields["target_stride"])
        index = b.add(start, b.add(self.column, column))
        return emitter.address(self.fields["target"], index, self.program.target)


def _beginning(
    program: Program, emitter: Emitter, block: Any, row: Any, column: Any, mask: Any
) -> Any:
    if block is not None:
        place = _in_block(program, emitter, block, row, column)
        return emitter.load(place, program.work, mask)
    return _nothing(program, emitter)


def _nothing(program: Program, emitter: Emitter) -> Any:
    first = nothing(program.terms[0][0].semiring, program.work, program.ordered)
    return emitter.constant(first, program.work)


def _in_block(program: Program, emitter: Emitter, block: Any, row: Any, column: Any) -> Any:
    index = emitter.builder.add(
        emitter.builder.mul(row, number(Tiling(program).block_stride)), column
    )
    return emitter.address(block, index, program.work)


class _Writer:
    """Writes a program's function."""

    def __init__(self, module: Any, program: Program) -> None:
        self.module = module
        self.program = program
        self.emitter = Emitter(module, name_of(program), "piip", Tiling(program).lanes)
        self.fields = self._read_fields()

    def _read_fields(self) -> dict[str, Any]:
        b, arguments = self.emitter.builder, self.emitter.function.args[0]
        pointers = {
            "source", "target", "row_map", "column_map", "kernel", "fill", "row_scale",
            "column_scale",
        }  # fmt: skip
        result: dict[str, Any] = {}
        for i, name in enumerate(FIELDS):
            place = b.gep(arguments, [number(i)], source_etype=INT64)
            value = b.load(place, typ=INT64)
            result[name] = b.inttoptr(value, POINTER) if name in pointers else value
        return result

    def write(self) -> Any:
        """Write the loops over the tiles of a band."""
        e, program = self.emitter, self.program
        b, (_, first, last, scratch) = e.builder, e.function.args
        tiling = Tiling(program)
        self.block = [
            e.address(scratch, number(i * tiling.block_entries), program.work)
            for i in range(tiling.blocks)
        ]
        columns, across = self.fields["columns"], number(tiling.tile_columns)
        height = number(tiling.tile_rows)
        with e.loop(number(0), columns, across) as along:
            width = e.smaller(across, b.sub(self._stop(along.index), along.index))
            along.step = width
            with e.loop(first, last, height) as down:
                rows = e.smaller(height, b.sub(last, down.index))
                topmost = b.icmp_signed("==", down.index, first)
                self._tile(down.index, along.index, rows, width, topmost)
        if program.past:
            b.fence("seq_cst")
        b.ret_void()
        return self.module

    def _stop(self, column: Any) -> Any:
        """Return where a tile from a column on has to stop.

        Tiles at the edges are narrow, since they are copied; those inside are read in the image.
        """
        e, program, f = self.emitter, self.program, self.fields
        b, step, unit = e.builder, number(program.step), number(Tiling(program).unit)
        if program.source != program.read_as:
            return f["columns"]
        more = b.add(b.mul(f["first_column"], step), b.sub(unit, number(1)))
        inner = b.mul(b.sdiv(more, unit), unit)
        last = b.mul(b.sub(f["last_column"], number(program.margin[1])), step)
        outer = b.mul(b.sdiv(e.larger(last, number(0)), unit), unit)
        behind = b.select(b.icmp_signed("<", column, outer), outer, f["columns"])
        return e.smaller(b.select(b.icmp_signed("<", column, inner), inner, behind), f["columns"])

    def _tile(self, row: Any, column: Any, rows: Any, columns: Any, topmost: Any) -> None:
        e, program = self.emitter, self.program
        b, (high, wide) = e.builder, program.margin
        pixel = b.sdiv(column, number(program.step))
        pixels = b.add(b.sdiv(columns, number(program.step)), number(wide))
        # What the tile above has made of the rows that both read is used again.
        start = b.select(topmost, number(0), number(high))
        kernels = self._kernels()
        if not Tiling(program).by_lines:
            if program.source == program.work:
                source = self._loaded(row, b.add(rows, number(high)), pixel, pixels)
            else:
                self._keep(self.block[0], topmost)
                first = _in_block(program, e, self.block[0], start, number(0))
                fresh = b.sub(b.add(rows, number(high)), start)
                self._load(b.add(row, start), fresh, pixel, pixels, first)
                source = self._block(0)
            sink = _ImageSink(program, self.fields, row, column)
            self._pass(program.terms[0][0], kernels[0][0]).write(source, sink, rows, columns)
            return
        if program.columns_first:
            source = self._loaded(row, b.add(rows, number(high)), pixel, pixels)
            self._columns_first(source, row, column, rows, columns)
            return
        for index in range(len(program.terms)):
            self._keep(self.block[1 + index], topmost)
        # Row by row, so that what is loaded is still in the smallest cache.
        with e.loop(start, b.add(rows, number(high)), number(1)) as line:
            source = self._loaded(b.add(row, line.index), number(1), pixel, pixels)
            for index in range(len(program.terms)):
                place = _in_block(program, e, self.block[1 + index], line.index, number(0))
                self._along(index, source, place, columns, kernels[index])
        total = None
        for index, (*_, down) in enumerate(program.terms):
            final: Sink = _ImageSink(program, self.fields, row, column, total)
            if index < len(program.terms) - 1:
                final = _BlockSink(program, self.block[-1], down, total)
                total = self.block[-1]
            last = self._pass(down, kernels[index][-1])
            last.write(self._block(1 + index), final, rows, columns)

    def _columns_first(
        self, source: Source, row: Any, column: Any, rows: Any, columns: Any
    ) -> None:
        """Write the sums of columns, some rows and some of their length at a time, then of rows."""
        e, program = self.emitter, self.program
        b, (down, across) = e.builder, program.terms[0]
        kernels, block = self._kernels()[0], self._block(1)
        more = number((across.columns - 1) * program.step)
        high, length = number(blocking(down).rows), number(Tiling(program).piece)
        with e.loop(number(0), rows, high) as below:
            few = e.smaller(high, b.sub(rows, below.index))
            with e.loop(number(0), columns, length) as along:
                width = e.smaller(length, b.sub(columns, along.index))
                corner = b.add(b.mul(below.index, source.stride), along.index)
                part = Source(e.address(source.pointer, corner, program.source), source.stride)
                sink = _BlockSink(program, block.pointer, down)
                first = self._pass(down, kernels[0], program.source)
                first.write(part, sink, few, b.add(width, more))
                end = _ImageSink(
                    program, self.fields, b.add(row, below.index), b.add(column, along.index)
                )
                self._pass(across, kernels[1]).write(block, end, few, width)

    def _along(
        self, index: int, source: Source, place: Any, columns: Any, kernels: list[Any]
    ) -> None:
        """Write a term's passes along one row."""
        program, b = self.program, self.emitter.builder
        stages = program.terms[index][:-1]
        more = sum(stage.columns - 1 for stage in stages)
        for stage, kernel in zip(stages, kernels, strict=False):
            # What later passes read beyond the tile. They can write where they read: a row is
            # gone over from its beginning to its end.
            more -= stage.columns - 1
            width = b.add(columns, number(more * program.step))
            sink = _BlockSink(program, place, stage)
            self._pass(stage, kernel).write(source, sink, number(1), width)
            source = Source(place, number(Tiling(program).block_stride))

    def _pass(self, stage: Stage, kernel: Any, reads: str | None = None) -> Pass:
        program = self.program
        return Pass(self.emitter, stage, program.work, program.step, program.fused, kernel, reads)

    def _block(self, index: int) -> Source:
        return Source(self.block[index], number(Tiling(self.program).block_stride))

    def _keep(self, block: Any, topmost: Any) -> None:
        """Write the move of the last rows of a block to its top, for the tile below."""
        e, tiling = self.emitter, Tiling(self.program)
        if not tiling.high:
            return
        with e.builder.if_then(e.builder.not_(topmost)):
            end = number(tiling.high * tiling.block_stride)
            ahead = number(tiling.tile_rows * tiling.block_stride)
            work = self.program.work
            # Strides are whole vectors, and moving up from the first one on overwrites nothing.
            with e.loop(number(0), end, number(e.lanes)) as loop:
                place = e.address(block, e.builder.add(loop.index, ahead), work)
                e.store(e.load(place, work), e.address(block, loop.index, work), work)

    def _kernels(self) -> list[list[Any]]:
        """Return where the numbers of each pass of each term begin."""
        start, result = 0, []
        for term in self.program.terms:
            result.append([])
            for stage in term:
                place = self.emitter.address(
                    self.fields["kernel"], number(start), self.program.work
                )
                result[-1].append(place)
                start += stage.count
        return result

    def _loaded(self, row: Any, rows: Any, pixel: Any, pixels: Any) -> Source:
        """Return where a tile's windows lie: in a block, or in the image itself."""
        e, program, f = self.emitter, self.program, self.fields
        b = e.builder
        block = self._block(0)
        if program.source != program.read_as:
            self._load(row, rows, pixel, pixels, self.block[0])
            return block
        inside = [
            b.icmp_signed(">=", row, f["first_row"]),
            b.icmp_signed("<=", b.add(row, rows), f["last_row"]),
            b.icmp_signed(">=", pixel, f["first_column"]),
            b.icmp_signed("<=", b.add(pixel, pixels), f["last_column"]),
        ]
        every = b.and_(b.and_(inside[0], inside[1]), b.and_(inside[2], inside[3]))
        start = b.mul(b.add(row, f["row_shift"]), f["source_stride"])
        shift = b.mul(b.add(pixel, f["column_shift"]), number(program.step))
        direct = e.address(f["source"], b.add(start, shift), program.source)
        before = b.block
        with b.if_then(b.not_(every)):
            self._load(row, rows, pixel, pixels, self.block[0])
            after = b.block
        pointer, stride = b.phi(POINTER), b.phi(INT64)
        for value, block_of in ((direct, before), (block.pointer, after)):
            pointer.add_incoming(value, block_of)
        for value, block_of in ((f["source_stride"], before), (block.stride, after)):
            stride.add_incoming(value, block_of)
        return Source(pointer, stride)

    def _load(self, row: Any, rows: Any, pixel: Any, pixels: Any, block: Any) -> None:
        """Write the copy of rows into a block."""
        e, program, f = self.emitter, self.program, self.fields
        b = e.builder
        end = b.add(pixel, pixels)
        first = e.smaller(e.larger(f["first_column"], pixel), end)
        last = e.smaller(e.larger(f["last_column"], first), end)
        step = number(program.step)
        entry = b.load(f["fill"], typ=e.vector(program.work).element)
        fill = e.convert(e.splat(entry), program.work, program.read_as)
        with e.loop(number(0), rows, number(1)) as loop:
            start = b.mul(loop.index, number(Tiling(program).block_stride))
            line = e.address(block, start, program.read_as)
            place = e.address(f["row_map"], b.add(row, loop.index), "float64")
            from_row = b.load(place, typ=INT64)
            with b.if_else(b.icmp_signed("<", from_row, number(0))) as (outside, inside):
                with outside:
                    self._copy(None, line, b.mul(pixels, step), fill)
                with inside:
                    start = e.address(
                        f["source"], b.mul(from_row, f["source_stride"]), program.source
                    )
                    for low, high in ((pixel, first), (last, end)):
                        self._edge(start, line, pixel, low, high, fill)
                    shift = b.mul(b.add(first, f["column_shift"]), step)
                    begin = b.mul(b.sub(first, pixel), step)
                    self._copy(
                        e.address(start, shift, program.source),
                        e.address(line, begin, program.read_as),
                        b.mul(b.sub(last, first), step),
                        fill,
                    )

    def _edge(self, start: Any, line: Any, pixel: Any, low: Any, high: Any, fill: Any) -> None:
        """Write the copy of pixels that lie anywhere, or nowhere."""
        e, program, b = self.emitter, self.program, self.emitter.builder
        step = number(program.step)
        with e.loop(low, high, number(1)) as loop:
            place = e.address(self.fields["column_map"], loop.index, "float64")
            at = b.load(place, typ=INT64)
            to = e.address(line, b.mul(b.sub(loop.index, pixel), step), program.read_as)
            with b.if_else(b.icmp_signed("<", at, number(0))) as (outside, inside):
                with outside:
                    self._copy(None, to, step, fill)
                with inside:
                    origin = e.address(start, b.mul(at, step), program.source)
                    self._copy(origin, to, step, fill)

    def _copy(self, origin: Any, to: Any, count: Any, fill: Any) -> None:
        """Write the copy of neighbouring entries, converted; the fill if there is no origin."""
        e, program, b = self.emitter, self.program, self.emitter.builder
        lanes = number(e.lanes)

        def one(index: Any, mask: Any) -> None:
            value = fill
            if origin is not None:
                place = e.address(origin, index, program.source)
                value = e.load(place, program.source, mask)
                if program.ordered:
                    value = e.to_order(value, program.source, program.terms[0][0].semiring)
                else:
                    value = e.convert(value, program.source, program.read_as)
            e.store(value, e.address(to, index, program.read_as), program.read_as, mask)

        with e.loop(number(0), b.sub(count, number(e.lanes - 1)), lanes) as loop:
            one(loop.index, None)
        with b.if_then(b.icmp_signed("<", loop.index, count)):
            one(loop.index, e.first_lanes(b.sub(count, loop.index)))

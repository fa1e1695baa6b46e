"""The machine code of running sums: one row of outputs after the other, down a tile of columns.

A tile keeps, for each of its columns, the sum of all entries to the left of it in the rows of the
box. From one row of outputs to the next the row that enters is added and the one that leaves is
taken away; what lies between two columns is a difference. Sums wrap around, differences don't.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from convsmith.images import emit
from convsmith.images.emit import INT32, INT64, POINTER, Emitter, number
from convsmith.images.running import BYTE, PIECE, Form

FIELDS = (
    "source", "source_stride", "target", "target_stride", "row_map", "column_map", "columns",
    "tile", "first_column", "last_column", "column_shift", "fill", "rows", "taps",
    "factors",
)  # fmt: skip
"""What a call is told, as 64-bit numbers in this order; addresses and strides in entries."""

POINTERS = ("source", "target", "row_map", "column_map", "factors")

TILE = 6144
"""The most entries of a row that a tile writes: its sums stay in the smallest cache."""

MOST_UNIT = 1 << 14
"""Pixels of very many channels needn't be whole vectors: tiles would outgrow every cache."""

LANES = 8
"""Sums along a row go through halves of vectors, in which shifting is cheapest."""

BLOCK = 2 * LANES
"""How many entries are added at a time."""

INT8, INT16 = ir.IntType(8), ir.IntType(16)


@dataclass(frozen=True)
class Layout:
    """How rows are cut into tiles, and what a tile needs."""

    step: int
    columns: int
    """Entries of a row of outputs."""
    taps: int

    @property
    def tile(self) -> int:
        """How many entries of a row a tile writes: whole vectors, whole pixels."""
        unit = math.lcm(64, self.step)
        if unit > MOST_UNIT:
            unit = self.step
        tiles = -(-self.columns // TILE)
        return -(-self.columns // tiles // unit) * unit

    @property
    def line(self) -> int:
        """How many entries a line of a tile takes in memory."""
        read = self.tile + self.taps * self.step
        return -(-read // 64) * 64 + 192

    @property
    def scratch_bytes(self) -> int:
        """How much memory a thread needs: four lines of bytes, sums, and what runs along."""
        return self.line * (4 + 2 + 2 + 4)

    def may_pass(self, target: Any) -> bool:
        """Whether results can be written past the caches: places are multiples of vectors."""
        vector = emit.vector_bytes() // 2
        places = (self.tile, target.ctypes.data, target.strides[0])
        return vector >= 16 and all(place % vector == 0 for place in places)


def written(wanted: Form, name: str) -> Any:
    """Return the module with the function: ``(fields, first row, last row, scratch)``."""
    module = ir.Module(name)
    module.triple = emit.machine().triple
    return _Writer(module, wanted, name).write()


@dataclass(frozen=True)
class _Line:
    """A row of the image: where its inner entries lie, and where those near the edges do."""

    inner: Any
    ends: Any


class _Writer:
    """Writes the function."""

    def __init__(self, module: Any, wanted: Form, name: str) -> None:
        self.wanted = wanted
        self.emitter = Emitter(module, name, "piip", emit.vector_bytes() // 2)
        b, arguments = self.emitter.builder, self.emitter.function.args[0]
        self.fields: dict[str, Any] = {}
        for i, field in enumerate(FIELDS):
            value = b.load(b.gep(arguments, [number(i)], source_etype=INT64), typ=INT64)
            self.fields[field] = b.inttoptr(value, POINTER) if field in POINTERS else value

    def write(self) -> Any:
        """Write the loops over tiles, and over the rows of a band."""
        e, f, b = self.emitter, self.fields, self.emitter.builder
        _, first, last, scratch = e.function.args
        step = self.step = number(self.wanted.step)
        line = b.add(f["tile"], b.mul(f["taps"], step))
        line = b.add(b.and_(b.add(line, number(63)), number(-64)), number(192))
        # Lines of bytes: what lies near the edges, of the rows that enter and leave; fills; zeros.
        starts = [b.mul(line, number(n)) for n in range(4)]
        self.entering, self.leaving, self.fills, self.zeros = (
            b.gep(scratch, [start], source_etype=INT8) for start in starts
        )
        # Where the first column's sum is written begins a vector.
        shift = -self.wanted.step % 64
        self.sums, self.along = (
            e.address(
                b.gep(scratch, [b.mul(line, number(n))], source_etype=INT8), number(shift), "int16"
            )
            for n in (4, 6)
        )
        self.totals = b.gep(scratch, [b.mul(line, number(8))], source_etype=INT8)
        self.factors = [
            e.splat(b.load(e.address(f["factors"], number(i), "float32"), typ=ir.FloatType()))
            for i in range(2)
        ]
        fill = b.trunc(f["fill"], INT8)
        with e.loop(number(0), line, number(1)) as loop:
            b.store(fill, self._byte(self.fills, loop.index))
            b.store(INT8(0), self._byte(self.zeros, loop.index))
        with e.loop(number(0), f["columns"], f["tile"]) as across:
            width = e.smaller(f["tile"], b.sub(f["columns"], across.index))
            self._tile(across.index, width, first, last)
        if self.wanted.past:
            b.fence("seq_cst")
        b.ret_void()
        return e.module

    def _tile(self, column: Any, width: Any, first: Any, last: Any) -> None:
        e, f, b, step = self.emitter, self.fields, self.emitter.builder, self.step
        self.pixel = b.sdiv(column, step)
        self.reach = b.mul(f["taps"], step)
        self.read = b.sub(b.add(width, self.reach), step)
        # Entries from `begin` to before `end` are read where they lie, in whole blocks.
        low, high = (
            e.smaller(e.larger(b.mul(b.sub(f[name], self.pixel), step), number(0)), self.read)
            for name in ("first_column", "last_column")
        )
        block = number(-BLOCK)
        self.begin = b.and_(b.add(low, number(BLOCK - 1)), block)
        self.end = e.larger(b.and_(high, block), self.begin)
        entries = b.add(b.add(self.read, step), number(BLOCK))
        with e.loop(number(0), entries, number(1)) as loop:
            for line, dtype in ((self.sums, INT16), (self.along, INT16), (self.totals, INT32)):
                b.store(dtype(0), b.gep(line, [loop.index], source_etype=dtype))
        with e.loop(first, b.sub(b.add(last, f["rows"]), number(1)), number(1)) as down:
            row = down.index
            enters = self._line(row, self.entering)
            gone = b.sub(row, f["rows"])
            leaves = self._leaving(gone, b.icmp_signed(">=", gone, first))
            self._add(enters, leaves)
            done = b.add(gone, number(1))
            if self.wanted.pieces:
                # Sums grow with each row. What is written too early is written again.
                self._results(e.larger(done, first), column, width)
            else:
                with b.if_then(b.icmp_signed(">=", done, first)):
                    self._results(done, column, width)

    def _leaving(self, row: Any, there: Any) -> _Line:
        """Return the row that leaves; the first rows of a band add to nothing."""
        b = self.emitter.builder
        before = b.block
        with b.if_then(there):
            line = self._line(row, self.leaving)
            after = b.block
        inner, ends = b.phi(POINTER), b.phi(POINTER)
        for value, other in ((inner, line.inner), (ends, line.ends)):
            value.add_incoming(self.zeros, before)
            value.add_incoming(other, after)
        return _Line(inner, ends)

    def _line(self, row: Any, ends: Any) -> _Line:
        """Return a row of the padded image, with what lies near its edges copied."""
        e, f, b, step = self.emitter, self.fields, self.emitter.builder, self.step
        at = b.load(e.address(f["row_map"], row, "float64"), typ=INT64)
        outside = b.icmp_signed("<", at, number(0))
        start = b.gep(f["source"], [b.mul(at, f["source_stride"])], source_etype=INT8)
        with b.if_then(b.not_(outside)):
            pixels = b.sdiv(self.read, step)
            stop = b.sdiv(b.sub(b.add(self.begin, step), number(1)), step)
            self._ends(start, ends, number(0), e.smaller(stop, pixels))
            self._ends(start, ends, b.sdiv(self.end, step), pixels)
        shift = b.mul(b.add(self.pixel, f["column_shift"]), step)
        inner = b.select(outside, self.fills, b.gep(start, [shift], source_etype=INT8))
        return _Line(inner, b.select(outside, self.fills, ends))

    def _ends(self, start: Any, ends: Any, low: Any, high: Any) -> None:
        """Write the copy of pixels that lie anywhere, or nowhere."""
        e, f, b, step = self.emitter, self.fields, self.emitter.builder, self.step
        with e.loop(low, high, number(1)) as loop:
            place = e.address(f["column_map"], b.add(self.pixel, loop.index), "float64")
            at = b.load(place, typ=INT64)
            outside = b.icmp_signed("<", at, number(0))
            origin = b.select(outside, self.fills, self._byte(start, b.mul(at, step)))
            to = self._byte(ends, b.mul(loop.index, step))
            with e.loop(number(0), step, number(1)) as channel:
                value = b.load(self._byte(origin, channel.index), typ=INT8)
                b.store(value, self._byte(to, channel.index))

    def _add(self, enters: _Line, leaves: _Line) -> None:
        """Write what a row that enters and one that leaves change."""
        e, b = self.emitter, self.emitter.builder
        carried: list[Any] = [ir.Constant(ir.VectorType(INT16, LANES), None)]
        parts = (
            (enters.ends, leaves.ends, number(0), self.begin),
            (enters.inner, leaves.inner, self.begin, self.end),
            (enters.ends, leaves.ends, self.end, self.read),
        )
        entries = ir.VectorType(INT8, LANES)
        for new, old, low, high in parts:
            with e.loop(low, high, number(BLOCK), carried) as loop:
                for at in range(0, BLOCK, LANES):
                    index = b.add(loop.index, number(at))
                    one, other = (
                        b.zext(b.load(self._byte(p, index), align=1, typ=entries), carried[0].type)
                        for p in (new, old)
                    )
                    loop.values = [self._changed(b.sub(one, other), index, loop.values[0])]
            carried = loop.values

    def _changed(self, change: Any, index: Any, carried: Any) -> Any:
        """Write the changes of some columns; return the sum of all changes up to each of them."""
        e, b, step = self.emitter, self.emitter.builder, self.wanted.step
        after = b.add(index, self.step)
        if not self.wanted.taps:
            change = self._summed(change, index, carried)
            if self.wanted.pieces or step > LANES:
                b.store(change, e.address(self.along, after, "int16"), align=2)
        if not self.wanted.pieces:
            place = e.address(self.sums, after, "int16")
            b.store(b.add(b.load(place, align=2, typ=change.type), change), place, align=2)
        return change

    def _summed(self, change: Any, index: Any, carried: Any) -> Any:
        """Return changes with all those of their channel to the left."""
        e, b, step = self.emitter, self.emitter.builder, self.wanted.step
        shift = step
        while shift < LANES:
            # The lane after the last one is zero.
            lanes = [max(i - shift, -1) % (LANES + 1) for i in range(LANES)]
            change = b.add(change, _picked(b, change, lanes))
            shift *= 2
        if step > LANES:
            # What lies further back than the last vector is found in memory.
            place = e.address(self.along, index, "int16")
            return b.add(change, b.load(place, align=2, typ=change.type))
        return b.add(change, _picked(b, carried, [LANES - step + i % step for i in range(LANES)]))

    def _results(self, row: Any, column: Any, width: Any) -> None:
        """Write a row of outputs."""
        e, f, b = self.emitter, self.fields, self.emitter.builder
        start = b.add(b.mul(row, f["target_stride"]), column)
        target = e.address(f["target"], start, "uint8")
        lanes = number(e.lanes)

        def one(index: Any, mask: Any) -> None:
            value = self._rounded(self._sums(index))
            past = self.wanted.past and mask is None
            e.store(value, e.address(target, index, "uint8"), "uint8", mask, past)

        with e.loop(number(0), b.sub(width, number(e.lanes - 1)), lanes) as loop:
            one(loop.index, None)
        with b.if_then(b.icmp_signed("<", loop.index, width)):
            one(loop.index, e.first_lanes(b.sub(width, loop.index)))

    def _sums(self, index: Any) -> Any:
        """Return what boxes add up."""
        e, b, step = self.emitter, self.emitter.builder, self.wanted.step

        def entries(line: Any, at: Any) -> Any:
            return e.load(e.address(line, b.add(index, at), "int16"), "int16")

        if self.wanted.taps:
            total = entries(self.sums, self.step)
            for tap in range(2, self.wanted.taps + 1):
                total = b.add(total, entries(self.sums, number(tap * step)))
            return total
        if not self.wanted.pieces:
            return b.sub(entries(self.sums, self.reach), entries(self.sums, number(0)))
        place = e.address(self.totals, index, "int32")
        total = e.load(place, "int32")
        edges = [number(i * PIECE * step) for i in range(self.wanted.pieces)]
        lines = [entries(self.along, edge) for edge in (*edges, self.reach)]
        for left, right in itertools.pairwise(lines):
            total = b.add(total, b.sext(b.sub(right, left), e.vector("int32")))
        e.store(total, place, "int32")
        return total

    def _rounded(self, sums: Any) -> Any:
        e, b, numbers = self.emitter, self.emitter.builder, self.wanted.whole
        if numbers is not None:
            wide = ir.VectorType(INT32, e.lanes)
            sums = b.add(sums, e.constant(numbers.bias, "uint16"))
            product = b.mul(b.zext(sums, wide), e.constant(numbers.multiplier, "uint32"))
            high = b.trunc(b.lshr(product, e.constant(16, "uint32")), sums.type)
            high = b.lshr(high, e.constant(numbers.shift, "uint16"))
            # That no result is larger is known here, but not to LLVM.
            high = e.extreme(high, e.constant(BYTE, "uint16"), "min", "uint16")
            return b.trunc(high, e.vector("uint8"))
        if not self.wanted.pieces:
            sums = b.zext(sums, e.vector("int32"))
        sums = b.sitofp(sums, e.vector("float32"))
        high, low = self.factors
        if self.wanted.split:
            value = e.multiply_add(sums, high, b.fmul(sums, low), "float32", True)
        else:
            value = b.fmul(sums, high)
        return e.convert(value, "float32", "uint8", bounded=True)

    def _byte(self, pointer: Any, index: Any) -> Any:
        return self.emitter.address(pointer, index, "uint8")


def _picked(builder: Any, vector: Any, lanes: list[int]) -> Any:
    """Return some lanes of a vector; the lane after its last one is zero."""
    nothing = ir.Constant(vector.type, None)
    order = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
    return builder.shuffle_vector(vector, nothing, order)

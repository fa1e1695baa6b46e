"""The machine code between images and the tiles that are transformed: one channel, in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from convsmith.images import emit
from convsmith.images.emit import INT32, INT64, KINDS, POINTER, Emitter, number
from convsmith.images.program import SIZES

LOAD_FIELDS = (
    "source", "source_stride", "row_map", "column_map", "first_column", "last_column",
    "column_shift", "fill", "tile_rows", "tile_columns", "tile_stride",
)  # fmt: skip
STORE_FIELDS = ("target", "target_stride", "row_scale", "column_scale", "tile_stride")
"""What calls are told, as 64-bit numbers in these orders; addresses and strides in entries."""

LOAD, STORE = "pppiiiii", "ppiiiii"
"""The arguments of the machine code."""

POINTERS = ("source", "row_map", "column_map", "fill", "target", "row_scale", "column_scale")

MOST_SHUFFLED = 4
"""Channels of pixels with more are read and written one by one."""


@dataclass(frozen=True)
class Load:
    """How a channel of an image becomes a tile."""

    source: str
    work: str
    step: int
    """How many entries neighbouring pixels are apart: the channels."""


@dataclass(frozen=True)
class Store:
    """How a tile becomes a channel of a result."""

    work: str
    target: str
    step: int
    rounding: str
    bounded: bool
    """Whether every sum is a number below 2**31."""
    whole: bool
    """Whether sums are whole numbers, which transforms miss by a little."""
    scaled: bool
    """Whether results are multiplied by a number for their row and one for their column."""


def name_of(wanted: Load | Store) -> str:
    """Return the name of the machine code, which no other has."""
    text = repr((wanted, emit.processor(), emit.sources()))
    return "tile_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def written(wanted: Load | Store) -> Any:
    """Return the module with the function.

    The arguments of `LOAD` are ``(fields, tile, largest, row, rows, column, columns, channel)``:
    where in the maps the tile begins and how much of it is read; the rest is zero. `largest` is
    where the bits of the largest magnitude go if images are floating (NaN has more than any).

    Those of `STORE` are ``(fields, tile, row, rows, column, columns, channel)``: where results go.
    """
    module = ir.Module(name_of(wanted))
    module.triple = emit.machine().triple
    if isinstance(wanted, Load):
        return _Loader(module, wanted).write()
    return _Storer(module, wanted).write()


class _Writer:
    def __init__(
        self, module: Any, wanted: Load | Store, parameters: str, fields: Sequence[str]
    ) -> None:
        self.module = module
        lanes = emit.vector_bytes() // SIZES[wanted.work]
        self.emitter = Emitter(module, name_of(wanted), parameters, lanes)
        b, arguments = self.emitter.builder, self.emitter.function.args[0]
        self.fields: dict[str, Any] = {}
        for i, name in enumerate(fields):
            value = b.load(b.gep(arguments, [number(i)], source_etype=INT64), typ=INT64)
            self.fields[name] = b.inttoptr(value, POINTER) if name in POINTERS else value

    def _wide(self, dtype: str, step: int) -> Any:
        """Return the type of all that lies from the first to the last lane's entry."""
        return ir.VectorType(KINDS[dtype][0], (self.emitter.lanes - 1) * step + 1)


class _Loader(_Writer):
    def __init__(self, module: Any, wanted: Load) -> None:
        super().__init__(module, wanted, LOAD, LOAD_FIELDS)
        self.wanted = wanted
        e = self.emitter
        self.bits = f"int{8 * SIZES[wanted.work]}"
        self.largest = e.builder.alloca(e.vector(self.bits))
        e.builder.store(ir.Constant(e.vector(self.bits), None), self.largest)

    def write(self) -> Any:
        e, f, wanted = self.emitter, self.fields, self.wanted
        b, (_, tile, largest, row, rows, column, columns, channel) = e.builder, e.function.args
        end = b.add(column, columns)
        first = e.smaller(e.larger(f["first_column"], column), end)
        last = e.smaller(e.larger(f["last_column"], first), end)
        with e.loop(number(0), rows, number(1)) as loop:
            line = e.address(tile, b.mul(loop.index, f["tile_stride"]), wanted.work)
            place = e.address(f["row_map"], b.add(row, loop.index), "int64")
            from_row = b.load(place, typ=INT64)
            with b.if_else(b.icmp_signed("<", from_row, number(0))) as (outside, inside):
                with outside:
                    self._filled(line, number(0), columns)
                with inside:
                    start = b.add(b.mul(from_row, f["source_stride"]), channel)
                    start = e.address(f["source"], start, wanted.source)
                    self._edge(start, line, column, column, first)
                    self._run(start, line, column, first, last)
                    self._edge(start, line, column, last, end)
            self._zeros(line, columns, f["tile_columns"])
        with e.loop(rows, f["tile_rows"], number(1)) as loop:
            line = e.address(tile, b.mul(loop.index, f["tile_stride"]), wanted.work)
            self._zeros(line, number(0), f["tile_columns"])
        found = b.load(self.largest, typ=e.vector(self.bits))
        b.store(b.zext(e.highest(found, self.bits), INT64), largest)
        b.ret_void()
        return self.module

    def _zeros(self, line: Any, first: Any, last: Any) -> None:
        e, b, work = self.emitter, self.emitter.builder, self.wanted.work
        with e.loop(first, b.sub(last, number(e.lanes - 1)), number(e.lanes)) as loop:
            e.store(e.constant(0.0, work), e.address(line, loop.index, work), work)
        with e.loop(loop.index, last, number(1)) as rest:
            zero = ir.Constant(KINDS[work][0], 0.0)
            b.store(zero, e.address(line, rest.index, work), align=SIZES[work])

    def _filled(self, line: Any, first: Any, last: Any) -> None:
        e, b, work = self.emitter, self.emitter.builder, self.wanted.work
        fill = b.load(self.fields["fill"], typ=KINDS[work][0])
        with e.loop(first, last, number(1)) as loop:
            b.store(fill, e.address(line, loop.index, work), align=SIZES[work])

    def _edge(self, start: Any, line: Any, column: Any, low: Any, high: Any) -> None:
        """Write the load of pixels that lie anywhere, or nowhere."""
        e, b, step = self.emitter, self.emitter.builder, number(self.wanted.step)
        with e.loop(low, high, number(1)) as loop:
            at = b.load(e.address(self.fields["column_map"], loop.index, "int64"), typ=INT64)
            to = b.sub(loop.index, column)
            with b.if_else(b.icmp_signed("<", at, number(0))) as (outside, inside):
                with outside:
                    self._filled(line, to, b.add(to, number(1)))
                with inside:
                    self._one(e.address(start, b.mul(at, step), self.wanted.source), line, to)

    def _run(self, start: Any, line: Any, column: Any, first: Any, last: Any) -> None:
        """Write the load of pixels side by side."""
        e, b, wanted = self.emitter, self.emitter.builder, self.wanted
        shift, step = self.fields["column_shift"], number(wanted.step)

        def origin(index: Any) -> Any:
            return e.address(start, b.mul(b.add(index, shift), step), wanted.source)

        begin = first
        if wanted.step <= MOST_SHUFFLED:
            whole = b.sub(last, number(e.lanes - 1))
            kind = self._wide(wanted.source, wanted.step)
            order = range(0, kind.count, wanted.step)
            with e.loop(first, whole, number(e.lanes)) as loop:
                place = origin(loop.index)
                every = b.load(place, align=SIZES[wanted.source], typ=kind)
                value = e.shuffled(every, every, order)
                self._put(value, e.address(line, b.sub(loop.index, column), wanted.work))
            begin = loop.index
        with e.loop(begin, last, number(1)) as single:
            self._one(origin(single.index), line, b.sub(single.index, column))

    def _one(self, origin: Any, line: Any, to: Any) -> None:
        """Write the load of one entry."""
        e, b, wanted = self.emitter, self.emitter.builder, self.wanted
        lanes, e.lanes = e.lanes, 1
        value = e.load(origin, wanted.source)
        value = e.convert(value, wanted.source, wanted.work)
        to = e.address(line, to, wanted.work)
        e.store(value, to, wanted.work)
        e.lanes = lanes
        if KINDS[wanted.source][1] == "f":
            self._note(e.splat(b.extract_element(value, ir.Constant(INT32, 0))))

    def _put(self, value: Any, to: Any) -> None:
        """Write the conversion and the store of a vector."""
        e, wanted = self.emitter, self.wanted
        value = e.convert(value, wanted.source, wanted.work)
        e.store(value, to, wanted.work)
        if KINDS[wanted.source][1] == "f":
            self._note(value)

    def _note(self, value: Any) -> None:
        """Write the comparison of magnitudes, whose bits are integers of the same order."""
        e, b = self.emitter, self.emitter.builder
        kind = e.vector(self.bits)
        sign = e.constant((1 << (8 * SIZES[self.wanted.work] - 1)) - 1, self.bits)
        bits = b.and_(b.bitcast(value, kind), sign)
        known = b.load(self.largest, typ=kind)
        b.store(e.extreme(known, bits, "max", self.bits), self.largest)


class _Storer(_Writer):
    def __init__(self, module: Any, wanted: Store) -> None:
        super().__init__(module, wanted, STORE, STORE_FIELDS)
        self.wanted = wanted
        self.rest = self.emitter.builder.alloca(self.emitter.vector(wanted.target))

    def write(self) -> Any:
        e, f, wanted = self.emitter, self.fields, self.wanted
        b, (_, tile, row, rows, column, columns, channel) = e.builder, e.function.args
        step = number(wanted.step)
        with e.loop(number(0), rows, number(1)) as loop:
            line = e.address(tile, b.mul(loop.index, f["tile_stride"]), wanted.work)
            to_row = b.add(row, loop.index)
            start = b.add(b.mul(to_row, f["target_stride"]), channel)
            start = b.add(start, b.mul(column, step))
            start = e.address(f["target"], start, wanted.target)
            whole = b.sub(columns, number(e.lanes - 1))
            with e.loop(number(0), whole, number(e.lanes)) as across:
                value = self._value(line, to_row, column, across.index)
                self._put(value, e.address(start, b.mul(across.index, step), wanted.target))
            # The tile's rows go on behind the last result.
            with b.if_then(b.icmp_signed("<", across.index, columns)):
                value = self._value(line, to_row, column, across.index)
                b.store(value, self.rest)
                with e.loop(across.index, columns, number(1)) as single:
                    lane = e.address(self.rest, b.sub(single.index, across.index), wanted.target)
                    entry = b.load(lane, typ=KINDS[wanted.target][0])
                    to = e.address(start, b.mul(single.index, step), wanted.target)
                    b.store(entry, to, align=SIZES[wanted.target])
        b.ret_void()
        return self.module

    def _value(self, line: Any, row: Any, column: Any, index: Any) -> Any:
        """Return a vector of results."""
        e, b, f, wanted = self.emitter, self.emitter.builder, self.fields, self.wanted
        value = e.load(e.address(line, index, wanted.work), wanted.work)
        if wanted.whole:
            value = e.unary("roundeven", value, wanted.work)
        if wanted.scaled:
            entry = e.address(f["row_scale"], row, wanted.work)
            scale = e.splat(b.load(entry, typ=KINDS[wanted.work][0]))
            across = e.address(f["column_scale"], b.add(column, index), wanted.work)
            value = b.fmul(b.fmul(value, scale), e.load(across, wanted.work))
        return e.convert(value, wanted.work, wanted.target, wanted.rounding, wanted.bounded)

    def _put(self, value: Any, to: Any) -> None:
        """Write the store of a vector to pixels side by side, between their other channels."""
        e, b, wanted = self.emitter, self.emitter.builder, self.wanted
        size = SIZES[wanted.target]
        if wanted.step > MOST_SHUFFLED:
            for lane in range(e.lanes):
                entry = b.extract_element(value, ir.Constant(INT32, lane))
                place = e.address(to, number(lane * wanted.step), wanted.target)
                b.store(entry, place, align=size)
            return
        kind = self._wide(wanted.target, wanted.step)
        if wanted.step > 1:
            known = b.load(to, align=size, typ=kind)
            spread = [i // wanted.step if i % wanted.step == 0 else 0 for i in range(kind.count)]
            value = e.shuffled(value, value, spread)
            order = [i + kind.count * (i % wanted.step == 0) for i in range(kind.count)]
            value = e.shuffled(known, value, order)
        b.store(value, to, align=size)

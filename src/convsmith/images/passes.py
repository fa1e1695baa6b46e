"""One pass over a block of rows: every output the sum, or the extreme, of its window's products.

Several rows and vectors are computed at a time, so that each entry that is loaded serves all of
them. The taps of an output come in the order of the kernel's rows, then columns, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsmith.images.emit import Emitter, number, registers
from convsmith.images.program import FLAT, MOST_UNROLLED, Stage


@dataclass(frozen=True)
class Blocking:
    """How many outputs are computed at a time."""

    rows: int
    vectors: int


def blocking(stage: Stage) -> Blocking:
    """Return what was fastest for windows of such a form."""
    if stage.mirrored and stage.count > MOST_UNROLLED:
        return Blocking(1, 2)
    if stage.rows == 1:
        return Blocking(1, 4)
    # Sums and what they share are to fit the processor's registers together. Rows of tiles are
    # whole blocks: a power of two.
    many = registers() > 16
    if stage.mirrored:
        return Blocking(4, 2 if many else 1)
    if stage.columns == 1 and stage.semiring in FLAT:
        return Blocking(min(8, 1 << (stage.rows.bit_length() - 1)), 2)
    if stage.columns == 1:
        return Blocking(4, 4 if many else 2)
    if many or (stage.semiring in FLAT and (stage.taps or stage.count <= MOST_UNROLLED)):
        return Blocking(4, 2)
    # Rows a power of two apart share few places of the cache, which more of them would overfill.
    return Blocking(2, 4)


class Sink:
    """Where sums begin and where results go; the last pass of all writes the image."""

    def begin(self, emitter: Emitter, row: Any, column: Any, mask: Any) -> Any:
        """Return the vector that a sum begins with."""
        raise NotImplementedError

    def end(self, emitter: Emitter, value: Any, row: Any, column: Any, mask: Any) -> None:
        """Write a vector of results."""
        raise NotImplementedError


@dataclass(frozen=True)
class Source:
    """What a pass reads: where its first window begins, and how far apart rows are."""

    pointer: Any
    stride: Any


class Pass:
    """Writes one pass into a function."""

    def __init__(
        self, emitter: Emitter, stage: Stage, work: str, step: int, fused: bool, kernel: Any,
        reads: str | None = None,
    ) -> None:  # fmt: skip
        self.emitter = emitter
        self.stage = stage
        self.work = work
        self.step = step
        self.fused = fused
        self.kernel = kernel
        self.reads = reads or work

    def write(self, source: Source, sink: Sink, rows: Any, columns: Any) -> None:
        """Write the loops over all outputs."""
        e, b = self.emitter, self.emitter.builder
        size = blocking(self.stage)
        span = size.vectors * e.lanes
        with e.loop(number(0), b.sub(rows, number(size.rows - 1)), number(size.rows)) as loop:
            with e.loop(number(0), b.sub(columns, number(span - 1)), number(span)) as across:
                self._tile(source, sink, loop.index, size.rows, across.index, size.vectors, None)
            self._ends(source, sink, loop.index, size.rows, across.index, columns)
        if size.rows > 1:
            with e.loop(loop.index, rows, number(1)) as single:
                self._ends(source, sink, single.index, 1, number(0), columns)

    def _ends(
        self, source: Source, sink: Sink, row: Any, rows: int, start: Any, columns: Any
    ) -> None:
        e, b = self.emitter, self.emitter.builder
        with e.loop(start, columns, number(e.lanes)) as across:
            mask = e.first_lanes(b.sub(columns, across.index))
            self._tile(source, sink, row, rows, across.index, 1, mask)

    def _tile(
        self, source: Source, sink: Sink, row: Any, rows: int, column: Any, vectors: int, mask: Any
    ) -> None:
        e, b = self.emitter, self.emitter.builder
        corner = b.add(b.mul(row, source.stride), column)
        base = e.address(source.pointer, corner, self.reads)
        places = [
            [(b.add(row, number(i)), b.add(column, number(v * e.lanes))) for v in range(vectors)]
            for i in range(rows)
        ]
        sums = [[sink.begin(e, *place, mask) for place in line] for line in places]
        window = _Window(self, source, base, mask, rows, vectors)
        if self.stage.mirrored:
            few = self.stage.count <= MOST_UNROLLED
            sums = window.mirrored(sums) if few else window.looped_pairs(sums)
        elif self._shares(rows):
            sums = window.shared(sums)
        elif self.stage.taps is not None or self.stage.count <= MOST_UNROLLED:
            sums = window.unrolled(sums)
        else:
            sums = window.looped(sums)
        for line, results in zip(places, sums, strict=True):
            for place, value in zip(line, results, strict=True):
                sink.end(e, value, *place, mask)

    def _shares(self, rows: int) -> bool:
        """Whether outputs below each other have most of what they compare in common."""
        stage = self.stage
        return stage.semiring in FLAT and stage.taps is None and stage.columns == 1 and rows > 1


class _Window:
    """The sums of one tile."""

    def __init__(
        self, owner: Pass, source: Source, base: Any, mask: Any, rows: int, vectors: int
    ) -> None:
        self.owner = owner
        self.stage = owner.stage
        self.emitter = owner.emitter
        self.stride = source.stride
        self.base = base
        self.mask = mask
        self.rows = rows
        self.vectors = vectors

    def unrolled(self, sums: list[list[Any]]) -> list[list[Any]]:
        """Return the sums, each tap written out."""
        height, width = self.stage.rows, self.stage.columns
        taps = self.stage.taps
        if taps is None:
            taps = tuple((i, j) for i in range(height) for j in range(width))
        position = {tap: n for n, tap in enumerate(taps)}
        flat = self.stage.semiring in FLAT
        weights = [None if flat else self._weight(number(n)) for n in range(len(taps))]
        for y in range(height + self.rows - 1):
            line = self._line(number(y))
            for x in range(width):
                # The output rows that have this entry in their window, by their tap.
                reading = [(i, position.get((y - i, x))) for i in range(self.rows)]
                reading = [(i, n) for i, n in reading if n is not None]
                if reading:
                    entries = self._entries(line, number(x))
                    for i, n in reading:
                        sums[i] = self._added(sums[i], weights[n], entries)
        return sums

    def shared(self, sums: list[list[Any]]) -> list[list[Any]]:
        """Return the extremes of columns: of what all rows of outputs see, then of the rest."""
        height, rows = self.stage.rows, self.rows

        def entries(y: int) -> list[Any]:
            return self._entries(self._line(number(y)), number(0))

        core = entries(rows - 1)
        for y in range(rows, height):
            core = self._added(core, None, entries(y))
        # What the outputs above see more of, from the core upwards; and those below.
        above: list[list[Any]] = [core]
        for y in range(rows - 2, -1, -1):
            above.append(self._added(above[-1], None, entries(y)))
        result = [self._added(sums[i], None, above[rows - 1 - i]) for i in range(rows)]
        below: list[Any] | None = None
        for i in range(1, rows):
            more = entries(height + i - 1)
            below = more if below is None else self._added(below, None, more)
            result[i] = self._added(result[i], None, below)
        return result

    def looped(self, sums: list[list[Any]]) -> list[list[Any]]:
        """Return the sums, by loops over the kernel's rows and columns."""
        height, rows = self.stage.rows, self.rows
        most = min(rows, height)
        # Rows that only some of the outputs see come before and after those that all do.
        for y in range(most - 1):
            sums = self._along(sums, number(y), range(min(y + 1, rows)))
        if height >= rows:
            flat = [v for line in sums for v in line]
            with self.emitter.loop(number(rows - 1), number(height), number(1), flat) as loop:
                inner = self._along(self._nested(loop.values), loop.index, range(rows))
                loop.values = [v for line in inner for v in line]
            sums = self._nested(loop.values)
            later = range(height, height + rows - 1)
        else:
            later = range(most - 1, height + rows - 1)
        for y in later:
            reading = range(max(0, y - height + 1), min(y + 1, rows))
            sums = self._along(sums, number(y), reading)
        return sums

    def mirrored(self, sums: list[list[Any]]) -> list[list[Any]]:
        """Return the sums of a line: its middle first, then pairs from the ends inwards."""
        length = self.stage.count
        down, half = self.stage.rows > 1, length // 2

        def entries(tap: int) -> list[Any]:
            if down:
                return self._entries(self._line(number(tap)), number(0))
            return self._entries(self.base, number(tap))

        middle = self._weight(number(half))
        sums = [self._added(sums[i], middle, entries(half + i)) for i in range(self.rows)]
        # Rows of outputs below each other pair entries below each other: all but one are there.
        upper = [entries(i) for i in range(self.rows)]
        lower = [entries(length - 1 + i) for i in range(self.rows)]
        for tap in range(half):
            if tap:
                upper = [*upper[1:], entries(tap + self.rows - 1)]
                lower = [entries(length - 1 - tap), *lower[:-1]]
            weight = self._weight(number(tap))
            for i in range(self.rows):
                pairs = self._paired(upper[i], lower[i])
                sums[i] = self._added(sums[i], weight, pairs)
        return sums

    def _paired(self, first: list[Any], second: list[Any]) -> list[Any]:
        b, same = self.emitter.builder, self.stage.mirrored > 0
        if "int" in self.owner.work:
            combine = b.add if same else b.sub
        else:
            combine = b.fadd if same else b.fsub
        return [combine(one, two) for one, two in zip(first, second, strict=True)]

    def looped_pairs(self, sums: list[list[Any]]) -> list[list[Any]]:
        """Return what `mirrored` does, by a loop."""
        length = max(self.stage.rows, self.stage.columns)
        down = self.stage.rows > 1
        half, b = length // 2, self.emitter.builder

        def entries(tap: Any) -> list[Any]:
            if down:
                return self._entries(self._line(tap), number(0))
            return self._entries(self.base, tap)

        middle = self._weight(number(half))
        sums = [self._added(sums[0], middle, entries(number(half)))]
        with self.emitter.loop(number(0), number(half), number(1), sums[0]) as loop:
            pairs = self._paired(
                entries(loop.index), entries(b.sub(number(length - 1), loop.index))
            )
            loop.values = self._added(loop.values, self._weight(loop.index), pairs)
        return [loop.values]

    def _along(self, sums: list[list[Any]], y: Any, reading: range) -> list[list[Any]]:
        """Return the sums after one row of entries, for the output rows that see it."""
        e, b = self.emitter, self.emitter.builder
        line = self._line(y)
        width = number(self.stage.columns)
        starts = {i: b.mul(b.sub(y, number(i)), width) for i in reading}
        flat = [v for i in reading for v in sums[i]]
        with e.loop(number(0), width, number(1), flat) as loop:
            entries = self._entries(line, loop.index)
            values: list[Any] = []
            for place, i in enumerate(reading):
                weight = None
                if self.stage.semiring not in FLAT:
                    weight = self._weight(b.add(starts[i], loop.index))
                mine = loop.values[place * self.vectors : (place + 1) * self.vectors]
                values += self._added(mine, weight, entries)
            loop.values = values
        result = [list(line) for line in sums]
        for place, i in enumerate(reading):
            result[i] = loop.values[place * self.vectors : (place + 1) * self.vectors]
        return result

    def _nested(self, flat: list[Any]) -> list[list[Any]]:
        n = self.vectors
        return [list(flat[i * n : (i + 1) * n]) for i in range(self.rows)]

    def _line(self, y: Any) -> Any:
        e = self.emitter
        return e.address(self.base, e.builder.mul(y, self.stride), self.owner.reads)

    def _entries(self, line: Any, x: Any) -> list[Any]:
        e, work, reads = self.emitter, self.owner.work, self.owner.reads
        start = e.address(line, e.builder.mul(x, number(self.owner.step)), reads)
        places = [e.address(start, number(v * e.lanes), reads) for v in range(self.vectors)]
        return [e.convert(e.load(place, reads, self.mask), reads, work) for place in places]

    def _weight(self, index: Any) -> Any:
        e, work = self.emitter, self.owner.work
        pointer = e.address(self.owner.kernel, index, work)
        return e.splat(e.builder.load(pointer, typ=e.vector(work).element))

    def _added(self, sums: list[Any], weight: Any, entries: list[Any]) -> list[Any]:
        e, work, semiring = self.emitter, self.owner.work, self.stage.semiring
        if semiring == "sum_product":
            return [
                e.multiply_add(weight, entry, total, work, self.owner.fused)
                for entry, total in zip(entries, sums, strict=True)
            ]
        if semiring in FLAT:
            return [
                e.extreme(total, entry, semiring, work)
                for entry, total in zip(entries, sums, strict=True)
            ]
        kind = semiring.split("_")[0]
        return [
            e.extreme(total, e.builder.fadd(entry, weight), kind, work)
            for entry, total in zip(entries, sums, strict=True)
        ]

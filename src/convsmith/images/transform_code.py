"""The machine code that filters two tiles at once by their Fourier transforms.

The kernel is real, so that one tile may be the real and another the imaginary part of one complex
tile, and its filtered parts are the two filtered tiles. Each axis is transformed as columns, many
side by side in vectors; rows become columns where vectors are stored as 4 x 4 transposed blocks.
The order that butterflies leave frequencies in doesn't matter: the kernel's are laid out likewise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from convsmith.images import emit
from convsmith.images.butterflies import Butterflies, Complex, swapped
from convsmith.images.emit import Emitter, number
from convsmith.images.program import SIZES

Array = NDArray[Any]

FACTORS: dict[int, tuple[int, ...]] = {
    16: (4, 4), 32: (4, 8), 64: (8, 8), 96: (3, 4, 8), 128: (4, 4, 8), 192: (3, 4, 4, 4),
    256: (4, 4, 4, 4), 384: (3, 4, 4, 8), 512: (4, 4, 4, 8), 768: (3, 4, 8, 8), 1024: (4, 4, 8, 8),
}  # fmt: skip
"""The sizes that there are, and the transforms in registers that make them up."""

TRANSFORM = "pppppi"
"""The arguments of the machine code."""

PAD = 16
"""Rows a power of two apart would share the same few places of the cache."""


@dataclass(frozen=True)
class Transform:
    """Two tiles of some size, and what their entries are computed in."""

    rows: int
    columns: int
    work: str

    @property
    def lanes(self) -> int:
        """How many numbers are computed at a time."""
        return emit.vector_bytes() // SIZES[self.work]

    @property
    def plane(self) -> int:
        """How many entries a tile takes."""
        return self.rows * (self.columns + PAD)

    @property
    def scratch(self) -> int:
        """How many entries are needed besides the tiles: both transposed, and some columns."""
        across = self.columns * (self.rows + PAD)
        return 2 * across + 2 * max(self.rows, self.columns) * self.lanes


def name_of(transform: Transform) -> str:
    """Return the name of the machine code, which no other has."""
    text = repr((transform, emit.processor(), emit.sources()))
    return "transform_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def frequencies(size: int) -> list[int]:
    """Return which frequency each place of a transformed axis holds."""

    def order(size: int, factors: Sequence[int]) -> list[int]:
        if not factors:
            return [0]
        inner = order(size // factors[0], factors[1:])
        return [factors[0] * q + k for k in range(factors[0]) for q in inner]

    return order(size, FACTORS[size])


def spectrum(transform: Transform, values: Array) -> Array:
    """Return a kernel's transform (rows, columns) as the machine code reads it."""
    rows, columns = frequencies(transform.rows), frequencies(transform.columns)
    placed = values[np.ix_(rows, columns)]
    lanes = transform.lanes
    groups = placed.reshape(-1, lanes, transform.columns).transpose(0, 2, 1)
    return np.ascontiguousarray(
        np.stack([np.real(groups), np.imag(groups)], 2), dtype=transform.work
    )


def turns(size: int, work: str) -> Array:
    """Return what is multiplied by between the transforms that make up one of some size."""
    found = []
    for factor in FACTORS[size]:
        rest = size // factor
        angles = -2 * np.pi * np.outer(np.arange(rest), np.arange(1, factor)) / size
        if rest > 1:
            found.append(np.stack([np.cos(angles), np.sin(angles)], -1).ravel())
        size = rest
    return np.concatenate(found).astype(work)


def turns_count(size: int) -> int:
    """Return how many numbers `turns` are."""
    count = 0
    for factor in FACTORS[size]:
        size //= factor
        count += 2 * size * (factor - 1) * (size > 1)
    return count


def written(transform: Transform) -> Any:
    """Return the module with the function.

    Its arguments are `TRANSFORM`: both tiles, memory, the kernel's transform, the turns of rows
    and of columns, and how many columns of results are wanted.
    """
    module = ir.Module(name_of(transform))
    module.triple = emit.machine().triple
    return _Writer(module, transform).write()


Plane = tuple[Any, int]
"""Where the real parts lie, and how many entries later the imaginary ones."""

Read = Callable[[Sequence[Any]], list[Complex]]
Write = Callable[[Sequence[Any], Sequence[Complex]], None]


class _Writer:
    def __init__(self, module: Any, transform: Transform) -> None:
        self.module = module
        self.transform = transform
        self.work = transform.work
        self.emitter = Emitter(module, name_of(transform), TRANSFORM, transform.lanes)
        self.butterflies = Butterflies(self.emitter, self.work)

    def write(self) -> Any:
        """Write columns, rows with the product, and columns again."""
        e, t = self.emitter, self.transform
        b, lanes = e.builder, number(e.lanes)
        tiles, scratch, spectrum, turns_down, turns_across, wanted = e.function.args
        wide, high = t.columns + PAD, t.rows + PAD
        across = e.address(scratch, number(2 * t.columns * high), self.work)
        self.columns = across, max(t.rows, t.columns) * e.lanes
        tiles = tiles, t.plane
        turned = scratch, t.columns * high
        down, over = FACTORS[t.rows], FACTORS[t.columns]
        with e.loop(number(0), number(t.columns), lanes) as loop:
            self._forward(
                t.rows, down, turns_down, self._strided(tiles, wide, loop.index)[0],
                self._transposed(turned, high, loop.index)[1],
            )  # fmt: skip
        with e.loop(number(0), number(t.rows), lanes) as loop:
            read, write = self._strided(turned, high, loop.index)
            start = b.mul(loop.index, number(2 * t.columns))
            product = self._product(e.address(spectrum, start, self.work))
            self._forward(t.columns, over, turns_across, read, product)
            self._inverse(t.columns, over, turns_across, None, write)
        with e.loop(number(0), wanted, lanes) as loop:
            read = self._transposed(turned, high, loop.index)[0]
            write = self._strided(tiles, wide, loop.index)[1]
            self._inverse(t.rows, down, turns_down, read, write)
        b.ret_void()
        return self.module

    # Passes

    def _forward(
        self, size: int, factors: Sequence[int], turns: Any, read: Read, write: Write
    ) -> None:
        """Write a transform of columns; `read` begins it and `write` ends it."""
        within = self._strided(self.columns, self.emitter.lanes, number(0))
        offset, length = 0, size
        for index, factor in enumerate(factors):
            rest = length // factor
            source = read if index == 0 else within[0]
            sink = write if rest == 1 else within[1]
            with self._places(size, length, factor) as (places, j):
                values = self.butterflies.transformed(source(places))
                if rest > 1:
                    values = self._turned(values, turns, offset, j)
                sink(places, values)
            offset += 2 * rest * (factor - 1)
            length = rest

    def _inverse(
        self, size: int, factors: Sequence[int], turns: Any, read: Read | None, write: Write
    ) -> None:
        """Write the inverse; without `read` its first transforms are done already."""
        within = self._strided(self.columns, self.emitter.lanes, number(0))
        offset, length = turns_count(size), 1
        for index, factor in enumerate(reversed(factors)):
            rest, length = length, length * factor
            if rest > 1:
                offset -= 2 * rest * (factor - 1)
            if read is None and index == 0:
                continue
            source = read if read is not None and index == 0 else within[0]
            sink = write if length == size else within[1]
            with self._places(size, length, factor) as (places, j):
                values = swapped(source(places))
                if rest > 1:
                    values = self._turned(values, turns, offset, j)
                sink(places, swapped(self.butterflies.transformed(values)))

    @contextmanager
    def _places(self, size: int, length: int, factor: int) -> Iterator[tuple[list[Any], Any]]:
        """Repeat for each transform in registers; its entries' places, and which turns it takes."""
        e, b, rest = self.emitter, self.emitter.builder, length // factor
        with ExitStack() as loops:
            first = j = number(0)
            if length < size:
                block = loops.enter_context(e.loop(number(0), number(size), number(length)))
                first = block.index
            if rest > 1:
                j = loops.enter_context(e.loop(number(0), number(rest), number(1))).index
            start = b.add(first, j)
            yield [b.add(start, number(k * rest)) for k in range(factor)], j

    def _turned(self, values: list[Complex], turns: Any, offset: int, j: Any) -> list[Complex]:
        """Return all but the first, each times its turn."""
        e, b, each = self.emitter, self.emitter.builder, len(values) - 1
        kind = e.vector(self.work).element
        place = e.address(turns, b.add(number(offset), b.mul(j, number(2 * each))), self.work)
        result = [values[0]]
        for k, value in enumerate(values[1:]):
            cosine, sine = (
                e.splat(b.load(e.address(place, number(2 * k + i), self.work), typ=kind))
                for i in range(2)
            )
            result.append(self.butterflies.times(value, (cosine, sine)))
        return result

    def _product(self, spectrum: Any) -> Write:
        """Return what multiplies by the kernel's transform, and begins the inverse."""
        e, b = self.emitter, self.emitter.builder
        _, write = self._strided(self.columns, e.lanes, number(0))

        def product(places: Sequence[Any], values: Sequence[Complex]) -> None:
            multiplied = []
            for place, value in zip(places, values, strict=True):
                start = b.mul(place, number(2 * e.lanes))
                real, imaginary = (
                    e.load(
                        e.address(spectrum, b.add(start, number(i * e.lanes)), self.work), self.work
                    )
                    for i in range(2)
                )
                multiplied.append(self.butterflies.times(value, (real, imaginary)))
            write(places, swapped(self.butterflies.transformed(swapped(multiplied))))

        return product

    # Where vectors lie

    def _strided(self, plane: Plane, stride: int, column: Any) -> tuple[Read, Write]:
        """Return how columns side by side are read and written, the rows `stride` apart."""
        e, b = self.emitter, self.emitter.builder

        def place(row: Any, part: int) -> Any:
            index = b.add(b.mul(row, number(stride)), b.add(column, number(part * plane[1])))
            return e.address(plane[0], index, self.work)

        def read(rows: Sequence[Any]) -> list[Complex]:
            return [
                (e.load(place(row, 0), self.work), e.load(place(row, 1), self.work)) for row in rows
            ]

        def write(rows: Sequence[Any], values: Sequence[Complex]) -> None:
            for row, value in zip(rows, values, strict=True):
                for part in range(2):
                    e.store(value[part], place(row, part), self.work)

        return read, write

    def _transposed(self, plane: Plane, stride: int, column: Any) -> tuple[Read, Write]:
        """Return how rows that follow each other are read, and written, as columns."""
        e, b = self.emitter, self.emitter.builder
        block = 16 // SIZES[self.work]
        kind = ir.VectorType(e.vector(self.work).element, block)

        def place(row: Any, lane: int, part: int) -> Any:
            start = b.mul(b.add(column, number(lane)), number(stride))
            index = b.add(start, b.add(row, number(part * plane[1])))
            return e.address(plane[0], index, self.work)

        def read(rows: Sequence[Any]) -> list[Complex]:
            parts: list[list[Any]] = [[], []]
            for row in rows[::block]:
                for part in range(2):
                    lines = [
                        self._joined(
                            [
                                b.load(place(row, lane, part), align=SIZES[self.work], typ=kind)
                                for lane in range(first, e.lanes, block)
                            ]
                        )
                        for first in range(block)
                    ]
                    parts[part] += self._blocks_transposed(lines)
            return list(zip(*parts, strict=True))

        def write(rows: Sequence[Any], values: Sequence[Complex]) -> None:
            for index in range(0, len(rows), block):
                for part in range(2):
                    lines = [value[part] for value in values[index : index + block]]
                    for first, line in enumerate(self._blocks_transposed(lines)):
                        for lane in range(0, e.lanes, block):
                            piece = self.emitter.shuffled(line, line, range(lane, lane + block))
                            to = place(rows[index], lane + first, part)
                            b.store(piece, to, align=SIZES[self.work])

        return read, write

    def _blocks_transposed(self, lines: Sequence[Any]) -> list[Any]:
        """Return vectors of which each 16 bytes are a row of a small block, as its columns."""
        lanes, block = self.emitter.lanes, len(lines)

        def mixed(a: Any, c: Any, run: int, half: int) -> Any:
            """Return runs of entries of a half of each block, one of `a`, one of `c`, in turns."""
            order = []
            for start in range(0, lanes, block):
                for at in range(start + half * block // 2, start + (half + 1) * block // 2, run):
                    order += [*range(at, at + run), *range(lanes + at, lanes + at + run)]
            return self.emitter.shuffled(a, c, order)

        if block == 2:
            return [mixed(lines[0], lines[1], 1, half) for half in range(2)]
        pairs = [
            (mixed(lines[0], lines[1], 1, half), mixed(lines[2], lines[3], 1, half))
            for half in range(2)
        ]
        return [mixed(a, c, 2, half) for a, c in pairs for half in range(2)]

    def _joined(self, pieces: list[Any]) -> Any:
        """Return one vector of several."""
        while len(pieces) > 1:
            length = 2 * pieces[0].type.count
            pieces = [
                self.emitter.shuffled(a, c, range(length))
                for a, c in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        return pieces[0]

"""Filtering images larger than memory, from disk to disk, tile after tile; stopped and resumed.

The result is made in the folder ``OUT.partial`` beside it, with a record of what is asked for and
which tiles are done, and gets its name when it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith._version import __version__
from convsmith.errors import ArgumentError, ConvsmithError, UnsupportedError, compose
from convsmith.images import pictures, sinks
from convsmith.images.compression import NONE, compress, for_tiff, of_number
from convsmith.images.parts import Places, Recipe, gathered, recipe
from convsmith.images.sources import Source, grayed, opened
from convsmith.images.threads import processors
from convsmith.images.treatment import Treatment
from convsmith.images.unfinished import Unfinished, identity

Array = NDArray[Any]

MEMORY = 256 << 20
"""What the tiles that are worked on may take together."""

SMALLEST, LARGEST = 4 << 20, 48 << 20
"""What a tile may take."""

CHUNK_SIDES = {1: 1 << 20, 2: 1024, 3: 128}
"""The chunks of new Zarr arrays, by how many axes are filtered."""

FEW = 16
"""So many channels stay together."""

Progress = Callable[[int, int], None]
"""Told how many tiles are done, and how many there are."""


def filter_file(
    path: Path | str,
    out: Path | str,
    treatment: Treatment | Any,
    *,
    axes: Sequence[int] | None = None,
    jobs: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    compression: str | None = None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Filter an image on disk to another one, with little memory.

    The numbers are those of the image in memory, to the bit.

    Args:
        path: a .npy file, a Zarr array's folder or a TIFF file.
        out: the result: .npy, .zarr or .tif by its suffix.
        treatment: a `Treatment`, or just a kernel.
        axes: which axes are filtered; by default rows and columns where the file says which
            they are, otherwise as in `convsmith.images.filter`.
        jobs: how many tiles are worked on at a time; as many as there are processors by default.
        resume: whether to go on with what a stopped run has done.
        overwrite: whether `out` may be there, and is replaced.
        compression: of TIFF results: ``"none"``, ``"zlib"``, ``"lzma"``, ``"lzw"`` or ``"zstd"``;
            a TIFF file's own by default. It begins when all tiles are done, and needs the room of
            the result without it as well.
        progress: called after each tile.

    Raises:
        ArgumentError: `out` is there, or half done, and nothing says what to do with it; or what
            is half done was asked for otherwise; or an unknown compression.
        DataError: `path` isn't such an image.
        UnsupportedError: a kind of result that can't hold such numbers, or a missing library.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/in.npy", np.eye(5, dtype="float32"))
        ...     filter_file(f"{folder}/in.npy", f"{folder}/out.npy", [[2.0]])
        ...     float(np.load(f"{folder}/out.npy").sum())
        10.0

    Source: none.
    """
    path, out = Path(path), Path(out)
    wanted = treatment if isinstance(treatment, Treatment) else Treatment(treatment)
    if out.exists() and not overwrite:
        raise ArgumentError(
            compose(str(out), "is there already", fix="--overwrite, or another name"),
            argument="out",
            value=out,
        )
    with opened(path) as found:
        source = grayed(found) if wanted.gray else found
        chosen = source.axes if axes is None else tuple(axes)
        given = for_tiff(compression, out)
        work = _Work(wanted, source, path, out, chosen, jobs or processors(), given)
        work.begin(resume, overwrite)
        try:
            work.run(progress)
        except ConvsmithError:  # What can't be read, next time neither.
            work.unfinished.abandon()
            raise
    work.unfinished.end()


class _Work:
    """One image on its way from disk to disk."""

    def __init__(
        self, treatment: Treatment, source: Source, path: Path, out: Path,
        axes: tuple[int, ...] | None, jobs: int, compression: str | None,
    ) -> None:  # fmt: skip
        self.treatment, self.source, self.path, self.out = treatment, source, path, out
        self.jobs = jobs
        dtype = source.dtype
        self.recipe: Recipe = recipe(
            source.shape, dtype, treatment.kernel, axes=axes, dtype=treatment.summed(dtype),
            **treatment.options,
        )  # fmt: skip
        self.bank = self.recipe.wanted.bank
        self.merged = self.bank and treatment.magnitude
        self.shape = source.shape if self.merged else self.recipe.result_shape
        complex_result = self.recipe.dtype.kind == "c" and not (
            treatment.magnitude or treatment.absolute
        )
        self.dtype = self.recipe.dtype if complex_result else np.dtype(treatment.target(dtype))
        self.chunks = self._chunks()
        self.tile = self._tile()
        self.unfinished = Unfinished(out)
        own = of_number(source.compression) if out.suffix in pictures.TIFF else NONE
        self.compression = compression or own

    def _samples(self) -> int:
        """Return how many samples the last axis has, where it is of colours."""
        last, rank = self.shape[-1], len(self.shape)
        unsaid = self.source.samples is None and rank == 3 and last in (3, 4)
        return last if unsaid or self.source.samples == rank - 1 else 0

    def _chunks(self) -> tuple[int, ...]:
        """Return the chunks of a new Zarr array."""
        shape = self.source.shape
        if self.source.chunked:
            unit = list(self.source.unit)
        else:
            side = CHUNK_SIDES[len(self.recipe.axes)]
            last = len(shape) - 1
            unit = [1] * len(shape)
            for axis in self.recipe.axes:
                unit[axis] = side
            if last not in self.recipe.axes and shape[last] <= FEW:
                unit[last] = shape[last]
        unit = [max(1, min(u, n)) for u, n in zip(unit, shape, strict=True)]
        return tuple(unit) if len(self.shape) == len(shape) else (*unit, self.shape[-1])

    def _tile(self) -> tuple[int, ...]:
        """Return what is filtered at a time: whole chunks, as many as the memory allows."""
        shape = self.source.shape
        unit = self.chunks if self.out.suffix == ".zarr" else self.source.unit
        tile = [max(1, min(u, n)) for u, n in zip(unit, shape, strict=False)]
        filters = self.shape[-1] if len(self.shape) > len(shape) else 1
        entry = self.source.dtype.itemsize + filters * max(
            self.dtype.itemsize, self.recipe.dtype.itemsize
        )
        budget = min(max(MEMORY // self.jobs, SMALLEST), LARGEST) // entry

        def grow(axis: int, most: int) -> None:
            while tile[axis] < most and prod(tile) * 2 <= budget:
                tile[axis] = min(tile[axis] * 2, shape[axis])

        last = len(shape) - 1
        if last not in self.recipe.axes and shape[last] <= FEW:
            grow(last, shape[last])
        # Tiles much larger than the kernel read little twice.
        for index, axis in enumerate(self.recipe.axes):
            taps = max(plan.shape[index] for plans in self.recipe.plans for plan in plans)
            grow(axis, min(max(256, 8 * taps), shape[axis]))
        for axis in reversed(range(len(shape))):
            grow(axis, shape[axis])
        return tuple(tile)

    def request(self) -> dict[str, Any]:
        """Return what must be the same for a stopped run to go on."""
        numbers = hashlib.sha256()
        for plans in self.recipe.plans:
            for plan in plans:
                numbers.update(repr((plan.shape, plan.anchor, plan.method)).encode())
                numbers.update(np.ascontiguousarray(plan.kernel).tobytes())
        treatment, wanted = self.treatment, self.recipe.wanted
        return {
            "version of convsmith": __version__,
            "the input": identity(self.path),
            "kernel": numbers.hexdigest(),
            "axes": wanted.axes,
            "padding": repr(wanted.edges),
            "convention": treatment.options.get("convention"),
            "gray": treatment.gray,
            "magnitude": treatment.magnitude,
            "absolute": treatment.absolute,
            "dtype": str(self.dtype),
            "compression": self.compression,
            "tile": self.tile,
        }

    def begin(self, resume: bool, overwrite: bool) -> None:
        """Make the result's file, or find what a stopped run left."""

        if self.out.suffix in pictures.TIFF and len(self.shape) > len(self.source.shape):
            raise UnsupportedError(
                compose(
                    f"output {self.out.name}",
                    f"can't hold the {self.shape[-1]} filters of a bank",
                    expected="a .npy or .zarr file, or --magnitude",
                    fix=self.out.with_suffix(".zarr").name,
                ),
                argument="out",
                value=self.out,
            )

        def create(path: Path) -> None:
            sinks.created(path, self.shape, self.dtype, self.chunks, self._samples())

        found = self.unfinished.begin(self.request(), create, resume, overwrite)
        self.tile = tuple(found["tile"])

    def run(self, progress: Progress) -> None:
        """Filter all tiles that aren't done."""
        steps = [range(0, n, t) for n, t in zip(self.source.shape, self.tile, strict=True)]
        corners = list(product(*steps))
        done = self.unfinished.done()
        todo = [i for i in range(len(corners)) if i not in done]
        count = len(corners) - len(todo)
        progress(count, len(corners))
        sink = sinks.reopened(self.unfinished.data)

        def one(index: int) -> int:
            where = tuple(
                slice(c, min(c + t, n))
                for c, t, n in zip(corners[index], self.tile, self.source.shape, strict=True)
            )
            filters = (slice(0, self.shape[-1]),) if len(self.shape) > len(where) else ()
            sink.write((*where, *filters), self.part(where))
            return index

        pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="convsmith-tiles")
        try:
            for finished in as_completed([pool.submit(one, index) for index in todo]):
                self.unfinished.note(finished.result())
                count += 1
                progress(count, len(corners))
        finally:
            pool.shutdown(cancel_futures=True)
        sink.finish()
        if self.compression != NONE:
            options = sinks.tiff_options(self._samples())
            compress(self.unfinished.data, self.compression, options, self.jobs)

    def part(self, where: tuple[slice, ...]) -> Array:
        """Return one tile of the result."""
        axes, source = self.recipe.axes, self.source
        bounds = [(where[axis].start, where[axis].stop) for axis in axes]
        needed: list[Places | slice] = list(where)
        for axis, pair in zip(axes, bounds, strict=True):
            needed[axis] = self.recipe.places(axis, pair)
        block = gathered(source.read, needed, source.shape)
        values = self.recipe.part(block, bounds, workers=1)
        result = self.treatment.finished(values, source.dtype, self.bank)
        if source.alpha and not self.bank and source.samples is not None:
            self._keep_alpha(result, where, source.samples)
        return result

    def _keep_alpha(self, result: Array, where: tuple[slice, ...], axis: int) -> None:
        """Put the alpha back, which isn't filtered, as far as the tile has it."""
        last = self.source.shape[axis] - 1
        if where[axis].stop <= last:
            return
        cut = (*where[:axis], slice(last, last + 1), *where[axis + 1 :])
        alpha = self.source.read(cut)
        place = [slice(None)] * result.ndim
        place[axis] = slice(last - where[axis].start, last - where[axis].start + 1)
        result[tuple(place)] = alpha

"""Filtering files: one, or thousands side by side, of which a bad one doesn't stop the others."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import UnsupportedError, compose
from convsmith.files import replacing
from convsmith.images import compare, large, pictures, tiff
from convsmith.images.naming import Pair
from convsmith.images.pictures import ARRAYS, TIFF, Picture
from convsmith.images.sources import library, opened
from convsmith.images.threads import processors
from convsmith.images.treatment import Treatment, gray_of

Array = NDArray[Any]

LARGE_TIFF = 256 << 20
"""TIFF files of so many bytes are filtered part by part."""


@dataclass(frozen=True)
class Settings:
    """What holds for all files."""

    treatment: Treatment
    axes: tuple[int, ...] | None = None
    quality: int = pictures.QUALITY
    compare: bool = False
    title: str = "after"
    overwrite: bool = False
    resume: bool = False
    jobs: int | None = None
    compression: str | None = None
    """Of TIFF results; the input's by default."""


@dataclass
class Outcome:
    """What became of all files."""

    done: int = 0
    kept: int = 0
    """How many were there already."""
    failed: list[tuple[Path, Exception]] = field(default_factory=list)


Report = Callable[[str, int, int], None]
"""Told what is being counted, how many are done, and how many there are."""


def filter_files(
    wanted: Sequence[Pair], settings: Settings, report: Report = lambda what, done, total: None
) -> Outcome:
    """Filter files to files; those that fail are listed at the end.

    Args:
        wanted: which files, to where.
        settings: what is done to them.
        report: called after each file, and each tile of a large one.
    """
    outcome = Outcome()
    todo = []
    for pair in wanted:
        if settings.resume and pair.out.exists():
            outcome.kept += 1
        else:
            todo.append(pair)
    alone = len(wanted) == 1
    by_parts = [pair for pair in todo if _checked(pair, outcome)]
    refused = {path for path, _ in outcome.failed}
    simple = [p for p in todo if p not in by_parts and p.path not in refused]
    threads = settings.jobs or 2 * processors()  # Half of them wait for the disk.
    total, count = len(wanted), outcome.kept + len(outcome.failed)

    def finished(pair: Pair, error: BaseException | None) -> None:
        nonlocal count
        count += 1
        if error is None:
            outcome.done += 1
        elif isinstance(error, Exception):
            outcome.failed.append((pair.path, error))
        else:
            raise error
        if not alone:
            report("files", count, total)

    stopping = threading.Event()

    def one(pair: Pair) -> None:
        if not stopping.is_set():
            filter_picture(pair, settings, workers=settings.jobs if alone else 1)

    if not alone:
        report("files", count, total)
    with ThreadPoolExecutor(threads, thread_name_prefix="convsmith-files") as pool:
        waiting: dict[Any, Pair] = {}
        try:
            for pair in simple:
                waiting[pool.submit(one, pair)] = pair
                if len(waiting) >= 4 * threads:
                    for each in wait(waiting, return_when=FIRST_COMPLETED).done:
                        finished(waiting.pop(each), each.exception())
            for each in wait(waiting).done:
                finished(waiting.pop(each), each.exception())
        finally:
            stopping.set()
    for pair in by_parts:
        try:
            _filter_by_parts(pair, settings, report)
        except Exception as error:
            finished(pair, error)
        else:
            finished(pair, None)
    return outcome


def _checked(pair: Pair, outcome: Outcome) -> bool:
    """Whether a file is to be filtered part by part; what can't tell is a failure."""
    try:
        return _is_large(pair)
    except Exception as error:
        outcome.failed.append((pair.path, error))
        return False


def _is_large(pair: Pair) -> bool:
    read, written = pair.path.suffix.lower(), pair.out.suffix.lower()
    if pair.path.is_dir():
        read = ".zarr"
    if written not in (*ARRAYS, *TIFF):
        return False
    return read in ARRAYS or (read in TIFF and tiff.nbytes(pair.path) >= LARGE_TIFF)


def _filter_by_parts(pair: Pair, settings: Settings, report: Report) -> None:
    pair.out.parent.mkdir(parents=True, exist_ok=True)
    large.filter_file(
        pair.path, pair.out, settings.treatment, axes=settings.axes, jobs=settings.jobs,
        resume=settings.resume, overwrite=settings.overwrite, compression=settings.compression,
        progress=lambda done, total: report(f"tiles of {pair.path.name}", done, total),
    )  # fmt: skip
    if settings.compare:
        with opened(pair.path) as before, opened(pair.out) as after:
            axes = settings.axes or before.axes or (0, 1)
            first, second = (s.read(compare.middle(s.shape, axes)) for s in (before, after))
        compare.save(pair.compared, first, second, settings.title)


def filter_picture(pair: Pair, settings: Settings, workers: int | None = None) -> None:
    """Filter a picture as it is seen, in memory; its alpha isn't filtered.

    Args:
        pair: which file, to where.
        settings: what is done to it.
        workers: threads.

    Raises:
        DataError: a file that isn't a picture, or is damaged.
        DtypeError: results that the format can't hold.
        UnsupportedError: a format that can't be written, or has no place for the result.
        ConvsmithError: as `convsmith.images.filter`.
    """
    picture = _read(pair.path)
    before = picture.colours
    colours, treatment = before, settings.treatment
    sampled = colours.ndim > picture.axes[1] + 1
    if treatment.gray and sampled:
        if colours.shape[-1] != 3:
            raise UnsupportedError(
                compose(
                    str(pair.path),
                    f"has {colours.shape[-1]} samples, which --gray can't turn to grey",
                    expected="red, green and blue",
                    fix="leave --gray out",
                )
            )
        colours = gray_of(colours, colours.ndim - 1)
    axes = picture.axes if settings.axes is None else settings.axes
    result = treatment.applied(colours, axes, workers)
    after = Picture(result, picture.alpha, picture.axes, picture.orientation, picture.extra)
    if result.ndim > colours.ndim:  # A bank has no alpha of its own.
        after.alpha = None
    pair.out.parent.mkdir(parents=True, exist_ok=True)
    _write(pair.out, after, settings, bank=result.ndim > colours.ndim)
    if settings.compare:
        compare.save(pair.compared, before, result, settings.title)


def _read(path: Path) -> Picture:
    suffix = path.suffix.lower()
    if suffix in ARRAYS or path.is_dir():
        with opened(path) as source:
            return Picture(source.read(tuple(slice(0, n) for n in source.shape)))
    return tiff.read(path) if suffix in TIFF else pictures.read(path)


def _write(out: Path, picture: Picture, settings: Settings, bank: bool) -> None:
    suffix = out.suffix.lower()
    if suffix in TIFF:
        if bank:  # Each filter is a page.
            front = np.moveaxis(picture.colours, -1, 0)
            rows, columns = picture.axes
            picture = Picture(front, None, (rows + 1, columns + 1), 1, {})
        if settings.compression is not None:
            picture.extra = {**picture.extra, "compression": settings.compression}
        tiff.write(out, picture)
    elif suffix == ".npy":
        with replacing(out) as temporary:
            np.save(temporary, picture.pixels)
    elif suffix == ".zarr":
        _write_zarr(out, picture.pixels)
    else:
        pictures.write(out, picture, settings.quality)


def _write_zarr(out: Path, pixels: Array) -> None:
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    sides = tuple(max(1, min(n, large.CHUNK_SIDES[2])) for n in pixels.shape)
    array = library("zarr").create_array(
        str(partial), shape=pixels.shape, chunks=sides, dtype=pixels.dtype
    )
    array[...] = pixels
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)

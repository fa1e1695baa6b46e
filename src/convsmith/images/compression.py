"""Compressed TIFF files: which kinds there are, and a result that is compressed once it is whole.

Compressed parts have no fixed place in a file, so that tiles that are done in any order, and runs
that are stopped and resumed, need numbers that lie one after the other first.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, UnsupportedError, compose
from convsmith.files import replacing
from convsmith.images.sources import LARGE, library, raw

Array = NDArray[Any]

NONE = "none"

ALONE = ("zlib", "lzma")
"""What needs no further library."""

COMPRESSIONS = (NONE, *ALONE, "lzw", "zstd")

WRITTEN = {
    1: NONE, 5: "lzw", 8: "zlib", 32946: "zlib", 34925: "lzma", 50000: "zstd", 34926: "zstd",
}  # fmt: skip
"""TIFF's numbers of those."""

SIDE = 256
"""Of the tiles of compressed files."""

BUFFER = 32 << 20
"""How many bytes of tiles are compressed at a time."""


def checked(name: str | None) -> str | None:
    """Return a kind of compression that can be written, or None for the default.

    Raises:
        ArgumentError: an unknown kind.
        UnsupportedError: one that needs imagecodecs, which isn't installed.
    """
    if name is None:
        return None
    if name not in COMPRESSIONS:
        raise ArgumentError(
            compose(
                f"compression={name!r}",
                "is not one that is written",
                expected=f"one of {', '.join(map(repr, COMPRESSIONS))}",
                fix='compression="zlib"',
            ),
            argument="compression",
            value=name,
        )
    if name not in (NONE, *ALONE) and not has_codecs():
        raise UnsupportedError(
            compose(
                f"compression={name!r}",
                "needs imagecodecs, which is not installed",
                fix=f"{LARGE}, or zlib",
            ),
            argument="compression",
            value=name,
        )
    return name


def for_tiff(name: str | None, out: Path) -> str | None:
    """Return a checked kind of compression for a result that may not be a TIFF file.

    Raises:
        ArgumentError: an unknown kind, or a result of another kind of file.
        UnsupportedError: one that needs imagecodecs, which isn't installed.
    """
    if checked(name) is not None and out.suffix.lower() not in (".tif", ".tiff"):
        raise ArgumentError(
            compose(
                f"compression={name!r}",
                f"is of TIFF files, and {out.name} is none",
                fix=f"leave it out, or {out.with_suffix('.tif').name}",
            ),
            argument="compression",
            value=name,
        )
    return name


def of_number(number: int) -> str:
    """Return the kind that a TIFF file has, or what a result is written with instead."""
    name = WRITTEN.get(int(number), "zlib")
    return name if name in (NONE, *ALONE) or has_codecs() else "zlib"


def has_codecs() -> bool:
    """Whether imagecodecs is installed."""
    return importlib.util.find_spec("imagecodecs") is not None


def compress(path: Path, name: str, options: dict[str, Any], jobs: int) -> None:
    """Compress a TIFF file whose numbers lie one after the other; it is replaced when all is done.

    Args:
        path: the file.
        name: the kind of compression.
        options: of `tifffile.TiffWriter.write`.
        jobs: how many tiles are compressed at a time.
    """
    tifffile = library("tifffile")
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape, offset, big = series.shape, series.dataoffset, file.is_bigtiff
        dtype = series.dtype.newbyteorder(file.byteorder)
        samples = series.keyframe.samplesperpixel > 1
    read = raw(path, shape, dtype, offset)
    *_, height, width = shape[:-1] if samples else shape
    tile = (_rounded_up(height), _rounded_up(width))
    differences = series.dtype.kind in "iu"  # Of neighbours, which are smaller.
    with replacing(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big) as writer:
        writer.write(
            _tiles(read, shape, tile, samples), shape=shape, dtype=dtype, tile=tile,
            compression=name, predictor=differences, maxworkers=jobs, buffersize=BUFFER,
            **options,
        )  # fmt: skip


def _tiles(
    read: Any, shape: tuple[int, ...], tile: tuple[int, int], samples: bool
) -> Iterator[Array]:
    """Yield the tiles of all pages, filled up with zeros where an image ends."""
    last = shape[-1:] if samples else ()
    *leading, rows, columns = shape[: len(shape) - len(last)]
    for page in np.ndindex(*leading):
        before = tuple(slice(i, i + 1) for i in page)
        for top in range(0, rows, tile[0]):
            down = slice(top, min(top + tile[0], rows))
            band = read((*before, down, slice(0, columns), *(slice(0, n) for n in last)))
            band = band.reshape(-1, columns, *last)
            for left in range(0, columns, tile[1]):
                part = band[:, left : left + tile[1]]
                whole = np.zeros((*tile, *last), part.dtype)
                whole[: part.shape[0], : part.shape[1]] = part
                yield whole


def _rounded_up(count: int) -> int:
    """Return the side of tiles: TIFF wants multiples of 16."""
    return min(SIDE, -(-count // 16) * 16)

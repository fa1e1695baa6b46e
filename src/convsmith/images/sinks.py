"""Results on disk that are written part by part: .npy files, Zarr arrays, BigTIFF files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import UnsupportedError, compose
from convsmith.images.sources import library

Array = NDArray[Any]

SUFFIXES = (".npy", ".zarr", ".tif", ".tiff")

STRIP_BYTES = 1 << 18
"""Viewers read a strip at a time."""

BIG = 2**32 - 2**25
"""Classic TIFF files end there."""

Write = Callable[[tuple[slice, ...], Array], None]


@dataclass(frozen=True)
class Sink:
    """A file or folder that is being written."""

    write: Write
    """Writes a part; threads may write different parts at a time."""
    finish: Callable[[], None]
    """Makes sure that all is on disk."""


def created(
    path: Path, shape: tuple[int, ...], dtype: Any, chunks: tuple[int, ...], samples: int = 0
) -> None:
    """Make a result of zeros, of the kind that the suffix says.

    Args:
        path: where it will be.
        shape: the result's.
        dtype: the result's.
        chunks: of Zarr.
        samples: how many the last axis has, where that is of colours: grey and alpha, or red,
            green and blue, or these and alpha.

    Raises:
        UnsupportedError: a kind that can't hold such numbers, or isn't known, or a library is
            missing.
    """
    dtype = np.dtype(dtype)
    if path.suffix == ".npy":
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
            file.truncate(file.tell() + prod(shape) * dtype.itemsize)
    elif path.suffix == ".zarr":
        library("zarr").create_array(str(path), shape=shape, chunks=chunks, dtype=dtype)
    elif path.suffix in (".tif", ".tiff"):
        if dtype.kind not in "fiu" or not prod(shape) or len(shape) < 2:
            raise UnsupportedError(
                compose(
                    f"a TIFF file of {dtype}, shape {shape}",
                    "is not one that viewers open",
                    expected="real numbers, rows and columns, and no empty axis",
                    fix="a .npy file",
                )
            )
        row = dtype.itemsize * prod(shape[-2:] if samples else shape[-1:])
        options = {"rowsperstrip": max(1, STRIP_BYTES // row), **tiff_options(samples)}
        nbytes = prod(shape) * dtype.itemsize
        with library("tifffile").TiffWriter(path, bigtiff=nbytes > BIG) as writer:
            writer.write(shape=shape, dtype=dtype, **options)
    else:
        raise UnsupportedError(
            compose(
                f"output {path.name}",
                "is of a kind that can't be written part by part",
                expected=f"one of {', '.join(SUFFIXES)}",
                fix=path.with_suffix(".zarr").name,
            )
        )


def tiff_options(samples: int) -> dict[str, Any]:
    """Return what a TIFF file says of its colours, of which the last axis has so many or none."""
    options: dict[str, Any] = {"photometric": "rgb" if samples > 2 else "minisblack"}
    if samples in (2, 4):
        options |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
    return options


def reopened(path: Path) -> Sink:
    """Return a result that `created` made, to write its parts."""
    if path.suffix == ".zarr":
        array = library("zarr").open_array(str(path), mode="r+")

        def write_chunks(where: tuple[slice, ...], values: Array) -> None:
            # One at a time: Zarr would compress many at once, each a copy in memory.
            for block, part in _by_chunks(where, array.shape, array.chunks):
                array[block] = values[part]

        return Sink(write_chunks, lambda: None)
    if path.suffix == ".npy":
        mapped = np.lib.format.open_memmap(path, mode="r")
        shape, dtype, offset = mapped.shape, mapped.dtype, mapped.offset
    else:
        with library("tifffile").TiffFile(path) as file:
            series = file.series[0]
            shape, offset = series.shape, series.dataoffset
            dtype = series.dtype.newbyteorder(file.byteorder)

    def write(where: tuple[slice, ...], values: Array) -> None:
        _write_raw(path, offset, shape, np.dtype(dtype), where, values)

    def finish() -> None:
        with path.open("rb") as file:
            os.fsync(file.fileno())

    return Sink(write, finish)


def _by_chunks(
    where: tuple[slice, ...], shape: Sequence[int], chunks: Sequence[int]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield each chunk's share of a part: where it lies in the array, and in the part."""
    pieces = []
    for entry, size, chunk in zip(where, shape, chunks, strict=True):
        start, stop, _ = entry.indices(size)
        edges = [start, *range(start // chunk * chunk + chunk, stop, chunk), stop]
        pieces.append(
            [(slice(a, b), slice(a - start, b - start)) for a, b in pairwise(edges) if a < b]
        )
    for pairs in product(*pieces):
        block, part = zip(*pairs, strict=True)
        yield block, part


def _write_raw(
    path: Path, offset: int, shape: Sequence[int], dtype: np.dtype[Any],
    where: tuple[slice, ...], values: Array,
) -> None:  # fmt: skip
    """Write a part into numbers that lie in a file one after the other.

    By plain writes: on a full disk those fail, where a mapping would end the process.
    """
    values = np.ascontiguousarray(values, dtype)
    # The axes that the part covers wholly, and the one before them, are one stretch of the file.
    split = len(shape)
    while split and values.shape[split - 1] == shape[split - 1]:
        split -= 1
    split = max(split - 1, 0)
    strides = [prod(shape[a + 1 :]) for a in range(len(shape))]
    starts = [s.indices(n)[0] for s, n in zip(where, shape, strict=True)]
    with path.open("r+b") as file:
        for index in np.ndindex(values.shape[:split]):
            at = sum(
                (s + i) * n for s, i, n in zip(starts, (*index, *[0] * len(shape)), strides,
                                               strict=False)
            )  # fmt: skip
            file.seek(offset + at * dtype.itemsize)
            file.write(values[index].data)

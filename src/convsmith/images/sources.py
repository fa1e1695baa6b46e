"""Images on disk that are read part by part: .npy files, Zarr arrays, TIFF files."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import DataError, UnsupportedError, compose
from convsmith.images.orientation import AS_STORED, TAG
from convsmith.images.parts import Read
from convsmith.images.treatment import gray_of

Array = NDArray[Any]

LARGE = "pip install 'convsmith[large]'"


@dataclass(frozen=True)
class Source:
    """An image of which parts can be read, by several threads."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    unit: tuple[int, ...]
    """What is read at least: its chunks, tiles or strips."""
    read: Read
    axes: tuple[int, ...] | None = None
    """Rows and columns, where the file says which they are."""
    samples: int | None = None
    """The axis of colours, where the file says so."""
    alpha: bool = False
    """Whether the last of them is an alpha."""
    chunked: bool = False
    """Whether `unit` is worth keeping for the result."""
    compression: int = 1
    """TIFF's number of how it is compressed; 1 for not at all."""

    @property
    def nbytes(self) -> int:
        """How much memory the whole would take."""
        return prod(self.shape) * self.dtype.itemsize


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a .npy file, a Zarr array or a TIFF file.

    Raises:
        DataError: what isn't an image, or has none at that place.
        UnsupportedError: a library that reads it isn't installed.
    """
    if not path.exists():
        raise DataError(compose(str(path), "is not there"), argument="path", value=path)
    if path.is_dir():
        yield _zarr(path)
    elif path.suffix.lower() == ".npy":
        yield _npy(path)
    else:
        with _tiff(path) as source:
            yield source


def grayed(source: Source) -> Source:
    """Return a source of grey levels; what is grey already stays.

    Raises:
        ArgumentError: colours that aren't red, green and blue.
    """
    axis = source.samples
    if axis is None and len(source.shape) == 3 and source.shape[2] in (3, 4):
        axis, source = 2, replace(source, alpha=source.shape[2] == 4)
    if axis is None:
        return source
    gray_of(np.zeros([n if a == axis else 1 for a, n in enumerate(source.shape)]), axis)
    everything, read = slice(0, source.shape[axis]), source.read

    def gray(where: tuple[slice, ...]) -> Array:
        if source.alpha:
            cut = [slice(None)] * len(where)
            cut[axis] = where[axis]
            full = (*where[:axis], everything, *where[axis + 1 :])
            return gray_of(read(full), axis)[tuple(cut)]
        return gray_of(read((*where[:axis], everything, *where[axis:])), axis)

    def shortened(values: tuple[int, ...]) -> tuple[int, ...]:
        middle = (2,) if source.alpha else ()
        return (*values[:axis], *middle, *values[axis + 1 :])

    moved = None
    if source.axes is not None:
        moved = tuple(a - (a > axis and not source.alpha) for a in source.axes)
    return replace(
        source,
        shape=shortened(source.shape),
        unit=shortened(source.unit),
        axes=moved,
        samples=axis if source.alpha else None,
        read=gray,
    )


def raw(path: Path, shape: tuple[int, ...], dtype: Any, offset: int, order: str = "C") -> Read:
    """Return a reader of numbers that lie in a file one after the other."""

    def read(where: tuple[slice, ...]) -> Array:
        # A mapping that stays would count as memory of this process, page after page.
        mapped = np.memmap(path, dtype, "r", offset, shape, "F" if order == "F" else "C")
        return np.array(mapped[where])

    return read


def _npy(path: Path) -> Source:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise DataError(
            compose(str(path), f"is not an array file: {error}"), argument="path", value=path
        ) from error
    order = "F" if mapped.flags.f_contiguous and not mapped.flags.c_contiguous else "C"
    shape, dtype, offset = mapped.shape, mapped.dtype, mapped.offset
    return Source(shape, dtype, (1,) * len(shape), raw(path, shape, dtype, offset, order))


def _zarr(path: Path) -> Source:
    zarr = library("zarr")
    try:
        array = zarr.open_array(str(path), mode="r")
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            compose(
                str(path),
                "holds no Zarr array",
                expected="an array's folder; in a group, that of one of its arrays",
                fix=f"{path}/0",
            ),
            argument="path",
            value=path,
        ) from error
    unit = tuple(getattr(array, "shards", None) or array.chunks)
    return Source(array.shape, array.dtype, unit, array.__getitem__, chunked=True)


@contextmanager
def _tiff(path: Path) -> Iterator[Source]:
    tifffile = library("tifffile")
    try:
        file = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, OSError) as error:
        raise DataError(
            compose(str(path), f"is not a TIFF file: {error}"), argument="path", value=path
        ) from error
    with file:
        series = file.series[0]
        page, names = series.keyframe, series.axes
        _check_orientation(path, page)
        place = {name: names.index(name) for name in "YXS" if name in names}
        if series.dataoffset is not None and page.is_memmappable:
            dtype = series.dtype.newbyteorder(file.byteorder)
            unit = (1,) * len(series.shape)
            read = raw(path, series.shape, dtype, series.dataoffset)
        else:
            read, unit = _segments(path, series)
        yield Source(
            series.shape,
            series.dtype,
            unit,
            read,
            (place["Y"], place["X"]) if {"Y", "X"} <= place.keys() else None,
            place.get("S"),
            alpha="S" in place and any(int(e) in (1, 2) for e in page.extrasamples),
            compression=int(page.compression),
        )


def _check_orientation(path: Path, page: Any) -> None:
    """Refuse what is stored turned: kernels with a direction act on the picture as it is seen."""
    stored = page.tags[TAG].value if TAG in page.tags else AS_STORED
    if stored != AS_STORED:
        raise UnsupportedError(
            compose(
                str(path),
                f"is stored turned (orientation {stored}), and too large to be turned in memory",
                fix="save it upright",
            ),
            argument="path",
            value=path,
        )


def _segments(path: Path, series: Any) -> tuple[Read, tuple[int, ...]]:
    """Return a reader of tiles or strips, of which each call decodes those it needs."""
    array = library("zarr").open_array(series.aszarr(), mode="r")

    def read(where: tuple[slice, ...]) -> Array:
        try:
            return array[where]
        except Exception as error:  # Decoders raise anything on damaged files.
            raise _unreadable(path, error) from error

    return read, tuple(array.chunks)


def _unreadable(path: Path, error: Exception) -> DataError:
    """Return what to say of damage, or a compression that tifffile needs another library for."""
    fix = LARGE if "imagecodecs" in str(error) else None
    reason = " ".join(str(error).split())
    return DataError(
        compose(str(path), f"can't be decoded: {reason}", fix=fix), argument="path", value=path
    )


def library(name: str) -> Any:
    """Return a library that only large images need.

    Raises:
        UnsupportedError: it isn't installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedError(compose(name, "is not installed", fix=LARGE)) from error

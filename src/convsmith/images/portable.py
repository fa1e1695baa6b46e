"""Programs without machine code: the same sums in the same order, by NumPy on whole planes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.plane import OUTSIDE, Plane
from convsmith.images.program import FLAT, LIMITS, Program, Stage, nothing

Array = NDArray[Any]


def run(program: Program, plane: Plane) -> None:
    """Filter a plane."""
    kernels = iter(plane.kernels)
    semiring = program.terms[0][0].semiring
    # Floats needn't be compared as integers here.
    work = program.source if program.ordered else "float64" if program.whole else program.work
    if program.ordered:
        first = -np.inf if semiring == "max" else np.inf
    else:
        first = nothing(semiring, program.work)
    fill = first if program.ordered else plane.fill
    window = _read(program, plane, np.asarray(fill, work))
    rows, columns = plane.target.shape[0], plane.target.shape[1] // program.step
    shape = (rows, columns, program.step)
    if program.continued:
        total = plane.target.reshape(shape).astype(program.work)
    else:
        total = np.full(shape, first, work)
    for term in program.terms:
        block = window
        for stage in term[:-1]:
            start = np.full((), first, work)
            block = _pass(stage, next(kernels), block, start)
        total = _pass(term[-1], next(kernels), block, total)
    if program.scaled:
        assert plane.row_scale is not None
        assert plane.column_scale is not None
        total = total * plane.row_scale[:, None, None] * plane.column_scale[:, None]
    if program.whole:
        total = total / 2.0**program.shift
    if semiring not in FLAT:
        total = converted(total, program.target, program.rounding)
    plane.target[...] = total.reshape(rows, -1)


def _read(program: Program, plane: Plane, fill: Array) -> Array:
    """Return the padded plane, (rows, columns, channels), in the dtype of the arithmetic."""
    source = plane.source.reshape(plane.source.shape[0], -1, program.step)
    result = np.full((len(plane.row_map), len(plane.column_map), program.step), fill)
    row_map, column_map = plane.row_map.places, plane.column_map.places
    rows, columns = row_map != OUTSIDE, column_map != OUTSIDE
    inside = source[np.ix_(row_map[rows], column_map[columns])]
    result[np.ix_(rows, columns)] = inside
    return result


def _pass(stage: Stage, kernel: Array, block: Array, total: Array) -> Array:
    height = block.shape[0] - stage.rows + 1
    width = block.shape[1] - stage.columns + 1
    for weight, entries in _entries(stage, np.ravel(kernel), block, height, width):
        if stage.semiring == "sum_product":
            total = total + weight * entries
        elif stage.semiring in FLAT:
            total = (np.maximum if stage.semiring == "max" else np.minimum)(total, entries)
        elif stage.semiring == "max_plus":
            total = np.maximum(total, entries + weight)
        else:
            total = np.minimum(total, entries + weight)
    return total


def _entries(
    stage: Stage, kernel: Array, block: Array, height: int, width: int
) -> Iterator[tuple[Any, Array]]:
    """Yield each weight with what it multiplies, in the order of the sum."""

    def at(i: int, j: int) -> Array:
        return block[i : i + height, j : j + width]

    if stage.mirrored:
        length, down = max(stage.rows, stage.columns), stage.rows > 1

        def along(tap: int) -> Array:
            return at(tap, 0) if down else at(0, tap)

        yield kernel[length // 2], along(length // 2)
        for tap in range(length // 2):
            yield kernel[tap], along(tap) + stage.mirrored * along(length - 1 - tap)
        return
    taps = stage.taps or [(i, j) for i in range(stage.rows) for j in range(stage.columns)]
    for weight, (i, j) in zip(kernel, taps, strict=False):
        yield weight, at(i, j)


def converted(values: Array, dtype: str, rounding: str) -> Array:
    """Return numbers in a dtype; to integers rounded and saturated (or wrapped), NaN to zero."""
    if dtype not in LIMITS:
        return values.astype(dtype)
    if rounding == "wrap":
        with np.errstate(invalid="ignore"):
            return np.trunc(values).astype(np.int64).astype(dtype)
    values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    rounded = {"even": np.rint, "truncate": np.trunc, "up": lambda v: np.floor(v + 0.5)}
    return np.clip(rounded[rounding](values), *LIMITS[dtype]).astype(dtype)

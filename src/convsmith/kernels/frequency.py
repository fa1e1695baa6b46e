"""What a kernel does to waves: its frequency response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import check_entries
from convsmith.kernels.grids import Float64Array, positions
from convsmith.kernels.operations import checked_kernel, spatial_rank

STEPS = 65
"""Frequencies along each axis unless told: 0 is among them, and both ends."""


class FrequencyResponse(NamedTuple):
    """The response at each frequency, and the frequencies along each axis."""

    frequencies: tuple[Float64Array, ...]
    """For each spatial axis, in cycles per pixel."""

    response: NDArray[np.complex128]
    """The complex factor of a wave, with an axis for each of `frequencies`; then the bank's."""


def frequency_response(
    kernel: Any,
    frequencies_cycles_per_pixel: Any = None,
    *,
    ndim: int | None = None,
) -> FrequencyResponse:
    """Return by which complex factor the correlation with a kernel multiplies each wave.

    Equation: ``response(f) = sum over t of kernel[t] * exp(2 pi i f . t)``, t in pixels from the
    kernel's middle: the answer to the wave ``exp(2 pi i f . t)``. A symmetric kernel's response is
    real, and that of a slope is about ``2 pi i f`` times its gain. For a convolution, with the
    flipped kernel, it is that at ``-f``.

    Args:
        kernel: an array-like whose first axes are spatial.
        frequencies_cycles_per_pixel: a list of them for all axes, or a tuple of one list for each
            axis; by default 65 from -1/2 to 1/2.
        ndim: number of spatial axes; all by default. State it for banks.

    Returns:
        ``(frequencies, response)``: a float64 array for each spatial axis, and a complex128 array
        with an axis for each of them, followed by the kernel's other axes.

    Raises:
        KernelError: what isn't finite numbers, or has no axis or an empty one.
        ArgumentError: frequencies that aren't finite numbers in a row, or another number of rows
            than spatial axes; `ndim` isn't from 1 to the kernel's number of axes; a result too
            large for any memory.

    Example:
        >>> frequencies, response = frequency_response([0.25, 0.5, 0.25], [0.0, 0.25, 0.5])
        >>> (response.real + 0.0).round(12).tolist()
        [1.0, 0.5, 0.0]

    Source: the discrete-time Fourier transform, e.g. Oppenheim & Schafer, "Discrete-Time Signal
    Processing", 3rd ed., 2009, section 2.6.
    """
    array = checked_kernel("frequency_response", kernel)
    rank = spatial_rank("frequency_response", array, ndim)
    grids = _checked_grids(frequencies_cycles_per_pixel, rank)
    check_entries("frequency_response", (*map(len, grids), *array.shape[rank:]))
    response = array.astype(np.complex128)
    for axis, grid in enumerate(grids):
        phases = 2 * math.pi * np.multiply.outer(grid, positions(array.shape[axis]))
        turned = np.tensordot(np.exp(1j * phases), response, axes=(1, axis))
        response = np.moveaxis(turned, 0, axis)
    return FrequencyResponse(grids, np.ascontiguousarray(response))


def _checked_grids(frequencies: Any, rank: int) -> tuple[Float64Array, ...]:
    if frequencies is None:
        return (np.linspace(-0.5, 0.5, STEPS),) * rank
    each: Sequence[Any] = frequencies if isinstance(frequencies, tuple) else (frequencies,) * rank
    if len(each) == rank:
        grids = [_row(grid) for grid in each]
        if all(grid is not None for grid in grids):
            return tuple(grid for grid in grids if grid is not None)
    raise ArgumentError(
        compose(
            "frequency_response(frequencies_cycles_per_pixel=...)",
            "has no finite numbers in a row"
            if len(each) == rank
            else f"has {len(each)} rows for {rank} spatial axes",
            expected=f"a list of finite numbers, or a tuple of {rank} lists",
            fix="numpy.linspace(-0.5, 0.5, 65)",
        ),
        argument="frequencies_cycles_per_pixel",
        value=frequencies,
    )


def _row(grid: Any) -> Float64Array | None:
    try:
        row = np.asarray(grid)
    except ValueError:
        return None
    good = row.ndim == 1 and row.size and row.dtype.kind in "iuf" and np.isfinite(row).all()
    return row.astype(np.float64) if good else None

"""Kernels turned in a plane: exactly by quarter turns, by interpolation otherwise."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.kernels.arguments import (
    check_entries,
    checked_choice,
    checked_count,
    checked_number,
    shown,
)
from convsmith.kernels.grids import Float64Array, direction, positions
from convsmith.kernels.operations import checked_kernel

Array = NDArray[Any]

Interpolation = Literal["cubic", "linear"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


def rotate(
    kernel: Any,
    angle_radians: float,
    *,
    axes: tuple[int, int] = (0, 1),
    interpolation: Interpolation = "cubic",
    expand: bool = False,
) -> Array:
    """Return the kernel turned about its middle, from the column axis towards the row axis.

    Equation: ``result[y, x] = kernel[y', x']`` with ``x' = x cos(angle) + y sin(angle)`` and
    ``y' = y cos(angle) - x sin(angle)``, counted from the middle: what points along columns
    points down after a quarter turn, clockwise on a screen. By quarter turns it is exact; between
    taps values are interpolated, and 0 beyond the kernel. Sums change a little: see `normalize`.

    Args:
        kernel: an array-like of at least two axes; other axes than the two, such as a bank's
            filters, are kept.
        angle_radians: the angle.
        axes: which two are the row and the column axis, such as ``(1, 2)`` of a volume's kernel.
        interpolation: ``"cubic"`` (exact on quadratics inside) or ``"linear"``.
        expand: make the result large enough for everything; otherwise the size is kept, but for
            quarter turns, which swap the sizes.

    Returns:
        float64 (or complex128) array.

    Raises:
        KernelError: what isn't finite numbers, has fewer than two axes, or an empty one.
        ArgumentError: an angle that isn't finite, axes that aren't two different ones of the
            kernel, an unknown interpolation, or a flag that isn't True or False.

    Example:
        >>> rotate([[-1, 0, 1]], math.pi / 2).tolist()
        [[-1.0], [0.0], [1.0]]

    Source: cubic: Keys, "Cubic convolution interpolation for digital image processing", IEEE
    Transactions on Acoustics, Speech, and Signal Processing, 1981, eq. 15.
    """
    array = checked_kernel("rotate", kernel)
    if array.ndim < 2:
        raise KernelError(
            compose(
                f"rotate(kernel) of shape {array.shape}",
                "has no plane to turn in",
                expected="at least two axes",
                fix="kernel[None]",
            ),
            argument="kernel",
            value=array.shape,
        )
    angle = checked_number("rotate", "angle_radians", angle_radians, fix="0.5")
    places = _checked_axes(axes, array.ndim)
    method = checked_choice("rotate", "interpolation", interpolation, INTERPOLATIONS)
    larger = checked_choice("rotate", "expand", expand, (False, True))
    cosine, sine = direction(angle)
    if 0.0 in (cosine, sine):
        quarters = round(angle / (math.pi / 2)) % 4
        return np.ascontiguousarray(np.rot90(array, -quarters, places))
    moved = np.moveaxis(array, places, (0, 1))
    rows, columns = moved.shape[:2]
    shape = (rows, columns)
    if larger:
        shape = (
            _holding(rows, rows * abs(cosine) + columns * abs(sine)),
            _holding(columns, columns * abs(cosine) + rows * abs(sine)),
        )
    check_entries("rotate", (*shape, *moved.shape[2:]))
    y, x = np.meshgrid(positions(shape[0]), positions(shape[1]), indexing="ij")
    from_row = y * cosine - x * sine + (rows - 1) / 2
    from_column = x * cosine + y * sine + (columns - 1) / 2
    reach, weigh = (2, _cubic) if method == "cubic" else (1, _linear)
    # Beyond the kernel there are zeros: all places outside are clipped to these.
    padded = np.pad(moved, [(reach, reach)] * 2 + [(0, 0)] * (moved.ndim - 2))
    first_row, first_column = (np.floor(p).astype(int) for p in (from_row, from_column))
    result = np.zeros((*shape, *moved.shape[2:]), array.dtype)
    for i in range(1 - reach, reach + 1):
        for j in range(1 - reach, reach + 1):
            row, column = first_row + i, first_column + j
            weight = weigh(from_row - row) * weigh(from_column - column)
            values = padded[
                np.clip(row + reach, 0, padded.shape[0] - 1),
                np.clip(column + reach, 0, padded.shape[1] - 1),
            ]
            result += weight.reshape(*shape, *[1] * (moved.ndim - 2)) * values
    return np.ascontiguousarray(np.moveaxis(result, (0, 1), places))


def _checked_axes(axes: Any, count: int) -> tuple[int, int]:
    pair = tuple(axes) if isinstance(axes, tuple | list) else ()
    if len(pair) == 2:
        row, column = (
            checked_count("rotate", "axes", each, least=-count, most=count - 1, fix="(0, 1)")
            % count
            for each in pair
        )
        if row != column:
            return row, column
    raise ArgumentError(
        compose(
            f"rotate(axes={shown(axes)})",
            "is not a plane",
            expected="two different axes, row and column",
            fix="axes=(0, 1)",
        ),
        argument="axes",
        value=axes,
    )


def _holding(count: int, length: float) -> int:
    """Return the least size of the same parity that holds a length: the middle stays a tap."""
    size = math.ceil(length - 1e-9)
    return size + (size - count) % 2


def _linear(distance: Float64Array) -> Float64Array:
    return np.maximum(1 - np.abs(distance), 0)


def _cubic(distance: Float64Array) -> Float64Array:
    """Return Keys' weights with a = -1/2, the only choice of third order."""
    t = np.abs(distance)
    near = 1 - 2.5 * t**2 + 1.5 * t**3
    far = 2 - 4 * t + 2.5 * t**2 - 0.5 * t**3
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))

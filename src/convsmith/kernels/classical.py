"""The classical small filters, float64, with axes in (depth, row, column) order.

All are *correlation* kernels: entry (i, j) multiplies the pixel i rows below and j columns
right of the window's first one, without a flip. That is what every layer here computes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose

AxisName = Literal["x", "y", "z"]
AXIS_NAMES: tuple[AxisName, ...] = get_args(AxisName)
"""x runs along columns (the last axis), y along rows, z along depth."""

Float64Array = NDArray[np.float64]


def sobel(axis: AxisName = "x", *, ndim: int = 2) -> Float64Array:
    """Return Sobel's derivative along one axis, smoothed along the others.

    Equation: the outer product of ``(-1, 0, 1)`` along `axis` and ``(1, 2, 1)`` along each
    other axis; ``sobel("x") = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]``. As a correlation it is
    positive where values grow with the index, and its gain is ``2 * 4**(ndim - 1)``: a ramp of
    slope 1 answers 8 in two dimensions.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or `axis` isn't one of that many axes.

    Example:
        >>> sobel("x")[1].tolist()
        [-2.0, 0.0, 2.0]

    Source: Sobel & Feldman, "A 3x3 isotropic gradient operator for image processing", 1968.
    """
    rank = _rank(ndim)
    allowed = AXIS_NAMES[:rank]
    if axis not in allowed:
        raise ArgumentError(
            compose(
                f"sobel(axis={axis!r})",
                f"is not an axis of a kernel with {rank} of them",
                expected=f"one of {', '.join(map(repr, allowed))}",
                fix='axis="x"',
            ),
            argument="axis",
            value=axis,
        )
    derivative, smooth = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0])
    position = rank - 1 - AXIS_NAMES.index(axis)
    return functools.reduce(
        np.multiply.outer, [derivative if i == position else smooth for i in range(rank)]
    )


def laplacian(*, ndim: int = 2) -> Float64Array:
    """Return the sum of second central differences along the axes.

    Equation: ``sum over axes of x[i-1] - 2 x[i] + x[i+1]``; in two dimensions
    ``[[0, 1, 0], [1, -4, 1], [0, 1, 0]]``. It is symmetric, so correlation and convolution agree;
    gain 1 for the true Laplacian (exact on quadratics), response 0 on constants and ramps.

    Args:
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3.

    Example:
        >>> laplacian(ndim=1).tolist()
        [1.0, -2.0, 1.0]

    Source: the five-point stencil, e.g. Abramowitz & Stegun, "Handbook of Mathematical
    Functions", 1964, 25.3.30.
    """
    rank = _rank(ndim)
    kernel = np.zeros((3,) * rank)
    centre = (1,) * rank
    kernel[centre] = -2.0 * rank
    for axis in range(rank):
        for index in (0, 2):
            kernel[(*centre[:axis], index, *centre[axis + 1 :])] = 1.0
    return kernel


def identity(size: int | Sequence[int] = 3, *, ndim: int = 2) -> Float64Array:
    """Return the kernel that copies its input: one at the centre, zero elsewhere.

    Equation: ``kernel[i] = 1 if i == size // 2 else 0`` along every axis. It is symmetric, so
    correlation and convolution agree; gain 1.

    Args:
        size: odd length of each axis, one for all or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or a size isn't a positive odd whole number.

    Example:
        >>> identity(ndim=1).tolist()
        [0.0, 1.0, 0.0]

    Source: the definition of the unit impulse.
    """
    shape = _sizes("identity", size, _rank(ndim))
    if any(length % 2 == 0 for length in shape):
        raise ArgumentError(
            compose(
                f"identity(size={size!r})",
                "is even, so that no entry is the centre",
                expected="odd sizes",
                fix=f"size={max(shape) | 1}",
            ),
            argument="size",
            value=size,
        )
    kernel = np.zeros(shape)
    kernel[tuple(length // 2 for length in shape)] = 1.0
    return kernel


def box(size: int | Sequence[int] = 3, *, ndim: int = 2) -> Float64Array:
    """Return the kernel that averages all entries of its window.

    Equation: ``kernel[i] = 1 / (product of the sizes)``. It is symmetric, so correlation and
    convolution agree; gain 1: a constant image stays as it is.

    Args:
        size: length of each axis, one for all or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or a size isn't a positive whole number.

    Example:
        >>> box(2).tolist()
        [[0.25, 0.25], [0.25, 0.25]]

    Source: McDonnell, "Box-filtering techniques", Computer Graphics and Image Processing, 1981.
    """
    shape = _sizes("box", size, _rank(ndim))
    return np.full(shape, 1.0 / np.prod(shape))


def _rank(ndim: int) -> int:
    if isinstance(ndim, bool) or ndim not in (1, 2, 3):
        raise ArgumentError(
            compose(
                f"ndim={ndim!r}",
                "is not a number of spatial axes that kernels have",
                expected="1, 2 or 3",
                fix="ndim=2",
            ),
            argument="ndim",
            value=ndim,
        )
    return int(ndim)


def _sizes(where: str, size: int | Sequence[int], rank: int) -> tuple[int, ...]:
    sizes = tuple(size) if isinstance(size, Sequence) else (size,) * rank
    whole = all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in sizes)
    if len(sizes) != rank or not whole or min(sizes) < 1:
        raise ArgumentError(
            compose(
                f"{where}(size={size!r})",
                "is not a kernel size",
                expected=f"a positive whole number, or {rank} of them",
                fix="size=3",
            ),
            argument="size",
            value=size,
        )
    return tuple(int(s) for s in sizes)

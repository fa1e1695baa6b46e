"""Slopes from small windows: a difference along one axis, smoothed along the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from convsmith.kernels.arguments import (
    checked_choice,
    checked_count,
    checked_rank,
    checked_sizes,
    per_axis,
)
from convsmith.kernels.grids import AxisName, Float64Array, along, axis_position, outer

Diagonal = Literal["main", "anti"]
DIAGONALS: tuple[Diagonal, ...] = get_args(Diagonal)

DIFFERENCE = np.array([-1.0, 0.0, 1.0])

# Published to six digits; those of 5 taps to more in the authors' code.
FARID: dict[int, tuple[list[float], list[float]]] = {
    3: ([0.229879, 0.540242], [0.425287]),
    5: (
        [0.0376593171958126, 0.249153396177344, 0.426374573253687],
        [0.109603762960254, 0.276690988455557],
    ),
    7: ([0.004711, 0.069321, 0.245410, 0.361117], [0.018708, 0.125376, 0.193091]),
}


def sobel(
    axis: AxisName = "x",
    *,
    order: int | Sequence[int] = 1,
    size: int = 3,
    ndim: int = 2,
) -> Float64Array:
    """Return Sobel's derivative along one axis, smoothed along the others.

    Equation: the outer product of one line for each axis, ``order`` differences ``(-1, 1)`` and
    ``size - 1 - order`` sums ``(1, 1)`` convolved with each other: ``(-1, 0, 1)`` along `axis` and
    ``(1, 2, 1)`` along each other axis for 3 taps; ``sobel("x") = [[-1, 0, 1], [-2, 0, 2],
    [-1, 0, 1]]``. As a correlation it is positive where values grow with the index.

    Gain: ``2**((size - 1) * ndim - order)``: a ramp of slope 1 answers 8 in two dimensions.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        order: of the derivative along `axis`, the others having 0; or one for each axis in the
            order (depth, row, column), and `axis` doesn't matter.
        size: odd number of taps along every axis, from 3 on.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(size,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, `axis` isn't one of that many axes, `size` isn't an
            odd whole number from 3 to 31, or an order isn't a whole number below it.

    Example:
        >>> sobel("x")[1].tolist()
        [-2.0, 0.0, 2.0]
        >>> sobel(order=2, ndim=1, size=5).tolist()
        [1.0, 0.0, -2.0, 0.0, 1.0]

    Source: Sobel & Feldman, "A 3x3 isotropic gradient operator for image processing", 1968; larger
    sizes and higher orders as `getDerivKernels` of OpenCV.
    """
    rank = checked_rank(ndim)
    position = axis_position("sobel", axis, rank)
    count = checked_count("sobel", "size", size, least=3, most=31, fix="3")
    (count,) = checked_sizes("sobel", count, 1, odd=True)

    def checked(each: Any) -> int:
        return checked_count("sobel", "order", each, most=count - 1, fix="1")

    if isinstance(order, Sequence | np.ndarray):
        orders = per_axis("sobel", "order", order, rank, checked)
    else:
        orders = tuple(checked(order) if i == position else 0 for i in range(rank))
    return outer(_sobel_line(each, count) for each in orders)


def scharr(axis: AxisName = "x", *, ndim: int = 2) -> Float64Array:
    """Return Scharr's derivative along one axis, whose direction errs less than Sobel's.

    Equation: the outer product of ``(-1, 0, 1)`` along `axis` and ``(3, 10, 3)`` along each other
    axis. As a correlation it is positive where values grow with the index.

    Gain: ``2 * 16**(ndim - 1)``: a ramp of slope 1 answers 32 in two dimensions.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or `axis` isn't one of that many axes.

    Example:
        >>> scharr("y")[2].tolist()
        [3.0, 10.0, 3.0]

    Source: Scharr, "Optimale Operatoren in der Digitalen Bildverarbeitung", dissertation, 2000.
    """
    rank = checked_rank(ndim)
    position = axis_position("scharr", axis, rank)
    return along(DIFFERENCE, position, np.array([3.0, 10.0, 3.0]), rank)


def prewitt(axis: AxisName = "x", *, ndim: int = 2) -> Float64Array:
    """Return Prewitt's derivative along one axis, averaged along the others.

    Equation: the outer product of ``(-1, 0, 1)`` along `axis` and ``(1, 1, 1)`` along each other
    axis: a least-squares plane's slope. As a correlation it is positive where values grow with the
    index.

    Gain: ``2 * 3**(ndim - 1)``: a ramp of slope 1 answers 6 in two dimensions.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or `axis` isn't one of that many axes.

    Example:
        >>> prewitt("x")[0].tolist()
        [-1.0, 0.0, 1.0]

    Source: Prewitt, "Object enhancement and extraction", in Picture Processing and
    Psychopictorics, 1970.
    """
    rank = checked_rank(ndim)
    return along(DIFFERENCE, axis_position("prewitt", axis, rank), np.ones(3), rank)


def farid(axis: AxisName = "x", *, size: int = 5, ndim: int = 2) -> Float64Array:
    """Return Farid and Simoncelli's derivative along one axis, made for exact directions.

    Equation: the outer product of a difference along `axis` and a smoothing line of the same size
    along each other axis, both optimised so that gradients of any direction agree. As a
    correlation it is positive where values grow with the index.

    Gain: a ramp of slope 1 answers 0.85 for 3 taps, 0.992 for 5 and 1 for 7: they are made for
    whole spectra, not for ramps.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        size: number of taps along every axis: 3, 5 or 7.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(size,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, `axis` isn't one of that many axes, or `size` isn't
            3, 5 or 7.

    Example:
        >>> farid("x").shape
        (5, 5)

    Source: Farid & Simoncelli, "Differentiation of discrete multi-dimensional signals", IEEE
    Transactions on Image Processing, 2004, table I.
    """
    rank = checked_rank(ndim)
    position = axis_position("farid", axis, rank)
    smooth, rise = FARID[checked_choice("farid", "size", size, (5, 3, 7))]
    falling = np.array(rise)
    difference = np.concatenate([-falling, [0.0], falling[::-1]])
    return along(difference, position, np.array([*smooth, *smooth[-2::-1]]), rank)


def roberts(diagonal: Diagonal = "main", *, ndim: int = 2) -> Float64Array:
    """Return Roberts' difference of two pixels along a diagonal.

    Equation: ``[[-1, 0], [0, 1]]`` along the main diagonal, ``[[0, -1], [1, 0]]`` along the other.
    As a correlation it is positive where values grow downwards.

    Gain: a ramp of slope 1 along rows answers 1; the slope along the diagonal times sqrt(2).

    Args:
        diagonal: ``"main"`` from top left, ``"anti"`` from top right.
        ndim: number of spatial axes; only images have diagonals of two pixels.

    Returns:
        float64 array of shape ``(2, 2)``, axes (row, column).

    Raises:
        ArgumentError: `ndim` isn't 2, or an unknown diagonal.

    Example:
        >>> roberts("anti").tolist()
        [[0.0, -1.0], [1.0, 0.0]]

    Source: Roberts, "Machine perception of three-dimensional solids", dissertation, 1963.
    """
    checked_rank(ndim, "roberts", (2,))
    main = np.array([[-1.0, 0.0], [0.0, 1.0]])
    if checked_choice("roberts", "diagonal", diagonal, DIAGONALS) == "main":
        return main
    return np.ascontiguousarray(main[:, ::-1]) + 0.0  # No negative zeros.


def _sobel_line(order: int, count: int) -> Float64Array:
    line = np.ones(1)
    for i in range(count - 1):
        line = np.convolve(line, [-1.0, 1.0] if i < order else [1.0, 1.0])
    return line

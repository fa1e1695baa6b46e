"""Fits of a polynomial to a window: smoothing and derivatives that spare peaks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import checked_count, checked_rank, checked_sizes, per_axis, shown
from convsmith.kernels.grids import Float64Array, coordinates


def savitzky_golay(
    size: int | Sequence[int] = 5,
    degree: int = 2,
    *,
    order: int | Sequence[int] = 0,
    ndim: int = 2,
) -> Float64Array:
    """Return the value or derivative, at the middle, of the polynomial that fits a window best.

    Equation: of all polynomials of that total degree the one with the least squared distance from
    the window's values is linear in them; the kernel's entries are the weights of its value at the
    middle, or of its derivative of that order. It is a correlation kernel: order 1 is positive
    where values grow with the index.

    Gain: 1 for order 0; polynomials up to the degree have their exact value or derivative.

    Args:
        size: length of each axis, above the degree; even ones have their middle between two taps.
        degree: of the polynomial: the highest sum of powers, from 0 to 12.
        order: of the derivative, one for all axes or one for each; the sum is at most the degree.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3; a size isn't a whole number above the degree, the
            degree isn't one from 0 to 12, or the orders aren't whole numbers whose sum is at most
            the degree.

    Example:
        >>> (35 * savitzky_golay(5, 2, ndim=1)).round(9).tolist()
        [-3.0, 12.0, 17.0, 12.0, -3.0]

    Source: Savitzky & Golay, "Smoothing and differentiation of data by simplified least squares
    procedures", Analytical Chemistry, 1964, table I.
    """
    where = "savitzky_golay"
    rank = checked_rank(ndim)
    shape = checked_sizes(where, size, rank)
    highest = checked_count(where, "degree", degree, most=12, fix="2")

    def checked(each: Any) -> int:
        return checked_count(where, "order", each, most=12, fix="0")

    orders = per_axis(where, "order", order, rank, checked)
    if min(shape) <= highest:
        raise ArgumentError(
            compose(
                f"{where}(size={shown(size)}, degree={shown(degree)})",
                "has too few taps along an axis for that degree",
                expected=f"sizes above {highest}",
                fix=f"size={(highest + 1) | 1}",
            ),
            argument="size",
            value=size,
        )
    if sum(orders) > highest:
        raise ArgumentError(
            compose(
                f"{where}(order={shown(order)}, degree={shown(degree)})",
                f"asks for a derivative of total order {sum(orders)}, which is 0",
                expected="at most the degree",
                fix=f"degree={sum(orders)}",
            ),
            argument="order",
            value=order,
        )
    every = itertools.product(range(highest + 1), repeat=rank)
    powers = [each for each in every if sum(each) <= highest]
    # Places between -1 and 1 keep the powers of wide windows apart from rounding errors.
    scales = [max((count - 1) / 2, 0.5) for count in shape]
    places = [p.ravel() / s for p, s in zip(coordinates(shape), scales, strict=True)]
    columns = [
        math.prod((p**n for p, n in zip(places, each, strict=True)), start=np.ones_like(places[0]))
        for each in powers
    ]
    orthonormal, triangle = np.linalg.qr(np.stack(columns, axis=1))
    wanted = np.zeros(len(powers))
    wanted[powers.index(orders)] = math.prod(
        math.factorial(n) / s**n for n, s in zip(orders, scales, strict=True)
    )
    weights = np.asarray(orthonormal @ np.linalg.solve(triangle.T, wanted), np.float64)
    return weights.reshape(shape)

"""Banks of Gaussian derivatives: in many directions, and of many orders and widths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convsmith.kernels.arguments import (
    checked_choice,
    checked_count,
    checked_number,
    checked_rank,
    window_sizes,
)
from convsmith.kernels.gaussians import (
    NARROWEST,
    Method,
    checked_sigmas,
    gaussian,
)
from convsmith.kernels.grids import Float64Array
from convsmith.kernels.grids import direction as direction_of


def steerable(
    order: int = 1,
    *,
    sigma: float = 1.0,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return the bank of directional derivatives from which any other direction is steered.

    Equation: filter j is the derivative of that order of a Gaussian along the angle ``pi * j /
    (order + 1)``, j = 0 to order; the derivative along any angle is ``bank @
    steering_weights(order, angle)``, exactly. As correlation kernels, those of order 1 are positive
    where values grow along the direction.

    Gain: ``t**order`` along the direction answers the factorial of the order, up to what sampling
    and the window's edge lose.

    Args:
        order: of the derivatives, from 1 to 8.
        sigma: standard deviation in pixels.
        method: as in `gaussian`.
        size: length of each axis.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations.
        ndim: number of spatial axes; the directions are those of an image.

    Returns:
        float64 bank of shape ``(*size, order + 1)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, an order that isn't a whole number from 1 to 8, and as
            `gaussian`.

    Example:
        >>> bank = steerable(2, sigma=1.5)
        >>> along_diagonal = bank @ steering_weights(2, math.pi / 4)
        >>> bank.shape, along_diagonal.shape
        ((13, 13, 3), (13, 13))

    Source: Freeman & Adelson, "The design and use of steerable filters", IEEE PAMI, 1991, eq. 9.
    """
    checked_rank(ndim, "steerable", (2,))
    degree = checked_count("steerable", "order", order, least=1, most=8, fix="2")
    width = checked_number("steerable", "sigma", sigma, least=NARROWEST, most=1e9, fix="1.0")
    shape = window_sizes("steerable", size, radius, 2, (width, width), truncate)
    partials = [
        gaussian(width, order=(degree - k, k), method=method, size=shape) for k in range(degree + 1)
    ]
    filters = []
    for j in range(degree + 1):
        cosine, sine = direction_of(math.pi * j / (degree + 1))
        shares = [
            math.comb(degree, k) * sine ** (degree - k) * cosine**k for k in range(degree + 1)
        ]
        filters.append(sum(s * p for s, p in zip(shares, partials, strict=True)))
    return np.stack(filters, axis=-1)


def steering_weights(order: int, angle_radians: float) -> Float64Array:
    """Return the weights that turn the bank of `steerable` into one direction.

    Equation: with ``d = angle - pi * j / (order + 1)``, weight j is the sum of ``cos(m * d)`` over
    the m from ``-order`` to ``order`` in steps of 2, divided by ``order + 1``.

    Gain: 1: at a filter's own angle the weights are 1 for it and 0 for the others.

    Args:
        order: of the derivatives, from 1 to 8.
        angle_radians: the direction, from the column axis towards the row axis.

    Returns:
        float64 array ``(order + 1,)``.

    Raises:
        ArgumentError: an order that isn't a whole number from 1 to 8, or an angle that isn't
            finite.

    Example:
        >>> steering_weights(1, math.pi / 2).round(12).tolist()
        [0.0, 1.0]

    Source: Freeman & Adelson, "The design and use of steerable filters", IEEE PAMI, 1991, eq. 11
    and 12.
    """
    degree = checked_count("steering_weights", "order", order, least=1, most=8, fix="2")
    angle = checked_number("steering_weights", "angle_radians", angle_radians, fix="0.0")
    apart = angle - math.pi * np.arange(degree + 1) / (degree + 1)
    harmonics = np.arange(-degree, degree + 1, 2)
    return np.cos(np.multiply.outer(apart, harmonics)).sum(-1) / (degree + 1)


def gaussian_derivative_pyramid(
    order: int = 2,
    *,
    sigma: float = 1.0,
    ratio: float = 2.0,
    scales: int = 3,
    scale_normalized: bool = True,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return the Gaussian derivatives of all orders up to one, at several widths.

    Equation: for each width ``sigma * ratio**s``, s from 0: the Gaussian, then its derivatives of
    total order 1, 2, ...; within a total order those along columns first, such as xx, xy, yy. With
    `scale_normalized` each is multiplied by its width to the power of its total order. As a
    correlation, order 1 is positive where values grow with the index.

    Gain: 1 for order 0; derivatives as in `gaussian`, times the power of the width, so that a
    pattern and its enlarged copy answer alike.

    Args:
        order: the highest total order, from 0 to 6.
        sigma: the first standard deviation in pixels.
        ratio: of one width to the one before, from 1 on.
        scales: number of widths, from 1 on.
        scale_normalized: whether to multiply by the power of the width.
        method: as in `gaussian`.
        size: length of each axis, of all filters.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations of the widest.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 bank ``(*size, scales * orders)``; there are 6 orders up to 2 of an image.

    Raises:
        ArgumentError: an order, ratio, number of scales or flag out of range, and as `gaussian`.

    Example:
        >>> gaussian_derivative_pyramid(2, scales=2).shape
        (17, 17, 12)

    Source: Koenderink & van Doorn, "Representation of local geometry in the visual system",
    Biological Cybernetics, 1987; the factor: Lindeberg, "Feature detection with automatic scale
    selection", IJCV, 1998.
    """
    where = "gaussian_derivative_pyramid"
    rank = checked_rank(ndim)
    highest = checked_count(where, "order", order, most=6, fix="2")
    (first,) = checked_sigmas(where, sigma, 1)
    step = checked_number(where, "ratio", ratio, least=1, most=100, fix="2.0")
    count = checked_count(where, "scales", scales, least=1, most=16, fix="3")
    scaled = checked_choice(where, "scale_normalized", scale_normalized, (True, False))
    widths = [first * step**s for s in range(count)]
    checked_sigmas(where, widths[-1], 1)
    shape = window_sizes(where, size, radius, rank, (widths[-1],) * rank, truncate)
    orders = _orders(highest, rank)
    filters: list[Any] = []
    for width in widths:
        for each in orders:
            kernel = gaussian(width, order=each, method=method, size=shape, ndim=rank)
            filters.append(kernel * width ** sum(each) if scaled else kernel)
    return np.stack(filters, axis=-1)


def _orders(highest: int, rank: int) -> list[tuple[int, ...]]:
    """Return the orders along (depth, row, column), total by total, columns first."""
    every = itertools.product(range(highest + 1), repeat=rank)
    fitting = [each for each in every if sum(each) <= highest]
    return sorted(fitting, key=lambda each: (sum(each), [-n for n in reversed(each)]))

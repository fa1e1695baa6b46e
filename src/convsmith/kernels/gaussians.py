"""Gaussians and their derivatives: sampled, integrated over pixels, and discrete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import (
    checked_choice,
    checked_count,
    checked_number,
    checked_rank,
    per_axis,
    shown,
    window_sizes,
)
from convsmith.kernels.grids import Float64Array, outer, positions

Method = Literal["sampled", "integrated", "discrete"]
METHODS: tuple[Method, ...] = get_args(Method)

NARROWEST = 1e-3
"""The least sigma, in pixels: a kernel of one tap, whose formulas stay finite."""

WIDEST_DISCRETE = 1e4
"""Bessel functions take a step for each pixel of some 12 sigma; so wide, sampling does as well."""

HIGHEST = 20
"""The highest derivative: beyond it, float64 has no digits left for the sampled polynomial."""


def gaussian(
    sigma: float | Sequence[float] = 1.0,
    *,
    order: int | Sequence[int] = 0,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return a Gaussian, or a derivative of it, as a product of one line for each axis.

    Equation: with ``g(t) = exp(-t**2 / (2 sigma**2)) / (sigma sqrt(2 pi))`` and t in pixels from
    the middle, a line of order n is

    - ``"sampled"``: ``(-1)**n`` times the n-th derivative of g at t;
    - ``"integrated"``: that derivative's mean over the pixel, from t - 1/2 to t + 1/2;
    - ``"discrete"``: ``exp(-sigma**2) I_t(sigma**2)``, I the modified Bessel function, and the
      n-th central difference of it: discrete Gaussians of widths s and t make up exactly the one
      of width ``sqrt(s**2 + t**2)``, also where sigma is below 1;

    divided by the sum of the line of order 0. As a correlation, order 1 is positive where values
    grow with the index.

    Gain: 1 for order 0, exactly; order n answers n! to ``t**n``, up to what sampling and the
    window's edge lose.

    Args:
        sigma: standard deviation in pixels, one for all axes or one for each.
        order: of the derivative, one for all axes or one for each: ``(0, 1)`` is the slope along
            columns of an image.
        method: ``"sampled"``, ``"integrated"`` or ``"discrete"``.
        size: length of each axis; even ones have their middle between two taps.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations, rounded to the
            nearest whole number of pixels.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of that size, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3; a sigma isn't a finite number from 0.001 on; an
            order isn't a whole number from 0 to 20; an unknown method; a bad size, radius or
            truncate, or both of the first two; an even size, or a sigma
            above 10000, of ``"discrete"``.

    Example:
        >>> gaussian(1.0, size=3, ndim=1).round(4).tolist()
        [0.2741, 0.4519, 0.2741]
        >>> gaussian((1, 2), order=(0, 1)).shape
        (9, 17)

    Source: Lindeberg, "Scale-space for discrete signals", IEEE PAMI, 1990, for the discrete one;
    Koenderink & van Doorn, "Generic neighborhood operators", IEEE PAMI, 1992, for derivatives.
    """
    return outer(
        gaussian_lines(
            "gaussian", sigma, order, method, size=size, radius=radius, truncate=truncate, ndim=ndim
        )
    )


def gaussian_lines(
    where: str,
    sigma: Any,
    order: Any,
    method: Any,
    *,
    size: Any,
    radius: Any,
    truncate: Any,
    ndim: Any,
) -> list[Float64Array]:
    """Return the line of each axis.

    Raises:
        ArgumentError: as `gaussian` does.
    """
    rank = checked_rank(ndim)
    sigmas = checked_sigmas(where, sigma, rank)

    def checked_order(each: Any) -> int:
        return checked_count(where, "order", each, most=HIGHEST, fix="1")

    orders = per_axis(where, "order", order, rank, checked_order)
    method = checked_choice(where, "method", method, METHODS)
    if method == "discrete":
        for each in sigmas:
            checked_number(where, "sigma", each, most=WIDEST_DISCRETE, fix="1.0")
    shape = window_sizes(where, size, radius, rank, sigmas, truncate)
    if method == "discrete" and any(count % 2 == 0 for count in shape):
        raise ArgumentError(
            compose(
                f"{where}(size={shown(size)}, method='discrete')",
                "is even, and the discrete Gaussian lies at whole pixels",
                expected="odd sizes",
                fix=f"size={max(shape) | 1}",
            ),
            argument="size",
            value=size,
        )
    return [
        gaussian_line(s, n, method, count)
        for s, n, count in zip(sigmas, orders, shape, strict=True)
    ]


def checked_sigmas(where: str, sigma: Any, rank: int, name: str = "sigma") -> tuple[float, ...]:
    """Return a width for each axis.

    Raises:
        ArgumentError: one isn't a finite number from 0.001 on.
    """

    def checked(each: Any) -> float:
        return checked_number(where, name, each, least=NARROWEST, most=1e9, fix="1.0")

    return per_axis(where, name, sigma, rank, checked)


def gaussian_line(sigma: float, order: int, method: Method, count: int) -> Float64Array:
    """Return one axis's taps, for checked arguments."""
    if method == "discrete":
        return _discrete(sigma, order, count)
    places = positions(count)
    if method == "sampled":
        bell = _bell(places, sigma)
        return _hermite(places / sigma, order) / sigma**order * (bell / bell.sum())
    low, high = places - 0.5, places + 0.5
    mass = np.array([_between(a / sigma, b / sigma) for a, b in zip(low, high, strict=True)])
    if order == 0:
        return mass / mass.sum()
    peak = 1 / (sigma * math.sqrt(2 * math.pi))

    def integral(t: Float64Array) -> Float64Array:
        z = t / sigma
        return _hermite(z, order - 1) / sigma ** (order - 1) * peak * np.exp(-(z**2) / 2)

    return (integral(low) - integral(high)) / mass.sum()


def _bell(places: Float64Array, sigma: float) -> Float64Array:
    exponent = (places / sigma) ** 2 / 2
    # The nearest tap is at 0 of the exponent: even a narrow bell of an even size has a sum.
    return np.exp(exponent.min() - exponent)


def _hermite(z: Float64Array, order: int) -> Float64Array:
    """Return the probabilists' Hermite polynomial, by its recurrence."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for n in range(order):
        before, now = now, z * now - n * before
    return now


def _between(low: float, high: float) -> float:
    """Return the normal distribution's mass, with all its digits in the tails and in the middle."""
    if low > 0:
        low, high = -high, -low
    root = math.sqrt(2)
    if low > -0.5:
        return (math.erf(high / root) - math.erf(low / root)) / 2
    return (math.erfc(-high / root) - math.erfc(-low / root)) / 2


def _discrete(sigma: float, order: int, count: int) -> Float64Array:
    radius = count // 2
    wanted = radius + order + 1
    # Upwards the recurrence of Bessel functions loses all digits; downwards it gains them, from
    # any start that is far enough out.
    first = wanted + int(12 * sigma) + 30
    variance = sigma**2
    ratio, ratios = 0.0, np.zeros(first + 1)
    for n in range(first, 0, -1):
        ratio = 1 / (2 * n / variance + ratio)
        ratios[n] = ratio
    half = np.cumprod(ratios[1:])
    half = np.concatenate([[1.0], half]) / (1 + 2 * half.sum())
    line = np.concatenate([half[wanted:0:-1], half[: wanted + 1]])
    mass = line[order + 1 : len(line) - order - 1].sum()
    for _ in range(order // 2):
        line = np.convolve(line, [1.0, -2.0, 1.0], "same")
    if order % 2:
        line = np.convolve(line, [-0.5, 0.0, 0.5], "same")
    middle = len(line) // 2
    return line[middle - radius : middle + radius + 1] / mass

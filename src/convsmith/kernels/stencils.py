"""Finite differences of any order and accuracy, and the weights of any points."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import (
    checked_choice,
    checked_count,
    checked_number,
    checked_rank,
    shown,
)
from convsmith.kernels.grids import AxisName, Float64Array, axis_position

Kind = Literal["central", "forward", "backward"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def finite_difference(
    axis: AxisName = "x",
    *,
    order: int = 1,
    accuracy: int = 2,
    kind: Kind = "central",
    ndim: int = 2,
) -> Float64Array:
    """Return the finite difference for a derivative along one axis, of any order and accuracy.

    Equation: the weights, correct rounded fractions, by which polynomials up to the degree
    ``order + accuracy - 1`` have their derivative at the middle tap; the error for a grid step h is
    of order ``h**accuracy``. ``finite_difference() = [[-1/2, 0, 1/2]]``. It is a correlation
    kernel.

    Gain: 1: ``t**order`` answers the factorial of the order.

    Args:
        axis: ``"x"`` along columns, ``"y"`` along rows, ``"z"`` along depth.
        order: of the derivative, from 1 to 12.
        accuracy: the power of the step by which the error falls, from 1 to 20; even if central.
        kind: ``"central"``; ``"forward"``, which reads the middle tap and those after it, or
            ``"backward"``. Zeros fill the other side, so that the middle tap is the point.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array with length 1 along the other axes, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3; `axis` isn't one of that many axes; `order` or
            `accuracy` isn't a whole number in its range, or an odd accuracy of a central
            difference; an unknown kind.

    Example:
        >>> finite_difference(order=2, accuracy=4, ndim=1).round(4).tolist()
        [-0.0833, 1.3333, -2.5, 1.3333, -0.0833]

    Source: Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids",
    Mathematics of Computation, 1988, tables 1 and 3.
    """
    rank = checked_rank(ndim)
    where = "finite_difference"
    position = axis_position(where, axis, rank)
    degree = checked_count(where, "order", order, least=1, most=12, fix="1")
    power = checked_count(where, "accuracy", accuracy, least=1, most=20, fix="2")
    kind = checked_choice(where, "kind", kind, KINDS)
    if kind == "central":
        if power % 2:
            raise ArgumentError(
                compose(
                    f"{where}(accuracy={shown(accuracy)})",
                    "is odd, which central differences aren't",
                    expected="an even accuracy",
                    fix=f"accuracy={power + 1}",
                ),
                argument="accuracy",
                value=accuracy,
            )
        reach = (degree + 1) // 2 - 1 + power // 2
        line = _weights([Fraction(i) for i in range(-reach, reach + 1)], degree)
    else:
        reach = degree + power - 1
        line = _weights([Fraction(i) for i in range(reach + 1)], degree)
        line = [Fraction(0)] * reach + line
        if kind == "backward":
            line = [(-1) ** degree * weight for weight in reversed(line)]
    shape = [1] * rank
    shape[position] = len(line)
    return np.array([float(weight) for weight in line]).reshape(shape)


def fornberg_weights(points: Sequence[float], *, order: int = 1, at: float = 0.0) -> Float64Array:
    """Return the weights of values at any points for a derivative at any place.

    Equation: the only weights w with ``sum over i of w[i] * p(points[i])`` equal to the derivative
    of p at the place, for every polynomial p of a degree below the number of points.

    Gain: 1: ``t**order`` answers the factorial of the order.

    Args:
        points: different numbers, in any order and spacing.
        order: of the derivative, below the number of points; 0 interpolates.
        at: the place.

    Returns:
        float64 array ``(len(points),)``, computed in fractions and rounded once.

    Raises:
        ArgumentError: points that aren't 1 to 100 different finite numbers, a place that isn't
            one, or an order that isn't a whole number below their number.

    Example:
        >>> fornberg_weights([0, 1, 2]).tolist()
        [-1.5, 2.0, -0.5]

    Source: Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids",
    Mathematics of Computation, 1988.
    """
    where = "fornberg_weights"
    listed: list[Any] = list(points) if isinstance(points, Sequence) or np.ndim(points) else []
    numbers = [checked_number(where, "points", each, fix="[-1, 0, 1]") for each in listed]
    if not 1 <= len(numbers) <= 100 or len(set(numbers)) < len(numbers):
        raise ArgumentError(
            compose(
                f"{where}(points=...)",
                f"has {len(numbers)} numbers, {len(set(numbers))} of them different",
                expected="1 to 100 different numbers",
                fix="points=[-1, 0, 1]",
            ),
            argument="points",
            value=points,
        )
    degree = checked_count(where, "order", order, most=len(numbers) - 1, fix="0")
    place = Fraction(checked_number(where, "at", at, fix="0.0"))
    weights = _weights([Fraction(each) - place for each in numbers], degree)
    return np.array([float(weight) for weight in weights])


def _weights(points: list[Fraction], order: int) -> list[Fraction]:
    """Return the weights at 0, point after point: a new one corrects what is known so far.

    The Lagrange polynomial of point i over the first j + 1 points is that over the first j, times
    ``(t - points[j]) / (points[i] - points[j])``; only its first coefficients are kept.
    """
    known: list[list[Fraction]] = [[Fraction(1)] + [Fraction(0)] * order]
    for j in range(1, len(points)):
        new = _times_linear(known[-1], points[j - 1])
        scale = Fraction(1)
        for i in range(j):
            scale *= points[j] - points[i]
        # What the last polynomial was divided by is multiplied again.
        before = Fraction(1)
        for i in range(j - 1):
            before *= points[j - 1] - points[i]
        new = [c * before / scale for c in new]
        for i in range(j):
            gap = points[i] - points[j]
            known[i] = [c / gap for c in _times_linear(known[i], points[j])]
        known.append(new)
    factorial = 1
    for i in range(2, order + 1):
        factorial *= i
    return [coefficients[order] * factorial for coefficients in known]


def _times_linear(coefficients: list[Fraction], root: Fraction) -> list[Fraction]:
    """Return the coefficients, lowest first, of a polynomial times ``(t - root)``."""
    shifted = [Fraction(0), *coefficients[:-1]]
    return [high - root * low for high, low in zip(shifted, coefficients, strict=True)]

"""Positions of taps and products of lines, which most builders are made of."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import shown

Float64Array = NDArray[np.float64]

AxisName = Literal["x", "y", "z"]
AXIS_NAMES: tuple[AxisName, ...] = get_args(AxisName)
"""x runs along columns (the last axis), y along rows, z along depth."""


def axis_position(where: str, axis: Any, rank: int) -> int:
    """Return where an axis of that name is among (depth, row, column).

    Raises:
        ArgumentError: it isn't one of that many axes.
    """
    allowed = AXIS_NAMES[:rank]
    if not isinstance(axis, str) or axis not in allowed:
        raise ArgumentError(
            compose(
                f"{where}(axis={shown(axis)})",
                f"is not an axis of a kernel with {rank} of them",
                expected=f"one of {', '.join(map(repr, allowed))}",
                fix='ndim=3, or axis="x"' if isinstance(axis, str) and axis == "z" else 'axis="x"',
            ),
            argument="axis",
            value=axis,
        )
    return rank - 1 - allowed.index(axis)  # type: ignore[arg-type]


def positions(count: int) -> Float64Array:
    """Return the places of taps relative to their middle, in pixels.

    Example:
        >>> positions(4).tolist()
        [-1.5, -0.5, 0.5, 1.5]
    """
    return np.arange(float(count)) - (count - 1) / 2


def coordinates(shape: Iterable[int]) -> list[Float64Array]:
    """Return the places along each axis, in the order (depth, row, column), each of that shape."""
    return list(np.meshgrid(*(positions(count) for count in shape), indexing="ij"))


def outer(lines: Iterable[Float64Array]) -> Float64Array:
    """Return the outer product of lines, one for each axis."""
    return functools.reduce(np.multiply.outer, lines)


def along(line: Float64Array, position: int, others: Float64Array, rank: int) -> Float64Array:
    """Return the outer product of one line along an axis and another along each other axis."""
    return outer(line if axis == position else others for axis in range(rank))


def turned(shape: tuple[int, ...], angle_radians: float) -> tuple[Float64Array, Float64Array]:
    """Return the places along a direction and across it.

    The angle counts from the column axis towards the row axis: clockwise on a screen, where rows
    go down. In one dimension there is nothing across.
    """
    if len(shape) == 1:
        return positions(shape[0]), np.zeros(shape)
    y, x = coordinates(shape)
    cosine, sine = direction(angle_radians)
    return x * cosine + y * sine, y * cosine - x * sine


def heading(angle_radians: float, elevation_radians: float, rank: int) -> tuple[float, ...]:
    """Return the unit vector of a direction, in the order (depth, row, column).

    The angle is that of `turned`; the elevation counts from the plane of rows and columns towards
    the depth.
    """
    cosine, sine = direction(angle_radians)
    if rank < 3:
        return (cosine,) if rank == 1 else (sine, cosine)
    level, rise = direction(elevation_radians)
    return rise, level * sine, level * cosine


def direction(angle_radians: float) -> tuple[float, float]:
    """Return cosine and sine, exact at quarter turns, where `math.cos` leaves 6e-17."""
    quarters = angle_radians / (math.pi / 2)
    if abs(quarters - round(quarters)) < 1e-15 * max(abs(quarters), 1.0):
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[round(quarters) % 4]
    return math.cos(angle_radians), math.sin(angle_radians)

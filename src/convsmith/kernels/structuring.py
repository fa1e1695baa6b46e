"""Structuring elements: kernels of max-plus convolutions, the dilations of morphology.

``max over t of x[i + t] + k[t]`` is a dilation of x: what lies outside an element is
``-inf``, which never wins, and a flat element is 0 inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from convsmith.kernels.arguments import (
    check_entries,
    checked_choice,
    checked_count,
    checked_number,
    checked_rank,
    per_axis,
)
from convsmith.kernels.grids import Float64Array, coordinates

Shape = Literal["square", "cross", "disk", "diamond"]
SHAPES: tuple[Shape, ...] = get_args(Shape)


def structuring_element(shape: Shape = "square", radius: int = 1, *, ndim: int = 2) -> Float64Array:
    """Return a flat structuring element: 0 inside a shape and -inf outside.

    Equation: with t the distances from the middle along each axis: ``"square"`` all ``|t| <=
    radius``; ``"cross"`` those along the axes; ``"disk"`` ``sum of t**2 <= radius**2``;
    ``"diamond"`` ``sum of |t| <= radius``. It is symmetric, so correlation and convolution agree.

    Gain: none: a max-plus convolution with it is the maximum over the shape, and a min-plus one
    with its negative the minimum.

    Args:
        shape: ``"square"``, ``"cross"``, ``"disk"`` or ``"diamond"``; in three dimensions a cube,
            a cross, a ball or an octahedron.
        radius: in pixels, from 0 on.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(2 * radius + 1,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, an unknown shape, or a radius that isn't a whole
            number from 0 on.

    Example:
        >>> structuring_element("cross").tolist()
        [[-inf, 0.0, -inf], [0.0, 0.0, 0.0], [-inf, 0.0, -inf]]

    Source: Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    where = "structuring_element"
    rank = checked_rank(ndim)
    kind = checked_choice(where, "shape", shape, SHAPES)
    reach = checked_count(where, "radius", radius, most=10**6, fix="1")
    distances = np.abs(coordinates(check_entries(where, (2 * reach + 1,) * rank)))
    inside = {
        "square": lambda: distances.max(0) <= reach,
        "cross": lambda: (distances > 0).sum(0) <= 1,
        "disk": lambda: (distances**2).sum(0) <= reach**2,
        "diamond": lambda: distances.sum(0) <= reach,
    }[kind]()
    return np.where(inside, 0.0, -np.inf)


def parabola(
    scale: float | Sequence[float] = 1.0, *, radius: int | Sequence[int] = 3, ndim: int = 2
) -> Float64Array:
    """Return a parabolic structuring element, the Gaussian of morphology.

    Equation: ``-sum over axes of t**2 / (4 scale)``. Dilations with it by scales a and b make up
    the one by ``a + b``, and axes separate. It is symmetric, so correlation and convolution agree.

    Gain: 0 in the middle: a max-plus convolution never lowers a value, and leaves constants alone.

    Args:
        scale: how wide it is, one for all axes or one for each: at distance ``2 sqrt(scale)`` it
            is -1.
        radius: taps on either side of the middle, one for all axes or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``2 * radius + 1``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, a scale that isn't a finite number from 0.001 on, or
            a radius that isn't a whole number from 0 on.

    Example:
        >>> parabola(0.25, radius=2, ndim=1).tolist()
        [-4.0, -1.0, 0.0, -1.0, -4.0]

    Source: van den Boomgaard & Smeulders, "The morphological structure of images: the differential
    equations of morphological scale-space", IEEE PAMI, 1994.
    """
    rank = checked_rank(ndim)

    def checked_scale(each: Any) -> float:
        return checked_number("parabola", "scale", each, least=1e-3, most=1e12, fix="1.0")

    def checked_radius(each: Any) -> int:
        return checked_count("parabola", "radius", each, fix="3")

    scales = per_axis("parabola", "scale", scale, rank, checked_scale)
    radii = per_axis("parabola", "radius", radius, rank, checked_radius)
    shape = check_entries("parabola", tuple(2 * r + 1 for r in radii))
    places = coordinates(shape)
    terms = (t**2 / (4 * s) for t, s in zip(places, scales, strict=True))
    return 0.0 - np.sum(list(terms), axis=0)

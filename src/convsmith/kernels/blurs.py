"""Point spreads of cameras: out of focus, and in motion. Each tap is its pixel's exact share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import check_entries, checked_number, checked_rank, shown
from convsmith.kernels.grids import Float64Array, heading, positions

SLACK = 1e-9
"""Less of a pixel than this is what roundings reach beyond its border."""


def disk(radius_pixels: float = 2.0, *, ndim: int = 2) -> Float64Array:
    """Return the mean over a disk: the blur of a lens out of focus, or "pillbox".

    Equation: the share of the disk ``|t| <= radius`` that lies in each pixel: its area in two
    dimensions (in closed form), its length in one, its volume in three (within 1e-5, by
    quadrature along the depth). It is symmetric, so correlation and convolution agree.

    Gain: 1: a constant image stays as it is.

    Args:
        radius_pixels: the disk's radius, from 0.001 on; it needn't be whole.
        ndim: number of spatial axes, 1 to 3: an interval, a disk or a ball.

    Returns:
        float64 array of odd size, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or the radius isn't a finite number from 0.001 on.

    Example:
        >>> disk(1.5, ndim=1).round(4).tolist()
        [0.3333, 0.3333, 0.3333]

    Source: the definition of a uniform disk; as `fspecial("disk")` of MATLAB's Image Processing
    Toolbox.
    """
    rank = checked_rank(ndim)
    radius = checked_number("disk", "radius_pixels", radius_pixels, least=1e-3, most=1e6, fix="2.0")
    reach = max(math.ceil(radius - 0.5 - SLACK), 0)
    check_entries("disk", (2 * reach + 1,) * rank)
    if rank == 1:
        edges = positions(2 * reach + 2).clip(-radius, radius)
        return (edges[1:] - edges[:-1]) / (2 * radius)
    if rank == 2:
        return _areas(radius, reach) / (math.pi * radius**2)
    nodes, weights = np.polynomial.legendre.leggauss(48)
    kernel = np.zeros((2 * reach + 1,) * 3)
    for i in range(2 * reach + 1):
        # The angle as variable makes the caps smooth at the poles.
        low, high = (math.asin(max(min((i - reach + s) / radius, 1), -1)) for s in (-0.5, 0.5))
        for node, weight in zip(nodes, weights, strict=True):
            angle = (low + high) / 2 + node * (high - low) / 2
            within = radius * math.cos(angle)
            kernel[i] += weight * (high - low) / 2 * within * _areas(within, reach)
    return kernel / (4 / 3 * math.pi * radius**3)


def motion(
    length_pixels: float = 9.0,
    *,
    angle_radians: float = 0.0,
    elevation_radians: float = 0.0,
    ndim: int = 2,
) -> Float64Array:
    """Return the mean along a line segment: the blur of a steady motion.

    Equation: the share of the segment of that length, centred on the middle pixel, that lies in
    each pixel. It is symmetric under a half turn, so correlation and convolution agree.

    Gain: 1: a constant image stays as it is.

    Args:
        length_pixels: the segment's length, from 0.001 on; it needn't be whole.
        angle_radians: its direction, from the column axis towards the row axis: clockwise on a
            screen.
        elevation_radians: in three dimensions how far it rises, from the plane of rows and columns
            towards the depth.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of odd size, as small as holds the segment, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1 to 3; the length isn't a finite number from 0.001 on, an
            angle isn't finite, or it isn't 0 where there is no such axis to turn to.

    Example:
        >>> motion(3.0).round(4).tolist()
        [[0.3333, 0.3333, 0.3333]]

    Source: the definition of a uniform segment; compare `fspecial("motion")` of MATLAB's Image
    Processing Toolbox, whose taps are interpolated instead.
    """
    rank = checked_rank(ndim, "motion")
    length = checked_number(
        "motion", "length_pixels", length_pixels, least=1e-3, most=1e6, fix="9.0"
    )
    shares = heading(*checked_angles("motion", angle_radians, elevation_radians, rank), rank)
    reach = [max(math.ceil(length / 2 * abs(share) - 0.5 - SLACK), 0) for share in shares]
    shape = check_entries("motion", tuple(2 * n + 1 for n in reach))
    crossings = [np.array([-length / 2, length / 2])]
    for share, count in zip(shares, shape, strict=True):
        if share:
            borders = (positions(count + 1) / share).clip(-length / 2, length / 2)
            crossings.append(borders)
    places = np.sort(np.concatenate(crossings))
    pieces, middles = np.diff(places), (places[1:] + places[:-1]) / 2
    kept = pieces > SLACK * length
    pixels = tuple(
        np.rint(middles[kept] * share).astype(int) + r
        for share, r in zip(shares, reach, strict=True)
    )
    kernel = np.zeros(shape)
    np.add.at(kernel, pixels, pieces[kept])
    return kernel / pieces[kept].sum()


def checked_angles(
    where: str, angle_radians: Any, elevation_radians: Any, rank: int
) -> tuple[float, float]:
    """Return a direction's angle and elevation.

    Raises:
        ArgumentError: one that isn't finite, or isn't 0 where there is no such axis to turn to.
    """
    angle = checked_number(where, "angle_radians", angle_radians, fix="0.0")
    elevation = checked_number(where, "elevation_radians", elevation_radians, fix="0.0")
    if rank < 3 and elevation != 0:
        raise ArgumentError(
            compose(
                f"{where}(elevation_radians={shown(elevation)}, ndim={rank})",
                "has no depth to rise to",
                expected="no elevation in fewer than three dimensions",
                fix="ndim=3, or elevation_radians=0.0",
            ),
            argument="elevation_radians",
            value=elevation,
        )
    if rank == 1 and angle != 0:
        raise ArgumentError(
            compose(
                f"{where}(angle_radians={shown(angle)}, ndim=1)",
                "has no plane to turn in",
                expected="no angle in one dimension",
                fix="angle_radians=0.0",
            ),
            argument="angle_radians",
            value=angle,
        )
    return angle, elevation


def _areas(radius: float, reach: int) -> Float64Array:
    """Return the area of each pixel that lies in a disk."""
    edges = positions(2 * reach + 2)
    corner = _from_origin(np.abs(edges)[:, None], np.abs(edges), radius)
    corner *= np.sign(edges)[:, None] * np.sign(edges)
    # Differences of nearly equal areas may be below 0 by a rounding.
    return np.maximum(np.diff(np.diff(corner, axis=0), axis=1), 0.0)


def _from_origin(y: Float64Array, x: Float64Array, radius: float) -> Float64Array:
    """Return the area of a disk between the axes and a corner (y, x) of the first quadrant."""
    y, x = np.minimum(y, radius), np.minimum(x, radius)
    flat = np.sqrt(np.maximum(radius**2 - y**2, 0))

    def under_arc(t: Float64Array) -> Float64Array:
        height = np.sqrt(np.maximum(radius**2 - t**2, 0))
        return (t * height + radius**2 * np.arcsin(np.minimum(t / radius, 1))) / 2

    return y * np.minimum(x, flat) + np.where(x > flat, under_arc(x) - under_arc(flat), 0.0)

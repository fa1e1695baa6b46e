"""Kernels that leave constants alone and amplify what differs from its surroundings."""

from __future__ import annotations

from collections.abc import Sequence

from convsmith.kernels.arguments import (
    checked_choice,
    checked_number,
    checked_rank,
)
from convsmith.kernels.compass import DIRECTIONS, Direction, ring
from convsmith.kernels.gaussians import Method, gaussian
from convsmith.kernels.grids import Float64Array
from convsmith.kernels.laplacians import laplacian
from convsmith.kernels.smoothing import identity


def sharpen(amount: float = 1.0, *, connectivity: int = 1, ndim: int = 2) -> Float64Array:
    """Return the identity less a multiple of the Laplacian.

    Equation: ``identity - amount * laplacian``; ``[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]`` by
    default. It is symmetric, so correlation and convolution agree.

    Gain: 1 on constants and ramps.

    Args:
        amount: how much of the Laplacian is taken off, from 0 on.
        connectivity: as in `laplacian`.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, a bad connectivity, or an amount that isn't a finite
            number from 0 on.

    Example:
        >>> sharpen(ndim=1).tolist()
        [-1.0, 3.0, -1.0]

    Source: Gonzalez & Woods, "Digital Image Processing", 4th ed., 2018, eq. 3-54.
    """
    share = checked_number("sharpen", "amount", amount, least=0, fix="1.0")
    rank = checked_rank(ndim)
    return identity(ndim=rank) - share * laplacian(connectivity=connectivity, ndim=rank)


def edge_enhance(amount: float = 0.5, *, ndim: int = 2) -> Float64Array:
    """Return the identity less a multiple of the Laplacian of all neighbours.

    Equation: ``identity - amount * laplacian(connectivity=ndim)``: ``[[-1, -1, -1], [-1, 10, -1],
    [-1, -1, -1]] / 2`` by default. It is symmetric, so correlation and convolution agree.

    Gain: 1 on constants and ramps.

    Args:
        amount: how much of the Laplacian is taken off, from 0 on; 0.5 and 1 are Pillow's
            ``EDGE_ENHANCE`` and ``EDGE_ENHANCE_MORE``.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or an amount that isn't a finite number from 0 on.

    Example:
        >>> edge_enhance(1.0)[1].tolist()
        [-1.0, 9.0, -1.0]

    Source: `ImageFilter.EDGE_ENHANCE` of Pillow.
    """
    share = checked_number("edge_enhance", "amount", amount, least=0, fix="0.5")
    rank = checked_rank(ndim)
    return identity(ndim=rank) - share * laplacian(connectivity=rank, ndim=rank)


def unsharp(
    sigma: float | Sequence[float] = 1.0,
    *,
    amount: float = 1.0,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return the unsharp mask: the identity plus a multiple of what a Gaussian blur takes away.

    Equation: ``identity + amount * (identity - gaussian(sigma))``. It is symmetric, so correlation
    and convolution agree.

    Gain: 1 on constants and ramps, up to ``1 + amount`` for fine detail.

    Args:
        sigma: the blur's standard deviation in pixels, one for all axes or one for each.
        amount: how much of the detail is added, from 0 on.
        method: as in `gaussian`.
        size: odd length of each axis.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of that size, axes (depth, row, column).

    Raises:
        ArgumentError: as `gaussian`, for an amount that isn't a finite number from 0 on, and for
            even sizes.

    Example:
        >>> round(float(unsharp(2.0, amount=1.5).sum()), 12)
        1.0

    Source: Gonzalez & Woods, "Digital Image Processing", 4th ed., 2018, eq. 3-55 and 3-56.
    """
    share = checked_number("unsharp", "amount", amount, least=0, fix="1.0")
    blur = gaussian(sigma, method=method, size=size, radius=radius, truncate=truncate, ndim=ndim)
    return (1 + share) * identity(blur.shape, ndim=ndim) - share * blur


def emboss(
    direction: Direction = "south_east", *, amount: float = 1.0, ndim: int = 2
) -> Float64Array:
    """Return the identity plus a slope, as if light fell on a relief.

    Equation: ``identity + amount * slope``, the slope with 2 and -2 at the neighbours towards and
    against the direction, 1 and -1 beside them; ``[[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]`` by
    default. As a correlation it brightens where values grow towards the direction.

    Gain: 1 on constants.

    Args:
        direction: one of ``"north"`` (up), ``"north_west"``, ``"west"``, ``"south_west"``,
            ``"south"``, ``"south_east"``, ``"east"``, ``"north_east"``.
        amount: how much of the slope is added.
        ndim: number of spatial axes; only images have these directions.

    Returns:
        float64 array of shape ``(3, 3)``, axes (row, column).

    Raises:
        ArgumentError: `ndim` isn't 2, an unknown direction, or an amount that isn't a finite
            number.

    Example:
        >>> emboss().tolist()
        [[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]

    Source: the convolution matrix "Emboss" of GIMP's manual.
    """
    checked_rank(ndim, "emboss", (2,))
    share = checked_number("emboss", "amount", amount, fix="1.0")
    turns = DIRECTIONS.index(checked_choice("emboss", "direction", direction, DIRECTIONS))
    return identity() + share * ring([2, 1, 0, -1, -2, -1, 0, 1], turns)

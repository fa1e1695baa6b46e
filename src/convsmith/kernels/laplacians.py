"""Sums of second derivatives, of the image itself or of its blurred copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import (
    checked_count,
    checked_number,
    checked_rank,
    shown,
    window_sizes,
)
from convsmith.kernels.gaussians import (
    Method,
    checked_sigmas,
    gaussian,
    gaussian_line,
    gaussian_lines,
)
from convsmith.kernels.grids import Float64Array, outer


def laplacian(*, connectivity: int = 1, ndim: int = 2) -> Float64Array:
    """Return the sum of the differences between the neighbours and the centre.

    Equation: ``sum over neighbours n of (x[n] - x[i])``; the neighbours differ from the centre
    along at most `connectivity` axes. In two dimensions ``[[0, 1, 0], [1, -4, 1], [0, 1, 0]]`` for
    1 and ``[[1, 1, 1], [1, -8, 1], [1, 1, 1]]`` for 2. It is symmetric, so correlation and
    convolution agree.

    Gain: 1 for the true Laplacian where connectivity is 1 (exact on quadratics), 3 in two
    dimensions where it is 2; response 0 on constants and ramps.

    Args:
        connectivity: 1 for the neighbours that share a face (4 of an image, 6 of a volume), up to
            `ndim` for all (8 and 26).
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(3,) * ndim``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or `connectivity` isn't from 1 to `ndim`.

    Example:
        >>> laplacian(ndim=1).tolist()
        [1.0, -2.0, 1.0]

    Source: the five-point stencil, e.g. Abramowitz & Stegun, "Handbook of Mathematical
    Functions", 1964, 25.3.30; the others: Gonzalez & Woods, "Digital Image Processing", 4th ed.,
    2018, figure 3.45.
    """
    rank = checked_rank(ndim)
    reach = checked_count("laplacian", "connectivity", connectivity, least=1, most=rank, fix="1")
    apart = np.abs(np.indices((3,) * rank) - 1).sum(0)
    kernel = np.where(apart <= reach, 1.0, 0.0)
    kernel[(1,) * rank] = 1.0 - kernel.sum()
    return kernel


def laplacian_of_gaussian(
    sigma: float | Sequence[float] = 1.0,
    *,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return the Laplacian of a Gaussian: second derivatives of the blurred image.

    Equation: the sum over axes of the Gaussian's second derivative along that axis, less a
    multiple of the Gaussian so that the entries add up to 0. Negative in the middle: dark blobs on
    bright ground answer positively. It is symmetric, so correlation and convolution agree.

    Gain: 1 for the Laplacian of the blurred image, up to what sampling and the window's edge lose;
    0 on constants. Times ``-sigma**2``, blobs of all sizes answer alike.

    Args:
        sigma: standard deviation in pixels, one for all axes or one for each.
        method: as in `gaussian`.
        size: length of each axis.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of that size, axes (depth, row, column).

    Raises:
        ArgumentError: as `gaussian`, and for windows of fewer than 3 taps along an axis.

    Example:
        >>> laplacian_of_gaussian(1.4, size=9).shape
        (9, 9)

    Source: Marr & Hildreth, "Theory of Edge Detection", 1980.
    """
    where = "laplacian_of_gaussian"
    lines = gaussian_lines(
        where, sigma, 0, method, size=size, radius=radius, truncate=truncate, ndim=ndim
    )
    sigmas = checked_sigmas(where, sigma, len(lines))
    if min(map(len, lines)) < 3:
        raise ArgumentError(
            compose(
                f"{where}(sigma={shown(sigma)})",
                "has fewer than 3 taps along an axis, which see no curvature",
                expected="a larger window",
                fix="size=3",
            ),
            argument="size",
            value=size,
        )
    total = np.zeros([len(line) for line in lines])
    for axis, line in enumerate(lines):
        curved = gaussian_line(sigmas[axis], 2, method, len(line))
        total += outer([*lines[:axis], curved, *lines[axis + 1 :]])
    return total - total.sum() * outer(lines)


def difference_of_gaussians(
    sigma: float | Sequence[float] = 1.0,
    *,
    ratio: float = 1.6,
    method: Method = "sampled",
    size: int | Sequence[int] | None = None,
    radius: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    ndim: int = 2,
) -> Float64Array:
    """Return a narrow Gaussian less a wide one: blobs and edges of one size.

    Equation: ``g(t; sigma) - g(t; ratio * sigma)``, both with sum 1. It is symmetric, so
    correlation and convolution agree.

    Gain: 0 on constants; bright blobs answer positively. About ``(1 - ratio**2) / 2 * sigma**2``
    times the Laplacian of a Gaussian where the ratio is near 1.

    Args:
        sigma: the narrow one's standard deviation in pixels, one for all axes or one for each.
        ratio: how many times wider the other one is.
        method: as in `gaussian`.
        size: length of each axis.
        radius: taps on either side of the middle, instead of `size`.
        truncate: where neither is given, the radius in standard deviations of the wide one.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of that size, axes (depth, row, column).

    Raises:
        ArgumentError: as `gaussian`, and for a ratio that isn't a finite number above 1.

    Example:
        >>> difference_of_gaussians(1.0).shape
        (13, 13)

    Source: Marr & Hildreth, "Theory of Edge Detection", 1980, appendix B.
    """
    where = "difference_of_gaussians"
    rank = checked_rank(ndim)
    sigmas = checked_sigmas(where, sigma, rank)
    factor = checked_number(where, "ratio", ratio, above=1, most=1e6, fix="1.6")
    wider = [factor * each for each in sigmas]
    shape = window_sizes(where, size, radius, rank, wider, truncate)
    narrow = gaussian(sigmas, method=method, size=shape, ndim=rank)
    return narrow - gaussian(wider, method=method, size=shape, ndim=rank)

"""The texture banks of Leung and Malik, of Schmid, and the one behind MR8."""

from __future__ import annotations

import math

import numpy as np

from convsmith.kernels.arguments import (
    checked_count,
    checked_number,
    checked_rank,
    checked_sizes,
)
from convsmith.kernels.gaussians import gaussian
from convsmith.kernels.grids import Float64Array, coordinates, turned
from convsmith.kernels.laplacians import laplacian_of_gaussian

ORIENTATIONS = 6
ELONGATION = 3.0

# Sigma and the number of cycles within it, as published.
SCHMID = (
    (2, 1),
    (4, 1),
    (4, 2),
    (6, 1),
    (6, 2),
    (6, 3),
    (8, 1),
    (8, 2),
    (8, 3),
    (10, 1),
    (10, 2),
    (10, 3),
    (10, 4),
)


def leung_malik(sigma: float = 1.0, *, size: int = 49, ndim: int = 2) -> Float64Array:
    """Return Leung and Malik's 48 filters: edges, bars, blobs and blurs.

    Equation: with widths ``s = sigma * 2**(k / 2)``: 18 edges (derivatives of order 1 across a
    Gaussian of widths s and 3 s; k = 0, 1, 2, and for each 6 directions of the stripes, ``pi * j /
    6``), 18 bars (order 2), 8 Laplacians of Gaussians of widths s and 3 s (k = 0 to 3 each), and 4
    Gaussians. They are correlation kernels.

    Gain: the absolute values of each filter add up to 1; all but the Gaussians have sum 0, and
    those sum 1.

    Args:
        sigma: the first width in pixels: 1 for the small bank, sqrt(2) for the large one.
        size: odd length of both axes, from 3 on.
        ndim: number of spatial axes; the filters are two-dimensional.

    Returns:
        float64 bank of shape ``(size, size, 48)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, the size isn't odd and from 3 on, or sigma isn't from 0.3 to
            a quarter of the size.

    Example:
        >>> leung_malik(size=25).shape
        (25, 25, 48)

    Source: Leung & Malik, "Representing and recognizing the visual appearance of materials using
    three-dimensional textons", IJCV, 2001, section 2.
    """
    count, first = _checked("leung_malik", size, sigma, ndim)
    widths = [first * 2 ** (k / 2) for k in range(4)]
    filters = [
        _stripe(s, order, j, count)
        for order in (1, 2)
        for s in widths[:3]
        for j in range(ORIENTATIONS)
    ]
    filters += [
        _balanced(laplacian_of_gaussian(factor * s, size=count))
        for factor in (1, ELONGATION)
        for s in widths
    ]
    filters += [gaussian(s, size=count) for s in widths]
    return np.stack(filters, axis=-1)


def schmid(*, size: int = 49, ndim: int = 2) -> Float64Array:
    """Return Schmid's 13 filters, which look alike from every direction: rings of some width.

    Equation: ``cos(pi * tau * r / sigma) * exp(-r**2 / (2 sigma**2))`` less its mean, r the
    distance from the middle, (sigma, tau) = (2, 1), (4, 1), (4, 2), (6, 1), (6, 2), (6, 3), (8, 1),
    (8, 2), (8, 3), (10, 1), (10, 2), (10, 3), (10, 4). They are symmetric, so correlation and
    convolution agree.

    Gain: the absolute values of each filter add up to 1; 0 on constants.

    Args:
        size: odd length of both axes, from 3 on.
        ndim: number of spatial axes; the filters are two-dimensional.

    Returns:
        float64 bank of shape ``(size, size, 13)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, or the size isn't odd and from 3 on.

    Example:
        >>> schmid(size=25).shape
        (25, 25, 13)

    Source: Schmid, "Constructing models for content-based image retrieval", CVPR, 2001.
    """
    count, _ = _checked("schmid", size, 0.5, ndim)
    y, x = coordinates((count, count))
    r = np.hypot(y, x)
    rings = [
        np.cos(math.pi * tau * r / sigma) * np.exp(-(r**2) / (2 * sigma**2))
        for sigma, tau in SCHMID
    ]
    return np.stack([_balanced(each) for each in rings], axis=-1)


def mr8(*, size: int = 49, ndim: int = 2) -> Float64Array:
    """Return the 38 filters whose maximum responses are MR8: edges, bars, a blob and a blur.

    Equation: edges (order 1 across a Gaussian of widths s and 3 s), for s = 1, 2, 4 and for each 6
    directions of the stripes, ``pi * j / 6``; bars (order 2) in the same order; the Gaussian and
    the Laplacian of a Gaussian of width 10. They are correlation kernels. MR8 itself isn't linear:
    the maximum over each six directions of the first 36 responses, and the last two.

    Gain: the absolute values of each filter add up to 1; all but the Gaussian have sum 0, and
    that has sum 1.

    Args:
        size: odd length of both axes, from 3 on.
        ndim: number of spatial axes; the filters are two-dimensional.

    Returns:
        float64 bank of shape ``(size, size, 38)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, or the size isn't odd and from 3 on.

    Example:
        >>> bank = mr8(size=25)
        >>> responses = np.zeros((64, 64, 38))  # of an image
        >>> strongest = responses[..., :36].reshape(64, 64, 6, 6).max(-1)
        >>> np.concatenate([strongest, responses[..., 36:]], axis=-1).shape
        (64, 64, 8)

    Source: Varma & Zisserman, "A statistical approach to texture classification from single
    images", IJCV, 2005, section 2.
    """
    count, _ = _checked("mr8", size, 0.5, ndim)
    filters = [
        _stripe(s, order, j, count)
        for order in (1, 2)
        for s in (1.0, 2.0, 4.0)
        for j in range(ORIENTATIONS)
    ]
    filters.append(gaussian(10.0, size=count))
    filters.append(_balanced(laplacian_of_gaussian(10.0, size=count)))
    return np.stack(filters, axis=-1)


def _checked(where: str, size: int, sigma: float, ndim: int) -> tuple[int, float]:
    checked_rank(ndim, where, (2,))
    count = checked_count(where, "size", size, least=3, most=4001, fix="49")
    checked_sizes(where, (count,), 1, odd=True)
    # Sampled derivatives of narrower bells vanish, and wider ones are flat.
    return count, checked_number(where, "sigma", sigma, least=0.3, most=count / 4, fix="0.5")


def _stripe(sigma: float, order: int, turn: int, count: int) -> Float64Array:
    """Return a derivative across an elongated bell, balanced."""
    u, v = turned((count, count), math.pi * turn / ORIENTATIONS)
    bell = np.exp(-((u / (ELONGATION * sigma)) ** 2 + (v / sigma) ** 2) / 2)
    return _balanced(bell * (v if order == 1 else v**2 - sigma**2))


def _balanced(kernel: Float64Array) -> Float64Array:
    """Return the kernel less its mean, with absolute values that add up to 1."""
    centred = kernel - kernel.mean()
    return centred / np.abs(centred).sum()

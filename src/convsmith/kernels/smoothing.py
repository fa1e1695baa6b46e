"""The plainest kernels: the identity, the mean of a window, and binomial weights.

All kernels of this package are *correlation* kernels: entry (i, j) multiplies the pixel i rows
below and j columns right of the window's first one, without a flip. That is what every layer here
computes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convsmith.kernels.arguments import checked_rank, checked_sizes
from convsmith.kernels.grids import Float64Array, outer


def identity(size: int | Sequence[int] = 3, *, ndim: int = 2) -> Float64Array:
    """Return the kernel that copies its input: one at the centre, zero elsewhere.

    Equation: ``kernel[i] = 1 if i == size // 2 else 0`` along every axis. It is symmetric, so
    correlation and convolution agree.

    Gain: 1.

    Args:
        size: odd length of each axis, one for all or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or a size isn't a positive odd whole number.

    Example:
        >>> identity(ndim=1).tolist()
        [0.0, 1.0, 0.0]

    Source: the definition of the unit impulse.
    """
    shape = checked_sizes("identity", size, checked_rank(ndim), odd=True)
    kernel = np.zeros(shape)
    kernel[tuple(length // 2 for length in shape)] = 1.0
    return kernel


def box(size: int | Sequence[int] = 3, *, ndim: int = 2) -> Float64Array:
    """Return the kernel that averages all entries of its window.

    Equation: ``kernel[i] = 1 / (product of the sizes)``. It is symmetric, so correlation and
    convolution agree.

    Gain: 1: a constant image stays as it is.

    Args:
        size: length of each axis, one for all or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or a size isn't a positive whole number.

    Example:
        >>> box(2).tolist()
        [[0.25, 0.25], [0.25, 0.25]]

    Source: McDonnell, "Box-filtering techniques", Computer Graphics and Image Processing, 1981.
    """
    shape = checked_sizes("box", size, checked_rank(ndim))
    return np.full(shape, 1.0 / math.prod(shape))


def binomial(size: int | Sequence[int] = 3, *, ndim: int = 2) -> Float64Array:
    """Return a row of Pascal's triangle along each axis: a Gaussian of few simple numbers.

    Equation: ``kernel[i] = C(size - 1, i) / 2**(size - 1)`` along every axis, of variance
    ``(size - 1) / 4``. It is symmetric, so correlation and convolution agree.

    Gain: 1: a constant image stays as it is.

    Args:
        size: length of each axis, one for all or one for each.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``size``, axes (depth, row, column).

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or a size isn't a positive whole number.

    Example:
        >>> binomial(5, ndim=1).tolist()
        [0.0625, 0.25, 0.375, 0.25, 0.0625]

    Source: Marchand & Marmet, "Binomial smoothing filter", Review of Scientific Instruments, 1983.
    """
    shape = checked_sizes("binomial", size, checked_rank(ndim))
    return outer(binomial_line(count) for count in shape)


def binomial_line(count: int) -> Float64Array:
    """Return the weights of one axis; quotients of whole numbers don't overflow."""
    return np.array([math.comb(count - 1, i) / 2 ** (count - 1) for i in range(count)])

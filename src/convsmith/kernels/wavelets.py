"""Orthonormal banks: the discrete cosine transform, and Haar's and Daubechies' wavelets."""

from __future__ import annotations

import itertools
import math

import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import checked_count, checked_rank, checked_sizes, shown
from convsmith.kernels.grids import Float64Array, outer

MOST_MOMENTS = 20
"""Beyond it, roots of the polynomial lose digits."""


def dct_basis(size: int = 3, *, ndim: int = 2) -> Float64Array:
    """Return the basis images of the discrete cosine transform (DCT-II), one filter for each.

    Equation: filter (k, l, ...) is the product over axes of ``a[k] * cos(pi * (2 i + 1) * k / (2
    size))``, ``a[0] = sqrt(1 / size)`` and ``a[k] = sqrt(2 / size)`` otherwise; the last axis's
    frequency counts fastest. They are correlation kernels: applied at one window, they are its
    orthonormal transform.

    Gain: each has 2-norm 1, and any two have scalar product 0; the first is ``size**(ndim / 2)``
    times the mean.

    Args:
        size: number of taps along every axis, and of frequencies.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 bank of shape ``(size,) * ndim + (size**ndim,)``.

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or the size isn't a positive whole number, or too
            large a one.

    Example:
        >>> dct_basis(2, ndim=1).round(4).tolist()
        [[0.7071, 0.7071], [0.7071, -0.7071]]

    Source: Ahmed, Natarajan & Rao, "Discrete cosine transform", IEEE Transactions on Computers,
    1974.
    """
    rank = checked_rank(ndim)
    count = checked_count("dct_basis", "size", size, least=1, fix="8")
    checked_sizes("dct_basis", (count,) * (2 * rank), 2 * rank)
    k, i = np.ogrid[:count, :count]
    lines = np.sqrt((2 - (k == 0)) / count) * np.cos(math.pi * (2 * i + 1) * k / (2 * count))
    return np.stack([outer(each) for each in itertools.product(lines, repeat=rank)], axis=-1)


def haar(band: str | None = None, *, ndim: int = 2) -> Float64Array:
    """Return Haar's wavelets: the sum and the difference of two neighbours along each axis.

    Equation: ``L = (1, 1) / sqrt(2)`` and ``H = (1, -1) / sqrt(2)``, and their products over axes.
    With strides of 2 the bank is an orthonormal transform. They are correlation kernels.

    Gain: each has 2-norm 1; L has sum sqrt(2) and H sum 0.

    Args:
        band: a letter for each axis in the order (depth, row, column), such as ``"LH"``: low along
            rows and high along columns; None for the bank of all, LL, LH, HL, HH.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(2,) * ndim``, for the bank with a last axis of ``2**ndim``.

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, or an unknown band.

    Example:
        >>> (2 * haar("LH")).round(9).tolist()
        [[1.0, -1.0], [1.0, -1.0]]

    Source: Haar, "Zur Theorie der orthogonalen Funktionensysteme", Mathematische Annalen, 1910.
    """
    return _bands("haar", 1, band, ndim)


def daubechies(moments: int = 2, *, band: str | None = None, ndim: int = 2) -> Float64Array:
    """Return Daubechies' wavelets of the least phase, with some number of vanishing moments.

    Equation: L has ``2 * moments`` taps, is orthogonal to itself shifted by 2, 4, ..., and its
    spectrum has a zero of that multiplicity at half a cycle per pixel; of the solutions the one
    whose energy comes first. ``H[k] = (-1)**k * L[2 * moments - 1 - k]``. Their products over axes
    are correlation kernels; with strides of 2 the bank is an orthonormal transform.

    Gain: each has 2-norm 1; L has sum sqrt(2), and H is 0 on polynomials of a degree below
    `moments`.

    Args:
        moments: number of vanishing moments, from 1 (Haar's) to 20.
        band: a letter for each axis in the order (depth, row, column), such as ``"LH"``: low along
            rows and high along columns; None for the bank of all, LL, LH, HL, HH.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array of shape ``(2 * moments,) * ndim``, for the bank with a last axis of
        ``2**ndim``.

    Raises:
        ArgumentError: `ndim` isn't 1, 2 or 3, the number of moments isn't a whole number from 1 to
            20, or an unknown band.

    Example:
        >>> daubechies(2, band="L", ndim=1).round(4).tolist()
        [0.483, 0.8365, 0.2241, -0.1294]

    Source: Daubechies, "Orthonormal bases of compactly supported wavelets", Communications on Pure
    and Applied Mathematics, 1988, table 1.
    """
    count = checked_count("daubechies", "moments", moments, least=1, most=MOST_MOMENTS, fix="2")
    return _bands("daubechies", count, band, ndim)


def _bands(where: str, moments: int, band: str | None, ndim: int) -> Float64Array:
    rank = checked_rank(ndim)
    low = _low_pass(moments)
    lines = {"L": low, "H": low[::-1] * (-1.0) ** np.arange(len(low))}
    known = ["".join(letters) for letters in itertools.product("LH", repeat=rank)]
    if band is None:
        return np.stack([outer(lines[c] for c in each) for each in known], axis=-1)
    if not isinstance(band, str) or band not in known:
        raise ArgumentError(
            compose(
                f"{where}(band={shown(band)})",
                f"is not a band of a kernel with {rank} axes",
                expected=f"one of {', '.join(map(repr, known))}",
                fix=f"band={known[0]!r}",
            ),
            argument="band",
            value=band,
        )
    return outer(lines[c] for c in band)


def _low_pass(moments: int) -> Float64Array:
    """Return the taps by factoring the squared magnitude of their spectrum.

    With ``y = sin(pi f)**2`` that is ``2 (1 - y)**moments * P(y)``, P the start of the series of
    ``(1 - y)**-moments``. Each root y belongs to two roots z and 1/z of the taps' polynomial; those
    inside the unit circle have the least phase.
    """
    series = [math.comb(moments - 1 + k, k) for k in range(moments)]
    inside = []
    for y in np.roots(series[::-1]):
        half = 1 - 2 * complex(y)
        root = np.sqrt(half**2 - 1)
        inside.append(min(half + root, half - root, key=abs))
    taps = np.array([math.comb(moments, k) for k in range(moments + 1)], np.float64)
    taps = np.convolve(taps, np.poly(inside).real)
    return taps * (math.sqrt(2) / taps.sum())

"""The high-pass filters by which hidden messages are looked for."""

from __future__ import annotations

import numpy as np

from convsmith.kernels.arguments import checked_choice, checked_rank
from convsmith.kernels.grids import Float64Array

# Clockwise from the top left.
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
AXES = ((0, 1), (1, 0), (1, 1), (1, -1))

SQUARE_3 = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float64)
SQUARE_5 = np.array(
    [
        [-1, 2, -2, 2, -1],
        [2, -6, 8, -6, 2],
        [-2, 8, -12, 8, -2],
        [2, -6, 8, -6, 2],
        [-1, 2, -2, 2, -1],
    ],
    np.float64,
)


def srm(*, normalized: bool = True, ndim: int = 2) -> Float64Array:
    """Return the 30 linear filters of the spatial rich model, in windows of 5x5.

    Equation: what a pixel differs by from a prediction by its neighbours: 8 of first order
    (``-1, 1`` towards each neighbour), 4 of second order (``1, -2, 1`` along each axis and
    diagonal), 8 of third order (``1, -3, 3, -1`` towards each neighbour), 4 edges of 3x3 (the half
    towards each side of the next one), the square of 3x3, 4 edges of 5x5, the square of 5x5.
    Neighbours go clockwise from the top left, sides clockwise from the top. They are correlation
    kernels.

    Gain: 0 on constants; with `normalized` the middle entry is -1, otherwise entries are whole
    numbers and the middle one is -1, -2, -3, -4 or -12.

    Args:
        normalized: whether to divide by the middle entry's magnitude.
        ndim: number of spatial axes; the filters are two-dimensional.

    Returns:
        float64 bank of shape ``(5, 5, 30)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, or a flag that isn't True or False.

    Example:
        >>> srm(normalized=False)[2, :, 11 + 4].tolist()  # third order, to the right
        [0.0, 1.0, -3.0, 3.0, -1.0]

    Source: Fridrich & Kodovsky, "Rich models for steganalysis of digital images", IEEE
    Transactions on Information Forensics and Security, 2012, section II and figure 2; as a bank
    of 30: Ye, Ni & Yi, "Deep learning hierarchical representations for image steganalysis", 2017.
    """
    checked_rank(ndim, "srm", (2,))
    scaled = checked_choice("srm", "normalized", normalized, (True, False))
    small = np.pad(SQUARE_3, 1)
    filters = [_line(step, {0: -1, 1: 1}) for step in AROUND]
    filters += [_line(step, {-1: 1, 0: -2, 1: 1}) for step in AXES]
    filters += [_line(step, {-1: 1, 0: -3, 1: 3, 2: -1}) for step in AROUND]
    filters += [*_halves(small), small, *_halves(SQUARE_5), SQUARE_5]
    bank = np.stack(filters, axis=-1)
    return bank / -bank[2, 2] if scaled else bank


def _line(step: tuple[int, int], weights: dict[int, int]) -> Float64Array:
    kernel = np.zeros((5, 5))
    for place, weight in weights.items():
        kernel[2 + place * step[0], 2 + place * step[1]] = weight
    return kernel


def _halves(square: Float64Array) -> list[Float64Array]:
    """Return the upper, right, lower and left half, each with the middle line."""
    top = square.copy()
    top[3:] = 0
    return [np.rot90(top, -turns) for turns in range(4)]

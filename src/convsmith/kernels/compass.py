"""Templates for eight directions, and the nine basis images of Frei and Chen."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from convsmith.kernels.arguments import checked_choice, checked_rank
from convsmith.kernels.grids import Float64Array

Direction = Literal[
    "north", "north_west", "west", "south_west", "south", "south_east", "east", "north_east"
]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""Counterclockwise from the top of the image; the order of the banks."""

# The eight places around the centre in the same order, the centre left out.
RING = ((0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2))


def kirsch(direction: Direction | None = None, *, ndim: int = 2) -> Float64Array:
    """Return Kirsch's templates for edges, which are bright on the side of a direction.

    Equation: 5 at the three neighbours towards the direction, -3 at the five others, 0 in the
    middle; ``kirsch("north") = [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]]``. They are correlation
    kernels. The edge strength is the maximum over the bank.

    Gain: 15 for a step of height 1 across the window; 0 on constants.

    Args:
        direction: one of ``"north"`` (up), ``"north_west"``, ``"west"``, ``"south_west"``,
            ``"south"``, ``"south_east"``, ``"east"``, ``"north_east"``; None for all eight in this
            order.
        ndim: number of spatial axes; only images have these directions.

    Returns:
        float64 array ``(3, 3)``, or the bank ``(3, 3, 8)``; axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, or an unknown direction.

    Example:
        >>> kirsch("west").tolist()
        [[5.0, -3.0, -3.0], [5.0, 0.0, -3.0], [5.0, -3.0, -3.0]]

    Source: Kirsch, "Computer determination of the constituent structure of biological images",
    Computers and Biomedical Research, 1971.
    """
    checked_rank(ndim, "kirsch", (2,))
    return _directed("kirsch", direction, [5, 5, -3, -3, -3, -3, -3, 5])


def robinson(direction: Direction | None = None, *, levels: int = 5, ndim: int = 2) -> Float64Array:
    """Return Robinson's templates for edges, which are bright on the side of a direction.

    Equation: Sobel's kernel turned by eighths, ``robinson("north") = [[1, 2, 1], [0, 0, 0],
    [-1, -2, -1]]`` with five levels; Prewitt's with three, where the 2 is 1. They are correlation
    kernels. The edge strength is the maximum over the bank.

    Gain: 4 for a step of height 1 across the window (3 with three levels); 0 on constants.

    Args:
        direction: as in `kirsch`; None for all eight in the same order.
        levels: how many different numbers a template has: 5 or 3.
        ndim: number of spatial axes; only images have these directions.

    Returns:
        float64 array ``(3, 3)``, or the bank ``(3, 3, 8)``; axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2, an unknown direction, or `levels` isn't 5 or 3.

    Example:
        >>> robinson("north_west", levels=3).tolist()
        [[1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -1.0]]

    Source: Robinson, "Edge detection by compass gradient masks", Computer Graphics and Image
    Processing, 1977.
    """
    checked_rank(ndim, "robinson", (2,))
    peak = 2 if checked_choice("robinson", "levels", levels, (5, 3)) == 5 else 1
    return _directed("robinson", direction, [peak, 1, 0, -1, -peak, -1, 0, 1])


def frei_chen(*, ndim: int = 2) -> Float64Array:
    """Return Frei and Chen's nine orthonormal images, which any 3x3 window is a sum of.

    Equation: in the order of the paper, two smoothed gradients, two ripples, two lines along the
    axes and the diagonals, two discrete Laplacians, and the mean. The cosine of the angle to the
    space of edges is ``sqrt(sum of squares of the first four / sum of all nine)``. They are
    correlation kernels.

    Gain: each has 2-norm 1, and any two have scalar product 0.

    Args:
        ndim: number of spatial axes; the images are two-dimensional.

    Returns:
        float64 bank of shape ``(3, 3, 9)``, axes (row, column, filter).

    Raises:
        ArgumentError: `ndim` isn't 2.

    Example:
        >>> bank = frei_chen().reshape(9, 9)
        >>> bool(np.allclose(bank.T @ bank, np.eye(9)))
        True

    Source: Frei & Chen, "Fast boundary detection: a generalization and a new algorithm", IEEE
    Transactions on Computers, 1977.
    """
    checked_rank(ndim, "frei_chen", (2,))
    root = np.sqrt(2.0)
    images = [
        [[1, root, 1], [0, 0, 0], [-1, -root, -1]],
        [[1, 0, -1], [root, 0, -root], [1, 0, -1]],
        [[0, -1, root], [1, 0, -1], [-root, 1, 0]],
        [[root, -1, 0], [-1, 0, 1], [0, 1, -root]],
        [[0, 1, 0], [-1, 0, -1], [0, 1, 0]],
        [[-1, 0, 1], [0, 0, 0], [1, 0, -1]],
        [[1, -2, 1], [-2, 4, -2], [1, -2, 1]],
        [[-2, 1, -2], [1, 4, 1], [-2, 1, -2]],
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    ]
    bank = np.stack([np.array(image, np.float64) for image in images], axis=-1)
    return bank / np.linalg.norm(bank, axis=(0, 1))


def ring(values: list[float], turns: int) -> Float64Array:
    """Return the 3x3 array with values around its centre, from the top, turned by eighths."""
    template = np.zeros((3, 3))
    for i, value in enumerate(values):
        template[RING[(i + turns) % 8]] = value
    return template


def _directed(where: str, direction: Direction | None, north: list[float]) -> Float64Array:
    if direction is None:
        return np.stack([ring(north, turns) for turns in range(8)], axis=-1)
    return ring(north, DIRECTIONS.index(checked_choice(where, "direction", direction, DIRECTIONS)))

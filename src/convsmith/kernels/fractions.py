"""Entries as people write them: whole numbers over one denominator, where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DENOMINATORS = (*range(1, 65), 81, 100, 128, 256, 273, 512, 1024, 4096)
"""What is tried; others are no easier to read than decimals."""

LARGEST = 1e6
"""Larger numerators aren't either."""


def common_denominator(kernel: NDArray[Any]) -> int | None:
    """Return the least number of which all entries are whole multiples of one over it.

    None where there is none, where an entry is infinite or NaN, and for zeros alone.

    Example:
        >>> common_denominator(np.array([0.25, 0.5, 0.25]))
        4
        >>> common_denominator(np.array([0.3141592, 1.0])) is None
        True
    """
    if not np.isfinite(kernel).all() or not kernel.any():
        return None
    for denominator in DENOMINATORS:
        numerators = np.abs(kernel * denominator)
        whole = np.abs(numerators - np.rint(numerators)).max() < 1e-9
        if whole and numerators.max() < LARGEST:
            return denominator
    return None

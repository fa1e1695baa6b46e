"""Turning a picture as it is stored to how it is seen, and back, by EXIF's orientation.

Source: CIPA DC-008, "Exchangeable image file format for digital still cameras: Exif", 2.32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose

Array = NDArray[Any]

TAG = 0x0112

AS_STORED = 1

STEPS: dict[int, tuple[bool, bool, bool]] = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""Whether rows and columns change places; then whether rows, and columns, are turned around."""


def upright(image: Array, orientation: int) -> Array:
    """Return (height, width, ...) as it is seen.

    Raises:
        ArgumentError: an orientation that isn't from 1 to 8.
    """
    if orientation not in STEPS:
        raise ArgumentError(
            compose(f"orientation={orientation!r}", "is not one of EXIF's", expected="1 to 8"),
            argument="orientation",
            value=orientation,
        )
    swapped, rows, columns = STEPS[orientation]
    image = np.swapaxes(image, 0, 1) if swapped else image
    return image[:: -1 if rows else 1, :: -1 if columns else 1]


def as_stored(image: Array, orientation: int) -> Array:
    """Return what `upright` was given."""
    swapped, rows, columns = STEPS[orientation]
    image = image[:: -1 if rows else 1, :: -1 if columns else 1]
    return np.swapaxes(image, 0, 1) if swapped else image

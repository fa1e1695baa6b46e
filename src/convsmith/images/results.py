"""Floats in between, and results in the dtype that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.conventions import convention
from convsmith.images.portable import converted
from convsmith.images.program import WIDE
from convsmith.images.requests import checked_image

Array = NDArray[Any]


def floating_dtype(image: Array) -> str:
    """Return the dtype that holds what an image and its sums are."""
    return "float64" if image.dtype.name in WIDE else "float32"


def floating(image: Array, name: Any = None) -> Array:
    """Return an image as floats; with a library's name as that makes them."""
    chosen = convention(name)
    if chosen.unit:
        return checked_image(image, chosen).astype(np.float64)
    return image.astype(floating_dtype(image))


def rounded(values: Array, dtype: str) -> Array:
    """Return floats in a dtype, integers rounded and saturated."""
    return converted(values, dtype, "even")

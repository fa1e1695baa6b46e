"""Floats in between, and results in the dtype that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.conventions import convention
from convsmith.images.portable import converted
from convsmith.images.program import WIDE
from convsmith.images.requests import checked_image, is_lazy

Array = NDArray[Any]


def floating_dtype(image: Any) -> str:
    """Return the dtype that holds what an image and its sums are."""
    return "float64" if image.dtype.name in WIDE else "float32"


def floating(image: Any, name: Any = None) -> Any:
    """Return an image as floats; with a library's name as that makes them."""
    chosen = convention(name)
    if chosen.unit:
        return checked_image(image, chosen).astype(np.float64)
    return image.astype(floating_dtype(image))


def rounded(values: Any, dtype: str) -> Any:
    """Return floats in a dtype, integers rounded and saturated."""
    return pointwise(partial(converted, dtype=dtype, rounding="even"), values, dtype=dtype)


def pointwise(function: Callable[..., Array], *arrays: Any, dtype: Any) -> Any:
    """Return what a function makes of arrays entry by entry; of Dask arrays when it is computed.

    Args:
        function: gives an array of the shape of the first.
        *arrays: of one shape, or of a single entry each.
        dtype: the result's.
    """
    if not any(map(is_lazy, arrays)):
        return function(*arrays)
    from dask.array.core import map_blocks

    return map_blocks(function, *arrays, dtype=dtype, meta=np.empty((0,) * arrays[0].ndim, dtype))


def largest_size(image: Any) -> Any:
    """Return the largest absolute entry, 0 of an empty image; NaN where one is."""
    if not is_lazy(image):
        return np.abs(image).max(initial=0)
    from dask.array.core import map_blocks

    # Chunks may be empty, for which Dask's own has no answer.
    ones = tuple((1,) * len(sizes) for sizes in image.chunks)
    empty = np.empty((0,) * image.ndim, image.dtype)
    return map_blocks(_largest_of, image, chunks=ones, dtype=image.dtype, meta=empty).max()


def _largest_of(chunk: Array) -> Array:
    return np.abs(chunk).max(initial=0, keepdims=True)

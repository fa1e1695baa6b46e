"""Filtering where some pixels are missing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ShapeError, compose
from convsmith.images.filtering import filter
from convsmith.images.requests import checked_image, is_lazy
from convsmith.images.results import floating, pointwise

Array = NDArray[Any]


def masked(
    image: Any,
    kernel: Any,
    mask: Any = None,
    *,
    least: float = 1e-6,
    **options: Any,
) -> Array:
    """Return an image filtered by the entries that are there, as a weighted mean of them.

    Equation: ``y[p] = S * sum over k of kernel[k] m[p+k] x[p+k] / sum over k of kernel[k] m[p+k]``
    with m 1 where an entry is there, 0 where it is missing, and S the sum of the kernel. Beyond
    the edges nothing is there unless a `padding_mode` says so.

    Args:
        image: as in `convsmith.images.filter`; NaN entries are missing.
        kernel: as in `convsmith.images.filter`; weights of a mean, so that it should be positive.
        mask: where entries are there, an array-like of bools or weights of the image's shape (or
            without its axis of channels); everywhere by default.
        least: what share of the kernel's weights must be there for a result; NaN otherwise.
        **options: the other arguments of `convsmith.images.filter`.

    Returns:
        float32 or float64 array of the image's shape, NaN where too little is there.

    Raises:
        ShapeError: a mask of another shape.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> masked(np.array([1.0, np.nan, 3.0, 3.0]), np.ones(3) / 3).tolist()
        [1.0, 2.0, 3.0, 3.0]

    Source: Knutsson & Westin, "Normalized and differential convolution", CVPR 1993.
    """
    x = floating(checked_image(image))
    there = np.isfinite(x).astype(x.dtype)
    if mask is not None:
        weights = mask if is_lazy(mask) else np.asarray(mask)
        weights = weights.astype(x.dtype)
        if weights.shape == x.shape[:-1]:
            weights = weights[..., None]
        if weights.shape != x.shape and weights.shape != (*x.shape[:-1], 1):
            raise ShapeError(
                compose(
                    f"mask of shape {np.shape(mask)}",
                    "doesn't fit the image",
                    expected=f"shape {x.shape} or {x.shape[:-1]}",
                    fix="numpy.broadcast_to(mask, image.shape)",
                ),
                argument="mask",
                value=np.shape(mask),
            )
        there = there * weights
        if is_lazy(x) and is_lazy(mask):
            there = there.rechunk(x.chunks)
    options.setdefault("padding_mode", "constant")
    options["dtype"] = x.dtype.name
    known = pointwise(_known, x, there, dtype=x.dtype)
    total = filter(known, kernel, **options)
    weight = filter(there, kernel, **options)
    # What the kernel adds up to, in the same steps: a single entry is reflected without end.
    one = np.ones((1,) * x.ndim, x.dtype)
    whole = filter(one, kernel, **{**options, "padding_mode": "reflect"})
    divided = partial(_divided, whole=whole, least=least, dtype=x.dtype)
    return pointwise(divided, total, weight, dtype=x.dtype)


def _known(x: Array, there: Array) -> Array:
    return np.where(there > 0, x, 0) * there


def _divided(total: Array, weight: Array, whole: Array, least: float, dtype: Any) -> Array:
    enough = np.abs(weight) > least * np.abs(whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(enough, total * (whole / weight), np.nan).astype(dtype)

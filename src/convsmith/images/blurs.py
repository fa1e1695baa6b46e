"""Blurring, and what is built on it: sharpening, local contrast."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import ArgumentError, compose
from convsmith.images.conventions import ConventionName
from convsmith.images.lines import apply_lines
from convsmith.images.requests import checked_axes, checked_image, checked_target
from convsmith.images.results import floating, largest_size, pointwise, rounded

Array = NDArray[Any]

OPENCV_SMALL = {
    1: (1.0,),
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    7: (0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125),
    9: tuple(n / 256 for n in (4, 13, 30, 51, 60, 51, 30, 13, 4)),
}
"""What OpenCV takes for small sizes without sigma."""

OPENCV_STEPS = 256
"""OpenCV's Gaussians of 8-bit images are whole multiples of one 256th."""


def gaussian_blur(
    image: Any,
    sigma: float | Sequence[float] | None = None,
    *,
    size: int | Sequence[int] | None = None,
    truncate: float = 4.0,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    dtype: Any = None,
    convention: ConventionName | None = None,
    workers: int | None = None,
) -> Array:
    """Return an image blurred by a Gaussian.

    Equation: ``y[p] = sum over k of g(k0) * g(k1) * x[p + k]`` with
    ``g(t) = exp(-t**2 / (2 sigma**2))``, divided by its sum; gain 1.

    Args:
        image: as in `convsmith.images.filter`.
        sigma: standard deviation in pixels, one for all axes or one for each. OpenCV's may be
            left out where `size` is given: ``0.3 * ((size - 1) / 2 - 1) + 0.8``.
        size: odd number of taps of each axis; by default ``2 * round(truncate * sigma) + 1``, and
            for OpenCV ``round(6 * sigma + 1)`` for 8-bit images, ``round(8 * sigma + 1)`` for
            others, made odd.
        truncate: where the window ends, in standard deviations.
        axes, padding_mode, padding_value, dtype, workers: as in `convsmith.images.filter`.
        convention: as ``cv2.GaussianBlur`` (to the bit for uint8), ``scipy.ndimage
            .gaussian_filter``, ``skimage.filters.gaussian`` (edges ``"nearest"``) or
            ``kornia.filters.gaussian_blur2d``.

    Returns:
        An array of the image's shape.

    Raises:
        ArgumentError: no sigma, one that isn't positive, or an even size.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> spot = np.zeros((5, 5), "float32")
        >>> spot[2, 2] = 16
        >>> gaussian_blur(spot, 0.5)[2].astype(float).round(2).tolist()
        [0.01, 1.34, 9.9, 1.34, 0.01]

    Source: Szeliski, "Computer Vision", 2nd ed., section 3.2.
    """
    array = checked_image(image)
    filtered_axes = checked_axes(axes, array.ndim)
    if convention == "opencv":
        narrow = array.dtype.name in ("uint8", "int8", "bool")
        lines = [
            _opencv_line(s, n, 6 if narrow else 8, array.dtype.name == "uint8")
            for s, n in zip(
                _each(sigma, len(filtered_axes)), _each(size, len(filtered_axes)), strict=True
            )
        ]
    else:
        if sigma is None:
            raise _no_sigma(sigma)
        line = _scipy_line if convention in ("scipy", "skimage") else _line
        lines = [
            line(s, n, truncate)
            for s, n in zip(
                _each(sigma, len(filtered_axes)), _each(size, len(filtered_axes)), strict=True
            )
        ]
    if convention == "skimage" and padding_mode is None:
        padding_mode = "nearest"
    fixed = convention == "opencv" and array.dtype.name == "uint8" and dtype in (None, "uint8")
    return apply_lines(
        image, lines, axes=filtered_axes, padding_mode=padding_mode, padding_value=padding_value,
        dtype=dtype, convention=convention, workers=workers, rounding="up" if fixed else None,
    )  # fmt: skip


def box_blur(
    image: Any,
    size: int | Sequence[int] = 3,
    *,
    axes: int | Sequence[int] | None = None,
    **options: Any,
) -> Array:
    """Return the mean over a box around each pixel.

    Equation: ``y[p] = mean over k of x[p + k]``; gain 1.

    Args:
        image: as in `convsmith.images.filter`.
        size: of the box, for all axes or one for each.
        axes: as in `convsmith.images.filter`.
        **options: as in `convsmith.images.filter_lines`.

    Returns:
        An array of the image's shape.

    Raises:
        ConvsmithError: as `convsmith.images.filter`, and a size that isn't positive.

    Example:
        >>> box_blur(np.array([0.0, 3.0, 0.0]), 3, padding_mode="constant").tolist()
        [1.0, 1.0, 1.0]

    Source: McDonnell, "Box-filtering techniques", Computer Graphics and Image Processing, 1981.
    """
    filtered_axes = checked_axes(axes, checked_image(image).ndim)
    lines = [kernels.box(n, ndim=1) for n in _each(size, len(filtered_axes))]
    return apply_lines(image, lines, axes=filtered_axes, **options)


def unsharp_mask(
    image: Any,
    sigma: float | Sequence[float] = 1.0,
    amount: float = 1.0,
    *,
    convention: ConventionName | None = None,
    dtype: Any = None,
    **options: Any,
) -> Array:
    """Return an image with its difference to a blurred one added.

    Equation: ``y = x + amount * (x - gaussian_blur(x, sigma))``.

    Args:
        image: as in `convsmith.images.filter`.
        sigma: of the blur, in pixels.
        amount: how much of the difference is added.
        convention: with ``"skimage"`` integers are scaled to floats and results clipped to 0
            to 1 (-1 to 1 if the image has negative entries), as `skimage.filters.unsharp_mask`.
        dtype: as in `convsmith.images.filter`.
        **options: as in `gaussian_blur`.

    Returns:
        An array of the image's shape; integers are rounded and saturated.

    Raises:
        ConvsmithError: as `gaussian_blur`.

    Example:
        >>> unsharp_mask(np.array([1.0, 1.0, 2.0, 2.0]), 0.5).round(2).tolist()
        [1.0, 0.89, 2.11, 2.0]

    Source: Gonzalez & Woods, "Digital Image Processing", 4th ed., section 3.6.
    """
    given = checked_image(image)
    if convention == "skimage":
        options.setdefault("padding_mode", "reflect")
        options["convention"] = convention
    x = floating(given, convention)
    y = x + amount * (x - gaussian_blur(x, sigma, **options))
    if convention == "skimage":
        return pointwise(_clipped, y, (x < 0).any(), dtype=y.dtype)
    return rounded(y, checked_target(dtype, given))


def local_normalize(
    image: Any,
    sigma: float | Sequence[float] = 8.0,
    *,
    epsilon: float = 1e-6,
    **options: Any,
) -> Array:
    """Return an image with its local mean taken away, divided by its local deviation.

    Equation: ``d = x - blur(x)``, ``y = d / sqrt(blur(d**2) + epsilon * largest(x)**2)``, with
    ``blur`` a Gaussian.

    Args:
        image: as in `convsmith.images.filter`.
        sigma: of the neighbourhood, in pixels.
        epsilon: how small a deviation still counts, relative to the largest entry, squared.
        **options: as in `gaussian_blur`.

    Returns:
        A floating array of the image's shape: float64 for 32-bit integers and float64, float32
        for others.

    Raises:
        ArgumentError: an epsilon that isn't a positive number.
        ConvsmithError: as `gaussian_blur`.

    Example:
        >>> flat = local_normalize(np.full((8, 8), 7, "uint8"))
        >>> bool(np.abs(flat).max() < 1e-3)
        True

    Source: Jarrett et al., "What is the best multi-stage architecture for object recognition?",
    ICCV 2009, section 3.
    """
    if isinstance(epsilon, bool | str) or not 0 < float(epsilon) < float("inf"):
        raise ArgumentError(
            compose(
                f"epsilon={epsilon!r}",
                "is no deviation",
                expected="a positive number",
                fix="epsilon=1e-6",
            ),
            argument="epsilon",
            value=epsilon,
        )
    x = floating(checked_image(image))
    difference = x - gaussian_blur(x, sigma, **options)
    spread = gaussian_blur(difference * difference, sigma, **options)
    divided = partial(_divided, epsilon=float(epsilon))
    return pointwise(divided, difference, spread, largest_size(x), dtype=x.dtype)


def _clipped(values: Array, signed: Any) -> Array:
    return np.clip(values, -1.0 if signed else 0.0, 1.0)


def _divided(difference: Array, spread: Array, largest: Any, epsilon: float) -> Array:
    size = float(largest)
    floor = epsilon * (size * size or 1.0)
    return difference / np.sqrt(np.maximum(spread, 0.0) + difference.dtype.type(floor))


def _each(value: Any, count: int) -> list[Any]:
    """Return one value for each axis."""
    if value is None or np.ndim(value) == 0:
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise ArgumentError(
            compose(
                f"{value!r}",
                f"has {len(values)} entries",
                expected=f"one number, or one for each of the {count} filtered axes",
                fix=f"{values[0]!r}" if values else "1.0",
            ),
            value=value,
        )
    return values


def _no_sigma(sigma: Any) -> ArgumentError:
    return ArgumentError(
        compose(
            f"gaussian_blur(sigma={sigma!r})",
            "says nothing of the blur",
            expected="a positive number of pixels (only OpenCV's convention takes size instead)",
            fix="sigma=1.0",
        ),
        argument="sigma",
        value=sigma,
    )


def _line(sigma: Any, size: Any, truncate: Any) -> Array:
    try:
        return _known_line(sigma, size, truncate)
    except TypeError:  # What can't be compared, such as an array of one number.
        return kernels.gaussian(sigma, size=size, truncate=truncate, ndim=1)


@functools.lru_cache(maxsize=64, typed=True)
def _known_line(sigma: Any, size: Any, truncate: Any) -> Array:
    """Return a line whose making takes as long as blurring a small image."""
    line = kernels.gaussian(sigma, size=size, truncate=truncate, ndim=1)
    line.flags.writeable = False
    return line


def _scipy_line(sigma: Any, size: Any, truncate: Any) -> Array:
    """Return SciPy's Gaussian to the last bit, on which cutting off whole numbers depends."""
    places = np.arange(len(_line(sigma, size, truncate)))
    places = places - len(places) // 2
    bell = np.exp(-0.5 / (float(sigma) * float(sigma)) * places**2)
    return bell / bell.sum()


def _opencv_line(sigma: Any, size: Any, widths: int, fixed: bool) -> Array:
    """Return OpenCV's Gaussian: for 8-bit images in whole steps that add up to 1."""
    unknown = sigma is None or sigma <= 0
    if size is None:
        if unknown:
            raise _no_sigma(sigma)
        size = int(np.rint(float(sigma or 0) * widths + 1)) | 1
    if unknown and size in OPENCV_SMALL:
        line: Array = np.array(OPENCV_SMALL[size])
    else:
        chosen = 0.3 * ((size - 1) * 0.5 - 1) + 0.8 if unknown else sigma
        line = kernels.gaussian(float(chosen or 0.0), size=size, ndim=1)
    if not fixed:
        return line
    # What rounding an entry loses goes to its neighbour; the middle makes up for the rest.
    steps = np.zeros(len(line))
    left = 0.0
    for i in range(len(line) // 2):
        wanted = line[i] * OPENCV_STEPS + left
        steps[i] = steps[-1 - i] = np.rint(wanted)
        left = wanted - steps[i]
    steps[len(line) // 2] = OPENCV_STEPS - steps.sum()
    return steps / OPENCV_STEPS

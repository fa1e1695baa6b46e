"""Derivatives of images: slopes, their size and direction, and the Laplacian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import ArgumentError, compose
from convsmith.images.conventions import ConventionName
from convsmith.images.filtering import filter
from convsmith.images.lines import apply_lines
from convsmith.images.requests import checked_axes, checked_image
from convsmith.images.results import floating, floating_dtype, pointwise

Array = NDArray[Any]

Operator = Literal["sobel", "scharr", "prewitt", "farid"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

AXES = "xyz"

SKIMAGE_GAIN = 2.0
"""scikit-image's slopes are differences of pixels two apart; only Farid's are for one pixel."""


def sobel(
    image: Any,
    axis: str = "x",
    *,
    size: int = 3,
    order: int = 1,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    dtype: Any = None,
    convention: ConventionName | None = None,
    workers: int | None = None,
) -> Array:
    """Return Sobel's derivative of an image along one axis, smoothed along the others.

    Equation: a correlation with `convsmith.kernels.sobel`; ``size=3`` along columns:
    ``[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]``. A ramp of slope 1 answers 8 in two dimensions.

    Args:
        image: as in `convsmith.images.filter`.
        axis: ``"x"``, the last of the filtered axes; ``"y"``, the one before it; ``"z"``.
        size: odd number of taps along every axis.
        order: of the derivative.
        axes, padding_mode, padding_value, workers: as in `convsmith.images.filter`.
        dtype: of the result; float32 by default (float64 for 32-bit integers and float64), and
            the image's with a `convention`.
        convention: as ``cv2.Sobel``, ``scipy.ndimage.sobel``, or ``skimage.filters.sobel``, whose
            gain is 2.

    Returns:
        An array of the image's shape.

    Raises:
        ArgumentError: an axis that the image lacks, a size or order that the kernel refuses.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> ramp = np.tile(np.arange(5, dtype="uint8"), (3, 1))
        >>> sobel(ramp)[1].tolist()
        [0.0, 8.0, 8.0, 8.0, 0.0]

    Source: Sobel & Feldman, "A 3x3 isotropic gradient operator for image processing", 1968.
    """
    array = checked_image(image)
    filtered_axes = checked_axes(axes, array.ndim)
    along = _position(axis, len(filtered_axes))
    slope = kernels.sobel(order=order, size=size, ndim=1)
    smooth = kernels.sobel(order=0, size=size, ndim=1)
    lines = [slope if i == along else smooth for i in range(len(filtered_axes))]
    if convention == "skimage":
        lines = [line / np.abs(line).sum() for line in lines]
        lines[along] = lines[along] * SKIMAGE_GAIN
    if convention == "scipy":
        # SciPy takes the derivative first, whatever its axis, and rounds after each.
        first = [along, *(i for i in range(len(lines)) if i != along)]
        return _in_turn(
            image, [(filtered_axes[i], lines[i]) for i in first], padding_mode, padding_value,
            dtype, workers,
        )  # fmt: skip
    if dtype is None and convention is None:
        dtype = floating_dtype(array)
    return apply_lines(
        image, lines, axes=filtered_axes, padding_mode=padding_mode, padding_value=padding_value,
        dtype=dtype, convention=convention, workers=workers,
    )  # fmt: skip


def laplacian(
    image: Any,
    *,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    dtype: Any = None,
    convention: ConventionName | None = None,
    workers: int | None = None,
) -> Array:
    """Return the sum of an image's second differences along its axes.

    Equation: ``y[p] = sum over axes of x[p-1] - 2 x[p] + x[p+1]``.

    Args:
        image: as in `convsmith.images.filter`.
        axes, padding_mode, padding_value, workers: as in `convsmith.images.filter`.
        dtype: as in `sobel`.
        convention: as ``cv2.Laplacian`` with ``ksize=1``, ``scipy.ndimage.laplace``, or
            ``skimage.filters.laplace``, whose sign is the other one.

    Returns:
        An array of the image's shape.

    Raises:
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> laplacian(np.arange(5.0) ** 2)[1:-1].tolist()
        [2.0, 2.0, 2.0]

    Source: the five-point stencil, e.g. Abramowitz & Stegun, "Handbook of Mathematical
    Functions", 1964, 25.3.30.
    """
    array = checked_image(image)
    filtered_axes = checked_axes(axes, array.ndim)
    if dtype is None and convention is None:
        dtype = floating_dtype(array)
    options: dict[str, Any] = {
        "padding_mode": padding_mode,
        "padding_value": padding_value,
        "dtype": dtype,
        "convention": convention,
        "workers": workers,
    }
    if convention == "scipy":
        line = kernels.laplacian(ndim=1)
        total = filter(image, line, axes=filtered_axes[0], **options)
        for axis in filtered_axes[1:]:
            total = total + filter(image, line, axes=axis, **options)
        return total
    kernel = kernels.laplacian(ndim=len(filtered_axes))
    sign = -1.0 if convention == "skimage" else 1.0
    return filter(image, sign * kernel, axes=filtered_axes, **options)


def gradient(
    image: Any,
    *,
    operator: Operator = "sobel",
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    workers: int | None = None,
) -> Array:
    """Return the slope of an image along each filtered axis, in grey levels per pixel.

    Equation: correlations with the operator's kernels, divided by their gain: a ramp of slope 1
    answers 1.

    Args:
        image: as in `convsmith.images.filter`.
        operator: ``"sobel"``, ``"scharr"``, ``"prewitt"`` or ``"farid"``.
        axes, padding_mode, padding_value, workers: as in `convsmith.images.filter`.

    Returns:
        float32 or float64 array of the image's shape and an axis at the end: the slopes along the
        filtered axes in their order, rows first.

    Raises:
        ArgumentError: an unknown operator.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> rows, columns = np.mgrid[:4, :5]
        >>> gradient(2.0 * rows + columns)[1, 1].tolist()
        [2.0, 1.0]

    Source: each operator's kernel, in `convsmith.kernels`.
    """
    array = checked_image(image)
    filtered_axes = checked_axes(axes, array.ndim)
    return filter(
        array, _slopes(operator, len(filtered_axes)), axes=filtered_axes,
        padding_mode=padding_mode, padding_value=padding_value, dtype=floating_dtype(array),
        workers=workers,
    )  # fmt: skip


def gradient_magnitude(
    image: Any,
    *,
    operator: Operator = "sobel",
    convention: ConventionName | None = None,
    **options: Any,
) -> Array:
    """Return how steep an image is, in grey levels per pixel.

    Equation: ``y = sqrt(sum over axes of slope**2)``, with the slopes of `gradient`.

    Args:
        image: as in `convsmith.images.filter`.
        operator: as in `gradient`.
        convention: with ``"skimage"`` as ``skimage.filters.sobel``, ``scharr``, ``prewitt`` and
            ``farid``: integers scaled to floats, and divided by the root of the number of axes.
        **options: as in `gradient`.

    Returns:
        float32 or float64 array of the image's shape.

    Raises:
        ConvsmithError: as `gradient`.

    Example:
        >>> rows, columns = np.mgrid[:4, :5]
        >>> gradient_magnitude(3.0 * rows + 4.0 * columns)[1, 1]
        np.float64(5.0)

    Source: Gonzalez & Woods, "Digital Image Processing", 4th ed., section 10.2.
    """
    if convention == "skimage":
        options.setdefault("padding_mode", "symmetric")
        image = floating(checked_image(image), convention)
    slopes = gradient(image, operator=operator, **options)
    each = [slopes[..., i] for i in range(slopes.shape[-1])]
    total = pointwise(_length, *each, dtype=slopes.dtype)
    if convention != "skimage":
        return total
    gain = _gain(kernels.farid(ndim=2)) if operator == "farid" else SKIMAGE_GAIN
    return total * (gain / np.sqrt(len(each)))


def gradient_orientation(image: Any, **options: Any) -> Array:
    """Return the direction in which an image rises fastest, in radians.

    Equation: ``y = atan2(slope along rows, slope along columns)``, from -pi to pi: 0 where the
    image rises to the right, pi/2 where it rises downwards.

    Args:
        image: as in `convsmith.images.filter`, with two filtered axes.
        **options: as in `gradient`.

    Returns:
        float32 or float64 array of the image's shape.

    Raises:
        ArgumentError: another number of axes than two.
        ConvsmithError: as `gradient`.

    Example:
        >>> rows, columns = np.mgrid[:4, :5]
        >>> gradient_orientation(1.0 * rows)[1, 1].round(4)
        np.float64(1.5708)

    Source: Gonzalez & Woods, "Digital Image Processing", 4th ed., section 10.2.
    """
    slopes = gradient(image, **options)
    if slopes.shape[-1] != 2:
        raise ArgumentError(
            compose(
                "gradient_orientation(image)",
                f"has no single angle along {slopes.shape[-1]} axes",
                expected="two filtered axes",
                fix="axes=(0, 1)",
            ),
            argument="axes",
            value=options.get("axes"),
        )
    return pointwise(np.arctan2, slopes[..., 0], slopes[..., 1], dtype=slopes.dtype)


def _length(*slopes: Array) -> Array:
    """Return the root of the sum of squares, which are added in turn: so at every chunking."""
    if len(slopes) == 2:
        return np.hypot(*slopes)
    total = slopes[0] * slopes[0]
    for slope in slopes[1:]:
        total = total + slope * slope
    return np.sqrt(total)


def _slopes(operator: Any, rank: int) -> list[Array]:
    """Return the kernels of an operator along each axis, with gain 1."""
    if operator not in OPERATORS:
        raise ArgumentError(
            compose(
                f"operator={operator!r}",
                "is not one that slopes are taken with",
                expected=f"one of {', '.join(map(repr, OPERATORS))}",
                fix='operator="sobel"',
            ),
            argument="operator",
            value=operator,
        )
    result = []
    for name in reversed(AXES[:rank]):
        kernel = kernels.get(f"{operator}_{name}", ndim=rank)
        result.append(kernel / _gain(np.moveaxis(kernel, rank - 1 - AXES.index(name), -1)))
    return result


def _gain(kernel: Array) -> float:
    """Return what a ramp of slope 1 along the last axis answers."""
    return float((kernel * np.arange(kernel.shape[-1])).sum())


def _position(axis: Any, rank: int) -> int:
    if not isinstance(axis, str) or axis not in AXES[:rank] or not axis:
        raise ArgumentError(
            compose(
                f"sobel(axis={axis!r})",
                f"is not one of {rank} filtered axes",
                expected=f"one of {', '.join(map(repr, AXES[:rank]))}",
                fix='axis="x"',
            ),
            argument="axis",
            value=axis,
        )
    return rank - 1 - AXES.index(axis)


def _in_turn(
    image: Any, lines: Sequence[tuple[int, Array]], padding_mode: Any, padding_value: Any,
    dtype: Any, workers: Any,
) -> Array:  # fmt: skip
    result = image
    for axis, line in lines:
        result = apply_lines(
            result, [line], axes=axis, padding_mode=padding_mode, padding_value=padding_value,
            dtype=dtype, convention="scipy", workers=workers,
        )  # fmt: skip
    return result

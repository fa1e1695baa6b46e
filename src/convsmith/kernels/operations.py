"""Kernels from kernels: composed, with holes, normalised, and in another library's layout."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError
from convsmith.errors import compose as message
from convsmith.kernels.arguments import (
    check_entries,
    checked_choice,
    checked_count,
    is_whole,
    per_axis,
    shown,
)
from convsmith.kernels.layout import LAYOUTS, as_kernel, numeric_array

Array = NDArray[Any]

Norm = Literal["sum", "l1", "l2", "max", "zero_mean"]
NORMS: tuple[Norm, ...] = get_args(Norm)


def compose(first: Any, *others: Any) -> Array:
    """Return the kernel that equals applying several one after the other.

    Equation: ``k[m] = sum over i of first[i] * second[m - i]``, the full convolution; correlation
    with it is correlation with the first and then with the second, in any order. Where borders are
    padded the two differ near them.

    Args:
        first: an array-like of spatial axes only, such as ``(kh, kw)``.
        *others: more of them, with as many axes.

    Returns:
        float64 (or complex128) array; the sizes add up, less 1 for each further kernel.

    Raises:
        KernelError: what isn't finite numbers, has no axis or an empty one, or different numbers
            of axes.
        ArgumentError: a result too large for any memory.

    Example:
        >>> compose([1.0, 1.0], [1.0, 1.0], [-1.0, 1.0]).tolist()
        [-1.0, -1.0, 1.0, 1.0]

    Source: the associativity of convolution.
    """
    arrays = [checked_kernel("compose", each) for each in (first, *others)]
    ranks = [array.ndim for array in arrays]
    if len(set(ranks)) > 1:
        raise KernelError(
            message(
                "compose(kernels)",
                f"have {', '.join(map(str, ranks))} axes",
                expected="as many in each",
                fix="kernel[None]",
            ),
            argument="kernel",
            value=tuple(array.shape for array in arrays),
        )
    return functools.reduce(_convolved, arrays)


def dilate(kernel: Any, rate: int | Sequence[int], *, ndim: int | None = None) -> Array:
    """Return the kernel with zeros between its taps ("a trous").

    Equation: ``result[rate * i] = kernel[i]``, 0 elsewhere: what a convolution with
    ``dilation_rate=rate`` applies.

    Args:
        kernel: an array-like whose first axes are spatial.
        rate: the distance of taps, one for all spatial axes or one for each; 1 changes nothing.
        ndim: number of spatial axes; all by default. State it for banks.

    Returns:
        float64 (or complex128) array of size ``rate * (taps - 1) + 1`` along each spatial axis.

    Raises:
        KernelError: what isn't finite numbers, or has no axis or an empty one.
        ArgumentError: a rate that isn't a whole number from 1 on, `ndim` isn't from 1 to the
            kernel's number of axes, or a result too large for any memory.

    Example:
        >>> dilate([1.0, 2.0, 1.0], 2).tolist()
        [1.0, 0.0, 2.0, 0.0, 1.0]

    Source: Holschneider et al., "A real-time algorithm for signal analysis with the help of the
    wavelet transform", 1989.
    """
    array = checked_kernel("dilate", kernel)
    rank = spatial_rank("dilate", array, ndim)

    def checked(each: Any) -> int:
        return checked_count("dilate", "rate", each, least=1, fix="2")

    rates = per_axis("dilate", "rate", rate, rank, checked)
    sizes = [r * (n - 1) + 1 for r, n in zip(rates, array.shape[:rank], strict=True)]
    spread = np.zeros(check_entries("dilate", (*sizes, *array.shape[rank:])), array.dtype)
    spread[tuple(slice(None, None, r) for r in rates)] = array
    return spread


def normalize(kernel: Any, by: Norm = "sum", *, ndim: int | None = None) -> Array:
    """Return the kernel with a norm of 1, or without its mean; a bank filter by filter.

    Equation: the kernel over its sum (``"sum"``), the sum of absolute values (``"l1"``), the root
    of the sum of their squares (``"l2"``), or the largest of them (``"max"``); or the kernel less
    its mean (``"zero_mean"``).

    Args:
        kernel: an array-like whose first axes are spatial.
        by: ``"sum"``, ``"l1"``, ``"l2"``, ``"max"`` or ``"zero_mean"``.
        ndim: number of spatial axes; all by default. State it for banks.

    Returns:
        float64 (or complex128) array of the kernel's shape.

    Raises:
        KernelError: what isn't finite numbers, or has no axis or an empty one; a filter whose norm
            is 0, or whose sum is nothing but rounding.
        ArgumentError: an unknown norm, or `ndim` isn't from 1 to the kernel's number of axes.

    Example:
        >>> normalize([1, 2, 1]).tolist()
        [0.25, 0.5, 0.25]

    Source: the definitions of the norms.
    """
    array = checked_kernel("normalize", kernel)
    axes = tuple(range(spatial_rank("normalize", array, ndim)))
    norm = checked_choice("normalize", "by", by, NORMS)
    if norm == "zero_mean":
        return array - array.mean(axes, keepdims=True)
    # A scale of 1 keeps squares and sums of very small and very large kernels finite.
    largest = np.abs(array).max(axes, keepdims=True)
    scaled = array / np.where(largest > 0, largest, 1)
    absolute = np.abs(scaled).sum(axes, keepdims=True)
    sizes = {
        "sum": lambda: scaled.sum(axes, keepdims=True),
        "l1": lambda: absolute,
        "l2": lambda: np.sqrt((np.abs(scaled) ** 2).sum(axes, keepdims=True)),
        "max": lambda: np.abs(scaled).max(axes, keepdims=True),
    }[norm]()
    taps = float(np.prod([array.shape[axis] for axis in axes]))
    if (np.abs(sizes) <= np.finfo(np.float64).eps * taps * absolute).any():
        raise KernelError(
            message(
                f"normalize(kernel, by={shown(by)})",
                "has nothing to divide by: it is 0, or as good as 0",
                expected="a kernel of another " + ("sum" if norm == "sum" else "norm"),
                fix='by="l1"' if norm == "sum" and absolute.all() else "leave it as it is",
            ),
            argument="kernel",
            value=array.shape,
        )
    return scaled / sizes


def invert_layout(kernel: Any, layout: str, ndim: int = 2) -> Array:
    """Return a kernel (spatial..., in, out) in another layout: the inverse of `as_kernel`.

    Equation: ``result[...] = kernel[h, w, i, o]`` with the indices in the order of `layout`; an
    axis that the layout lacks must have length 1.

    Args:
        kernel: an array-like in the layout ``"HWIO"`` (``"WIO"``, ``"DHWIO"``).
        layout: one of ``LAYOUTS[ndim]``, such as ``"OIHW"`` for PyTorch.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        Array in the dtype that `as_kernel` gives, contiguous.

    Raises:
        ArgumentError: `ndim` or `layout` is unknown.
        KernelError: what `as_kernel` refuses, or channels or filters that the layout has no axis
            for.

    Example:
        >>> invert_layout(np.zeros((5, 5, 3, 64)), "OIHW").shape
        (64, 3, 5, 5)

    Source: the layouts are those of `as_kernel`.
    """
    stated = layout.upper() if isinstance(layout, str) else layout
    checked = as_kernel(kernel, ndim, filters=_filters(kernel, ndim))
    known = LAYOUTS[ndim]
    if not isinstance(stated, str) or stated not in known:
        raise ArgumentError(
            message(
                f"invert_layout(layout={shown(layout)})",
                f"is not a layout of a kernel with {ndim} spatial axes",
                expected=f"one of {', '.join(map(repr, known))}",
                fix=f"layout={known[1]!r}",
            ),
            argument="layout",
            value=layout,
        )
    source = known[0]
    missing = [letter for letter in source if letter not in stated]
    for letter in missing:
        if checked.shape[source.index(letter)] != 1:
            raise KernelError(
                message(
                    f"kernel of shape {checked.shape}",
                    f"has {checked.shape[source.index(letter)]} "
                    f"{'channels' if letter == 'I' else 'filters'}, and layout {stated!r} has no "
                    f"axis {letter!r} for them",
                    expected="a layout with that axis",
                    fix=f"layout={known[1]!r}",
                ),
                argument="kernel",
                value=checked.shape,
            )
    squeezed = checked.squeeze(tuple(source.index(letter) for letter in missing))
    present = [letter for letter in source if letter in stated]
    return np.ascontiguousarray(squeezed.transpose([present.index(c) for c in stated]))


def checked_kernel(where: str, kernel: Any) -> Array:
    """Return the entries as float64 or complex128.

    Raises:
        KernelError: what isn't finite numbers, or has no axis or an empty one.
    """
    array = numeric_array(kernel)
    if array.ndim == 0 or array.size == 0:
        problem, expected = f"has shape {array.shape}", "at least one axis, none of them empty"
    elif not np.isfinite(array).all():
        problem, expected = "has entries that are infinite or NaN", "finite numbers"
    else:
        return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    raise KernelError(
        message(
            f"{where}(kernel)",
            problem,
            expected=expected,
            fix="kernels.box(3)" if array.size == 0 or array.ndim == 0 else "numpy.nan_to_num",
        ),
        argument="kernel",
        value=array.shape,
    )


def spatial_rank(where: str, array: Array, ndim: int | None) -> int:
    """Return how many of the first axes are spatial.

    Raises:
        ArgumentError: `ndim` isn't from 1 to the number of axes.
    """
    if ndim is None:
        return array.ndim
    return checked_count(where, "ndim", ndim, least=1, most=array.ndim, fix=f"{array.ndim}")


def _filters(kernel: Any, ndim: Any) -> int | None:
    """Return the last axis: who calls the layout HWIO has settled what counts the filters."""
    array = numeric_array(kernel)
    fits = is_whole(ndim) and array.ndim == ndim + 2
    return array.shape[-1] if fits else None


def _convolved(first: Array, second: Array) -> Array:
    if first.size < second.size:
        first, second = second, first
    shape = tuple(m + n - 1 for m, n in zip(first.shape, second.shape, strict=True))
    total = np.zeros(check_entries("compose", shape), np.result_type(first, second))
    for index in np.ndindex(second.shape):
        place = tuple(slice(i, i + n) for i, n in zip(index, first.shape, strict=True))
        total[place] += first * second[index]
    return total

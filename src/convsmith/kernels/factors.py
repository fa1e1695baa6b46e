"""Kernels as sums of outer products of lines: the factors of separable convolutions."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.kernels.layout import numeric_array

Array = NDArray[Any]

ROUNDINGS = 4.0
"""How many roundings of its own dtype, relative to its norm, a kernel may lose unless told."""


def separate(kernel: Any, *, tolerance: float | None = None) -> tuple[Array, ...]:
    """Return lines whose outer products add up to a kernel, one matrix of them for each axis.

    Equation: ``kernel[i, j, ...] ~ sum over r of f0[i, r] * f1[j, r] * ...``, with as few terms
    as the tolerance allows in two dimensions (truncated singular values), and few in more.
    ``b (h+kh) (w+kw) c, kh r, kw r -> b h w c`` convolves with the factors: ``r * (kh + kw)``
    multiplications instead of ``kh * kw``.

    Args:
        kernel: an array-like of spatial axes only, such as ``(kh, kw)`` or ``(kd, kh, kw)``.
        tolerance: the 2-norm of what may be lost, as a share of the kernel's 2-norm. By default
            4 roundings of the kernel's dtype, less than what direct summation loses. With a
            tolerance ``t`` an output is off by at most
            ``t * sqrt(kernel.size) * max|x| * norm(kernel)``.

    Returns:
        One ``(taps, terms)`` array for each axis of the kernel, in its dtype; float64 for
        whole numbers. A kernel of zeros has one term.

    Raises:
        ArgumentError: a tolerance that isn't a number from 0 on.
        KernelError: what isn't finite numbers, or has no axis or an empty one.

    Example:
        >>> from convsmith.kernels import sobel
        >>> column, row = separate(sobel("x"))
        >>> column.shape, row.shape
        ((3, 1), (3, 1))
        >>> bool(np.allclose(column @ row.T, sobel("x")))
        True

    Source: Golub & Van Loan, "Matrix Computations", 4th ed., section 2.4.
    """
    array = _checked(kernel)
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if tolerance is None:
        # NumPy doesn't know the rounding of bfloat16, whose arrays report kind "V".
        rounding = np.finfo(array.dtype).eps if array.dtype.kind in "fc" else 2.0**-7
        tolerance = ROUNDINGS * float(rounding)
    elif not _is_share(tolerance):
        raise ArgumentError(
            compose(
                f"separate(tolerance={tolerance!r})",
                "is no share of a norm",
                expected="a finite number from 0 on",
                fix="tolerance=1e-6",
            ),
            argument="tolerance",
            value=tolerance,
        )
    norm = float(np.linalg.norm(wide))
    if norm == 0:
        return tuple(np.zeros((n, 1), array.dtype) for n in array.shape)
    # A scale of 1 keeps squares of very small and very large kernels finite.
    terms = _terms(wide / norm, float(tolerance))
    each = norm ** (1 / array.ndim)
    # The root is rounded: the first line makes up for the others.
    scales = [norm / each ** (array.ndim - 1)] + [each] * (array.ndim - 1)
    lines = [_balanced(term, scales) for term in terms]
    return tuple(
        np.stack([term[axis] for term in lines], axis=1).astype(array.dtype)
        for axis in range(array.ndim)
    )


def _terms(array: Array, budget: float) -> list[list[Array]]:
    """Return lists of one line per axis; what they miss has at most the norm `budget`."""
    if array.ndim == 1:
        return [[array]]
    matrix = array.reshape(array.shape[0], -1)
    columns, values, rows = np.linalg.svd(matrix, full_matrices=False)
    # What is lost by leaving out all from the i-th on.
    lost = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])
    # Deeper splits lose something too: the squares of orthogonal losses add up.
    own = budget if array.ndim == 2 else budget / sqrt(2)
    count = max(int((lost > own).sum()), 1)
    if count == 1:
        crossed = _cross(matrix)
        if np.linalg.norm(matrix - np.outer(*crossed)) <= own:
            # Exact for kernels of small whole numbers, which singular vectors aren't.
            column, row = crossed
            left = budget / sqrt(2) / max(float(np.linalg.norm(column)), 1e-300)
            return [[column, *rest] for rest in _terms(row.reshape(array.shape[1:]), left)]
    left = budget / sqrt(2 * count)
    return [
        [columns[:, i], *rest]
        for i in range(count)
        for rest in _terms((values[i] * rows[i]).reshape(array.shape[1:]), left)
    ]


def _cross(matrix: Array) -> tuple[Array, Array]:
    """Return the column and the row through the largest entry, whose product it is at rank 1."""
    i, j = np.unravel_index(np.abs(matrix).argmax(), matrix.shape)
    return matrix[:, j] / matrix[i, j], matrix[i]


def _balanced(term: list[Array], scales: list[float]) -> list[Array]:
    """Return the lines of a term with equal norms, times a scale each."""
    norms = [float(np.linalg.norm(line)) for line in term]
    if 0.0 in norms:
        return [np.zeros_like(line) for line in term]
    mean = float(np.exp(np.mean(np.log(norms))))
    return [
        line * (mean / norm * scale) for line, norm, scale in zip(term, norms, scales, strict=True)
    ]


def _is_share(tolerance: Any) -> bool:
    try:
        number = float(tolerance)
    except (TypeError, ValueError):
        return False
    return isfinite(number) and number >= 0 and not isinstance(tolerance, bool)


def _checked(kernel: Any) -> Array:
    array = numeric_array(kernel)
    if array.ndim == 0 or array.size == 0:
        problem, expected = f"has shape {array.shape}", "at least one axis, none of them empty"
    elif not np.isfinite(array).all():
        problem, expected = "has entries that are infinite or NaN", "finite numbers"
    else:
        return array
    raise KernelError(
        compose(
            "separate(kernel)",
            problem,
            expected=expected,
            fix="kernels.box(3)" if array.size == 0 else "numpy.nan_to_num(kernel)",
        ),
        argument="kernel",
        value=array.shape,
    )

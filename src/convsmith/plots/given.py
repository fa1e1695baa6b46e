"""Kernels as they are given to a plot: names, rows of numbers, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import KernelError, compose

Array = NDArray[Any]


def real_kernel(kernel: Any, ndim: int) -> Array:
    """Return a kernel as float64; -inf, which max-plus convolutions never choose, stays.

    Args:
        kernel: a name of `convsmith.kernels.names()`, with arguments or without, or an array-like.
        ndim: of how many axes a named kernel is built.

    Raises:
        KernelError: what isn't real numbers, or holds NaN, or nothing.
    """
    array = np.asarray(kernels.get(kernel, ndim=ndim) if isinstance(kernel, str) else kernel)
    if array.dtype.kind not in "fiub" or array.size == 0:
        raise KernelError(
            compose(
                f"kernel of dtype {array.dtype}, shape {array.shape}",
                "can't be drawn",
                expected="real numbers, or a name of convsmith.kernels.names()",
                fix="kernel.real and kernel.imag" if array.dtype.kind == "c" else "'sobel_x'",
            ),
            argument="kernel",
            value=array.shape,
        )
    wide = array.astype(np.float64)
    if np.isnan(wide).any():
        raise KernelError(
            compose(
                f"kernel of shape {array.shape}",
                f"holds {int(np.isnan(wide).sum())} NaN",
                expected="numbers",
                fix="numpy.nan_to_num(kernel)",
            ),
            argument="kernel",
            value=array.shape,
        )
    return wide


def check_axes(kernel: Array, allowed: Sequence[int], fix: str) -> None:
    """Refuse a kernel of another number of axes.

    Raises:
        KernelError: as it says.
    """
    if kernel.ndim not in allowed:
        raise KernelError(
            compose(
                f"kernel of shape {kernel.shape}",
                f"has {kernel.ndim} axes",
                expected=" or ".join(map(str, allowed)),
                fix=fix,
            ),
            argument="kernel",
            value=kernel.shape,
        )

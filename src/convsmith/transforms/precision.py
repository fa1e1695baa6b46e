"""Transforms compute in float32 at least: sums of half-precision kernels lose what they are for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from convsmith.errors import DtypeError, compose

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


def widely(name: str, kernel: Any, compute: Callable[[Any], Any]) -> Any:
    """Return what `compute` makes of a kernel in float32 or float64, in the kernel's own dtype.

    Raises:
        DtypeError: the kernel is complex.
    """
    tensor = ops.convert_to_tensor(kernel)
    given = keras.backend.standardize_dtype(tensor.dtype)
    if given.startswith("complex"):
        raise DtypeError(
            compose(
                f"{name}: kernel of dtype {given}",
                "is complex",
                expected="real numbers",
                fix="the transform of its real and imaginary parts",
            ),
            argument="kernel",
            value=given,
        )
    wide = tensor if given == "float64" else ops.cast(tensor, "float32")
    result = compute(wide)
    return ops.cast(result, given) if "float" in given else result


def at_least(tensor: Any, least: float) -> Any:
    """Return the larger of the two, in the tensor's dtype."""
    # Keras's maximum rounds float64 to float32 on PyTorch; its clip doesn't.
    return ops.clip(tensor, least, math.inf)


def filter_axes(kernel: Any) -> tuple[int, ...]:
    """Return the axes of one filter: all but the last."""
    return tuple(range(len(kernel.shape) - 1))


def filter_means(kernel: Any) -> Any:
    """Return the mean of each filter, its axes kept with size 1."""
    # Keras's mean rounds float64 to float32 on PyTorch.
    return ops.sum(kernel, axis=filter_axes(kernel), keepdims=True) / math.prod(kernel.shape[:-1])

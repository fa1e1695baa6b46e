"""Central difference convolution, as a kernel."""

from __future__ import annotations

from math import isfinite
from typing import Any

import keras
import numpy as np

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.precision import widely

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


@keras.saving.register_keras_serializable(package="convsmith")
class CentralDifference(KernelTransform):
    """Let a kernel look at differences to the pixel in the middle.

    Equation: ``y[k, i, o] = k[k, i, o] - theta * (sum over taps of k[., i, o])`` at the centre tap,
    ``k[k, i, o]`` elsewhere; so that the convolution is ``conv(x, k) - theta * x * sum(k)``. With
    theta 0, the identity; with 1, constant inputs give 0.

    Args:
        theta: how much of the sum goes.

    Raises:
        ArgumentError: `theta` isn't a finite number.
        KernelError: in a call, a kernel of even size.

    Example:
        >>> kernel = CentralDifference(1.0)(keras.ops.ones((3, 1, 1)))
        >>> keras.ops.convert_to_numpy(kernel)[:, 0, 0].tolist()
        [1.0, -2.0, 1.0]

    Source: Yu et al., "Searching Central Difference Convolutional Networks for Face
    Anti-Spoofing", 2020, eq. 5.
    """

    def __init__(self, theta: float = 0.7) -> None:
        number = not isinstance(theta, bool) and isinstance(theta, int | float)
        if not number or not isfinite(theta):
            raise ArgumentError(
                compose(
                    f"CentralDifference: theta={theta!r}",
                    "is not a finite number",
                    expected="a number, from 0 to 1 as a rule",
                    fix="theta=0.7",
                ),
                argument="theta",
                value=theta,
            )
        self.theta = float(theta)

    def __call__(self, kernel: Any) -> Any:
        """Return the kernel with its sums taken off the centre."""
        taps = tuple(ops.convert_to_tensor(kernel).shape)[:-2]
        if any(n % 2 == 0 for n in taps) or not taps:
            raise KernelError(
                compose(
                    f"CentralDifference: kernel of size {taps}",
                    "has no centre",
                    expected="odd sizes",
                    fix="kernel_size=3",
                ),
                argument="kernel",
                value=taps,
            )
        centre = np.zeros((*taps, 1, 1))
        centre[tuple(n // 2 for n in taps)] = 1.0

        def compute(wide: Any) -> Any:
            total = ops.sum(wide, axis=tuple(range(len(taps))), keepdims=True)
            middle = ops.convert_to_tensor(centre, wide.dtype)
            # A schedule may make theta a tensor.
            return wide - ops.convert_to_tensor(self.theta, wide.dtype) * middle * total

        return widely("CentralDifference", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return theta."""
        return {"theta": self.theta}

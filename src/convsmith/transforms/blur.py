"""Blurred kernels."""

from __future__ import annotations

from math import isfinite
from typing import Any

import keras
import numpy as np

from convsmith.errors import ArgumentError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.precision import at_least, widely

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


@keras.saving.register_keras_serializable(package="convsmith")
class Blur(KernelTransform):
    """Blur the kernel along its taps, so that a layer sees coarse structure only.

    Equation: ``y[t] = sum over s of g(t - s) k[s] / sum over s of g(t - s)`` along each spatial
    axis, ``g(d) = exp(-d**2 / (2 sigma**2))``. With sigma 0, the identity.

    Args:
        sigma: of the Gaussian, in taps.

    Raises:
        ArgumentError: `sigma` is negative or isn't a finite number.

    Example:
        >>> kernel = Blur(100.0)([[[1.0]], [[3.0]]])
        >>> keras.ops.convert_to_numpy(kernel)[:, 0, 0].round(2).tolist()
        [2.0, 2.0]

    Source: after Sinha, Garg & Larochelle, "Curriculum by Smoothing", 2020, who blur feature maps
    and anneal sigma (`KernelSchedule` does).
    """

    def __init__(self, sigma: float = 1.0) -> None:
        number = not isinstance(sigma, bool) and isinstance(sigma, int | float)
        if not number or not isfinite(sigma) or sigma < 0:
            raise ArgumentError(
                compose(
                    f"Blur: sigma={sigma!r}",
                    "is not a finite number from 0",
                    expected="a width in taps, such as 1.0",
                    fix="sigma=1.0",
                ),
                argument="sigma",
                value=sigma,
            )
        self.sigma = float(sigma)

    def __call__(self, kernel: Any) -> Any:
        """Return the blurred kernel."""

        def compute(wide: Any) -> Any:
            sigma = at_least(ops.convert_to_tensor(self.sigma, wide.dtype), 1e-6)
            for axis in range(len(wide.shape) - 2):
                places = np.arange(float(wide.shape[axis]))
                apart = ops.convert_to_tensor(places[:, None] - places[None, :], wide.dtype)
                # The exponent is 0 on the diagonal: no row is without weight.
                bell = ops.exp(-ops.square(apart / sigma) / 2)
                bell = bell / ops.sum(bell, axis=1, keepdims=True)
                wide = ops.moveaxis(ops.tensordot(bell, wide, axes=[[1], [axis]]), 0, axis)
            return wide

        return widely("Blur", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return sigma."""
        return {"sigma": self.sigma}

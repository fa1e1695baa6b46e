"""Weight standardisation: every filter gets mean 0 and variance 1."""

from __future__ import annotations

import math
from typing import Any

import keras

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.precision import filter_means, widely

EPSILON = 1e-5

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


@keras.saving.register_keras_serializable(package="convsmith")
def standardize(kernel: Any, epsilon: float = EPSILON) -> Any:
    """Return the kernel with each filter's mean removed and its variance made one.

    Equation: ``y[..., o] = (k[..., o] - m[o]) / sqrt(v[o] + epsilon)`` where ``m`` and ``v`` are
    the mean and the biased variance over all axes but the last. Half-precision kernels are
    computed in float32, where epsilon doesn't vanish, and cast back; so a constant filter gives
    zeros, not NaN.

    Args:
        kernel: shape ``(*kernel_size, in, out)``, any floating dtype; integers give float32.
        epsilon: added to the variance.

    Returns:
        Tensor of the kernel's shape and dtype.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.
        DtypeError: the kernel is complex.
        KernelError: there are fewer than two numbers in a filter (such as a 1x1 kernel with one
            input channel): standardised, they'd be zero whatever they are.

    Example:
        >>> keras.ops.convert_to_numpy(standardize([[1.0], [3.0]], epsilon=1e-12)).tolist()
        [[-1.0], [1.0]]

    Source: Qiao, Wang, Liu, Shen & Yuille, "Micro-Batch Training with Batch-Channel Normalization
    and Weight Standardization", 2019, arXiv:1903.10520.
    """
    _check_epsilon(epsilon)
    tensor = ops.convert_to_tensor(kernel)
    shape = tuple(tensor.shape)
    if len(shape) < 2 or math.prod(shape[:-1]) < 2:
        raise KernelError(
            compose(
                f"standardize: kernel of shape {shape}",
                f"has {math.prod(shape[:-1])} number in each filter, which would always become 0",
                expected="at least two (the last axis counts the filters)",
                fix="a larger kernel_size, more input channels in each group, or no "
                "standardisation in this layer",
            ),
            argument="kernel",
            value=shape,
        )

    def compute(wide: Any) -> Any:
        centred = wide - filter_means(wide)
        return centred * ops.rsqrt(filter_means(ops.square(centred)) + epsilon)

    return widely("standardize", tensor, compute)


@keras.saving.register_keras_serializable(package="convsmith")
class Standardize(KernelTransform):
    """The transform `standardize` with its epsilon fixed.

    Equation: ``y = standardize(kernel, epsilon)``.

    Args:
        epsilon: added to the variance.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.

    Example:
        >>> Standardize(epsilon=0.001)
        Standardize(epsilon=0.001)

    Source: as `standardize`.
    """

    def __init__(self, epsilon: float = EPSILON) -> None:
        _check_epsilon(epsilon)
        self.epsilon = float(epsilon)

    def __call__(self, kernel: Any) -> Any:
        """Return the standardised kernel."""
        return standardize(kernel, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Return the epsilon."""
        return {"epsilon": self.epsilon}


def _check_epsilon(epsilon: float) -> None:
    number = not isinstance(epsilon, bool) and isinstance(epsilon, int | float)
    # Below float32's smallest normal number it would vanish from the sum.
    if not number or not 1.2e-38 <= epsilon < math.inf:
        raise ArgumentError(
            compose(
                f"standardize: epsilon={epsilon!r}",
                "is not a positive finite number",
                expected="a small number such as 1e-5",
                fix=f"epsilon={EPSILON}",
            ),
            argument="epsilon",
            value=epsilon,
        )

"""Convolutions whose kernel is standardised before each use."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import transforms
from convsmith.layers.conv import Conv1D, Conv2D, Conv3D, Convolution


class StandardizedConvolution(Convolution):
    """What the three ranks share: another default of `kernel_transform`."""

    def __init__(
        self, *args: Any, kernel_transform: transforms.TransformLike = "standardize", **kwargs: Any
    ) -> None:
        super().__init__(*args, kernel_transform=kernel_transform, **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class StandardizedConv1D(StandardizedConvolution, Conv1D):
    """`Conv1D` whose filters have mean 0 and variance 1 in use.

    Equation: ``y = conv(x, (k - mean(k)) / sqrt(var(k) + epsilon)) + bias``, mean and biased
    variance of each filter. Another epsilon: ``kernel_transform=Standardize(epsilon=1e-3)``.

    Args, shapes and Raises: as `Conv1D`, and

    Raises:
        KernelError: a filter of a single number, which would always become 0.

    Example:
        >>> tuple(StandardizedConv1D(4, 3)(keras.ops.ones((2, 8, 3))).shape)
        (2, 6, 4)

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight
    Standardization", 2019, arXiv:1903.10520.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class StandardizedConv2D(StandardizedConvolution, Conv2D):
    """`Conv2D` whose filters have mean 0 and variance 1 in use.

    Equation: ``y = conv(x, (k - mean(k)) / sqrt(var(k) + epsilon)) + bias``, mean and biased
    variance of each filter. Another epsilon: ``kernel_transform=Standardize(epsilon=1e-3)``.

    Args, shapes and Raises: as `Conv2D`, and

    Raises:
        KernelError: a filter of a single number, which would always become 0.

    Example:
        >>> tuple(StandardizedConv2D(4, 3)(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 6, 6, 4)

    Source: as `StandardizedConv1D`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class StandardizedConv3D(StandardizedConvolution, Conv3D):
    """`Conv3D` whose filters have mean 0 and variance 1 in use.

    Equation: ``y = conv(x, (k - mean(k)) / sqrt(var(k) + epsilon)) + bias``, mean and biased
    variance of each filter. Another epsilon: ``kernel_transform=Standardize(epsilon=1e-3)``.

    Args, shapes and Raises: as `Conv3D`, and

    Raises:
        KernelError: a filter of a single number, which would always become 0.

    Example:
        >>> tuple(StandardizedConv3D(4, 3)(keras.ops.ones((2, 4, 8, 8, 3))).shape)
        (2, 2, 6, 6, 4)

    Source: as `StandardizedConv1D`.
    """

"""Pooling that blurs before it leaves entries out, so that a shift of the input stays one."""

from __future__ import annotations

from functools import reduce
from math import comb
from typing import Any, Self

import keras
import numpy as np

from convsmith import geometry
from convsmith.layers.fixed import FixedConvolution


class BlurPooling(FixedConvolution):
    """What the three ranks share."""

    def __init__(
        self,
        pool_size: Any = 2,
        kernel_size: Any = 3,
        padding: Any = None,
        data_format: str | None = None,
        *,
        padding_mode: Any = "reflect",
        padding_value: float | None = None,
        **kwargs: Any,
    ) -> None:
        rank = self.spatial_rank
        self.pool_size = geometry.normalize_tuple(pool_size, rank, "pool_size")
        self.kernel_size = geometry.normalize_tuple(kernel_size, rank, "kernel_size")
        if padding is None:
            # The same for every stride: "same" shifts where the stride meets the size.
            padding = tuple(((n - 1) // 2, n // 2) for n in self.kernel_size)
        rows = [
            np.array([comb(n - 1, k) for k in range(n)]) / 2 ** (n - 1) for n in self.kernel_size
        ]
        super().__init__(
            reduce(np.multiply.outer, rows).astype("float32"),
            self.pool_size,
            padding,
            data_format,
            padding_mode=padding_mode,
            padding_value=padding_value,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        fixed = ("kernel", "strides", "dilation_rate", "channel_axis", "layout", "separable")
        config = {k: v for k, v in super().get_config().items() if k not in fixed}
        return {**config, "pool_size": self.pool_size, "kernel_size": self.kernel_size}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the layer that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="convsmith")
class BlurPool1D(BlurPooling):
    """Leave out entries of a signal after a binomial blur: pooling without aliasing.

    Equation: ``y[b, w, c] = sum over k of x[b, pool_size*w + k - low, c] * C(n, k) / 2**n`` with
    n the kernel's size less 1; beyond its edges x is what `padding_mode` says.

    Args:
        pool_size: how many entries become one; 1 only blurs.
        kernel_size: taps of the blur, for each axis.
        padding: as in `FixedConv1D`; None for ``((kernel_size - 1) // 2, kernel_size // 2)``, which
            keeps the positions whatever the size.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras's setting by default.
        padding_mode: as in `Conv1D`.
        padding_value: what ``"constant"`` fills with, 0 by default.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``; output the same with ``ceil(width / pool_size)`` positions.
    Floating dtypes; whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes, or a kernel larger than the padded input.

    Example:
        >>> tuple(BlurPool1D()(keras.ops.ones((2, 9, 3))).shape)
        (2, 5, 3)

    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class BlurPool2D(BlurPooling):
    """Leave out rows and columns after a binomial blur: pooling without aliasing.

    Equation: that of `BlurPool1D` along height and width.

    Args, shapes and Raises: as `BlurPool1D`, with an int or one entry for each axis.

    Example:
        >>> layer = BlurPool2D(pool_size=2, kernel_size=5)
        >>> tuple(layer(keras.ops.ones((2, 8, 9, 3))).shape)
        (2, 4, 5, 3)

    Source: as `BlurPool1D`.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class BlurPool3D(BlurPooling):
    """Leave out planes, rows and columns after a binomial blur: pooling without aliasing.

    Equation: that of `BlurPool1D` along depth, height and width.

    Args, shapes and Raises: as `BlurPool1D`, with an int or one entry for each axis.

    Example:
        >>> tuple(BlurPool3D()(keras.ops.ones((1, 4, 6, 8, 2))).shape)
        (1, 2, 3, 4, 2)

    Source: as `BlurPool1D`.
    """

    spatial_rank = 3

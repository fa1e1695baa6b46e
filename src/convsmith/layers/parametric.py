"""Convolutions whose kernels are made of a few trained numbers."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import transforms
from convsmith.layers.conv import Conv1D, Conv2D
from convsmith.layers.own_transform import OwnTransform


@keras.saving.register_keras_serializable(package="convsmith")
class GaborConv2D(OwnTransform, Conv2D):
    """`Conv2D` of Gabor filters, whose frequency, direction, phase, width and shape are trained.

    Equation: ``y = activation(conv(x, kernel) + bias)`` with the kernel of
    `convsmith.transforms.Gabor`, six numbers for each pair of channels. ``layer.kernel`` is the
    kernel of now.

    Args: those of `Conv2D`, and

        kernel_transform: comes after the filters were made.

    `kernel_initializer` sets the variance of the amplitudes; there is no kernel weight, so that
    `kernel_regularizer` and `kernel_constraint` are refused.

    Shapes and Raises: as `Conv2D`.

    Example:
        >>> layer = GaborConv2D(8, 7, padding="same")
        >>> tuple(layer(keras.ops.ones((2, 9, 9, 1))).shape), tuple(layer.kernel.shape)
        ((2, 9, 9, 8), (7, 7, 1, 8))

    Source: as `convsmith.transforms.Gabor`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, own=transforms.Gabor(), **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class SincConv1D(OwnTransform, Conv1D):
    """`Conv1D` of band-pass filters, whose two cut-off frequencies are trained.

    Equation: ``y = activation(conv(x, kernel) + bias)`` with the kernel of
    `convsmith.transforms.Sinc`, two numbers for each pair of channels. ``layer.kernel`` is the
    kernel of now.

    Args: those of `Conv1D`, and

        sample_rate: of the signal, in hertz.
        lowest_hertz: the least lower cut-off.
        narrowest_hertz: the least width of a band.
        kernel_transform: comes after the filters were made.

    Shapes and Raises: as `Conv1D`, and

    Raises:
        ArgumentError: frequencies that aren't positive, or leave no band below half the rate.

    Example:
        >>> layer = SincConv1D(8, 51, sample_rate=8000, padding="same", use_bias=False)
        >>> tuple(layer(keras.ops.ones((2, 100, 1))).shape)
        (2, 100, 8)

    Source: as `convsmith.transforms.Sinc`.
    """

    def __init__(
        self,
        *args: Any,
        sample_rate: float = 16_000,
        lowest_hertz: float = 50,
        narrowest_hertz: float = 50,
        **kwargs: Any,
    ) -> None:
        own = transforms.Sinc(sample_rate, lowest_hertz, narrowest_hertz)
        super().__init__(*args, own=own, **kwargs)
        self._band = own

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("sample_rate", "lowest_hertz", "narrowest_hertz")
        return {**super().get_config(), **{name: getattr(self._band, name) for name in own}}

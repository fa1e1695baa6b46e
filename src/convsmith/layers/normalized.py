"""Convolutions whose kernel has a trained length, or a bounded norm."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import transforms
from convsmith.layers.conv import Conv1D, Conv2D, Conv3D
from convsmith.layers.own_transform import OwnTransform


class WeightNormConvolution(OwnTransform):
    """What the three ranks share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, own=transforms.WeightNorm(), **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class WeightNormConv1D(WeightNormConvolution, Conv1D):
    """`Conv1D` that trains the length of every filter apart from its direction.

    Equation: ``y = activation(conv(x, g * kernel / ||kernel||) + bias)``, g and the norm for each
    filter; at first g is the norm, so that the layer starts as `Conv1D` does.

    Args, shapes and Raises: as `Conv1D`; `kernel_transform` comes before the normalisation.

    Example:
        >>> layer = WeightNormConv1D(4, 3)
        >>> tuple(layer(keras.ops.ones((2, 8, 3))).shape), len(layer.trainable_weights)
        ((2, 6, 4), 3)

    Source: as `convsmith.transforms.WeightNorm`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class WeightNormConv2D(WeightNormConvolution, Conv2D):
    """`Conv2D` that trains the length of every filter apart from its direction.

    Equation: ``y = activation(conv(x, g * kernel / ||kernel||) + bias)``, as in `WeightNormConv1D`.

    Args, shapes and Raises: as `Conv2D`; `kernel_transform` comes before the normalisation.

    Example:
        >>> tuple(WeightNormConv2D(4, 3)(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 6, 6, 4)

    Source: as `convsmith.transforms.WeightNorm`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class WeightNormConv3D(WeightNormConvolution, Conv3D):
    """`Conv3D` that trains the length of every filter apart from its direction.

    Equation: ``y = activation(conv(x, g * kernel / ||kernel||) + bias)``, as in `WeightNormConv1D`.

    Args, shapes and Raises: as `Conv3D`; `kernel_transform` comes before the normalisation.

    Example:
        >>> tuple(WeightNormConv3D(4, 3)(keras.ops.ones((2, 4, 8, 8, 3))).shape)
        (2, 2, 6, 6, 4)

    Source: as `convsmith.transforms.WeightNorm`.
    """


class SpectralNormConvolution(OwnTransform):
    """What the three ranks share."""

    def __init__(
        self, *args: Any, iterations: int = 1, input_size: Any = None, **kwargs: Any
    ) -> None:
        own = transforms.SpectralNorm(iterations, input_size)
        super().__init__(*args, own=own, **kwargs)
        self._norm = own

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"iterations": self._norm.iterations, "input_size": self._norm.input_size}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="convsmith")
class SpectralNormConv1D(SpectralNormConvolution, Conv1D):
    """`Conv1D` divided by the largest singular value of its kernel.

    Equation: ``y = activation(conv(x, kernel / s) + bias)``, s the norm of the kernel as a matrix,
    or with `input_size` of the convolution itself.

    Args: those of `Conv1D`, and

        iterations: of power iteration in each training call.
        input_size: None, or the size of the input for the norm of the convolution.
        kernel_transform: comes before the normalisation.

    Shapes and Raises: as `Conv1D`, and

    Raises:
        ArgumentError: no positive number of iterations, or sizes that are none.

    Example:
        >>> tuple(SpectralNormConv1D(4, 3)(keras.ops.ones((2, 8, 3))).shape)
        (2, 6, 4)

    Source: as `convsmith.transforms.SpectralNorm`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class SpectralNormConv2D(SpectralNormConvolution, Conv2D):
    """`Conv2D` divided by the largest singular value of its kernel.

    Equation: ``y = activation(conv(x, kernel / s) + bias)``, as in `SpectralNormConv1D`.

    Args: those of `Conv2D`, and those that `SpectralNormConv1D` adds.

    Shapes and Raises: as `Conv2D` and `SpectralNormConv1D`.

    Example:
        >>> layer = SpectralNormConv2D(4, 3, input_size=8, padding="same", padding_mode="wrap")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 8, 8, 4)

    Source: as `convsmith.transforms.SpectralNorm`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class SpectralNormConv3D(SpectralNormConvolution, Conv3D):
    """`Conv3D` divided by the largest singular value of its kernel.

    Equation: ``y = activation(conv(x, kernel / s) + bias)``, as in `SpectralNormConv1D`.

    Args: those of `Conv3D`, and those that `SpectralNormConv1D` adds.

    Shapes and Raises: as `Conv3D` and `SpectralNormConv1D`.

    Example:
        >>> tuple(SpectralNormConv3D(4, 3)(keras.ops.ones((2, 4, 8, 8, 3))).shape)
        (2, 2, 6, 6, 4)

    Source: as `convsmith.transforms.SpectralNorm`.
    """


@keras.saving.register_keras_serializable(package="convsmith")
class ScaledStandardizedConv2D(OwnTransform, Conv2D):
    """`Conv2D` whose filters are standardised and scaled by their fan-in, with a trained gain.

    Equation: ``y = activation(conv(x, g * gain * (k - mean(k)) / sqrt(max(N var(k), epsilon))) +
    bias)``, mean, variance and g for each filter of N numbers, g at first 1.

    Args: those of `Conv2D`, and

        gain: of the activation in front, 1 for none.
        epsilon: see the equation.
        kernel_transform: comes before the standardisation.

    Shapes and Raises: as `Conv2D`, and

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.

    Example:
        >>> tuple(ScaledStandardizedConv2D(4, 3)(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 6, 6, 4)

    Source: as `convsmith.transforms.ScaledStandardize`.
    """

    def __init__(self, *args: Any, gain: float = 1.0, epsilon: float = 1e-4, **kwargs: Any) -> None:
        scaled = transforms.ScaledStandardize(gain, epsilon)
        super().__init__(*args, own=transforms.Compose([scaled, transforms.Gain()]), **kwargs)
        self.gain, self.epsilon = scaled.gain, scaled.epsilon

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "gain": self.gain, "epsilon": self.epsilon}

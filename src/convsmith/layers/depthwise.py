"""Depthwise convolutions: Keras's DepthwiseConv1D and 2D completed, and the 3-D one it lacks."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import geometry, transforms
from convsmith import ops as convolutions
from convsmith.layers.arguments import as_floating, resolved_data_format
from convsmith.layers.windowed import OneKernel

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class DepthwiseConvolution(OneKernel):
    """What the three ranks share; it stands before Keras's class in their bases."""

    # Set by Keras's constructor.
    depth_multiplier: int

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        kernel_transform: transforms.TransformLike = None,
        **kwargs: Any,
    ) -> None:
        rank = self.spatial_rank
        keras_arguments: dict[str, Any] = {
            "kernel_size": geometry.normalize_tuple(kernel_size, rank, "kernel_size"),
            "strides": geometry.normalize_tuple(strides, rank, "strides"),
            "depth_multiplier": geometry.integer(depth_multiplier, "depth_multiplier", minimum=1),
            "data_format": resolved_data_format(data_format),
            "activation": activation,
            "use_bias": use_bias,
            "depthwise_initializer": depthwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(**keras_arguments, **kwargs)
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        self._set_transform(kernel_transform)

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel ``(*kernel_size, channels, depth_multiplier)`` and bias."""
        self._check_input(input_shape)
        super().build(input_shape)
        self.input_spec = None

    def _as_filters(self, name: str, kernel: Any) -> Any:
        # Each filter reads one channel.
        shape = tuple(kernel.shape)
        return ops.reshape(kernel, (*shape[:-2], 1, shape[-2] * shape[-1]))

    def _from_filters(self, name: str, filters: Any, shape: tuple[int, ...]) -> Any:
        return ops.reshape(filters, shape)

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return each channel convolved with its filters, as constructor and call said.

        Bias and activation are added by `call`. The kernel takes the inputs' dtype.
        """
        inputs = as_floating(inputs, self.compute_dtype)
        now = self.geometry
        return convolutions.depthwise_conv(
            inputs,
            ops.cast(kernel, inputs.dtype),
            strides=now.strides,
            padding=now.padding,
            padding_mode=self.padding_mode,
            padding_value=self.padding_value,
            dilation_rate=now.dilation_rate,
            data_format=self.data_format,
        )

    def _output_channels(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _channels(self) -> int | None:
        return self._kernel.shape[-2] if self.built else None


@keras.saving.register_keras_serializable(package="convsmith")
class DepthwiseConv1D(DepthwiseConvolution, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, w, c*M+m] = activation(bias[c*M+m] + sum over kw of
    x[b, strides*w + dilation_rate*kw - low, c] * kernel[kw, c, m])``, M = `depth_multiplier`;
    beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.DepthwiseConv1D`, in its order, and those that `Conv1D` adds.
        `kernel_transform` sees ``(kernel_size, 1, channels * depth_multiplier)``.

    A call takes `strides`, `dilation_rate` and `padding` too, which then stand for the
    constructor's: the same weights on a denser or sparser grid.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``; output the same with ``channels * depth_multiplier``.
    Floating dtypes; whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> layer = DepthwiseConv1D(3, strides=2, dilation_rate=2, padding="causal")
        >>> tuple(layer(keras.ops.ones((2, 8, 3))).shape)
        (2, 4, 3)

    Source: as `keras.layers.DepthwiseConv1D`.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class DepthwiseConv2D(DepthwiseConvolution, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, h, w, c*M+m] = activation(bias[c*M+m] + sum over kh, kw of
    x[b, S0*h + D0*kh - top, S1*w + D1*kw - left, c] * kernel[kh, kw, c, m])`` with strides S,
    dilation rates D and M = `depth_multiplier`; beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.DepthwiseConv2D`, in its order, and those that `Conv2D` adds;
        strides may differ between the axes, and go together with dilation.
        `kernel_transform` sees ``(*kernel_size, 1, channels * depth_multiplier)``.

    Calls, shapes and Raises: as `DepthwiseConv1D`, with height and width.

    Example:
        >>> layer = DepthwiseConv2D(3, strides=(2, 1), padding="same", padding_mode="reflect")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 4, 8, 3)
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3)), strides=1).shape)
        (2, 8, 8, 3)

    Source: as `keras.layers.DepthwiseConv2D`.
    """

    spatial_rank = 2


class _KerasDepthwiseConv3D(keras.layers.DepthwiseConv2D.__base__):  # type: ignore[misc]
    """Keras's depthwise base class for volumes, of which Keras makes no layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(rank=3, **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class DepthwiseConv3D(DepthwiseConvolution, _KerasDepthwiseConv3D):
    """Depthwise convolution of volumes, which Keras doesn't have.

    Equation: ``y[b, d, h, w, c*M+m] = activation(bias[c*M+m] + sum over kd, kh, kw of
    x[b, S0*d + D0*kd - front, S1*h + D1*kh - top, S2*w + D2*kw - left, c]
    * kernel[kd, kh, kw, c, m])``, as in `DepthwiseConv2D`.

    Args, calls, shapes and Raises: as `DepthwiseConv2D`, with depth before height and width.

    Example:
        >>> layer = DepthwiseConv3D((1, 3, 3), depth_multiplier=2, padding="same")
        >>> tuple(layer(keras.ops.ones((1, 4, 8, 8, 3))).shape)
        (1, 4, 8, 8, 6)

    Source: as `keras.layers.DepthwiseConv2D`.
    """

    spatial_rank = 3

"""Separable convolutions: Keras's SeparableConv1D and 2D completed, and the 3-D one it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from convsmith import geometry, transforms
from convsmith import ops as convolutions
from convsmith.layers.arguments import as_floating, resolved_data_format
from convsmith.layers.windowed import Windowed

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class SeparableConvolution(Windowed):
    """What the three ranks share; it stands before Keras's class in their bases."""

    # Set by Keras's constructor.
    filters: int
    depth_multiplier: int

    if TYPE_CHECKING:
        depthwise_kernel: Any
        pointwise_kernel: Any

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        depthwise_transform: transforms.TransformLike = None,
        pointwise_transform: transforms.TransformLike = None,
        **kwargs: Any,
    ) -> None:
        rank = self.spatial_rank
        keras_arguments: dict[str, Any] = {
            "filters": geometry.integer(filters, "filters", minimum=1),
            "kernel_size": geometry.normalize_tuple(kernel_size, rank, "kernel_size"),
            "strides": geometry.normalize_tuple(strides, rank, "strides"),
            "data_format": resolved_data_format(data_format),
            "depth_multiplier": geometry.integer(depth_multiplier, "depth_multiplier", minimum=1),
            "activation": activation,
            "use_bias": use_bias,
            "depthwise_initializer": depthwise_initializer,
            "pointwise_initializer": pointwise_initializer,
            "bias_initializer": bias_initializer,
            "depthwise_regularizer": depthwise_regularizer,
            "pointwise_regularizer": pointwise_regularizer,
            "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "depthwise_constraint": depthwise_constraint,
            "pointwise_constraint": pointwise_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(**keras_arguments, **kwargs)
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        self.depthwise_transform = transforms.get(depthwise_transform)
        self.pointwise_transform = transforms.get(pointwise_transform)
        for transform in self._transforms().values():
            transforms.trained.refuse_source(transform, type(self).__name__)
        self._track_transforms()

    def build(self, input_shape: Any) -> None:
        """Make the weights: ``(*kernel_size, channels, depth_multiplier)``, then ``(*ones,
        channels * depth_multiplier, filters)``, and the bias.
        """
        self._check_input(input_shape)
        super().build(input_shape)
        self.input_spec = None

    @property
    def effective_depthwise_kernel(self) -> Any:
        """The depthwise kernel after `depthwise_transform`.

        The transform sees ``(*kernel_size, 1, channels * depth_multiplier)``.
        """
        return self._effective("depthwise_kernel", self.depthwise_kernel)

    @property
    def effective_pointwise_kernel(self) -> Any:
        """The pointwise kernel after `pointwise_transform`."""
        return self._effective("pointwise_kernel", self.pointwise_kernel)

    def _as_filters(self, name: str, kernel: Any) -> Any:
        if name == "pointwise_kernel":
            return kernel
        # Each filter reads one channel.
        shape = tuple(kernel.shape)
        return ops.reshape(kernel, (*shape[:-2], 1, shape[-2] * shape[-1]))

    def _from_filters(self, name: str, filters: Any, shape: tuple[int, ...]) -> Any:
        return ops.reshape(filters, shape)

    def convolve(self, inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any) -> Any:
        """Return both convolutions with any kernels, as constructor and call said.

        Bias and activation are added by `call`. The kernels take the inputs' dtype.
        """
        inputs = as_floating(inputs, self.compute_dtype)
        now = self.geometry
        return convolutions.separable_conv(
            inputs,
            ops.cast(depthwise_kernel, inputs.dtype),
            ops.cast(pointwise_kernel, inputs.dtype),
            strides=now.strides,
            padding=now.padding,
            padding_mode=self.padding_mode,
            padding_value=self.padding_value,
            dilation_rate=now.dilation_rate,
            data_format=self.data_format,
        )

    def convolution_op(self, inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any) -> Any:
        """Return the inputs combined with the effective kernels: the method to override."""
        return self.convolve(inputs, depthwise_kernel, pointwise_kernel)

    def call(
        self, inputs: Any, strides: Any = None, dilation_rate: Any = None, padding: Any = None
    ) -> Any:
        """Return ``activation(convolution_op(inputs, both effective kernels) + bias)``.

        `strides`, `dilation_rate` and `padding` stand for the constructor's in this call.
        """
        kernels = (self.effective_depthwise_kernel, self.effective_pointwise_kernel)
        depthwise, pointwise = (ops.cast(kernel, self.compute_dtype) for kernel in kernels)
        with self._geometry_of_call(strides, dilation_rate, padding):
            outputs = self.convolution_op(inputs, depthwise, pointwise)
        return self._finished(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "depthwise_transform": transforms.serialize(self.depthwise_transform),
            "pointwise_transform": transforms.serialize(self.pointwise_transform),
        }

    def _transforms(self) -> dict[str, transforms.Transform | None]:
        return {
            "depthwise_kernel": getattr(self, "depthwise_transform", None),
            "pointwise_kernel": getattr(self, "pointwise_transform", None),
        }

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _channels(self) -> int | None:
        return self.depthwise_kernel.shape[-2] if self.built else None


@keras.saving.register_keras_serializable(package="convsmith")
class SeparableConv1D(SeparableConvolution, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, w, o] = activation(bias[o] + sum over c, m, kw of
    x[b, strides*w + dilation_rate*kw - low, c] * depthwise[kw, c, m] * pointwise[0, c*M+m, o])``,
    M = `depth_multiplier`; beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.SeparableConv1D`, in its order, and

        padding: also ``"same_lower"``, ``"full"``, ``"causal"``, an int, or ``(low, high)``.
        padding_mode: as in `Conv1D`.
        padding_value: what ``"constant"`` fills with, 0 by default.
        depthwise_transform: what `convsmith.transforms.get` takes, for a kernel of shape
            ``(kernel_size, 1, channels * depth_multiplier)``.
        pointwise_transform: the same, for ``(1, channels * depth_multiplier, filters)``.

    A call takes `strides`, `dilation_rate` and `padding` too, which then stand for the
    constructor's: the same weights on a denser or sparser grid.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``; output the same with `filters` channels. Floating dtypes;
    whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: a transform changes its kernel's shape.

    Example:
        >>> tuple(SeparableConv1D(4, 3, padding="causal")(keras.ops.ones((2, 8, 3))).shape)
        (2, 8, 4)

    Source: as `keras.layers.SeparableConv1D`.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class SeparableConv2D(SeparableConvolution, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, h, w, o] = activation(bias[o] + sum over c, m, kh, kw of
    x[b, S0*h + D0*kh - top, S1*w + D1*kw - left, c] * depthwise[kh, kw, c, m]
    * pointwise[0, 0, c*M+m, o])`` with strides S, dilation rates D and M = `depth_multiplier`;
    beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.SeparableConv2D`, in its order, and those that `SeparableConv1D`
        adds; strides may differ between the axes, and go together with dilation.

    Calls, shapes and Raises: as `SeparableConv1D`, with height and width.

    Example:
        >>> layer = SeparableConv2D(4, 3, strides=2, dilation_rate=2, padding="same")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 4, 4, 4)

    Source: as `keras.layers.SeparableConv2D`.
    """

    spatial_rank = 2


class _KerasSeparableConv3D(keras.layers.SeparableConv2D.__base__):  # type: ignore[misc]
    """Keras's separable base class for volumes, of which Keras makes no layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(rank=3, **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class SeparableConv3D(SeparableConvolution, _KerasSeparableConv3D):
    """Separable convolution of volumes, which Keras doesn't have.

    Equation: ``y[b, d, h, w, o] = activation(bias[o] + sum over c, m, kd, kh, kw of
    x[b, S0*d + D0*kd - front, S1*h + D1*kh - top, S2*w + D2*kw - left, c]
    * depthwise[kd, kh, kw, c, m] * pointwise[0, 0, 0, c*M+m, o])``, as in `SeparableConv2D`.

    Args, calls, shapes and Raises: as `SeparableConv2D`, with depth before height and width.

    Example:
        >>> layer = SeparableConv3D(4, (1, 3, 3), padding="same", padding_mode="edge")
        >>> tuple(layer(keras.ops.ones((1, 4, 8, 8, 3))).shape)
        (1, 4, 8, 8, 4)

    Source: as `keras.layers.SeparableConv2D`.
    """

    spatial_rank = 3

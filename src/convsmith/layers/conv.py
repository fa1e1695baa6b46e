"""Keras's own Conv1D, Conv2D and Conv3D, with every argument honoured and a richer boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import keras

from convsmith import geometry, transforms
from convsmith import ops as convolutions
from convsmith.errors import KernelError, ShapeError, compose
from convsmith.layers.arguments import (
    as_floating,
    check_input_shape,
    input_shape_of,
    output_sizes,
    resolved_data_format,
    stored_padding,
    stored_padding_mode,
    stored_padding_value,
)

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class Convolution(keras.layers.Layer):
    """What the three ranks share; it stands before Keras's class in their bases.

    Keras's constructor refuses what its backends lack (strides with dilation, padding beyond two
    words), so that it's given safe values and the real ones are set afterwards.
    """

    spatial_rank: ClassVar[int]

    # Set by Keras's constructor.
    filters: int
    groups: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    use_bias: bool
    bias: Any
    activation: Any
    padding: Any
    data_format: Any
    dilation_rate: tuple[int, ...]

    if TYPE_CHECKING:

        @property
        def kernel(self) -> Any: ...

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        kernel_transform: transforms.TransformLike = None,
        **kwargs: Any,
    ) -> None:
        rank = self.spatial_rank
        dilation_rate = geometry.normalize_tuple(dilation_rate, rank, "dilation_rate")
        padding = stored_padding(padding, rank)
        keras_arguments: dict[str, Any] = {
            "filters": geometry.integer(filters, "filters", minimum=1),
            "kernel_size": geometry.normalize_tuple(kernel_size, rank, "kernel_size"),
            "strides": geometry.normalize_tuple(strides, rank, "strides"),
            "data_format": resolved_data_format(data_format),
            "groups": geometry.integer(groups, "groups", minimum=1),
            "activation": activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(**keras_arguments, **kwargs)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.padding_mode = stored_padding_mode(padding_mode, rank)
        self.padding_value = stored_padding_value(padding_value, padding_mode, rank)
        self.kernel_transform = transforms.get(kernel_transform)
        # Keras's check would come first and say less than ours.
        self.input_spec = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check the input, whatever a subclass does in `call`, then call the layer."""
        inputs = args[0] if args else kwargs.get("inputs")
        shape = input_shape_of(inputs)
        if shape is not None:
            check_input_shape(
                self._described(), shape, self.spatial_rank, self.data_format, self._channels()
            )
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel ``(*kernel_size, in // groups, filters)`` and bias."""
        check_input_shape(self._described(), input_shape, self.spatial_rank, self.data_format)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels % self.groups:
            raise ShapeError(
                compose(
                    self._described(),
                    f"{channels} input channels can't be split into groups={self.groups}",
                    expected="a multiple of groups",
                    received=f"shape {tuple(input_shape)}",
                    fix="groups=1",
                ),
                argument="groups",
                value=self.groups,
            )
        super().build(input_shape)
        self.input_spec = None

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """Add a weight; a kernel that will be transformed is read in full precision."""
        if kwargs.get("name") == "kernel" and self.kernel_transform is not None:
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)

    @property
    def effective_kernel(self) -> Any:
        """The kernel that is convolved with: after LoRA, then after `kernel_transform`.

        A subclass that only wants another kernel overrides this.
        """
        kernel = self.kernel
        if self.kernel_transform is None:
            return kernel
        before = tuple(kernel.shape)
        kernel = self.kernel_transform(ops.convert_to_tensor(kernel))
        if tuple(kernel.shape) != before:
            raise KernelError(
                compose(
                    f"{self._described()}: kernel_transform={self.kernel_transform!r}",
                    f"turned a kernel of shape {before} into {tuple(kernel.shape)}",
                    expected="the same shape",
                    fix="keepdims=True in its reductions",
                ),
                argument="kernel_transform",
                value=tuple(kernel.shape),
            )
        return kernel

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution of the inputs with any kernel, as the constructor said.

        Strides, padding with its mode and value, dilation, groups and data format are honoured;
        bias and activation are added by `call`. The kernel takes the inputs' dtype.
        """
        inputs = as_floating(inputs, self.compute_dtype)
        return convolutions.conv(
            inputs,
            ops.cast(kernel, inputs.dtype),
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            padding_value=self.padding_value,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            data_format=self.data_format,
        )

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the inputs combined with the effective kernel: the method to override."""
        return self.convolve(inputs, kernel)

    def call(self, inputs: Any) -> Any:
        """Return ``activation(convolution_op(inputs, effective_kernel) + bias)``."""
        kernel = ops.cast(self.effective_kernel, self.compute_dtype)
        outputs = self.convolution_op(inputs, kernel)
        if self.use_bias:
            last = self.data_format == "channels_last"
            tail = (1,) * (0 if last else self.spatial_rank)
            bias = ops.reshape(ops.cast(self.bias, outputs.dtype), (self.filters, *tail))
            # keras.ops.add has a shortcut for biases that TensorFlow fuses with the convolution;
            # channels first, it takes the width for the channels where the two are of one size.
            outputs = ops.add(outputs, bias) if last else outputs + bias
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for an input shape, None where it isn't known."""
        check_input_shape(self._described(), input_shape, self.spatial_rank, self.data_format)
        last = self.data_format == "channels_last"
        spatial = input_shape[1:-1] if last else input_shape[2:]
        sizes = output_sizes(
            spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        batch = input_shape[0]
        return (batch, *sizes, self.filters) if last else (batch, self.filters, *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "padding_mode": self.padding_mode,
            "padding_value": self.padding_value,
            "kernel_transform": transforms.serialize(self.kernel_transform),
        }

    def _described(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _channels(self) -> int | None:
        return self.kernel.shape[-2] * self.groups if self.built else None


@keras.saving.register_keras_serializable(package="convsmith")
class Conv1D(Convolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, w, o] = activation(bias[o] + sum over kw, i of
    x[b, strides*w + dilation_rate*kw - low, i] * kernel[kw, i, o])``, the sum over the input
    channels of o's group; beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.Conv1D`, in its order, and

        padding: also ``"same_lower"``, ``"full"``, an int, or ``(low, high)``.
        padding_mode: ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"``, ``"wrap"``,
            ``"renormalize"``, or a pair for the two sides.
        padding_value: what ``"constant"`` fills with, 0 by default.
        kernel_transform: what `convsmith.transforms.get` takes.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``; output the same with `filters` channels. Floating dtypes;
    whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> Conv1D(4, 3, padding="full", padding_mode="edge")(keras.ops.ones((2, 8, 3))).shape[1]
        10

    Source: as `keras.layers.Conv1D`.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class Conv2D(Convolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, h, w, o] = activation(bias[o] + sum over kh, kw, i of
    x[b, S0*h + D0*kh - top, S1*w + D1*kw - left, i] * kernel[kh, kw, i, o])`` with strides S and
    dilation rates D, the sum over the input channels of o's group; beyond its edges x is what
    `padding_mode` says.

    Args: those of `keras.layers.Conv2D`, in its order, and

        padding: also ``"same_lower"``, ``"full"``, ``"causal"``, an int, or for each axis an
            int or ``(low, high)``.
        padding_mode: ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"``, ``"wrap"``,
            ``"renormalize"``, or for each axis one of them or a pair for its two sides.
        padding_value: what ``"constant"`` fills with, 0 by default.
        kernel_transform: what `convsmith.transforms.get` takes.

    Shapes: input ``(batch, height, width, channels)``, or ``(batch, channels, height, width)``
    for ``data_format="channels_first"``; output the same with `filters` channels. Floating
    dtypes; whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> layer = Conv2D(4, 3, strides=2, dilation_rate=2, padding="same")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 4, 4, 4)

    Source: as `keras.layers.Conv2D`.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class Conv3D(Convolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with padding modes, rich padding and kernel transforms.

    Equation: ``y[b, d, h, w, o] = activation(bias[o] + sum over kd, kh, kw, i of
    x[b, S0*d + D0*kd - front, S1*h + D1*kh - top, S2*w + D2*kw - left, i]
    * kernel[kd, kh, kw, i, o])`` with strides S and dilation rates D, the sum over the input
    channels of o's group; beyond its edges x is what `padding_mode` says.

    Args: those of `keras.layers.Conv3D`, in its order, and those that `Conv2D` adds.

    Shapes: input ``(batch, depth, height, width, channels)``, or with the channels second for
    ``data_format="channels_first"``; output the same with `filters` channels. Floating dtypes;
    whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> layer = Conv3D(4, (1, 3, 3), padding=(0, 1, 1), padding_mode="reflect")
        >>> tuple(layer(keras.ops.ones((1, 5, 8, 8, 2))).shape)
        (1, 5, 8, 8, 4)

    Source: as `keras.layers.Conv3D`.
    """

    spatial_rank = 3

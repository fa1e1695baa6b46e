"""Transposed convolutions: Keras's Conv1D, 2D and 3DTranspose, completed."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import geometry, transforms
from convsmith import ops as convolutions
from convsmith.errors import ArgumentError, compose
from convsmith.layers.arguments import (
    Shape,
    as_floating,
    check_filters,
    check_groups,
    resolved_data_format,
    transposed_sizes,
)
from convsmith.layers.windowed import OneKernel

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class TransposedConvolution(OneKernel):
    """What the three ranks share; it stands before Keras's class in their bases."""

    # Set by Keras's constructor.
    filters: int
    kernel_initializer: Any
    kernel_regularizer: Any
    kernel_constraint: Any
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        groups: int = 1,
        padding_mode: Any = "constant",
        kernel_transform: transforms.TransformLike = None,
        **kwargs: Any,
    ) -> None:
        rank = self.spatial_rank
        filters = geometry.integer(filters, "filters", minimum=1)
        keras_arguments: dict[str, Any] = {
            "filters": filters,
            "kernel_size": geometry.normalize_tuple(kernel_size, rank, "kernel_size"),
            "strides": geometry.normalize_tuple(strides, rank, "strides"),
            "data_format": resolved_data_format(data_format),
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
        self.groups = geometry.integer(groups, "groups", minimum=1)
        super().__init__(**keras_arguments, **kwargs)
        self._set_edges(padding, padding_mode, None, dilation_rate)
        self.output_padding = self._checked_output_padding(output_padding)
        self._set_transform(kernel_transform)
        transforms.trained.refuse_source(self.kernel_transform, type(self).__name__)
        check_filters(type(self).__name__, self.filters, self.groups)

    def _checked_output_padding(self, output_padding: Any) -> tuple[int, ...] | None:
        if output_padding is None:
            return None
        rank = self.spatial_rank
        added = geometry.normalize_tuple(output_padding, rank, "output_padding", minimum=0)
        for more, stride, dilation in zip(added, self.strides, self.dilation_rate, strict=True):
            if more >= max(stride, dilation):
                raise ArgumentError(
                    compose(
                        f"output_padding={output_padding!r}",
                        "adds entries that no window writes",
                        expected="less than strides or dilation_rate on each axis",
                        received=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
                        fix="output_padding=None, or keras.layers.ZeroPadding behind the layer",
                    ),
                    argument="output_padding",
                    value=output_padding,
                )
        return added

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel ``(*kernel_size, filters // groups, channels)`` and bias."""
        self._check_input(input_shape)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        check_groups(self._described(), channels, self.groups, input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters // self.groups, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _as_filters(self, name: str, kernel: Any) -> Any:
        return ops.swapaxes(kernel, -1, -2)

    def _from_filters(self, name: str, filters: Any, shape: tuple[int, ...]) -> Any:
        return ops.swapaxes(filters, -1, -2)

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return the transposed convolution with any kernel, as constructor and call said.

        Bias and activation are added by `call`. The kernel takes the inputs' dtype.
        """
        inputs = as_floating(inputs, self.compute_dtype)
        now = self.geometry
        return convolutions.conv_transpose(
            inputs,
            ops.cast(kernel, inputs.dtype),
            strides=now.strides,
            padding=now.padding,
            output_padding=self.output_padding,
            data_format=self.data_format,
            dilation_rate=now.dilation_rate,
            groups=self.groups,
            padding_mode=self.padding_mode,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {
            **super().get_config(),
            "groups": self.groups,
            "output_padding": self.output_padding,
        }
        del config["padding_value"]  # Nothing is read beyond the edges; writes there are dropped.
        return config

    def _output_sizes(self, sizes: Shape) -> Shape:
        now = self.geometry
        return transposed_sizes(
            sizes,
            self.kernel_size,
            now.strides,
            now.padding,
            now.dilation_rate,
            self.output_padding,
        )

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _channels(self) -> int | None:
        return self._kernel.shape[-1] if self.built else None


@keras.saving.register_keras_serializable(package="convsmith")
class Conv1DTranspose(TransposedConvolution, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` with groups, periodic edges, rich crops, kernel transforms.

    Equation: ``y[b, strides*w + dilation_rate*kw - low, o] += x[b, w, i] * kernel[kw, o, i]`` for
    all w, kw and the input channels i of o's group, then ``activation(y + bias)``: the adjoint of
    `Conv1D`. What would be written beyond the edges goes where `padding_mode` says.

    Args: those of `keras.layers.Conv1DTranspose`, in its order, and

        padding: also an int or ``(low, high)``: what the output is cropped by.
        groups: into how many groups channels and filters are split.
        padding_mode: ``"constant"`` drops what lies beyond the edges; ``"wrap"``, ``"edge"``,
            ``"reflect"`` and ``"symmetric"`` add it where a convolution of that mode reads it.
        kernel_transform: what `convsmith.transforms.get` takes, for a kernel of shape
            ``(kernel_size, channels, filters // groups)``.

    A call takes `strides`, `dilation_rate` and `padding` too, which then stand for the
    constructor's.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``; output the same with `filters` channels and Keras's sizes,
    ``strides * width`` for ``padding="same"``. Floating dtypes; whole numbers are cast to the
    layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a crop that leaves nothing.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> layer = Conv1DTranspose(4, 3, strides=2, padding="same", groups=2)
        >>> tuple(layer(keras.ops.ones((2, 8, 6))).shape)
        (2, 16, 4)

    Source: as `keras.layers.Conv1DTranspose`.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class Conv2DTranspose(TransposedConvolution, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with groups, periodic edges, rich crops, kernel transforms.

    Equation: ``y[b, S0*h + D0*kh - top, S1*w + D1*kw - left, o] += x[b, h, w, i]
    * kernel[kh, kw, o, i]`` with strides S and dilation rates D, for all h, w, kh, kw and the
    input channels i of o's group, then ``activation(y + bias)``: the adjoint of `Conv2D`.

    Args: those of `keras.layers.Conv2DTranspose`, in its order, and those that `Conv1DTranspose`
        adds; strides go together with dilation.

    Calls, shapes and Raises: as `Conv1DTranspose`, with height and width.

    Example:
        >>> layer = Conv2DTranspose(4, 3, strides=2, padding="same", padding_mode="wrap")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 16, 16, 4)

    Source: as `keras.layers.Conv2DTranspose`.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class Conv3DTranspose(TransposedConvolution, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose` with groups, periodic edges, rich crops, kernel transforms.

    Equation: ``y[b, S0*d + D0*kd - front, S1*h + D1*kh - top, S2*w + D2*kw - left, o] +=
    x[b, d, h, w, i] * kernel[kd, kh, kw, o, i]``, as in `Conv2DTranspose`.

    Args: those of `keras.layers.Conv3DTranspose`, in its order (`data_format` stands before
        `output_padding`), and those that `Conv1DTranspose` adds.

    Calls, shapes and Raises: as `Conv1DTranspose`, with depth, height and width.

    Example:
        >>> tuple(Conv3DTranspose(4, 2, strides=2)(keras.ops.ones((1, 3, 4, 5, 2))).shape)
        (1, 6, 8, 10, 4)

    Source: as `keras.layers.Conv3DTranspose`.
    """

    spatial_rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs
        )

"""Convolutions whose kernel is an input of the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from convsmith import engine, geometry
from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.layers.arguments import (
    Shape,
    Size,
    as_floating,
    input_shape_of,
    resolved_data_format,
)
from convsmith.layers.windowed import Windowed
from convsmith.ops.arguments import axis_texts, data_text, edge_arguments

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class KernelShape(NamedTuple):
    """A kernel that came in: whether each sample has its own, and its sizes."""

    per_sample: bool
    kernel_size: tuple[Size, ...]
    depth: Size
    filters: Size


class DynamicConvolution(Windowed):
    """What the three ranks share."""

    def __init__(
        self,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = False,
        bias_initializer: Any = "zeros",
        bias_regularizer: Any = None,
        bias_constraint: Any = None,
        *,
        depthwise: bool = False,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.strides = geometry.normalize_tuple(strides, self.spatial_rank, "strides")
        self.data_format = resolved_data_format(data_format)
        self.groups = geometry.integer(groups, "groups", minimum=1)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.bias: Any = None
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.depthwise = bool(depthwise)
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        if self.depthwise and self.groups > 1:
            raise ArgumentError(
                compose(
                    f"{type(self).__name__}: groups={groups} with depthwise=True",
                    "says twice how channels are split",
                    expected="one of them",
                    fix="groups=1",
                ),
                argument="groups",
                value=groups,
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check the input and its kernel, then call the layer."""
        inputs = args[0] if args else kwargs.get("inputs")
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            received = f"{len(inputs)} of them" if isinstance(inputs, list | tuple) else "one"
            raise ShapeError(
                compose(
                    self._described(),
                    "it takes two inputs",
                    expected="[x, kernel]",
                    received=received,
                    fix="layer([x, kernel]), or Conv2D for a kernel that the layer learns",
                ),
                argument="inputs",
                value=inputs,
            )
        shapes = [s for s in map(input_shape_of, inputs) if s is not None]
        if len(shapes) == len(inputs):
            self._kernel_shape(shapes)
        return keras.layers.Layer.__call__(self, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the bias, if there is one: `filters` entries."""
        found = self._kernel_shape(input_shape)
        if not self.use_bias:
            return
        filters = self._output_filters(input_shape[0], found)
        if filters is None:
            raise ShapeError(
                compose(
                    self._described(),
                    "the number of filters is unknown, so the bias can't be shaped",
                    expected="a kernel whose last axis is known",
                    received=f"shape {tuple(input_shape[1])}",
                    fix="use_bias=False, or keras.Input with the filters given",
                ),
                argument="inputs",
                value=tuple(input_shape[1]),
            )
        self.bias = self.add_weight(
            name="bias",
            shape=(filters,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution with the kernel, as constructor and call said."""
        rank, now = self.spatial_rank, self.geometry
        last = self.data_format == "channels_last"
        inputs = as_floating(inputs, self.compute_dtype)
        windows, taps, positions = axis_texts(rank, now.strides, now.dilation_rate)
        inner, kernel_text, outer = "i", "i o", "o"
        sizes: dict[str, Any] = {}
        if self.depthwise:
            inner, kernel_text, outer = "c", "c m", "(c m)"
        elif self.groups > 1:
            inner, kernel_text, outer = "(g i)", "i (g o)", "(g o)"
            sizes["g"] = self.groups
        own = "b " if len(kernel.shape) == rank + 3 else ""
        pattern = (
            f"{data_text(windows, inner, last)}, {own}{taps} {kernel_text} -> "
            f"{data_text(positions, outer, last)}"
        )
        edges = edge_arguments(rank, now.padding, self.padding_mode, self.padding_value)
        return engine.conv(pattern, inputs, ops.cast(kernel, inputs.dtype), **edges, **sizes)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the inputs combined with the kernel: the method to override."""
        return self.convolve(inputs, kernel)

    def call(
        self, inputs: Any, strides: Any = None, dilation_rate: Any = None, padding: Any = None
    ) -> Any:
        """Return ``activation(convolution_op(x, kernel) + bias)`` for inputs ``[x, kernel]``.

        `strides`, `dilation_rate` and `padding` stand for the constructor's in this call.
        """
        x, kernel = inputs
        with self._geometry_of_call(strides, dilation_rate, padding):
            outputs = self.convolution_op(x, ops.cast(kernel, self.compute_dtype))
        return self._finished(outputs)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the output for the shapes of ``[x, kernel]``."""
        found = self._kernel_shape(input_shape)
        shape = tuple(input_shape[0])
        last = self.data_format == "channels_last"
        now, spatial = self.geometry, shape[1:-1] if last else shape[2:]
        paddings = geometry.normalize_padding(now.padding, self.spatial_rank)
        sizes: list[Size] = []
        for axis, size in enumerate(spatial):
            window = (found.kernel_size[axis], now.strides[axis], now.dilation_rate[axis])
            pads = geometry.resolve_padding(paddings[axis], size, *window)
            sizes.append(geometry.output_size(size, *window, pads))
        filters = self._output_filters(shape, found)
        return (shape[0], *sizes, filters) if last else (shape[0], filters, *sizes)

    def compute_output_spec(
        self,
        inputs: Any,
        strides: Any = None,
        dilation_rate: Any = None,
        padding: Any = None,
        **_: Any,
    ) -> Any:
        """Return what a call gives, by shape and dtype."""
        with self._geometry_of_call(strides, dilation_rate, padding):
            shape = self.compute_output_shape([tuple(one.shape) for one in inputs])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "depthwise": self.depthwise,
        }

    def _output_filters(self, shape: Sequence[Size], found: KernelShape) -> Size:
        if not self.depthwise or found.filters is None:
            return found.filters
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        return None if channels is None else channels * found.filters

    def _kernel_shape(self, shapes: Sequence[Sequence[Size]]) -> KernelShape:
        """Return the parts of the kernel's shape.

        Raises:
            ShapeError: the kernel doesn't fit the input.
        """
        shape, kernel = tuple(shapes[0]), tuple(shapes[1])
        rank = self.spatial_rank
        self._check_input(shape)
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        named = "channels, multiplier" if self.depthwise else "channels // groups, filters"
        expected = f"(*kernel_size, {named}), or the same with the batch in front"
        per_sample = len(kernel) == rank + 3
        problem = ""
        if len(kernel) not in (rank + 2, rank + 3):
            problem = f"the kernel has {len(kernel)} axes"
        elif per_sample and None not in (kernel[0], shape[0]) and kernel[0] != shape[0]:
            problem = f"there are kernels for {kernel[0]} samples and {shape[0]} samples"
        depth, filters = kernel[-2:] if len(kernel) > 1 else (None, None)
        wanted = (
            channels if self.depthwise else None if channels is None else channels / self.groups
        )
        if not problem and None not in (depth, wanted) and depth != wanted:
            split = f" in {self.groups} groups" if self.groups > 1 else ""
            problem = f"the kernel reads {depth} channels, and the input has {channels}{split}"
        if not problem and filters is not None and filters % self.groups:
            problem = f"{filters} filters can't be split into groups={self.groups}"
        if problem:
            fix = "a kernel of that shape"
            if depth is not None and filters == wanted and depth != wanted:
                fix = "keras.ops.swapaxes(kernel, -1, -2): the shape looks like (..., filters, in)"
            raise ShapeError(
                compose(
                    self._described(),
                    problem,
                    expected=expected,
                    received=f"input {shape}, kernel {kernel}, groups={self.groups}",
                    fix=fix,
                ),
                argument="kernel",
                value=kernel,
            )
        start = 1 if per_sample else 0
        return KernelShape(per_sample, kernel[start : start + rank], depth, filters)


@keras.saving.register_keras_serializable(package="convsmith")
class DynamicConv1D(DynamicConvolution):
    """Convolution in 1-D whose kernel is an input: one for all samples, or one for each.

    Equation: ``y[b, w, o] = activation(bias[o] + sum over kw, i of
    x[b, strides*w + dilation_rate*kw - low, i] * kernel[(b,) kw, i, o])``, the sum over the input
    channels of o's group; with ``depthwise=True``, ``y[b, w, c*M+m] = ... sum over kw of
    x[b, ..., c] * kernel[(b,) kw, c, m]``.

    Args:
        strides: this, `padding`, `data_format`, `dilation_rate`, `groups`, `activation`,
            `padding_mode` and `padding_value` as in `Conv1D`.
        use_bias: whether a bias is learned; needs a kernel whose last axis is known.
        bias_initializer: this, `bias_regularizer` and `bias_constraint` as in `Conv1D`.
        depthwise: whether each channel has filters of its own.

    A call takes `strides`, `dilation_rate` and `padding` too, which then stand for the
    constructor's.

    Shapes: inputs ``[x, kernel]``: x ``(batch, width, channels)``, or ``(batch, channels, width)``
    for ``data_format="channels_first"``; kernel ``(kernel_size, channels // groups, filters)``, or
    ``(kernel_size, channels, multiplier)`` if depthwise, in both cases also with the batch in
    front. Output as x with the filters as channels. Gradients flow to both.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: not two inputs, or a kernel that doesn't fit.

    Example:
        >>> x, kernels = keras.ops.ones((2, 8, 3)), keras.ops.ones((2, 5, 3, 4))
        >>> tuple(DynamicConv1D(padding="causal")([x, kernels]).shape)
        (2, 8, 4)

    Source: Jia et al., "Dynamic Filter Networks", 2016, arXiv:1605.09673.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class DynamicConv2D(DynamicConvolution):
    """Convolution in 2-D whose kernel is an input: one for all samples, or one for each.

    Equation: ``y[b, h, w, o] = activation(bias[o] + sum over kh, kw, i of
    x[b, S0*h + D0*kh - top, S1*w + D1*kw - left, i] * kernel[(b,) kh, kw, i, o])``, as in
    `DynamicConv1D`.

    Args, calls, shapes and Raises: as `DynamicConv1D`, with height and width.

    Example:
        >>> x, kernel = keras.ops.ones((2, 8, 8, 3)), keras.ops.ones((3, 3, 3, 4))
        >>> tuple(DynamicConv2D(strides=2, padding="same")([x, kernel]).shape)
        (2, 4, 4, 4)
        >>> blurs = keras.ops.ones((2, 5, 5, 3, 1)) / 25
        >>> tuple(DynamicConv2D(depthwise=True, padding="same")([x, blurs]).shape)
        (2, 8, 8, 3)

    Source: as `DynamicConv1D`.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class DynamicConv3D(DynamicConvolution):
    """Convolution in 3-D whose kernel is an input: one for all samples, or one for each.

    Equation: that of `DynamicConv2D` with depth before height and width.

    Args, calls, shapes and Raises: as `DynamicConv1D`, with depth, height and width.

    Example:
        >>> x, kernel = keras.ops.ones((2, 4, 5, 6, 3)), keras.ops.ones((1, 3, 3, 3, 4))
        >>> tuple(DynamicConv3D()([x, kernel]).shape)
        (2, 4, 3, 4, 4)

    Source: as `DynamicConv1D`.
    """

    spatial_rank = 3

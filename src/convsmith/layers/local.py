"""Locally connected layers, which Keras 3 dropped: convolutions with a kernel for each position."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import engine, geometry
from convsmith.errors import ShapeError, compose
from convsmith.layers.arguments import (
    as_floating,
    check_filters,
    check_groups,
    resolved_data_format,
)
from convsmith.layers.initializers import with_fans
from convsmith.layers.windowed import Windowed
from convsmith.ops.arguments import axis_texts, data_text, edge_arguments

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class LocalConvolution(Windowed):
    """What the three ranks share."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
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
        dilation_rate: Any = 1,
        groups: int = 1,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        rank = self.spatial_rank
        self.filters = geometry.integer(filters, "filters", minimum=1)
        self.kernel_size = geometry.normalize_tuple(kernel_size, rank, "kernel_size")
        self.strides = geometry.normalize_tuple(strides, rank, "strides")
        self.data_format = resolved_data_format(data_format)
        self.groups = geometry.integer(groups, "groups", minimum=1)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        check_filters(type(self).__name__, self.filters, self.groups)

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel ``(*positions, *kernel_size, in // groups, filters)`` and bias
        ``(*positions, filters)``.
        """
        self._check_input(input_shape)
        last = self.data_format == "channels_last"
        channels = input_shape[-1 if last else 1]
        check_groups(self._described(), channels, self.groups, input_shape)
        spatial = tuple(input_shape[1:-1] if last else input_shape[2:])
        positions = self._output_sizes(spatial)
        if None in positions:
            raise ShapeError(
                compose(
                    self._described(),
                    "the input's sizes are unknown, and there is a kernel for each position",
                    expected="all sizes but the batch",
                    received=f"shape {tuple(input_shape)}",
                    fix="keras.Input with the sizes given, or Conv2D, whose kernel is shared",
                ),
                argument="inputs",
                value=tuple(input_shape),
            )
        rank = self.spatial_rank
        self._built_for = spatial
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*positions, *self.kernel_size, channels // self.groups, self.filters),
            # Each position is a layer of its own: the others are none of its inputs.
            initializer=with_fans(
                self.kernel_initializer,
                [*range(rank, 2 * rank), 2 * rank],
                [*range(rank, 2 * rank), 2 * rank + 1],
            ),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*positions, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return each window times the kernel of its position, as the constructor said.

        Bias and activation are added by `call`. The kernel takes the inputs' dtype.
        """
        rank = self.spatial_rank
        last = self.data_format == "channels_last"
        inputs = as_floating(inputs, self.compute_dtype)
        windows, taps, positions = axis_texts(rank, self.strides, self.dilation_rate)
        inner, kernel_text, outer = "i", "i o", "o"
        sizes: dict[str, Any] = {}
        if self.groups > 1:
            inner, kernel_text, outer = "(g i)", "i (g o)", "(g o)"
            sizes["g"] = self.groups
        pattern = (
            f"{data_text(windows, inner, last)}, {positions} {taps} {kernel_text} -> "
            f"{data_text(positions, outer, last)}"
        )
        edges = edge_arguments(rank, self.padding, self.padding_mode, self.padding_value)
        return engine.conv(pattern, inputs, ops.cast(kernel, inputs.dtype), **edges, **sizes)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the inputs combined with the kernels: the method to override."""
        return self.convolve(inputs, kernel)

    def call(self, inputs: Any) -> Any:
        """Return ``activation(convolution_op(inputs, kernel) + bias)``."""
        outputs = self.convolution_op(inputs, ops.cast(self.kernel, self.compute_dtype))
        if self.use_bias:
            bias = ops.cast(self.bias, outputs.dtype)
            last = self.data_format == "channels_last"
            outputs = outputs + (bias if last else ops.moveaxis(bias, -1, 0))
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        parts = {
            "initializer": keras.initializers,
            "regularizer": keras.regularizers,
            "constraint": keras.constraints,
        }
        named = {
            f"{weight}_{part}": module.serialize(getattr(self, f"{weight}_{part}"))
            for weight in ("kernel", "bias")
            for part, module in parts.items()
        }
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            **named,
        }

    def _check_input(self, shape: Any, channels: int | None = None) -> None:
        super()._check_input(shape, channels)
        if not self.built:
            return
        found = tuple(shape[1:-1] if self.data_format == "channels_last" else shape[2:])
        known = zip(found, self._built_for, strict=True)
        if any(size is not None and size != wanted for size, wanted in known):
            raise ShapeError(
                compose(
                    self._described(),
                    f"the input's sizes are {found}",
                    expected=f"{self._built_for}, whose positions have kernels",
                    received=f"shape {tuple(shape)}",
                    fix="keras.ops.image.resize, or Conv2D, whose kernel is shared",
                ),
                argument="inputs",
                value=tuple(shape),
            )

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _channels(self) -> int | None:
        return self.kernel.shape[-2] * self.groups if self.built else None


@keras.saving.register_keras_serializable(package="convsmith")
class LocallyConnected1D(LocalConvolution):
    """A convolution in 1-D with a kernel of its own for each position.

    Equation: ``y[b, w, o] = activation(bias[w, o] + sum over kw, i of
    x[b, strides*w + dilation_rate*kw - low, i] * kernel[w, kw, i, o])``, the sum over the input
    channels of o's group; beyond its edges x is what `padding_mode` says.

    Args: those that Keras 2 had, in its order without `implementation`, and

        padding: all that `Conv1D` takes.
        dilation_rate: this, `groups`, `padding_mode` and `padding_value` as in `Conv1D`.

    Shapes: input ``(batch, width, channels)``, or ``(batch, channels, width)`` for
    ``data_format="channels_first"``, with a known width; output the same with `filters` channels.
    Initialisers see the fans of one position. Floating dtypes; whole numbers are cast to the
    layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, sizes that are unknown or others than
            before, or a kernel larger than the padded input.

    Example:
        >>> layer = LocallyConnected1D(4, 3, padding="same")
        >>> tuple(layer(keras.ops.ones((2, 8, 3))).shape), tuple(layer.kernel.shape)
        ((2, 8, 4), (8, 3, 3, 4))

    Source: LeCun, "Generalization and network design strategies", 1989.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class LocallyConnected2D(LocalConvolution):
    """A convolution in 2-D with a kernel of its own for each position.

    Equation: ``y[b, h, w, o] = activation(bias[h, w, o] + sum over kh, kw, i of
    x[b, S0*h + D0*kh - top, S1*w + D1*kw - left, i] * kernel[h, w, kh, kw, i, o])``, as in
    `LocallyConnected1D`.

    Args, shapes and Raises: as `LocallyConnected1D`, with height and width.

    Example:
        >>> tuple(LocallyConnected2D(4, 3)(keras.ops.ones((2, 8, 8, 3))).shape)
        (2, 6, 6, 4)

    Source: as `LocallyConnected1D`.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class LocallyConnected3D(LocalConvolution):
    """A convolution in 3-D with a kernel of its own for each position.

    Equation: that of `LocallyConnected2D` with depth before height and width.

    Args, shapes and Raises: as `LocallyConnected1D`, with depth, height and width.

    Example:
        >>> tuple(LocallyConnected3D(2, 2)(keras.ops.ones((2, 3, 4, 5, 3))).shape)
        (2, 2, 3, 4, 2)

    Source: as `LocallyConnected1D`.
    """

    spatial_rank = 3

"""Keras's own Conv1D, Conv2D and Conv3D, with every argument honoured and a richer boundary."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import geometry, transforms
from convsmith import ops as convolutions
from convsmith.layers.arguments import as_floating, check_groups, resolved_data_format
from convsmith.layers.windowed import OneKernel

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class Convolution(OneKernel):
    """What the three ranks share; it stands before Keras's class in their bases."""

    # Set by Keras's constructor.
    filters: int
    groups: int
    lora_enabled: bool
    lora_rank: Any
    lora_alpha: Any
    lora_kernel_a: Any
    lora_kernel_b: Any

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
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        self._set_transform(kernel_transform)

    def build(self, input_shape: Any) -> None:
        """Make the weights: kernel ``(*kernel_size, in // groups, filters)`` and bias."""
        self._check_input(input_shape)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        check_groups(self._described(), channels, self.groups, input_shape)
        super().build(input_shape)
        self.input_spec = None

    @property
    def kernel(self) -> Any:
        """The kernel before its transforms, with LoRA."""
        kernel = self._made_kernel("kernel", self._kernel)
        if self.lora_enabled:
            change = ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
            kernel = ops.cast(
                ops.add(kernel, self.lora_alpha / self.lora_rank * change), self.compute_dtype
            )
        return kernel

    @kernel.setter
    def kernel(self, kernel: Any) -> None:
        self._kernel = kernel

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution of the inputs with any kernel, as constructor and call said.

        Strides, padding with its mode and value, dilation, groups and data format are honoured;
        bias and activation are added by `call`. The kernel takes the inputs' dtype.
        """
        inputs = as_floating(inputs, self.compute_dtype)
        now = self.geometry
        return convolutions.conv(
            inputs,
            ops.cast(kernel, inputs.dtype),
            strides=now.strides,
            padding=now.padding,
            padding_mode=self.padding_mode,
            padding_value=self.padding_value,
            dilation_rate=now.dilation_rate,
            groups=self.groups,
            data_format=self.data_format,
        )

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _channels(self) -> int | None:
        return self._kernel.shape[-2] * self.groups if self.built else None

    def save_own_variables(self, store: Any) -> None:
        """Save the weights; LoRA is merged into a kernel weight, as Keras does."""
        if not isinstance(getattr(self, "_kernel", None), transforms.trained.Sourced):
            super().save_own_variables(store)
            return
        for index, variable in enumerate(self._own_variables()):
            store[str(index)] = variable

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        if not isinstance(getattr(self, "_kernel", None), transforms.trained.Sourced):
            super().load_own_variables(store)
            return
        for index, variable in enumerate(self._own_variables()):
            variable.assign(store[str(index)])

    def _own_variables(self) -> list[Any]:
        """Return the variables of a layer without a kernel weight."""
        bias = [self.bias] if self.use_bias else []
        lora = [self.lora_kernel_a, self.lora_kernel_b] if self.lora_enabled else []
        return bias + lora


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


class _KerasConvND(keras.layers.Conv2D.__base__):  # type: ignore[misc]
    """Keras's base class of dense convolutions, of which it makes layers up to rank 3."""

    spatial_rank: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(rank=self.spatial_rank, **kwargs)


@keras.saving.register_keras_serializable(package="convsmith")
class ConvND(Convolution, _KerasConvND):
    """A convolution over any number of spatial axes, on every backend.

    Equation: that of `Conv3D` with `rank` spatial axes.

    Args:
        rank: how many spatial axes there are, at least 1.

    All others are those of `Conv2D`, in its order, with an int or one entry for each axis.

    Shapes: input ``(batch, *sizes, channels)``, or ``(batch, channels, *sizes)`` for
    ``data_format="channels_first"``; output the same with `filters` channels. Floating dtypes;
    whole numbers are cast to the layer's compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.
        KernelError: `kernel_transform` changes the kernel's shape.

    Example:
        >>> layer = ConvND(4, 2, (1, 3, 3, 3), padding="same", padding_mode="edge")
        >>> tuple(layer(keras.ops.ones((1, 2, 3, 4, 5, 3))).shape)
        (1, 2, 3, 4, 5, 2)

    Source: as `keras.layers.Conv3D`.
    """

    def __init__(
        self, rank: int, filters: int, kernel_size: Any, *args: Any, **kwargs: Any
    ) -> None:
        self.spatial_rank = geometry.integer(rank, "rank", minimum=1)
        super().__init__(filters, kernel_size, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rank": self.spatial_rank, **super().get_config()}

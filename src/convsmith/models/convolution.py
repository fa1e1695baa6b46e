"""A convolution layer of any class, read as numbers: what folding works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith import geometry, layers
from convsmith.layers import folding
from convsmith.layers.fixed import FixedConvolution

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]
Kind = Literal["conv", "depthwise", "separable", "transposed", "dense"]

_RANKS = (1, 2, 3)


def _family(module: Any, *names: str) -> tuple[type[Any], ...]:
    found = (getattr(module, name.format(rank), None) for name in names for rank in _RANKS)
    return tuple(kind for kind in found if kind is not None)


_KERAS: dict[type[Any], Kind] = {
    **dict.fromkeys(_family(keras.layers, "Conv{}D"), "conv"),
    **dict.fromkeys(_family(keras.layers, "DepthwiseConv{}D"), "depthwise"),
    **dict.fromkeys(_family(keras.layers, "SeparableConv{}D"), "separable"),
    **dict.fromkeys(_family(keras.layers, "Conv{}DTranspose"), "transposed"),
    keras.layers.Dense: "dense",
}
_OWN: dict[type[Any], Kind] = {
    **dict.fromkeys((*_family(layers, "Conv{}D"), layers.ConvND), "conv"),
    **dict.fromkeys(_family(layers, "DepthwiseConv{}D"), "depthwise"),
    **dict.fromkeys(_family(layers, "SeparableConv{}D"), "separable"),
    **dict.fromkeys(_family(layers, "Conv{}DTranspose"), "transposed"),
}


@dataclass(frozen=True)
class Convolution:
    """What a convolution computes at inference, with its numbers in float64.

    `kernel` has the layout of Keras's layer of this kind; a separable one has `pointwise`
    ``(channels * multiplier, filters)`` too. `lines` are the one-dimensional kernels, axis by axis,
    of a fixed kernel that is their outer product.
    """

    kind: Kind
    name: str
    policy: Any
    trainable: bool
    kernel: Array
    bias: Array | None = None
    pointwise: Array | None = None
    lines: tuple[Array, ...] = ()
    rank: int = 0
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[Any, ...] = ()
    modes: tuple[geometry.AxisMode, ...] = ()
    value: float | None = None
    output_padding: tuple[int, ...] | None = None
    groups: int = 1
    data_format: str = "channels_last"
    activation: Any = None
    without_channels: bool = False

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel's size along the spatial axes."""
        return self.kernel.shape[: self.rank]

    @property
    def filters(self) -> int:
        """The number of output channels."""
        if self.kind == "transposed":
            return self.kernel.shape[-2] * self.groups
        if self.kind == "depthwise":
            return self.kernel.shape[-2] * self.kernel.shape[-1]
        last = self.kernel if self.pointwise is None else self.pointwise
        return last.shape[-1]

    @property
    def linear(self) -> bool:
        """Whether there is no activation behind it."""
        return self.activation is None or self.activation is keras.activations.linear

    def channel_axis(self, ndim: int) -> int:
        """Return which axis of an input of `ndim` axes has the channels."""
        first = self.kind != "dense" and self.data_format == "channels_first"
        return 1 if first else ndim - 1

    def sizes(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the spatial sizes in an input's shape."""
        if self.kind == "dense":
            return tuple(shape[1:-1])
        start = 2 if self.data_format == "channels_first" else 1
        return tuple(shape[start : start + self.rank])

    def but(self, **changes: Any) -> Convolution:
        """Return a copy with other values."""
        return replace(self, **changes)


def numbers(tensor: Any) -> Array:
    """Return a tensor's numbers in float64."""
    tensor = ops.convert_to_tensor(tensor)
    if "bfloat16" in str(tensor.dtype):
        tensor = ops.cast(tensor, "float32")
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def read(layer: Any, shape: Sequence[int | None]) -> Convolution | None:
    """Return what a built layer computes for inputs of a shape, None if it's no convolution.

    Kernels are the effective ones: after transforms, LoRA, schedules and branches.
    """
    if type(layer) in _KERAS and getattr(layer, "quantization_mode", None) is None:
        return _read_keras(layer)
    if isinstance(layer, FixedConvolution):
        return _read_fixed(layer, shape)
    plain = folding.plain_class(layer)
    if plain is None or folding.why_not(layer):
        return None
    kind = _OWN[plain]
    weights = {name: numbers(value) for name, value in folding.effective_weights(layer).items()}
    return _with_kernels(_edges(_common(kind, layer), layer), weights)


def _common(kind: Kind, layer: Any) -> Convolution:
    return Convolution(
        kind,
        layer.name,
        layer.dtype_policy,
        layer.trainable,
        kernel=np.zeros(()),
        activation=getattr(layer, "activation", None),
        data_format=getattr(layer, "data_format", None) or "channels_last",
        groups=getattr(layer, "groups", 1),
        strides=tuple(getattr(layer, "strides", ())),
        dilation=tuple(getattr(layer, "dilation_rate", ())),
        rank=len(getattr(layer, "strides", ())),
    )


def _edges(conv: Convolution, layer: Any) -> Convolution:
    extra = getattr(layer, "output_padding", None)
    return conv.but(
        padding=geometry.normalize_padding(layer.padding, conv.rank),
        modes=geometry.normalize_padding_mode(
            getattr(layer, "padding_mode", "constant"), conv.rank
        ),
        value=getattr(layer, "padding_value", None),
        output_padding=None
        if extra is None
        else geometry.normalize_tuple(extra, conv.rank, "output_padding", minimum=0),
    )


def _with_kernels(conv: Convolution, weights: dict[str, Array]) -> Convolution:
    bias = weights.get("bias")
    if conv.kind == "separable":
        pointwise = weights["pointwise_kernel"]
        return conv.but(
            kernel=weights["depthwise_kernel"],
            pointwise=pointwise.reshape(pointwise.shape[-2:]),
            bias=bias,
        )
    return conv.but(kernel=weights["kernel"], bias=bias)


def _read_keras(layer: Any) -> Convolution:
    kind = _KERAS[type(layer)]
    names = ["depthwise_kernel", "pointwise_kernel"] if kind == "separable" else ["kernel"]
    if layer.use_bias:
        names.append("bias")
    conv = _common(kind, layer)
    if kind != "dense":
        conv = _edges(conv, layer)
    return _with_kernels(conv, {name: numbers(getattr(layer, name)) for name in names})


def _read_fixed(layer: FixedConvolution, shape: Sequence[int | None]) -> Convolution | None:
    if type(layer).call is not FixedConvolution.call:
        return None
    conv = _edges(_common("conv", layer), layer)
    conv = conv.but(without_channels=layer.channel_axis is None)
    channels = 1 if conv.without_channels else shape[conv.channel_axis(len(shape))]
    assert channels is not None  # a built layer's channels are known
    kernel = numbers(layer.kernel)
    if kernel.ndim == conv.rank + 2:
        return conv.but(kernel=kernel)
    if kernel.ndim == conv.rank + 1 and conv.without_channels:
        return conv.but(kernel=kernel[..., None, :])
    if kernel.ndim == conv.rank:
        kernel = kernel[..., None]
    # One filter, or a bank, for each channel.
    each = np.repeat(kernel[..., None, :], channels, axis=-2)
    return conv.but(kind="depthwise", kernel=each, lines=_lines(layer, conv.rank))


def _lines(layer: FixedConvolution, rank: int) -> tuple[Array, ...]:
    """Return the lines of one filter that is a single outer product, none for other kernels."""
    weights = [numbers(weight) for weight in layer.weights]
    single = len(weights) == rank > 1 and all(w.ndim == 2 and len(w) == 1 for w in weights)
    return tuple(w[0] for w in weights) if single else ()

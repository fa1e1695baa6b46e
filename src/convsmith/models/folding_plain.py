"""A convolution as standard Keras layers, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

from convsmith import layers
from convsmith.models.convolution import Array, Convolution
from convsmith.models.folding_edges import Inexpressible, Pair, cropping, edges, operations, padding
from convsmith.models.folding_kernels import (
    grouped,
    merged,
    ungrouped,
    without_idle_dilation,
    without_strides_and_dilation,
)
from convsmith.ops.transposed import transposed_crops

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Shape = Sequence[int | None]

MOST = 4
"""How many times the multiplications may grow for a layer that standard Keras can express."""


@dataclass(frozen=True)
class Part:
    """One layer of what replaces a convolution.

    `make` takes a name and the tensor that the layer will be called on. `suffix` is added to the
    convolution's name; exactly one part, the convolution itself, has none.
    """

    suffix: str
    make: Callable[[str, Any], Any]
    weights: tuple[Array, ...] = ()


def plain(conv: Convolution, shape: Shape, dtype: str) -> list[Part]:
    """Return the standard layers for inputs of a shape and dtype, in order.

    Raises:
        Inexpressible: standard Keras has none, or they would multiply `MOST` times as much.
    """
    before, behind = [], []
    if not dtype.startswith(("float", "bfloat")):
        policy = conv.policy.compute_dtype
        before.append(Part("_cast", operations(lambda x: ops.cast(x, policy))))
    if conv.kind == "dense":
        return [*before, *_dense(conv)]
    if conv.rank > 3:
        raise Inexpressible("Keras has no convolution of more than three spatial axes")
    if conv.without_channels:
        before.append(Part("_channel", operations(lambda x: ops.expand_dims(x, -1))))
        behind += _without_channels(conv)
        conv, shape = conv.but(without_channels=False, data_format="channels_last"), (*shape, 1)
    conv = without_idle_dilation(conv)
    if _needs_channels_last(conv):
        order = (*range(2, conv.rank + 2), 1)
        before.append(Part("_channels_last", _permute(conv, order)))
        behind.append(
            Part("_channels_first", _permute(conv, (conv.rank + 1, *range(1, conv.rank + 1))))
        )
        shape = (shape[0], *conv.sizes(shape), shape[1])
        conv = conv.but(data_format="channels_last")
    activation = conv.activation
    made = _convolved(conv.but(activation=None), shape)
    if not conv.linear:
        if behind or made[-1].suffix.startswith("_crop"):
            # Over axes, as softmax is, an activation only comes right at the end.
            behind.append(Part("_activation", _activation(conv)))
        else:
            made = _convolved(conv.but(activation=activation), shape)
    return [*before, *made, *behind]


def kept(conv: Convolution) -> Part:
    """Return the layer of convsmith that computes a convolution with no more than its numbers."""
    common = {"activation": conv.activation, "use_bias": conv.bias is not None}
    rest: dict[str, Any] = {
        "kernel_size": conv.taps,
        "strides": conv.strides,
        "padding": conv.padding[0] if conv.rank == 1 else conv.padding,
        "padding_mode": conv.modes[0] if conv.rank == 1 else conv.modes,
        "dilation_rate": conv.dilation,
        "data_format": conv.data_format,
        "trainable": conv.trainable,
        "dtype": conv.policy,
    }
    if conv.kind == "transposed":
        rest |= {"output_padding": conv.output_padding}
    else:
        rest |= {"padding_value": conv.value}
    made: Any
    if conv.kind == "depthwise":
        made = getattr(layers, f"DepthwiseConv{conv.rank}D")
        rest |= {"depth_multiplier": conv.kernel.shape[-1], "depthwise_initializer": "zeros"}
    elif conv.kind == "separable":
        made = getattr(layers, f"SeparableConv{conv.rank}D")
        zeros = {"depthwise_initializer": "zeros", "pointwise_initializer": "zeros"}
        multiplier = conv.kernel.shape[-1]
        rest |= {"filters": conv.filters, "depth_multiplier": multiplier, **zeros}
    else:
        made = getattr(layers, f"Conv{conv.rank}D", layers.ConvND)
        if conv.kind == "transposed":
            made = getattr(layers, f"Conv{conv.rank}DTranspose")
        rest |= {"filters": conv.filters, "groups": conv.groups, "kernel_initializer": "zeros"}
        if made is layers.ConvND:
            rest["rank"] = conv.rank
    return Part("", lambda name, _: made(name=name, **common, **rest), _weights(conv))


# ------------------------------------------------------------------------------------ kinds


def _convolved(conv: Convolution, shape: Shape) -> list[Part]:
    conv, growth = without_strides_and_dilation(conv)
    if conv.kind == "transposed":
        return _transposed(conv, shape, growth)
    if growth > MOST:
        raise Inexpressible(
            "strides with dilation: Keras refuses both, and a kernel with zeros in between would "
            f"multiply {growth:.3g} times as much"
        )
    word, first = padding(conv, conv.sizes(shape))
    before = [Part("_padding" if i == 0 else "_cropping", make) for i, make in enumerate(first)]
    if conv.kind == "separable":
        return [*before, *_separable(conv, word)]
    if conv.kind == "depthwise":
        return [*before, *_depthwise(conv, word)]
    return [*before, _dense_convolution(conv, word)]


def _dense(conv: Convolution) -> list[Part]:
    arguments = {
        "units": conv.filters,
        "activation": conv.activation,
        "use_bias": conv.bias is not None,
        "kernel_initializer": "zeros",
        "trainable": conv.trainable,
        "dtype": conv.policy,
    }
    make = lambda name, _: keras.layers.Dense(name=name, **arguments)  # noqa: E731
    return [Part("", make, _weights(conv))]


def _dense_convolution(conv: Convolution, word: str, suffix: str = "") -> Part:
    made: Any = getattr(keras.layers, f"Conv{conv.rank}D")
    return _part(
        conv,
        made,
        suffix,
        filters=conv.kernel.shape[-1],
        padding=word,
        groups=conv.groups,
        kernel_initializer="zeros",
    )


def _depthwise(conv: Convolution, word: str, suffix: str = "") -> list[Part]:
    if conv.lines and word == "valid" and max(conv.strides) == 1:
        each = _line_by_line(conv)
        if each is not None:
            return each
    # Keras has none for volumes, and TensorFlow none for strides that differ.
    if conv.rank == 3 or len(set(conv.strides)) > 1:
        return [_dense_convolution(grouped(conv), word, suffix)]
    made: Any = getattr(keras.layers, f"DepthwiseConv{conv.rank}D")
    return [
        _part(
            conv,
            made,
            suffix,
            depth_multiplier=conv.kernel.shape[-1],
            padding=word,
            depthwise_initializer="zeros",
        )
    ]


def _separable(conv: Convolution, word: str) -> list[Part]:
    assert conv.pointwise is not None
    channels, multiplier = conv.kernel.shape[-2:]
    taps, filters = prod(conv.taps), conv.filters
    apart = taps * channels * multiplier + channels * multiplier * filters
    if taps * channels * filters <= apart:
        return [_dense_convolution(merged(conv), word)]
    if conv.rank == 3 or len(set(conv.strides)) > 1:
        depthwise = conv.but(kind="depthwise", pointwise=None, bias=None, activation=None)
        pointwise = conv.but(
            kind="conv",
            kernel=conv.pointwise.reshape(*(1,) * conv.rank, *conv.pointwise.shape),
            pointwise=None,
            strides=(1,) * conv.rank,
            dilation=(1,) * conv.rank,
        )
        first = _depthwise(depthwise, word, "_depthwise")
        return [*first, _dense_convolution(pointwise, "valid")]
    made: Any = getattr(keras.layers, f"SeparableConv{conv.rank}D")
    return [
        _part(
            conv,
            made,
            filters=filters,
            depth_multiplier=multiplier,
            padding=word,
            depthwise_initializer="zeros",
            pointwise_initializer="zeros",
        )
    ]


def _transposed(conv: Convolution, shape: Shape, growth: float) -> list[Part]:
    crops = transposed_crops(
        _one_or_all(conv.padding), conv.output_padding, conv.taps, conv.strides, conv.dilation
    )
    beyond = any(
        amount > 0 and mode != "constant"
        for pair, modes in zip(crops, conv.modes, strict=True)
        for amount, mode in zip(pair, modes, strict=True)
    )
    if beyond:
        raise Inexpressible("its padding_mode adds up what lies beyond the edges of the output")
    growth *= conv.groups
    if growth > MOST:
        raise Inexpressible(
            "Keras has no transposed convolution with groups, or with strides and dilation, and "
            f"a kernel with zeros in between would multiply {growth:.3g} times as much"
        )
    conv = ungrouped(conv)
    made: Any = getattr(keras.layers, f"Conv{conv.rank}DTranspose")
    arguments = {"filters": conv.filters, "kernel_initializer": "zeros"}
    words = set(conv.padding)
    if conv.output_padding is None and words in ({"valid"}, {"same"}):
        return [_part(conv, made, padding=words.pop(), **arguments)]
    before, taken = _transposed_edges(conv, crops)
    found = [Part("_padding", make) for make in edges(_zero(conv), before, conv.sizes(shape))]
    found.append(_part(conv, made, padding="valid", **arguments))
    if any(pair != (0, 0) for pair in taken):
        found.append(Part("_cropping", cropping(conv, taken)))
    return found


def _transposed_edges(conv: Convolution, crops: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return the zeros to add before, and what to crop behind, Keras's "valid"."""
    before: list[Pair] = []
    taken: list[Pair] = []
    for (low, high), taps, stride in zip(crops, conv.taps, conv.strides, strict=True):
        least = min(taps - stride, 0)  # Keras's "valid" ends with `stride - taps` zeros
        more = max(-(low // stride), 0), max(-((high - least) // stride), 0)
        before.append(more)
        taken.append((low + more[0] * stride, high + more[1] * stride - least))
    return before, taken


# -------------------------------------------------------------------------------------- parts


def _line_by_line(conv: Convolution) -> list[Part] | None:
    """Return one depthwise convolution for each axis, where that multiplies less."""
    if sum(line.size for line in conv.lines) >= prod(conv.taps):
        return None
    channels = conv.kernel.shape[-2]
    found: list[Part] = []
    for axis, line in enumerate(conv.lines):
        alone = [1] * conv.rank
        alone[axis] = len(line)
        kernel = np.repeat(line.reshape(*alone, 1, 1), channels, axis=-2)
        strides = tuple(s if i == axis else 1 for i, s in enumerate(conv.strides))
        dilation = tuple(d if i == axis else 1 for i, d in enumerate(conv.dilation))
        one = conv.but(kernel=kernel, lines=(), strides=strides, dilation=dilation)
        last = axis == conv.rank - 1
        suffix = "" if last else f"_line_{axis}"
        found += _depthwise(one if last else one.but(bias=None), "valid", suffix)
    return found


def _part(conv: Convolution, made: Any, suffix: str = "", **arguments: Any) -> Part:
    common = {
        "kernel_size": conv.taps,
        "strides": conv.strides,
        "data_format": conv.data_format,
        "dilation_rate": conv.dilation,
        "activation": conv.activation,
        "use_bias": conv.bias is not None,
        "trainable": conv.trainable,
        "dtype": conv.policy,
        **arguments,
    }
    if conv.rank == 1:  # Keras's layers of one axis keep these as plain numbers
        for name in ("kernel_size", "strides", "dilation_rate"):
            common[name] = common[name][0]
    return Part(suffix, lambda name, _: made(name=name, **common), _weights(conv))


def _weights(conv: Convolution) -> tuple[Array, ...]:
    """Return the weights as Keras's layer of this kind keeps them."""
    weights = [conv.kernel]
    if conv.pointwise is not None:
        weights.append(conv.pointwise.reshape(*(1,) * conv.rank, *conv.pointwise.shape))
    if conv.bias is not None:
        weights.append(conv.bias)
    return tuple(weights)


def _needs_channels_last(conv: Convolution) -> bool:
    """Whether Keras's layer may fail channels first: TensorFlow has that on GPUs only."""
    return conv.data_format == "channels_first" and keras.backend.backend() == "tensorflow"


def _permute(conv: Convolution, order: Sequence[int]) -> Callable[[str, Any], Any]:
    return lambda name, _: keras.layers.Permute(tuple(order), name=name, dtype=conv.policy)


def _activation(conv: Convolution) -> Callable[[str, Any], Any]:
    return lambda name, _: keras.layers.Activation(conv.activation, name=name, dtype=conv.policy)


def _without_channels(conv: Convolution) -> list[Part]:
    """Return what is left to do behind a filter of images without a channel axis."""
    if conv.kind == "depthwise":  # one filter for every channel
        return [Part("_squeeze", operations(lambda x: ops.squeeze(x, -1)))]
    if conv.data_format == "channels_first":
        order = (conv.rank + 1, *range(1, conv.rank + 1))
        return [Part("_channels_first", _permute(conv, order))]
    return []


def _zero(conv: Convolution) -> Convolution:
    return conv.but(modes=(("constant", "constant"),) * conv.rank, value=None)


def _one_or_all(entries: Sequence[Any]) -> Any:
    return entries[0] if len(entries) == 1 else tuple(entries)

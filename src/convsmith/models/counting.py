"""How many multiply-adds a layer does."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import keras

from convsmith import engine
from convsmith.layers.pattern import PatternConv
from convsmith.layers.windowed import Windowed
from convsmith.lowerings.backend import current

Shape = tuple[Any, ...]
"""Sizes, None where one isn't known."""

_layers: Any = keras.layers
CONVOLUTIONS = (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D)
DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
_GATES = {_layers.SimpleRNN: 1, _layers.GRU: 3, _layers.LSTM: 4}
_UNCOUNTED = (
    _layers.AdditiveAttention,
    _layers.ConvLSTM1D,
    _layers.ConvLSTM2D,
    _layers.ConvLSTM3D,
    _layers.Dot,
    _layers.GroupQueryAttention,
    _layers.Lambda,
    _layers.RNN,
    _layers.SpectralNormalization,
    _layers.StackedRNNCells,
    _layers.TorchModuleWrapper,
)
_PRODUCTS = (
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "Dot",
    "DotProductAttention",
    "Einsum",
    "Inner",
    "Matmul",
    "Outer",
    "PatternOperation",
    "SeparableConv",
    "Tensordot",
    "Vdot",
)
"""Operations of functional models that aren't counted."""


def macs(layer: Any, input_shape: Any, output_shape: Any) -> int | None:
    """Return the multiply-adds of one call of a layer, a batch of unknown size counted as one.

    What is counted are the products that make up convolutions and matrix products, as PyTorch's
    counter of floating-point operations does (which counts two for each). Taps that read padding
    count. Biases, activations, normalisation and pooling count nothing.

    Args:
        layer: a built layer of Keras or convsmith.
        input_shape: with the batch; a list of them for several inputs.
        output_shape: what the layer makes of it.

    Returns:
        The number, or None where a size is unknown or the layer is of a kind that isn't counted.

    Example:
        >>> macs(keras.layers.Conv2D(8, 3), (None, 32, 32, 3), (None, 30, 30, 8))
        194400
    """
    shapes = _several(input_shape)
    outputs = _several(output_shape)
    first: Shape = shapes[0] if shapes else ()
    result: Shape = outputs[0] if outputs else ()
    if isinstance(layer, Windowed | PatternConv):
        return _recorded(layer, shapes)
    if any(None in shape[1:] for shape in shapes):
        return None if _multiplies(layer) else 0
    batch = (first[0] if first else 1) or 1
    if isinstance(layer, (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED)):
        return None if None in result[1:] else batch * _convolution(layer, first, result)
    if isinstance(layer, _layers.Dense):
        return batch * prod(first[1:]) * layer.units
    if isinstance(layer, _layers.EinsumDense):
        return batch * _einsum_dense(layer, first)
    if isinstance(layer, _layers.MultiHeadAttention):
        return batch * _attention(layer, shapes)
    if isinstance(layer, _layers.Attention):
        query, value = first, shapes[1]
        return batch * query[1] * value[1] * (query[-1] + value[-1])
    if type(layer) in _GATES:
        return batch * first[1] * _GATES[type(layer)] * layer.units * (first[-1] + layer.units)
    if isinstance(layer, _layers.TimeDistributed):
        once = macs(layer.layer, (1, *first[2:]), (1, *result[2:]))
        return None if once is None else batch * first[1] * once
    if isinstance(layer, _layers.Bidirectional):
        both = [macs(one, first, result) for one in (layer.forward_layer, layer.backward_layer)]
        return None if None in both else sum(n or 0 for n in both)
    return None if _multiplies(layer) else 0


def elements(shape: Shape) -> int | None:
    """Return the number of entries of a shape, a batch of unknown size counted as one.

    Example:
        >>> elements((None, 4, 5)), elements((2, None, 5))
        (20, None)
    """
    sizes = [1 if n is None and axis == 0 else n for axis, n in enumerate(shape)]
    return None if None in sizes else prod(n or 0 for n in sizes)


def _several(shape: Any) -> list[Shape]:
    """Return one shape, or several, as a list of shapes."""
    if isinstance(shape, dict):
        return [s for one in shape.values() for s in _several(one)]
    if shape is None:
        return []
    if all(n is None or isinstance(n, int) for n in shape):
        return [tuple(shape)]
    return [s for one in shape for s in _several(one)]


def _convolution(layer: Any, shape: Shape, result: Shape) -> int:
    """Return the multiply-adds of one of Keras's convolutions for one sample."""
    last = layer.data_format == "channels_last"
    channels = shape[-1 if last else 1]
    taps = prod(layer.kernel_size)
    written = prod(result[1:-1] if last else result[2:])
    if isinstance(layer, TRANSPOSED):
        read = prod(shape[1:-1] if last else shape[2:])
        return read * taps * channels * layer.filters // getattr(layer, "groups", 1)
    if isinstance(layer, DEPTHWISE):
        return written * taps * channels * layer.depth_multiplier
    if isinstance(layer, SEPARABLE):
        inner = channels * layer.depth_multiplier
        return written * (taps * inner + inner * layer.filters)
    return written * taps * channels // layer.groups * layer.filters


def _einsum_dense(layer: Any, shape: Shape) -> int:
    """Return the product of the sizes of all letters but the batch, and of all axes of ``...``."""
    sides, _ = layer.equation.replace(" ", "").split("->")
    inputs, kernel = sides.split(",")
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    before, dots, after = inputs.partition("...")
    sizes.update(zip(before, shape, strict=False))
    sizes.update(zip(reversed(after), reversed(shape), strict=False))
    hidden = shape[len(before) : len(shape) - len(after)] if dots else ()
    rest = [*hidden, *(n for letter, n in sizes.items() if letter != inputs[:1] or dots)]
    # The batch is the first axis, named or not.
    return prod(rest[1:] if dots and not before else rest)


def _attention(layer: Any, shapes: Sequence[Shape]) -> int:
    """Return the multiply-adds of projections, scores and weighted sums for one sample."""
    query, value = shapes[0], shapes[min(1, len(shapes) - 1)]
    key = shapes[2] if len(shapes) > 2 else value
    asked, held = prod(query[1:-1]), prod(value[1:-1])
    config = layer.get_config()
    heads, wide = config["num_heads"], config["key_dim"]
    deep = config["value_dim"] or wide
    made = config["output_shape"]
    width = query[-1] if made is None else prod(made) if isinstance(made, list | tuple) else made
    projected = asked * query[-1] * wide + held * key[-1] * wide + held * value[-1] * deep
    return heads * (projected + asked * held * (wide + deep) + asked * deep * width)


def _multiplies(layer: Any) -> bool:
    """Whether a layer may multiply and add in a way that isn't counted."""
    counted = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED, *_GATES)
    others = (
        _layers.Attention,
        _layers.Bidirectional,
        _layers.Dense,
        _layers.EinsumDense,
        _layers.MultiHeadAttention,
        _layers.TimeDistributed,
    )
    if isinstance(layer, (*counted, *others, *_UNCOUNTED, keras.Model)):
        return True
    if isinstance(layer, keras.layers.Layer):
        return not type(layer).__module__.startswith("keras.")
    # An operation of a functional model.
    return type(layer).__name__ in _PRODUCTS


def _recorded(layer: Any, shapes: Sequence[Shape]) -> int | None:
    """Return the multiply-adds that the planner counts for the calls that a layer makes."""
    if any(None in shape[1:] for shape in shapes):
        return None
    known = [(shape[0] or 1, *shape[1:]) for shape in shapes]
    mode = current().mode(())
    return sum(call(mode).macs for call in recorded_calls(layer, known))


def recorded_calls(layer: Any, shapes: Sequence[Shape]) -> list[Any]:
    """Return the calls of `convsmith.conv` that a layer makes for inputs of these shapes.

    Nothing is computed but the kernel.
    """
    dtype = getattr(layer, "compute_dtype", None) or keras.config.floatx()
    inputs = [keras.KerasTensor(tuple(shape), dtype=dtype) for shape in shapes]
    with engine.recording() as calls:
        layer.call(inputs[0] if len(inputs) == 1 else inputs)
    return list(calls)

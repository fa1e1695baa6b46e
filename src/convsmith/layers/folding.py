"""Folding: a kernel that can't change any more is computed once."""

from __future__ import annotations

from typing import Any

import keras

from convsmith.errors import UnsupportedError, compose
from convsmith.layers.conv import Conv1D, Conv2D, Conv3D, ConvND
from convsmith.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D
from convsmith.layers.reparameterized import ReparameterizedConvolution
from convsmith.layers.separable import SeparableConv1D, SeparableConv2D, SeparableConv3D
from convsmith.layers.transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

_DENSE = (Conv1D, Conv2D, Conv3D, ConvND)
_DEPTHWISE = (DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D)
_TRANSPOSED = (Conv1DTranspose, Conv2DTranspose, Conv3DTranspose)
_SEPARABLE = (SeparableConv1D, SeparableConv2D, SeparableConv3D)
_KERNELS: dict[type[Any], tuple[str, ...]] = {
    **dict.fromkeys((*_DENSE, *_DEPTHWISE, *_TRANSPOSED), ("kernel",)),
    **dict.fromkeys(_SEPARABLE, ("depthwise_kernel", "pointwise_kernel")),
}
"""The plain layers and their kernels: `effective_` and the name is what is convolved with."""


def fold(source: Any) -> Any:
    """Return a copy whose kernels are the effective kernels of now: no transforms, no LoRA.

    Equation: ``fold(f)(x) = f(x)``, with ``kernel = transform(kernel)`` done once, and branches of
    re-parameterised layers summed. For inference and export; the copy shares no weights with the
    original, which can be trained on. `convsmith.models.fold` goes on to standard Keras layers.

    Args:
        source: a built layer with a kernel transform (dense, depthwise, separable or transposed),
            one of a subclass that changes only their kernels, or one of branches; or a Sequential
            or functional model, in which all such layers are folded and all other layers
            (wrappers too) copied with their weights.

    Returns:
        A layer of the plain class, such as `Conv2D` for a `StandardizedConv2D`, or a model,
        uncompiled.

    Raises:
        UnsupportedError: a layer without weights yet, of another kind, or one that overrides
            `call`, `convolve` or `convolution_op`; or a subclassed model, whose layers can't be
            replaced.

    Example:
        >>> from convsmith.layers import StandardizedConv2D
        >>> layer = StandardizedConv2D(4, 3)
        >>> x = keras.ops.ones((2, 8, 8, 3))
        >>> folded = (layer(x), fold(layer))[1]
        >>> type(folded).__name__, bool(keras.ops.all(folded(x) == layer(x)))
        ('Conv2D', True)
    """
    if isinstance(source, keras.Model):
        return _folded_model(source)
    reason = why_not(source)
    if reason:
        name = getattr(source, "name", source)
        raise UnsupportedError(
            compose(
                f"fold: {type(source).__name__} {name!r}",
                reason,
                expected="a built convolution whose kernel alone is its own, or a model",
                fix="layer.build(input_shape) first, or layer.effective_kernel for the kernel",
            ),
            argument="source",
            value=source,
        )
    folded = _plain(source)
    folded.build(source.get_build_config()["input_shape"])
    _take_weights(folded, source)
    return folded


def plain_class(layer: Any) -> type[Any] | None:
    """Return the class that a layer's class only gives another kernel to."""
    if isinstance(layer, ReparameterizedConvolution):
        return Conv2D
    return next((known for known in type(layer).__mro__ if known in _KERNELS), None)


def why_not(layer: Any) -> str:
    """Return why a layer isn't its plain class with another kernel; empty where it is."""
    plain = plain_class(layer)
    if plain is None:
        return "has no kernel that a transform computes"
    branched = isinstance(layer, ReparameterizedConvolution)
    base: Any = ReparameterizedConvolution if branched else plain
    for method in ("call",) if branched else ("call", "convolve", "convolution_op"):
        if getattr(type(layer), method) is not getattr(base, method):
            return f"overrides '{method}', so that it is more than its kernel"
    return "" if layer.built else "has no weights yet"


def _plain(layer: Any) -> Any:
    if isinstance(layer, ReparameterizedConvolution):
        return Conv2D(**layer.plain_arguments())
    plain: Any = plain_class(layer)
    # What a subclass adds to it is in its kernel already.
    config = plain.get_config(layer)
    for name in ("lora_rank", "lora_alpha", "quantization_config"):
        config.pop(name, None)
    transforms = (f"{kernel.removesuffix('_kernel')}_transform" for kernel in _KERNELS[plain])
    return plain.from_config({**config, **dict.fromkeys(transforms)})


def effective_weights(layer: Any) -> dict[str, Any]:
    """Return the weights, by name, that the plain layer of a layer has."""
    if isinstance(layer, ReparameterizedConvolution):
        return {"kernel": layer.effective_kernel, "bias": layer.effective_bias}
    kernels = _KERNELS[plain_class(layer) or type(layer)]
    weights = {name: getattr(layer, f"effective_{name}") for name in kernels}
    return {**weights, "bias": layer.bias} if layer.use_bias else weights


def _take_weights(folded: Any, source: Any) -> None:
    for name, value in effective_weights(source).items():
        weight = getattr(folded, name)
        # Copies: JAX gives away the arrays of the variables that it trains.
        weight.assign(ops.copy(ops.cast(ops.convert_to_tensor(value), weight.dtype)))


def _folded_model(model: Any) -> Any:
    pairs: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _folded_model(layer)
        made = type(layer).from_config(layer.get_config()) if why_not(layer) else _plain(layer)
        pairs.append((layer, made))
        return made

    try:
        folded = keras.models.clone_model(model, clone_function=copy)
    except ValueError as error:
        raise UnsupportedError(
            compose(
                f"fold: {type(model).__name__} {model.name!r}",
                f"can't be copied layer by layer ({error})",
                expected="a Sequential or functional model",
                fix="fold its layers one by one",
            ),
            argument="source",
            value=model,
        ) from error
    for source, made in pairs:
        if not why_not(source):
            _take_weights(made, source)
        elif source.weights:
            made.set_weights(source.get_weights())
    return folded

"""Folding: a kernel that can't change any more is computed once."""

from __future__ import annotations

from typing import Any

import keras

from convsmith.errors import UnsupportedError, compose
from convsmith.layers.conv import Conv1D, Conv2D, Conv3D, Convolution

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

_PLAIN: dict[int, type[Convolution]] = {1: Conv1D, 2: Conv2D, 3: Conv3D}


def fold(source: Any) -> Any:
    """Return a copy whose kernels are the effective kernels of now: no transforms, no LoRA.

    Equation: ``fold(f)(x) = f(x)``, with ``kernel = transform(kernel)`` done once. For inference
    and export; the copy shares no weights with the original, which can be trained on.

    Args:
        source: a built `Conv1D`, `Conv2D`, `Conv3D` or a subclass that changes only their kernel;
            or a Sequential or functional model, in which all such layers are folded and all other
            layers copied with their weights.

    Returns:
        A layer of class `Conv1D`, `Conv2D` or `Conv3D`, or a model, uncompiled.

    Raises:
        UnsupportedError: a layer without weights yet, or one that overrides `call`, `convolve` or
            `convolution_op`; or a subclassed model, whose layers can't be replaced.

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
    reason = _why_not(source)
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


def _why_not(layer: Any) -> str:
    if not isinstance(layer, Convolution):
        return "is no convolution of convsmith"
    for method in ("call", "convolve", "convolution_op"):
        if getattr(type(layer), method) is not getattr(Convolution, method):
            return f"overrides '{method}', so that it is more than its kernel"
    return "" if layer.built else "has no weights yet"


def _plain(layer: Convolution) -> Convolution:
    made = _PLAIN[layer.spatial_rank]
    config = layer.get_config()
    for name in ("lora_rank", "lora_alpha", "quantization_config"):
        config.pop(name, None)
    known = keras.layers.Layer.get_config(layer)
    own = _PLAIN_ARGUMENTS | set(known)
    config = {k: v for k, v in config.items() if k in own}
    return made.from_config({**config, "kernel_transform": None})


_PLAIN_ARGUMENTS = frozenset(Conv2D(1, 1).get_config())
"""What a plain layer is made of; a subclass may have more."""


def _take_weights(folded: Convolution, source: Convolution) -> None:
    # Copies: JAX gives away the arrays of the variables that it trains.
    kernel = ops.cast(source.effective_kernel, folded.kernel.dtype)
    folded.kernel.assign(ops.copy(ops.convert_to_tensor(kernel)))
    if source.use_bias:
        folded.bias.assign(ops.copy(ops.convert_to_tensor(source.bias)))


def _folded_model(model: Any) -> Any:
    pairs: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _folded_model(layer)
        if not _why_not(layer):
            made: Any = _plain(layer)
            pairs.append((layer, made))
            return made
        made = layer.__class__.from_config(layer.get_config())
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
        if not _why_not(source):
            _take_weights(made, source)
        elif source.weights:
            made.set_weights(source.get_weights())
    return folded

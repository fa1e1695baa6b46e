"""Which of convsmith's layers stands for which of Keras's: the one table of drop-ins."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from convsmith import geometry, layers
from convsmith.errors import ArgumentError, ConvsmithError, UnsupportedError, compose
from convsmith.layers.windowed import Windowed

DROP_INS: Mapping[type[Any], type[Any]] = MappingProxyType(
    {
        keras.layers.Conv1D: layers.Conv1D,
        keras.layers.Conv2D: layers.Conv2D,
        keras.layers.Conv3D: layers.Conv3D,
        keras.layers.DepthwiseConv1D: layers.DepthwiseConv1D,
        keras.layers.DepthwiseConv2D: layers.DepthwiseConv2D,
        keras.layers.SeparableConv1D: layers.SeparableConv1D,
        keras.layers.SeparableConv2D: layers.SeparableConv2D,
        keras.layers.Conv1DTranspose: layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose: layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose: layers.Conv3DTranspose,
    }
)
"""Keras's class, and ours with the same weights and, by default, the same outputs."""

_OURS_ONLY = (layers.ConvND, layers.DepthwiseConv3D, layers.SeparableConv3D)
"""Of the same kinds, but without a class of Keras's."""

DENSE = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)

_TRANSFORMS = ("kernel_transform", "depthwise_transform", "pointwise_transform")
_KERAS_PADDINGS = ("valid", "same", "causal")


def family(layer_class: type[Any]) -> type[Any] | None:
    """Return the Keras class of the table that a class is or extends, None for other layers.

    Where Keras has no such class, ours stands for it: `ConvND` and the 3-D ones that Keras lacks.

    Example:
        >>> family(layers.StandardizedConv2D).__name__
        'Conv2D'
    """
    known = (*DROP_INS, *_OURS_ONLY)
    return next((one for one in known if issubclass(layer_class, one)), None)


def plain_class(layer: Any) -> Any:
    """Return our class that only convolves, of the kind of a layer of the table.

    Example:
        >>> plain_class(layers.StandardizedConv2D(4, 3)) is layers.Conv2D
        True
    """
    known = family(type(layer))
    assert known is not None, f"{type(layer).__name__} is no convolution of the table"
    return DROP_INS.get(known, known)


def is_convolution(layer: Any) -> bool:
    """Whether a layer is one of the table's, of Keras or ours, or of a class made from them."""
    return family(type(layer)) is not None or isinstance(layer, Windowed)


def own_class(layer: Any) -> type[Any] | None:
    """Return the class of ours that a layer has, or that stands for its; None where none does.

    A subclass of Keras's, which may compute anything, has none.

    Example:
        >>> own_class(keras.layers.Conv2D(4, 3)).__module__
        'convsmith.layers.conv'
    """
    if type(layer) in DROP_INS:
        return DROP_INS[type(layer)]
    return type(layer) if isinstance(layer, Windowed) and family(type(layer)) else None


def remade(layer: Any, target: type[Any], **arguments: Any) -> Any:
    """Return a new layer of another class with the settings of a layer, not built.

    Name, dtype policy, trainable flag, regularisers and all the rest are the layer's; `arguments`
    stand for some of them. A class of ours keeps what Keras's doesn't have (padding modes); its
    kernel transform is kept by the same class and by the plain one of the table.

    Raises:
        ArgumentError: the class can't be made of these settings.
        UnsupportedError: a class of Keras's, which lacks what the layer does.

    Example:
        >>> layer = keras.layers.Conv2D(4, 3, padding="same", name="stem")
        >>> new = remade(layer, layers.StandardizedConv2D, padding_mode="reflect")
        >>> new.name, new.padding, new.padding_mode
        ('stem', 'same', 'reflect')
    """
    known = family(type(layer))
    config = layer.get_config()
    if known is not None and type(layer) is not target:
        ours = plain_class(layer)
        both = isinstance(layer, ours) and issubclass(target, ours)
        if isinstance(layer, ours) and not issubclass(target, ours):
            _check_plain(layer, target)
        # What a subclass adds belongs to it; its base says what the two have in common.
        config = (ours if both else known).get_config(layer)
        if target is not ours:
            config = {k: v for k, v in config.items() if k not in _TRANSFORMS}
    try:
        return target.from_config({**config, **arguments})
    except Exception as error:
        if isinstance(error, ConvsmithError):
            raise
        reason = str(error).rpartition("Exception encountered: ")[2] or repr(error)
        raise ArgumentError(
            compose(
                f"{target.__name__} for {type(layer).__name__} {layer.name!r}",
                f"can't be made of its settings ({reason.strip()})",
                expected="a class with the arguments of the layer that it replaces",
                fix=f"a function: lambda layer: {target.__name__}(..., name=layer.name)",
            ),
            argument="rules",
            value=target,
        ) from error


def _check_plain(layer: Any, target: type[Any]) -> None:
    """Refuse to lose what Keras's class can't do."""
    lost = [
        f"{name}={getattr(layer, name)!r}"
        for name, plain in (
            ("padding_mode", "constant"),
            ("padding_value", None),
            *((name, None) for name in _TRANSFORMS),
        )
        if getattr(layer, name, plain) != plain
    ]
    if layer.padding not in _KERAS_PADDINGS:
        lost.append(f"padding={layer.padding!r}")
    if lost:
        raise UnsupportedError(
            compose(
                f"{target.__name__} for {type(layer).__name__} {layer.name!r}",
                f"would lose {', '.join(lost)}",
                expected="a class that has these",
                fix="cs.models.fold(model), which writes them as plain Keras layers",
            ),
            argument="rules",
            value=target,
        )


def spatial_sizes(layer: Any, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return the sizes of an input's spatial axes."""
    return shape[1:-1] if layer.data_format == "channels_last" else shape[2:]


def per_axis_padding(layer: Any) -> tuple[Any, ...]:
    """Return a convolution's padding with one entry for each spatial axis."""
    return geometry.normalize_padding(layer.padding, len(layer.kernel_size))

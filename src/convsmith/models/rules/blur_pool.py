"""Strided convolutions by dense ones and a blur, so that a shift of the input stays one."""

from __future__ import annotations

from typing import Any, Literal

import keras

from convsmith import geometry, layers
from convsmith.errors import ArgumentError, compose
from convsmith.models.drop_ins import (
    TRANSPOSED,
    family,
    own_class,
    per_axis_padding,
    remade,
    spatial_sizes,
)
from convsmith.models.rules.base import Kept, Outcome, Part, Rule, Swap, weights_of
from convsmith.models.sites import Site

_POINTWISE = (
    keras.layers.BatchNormalization,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
)
"""What a blur is put behind: layers that treat every position alike, on its own."""

_BLURS = {1: layers.BlurPool1D, 2: layers.BlurPool2D, 3: layers.BlurPool3D}


class BlurPool(Rule):
    """A convolution with stride 1 and then `cs.layers.BlurPool`, for each strided convolution.

    Equation: ``conv(x, k, strides=s)`` becomes ``blur_pool(f(conv(x, k)), s)``, f the batch
    normalisation and activation behind the convolution. The dense convolution has its outputs
    where the strided one had them, so that ``kernel_size=1``, a blur of one tap, changes nothing
    (where the input's size is known, or the padding doesn't depend on it).

    Args:
        kernel_size: taps of the binomial blur along each axis.
        after: ``"activation"``, as in the paper, or ``"convolution"``: right behind it, which
            takes less memory and lets the activation's aliasing through.
        padding_mode: that of the blur.

    A 1x1 convolution is blurred in front, which is the same and takes fewer multiplications.
    Transposed convolutions stay.

    Raises:
        ArgumentError: `after` is another word.

    Example:
        >>> BlurPool(kernel_size=5)
        BlurPool(kernel_size=5, after='activation', padding_mode='reflect')

    Source: Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019.
    """

    def __init__(
        self,
        kernel_size: int = 3,
        *,
        after: Literal["activation", "convolution"] = "activation",
        padding_mode: Any = "reflect",
    ) -> None:
        if after not in ("activation", "convolution"):
            raise ArgumentError(
                compose(
                    f"BlurPool(after={after!r})",
                    "is no place for the blur",
                    expected="'activation' or 'convolution'",
                    fix="after='activation'",
                ),
                argument="after",
                value=after,
            )
        self.kernel_size = geometry.integer(kernel_size, "kernel_size", minimum=1)
        self.after, self.padding_mode = after, padding_mode

    def outcome(self, site: Site) -> Outcome:
        """Return the dense convolution and the blur, where there are strides."""
        layer, known = site.layer, family(type(site.layer))
        if known is None or known in TRANSPOSED or max(layer.strides) == 1:
            return None
        target = own_class(layer)
        if target is None:
            return Kept(f"{type(layer).__name__} is a class of its own, made from Keras's")
        pads = _strided_pads(site)
        dense = remade(layer, target, strides=1, padding=layer.padding if pads is None else pads)
        blur = Part(
            _BLURS[len(layer.kernel_size)](
                pool_size=layer.strides,
                kernel_size=self.kernel_size,
                padding_mode=self.padding_mode,
                data_format=layer.data_format,
                name=f"{layer.name}_blur",
                dtype=layer.dtype_policy,
            )
        )
        swapped = Part(dense, weights_of(layer))
        if max(layer.kernel_size) == 1 and pads is not None and not any(map(any, pads)):
            return [Swap(site, (blur, swapped), "blurred in front")]
        end = self._end(site)
        if end is site:
            return [Swap(site, (swapped, blur), "blurred behind")]
        return [
            Swap(site, (swapped,), f"blurred behind {end.path}"),
            Swap(end, (Part(end.layer), blur), f"blurs {layer.name}"),
        ]

    def _end(self, site: Site) -> Site:
        """Return the place behind which the blur comes."""
        if self.after == "convolution" or site.layer.activation is not keras.activations.linear:
            return site
        end = site
        while end.following is not None and isinstance(end.following.layer, _POINTWISE):
            end = end.following
            if not isinstance(end.layer, keras.layers.BatchNormalization):
                return end
        return end

    def __repr__(self) -> str:
        return (
            f"BlurPool(kernel_size={self.kernel_size}, after={self.after!r}, "
            f"padding_mode={self.padding_mode!r})"
        )


def _strided_pads(site: Site) -> tuple[tuple[int, int], ...] | None:
    """Return the pads of the strided convolution; None where the sizes that they need vary."""
    layer = site.layer
    found = {
        tuple(
            geometry.resolve_padding(padding, size, kernel, stride, dilation)
            for padding, size, kernel, stride, dilation in zip(
                per_axis_padding(layer),
                spatial_sizes(layer, shape),
                layer.kernel_size,
                layer.strides,
                layer.dilation_rate,
                strict=True,
            )
        )
        for shape in site.input_shapes
    }
    pads = found.pop()
    if found or any(None in pair for pair in pads):
        return None
    return tuple((int(low or 0), int(high or 0)) for low, high in pads)

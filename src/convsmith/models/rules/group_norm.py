"""Batch normalisation by group normalisation, with standardised kernels in front."""

from __future__ import annotations

from math import gcd, prod
from typing import Any

import keras

from convsmith import geometry, layers
from convsmith.models.drop_ins import DENSE, DEPTHWISE, DROP_INS, family, own_class, remade
from convsmith.models.rules.base import Kept, Outcome, Part, Rule, Swap, weights_of
from convsmith.models.sites import Site

_STANDARDIZED = {
    layers.Conv1D: layers.StandardizedConv1D,
    layers.Conv2D: layers.StandardizedConv2D,
    layers.Conv3D: layers.StandardizedConv3D,
}

_ALIKE = ("name", "trainable", "dtype", "axis", "epsilon", "center", "scale", "beta_", "gamma_")
"""The settings of batch normalisation that group normalisation has too, by their beginnings."""


class StandardizedGroupNorm(Rule):
    """A standardised convolution and group normalisation, for each convolution with batch norm.

    Equation: ``batch_norm(conv(x, k))`` becomes ``group_norm(conv(x, standardize(k)))``, with the
    kernel, gamma and beta carried over. The moving statistics have no place any more, so that the
    model has to be trained on; in return it doesn't depend on the batch size.

    Args:
        groups: of the normalisation; where they don't divide the channels, the largest number
            that divides both.

    Pairs are a dense or depthwise convolution without activation and the `BatchNormalization` that
    alone reads it; other convolutions stay, and so do kernels of one number for each filter, which
    would be standardised to nothing.

    Raises:
        ArgumentError: no positive number of groups.

    Example:
        >>> StandardizedGroupNorm(groups=16)
        StandardizedGroupNorm(groups=16)

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight
    Standardization", 2019, arXiv:1903.10520; Wu & He, "Group Normalization", 2018.
    """

    def __init__(self, groups: int = 32) -> None:
        self.groups = geometry.integer(groups, "groups", minimum=1)

    def outcome(self, site: Site) -> Outcome:
        """Return the pair, where there is one."""
        layer, known = site.layer, family(type(site.layer))
        if known not in DENSE + DEPTHWISE:
            return None
        behind = site.following
        if behind is None or not isinstance(behind.layer, keras.layers.BatchNormalization):
            return Kept("has no batch normalisation of its own behind it")
        if layer.activation is not keras.activations.linear:
            return Kept("has an activation in front of its batch normalisation")
        if own_class(layer) not in DROP_INS.values():
            return Kept(f"{type(layer).__name__} has a kernel of its own")
        weights = weights_of(layer)
        taps = weights["kernel"].shape if known in DENSE else layer.kernel_size
        if prod(taps[:-1] if known in DENSE else taps) == 1:
            return Kept("has one number for each filter, which can't be standardised")
        return [
            Swap(site, (Part(self._convolution(layer), weights),)),
            Swap(behind, (self._norm(behind.layer, behind.input_shape),), "moving statistics gone"),
        ]

    def _convolution(self, layer: Any) -> Any:
        ours: Any = own_class(layer)
        if ours in _STANDARDIZED:
            return remade(layer, _STANDARDIZED[ours])
        return remade(layer, ours, kernel_transform="standardize")

    def _norm(self, norm: Any, shape: Any) -> Part:
        config = {k: v for k, v in norm.get_config().items() if k.startswith(_ALIKE)}
        groups = gcd(self.groups, shape[norm.axis])
        made = keras.layers.GroupNormalization.from_config({**config, "groups": groups})
        weights = {n: w for n, w in weights_of(norm).items() if not n.startswith("moving_")}
        return Part(made, weights)

    def __repr__(self) -> str:
        return f"StandardizedGroupNorm(groups={self.groups})"

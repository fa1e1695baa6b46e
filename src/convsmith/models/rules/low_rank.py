"""Dense convolutions by chains of smaller ones whose kernels multiply to nearly the same."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convsmith import geometry, layers
from convsmith.errors import ArgumentError, compose
from convsmith.layers.arguments import spatial_axes
from convsmith.models import factorizing
from convsmith.models.drop_ins import (
    DENSE,
    family,
    own_class,
    per_axis_padding,
    plain_class,
    remade,
)
from convsmith.models.rules.base import Kept, Outcome, Part, Rule, Swap, as_numpy
from convsmith.models.sites import Site

Array = NDArray[Any]

METHODS = ("tucker", "cp")

_DEPTHWISE = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D, 3: layers.DepthwiseConv3D}


_OF_THE_KERNEL = ("kernel_transform", "lora_rank", "lora_alpha")

_ONE_TAP: dict[str, Any] = {
    "kernel_size": 1,
    "strides": 1,
    "dilation_rate": 1,
    "padding": "valid",
    "padding_mode": "constant",
}


class LowRank(Rule):
    """A chain of cheaper convolutions for each dense one, begun from its decomposed kernel.

    Equation: for ``"tucker"`` a 1x1 convolution to p channels, the kernel's taps from p to q, and a
    1x1 convolution from q channels; for ``"cp"`` a 1x1 convolution to r channels, a depthwise one
    along each spatial axis, and a 1x1 convolution from r channels.

    Args:
        method: ``"tucker"`` or ``"cp"``.
        rank: the channels in between: for Tucker one number or ``(p, q)``, for CP one. No more than
            the layer's own are used.

    The last of the chain has the layer's name, bias and activation; the others' names begin with
    it. The report says how much of the kernel's norm is lost. Stride, dilation, groups of one,
    padding and its modes are kept. Layers that wouldn't get smaller stay, as do grouped ones, 1x1
    convolutions, and those that pad with a number other than 0.

    Raises:
        ArgumentError: another method, or no such rank.

    Example:
        >>> rule = LowRank("tucker", rank=(2, 3))
        >>> layer = layers.Conv2D(16, 3, name="stage")
        >>> layer.build((None, 8, 8, 16))
        >>> swap, = rule.outcome(Site(layer, "stage", [(None, 8, 8, 16)]))
        >>> [part.layer.name for part in swap.parts]
        ['stage_in', 'stage_core', 'stage']

    Source: Kim et al., "Compression of Deep Convolutional Neural Networks for Fast and Low Power
    Mobile Applications", 2015, arXiv:1511.06530; Lebedev et al., "Speeding-up Convolutional Neural
    Networks Using Fine-tuned CP-Decomposition", 2015, arXiv:1412.6553.
    """

    def __init__(
        self, method: Literal["tucker", "cp"] = "tucker", *, rank: int | tuple[int, int]
    ) -> None:
        if method not in METHODS:
            raise ArgumentError(
                compose(
                    f"LowRank({method!r})",
                    "is no decomposition",
                    expected="'tucker' or 'cp'",
                    fix="LowRank('tucker', rank=8)",
                ),
                argument="method",
                value=method,
            )
        self.method = method
        self.rank: Any = geometry.normalize_tuple(rank, 2 if method == "tucker" else 1, "rank")

    def outcome(self, site: Site) -> Outcome:
        """Return the chain, where it is smaller."""
        layer = site.layer
        if family(type(layer)) not in DENSE:
            return None
        reason = _why_not(layer)
        if reason:
            return Kept(reason)
        kernel = as_numpy(getattr(layer, "effective_kernel", layer.kernel)).astype(np.float64)
        sizes = _sizes(self.method, self.rank, kernel.shape)
        if sizes >= kernel.size:
            return Kept(f"would have {sizes:,} kernel entries instead of {kernel.size:,}")
        if self.method == "tucker":
            parts, made = self._tucker(layer, kernel)
        else:
            parts, made = self._cp(layer, kernel)
        norm = float(np.linalg.norm(kernel))
        lost = float(np.linalg.norm(made - kernel)) / norm if norm else 0.0
        return [Swap(site, parts, f"kernel off by {lost:.2%} of its norm")]

    def _tucker(self, layer: Any, kernel: Array) -> tuple[tuple[Part, ...], Array]:
        first, core, last = factorizing.tucker(kernel, self.rank)
        made = np.einsum("ip,...pq,qo->...io", first, core, last, optimize=True)
        middle = Part(_chained(layer, "core", filters=core.shape[-1]), {"kernel": core})
        return (_first(layer, first), middle, _last(layer, last)), made

    def _cp(self, layer: Any, kernel: Array) -> tuple[tuple[Part, ...], Array]:
        *taps, first, last = lines = factorizing.cp(kernel, self.rank[0])
        middle = [_along(layer, axis, line) for axis, line in enumerate(taps)]
        return (_first(layer, first), *middle, _last(layer, last.T)), factorizing.joined(lines)

    def __repr__(self) -> str:
        rank = self.rank if len(self.rank) > 1 else self.rank[0]
        return f"LowRank({self.method!r}, rank={rank})"


def _why_not(layer: Any) -> str:
    """Return why a layer has no such chain; nothing where it has."""
    if own_class(layer) is None or _overrides(layer):
        return f"{type(layer).__name__} is a class of its own, which may compute anything"
    if layer.groups > 1:
        return f"its kernel has {layer.groups} groups"
    if max(layer.kernel_size) == 1:
        return "its kernel has one tap"
    if layer.kernel_constraint is not None:
        return "has a kernel_constraint, which its factors can't keep"
    if getattr(layer, "padding_value", None):
        return f"pads with {layer.padding_value}, which the first of the chain would change"
    return ""


def _overrides(layer: Any) -> bool:
    """Whether a class of ours computes something else with its kernel."""
    ours = own_class(layer)
    methods = ("call", "convolve", "convolution_op")
    return any(getattr(ours, m) is not getattr(plain_class(layer), m) for m in methods)


def _sizes(method: str, rank: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return how many entries the kernels of the chain have together."""
    *taps, channels, filters = shape
    if method == "tucker":
        first, last = factorizing.tucker_ranks(shape, (rank[0], rank[1]))
        return channels * first + prod(taps) * first * last + last * filters
    return rank[0] * (channels + sum(taps) + filters)


def _chained(layer: Any, suffix: str, **arguments: Any) -> Any:
    """Return a part of the chain: like the layer, but without bias and activation."""
    config = {
        **_common(layer),
        "name": f"{layer.name}_{suffix}",
        "use_bias": False,
        "activation": None,
        "activity_regularizer": None,
        **arguments,
    }
    return plain_class(layer).from_config(config)


def _common(layer: Any) -> dict[str, Any]:
    """Return the settings of the layer as those of our plain class, its kernel's own left out."""
    config = remade(layer, plain_class(layer)).get_config()
    return {k: v for k, v in config.items() if k not in _OF_THE_KERNEL}


def _first(layer: Any, factor: Array) -> Part:
    """Return the 1x1 convolution in front, of a factor ``(in, channels)``."""
    made = _chained(layer, "in", filters=factor.shape[1], **_ONE_TAP)
    return Part(made, {"kernel": _with_taps(layer, factor)})


def _last(layer: Any, factor: Array) -> Part:
    """Return the 1x1 convolution behind, of a factor ``(channels, out)``, with bias and name."""
    made = plain_class(layer).from_config({**_common(layer), **_ONE_TAP})
    weights = {"kernel": _with_taps(layer, factor)}
    if layer.use_bias:
        weights["bias"] = as_numpy(layer.bias)
    return Part(made, weights)


def _along(layer: Any, axis: int, line: Array) -> Part:
    """Return the depthwise convolution along one axis, of lines ``(taps, channels)``."""
    rank = len(layer.kernel_size)
    renamed = {
        name.replace("kernel_", "depthwise_"): value
        for name, value in _common(layer).items()
        if name in ("kernel_initializer", "kernel_regularizer")
    }

    def here(values: Any, elsewhere: Any) -> tuple[Any, ...]:
        return tuple(values[a] if a == axis else elsewhere for a in range(rank))

    config = {
        k: v
        for k, v in _common(layer).items()
        if not k.startswith("kernel_") and k not in ("filters", "groups")
    }
    made = _DEPTHWISE[rank].from_config(
        {
            **config,
            **renamed,
            "name": f"{layer.name}_{spatial_axes(rank)[axis]}",
            "kernel_size": here(layer.kernel_size, 1),
            "strides": here(layer.strides, 1),
            "dilation_rate": here(layer.dilation_rate, 1),
            "padding": here(per_axis_padding(layer), 0) if rank > 1 else layer.padding,
            "use_bias": False,
            "activation": None,
            "activity_regularizer": None,
        }
    )
    shape = (*here(layer.kernel_size, 1), line.shape[1], 1)
    return Part(made, {"kernel": line.reshape(shape)})


def _with_taps(layer: Any, factor: Array) -> Array:
    """Return a matrix as the kernel of a convolution with one tap."""
    return factor.reshape((1,) * len(layer.kernel_size) + factor.shape)

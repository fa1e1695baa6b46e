"""Batch normalisation that becomes part of the convolution before or behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from convsmith.models.convolution import Array, Convolution, numbers
from convsmith.models.graph import Call, Graph


def is_batch_norm(layer: Any) -> bool:
    """Whether a layer normalises with statistics that are fixed at inference."""
    return type(layer) is keras.layers.BatchNormalization and layer.built


def scale_and_shift(norm: Any) -> tuple[Array, Array]:
    """Return what a normalisation multiplies by and adds at inference."""
    scale = 1.0 / np.sqrt(numbers(norm.moving_variance) + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * numbers(norm.gamma)
    shift = -numbers(norm.moving_mean) * scale
    if norm.beta is not None:
        shift = shift + numbers(norm.beta)
    return scale, shift


def reason_against(
    call: Call, graph: Graph, convolutions: Mapping[int, Convolution], *, behind: bool
) -> str | None:
    """Return why the normalisation of a call can't join the convolution, None if it can.

    The convolution is the one whose output it normalises (`behind`), or the one that reads it.
    """
    norm, tensor = call.operation, call.outputs[0]
    if call.kwargs.get("training") or call.kwargs.get("mask") is not None or len(call.args) != 1:
        return "is called with arguments of its own"
    if len(graph.calls_of(norm)) != 1:
        return "is used more than once"
    neighbour = _neighbour(call, graph, behind=behind)
    conv = convolutions.get(id(neighbour.operation)) if neighbour is not None else None
    if neighbour is None or conv is None:
        return "has no convolution beside it"
    if len(graph.calls_of(neighbour.operation)) != 1:
        return f"its convolution '{conv.name}' is used more than once"
    between = call.args[0] if behind else tensor
    if graph.only_use(between) is None:
        return "what goes in is used elsewhere too" if behind else "its output is used elsewhere"
    ndim = len(tensor.shape)
    if conv.without_channels or norm.axis % ndim != conv.channel_axis(ndim):
        return f"normalises axis {norm.axis}, which isn't that of the channels"
    if behind:
        return None if conv.linear else f"'{conv.name}' has an activation before it"
    return _reason_against_before(conv)


def _neighbour(call: Call, graph: Graph, *, behind: bool) -> Call | None:
    if behind:
        return graph.source(call.args[0])
    return graph.only_use(call.outputs[0])


def _reason_against_before(conv: Convolution) -> str | None:
    if conv.kind == "transposed":
        return f"'{conv.name}' behind it is transposed"
    if any(
        _pads_constants(entry, mode) for entry, mode in zip(conv.padding, conv.modes, strict=True)
    ):
        return f"'{conv.name}' behind it pads with a constant, which isn't normalised"
    return None


def _pads_constants(entry: Any, mode: Any) -> bool:
    sides = (entry, entry) if isinstance(entry, int) else entry
    if isinstance(entry, str):
        sides = (0, 0) if entry == "valid" else (1, 1)
    return any(
        amount > 0 and word in ("constant", "renormalize")
        for amount, word in zip(sides, mode, strict=True)
    )


def with_norm_behind(conv: Convolution, norm: Any) -> Convolution:
    """Return a convolution that normalises its outputs itself."""
    scale, shift = scale_and_shift(norm)
    bias = shift if conv.bias is None else conv.bias * scale + shift
    if conv.kind == "separable":
        assert conv.pointwise is not None
        return conv.but(pointwise=conv.pointwise * scale, bias=bias)
    return conv.but(kernel=_scaled_filters(conv, scale), bias=bias, lines=())


def _scaled_filters(conv: Convolution, scale: Array) -> Array:
    kernel = conv.kernel
    if conv.kind == "depthwise":
        return kernel * scale.reshape(kernel.shape[-2:])
    if conv.kind != "transposed":
        return kernel * scale
    # (..., filters of a group, channels): channel c belongs to the group that it lies in.
    filters, channels = kernel.shape[-2:]
    of_channel = np.repeat(np.arange(conv.groups), channels // conv.groups)
    return kernel * scale.reshape(conv.groups, filters)[of_channel].T


def with_norm_before(conv: Convolution, norm: Any) -> Convolution:
    """Return a convolution that normalises its inputs itself."""
    scale, shift = scale_and_shift(norm)
    kernel, taps = conv.kernel, tuple(range(conv.rank))
    if conv.kind in ("depthwise", "separable"):
        added = (kernel.sum(axis=taps) * shift[:, None]).reshape(-1)
        if conv.pointwise is not None:
            added = added @ conv.pointwise
        kernel = kernel * scale[:, None]
    else:
        depth, filters = kernel.shape[-2:]
        # Filter f reads the channels of the group that it lies in.
        of_filter = np.repeat(np.arange(conv.groups), filters // conv.groups)
        shifts = shift.reshape(conv.groups, depth)[of_filter].T
        added = (kernel.sum(axis=taps) * shifts).sum(axis=0)
        kernel = kernel * scale.reshape(conv.groups, depth)[of_filter].T
    bias = added if conv.bias is None else conv.bias + added
    return conv.but(kernel=kernel, bias=bias, lines=())

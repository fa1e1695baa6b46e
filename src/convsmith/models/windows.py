"""The patterns that layers compute: Keras's as `convsmith.ops` writes them, ours as they say."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import engine, ops
from convsmith.layers.pattern import PatternConv
from convsmith.layers.windowed import Windowed
from convsmith.models import counting
from convsmith.models.calls import Step
from convsmith.ops.arguments import axis_texts, data_text, edge_arguments, spatial_names
from convsmith.planner import Plan

_layers: Any = keras.layers
_MAXIMA = (_layers.MaxPooling1D, _layers.MaxPooling2D, _layers.MaxPooling3D)
_AVERAGES = (_layers.AveragePooling1D, _layers.AveragePooling2D, _layers.AveragePooling3D)
POOLING = (*_MAXIMA, *_AVERAGES)
OURS = (Windowed, PatternConv)


def calls(step: Step) -> list[Any]:
    """Return the calls of `convsmith.conv` that compute a step, for a batch of 1 where it's open.

    Layers of convsmith say themselves what they call; Keras's convolutions and poolings become the
    pattern of the same result; all other layers have none. Each call gives its plan in a mode.
    """
    layer, shapes = step.operation, [(s[0] or 1, *s[1:]) for s in step.input_shapes if s]
    if isinstance(layer, OURS):
        try:
            return counting.recorded_calls(layer, shapes)
        except Exception:  # An operation of the user's own, which doesn't take symbolic tensors.
            return []
    with engine.recording() as found:
        if isinstance(layer, engine.PatternOperation):
            tensors = dict(zip(map(id, step.inputs), map(keras.KerasTensor, shapes), strict=True))
            layer.compute_output_spec(*(tensors.get(id(x), x) for x in step.args))
        elif isinstance(layer, POOLING):
            _pool(layer, keras.KerasTensor(shapes[0]))
        elif shapes:
            _convolve(layer, keras.KerasTensor(shapes[0]))
    return list(found)


def default_mode() -> str:
    """Return the mode in which `fit` and `predict` run a model unless told otherwise."""
    return {"tensorflow": "graph", "jax": "jit"}.get(keras.backend.backend(), "eager")


def xla_mode() -> str | None:
    """Return the mode that is compiled by XLA; PyTorch has none."""
    return {"tensorflow": "xla", "jax": "jit"}.get(keras.backend.backend())


def is_own(step: Step) -> bool:
    """Whether convsmith computes a step, so that its planner chooses how."""
    return isinstance(step.operation, (*OURS, engine.PatternOperation))


def native_microseconds(plan: Plan) -> float | None:
    """Return what the backend's own convolution is thought to take, None where it can't."""
    times = [
        next((c.microseconds for c in s.choices if c.lowering == "native" and c.ok), None)
        for s in plan.steps
        if s.step.input_windows or s.step.output_windows
    ]
    return None if not times or None in times else sum(t or 0.0 for t in times)


def _convolve(layer: Any, x: Any) -> None:
    """Make the call that one of Keras's convolutions stands for; nothing for other layers."""
    kinds = (
        *counting.CONVOLUTIONS,
        *counting.DEPTHWISE,
        *counting.SEPARABLE,
        *counting.TRANSPOSED,
    )
    if not isinstance(layer, kinds):
        return
    channels = x.shape[-1 if layer.data_format == "channels_last" else 1]
    size = tuple(layer.kernel_size)
    common: dict[str, Any] = {
        "strides": layer.strides,
        "padding": layer.padding,
        "data_format": layer.data_format,
        "dilation_rate": layer.dilation_rate,
    }
    if isinstance(layer, counting.TRANSPOSED):
        kernel = keras.KerasTensor((*size, layer.filters, channels))
        ops.conv_transpose(x, kernel, output_padding=layer.output_padding, **common)
    elif isinstance(layer, counting.DEPTHWISE):
        kernel = keras.KerasTensor((*size, channels, layer.depth_multiplier))
        ops.depthwise_conv(x, kernel, **common)
    elif isinstance(layer, counting.SEPARABLE):
        inner = channels * layer.depth_multiplier
        depthwise = keras.KerasTensor((*size, channels, layer.depth_multiplier))
        pointwise = keras.KerasTensor((*[1] * len(size), inner, layer.filters))
        ops.separable_conv(x, depthwise, pointwise, **common)
    else:
        kernel = keras.KerasTensor((*size, channels // layer.groups, layer.filters))
        ops.conv(x, kernel, groups=layer.groups, **common)


def _pool(layer: Any, x: Any) -> None:
    """Make the call that sums, or takes the largest, where a layer pools."""
    sizes = layer.pool_size if isinstance(layer.pool_size, tuple) else (layer.pool_size,)
    strides = layer.strides if isinstance(layer.strides, tuple) else (layer.strides,)
    rank = len(sizes)
    last = layer.data_format == "channels_last"
    windows, _, positions = axis_texts(rank, strides, (1,) * rank)
    pattern = f"{data_text(windows, 'c', last)} -> {data_text(positions, 'c', last)}"
    engine.conv(
        pattern,
        x,
        semiring="max_plus" if isinstance(layer, _MAXIMA) else "sum_product",
        **edge_arguments(rank, layer.padding, "constant", None),
        **{f"k{n}": size for n, size in zip(spatial_names(rank), sizes, strict=True)},
    )

"""What every layer must do, in one call; and the parts that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from convsmith.errors import ArgumentError, compose
from convsmith.testing.case import (
    Array,
    Axes,
    Axis,
    LayerCase,
    Reference,
    Shape,
    as_numpy,
    assert_close,
)
from convsmith.testing.checks import CHECKS, assert_same_arguments, check_reference
from convsmith.testing.processes import OTHER_BACKENDS, RELOAD, check_backends, check_reload
from convsmith.testing.promises import promise

__all__ = [
    "CHECKS",
    "Array",
    "LayerCase",
    "Reference",
    "as_numpy",
    "assert_close",
    "check_backends",
    "check_layer",
    "check_reference",
    "check_reload",
]


def check_layer(
    layer: type[Any] | keras.layers.Layer | Callable[[], Any],
    input_shape: Shape | list[Shape],
    *,
    init_kwargs: Mapping[str, Any] | None = None,
    reference: Reference | None = None,
    channel_axis: Axis | list[Axis] = -1,
    spatial_axes: Axes | list[Axes] = None,
    state: Sequence[str] = (),
    tolerance: Mapping[str, float] | None = None,
    modules: Sequence[str] | None = None,
    backends: Sequence[str] | None = None,
    skip: Sequence[str] = (),
) -> dict[str, str]:
    """Assert that a layer does what every layer must, on the backend in use and on the others.

    The promises, by the names that failures begin with:

    - "config round trip": a layer made from the config is the same.
    - "declared shape": ``compute_output_shape`` is the real one.
    - "values": the reference's, if there is one.
    - "eager = compiled": in TensorFlow's graphs, XLA, ``jit``, PyTorch's tracer.
    - "unknown sizes": of batch and space, in a functional model.
    - "empty batch": no samples give no outputs.
    - "data formats": both compute the same.
    - "half precision": float16 and bfloat16, mixed and pure; finite, and near.
    - "float64": precise to that.
    - "fit step": moves exactly the trainable weights.
    - "gradients": the reference's, or else the layer's own finite differences.
    - "reload": in a fresh process.
    - "other backends": load the file and compute the same.

    Args:
        layer: a layer's class; or a layer, of which copies are made by its config; or a function
            without arguments that returns a new layer each time.
        input_shape: with batch axis, all sizes known; for a layer of several inputs a list of
            shapes. `channel_axis` and `spatial_axes` may then be lists too.
        init_kwargs: the constructor's arguments, for a class.
        reference: takes inputs and ``layer.get_weights()`` in float64, returns the outputs.
        channel_axis: where the channels are with ``data_format="channels_last"``; None if there
            are none.
        spatial_axes: the axes whose size may be unknown; None for all but batch and channels.
        state: how the paths end of weights that aren't trainable and may still move in training,
            such as running means.
        tolerance: of values, relative to the largest one, by the dtype computed in; for dtypes
            that aren't named 1e-10, 2e-5, 2e-2 and 1e-1 (float64, float32, float16, bfloat16).
        modules: those that register the layer, imported by a fresh process before it loads; by
            default the one that defines it.
        backends: the other backends' names; by default those that are installed.
        skip: promises that don't apply.

    Returns:
        What was left out, with the reason.

    Raises:
        AssertionError: the layer breaks a promise; the message begins with its name.
        ArgumentError: an argument that no layer could make right.

    Example:
        >>> left_out = check_layer(keras.layers.Dense(3), (2, 4), skip=["reload", "other backends"])
        >>> left_out["data formats"]
        'the layer has no data_format, or no channels'

    Source: the idea of one contract for all layers is from Keras's own tests.
    """
    _check_names(skip)
    _check_shapes(input_shape)
    case = _case(
        layer,
        init_kwargs,
        input_shape=input_shape,
        reference=reference,
        channel_axis=channel_axis,
        spatial_axes=spatial_axes,
        state=state,
        tolerance=tolerance or {},
    )
    checks: dict[str, Callable[[LayerCase], str | None]] = {
        **CHECKS,
        RELOAD: lambda case: check_reload([case], modules=modules),
        OTHER_BACKENDS: lambda case: check_backends([case], backends=backends, modules=modules),
    }
    left_out: dict[str, str] = {}
    for name, check in checks.items():
        reason = "skipped" if name in skip else check(case)
        if reason is not None:
            left_out[name] = reason
    return left_out


def _case(
    layer: type[Any] | keras.layers.Layer | Callable[[], Any],
    init_kwargs: Mapping[str, Any] | None,
    **options: Any,
) -> LayerCase:
    """Return the case for a class, a layer or a function that makes one."""
    if isinstance(layer, type) and issubclass(layer, keras.layers.Layer):
        return LayerCase(layer, init_kwargs or {}, **options)
    if init_kwargs is not None:
        raise ArgumentError(
            compose(
                f"check_layer: init_kwargs={init_kwargs}",
                "are for a layer's class",
                expected="None for a layer or a function",
                received=f"{layer!r}",
                fix="the class, or the arguments in the function",
            ),
            argument="init_kwargs",
            value=init_kwargs,
        )
    if isinstance(layer, keras.layers.Layer):
        given: Any = layer

        def copy() -> Any:
            with promise("config round trip"):
                return given.from_config(given.get_config())

        with promise("config round trip"):
            assert_same_arguments(given, copy())
        return LayerCase(type(given), {}, factory=copy, **options)
    made: Any = layer() if callable(layer) else None
    if not isinstance(made, keras.layers.Layer) or made is layer():
        raise ArgumentError(
            compose(
                f"check_layer: layer={layer!r}",
                "makes no new layers",
                expected="a layer's class, a layer, or a function that returns a new layer",
                fix="check_layer(lambda: MyLayer(3), input_shape)",
            ),
            argument="layer",
            value=layer,
        )
    return LayerCase(type(made), {}, factory=layer, **options)


def _check_names(skip: Sequence[str]) -> None:
    names = (*CHECKS, RELOAD, OTHER_BACKENDS)
    for name in skip:
        if name not in names:
            raise ArgumentError(
                compose(
                    f"check_layer: skip={list(skip)}",
                    f"{name!r} is no promise",
                    expected=f"some of {', '.join(map(repr, names))}",
                    fix=f"skip=[{names[0]!r}]",
                ),
                argument="skip",
                value=skip,
            )


def _check_shapes(input_shape: Any) -> None:
    for shape in input_shape if isinstance(input_shape, list) else [input_shape]:
        sizes_known = isinstance(shape, tuple) and all(isinstance(size, int) for size in shape)
        if not sizes_known or not shape:
            raise ArgumentError(
                compose(
                    f"check_layer: input_shape={input_shape}",
                    "isn't a shape with known sizes",
                    expected="a tuple of integers with the batch, or a list of them",
                    fix="input_shape=(2, 8, 8, 3); unknown sizes are tried anyway",
                ),
                argument="input_shape",
                value=input_shape,
            )

"""The checks within this process: each takes a `LayerCase` and asserts one promise.

A check returns None, or why it left something out.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import keras
import numpy as np

from convsmith.testing.autodiff import compiled, holds_float64
from convsmith.testing.case import LayerCase, as_numpy, assert_close, build, shapes_of
from convsmith.testing.promises import promise
from convsmith.testing.slopes import assert_gradients

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Check = Callable[[LayerCase], str | None]

CHECKS: dict[str, Check] = {}
"""All checks within this process, by the promise that they assert."""


def check(name: str) -> Callable[[Check], Check]:
    """Enter a check into `CHECKS`, and let its failures begin with its name."""

    def enter(function: Check) -> Check:
        @wraps(function)
        def held(case: LayerCase) -> str | None:
            with promise(name):
                return function(case)

        CHECKS[name] = held
        return held

    return enter


@check("config round trip")
def check_config(case: LayerCase) -> None:
    """The config is JSON, and a layer made from it has the same config, arguments and outputs."""
    layer = case.make()
    config = layer.get_config()
    again = layer.from_config(config)
    assert again.get_config() == config, "from_config(get_config()) has another config"
    assert_same_arguments(layer, again)
    layer = case.built()
    config = layer.get_config()
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    # Whether a fresh process finds the class is another promise.
    known = {type(layer).__name__: type(layer)}
    loaded = keras.saving.deserialize_keras_object(written, custom_objects=known)
    assert type(loaded) is type(layer), f"deserialised as {type(loaded)}"
    # Through JSON, where tuples become lists that Keras marks.
    assert json.dumps(loaded.get_config()) == json.dumps(config), "the saved config differs"
    inputs, expected = case.inputs(), as_numpy(layer(case.inputs()))
    for copy in (again, loaded):
        build(copy, inputs)
        copy.set_weights(layer.get_weights())
        assert_close(as_numpy(copy(inputs)), expected, 1e-6, "outputs of the copy")


def assert_same_arguments(layer: Any, copy: Any) -> None:
    """Assert that a copy made from the config has the constructor's arguments as attributes."""

    def told(value: Any) -> str:
        return json.dumps(value, default=lambda x: type(x).__qualname__, skipkeys=True)

    constructors = [vars(c)["__init__"] for c in type(layer).__mro__ if "__init__" in vars(c)]
    arguments = {name for c in constructors for name in inspect.signature(c).parameters}
    for name in sorted(arguments & vars(layer).keys()):
        value, there = vars(layer)[name], getattr(copy, name, None)
        # A weight is there once the layer is built.
        if not isinstance(value, keras.Variable):
            message = f"{name}={value!r} became {there!r} in from_config(get_config())"
            assert told(there) == told(value), message


@check("declared shape")
def check_shapes(case: LayerCase) -> None:
    """The declared output shape is the real one."""
    layer = case.built()
    real = tuple(layer(case.inputs()).shape)
    declared = case.declared(layer, case.input_shape)
    assert declared == real, f"declared {declared}, real {real}"


@check("values")
def check_values(case: LayerCase) -> str | None:
    """Outputs are the reference's."""
    if case.reference is None:
        return "no reference"
    layer = case.built()
    weights = [w.astype("float64") for w in layer.get_weights()]
    expected = case.reference(case.inputs("float64"), weights)
    assert_close(as_numpy(layer(case.inputs())), expected, case.within("float32"), "outputs")
    return None


@check("eager = compiled")
def check_compiled(case: LayerCase) -> None:
    """Compiled, by each way that the backend has, the layer computes what it does eagerly."""
    layer = case.built()
    inputs = case.pack([ops.convert_to_tensor(x) for x in case.each(case.inputs())])
    expected = as_numpy(layer(inputs))
    ways = {"tensorflow": {"graph": False, "XLA": True}, "jax": {"jit": True}}
    for name, xla in ways.get(keras.backend.backend(), {"traced": True}).items():
        outputs = compiled(layer, xla=xla)(inputs)
        assert_close(as_numpy(outputs), expected, 2e-5, name)
    assert_close(as_numpy(layer(inputs)), expected, 1e-6, "eager once more")


@check("unknown sizes")
def check_symbolic(case: LayerCase) -> None:
    """With unknown sizes, shapes and functional models are right, for any batch."""
    layer = case.built()
    inputs = case.inputs()
    expected = as_numpy(layer(inputs))
    declared = case.declared(layer, case.unknown_shape())
    message = f"declared {declared} for inputs {case.unknown_shape()}, real {expected.shape}"
    assert len(declared) == expected.ndim, message
    assert declared[0] is None, message
    for said, size in zip(declared, expected.shape, strict=True):
        assert said in (None, size), message
    for shape in (case.unknown_shape(), case.input_shape):
        model = case.model(layer, shape)
        assert_close(as_numpy(model(inputs)), expected, 1e-5, f"model of {shape}")
        assert_close(model.predict(inputs, verbose=0), expected, 2e-5, f"predict of {shape}")
    twice = case.pack([np.concatenate([x, x]) for x in case.each(inputs)])
    assert_close(as_numpy(layer(twice)), np.concatenate([expected] * 2), 1e-5, "twice the batch")


@check("empty batch")
def check_empty_batch(case: LayerCase) -> None:
    """No samples give no outputs, of the right shape."""
    layer = case.built()
    real = tuple(layer(case.inputs()).shape)
    empty = layer(case.pack([x[:0] for x in case.each(case.inputs())]))
    assert tuple(empty.shape) == (0, *real[1:]), f"{tuple(empty.shape)} instead of {(0, *real[1:])}"


@check("data formats")
def check_data_formats(case: LayerCase) -> str | None:
    """In the other data format, moved inputs give moved outputs of the same values."""
    given = case.data_format
    axes = case.each(case.channel_axis)
    if given is None or axes == [None] * len(axes):
        return "the layer has no data_format, or no channels"
    # The axis of the channels here, and in the other format.
    places = {"channels_last": (-1, 1), "channels_first": (1, -1)}
    other = "channels_first" if given == "channels_last" else "channels_last"
    layer, twin = case.built(), case.make(data_format=other)
    moved = case.pack(
        [
            x if axis is None else np.moveaxis(x, *places[given])
            for x, axis in zip(case.each(case.inputs()), axes, strict=True)
        ]
    )
    build(twin, moved)
    twin.set_weights(layer.get_weights())
    expected = np.moveaxis(as_numpy(layer(case.inputs())), *places[given])
    assert_close(as_numpy(twin(moved)), expected, 2e-5, other)
    declared = case.declared(twin, shapes_of(moved))
    assert declared == expected.shape, f"{other}: declared {declared}, real {expected.shape}"
    return None


@check("half precision")
def check_halves(case: LayerCase) -> None:
    """Under each policy of half precision dtypes are the policy's, and values finite and near."""
    for half in ("float16", "bfloat16"):
        for policy in (f"mixed_{half}", half):
            assert_policy(case, policy, half)


@check("float64")
def check_float64(case: LayerCase) -> str | None:
    """Under the policy float64 dtypes are float64, and values are precise to that."""
    if not holds_float64():
        return "JAX has float64 after jax.config.update('jax_enable_x64', True) only"
    assert_policy(case, "float64", "float64" if case.reference is not None else "float32")
    return None


def assert_policy(case: LayerCase, policy: str, precision: str) -> None:
    """Assert that a layer follows a dtype policy, and that its values are precise."""
    layer = case.built(dtype=policy)
    outputs = layer(case.inputs("float64" if policy == "float64" else "float32"))
    given = keras.backend.standardize_dtype(outputs.dtype)
    assert given == layer.compute_dtype, f"output is {given} under {policy}"
    for variable in layer.weights if policy.startswith("mixed") else layer.trainable_weights:
        right = variable.dtype == layer.variable_dtype or "float" not in variable.dtype
        # A layer inside may say that it needs more than half precision.
        inside = variable.path.rsplit("/", 1)[0].rsplit("/", 1)[-1] != layer.name
        right = right or (inside and variable.dtype == "float32")
        assert right, f"{variable.path} is {variable.dtype} under {policy}"
    weights = [w.astype("float64") for w in layer.get_weights()]
    if case.reference is not None:
        expected = case.reference(case.inputs("float64"), weights)
    else:
        exact = case.make(dtype="float32")
        build(exact, case.inputs())
        exact.set_weights(weights)
        expected = as_numpy(exact(case.inputs()))
    assert_close(as_numpy(outputs), expected, case.within(precision), policy)


@check("fit step")
def check_training(case: LayerCase) -> None:
    """A step moves every trainable weight of the layer and of those before it, no others."""
    # JAX always compiles; PyTorch's compiler takes minutes.
    ways = {"jax": (True,), "torch": (False,)}.get(keras.backend.backend(), (False, True))
    for compile_step in ways:
        layer = case.built()
        shapes = case.each(case.input_shape)
        symbolic = [keras.Input(shape[1:]) for shape in shapes]
        # Without a bias: behind it, a filter whose taps add up to 0 leaves only rounding.
        earlier = [
            keras.layers.Dense(shape[-1], use_bias=False, kernel_initializer="identity")
            for shape in shapes
        ]
        before_it = [dense(x) for dense, x in zip(earlier, symbolic, strict=True)]
        model: Any = keras.Model(case.pack(symbolic), layer(case.pack(before_it)))
        model.compile("sgd", "mse", jit_compile=compile_step)
        target = np.ones(case.declared(layer, case.input_shape), "float32")
        old = {id(v): as_numpy(v.value).copy() for v in model.weights}
        with warnings.catch_warnings():
            # Keras only warns where a weight has no gradient; below that is an error.
            warnings.simplefilter("ignore", UserWarning)
            # Unlike train_on_batch, fit hides the batch's size from a graph.
            loss = model.fit(case.inputs(), target, verbose=0).history["loss"][-1]
        assert np.isfinite(loss), f"loss {loss}"
        trainable = {id(v) for v in model.trainable_weights}
        for variable in model.weights:
            new = as_numpy(variable.value)
            assert np.isfinite(new).all(), f"{variable.path} isn't finite"
            moved = bool((new != old[id(variable)]).any())
            if id(variable) in trainable:
                assert moved, f"{variable.path} never moved, jit_compile={compile_step}"
            elif not any(variable.path.endswith(name) for name in case.state):
                assert not moved, f"{variable.path} moved, and is neither trainable nor in state"


@check("gradients")
def check_gradients(case: LayerCase) -> None:
    """Gradients for all inputs and trainable weights are the slopes of the values."""
    assert_gradients(case)


def check_reference(case: LayerCase) -> None:
    """Values and gradients are the reference's."""
    check_values(case)
    check_gradients(case)

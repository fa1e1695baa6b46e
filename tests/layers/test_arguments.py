"""Every argument reaches what it is for, and comes back from the config."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import layers
from convsmith.testing.contract import as_numpy, assert_close
from layer_kinds import random

SHAPE = (2, 6, 7, 4)
FIRST = (2, 4, 6, 7)
SOFT = {"regularizer": "l1", "constraint": "non_neg", "initializer": "ones"}
EDGES: dict[str, Any] = {
    "strides": (2, 1),
    "padding": "full",
    "dilation_rate": (1, 2),
    "data_format": "channels_first",
    "activation": "tanh",
}
FILL = {"padding_value": 1.5}
DENSE: dict[str, Any] = {"filters": 4, "kernel_size": (2, 3), **EDGES}
PATTERN = {"pattern": "b (h+kh) (w+kw) i, kh kw i o -> b h w o", "sizes": {"kh": 2, "kw": 3}}


def of(*weights: str) -> dict[str, str]:
    """Return a regularizer, a constraint and an initialiser for each of these weights."""
    return {f"{w}_{part}": value for w in weights for part, value in SOFT.items()}


ALL: dict[str, dict[str, Any]] = {
    "Conv2D": {
        **DENSE,
        **FILL,
        **of("kernel", "bias"),
        "groups": 2,
        "kernel_transform": "unit_sum",
    },
    "DepthwiseConv2D": {
        **{k: v for k, v in DENSE.items() if k != "filters"},
        **FILL,
        **of("depthwise", "bias"),
        "depth_multiplier": 2,
        "kernel_transform": "unit_sum",
    },
    "SeparableConv2D": {
        **DENSE,
        **FILL,
        **of("depthwise", "pointwise", "bias"),
        "depth_multiplier": 2,
        "depthwise_transform": "unit_sum",
        "pointwise_transform": "unit_norm",
    },
    "Conv2DTranspose": {
        **DENSE,
        **of("kernel", "bias"),
        "padding_mode": "wrap",
        "groups": 2,
        "output_padding": (1, 0),
        "kernel_transform": "unit_sum",
    },
    "LocallyConnected2D": {
        **DENSE,
        **FILL,
        **of("kernel", "bias"),
        "groups": 2,
        "activity_regularizer": "l2",
    },
    "MaskedConv2D": {
        **DENSE,
        **FILL,
        **of("kernel", "bias"),
        "kernel_size": 3,
        "mask": "A",
        "mask_groups": 2,
        "kernel_transform": "unit_sum",
    },
    "CentralDifferenceConv2D": {
        **DENSE,
        **FILL,
        **of("kernel", "bias"),
        "kernel_size": 3,
        "theta": 0.25,
        "kernel_transform": "unit_sum",
    },
    "DynamicConv2D": {**EDGES, **FILL, **of("bias"), "groups": 2, "use_bias": True},
    "PatternConv": {
        **PATTERN,
        **FILL,
        **of("bias"),
        **{f"kernel_{part}": {"taps": value} for part, value in SOFT.items()},
        "sizes": {"kh": 2, "kw": 3, "o": 4},
        "names": ["taps"],
        "bias": "o",
        "activation": "tanh",
        "padding": "full",
    },
}
KERNEL = (2, 3, 2, 4)


def shapes(name: str) -> Any:
    shape = SHAPE if name == "PatternConv" else FIRST
    return [shape, KERNEL] if name == "DynamicConv2D" else shape


def inputs(name: str) -> Any:
    shape = shapes(name)
    return [random(s) for s in shape] if isinstance(shape, list) else random(shape)


@pytest.mark.parametrize("name", ALL)
def test_every_argument_comes_back_from_the_config(name: str) -> None:
    given = ALL[name]
    needed = ("filters", "kernel_size", "pattern", "sizes", "names")
    plain = getattr(layers, name)(**{k: v for k, v in given.items() if k in needed})
    layer = getattr(layers, name)(**given)
    layer.build(shapes(name))
    config, default = layer.get_config(), plain.get_config()
    for argument in given:
        assert argument in config, argument
        assert argument in needed or config[argument] != default[argument], argument
    again = type(layer).from_config(json.loads(json.dumps(config)))
    again.build(shapes(name))
    for weight in layer.weights:
        weight.assign(random(tuple(weight.shape), 2))
    again.set_weights(layer.get_weights())
    x = inputs(name)
    assert_close(as_numpy(again(x)), as_numpy(layer(x)), 1e-6, "outputs")
    assert json.dumps(again.get_config()) == json.dumps(config)


@pytest.mark.parametrize("name", ALL)
def test_regularizers_constraints_and_initialisers_reach_their_weights(name: str) -> None:
    layer = getattr(layers, name)(**ALL[name])
    layer.build(shapes(name))
    assert layer.weights
    for weight in layer.weights:
        assert isinstance(weight.regularizer, keras.regularizers.L1), weight.name
        assert isinstance(weight.constraint, keras.constraints.NonNeg), weight.name
        np.testing.assert_array_equal(as_numpy(weight), 1)
    layer(inputs(name))
    activity = 1 if "activity_regularizer" in ALL[name] else 0
    assert len(layer.losses) == len(layer.weights) + activity


@pytest.mark.parametrize("name", ALL)
def test_the_activation_comes_last(name: str) -> None:
    layer = getattr(layers, name)(**ALL[name])
    linear = getattr(layers, name)(**{**ALL[name], "activation": None})
    layer.build(shapes(name))
    linear.build(shapes(name))
    weights = [random(w.shape, 3 + i) for i, w in enumerate(linear.get_weights())]
    layer.set_weights(weights)
    linear.set_weights(weights)
    x = inputs(name)
    assert_close(as_numpy(layer(x)), np.tanh(as_numpy(linear(x))), 1e-5, "outputs")


@pytest.mark.parametrize("name", ALL)
def test_symbolic_outputs_have_the_dtype_of_real_ones(name: str) -> None:
    layer = getattr(layers, name)(**ALL[name], dtype="mixed_bfloat16")
    symbolic = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype), inputs(name)
    )
    real, outputs = layer(inputs(name)), layer(symbolic)
    assert outputs.dtype == keras.backend.standardize_dtype(real.dtype) == "bfloat16"
    assert outputs.shape == tuple(real.shape)


def test_depthwise_and_its_multiplier_come_back() -> None:
    layer = layers.DynamicConv2D(depthwise=True, use_bias=True, bias_initializer="ones")
    x = [random((2, 6, 7, 4)), random((2, 3, 3, 4, 2), 1)]
    outputs = as_numpy(layer(x))
    again = layers.DynamicConv2D.from_config(layer.get_config())
    assert_close(as_numpy(again(x)), outputs, 0.0, "outputs")
    assert tuple(layer.bias.shape) == (8,)


def test_a_pattern_of_another_semiring_comes_back() -> None:
    pattern = "b (h+kh) (w+kw) c, kh kw c -> b h w c"
    options: dict[str, Any] = {"semiring": "max_plus", "padding": "same", "padding_value": 0.5}
    layer = layers.PatternConv(pattern, kh=3, kw=3, **options)
    x = random(SHAPE)
    outputs = as_numpy(layer(x))
    expected = cs.conv(pattern, x, as_numpy(layer.kernel), **options)
    assert_close(outputs, as_numpy(expected), 1e-6, "values")
    again = layers.PatternConv.from_config(layer.get_config())
    again.build(SHAPE)
    again.set_weights(layer.get_weights())
    assert_close(as_numpy(again(x)), outputs, 1e-6, "outputs")


def test_a_pattern_of_two_inputs_comes_back() -> None:
    pattern = "b (h+kh) c, b h kh, c o -> b h o"
    layer = layers.PatternConv(pattern, inputs=2, o=3)
    x = [random((2, 6, 4)), random((2, 4, 3), 1)]
    outputs = as_numpy(layer(x))
    again = layers.PatternConv.from_config(layer.get_config())
    again.build([one.shape for one in x])
    again.set_weights(layer.get_weights())
    assert_close(as_numpy(again(x)), outputs, 1e-6, "outputs")

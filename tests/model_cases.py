"""Small models for the tests of whole models, with weights at random, statistics included."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from convsmith.models.graph import input_tensors
from engine_runs import as_numpy

layers: Any = keras.layers
SIZE = 12


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(model: Any, seed: int = 1) -> Any:
    """The model, its outputs of about the scale of its inputs, none of its weights at a default."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" in str(weight.dtype):  # how many samples a statistic is of
            continue
        shape = tuple(weight.shape)
        values = 0.1 * rng.normal(size=shape)
        if "kernel" in weight.name:
            values = rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[:-1])))
        elif weight.name in ("moving_variance", "variance"):
            values = rng.uniform(0.5, 1.5, shape)
        elif weight.name == "gamma":
            values += 1.0
        weight.assign(values.astype("float32"))
    return model


def encoder() -> Any:
    """A strided convolution with batch norm and activation, and a depthwise one."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="down")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    return keras.Model(inputs, x, name="encoder")


def two_streams() -> Any:
    """Two inputs, two outputs, a nested model and a layer that both streams share, plain ops."""
    first = keras.Input((SIZE, SIZE, 3), name="first")
    second = keras.Input((SIZE, SIZE, 3), name="second")
    shared = layers.Conv2D(6, 3, activation="relu", name="shared")
    part = encoder()
    x = keras.ops.concatenate([shared(part(first)), shared(part(second))], axis=-1)
    x = 2.0 * layers.Conv2D(16, 3, padding="same", name="body")(x)
    x = x[:, 1:]
    pooled = layers.GlobalAveragePooling2D(name="pooled")(x)
    made = {"map": x, "classes": layers.Dense(3, name="head")(pooled)}
    return randomized(keras.Model({"first": first, "second": second}, made, name="two_streams"))


def sequential() -> Any:
    """A Sequential model with a Sequential model in it."""
    body = keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same", name="inner"),
            layers.LeakyReLU(name="leaky"),
            layers.SeparableConv2D(5, 3, name="separable"),
        ],
        name="body",
    )
    return randomized(
        keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 3)),
                layers.Conv2D(4, 3, name="stem"),
                layers.Dropout(0.5, name="dropout"),
                body,
                layers.Conv2DTranspose(2, 3, strides=2, name="up"),
            ],
            name="chain",
        )
    )


def inputs_for(model: Any, batch: int = 2) -> Any:
    """Inputs as the model takes them."""
    counter = iter(range(100))
    return keras.tree.map_structure(
        lambda t: data(batch, *t.shape[1:], seed=next(counter)), input_tensors(model)
    )


def outputs(model: Any, x: Any = None) -> list[Any]:
    x = inputs_for(model) if x is None else x
    return [as_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def assert_equal_outputs(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    """Assert equality to a share of the output's scale, which isn't nothing."""
    for a, b in zip(outputs(one), outputs(other), strict=True):
        scale = np.abs(a).max()
        assert scale > 1e-3
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def differ(one: Any, other: Any) -> bool:
    pairs = zip(outputs(one), outputs(other), strict=True)
    return any(np.abs(a - b).max() > 1e-2 * np.abs(a).max() for a, b in pairs)


def walk(model: Any, prefix: str = "") -> dict[str, Any]:
    """All layers by their paths."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        found[f"{prefix}{layer.name}"] = layer
        if hasattr(layer, "layers"):
            found.update(walk(layer, f"{prefix}{layer.name}/"))
    return found

"""Folding keeps what a layer or a model computes, and computes each kernel once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import UnsupportedError
from engine_runs import as_numpy


def data(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def train(layer: Any, x: Any) -> None:
    model = keras.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, np.ones((len(x), 1)), verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_layer(rank: int, dtype: str) -> None:
    x = data(2, *(6,) * rank, 4)
    layer = getattr(cs.layers, f"StandardizedConv{rank}D")(
        4, 3, padding="same", padding_mode="reflect", groups=2, activation="relu", dtype=dtype
    )
    train(layer, x)
    folded = cs.layers.fold(layer)
    assert type(folded) is getattr(cs.layers, f"Conv{rank}D")
    assert folded.kernel_transform is None
    np.testing.assert_array_equal(as_numpy(folded(x)), as_numpy(layer(x)))
    np.testing.assert_allclose(as_numpy(folded.kernel).mean((*range(rank), -2)), 0, atol=1e-6)


SHAPE = (2, 5, 5, 5, 4)
OF_EVERY_RANK: dict[str, dict[str, Any]] = {
    "DepthwiseConv{}D": {"depth_multiplier": 2, "kernel_transform": "standardize"},
    "SeparableConv{}D": {
        "filters": 3,
        "depth_multiplier": 2,
        "depthwise_transform": "zero_mean",
        "pointwise_transform": "unit_norm",
    },
    "Conv{}DTranspose": {
        "filters": 6,
        "groups": 2,
        "strides": 2,
        "kernel_transform": "standardize",
    },
}
KINDS: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    **{
        name.format(rank): (arguments, (*SHAPE[: rank + 1], 4), name.format(rank))
        for name, arguments in OF_EVERY_RANK.items()
        for rank in (1, 2, 3)
    },
    "ConvND": (
        {"rank": 4, "filters": 3, "kernel_transform": "unit_norm"},
        (1, 3, 4, 3, 4, 2),
        "ConvND",
    ),
    "MaskedConv2D": ({"filters": 3, "mask": "A", "padding": "same"}, (2, 5, 5, 4), "Conv2D"),
    "CentralDifferenceConv2D": ({"filters": 3, "theta": 0.5}, (2, 5, 5, 4), "Conv2D"),
}


def built(name: str) -> Any:
    """A layer of this kind with random weights, biases included."""
    arguments, shape, _ = KINDS[name]
    layer = getattr(cs.layers, name)(kernel_size=3, activation="tanh", **arguments)
    layer.build(shape)
    layer.set_weights([data(*w.shape) for w in layer.get_weights()])
    return layer


def transforms_of(layer: Any) -> set[Any]:
    return {str(v) for k, v in layer.get_config().items() if k.endswith("_transform")}


@pytest.mark.parametrize("name", KINDS)
def test_layers_of_every_kind(name: str) -> None:
    layer, x = built(name), data(*KINDS[name][1])
    folded = cs.layers.fold(layer)
    assert type(folded).__name__ == KINDS[name][2]
    assert transforms_of(layer) != {"None"} or type(layer) is not type(folded)
    assert transforms_of(folded) == {"None"}
    np.testing.assert_array_equal(as_numpy(folded(x)), as_numpy(layer(x)))
    # Nothing but the kernels is changed, so that a folded layer folds to itself.
    again = cs.layers.fold(folded)
    assert again.get_config() == folded.get_config()
    for one, other in zip(again.get_weights(), folded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("way", ["sequential", "functional"])
@pytest.mark.parametrize("name", ["DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"])
def test_models_with_layers_of_every_kind(name: str, way: str) -> None:
    layer, shape = built(name), KINDS[name][1]
    inputs = keras.Input(shape[1:])
    if way == "sequential":
        model: Any = keras.Sequential([inputs, layer, keras.layers.ReLU()])
    else:
        # Called twice: one folded layer for both calls.
        model = keras.Model(inputs, [layer(inputs), layer(keras.layers.ReLU()(inputs))])
    folded = cs.layers.fold(model)
    found = folded.get_layer(layer.name)
    assert type(found) is type(layer)
    assert transforms_of(found) == {"None"}
    assert len(folded.weights) == len(model.weights)
    x = data(*shape)
    results, expected = folded(x), model(x)
    if way == "sequential":
        results, expected = [results], [expected]
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(as_numpy(result), as_numpy(wanted), atol=1e-6)


def test_layers_without_a_transform_are_copied_as_they_are() -> None:
    inputs = keras.Input((8, 8, 3))
    y = cs.layers.FixedConv2D("sobel_x")(inputs)
    y = cs.layers.LocallyConnected2D(2, 3)(y)
    pattern = "b (h+kh) w i, kh i o -> b h w o"
    y = cs.layers.PatternConv(pattern, kh=2, o=3, bias="o", name="pattern")(y)
    model = keras.Model(inputs, cs.layers.StandardizedConv2D(2, 2, name="last")(y))
    folded = cs.layers.fold(model)
    x = data(2, 8, 8, 3)
    np.testing.assert_allclose(as_numpy(folded(x)), as_numpy(model(x)), atol=1e-6)
    assert folded.get_layer("pattern").get_config() == model.get_layer("pattern").get_config()
    assert type(folded.get_layer("last")) is cs.layers.Conv2D


def test_a_frozen_layer_stays_frozen_and_keeps_its_policy() -> None:
    layer = cs.layers.SeparableConv2D(
        3, 3, trainable=False, dtype="mixed_bfloat16", depthwise_transform="zero_mean"
    )
    layer.build((2, 5, 5, 4))
    folded = cs.layers.fold(layer)
    assert folded.trainable_weights == []
    assert folded.compute_dtype == "bfloat16"


def test_training_on_leaves_the_copy_as_it_was() -> None:
    x = data(4, 6, 6, 3)
    layer = cs.layers.StandardizedConv2D(4, 3)
    train(layer, x)
    folded = cs.layers.fold(layer)
    before = as_numpy(folded(x))
    train(layer, x)
    assert not np.array_equal(as_numpy(layer(x)), before)
    np.testing.assert_array_equal(as_numpy(folded(x)), before)
    np.testing.assert_array_equal(as_numpy(cs.layers.fold(layer)(x)), as_numpy(layer(x)))


def test_lora_is_folded_too() -> None:
    x = data(2, 6, 6, 3)
    layer = cs.layers.StandardizedConv2D(4, 3)
    layer(x)
    layer.enable_lora(2)
    train(layer, x)
    folded = cs.layers.fold(layer)
    assert len(folded.weights) == 2
    np.testing.assert_allclose(as_numpy(folded(x)), as_numpy(layer(x)), atol=1e-6)


def test_nested_models_with_other_layers(tmp_path: Any) -> None:
    x = data(4, 8, 8, 3)
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), cs.layers.StandardizedConv2D(4, 3), keras.layers.ReLU()]
    )
    inputs = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization()(inner(inputs))
    y = cs.layers.Conv2D(2, 3, kernel_transform="standardize", name="last")(y)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(y))
    model.compile("adam", "mse")
    model.fit(x, np.ones((4, 2)), verbose=0)
    folded = cs.layers.fold(model)
    np.testing.assert_allclose(as_numpy(folded(x)), as_numpy(model(x)), atol=1e-6)
    assert folded.get_layer("last").kernel_transform is None
    folded.save(tmp_path / "folded.keras")
    again = keras.models.load_model(tmp_path / "folded.keras")
    np.testing.assert_array_equal(as_numpy(again(x)), as_numpy(folded(x)))


class Doubled(cs.layers.Conv2D):
    @property
    def effective_kernel(self) -> Any:
        return 2 * keras.ops.convert_to_tensor(self.kernel)


class Shouting(cs.layers.Conv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return 2 * self.convolve(inputs, kernel)


def test_a_kernel_of_ones_own_is_folded_but_not_an_operation_of_ones_own() -> None:
    x = data(2, 6, 6, 3)
    layer = Doubled(4, 3)
    layer(x)
    np.testing.assert_array_equal(as_numpy(cs.layers.fold(layer)(x)), as_numpy(layer(x)))
    other = Shouting(4, 3)
    with pytest.raises(UnsupportedError, match="has no weights yet|overrides 'convolution_op'"):
        cs.layers.fold(other)
    with pytest.raises(UnsupportedError, match="has no weights yet"):
        cs.layers.fold(cs.layers.StandardizedConv2D(4, 3))
    for unknown in (keras.layers.Dense(2), cs.layers.FixedConv2D("box"), "Conv2D"):
        with pytest.raises(UnsupportedError, match="has no kernel that a transform computes"):
            cs.layers.fold(unknown)


class LoudDepthwise(cs.layers.DepthwiseConv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return 2 * self.convolve(inputs, kernel)


class LoudSeparable(cs.layers.SeparableConv2D):
    def call(self, inputs: Any, **arguments: Any) -> Any:
        return 2 * super().call(inputs, **arguments)


class LoudTransposed(cs.layers.Conv2DTranspose):
    def convolve(self, inputs: Any, kernel: Any) -> Any:
        return 2 * super().convolve(inputs, kernel)


@pytest.mark.parametrize(
    ("layer_class", "method"),
    [(LoudDepthwise, "convolution_op"), (LoudSeparable, "call"), (LoudTransposed, "convolve")],
)
def test_an_operation_of_ones_own_is_refused_alone_and_copied_in_a_model(
    layer_class: Any, method: str
) -> None:
    arguments = {} if layer_class is LoudDepthwise else {"filters": 3}
    layer, x = layer_class(kernel_size=3, **arguments), data(2, 6, 6, 4)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    with pytest.raises(UnsupportedError, match=f"overrides '{method}'"):
        cs.layers.fold(layer)
    folded = cs.layers.fold(model)
    assert type(folded.layers[-1]) is layer_class
    np.testing.assert_array_equal(as_numpy(folded(x)), as_numpy(model(x)))


class Halved(cs.layers.SeparableConv2D):
    """Two kernels of one's own."""

    @property
    def effective_depthwise_kernel(self) -> Any:
        return super().effective_depthwise_kernel / 2

    @property
    def effective_pointwise_kernel(self) -> Any:
        return super().effective_pointwise_kernel / 4


def test_kernels_of_ones_own_in_a_separable_layer() -> None:
    layer, x = Halved(3, 3, pointwise_transform="unit_norm"), data(2, 6, 6, 4)
    outputs = as_numpy(layer(x))
    folded = cs.layers.fold(layer)
    assert type(folded) is cs.layers.SeparableConv2D
    np.testing.assert_allclose(as_numpy(folded(x)), outputs, atol=1e-6)

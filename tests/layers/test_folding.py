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
    with pytest.raises(UnsupportedError, match="is no convolution of convsmith"):
        cs.layers.fold(keras.layers.Dense(2))

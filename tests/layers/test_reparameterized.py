"""Branches in training, one kernel afterwards: the same numbers, and all branches learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import ArgumentError, ShapeError, UnsupportedError
from convsmith.layers.normalizing import BranchNormalization
from engine_runs import as_numpy, wide

NAMES = ("RepVGGConv2D", "ACConv2D", "DiverseBranchConv2D")
GEOMETRIES: dict[str, dict[str, Any]] = {
    "same": {"padding": "same"},
    "valid in groups": {"groups": 2},
    "strides": {"padding": "same", "strides": 2, "activation": "tanh"},
    "edge": {"padding": ((2, 0), 1), "padding_mode": "edge", "dilation_rate": (2, 1)},
    "even": {"kernel_size": (2, 4), "padding": "same_lower", "strides": (1, 2)},
    "one tap": {"kernel_size": 1},
    "first": {"padding": "same", "data_format": "channels_first", "groups": 2},
}


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(name: str, shape: tuple[int | None, ...], **changes: Any) -> Any:
    """A layer with random weights and statistics."""
    layer = getattr(cs.layers, name)(**{"filters": 4, "kernel_size": 3, **changes})
    layer.build(shape)
    for seed, weight in enumerate(layer.weights):
        value = data(*weight.shape, seed=seed)
        weight.assign(np.abs(value) + 0.3 if "variance" in weight.path else value)
    return layer


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", NAMES)
def test_one_kernel_is_the_sum_of_the_branches(name: str, geometry: str) -> None:
    arguments = GEOMETRIES[geometry]
    x = data(2, 7, 6, 4)
    if arguments.get("data_format") == "channels_first":
        x = np.moveaxis(x, -1, 1)
    layer = built(name, x.shape, **arguments)
    folded = cs.layers.fold(layer)
    assert type(folded) is cs.layers.Conv2D
    expected = as_numpy(layer(x))
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(as_numpy(folded(x)), expected, atol=3e-5)
    assert tuple(folded.kernel.shape) == (*layer.kernel_size, 4 // layer.groups, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_moves_all_branches(name: str) -> None:
    x = data(4, 6, 6, 4)
    layer = built(name, x.shape, padding="same")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile("sgd", "mse")
    before = [as_numpy(w).copy() for w in layer.weights]
    model.fit(x, data(4, 6, 6, 4, seed=1), verbose=0)
    for weight, old in zip(layer.weights, before, strict=True):
        assert (as_numpy(weight) != old).any(), weight.path
    # What is learned then is still one convolution.
    expected = as_numpy(layer(x))
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(as_numpy(cs.layers.fold(layer)(x)), expected, atol=1e-5 * scale)


def test_training_normalises_each_branch_by_its_batch() -> None:
    """In training the outputs aren't those of inference: each branch has mean beta."""
    x = data(8, 6, 6, 4)
    layer = cs.layers.RepVGGConv2D(4, 3, padding="same")
    found = as_numpy(layer(x, training=True))
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-5)
    assert np.abs(as_numpy(layer(x)).mean((0, 1, 2))).max() > 1e-3


def test_which_branches_there_are() -> None:
    def kernels(layer: Any, channels: int = 4) -> list[str]:
        layer.build((None, 8, 8, channels))
        return list(layer.branches(channels))

    layers = cs.layers
    assert kernels(layers.RepVGGConv2D(4, 3, padding="same")) == ["full", "point", "identity"]
    assert kernels(layers.RepVGGConv2D(4, 3)) == ["full", "point"]
    assert kernels(layers.RepVGGConv2D(4, 3, 2, "same")) == ["full", "point"]
    assert kernels(layers.RepVGGConv2D(4, 3, padding="same"), 2) == ["full", "point"]
    assert kernels(layers.RepVGGConv2D(4, 1)) == ["full", "identity"]
    assert kernels(layers.ACConv2D(4, (1, 3))) == ["square", "column"]
    assert kernels(layers.DiverseBranchConv2D(4, 3)) == ["full", "point", "deep", "mean"]
    assert kernels(layers.DiverseBranchConv2D(4, 1)) == ["full"]


def test_sizes_that_are_not_known_yet() -> None:
    """ "same" with strides pads by what the size asks for, in every branch."""
    layer = built("DiverseBranchConv2D", (None, None, None, 4), padding="same", strides=2)
    for size in (7, 8):
        model: Any = keras.Sequential([keras.Input((None, None, 4)), layer])
        x = data(2, size, size, 4)
        expected = as_numpy(layer(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=2e-5)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="padding_mode='renormalize': rescales windows"):
        cs.layers.RepVGGConv2D(4, 3, padding_mode="renormalize")
    with pytest.raises(ArgumentError, match="filters=3: can't be split into groups=2"):
        cs.layers.ACConv2D(3, 3, groups=2)
    with pytest.raises(ShapeError, match="the input has 3 axes"):
        cs.layers.RepVGGConv2D(4, 3)(data(8, 8, 3))
    with pytest.raises(UnsupportedError, match="has no weights yet"):
        cs.layers.fold(cs.layers.ACConv2D(3, 3))


class Louder(cs.layers.ACConv2D):
    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def test_an_operation_of_ones_own_is_not_folded() -> None:
    layer = Louder(3, 3)
    layer.build((2, 6, 6, 4))
    with pytest.raises(UnsupportedError, match="overrides 'call'"):
        cs.layers.fold(layer)


@pytest.mark.parametrize("axis", [-1, 1])
def test_normalisation_in_float64(axis: int) -> None:
    """Keras's own rounds to float32."""
    x = np.random.default_rng(0).normal(2, 3, size=(4, 5, 6, 3))
    with wide():
        norm = BranchNormalization(axis=axis, dtype="float64", momentum=0.75, scale=axis == 1)
        outputs = as_numpy(norm(x, training=True))
        others = tuple(a for a in range(4) if a != axis % 4)
        mean, variance = x.mean(others, keepdims=True), x.var(others, keepdims=True)
        np.testing.assert_allclose(outputs, (x - mean) / np.sqrt(variance + norm.epsilon), 1e-12)
        moving = 0.25 * mean.ravel(), 0.75 + 0.25 * variance.ravel()
        for variable, expected in zip(
            (norm.moving_mean, norm.moving_variance), moving, strict=True
        ):
            np.testing.assert_allclose(as_numpy(variable), expected, 1e-12)
        shape = mean.shape
        mean, variance = (each.reshape(shape) for each in moving)
        expected = (x - mean) / np.sqrt(variance + norm.epsilon)
        np.testing.assert_allclose(as_numpy(norm(x)), expected, 1e-12)

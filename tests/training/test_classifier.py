"""The model, and the layers that may stand in it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith.layers
from convsmith.errors import ArgumentError, DataError
from convsmith.training import classifier
from convsmith.training.settings import Precision


@keras.saving.register_keras_serializable("tests")
class RegisteredConv2D(keras.layers.Conv2D):
    """A user's own layer, known by its registered name."""


@pytest.mark.parametrize("conv", ["plain", "standardized", "Conv2D", "tests>RegisteredConv2D"])
def test_34826_parameters(conv: str) -> None:
    model = classifier.build(conv, (28, 28, 1), 10)
    assert model.count_params() == 34_826
    assert model.output_shape == (None, 10)


def test_each_name_means_its_class() -> None:
    assert classifier.find_conv("plain") is keras.layers.Conv2D
    assert classifier.find_conv("standardized") is convsmith.layers.StandardizedConv2D
    assert classifier.find_conv("StandardizedConv2D") is convsmith.layers.StandardizedConv2D
    assert classifier.find_conv("tests>RegisteredConv2D") is RegisteredConv2D


def test_unknown_convolution() -> None:
    with pytest.raises(
        ArgumentError, match=r"--conv standardised: there is no such .* Try: --conv "
    ):
        classifier.find_conv("standardised")


@pytest.mark.parametrize("conv", ["Conv1D", "tests>NoSuchLayer", "__name__"])
def test_what_is_no_convolution_of_images_is_refused(conv: str) -> None:
    with pytest.raises(ArgumentError, match=f"--conv {conv}: "):
        classifier.build(conv, (28, 28, 1), 10)


def test_images_too_small() -> None:
    with pytest.raises(DataError, match="images of 9x28 pixels are too small; expected 10x10"):
        classifier.build("plain", (9, 28, 1), 10)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_the_answer_in_float32(precision: Precision) -> None:
    model: Any = classifier.build("plain", (12, 12, 1), 2, precision=precision)
    assert model.get_layer("conv_1").compute_dtype == precision.removeprefix("mixed_")
    assert model.get_layer("conv_1").variable_dtype == "float32"
    assert model.get_layer("class").compute_dtype == "float32"
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")


def test_a_confident_mistake_still_has_a_gradient() -> None:
    """With probabilities in the model, JAX and torch clip the loss and learn nothing from it."""
    model: Any = classifier.build("plain", (12, 12, 1), 2)
    bias = model.get_layer("class").bias
    bias.assign([1000.0, 0.0])
    images, labels = np.zeros((8, 12, 12, 1), np.float32), np.ones(8, np.int32)
    model.fit(images, labels, epochs=1, verbose=0)
    assert keras.ops.convert_to_numpy(bias)[0] < 1000.0


def test_the_same_seed_gives_the_same_weights() -> None:
    one, same, other = (
        classifier.build("plain", (12, 12, 1), 2, seed=seed).get_weights() for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])

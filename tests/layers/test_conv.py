"""Conv1D, Conv2D and Conv3D are Keras's layers, completed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import layers, transforms
from convsmith.errors import KernelError
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import as_numpy, assert_close
from layer_cases import definition

PAIRS: list[tuple[Any, Any, tuple[int, ...]]] = [
    (layers.Conv1D, keras.layers.Conv1D, (2, 11, 4)),
    (layers.Conv2D, keras.layers.Conv2D, (2, 9, 8, 4)),
    (layers.Conv3D, keras.layers.Conv3D, (2, 5, 6, 7, 4)),
]


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


ARGUMENTS: list[dict[str, Any]] = [
    {"padding": "same", "activation": "relu"},
    {"strides": 2, "padding": "SAME", "use_bias": False},
    {"dilation_rate": 2, "activation": "tanh"},
]


@pytest.mark.parametrize(
    ("ours", "theirs", "shape", "arguments"),
    # One rank meets every argument, and every rank meets one.
    [(*PAIRS[1], {}), *((*PAIRS[i], a) for i, a in zip((0, 1, 2), ARGUMENTS, strict=True))],
)
def test_values_and_gradients_are_keras_own(
    ours: Any, theirs: Any, shape: tuple[int, ...], arguments: dict[str, Any]
) -> None:
    inputs = random(shape)
    left, right = ours(6, 3, **arguments), theirs(6, 3, **arguments)
    left.build(shape)
    right.build(shape)
    right.set_weights([random(w.shape, 3) for w in right.get_weights()])
    left.set_weights(right.get_weights())
    expected = as_numpy(right(inputs))
    assert_close(as_numpy(left(inputs)), expected, 1e-5, "values")
    assert left.compute_output_shape(shape) == right.compute_output_shape(shape)
    cotangent = random(expected.shape, 1)
    pairs = zip(
        layer_gradients(left, inputs, cotangent),
        layer_gradients(right, inputs, cotangent),
        strict=True,
    )
    for actual, wanted in pairs:
        assert_close(actual, wanted, 1e-5, "gradient")


def test_causal_conv1d_is_keras_own() -> None:
    inputs = random((2, 11, 4))
    left = layers.Conv1D(6, 3, 1, "causal", dilation_rate=2)
    right = keras.layers.Conv1D(6, 3, 1, "causal", dilation_rate=2)
    right.build(inputs.shape)
    left.build(inputs.shape)
    left.set_weights(right.get_weights())
    assert_close(as_numpy(left(inputs)), as_numpy(right(inputs)), 1e-5, "values")


@pytest.mark.parametrize(("ours", "theirs", "shape"), PAIRS)
def test_they_are_keras_layers(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    assert issubclass(ours, theirs)
    # filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation
    layer = ours(6, 3, 2, "same", "channels_last", 1, 2, "relu")
    same = theirs(6, 3, 2, "same", "channels_last", 1, 2, "relu")
    layer.build(shape)
    same.build(shape)
    assert [w.shape for w in layer.weights] == [w.shape for w in same.weights]
    assert [w.name for w in layer.weights] == ["kernel", "bias"]
    ours_config, their_config = layer.get_config(), same.get_config()
    for key in set(their_config) - {"name"}:
        assert ours_config[key] == their_config[key], key


@pytest.mark.parametrize(("ours", "_theirs", "shape"), PAIRS)
def test_fact_04_bias_added_along_width(ours: Any, _theirs: Any, shape: tuple[int, ...]) -> None:
    """With channels first and width == filters, Keras on TensorFlow adds it along the width."""
    rank = len(shape) - 2
    width = shape[-2]
    inputs = np.moveaxis(random(shape), -1, 1)
    layer = ours(width, 3, padding="same", data_format="channels_first")
    layer.build(inputs.shape)
    layer.kernel.assign(np.zeros(tuple(layer.kernel.shape)))
    layer.bias.assign(np.arange(width))
    outputs = as_numpy(layer(inputs))
    expected = np.broadcast_to(np.arange(width).reshape(-1, *(1,) * rank), outputs.shape)
    np.testing.assert_array_equal(outputs, expected)
    cotangent = random(outputs.shape, 1)
    gradient = layer_gradients(layer, inputs, cotangent)[-1]
    over = tuple(i for i in range(rank + 2) if i != 1)
    assert_close(gradient, cotangent.sum(over), 1e-5, "bias gradient")


def test_fact_07_the_kernel_moves_in_fit() -> None:
    model: Any = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3, padding="same")])
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(random((4, 8, 8, 3)), random((4, 8, 8, 3), 1), verbose=0)
    assert len(model.trainable_weights) == 2
    for old, new in zip(before, model.get_weights(), strict=True):
        assert (old != new).any()


class StandardizedInFourLines(cs.layers.Conv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return self.convolve(inputs, cs.transforms.standardize(kernel))


class StandardizedInCall(layers.Conv2D):
    """The other idiom: an overridden call that adds the bias itself."""

    def call(self, inputs: Any) -> Any:
        outputs = self.convolution_op(inputs, cs.transforms.standardize(self.kernel))
        if self.bias is not None:
            outputs = keras.ops.add(outputs, self.bias)
        return self.activation(outputs)


@pytest.mark.parametrize("layer_class", [StandardizedInFourLines, StandardizedInCall])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_fact_08_overriders_lose_no_argument(layer_class: Any, dtype: str) -> None:
    arguments: dict[str, Any] = {
        "strides": 2,
        "padding": "same",
        "dilation_rate": 2,
        "padding_mode": "reflect",
        "groups": 2,
    }
    layer = layer_class(4, 3, **arguments, activation="relu", dtype=dtype)
    whole = layers.StandardizedConv2D(4, 3, **arguments, activation="relu")
    inputs = random((2, 9, 8, 4))
    whole.build(inputs.shape)
    layer.build(inputs.shape)
    layer.set_weights(whole.get_weights())
    tolerance = 1e-5 if dtype == "float32" else 5e-2
    assert_close(as_numpy(layer(inputs)), as_numpy(whole(inputs)), tolerance, "values")


def test_overridden_convolution_op_keeps_both_data_formats() -> None:
    last = StandardizedInFourLines(6, 3)
    first = StandardizedInFourLines(6, 3, data_format="channels_first")
    inputs = random((2, 8, 7, 3))
    last.build(inputs.shape)
    first.build((2, 3, 8, 7))
    first.set_weights(last.get_weights())
    expected = np.moveaxis(as_numpy(last(inputs)), -1, 1)
    assert_close(as_numpy(first(np.moveaxis(inputs, -1, 1))), expected, 1e-5, "values")


def test_a_subclass_that_only_wants_another_kernel() -> None:
    class Doubled(layers.Conv2D):
        @property
        def effective_kernel(self) -> Any:
            return 2 * super().effective_kernel

    inputs = random((1, 6, 6, 2))
    doubled, plain = Doubled(3, 3, use_bias=False), layers.Conv2D(3, 3, use_bias=False)
    plain.build(inputs.shape)
    doubled.build(inputs.shape)
    doubled.set_weights(plain.get_weights())
    assert_close(as_numpy(doubled(inputs)), 2 * as_numpy(plain(inputs)), 1e-5, "values")


def test_effective_kernel_is_after_lora_and_transform() -> None:
    layer = layers.Conv2D(3, 3, kernel_transform="standardize")
    inputs = random((1, 6, 6, 2))
    layer.build(inputs.shape)
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(random((2, 3)))
    merged = as_numpy(layer.kernel)
    effective = as_numpy(layer.effective_kernel)
    assert (merged != as_numpy(layer._kernel.value)).any()
    assert_close(effective, as_numpy(transforms.standardize(merged)), 1e-6, "effective kernel")
    reference = definition(2)
    expected = reference(inputs.astype("float64"), [effective.astype("float64"), np.zeros(3)])
    assert_close(as_numpy(layer(inputs)), expected, 1e-5, "values")
    assert {w.name for w in layer.trainable_weights} == {"bias", "lora_kernel_a", "lora_kernel_b"}


def test_effective_kernel_without_transform_is_the_kernel() -> None:
    layer = layers.Conv1D(3, 3)
    layer.build((1, 6, 2))
    assert layer.effective_kernel is layer.kernel


def test_transforms_see_the_full_precision_kernel() -> None:
    seen: list[str] = []

    def look(kernel: Any) -> Any:
        seen.append(keras.backend.standardize_dtype(kernel.dtype))
        return kernel

    layer = layers.Conv2D(3, 3, kernel_transform=look, dtype="mixed_float16")
    outputs = layer(random((1, 6, 6, 2)))
    assert seen == ["float32"]
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"


def test_fact_08_constant_kernel_stays_finite_under_mixed_float16() -> None:
    layer = layers.StandardizedConv2D(
        3, 3, kernel_initializer="ones", dtype="mixed_float16", bias_initializer="ones"
    )
    np.testing.assert_array_equal(as_numpy(layer(random((1, 6, 6, 2)))), 1)


def test_fact_08_single_number_filters_are_refused() -> None:
    with pytest.raises(KernelError, match="which would always become 0"):
        layers.StandardizedConv2D(3, 1)(random((1, 6, 6, 1)))


def test_transforms_that_change_the_shape_are_refused() -> None:
    layer = layers.Conv2D(3, 3, kernel_transform=lambda kernel: kernel[:2])
    with pytest.raises(KernelError, match=r"turned a kernel of shape \(3, 3, 2, 3\) into \(2, "):
        layer(random((1, 6, 6, 2)))


def test_fact_09_whole_numbers_are_not_truncated() -> None:
    layer = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.5))
    image = np.array([[[[1], [3]]]], "uint8")
    np.testing.assert_array_equal(as_numpy(layer(image)).ravel(), [0.5, 1.5])


def test_activity_regularizer_and_constraint_are_kept() -> None:
    layer = layers.Conv2D(
        3, 3, activity_regularizer="l2", kernel_constraint="non_neg", kernel_regularizer="l1"
    )
    layer(random((1, 6, 6, 2)))
    assert len(layer.losses) == 2
    again = layers.Conv2D.from_config(layer.get_config())
    assert type(again.kernel_constraint) is type(layer.kernel_constraint)
    assert again.activity_regularizer is not None


def test_a_keras_model_takes_ours_and_theirs_weights() -> None:
    shape = (1, 6, 6, 2)
    ours, theirs = layers.Conv2D(3, 3), keras.layers.Conv2D(3, 3)
    ours.build(shape)
    theirs.build(shape)
    theirs.set_weights(ours.get_weights())
    inputs = random(shape)
    assert_close(as_numpy(ours(inputs)), as_numpy(theirs(inputs)), 1e-5, "values")

"""PatternConv: the notation as a layer, and its agreement with the named layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import layers
from convsmith.errors import ArgumentError, PatternError, ShapeError
from convsmith.testing.contract import as_numpy, assert_close

DENSE = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)"
GROUPED = "b (h+kh) (w+kw) (g i), kh kw i (g o) -> b h w (g o)"
LOW_RANK = "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o"
PER_PIXEL = "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)"
LOCAL = "b (h+kh) (w+kw) i, h w kh kw i o -> b h w o"
TRANSPOSED = "b h w i, kh kw o i -> b (2h+kh) (2w+kw) o"
SIZES = {"kh": 3, "kw": 3}


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("pattern", "sizes", "bias", "named"),
    [
        (DENSE, {"o": 4}, "o", layers.Conv2D(4, 3, padding="same")),
        (DEPTHWISE, {"m": 2}, "c m", layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
        (GROUPED, {"g": 2, "o": 3}, "g o", layers.Conv2D(6, 3, groups=2, padding="same")),
        (LOCAL, {"o": 4}, "h w o", layers.LocallyConnected2D(4, 3, padding="same")),
    ],
)
def test_it_is_the_named_layer(pattern: str, sizes: dict[str, int], bias: str, named: Any) -> None:
    x = random((2, 6, 7, 4))
    named.build(x.shape)
    weights = [random(w.shape, 1 + i) for i, w in enumerate(named.get_weights())]
    named.set_weights(weights)
    layer = layers.PatternConv(pattern, **SIZES, **sizes, bias=bias, padding="same")
    layer.build(x.shape)
    shapes = [tuple(w.shape) for w in layer.weights]
    layer.set_weights([w.reshape(s) for w, s in zip(weights, shapes, strict=True)])
    assert_close(as_numpy(layer(x)), as_numpy(named(x)), 1e-5, "values")
    assert layer.compute_output_shape(x.shape) == named.compute_output_shape(x.shape)


def test_low_rank_factors_are_the_convolution_with_their_product() -> None:
    x = random((2, 6, 7, 4))
    layer = layers.PatternConv(LOW_RANK, **SIZES, r=2, o=5, padding="same")
    outputs = as_numpy(layer(x))
    assert list(layer.kernels) == ["kernel_0", "kernel_1", "kernel_2", "kernel_3"]
    factors = [as_numpy(w) for w in layer.weights]
    kernel = np.einsum("hr,wr,ir,or->hwio", *factors)
    plain = layers.Conv2D(5, 3, padding="same", use_bias=False)
    plain.build(x.shape)
    plain.set_weights([kernel])
    assert_close(outputs, as_numpy(plain(x)), 1e-5, "values")


def test_a_second_input_is_an_operand() -> None:
    """A kernel for each pixel comes in; what is learned is a mixing of channels."""
    pattern = "b (h+kh) (w+kw) c, b h w kh kw, c o -> b h w o"
    layer = layers.PatternConv(pattern, inputs=2, o=5, padding="same", names=["mixing"])
    x, kernels = random((2, 6, 7, 4)), random((2, 6, 7, 3, 3), 1)
    outputs = layer([x, kernels])
    assert tuple(layer.kernel.shape) == (4, 5)
    first = cs.conv("b (h+kh) (w+kw) c, b h w kh kw -> b h w c", x, kernels, padding="same")
    expected = as_numpy(first) @ as_numpy(layer.kernel)
    assert_close(as_numpy(outputs), expected, 1e-5, "values")
    assert layer.weights[0].name == "mixing"


def test_a_transposed_pattern_is_the_transposed_layer() -> None:
    x = random((2, 5, 6, 3))
    named = layers.Conv2DTranspose(4, 3, strides=2, use_bias=False)
    named.build(x.shape)
    layer = layers.PatternConv(TRANSPOSED, **SIZES, o=4)
    layer.build(x.shape)
    layer.set_weights(named.get_weights())
    assert_close(as_numpy(layer(x)), as_numpy(named(x)), 1e-5, "values")


@pytest.mark.parametrize(
    ("pattern", "sizes", "shape"),
    [
        (DENSE, {"o": 32}, (4, 24, 24, 16)),
        (DEPTHWISE, {"m": 2}, (4, 24, 24, 32)),
        (GROUPED, {"g": 4, "o": 8}, (4, 24, 24, 32)),
        (LOW_RANK, {"r": 16, "o": 32}, (4, 24, 24, 16)),
        (LOCAL, {"o": 8}, (8, 12, 12, 8)),
        ("b t i, i r, r o -> b t o", {"r": 32, "o": 32}, (8, 40, 32)),
    ],
)
def test_outputs_have_the_variance_of_the_inputs(
    pattern: str, sizes: dict[str, int], shape: tuple[int, ...]
) -> None:
    keras.utils.set_random_seed(3)
    x = random(shape)
    taps = SIZES if "kh" in pattern else {}
    found = [
        float(np.var(as_numpy(layers.PatternConv(pattern, **taps, **sizes)(x)))) for _ in range(4)
    ]
    assert 0.6 < np.mean(found) < 1.6


def test_each_weight_counts_what_it_is_the_last_to_sum() -> None:
    layer = layers.PatternConv("b t i, i r, r o -> b t o", r=256, o=64)
    layer.build((None, 8, 64))
    for name, fan in (("kernel_0", 64), ("kernel_1", 256)):
        deviation = float(np.std(as_numpy(layer.kernels[name])))
        assert abs(deviation * np.sqrt(fan) - 1) < 0.1, name


def test_a_model_saves_loads_and_trains(tmp_path: Any) -> None:
    inputs = keras.Input((None, None, 3))
    layer = layers.PatternConv(
        LOW_RANK,
        **SIZES,
        r=4,
        o=5,
        bias="o",
        padding="same",
        padding_mode="reflect",
        activation="tanh",
        kernel_initializer={"kernel_0": "ones"},
    )
    outputs = layer(inputs)
    assert outputs.shape == (None, None, None, 5)
    model: Any = keras.Model(inputs, outputs)
    x = random((8, 6, 5, 3))
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, np.ones((8, 6, 5, 5), "float32"), verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    expected = as_numpy(model(x))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_close(as_numpy(again(x)), expected, 1e-6, "loaded")
    assert again.layers[-1].get_config() == layer.get_config()


def test_a_bias_is_the_same_in_whichever_order_its_axes_are_named() -> None:
    x = random((2, 6, 7, 4))
    layer = layers.PatternConv(DENSE, **SIZES, o=3, bias="w o h")
    layer.build(x.shape)
    bias = random((4, 5, 3), 1)
    layer.set_weights([np.zeros((3, 3, 4, 3)), bias])
    assert_close(as_numpy(layer(x)), np.stack([bias] * 2), 1e-6, "values")


def test_whole_inputs_are_not_truncated() -> None:
    x = np.arange(48).reshape(2, 6, 4, 1).astype("uint8")
    layer = layers.PatternConv(DENSE, **SIZES, o=2)
    expected = as_numpy(layer(x.astype("float32")))
    assert_close(as_numpy(layer(x)), expected, 1e-6, "values")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"pattern": "b (h+ i -> b"}, PatternError, "."),
        ({"inputs": 2}, ArgumentError, "leaves no weight of the 2 operands"),
        ({"bias": "q"}, ArgumentError, "'q' is no axis of the output.*bias='o'"),
        ({"bias": "o o"}, ArgumentError, "names an axis twice"),
        ({"names": ["a", "b"]}, ArgumentError, "doesn't name 1 weights"),
        ({"kh": 0}, ArgumentError, "kh=0"),
    ],
)
def test_arguments_that_no_input_could_make_right(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        layers.PatternConv(**{"pattern": DENSE, **SIZES, "o": 4, **arguments})


def test_a_part_of_a_group_has_no_bias() -> None:
    with pytest.raises(ArgumentError, match="has a part of a group only"):
        layers.PatternConv(DEPTHWISE, **SIZES, m=2, bias="m")


def test_sizes_that_nobody_knows() -> None:
    with pytest.raises(ShapeError, match=r"the size of 'o' is unknown.*o=3 as an argument"):
        layers.PatternConv(DENSE, **SIZES)(random((2, 6, 7, 3)))
    with pytest.raises(ShapeError, match="it is given 2 inputs; expected 1"):
        layers.PatternConv(DENSE, **SIZES, o=4)([random((2, 6, 7, 3))] * 2)
    layer = layers.PatternConv(DENSE, **SIZES, o=4)
    layer.build((None, 6, 7, 3))
    with pytest.raises(ShapeError, match=r"need weights of shape \(3, 3, 5, 4\)"):
        layer(random((2, 6, 7, 5)))
    with pytest.raises(ArgumentError, match="which isn't a plain axis"):
        layers.PatternConv("i, b (h+kh) i -> b h", kh=2, b=2)(random((3,)))

"""Multiply-adds of layers, against PyTorch's counter of floating-point operations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.models.counting import macs, recorded_calls

keras_layers: Any = keras.layers
L = cs.layers

CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "conv": (lambda: keras_layers.Conv2D(8, 3), (2, 9, 8, 3)),
    "strided": (lambda: keras_layers.Conv2D(8, (3, 2), (2, 3), padding="same"), (1, 9, 8, 3)),
    "dilated": (lambda: keras_layers.Conv2D(4, 3, dilation_rate=2), (1, 9, 8, 3)),
    "grouped": (lambda: keras_layers.Conv2D(8, 3, groups=4), (1, 9, 8, 4)),
    "conv 1d": (lambda: keras_layers.Conv1D(5, 4, padding="causal"), (2, 9, 3)),
    "conv 3d": (lambda: keras_layers.Conv3D(2, 2, strides=2), (1, 5, 6, 7, 3)),
    "depthwise": (lambda: keras_layers.DepthwiseConv2D(3, depth_multiplier=2), (2, 9, 8, 3)),
    "depthwise 1d": (lambda: keras_layers.DepthwiseConv1D(3, strides=2), (1, 9, 4)),
    "separable": (lambda: keras_layers.SeparableConv2D(6, 3, depth_multiplier=2), (1, 9, 8, 3)),
    "transposed": (lambda: keras_layers.Conv2DTranspose(4, 4, 2, padding="same"), (1, 5, 6, 3)),
    "transposed 1d": (lambda: keras_layers.Conv1DTranspose(4, 3, strides=3), (2, 5, 3)),
    "dense": (lambda: keras_layers.Dense(7), (3, 5)),
    "dense on space": (lambda: keras_layers.Dense(7), (3, 4, 6, 5)),
    "einsum": (lambda: keras_layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (2, 4, 5)),
    "einsum dots": (lambda: keras_layers.EinsumDense("...x,xy->...y", 6), (2, 3, 4, 5)),
    "convsmith conv": (lambda: L.Conv2D(8, 3, strides=2, dilation_rate=2), (2, 9, 8, 3)),
    "standardised": (lambda: L.StandardizedConv2D(8, 3, groups=2), (2, 9, 8, 4)),
    "convsmith separable": (lambda: L.SeparableConv1D(8, 3), (2, 9, 3)),
    "convsmith transposed": (lambda: L.Conv2DTranspose(4, 4, strides=2), (1, 5, 6, 3)),
    "depthwise 3d": (lambda: L.DepthwiseConv3D(2), (1, 4, 5, 6, 2)),
    "fixed": (lambda: L.FixedConv2D(np.arange(9.0).reshape(3, 3) ** 2), (1, 6, 7, 3)),
    "pattern": (
        lambda: L.PatternConv("b (h+kh) (w+kw) i, kh kw i o -> b h w o", kh=3, kw=2, o=4),
        (2, 6, 7, 3),
    ),
}  # fmt: skip


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the counter is PyTorch's")
@pytest.mark.parametrize("name", CASES)
def test_equals_the_counter_of_pytorch(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    make, shape = CASES[name]
    layer = make()
    x = keras.ops.ones(shape)
    output = layer(x)
    calls = recorded_calls(layer, [shape]) if type(layer).__module__.startswith("conv") else []
    with FlopCounterMode(display=False) as counter:
        for call in calls:
            # PyTorch counts its own convolutions, and no sums of products.
            options = {**call.options._asdict(), "lowering": "native"}
            operands = map(keras.ops.ones, call.shapes)
            cs.conv(call.pattern, *operands, **options, **dict(call.sizes))
        if not calls:
            layer(x)
    assert counter.get_total_flops() > 0
    assert counter.get_total_flops() == 2 * (macs(layer, shape, tuple(output.shape)) or 0)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_of_unknown_size_counts_as_one(name: str) -> None:
    make, shape = CASES[name]
    layer = make()
    layer.build(shape)
    known = macs(layer, (1, *shape[1:]), layer.compute_output_shape((1, *shape[1:])))
    unknown = macs(layer, (None, *shape[1:]), layer.compute_output_shape((None, *shape[1:])))
    assert known == unknown
    assert (known or 0) > 0


def test_what_is_not_known_is_none() -> None:
    conv = keras_layers.Conv2D(8, 3)
    assert macs(conv, (None, None, 8, 3), (None, None, 6, 8)) is None
    ours = L.Conv2D(8, 3)
    ours.build((None, None, 8, 3))
    assert macs(ours, (None, None, 8, 3), (None, None, 6, 8)) is None
    assert macs(keras_layers.Lambda(lambda x: x), (1, 8), (1, 8)) is None
    assert macs(keras_layers.Dot(1), [(1, 8), (1, 8)], (1, 1)) is None


class Own(keras_layers.Layer):
    def call(self, inputs: Any) -> Any:
        return keras.ops.matmul(inputs, inputs)


def test_layers_of_others_are_unknown_and_those_without_products_free() -> None:
    assert macs(Own(), (1, 8, 8), (1, 8, 8)) is None
    for layer in (
        keras_layers.BatchNormalization(),
        keras_layers.MaxPooling2D(),
        keras_layers.ReLU(),
        keras_layers.Add(),
    ):
        assert macs(layer, (None, None, 8, 4), (None, None, 8, 4)) == 0


def test_attention_and_recurrence() -> None:
    heads = keras_layers.MultiHeadAttention(num_heads=2, key_dim=3)
    # Four projections of 6x8 -> 6 and back, scores and weighted sums of 5 by 7 entries.
    expected = 5 * 8 * 6 + 7 * 8 * 6 + 7 * 8 * 6 + 2 * 5 * 7 * 3 * 2 + 5 * 6 * 8
    assert macs(heads, [(1, 5, 8), (1, 7, 8)], (1, 5, 8)) == expected
    assert macs(keras_layers.LSTM(4), (2, 5, 3), (2, 4)) == 2 * 5 * 4 * 4 * (3 + 4)
    both = keras_layers.Bidirectional(keras_layers.GRU(4))
    assert macs(both, (2, 5, 3), (2, 8)) == 2 * (2 * 5 * 3 * 4 * (3 + 4))
    each = keras_layers.TimeDistributed(keras_layers.Dense(4))
    assert macs(each, (2, 5, 3), (2, 5, 4)) == 2 * 5 * 3 * 4


def plain() -> Any:
    return keras.Sequential(
        [
            keras.Input((17, 15, 3)),
            keras_layers.Conv2D(8, 3, strides=2, padding="same"),
            keras_layers.BatchNormalization(),
            keras_layers.Conv2D(8, 3, dilation_rate=2),
            keras_layers.SeparableConv2D(6, 3, padding="same"),
            keras_layers.MaxPooling2D(),
            keras_layers.Flatten(),
            keras_layers.Dense(5),
        ]
    )


def branching() -> Any:
    x = keras.Input((16, 16, 4))
    y = keras_layers.Conv2D(8, 3, groups=4, padding="same")(x)
    z = keras_layers.DepthwiseConv2D(5, strides=2, padding="same")(x)
    z = keras_layers.Conv2DTranspose(8, 4, strides=2, padding="same")(z)
    y = keras_layers.Add()([y, z])
    gate = keras_layers.Dense(8)(keras_layers.GlobalAveragePooling2D(keepdims=True)(y))
    return keras.Model(x, keras_layers.Multiply()([y, gate]))


def of_signals() -> Any:
    x = keras.Input((40, 3))
    y = keras_layers.Conv1D(4, 5, strides=2, padding="causal")(x)
    y = keras_layers.Conv1DTranspose(3, 3)(keras_layers.DepthwiseConv1D(3)(y))
    return keras.Model(x, y)


def of_volumes() -> Any:
    x = keras.Input((6, 7, 8, 2))
    y = keras_layers.Conv3DTranspose(2, 2, strides=2)(keras_layers.Conv3D(3, 3)(x))
    return keras.Model(x, y)


def mobile() -> Any:
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=7)


NETWORKS = (plain, branching, of_signals, of_volumes, mobile)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the counter is PyTorch's")
@pytest.mark.parametrize("make", NETWORKS)
def test_networks_equal_the_counter_of_pytorch(make: Any) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = make()
    x = keras.ops.ones((2, *model.input_shape[1:]))
    with FlopCounterMode(display=False) as counter:
        model(x)
    explanation = cs.explain(model, tuple(x.shape))
    assert counter.get_total_flops() == 2 * (explanation.macs or 0)
    assert explanation.uncounted == ()


@pytest.mark.one_backend
def test_a_published_network_costs_what_was_published() -> None:
    model = keras.applications.MobileNetV2(weights=None)
    explanation = cs.explain(model)
    assert (explanation.macs or 0) / 1e6 == pytest.approx(300.8, abs=0.1)
    assert explanation.parameters == model.count_params()
    assert explanation.uncounted == ()
    # Without the last pooling a position sees more than the picture.
    field = explanation["out_relu"].receptive_field[0]
    assert (field.size, field.stride) == (491, 32)

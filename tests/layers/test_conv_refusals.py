"""What the convolution layers refuse, by message, before any backend sees it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.errors import ArgumentError, DtypeError, ShapeError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0}, r"filters=0: is too small; expected .* at least 1"),
        ({"filters": 2.5}, r"filters=2.5: is not a whole number"),
        ({"kernel_size": (3, 0)}, r"kernel_size=0: is too small"),
        (
            {"kernel_size": (3, 3, 3)},
            r"kernel_size=\(3, 3, 3\): has 3 entries; expected an int or 2",
        ),
        ({"strides": 0}, r"strides=0: is too small"),
        ({"strides": -1}, r"strides=-1: is too small"),
        ({"dilation_rate": 0}, r"dilation_rate=0: is too small"),
        ({"groups": 0}, r"groups=0: is too small"),
        ({"padding": "foo"}, r"padding='foo': is not a known padding; expected one of 'valid'"),
        ({"padding": (1, 2, 3)}, r"padding=\(1, 2, 3\): has 3 entries"),
        ({"padding": 1.5}, r"padding=1.5: is not a padding"),
        ({"padding_mode": "mirror"}, r"padding_mode='mirror': .* Try: padding_mode=\"reflect\""),
        ({"padding_mode": ("edge",) * 3}, r"has 3 entries"),
        ({"padding_value": "0"}, r"padding_value='0': is not a number"),
        ({"padding_value": float("nan")}, r"padding_value=nan: is not a number"),
        ({"padding_value": True}, r"padding_value=True: is not a number"),
        ({"data_format": "NHWC"}, r"data_format='NHWC': is not a data format"),
        ({"kernel_transform": "standardise"}, r"kernel_transform='standardise': is not a reg"),
    ],
)
def test_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        layers.Conv2D(**{"filters": 4, "kernel_size": 3, **arguments})


def test_filters_that_do_not_split_into_groups() -> None:
    with pytest.raises(ValueError, match="evenly divisible by the number of groups"):
        layers.Conv2D(4, 3, groups=3)


CASES: list[tuple[Any, tuple[int, ...]]] = [
    (layers.Conv1D, (8, 3)),
    (layers.Conv2D, (8, 8, 3)),
    (layers.Conv3D, (8, 8, 8, 3)),
    (layers.StandardizedConv2D, (8, 8, 3)),
]


@pytest.mark.parametrize(("layer_class", "sample"), CASES)
@pytest.mark.parametrize("built", [False, True])
def test_fact_01_a_single_image_is_refused(
    layer_class: Any, sample: tuple[int, ...], built: bool
) -> None:
    layer = layer_class(4, 3)
    if built:
        layer.build((None, *sample))
    words = (
        rf"the input has {len(sample)} axes; expected {len(sample) + 1} axes \(batch, .*x\[None\]"
    )
    with pytest.raises(ShapeError, match=words):
        layer(np.zeros(sample, "float32"))
    with pytest.raises(ShapeError, match=words):
        layer(keras.Input(batch_shape=sample))
    with pytest.raises(ShapeError, match=words):
        layer_class(4, 3).build(sample)
    with pytest.raises(ShapeError, match=words):
        layer.compute_output_shape(sample)


def test_fact_01_an_overrider_that_calls_the_backend_is_protected() -> None:
    class Own(layers.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            raise AssertionError("reached")

    with pytest.raises(ShapeError, match="the input has 2 axes"):
        Own(4, 3)(np.zeros((8, 8), "float32"))


def test_other_channels_than_before() -> None:
    layer = layers.Conv2D(4, 3)
    layer.build((None, 8, 8, 3))
    with pytest.raises(ShapeError, match=r"the input has 6 channels; expected 3, which the kern"):
        layer(np.zeros((1, 8, 8, 6), "float32"))
    with pytest.raises(ShapeError, match=r'Try: data_format="channels_first"'):
        layer(np.zeros((1, 3, 8, 8), "float32"))


def test_unknown_channels() -> None:
    with pytest.raises(ShapeError, match="the number of channels is unknown"):
        layers.Conv2D(4, 3)(keras.Input((8, 8, None)))


def test_channels_that_do_not_split_into_groups() -> None:
    with pytest.raises(ShapeError, match=r"3 input channels can't be split into groups=2"):
        layers.Conv2D(4, 3, groups=2)(np.zeros((1, 8, 8, 3), "float32"))


@pytest.mark.parametrize("size", [1, 2])
def test_fact_02_a_kernel_larger_than_the_padded_input_is_refused(size: int) -> None:
    layer = layers.Conv2D(4, 3)
    layer.build((None, None, None, 3))
    with pytest.raises(ShapeError, match="the kernel is larger than the padded input"):
        layer(np.zeros((1, size, 8, 3), "float32"))
    with pytest.raises(ShapeError, match="axis 'height': the kernel is larger than the padded"):
        layers.Conv2D(4, 3).build((None, size, 8, 3))
    model = keras.Model(inputs := keras.Input((None, None, 3)), layer(inputs))
    with pytest.raises(ShapeError, match="the kernel is larger than the padded input"):
        model(np.zeros((1, size, 8, 3), "float32"))


def test_fact_03_an_empty_batch_gives_an_empty_output() -> None:
    outputs = layers.Conv2D(6, 3)(np.zeros((0, 8, 8, 4), "float32"))
    assert tuple(outputs.shape) == (0, 6, 6, 6)


def test_text_is_refused() -> None:
    # Two of the backends have no text at all, and say so themselves.
    with pytest.raises((DtypeError, TypeError, ValueError), match=r"string|str|dtype|numbers"):
        layers.Conv2D(4, 3)(np.full((1, 8, 8, 3), "a"))

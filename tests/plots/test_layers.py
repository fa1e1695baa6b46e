"""Layers of every kind are drawn with the kernel that they convolve with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from baseline_pictures import check
from convsmith import plots
from convsmith.errors import ArgumentError, UnsupportedError
from convsmith.plots.layer import effective_kernel
from plot_cases import numbers

ops: Any = keras.ops


def built(layer: Any, *shape: int) -> Any:
    """Return a layer with fixed weights, for inputs of such a shape."""
    layer.build((None, *shape))
    for weight in layer.weights:
        weight.assign(numbers(*weight.shape).astype("float32"))
    return layer


LAYERS = {
    "dense": (lambda: keras.layers.Conv2D(4, 3), (8, 8, 2)),
    "own dense": (lambda: cs.layers.Conv2D(4, (3, 2)), (8, 8, 2)),
    "standardised": (lambda: cs.layers.StandardizedConv2D(4, 3), (8, 8, 2)),
    "grouped": (lambda: keras.layers.Conv2D(4, 3, groups=2), (8, 8, 4)),
    "line": (lambda: keras.layers.Conv1D(4, 3), (8, 2)),
    "volume": (lambda: cs.layers.Conv3D(2, 3), (8, 8, 8, 2)),
    "channels first": (lambda: cs.layers.Conv2D(4, 3, data_format="channels_first"), (2, 8, 8)),
    "depthwise": (lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 3)),
    "own depthwise": (lambda: cs.layers.DepthwiseConv3D(2), (8, 8, 8, 3)),
    "separable": (lambda: keras.layers.SeparableConv2D(5, 3, depth_multiplier=2), (8, 8, 3)),
    "own separable": (lambda: cs.layers.SeparableConv1D(5, 3), (8, 3)),
    "transposed": (lambda: keras.layers.Conv2DTranspose(4, 3), (8, 8, 2)),
    "own transposed": (lambda: cs.layers.Conv1DTranspose(4, 3), (8, 2)),
    "fixed": (lambda: cs.layers.FixedConv2D("sobel_x"), (8, 8, 3)),
    "fixed bank": (lambda: cs.layers.FixedConv2D(numbers(3, 3, 4)), (8, 8, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_middle_of_an_impulse_is_the_kernel(name: str) -> None:
    """A layer that is fed one pixel answers with its kernel, turned around."""
    make, shape = LAYERS[name]
    layer = built(make(), *shape) if "fixed" not in name else make()
    if "fixed" in name:
        layer.build((None, *shape))
    kernel = effective_kernel(layer)
    first = getattr(layer, "data_format", "") == "channels_first"
    rank = len(shape) - 1
    spatial, channels = (shape[1:], shape[0]) if first else (shape[:-1], shape[-1])
    middle = tuple(n // 2 for n in spatial)
    image = np.zeros((1, *spatial, channels), "float32")
    image[(0, *middle, 0)] = 1.0
    outputs = ops.convert_to_numpy(layer(np.moveaxis(image, -1, 1) if first else image))
    outputs = np.moveaxis(outputs, 1, -1) if first else outputs
    bias = 0.0 if getattr(layer, "bias", None) is None else ops.convert_to_numpy(layer.bias)
    outputs = outputs[0] - bias
    taps = kernel.shape[:rank]
    if "transposed" in name:
        window = tuple(slice(m, m + t) for m, t in zip(middle, taps, strict=True))
        answer = outputs[window]
    else:
        window = tuple(slice(m - t + 1, m + 1) for m, t in zip(middle, taps, strict=True))
        answer = np.flip(outputs[window], tuple(range(rank)))
    reads = kernel.shape[-2]
    if reads == 1 and channels > 1:  # Each filter reads one channel; the first ones the first.
        count = kernel.shape[-1] // channels if "depthwise" in name else kernel.shape[-1]
        kernel, answer = kernel[..., :count], answer[..., :count]
    elif reads < channels:  # The first group's filters.
        count = kernel.shape[-1] * reads // channels
        kernel, answer = kernel[..., :count], answer[..., :count]
    np.testing.assert_allclose(answer, kernel[..., 0, :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_every_kind_is_drawn(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build((None, *shape))
    figure = plots.plot_effective_kernel(layer)
    assert len(figure.axes) == effective_kernel(layer).shape[-1]
    figure.savefig(tmp_path / "layer.png")


def test_lora_and_transforms_are_in_it() -> None:
    layer = cs.layers.StandardizedConv2D(4, 3)
    layer.build((None, 8, 8, 2))
    layer.enable_lora(2)
    for weight in layer.weights:
        weight.assign(numbers(*weight.shape).astype("float32"))
    kernel = effective_kernel(layer)
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0.0, atol=1e-5)
    assert not np.allclose(kernel, ops.convert_to_numpy(layer.kernel))


def test_looks_as_before(tmp_path: Path) -> None:
    layer = built(keras.layers.Conv2D(10, 3, name="first"), 8, 8, 1)
    check(plots.plot_effective_kernel(layer, columns=5), "effective_kernel", tmp_path)


def test_channels_and_counts() -> None:
    layer = built(keras.layers.Conv2D(10, 3, name="conv"), 8, 8, 5)
    figure = plots.plot_effective_kernel(layer, channel=2, most=6)
    assert len(figure.axes) == 6
    assert figure.get_suptitle() == "conv: 10 filters of 3x3x5, channel 2, the first 6"
    drawn = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_allclose(drawn, ops.convert_to_numpy(layer.kernel)[:, :, 2, 1], rtol=1e-6)
    for wrong in (5, -1, True, "red"):
        with pytest.raises(ArgumentError, match="is not one of the 5 channels"):
            plots.plot_effective_kernel(layer, channel=wrong)  # type: ignore[arg-type]
    for wrong in (0, 2.5):
        with pytest.raises(ArgumentError, match="is no number of filters"):
            plots.plot_effective_kernel(layer, columns=wrong)  # type: ignore[arg-type]


def test_into_a_part_of_a_figure() -> None:
    figure = plots.new_figure()
    left, _ = figure.subfigures(1, 2)
    layer = built(keras.layers.Conv2D(3, 3), 8, 8, 1)
    assert plots.plot_effective_kernel(layer, left) is left
    with pytest.raises(ArgumentError, match="is not something to draw into"):
        plots.plot_effective_kernel(layer, figure.axes[0])


def test_what_has_no_kernel() -> None:
    with pytest.raises(UnsupportedError, match="has no weights yet"):
        plots.plot_effective_kernel(keras.layers.Conv2D(3, 3))
    dense = keras.layers.Dense(3)
    dense.build((None, 4))
    local = cs.layers.LocallyConnected2D(2, 3)
    local.build((None, 5, 5, 1))
    pooling = keras.layers.MaxPooling2D()
    pooling.build((None, 5, 5, 1))
    pattern = cs.layers.PatternConv("b (h+kh) i, kh i o -> b h o", kh=3, o=2)
    pattern.build((None, 5, 1))
    dynamic = cs.layers.DynamicConv2D()
    dynamic.build([(None, 5, 5, 1), (3, 3, 1, 2)])
    for layer in (dense, local, pooling, pattern, dynamic):
        with pytest.raises(UnsupportedError, match="has no kernel that all places share"):
            plots.plot_effective_kernel(layer)

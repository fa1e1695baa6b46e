"""FixedConv layers of the kernel bank's names, with arguments and as banks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import kernels, layers
from convsmith.errors import ArgumentError, KernelError
from convsmith.kernels import registry
from convsmith.testing.contract import as_numpy

LAYERS = {1: layers.FixedConv1D, 2: layers.FixedConv2D, 3: layers.FixedConv3D}
IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 14, 15, 2)).astype("float32")


def again(layer: Any) -> Any:
    """Return the layer that its config describes, through JSON as in a file."""
    return type(layer).from_config(json.loads(json.dumps(layer.get_config())))


@pytest.mark.parametrize("name", kernels.names())
def test_every_name_is_a_layer_in_each_of_its_ranks(name: str) -> None:
    for ndim in kernels.describe(name).ndims:
        kernel = kernels.get(name, ndim=ndim)
        if not np.isfinite(kernel).all():  # A structuring element: its layer isn't linear.
            with pytest.raises(KernelError, match="aren't finite"):
                LAYERS[ndim](name)
            continue
        layer = LAYERS[ndim](name)
        np.testing.assert_allclose(as_numpy(layer.kernel), kernel, rtol=1e-5, atol=1e-6)
        copy = again(layer)
        np.testing.assert_array_equal(as_numpy(copy.kernel), as_numpy(layer.kernel))
        assert copy.get_config() == layer.get_config()


def test_arguments_in_the_name_reach_the_kernel_and_the_config() -> None:
    text = "gaussian(sigma=(1, 2), order=(0, 1))"
    layer = layers.FixedConv2D(text, padding="same")
    array = layers.FixedConv2D(kernels.gaussian((1, 2), order=(0, 1)), padding="same")
    np.testing.assert_allclose(as_numpy(layer(IMAGE)), as_numpy(array(IMAGE)), atol=1e-5)
    assert layer.get_config()["kernel"] == text
    np.testing.assert_array_equal(as_numpy(again(layer)(IMAGE)), as_numpy(layer(IMAGE)))


def test_a_named_bank_gives_channels_times_filters() -> None:
    outputs = as_numpy(layers.FixedConv2D("daubechies(2)", strides=2)(IMAGE))
    bank = kernels.daubechies(2)
    assert outputs.shape == (1, 6, 6, 2 * 4)
    for n in range(4):
        alone = layers.FixedConv2D(bank[..., n], strides=2)(IMAGE)
        np.testing.assert_allclose(outputs[..., n::4], as_numpy(alone), atol=1e-5)


def test_a_layout_that_was_stated_with_a_name_is_saved() -> None:
    """A bank of 5x3 with three filters looks like five filters of 3x3, unless stated."""
    text = "gaussian_derivative_pyramid(1, scales=1, size=(5, 3))"
    with pytest.raises(KernelError, match="looks like OHW"):
        layers.FixedConv2D(text)
    layer = layers.FixedConv2D(text, layout="HWO")
    assert again(layer).kernel.shape == (5, 3, 3)


def test_models_of_named_kernels_are_saved(tmp_path: Path) -> None:
    inputs = keras.Input((14, 15, 2))
    outputs = layers.FixedConv2D("gabor(6, angle_radians=0.5)", padding="same")(inputs)
    outputs = layers.FixedConv2D("frei_chen", padding="same")(outputs)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(as_numpy(loaded(IMAGE)), as_numpy(model(IMAGE)), atol=1e-6)


@pytest.mark.parametrize(
    ("rank", "text", "error", "words"),
    [
        (1, "frei_chen", ArgumentError, r"frei_chen\(ndim=1\): .* expected 2"),
        (2, "sobel_z", ArgumentError, r"sobel\(axis='z'\): is not an axis of a kernel with 2"),
        (2, "gaussian(sigma=-1)", ArgumentError, r"gaussian\(sigma=-1\): is out of range"),
        (2, "gaussian(sigma=x)", ArgumentError, r"isn't a literal"),
        (2, "box(ndim=3)", ArgumentError, r"says ndim=3 in the name"),
        (3, "gaussian((1, 2))", ArgumentError, r"has 2 values for 3 spatial axes"),
    ],
)
def test_refusals(rank: int, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        LAYERS[rank](text)


def test_a_builder_without_ndim_that_gives_another_rank_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry._BUILDERS, "only_a_line", lambda: np.ones(3))
    assert layers.FixedConv1D("only_a_line").kernel.shape == (3,)
    with pytest.raises(
        KernelError, match=r"kernel='only_a_line': has 1 axes; expected 2 .*Try: FixedConv1D"
    ):
        layers.FixedConv2D("only_a_line")

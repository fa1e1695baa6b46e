"""FixedConv layers: kernels that are given."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.errors import ArgumentError, DtypeError, KernelError, ShapeError
from convsmith.testing.contract import as_numpy, assert_close

IMAGE = np.random.default_rng(0).uniform(-1, 1, (2, 6, 7, 3)).astype("float32")


def test_one_filter_on_every_channel_is_that_filter_on_each() -> None:
    whole = as_numpy(layers.FixedConv2D("laplacian")(IMAGE))
    for channel in range(3):
        alone = layers.FixedConv2D("laplacian")(IMAGE[..., channel : channel + 1])
        np.testing.assert_allclose(as_numpy(alone)[..., 0], whole[..., channel], atol=1e-5)


def test_a_bank_gives_channels_times_filters_with_the_filter_fastest() -> None:
    bank = np.random.default_rng(1).normal(size=(3, 3, 2))
    outputs = as_numpy(layers.FixedConv2D(bank)(IMAGE))
    assert outputs.shape == (2, 4, 5, 6)
    for filter_index in range(2):
        alone = as_numpy(layers.FixedConv2D(bank[..., filter_index])(IMAGE))
        np.testing.assert_allclose(outputs[..., filter_index::2], alone, atol=1e-5)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_identity_returns_the_input(ndim: int) -> None:
    layer_class = (layers.FixedConv1D, layers.FixedConv2D, layers.FixedConv3D)[ndim - 1]
    inputs = np.random.default_rng(2).normal(size=(1, *(5,) * ndim, 2)).astype("float32")
    outputs = layer_class("identity", padding="same")(inputs)
    np.testing.assert_array_equal(as_numpy(outputs), inputs)


def test_valid_is_the_default_padding() -> None:
    assert layers.FixedConv2D("box").padding == "valid"


def test_fact_06_a_colour_image_in_a_layer_without_channel_axis_is_refused() -> None:
    layer = layers.FixedConv2D("sobel_x", channel_axis=None)
    assert tuple(layer(IMAGE[..., 0]).shape) == (2, 4, 5)
    with pytest.raises(
        ShapeError,
        match=r"has 4 axes; expected 3 axes \(batch, height, width\), since channel_axis=None",
    ):
        layer(IMAGE)


def test_fact_06_images_without_channel_axis_are_refused_unless_told() -> None:
    with pytest.raises(ShapeError, match="for samples without channel axis"):
        layers.FixedConv2D("sobel_x")(IMAGE[..., 0])


def test_fact_05_a_kernel_in_the_wrong_layout_is_refused() -> None:
    layer = layers.FixedConv2D(np.ones((2, 2, 1, 3)))
    with pytest.raises(KernelError, match=r"looks like HWOI .* kernel.transpose\(0, 1, 3, 2\)"):
        layer(IMAGE)
    with pytest.raises(KernelError, match=r"looks like OIHW \(PyTorch\)"):
        layers.FixedConv2D(np.ones((64, 3, 3, 3)))
    with pytest.raises(KernelError, match=r"looks like OHW \(a bank, filters first\)"):
        layers.FixedConv2D(np.ones((8, 3, 3)))


def test_stating_the_layout_takes_it() -> None:
    kernel = np.random.default_rng(3).normal(size=(8, 3, 2, 2))
    stated = layers.FixedConv2D(kernel, layout="OIHW")
    moved = layers.FixedConv2D(kernel.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(as_numpy(stated(IMAGE)), as_numpy(moved(IMAGE)))
    oblong = layers.FixedConv2D(np.ones((7, 3, 3, 3)), layout="HWIO")
    assert tuple(oblong.kernel.shape) == (7, 3, 3, 3)
    assert type(oblong).from_config(oblong.get_config()).kernel.shape == (7, 3, 3, 3)


def test_the_kernel_is_read_back_exactly_and_saved_exactly() -> None:
    kernel = np.random.default_rng(4).normal(size=(3, 3)).astype("float32")
    layer = layers.FixedConv2D(kernel)
    np.testing.assert_array_equal(as_numpy(layer.kernel.value), kernel)
    config = json.loads(json.dumps(layer.get_config()))
    again = layers.FixedConv2D.from_config(config)
    np.testing.assert_array_equal(as_numpy(again.kernel.value), kernel)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("float16", "float16"), ("float64", "float64"), ("int32", "float64")]
)
def test_saved_configs_keep_the_dtype(dtype: str, kept: str) -> None:
    config = layers.FixedConv2D(np.array([[1, 2]], dtype)).get_config()
    assert config["kernel"]["dtype"] == kept
    again = layers.FixedConv2D.from_config(config)
    assert again.get_config() == config


def test_the_backends_tensors_are_kernels() -> None:
    kernel = keras.Variable(np.ones((3, 3), "float32"))
    for form in (kernel, kernel.value, [[1] * 3] * 3):
        outputs = as_numpy(layers.FixedConv2D(form)(np.ones((1, 3, 3, 1), "float32")))
        np.testing.assert_allclose(outputs, 9)


def test_fact_09_uint8_images_are_not_truncated() -> None:
    image = np.full((1, 3, 3, 1), 255, "uint8")
    for dtype in ("float32", "mixed_bfloat16", "mixed_float16"):
        outputs = as_numpy(layers.FixedConv2D("box", dtype=dtype)(image))
        np.testing.assert_allclose(outputs, 255, rtol=1e-2)


def test_a_fixed_kernel_stays_fixed_when_the_model_is_made_trainable() -> None:
    layer = layers.FixedConv2D("box")
    inputs = keras.Input((6, 7, 3))
    model = keras.Model(inputs, layer(inputs))
    assert model.trainable_weights == []
    for each in model.layers:
        each.trainable = True
    assert model.trainable_weights == []
    trained = layers.FixedConv2D("box", trainable=True)
    assert len(trained.trainable_weights) == 1
    assert len(type(trained).from_config(trained.get_config()).trainable_weights) == 1


@pytest.mark.parametrize(
    ("kernel", "options", "error", "words"),
    [
        ("sobell", {}, ArgumentError, r"'sobell'\): is not a registered kernel.*'sobel_"),
        ([1.0, 2.0], {}, KernelError, r"has 1 axes; expected 2 \(one filter .* Try: FixedConv1D"),
        (np.ones((1,) * 6), {}, KernelError, r"has 6 axes; .* Try: numpy.squeeze"),
        (np.ones((3, 3), "complex64"), {}, DtypeError, r"is complex, and the layer's weights"),
        (np.full((3, 3), np.nan), {}, KernelError, r"9 entries that aren't finite"),
        ([["a"]], {}, KernelError, r"is not a number"),
        (np.ones((0, 3)), {}, KernelError, r"is empty"),
        ("box", {"layout": "HWX"}, ArgumentError, r"layout='HWX'\): is not a layout"),
        ("box", {"channel_axis": -1}, ArgumentError, r"channel_axis=-1: is not a choice"),
        (
            np.ones((3, 3, 2, 4)),
            {"channel_axis": None},
            KernelError,
            r"mixes 2 channels; expected a kernel for one channel",
        ),
        ("box", {"strides": 0}, ArgumentError, r"strides=0: is too small"),
        ("box", {"dilation_rate": -1}, ArgumentError, r"dilation_rate=-1: is too small"),
        ("box", {"padding": "sane"}, ArgumentError, r"padding='sane': is not a known padding"),
        ("box", {"padding_mode": "mirror"}, ArgumentError, r"Try: padding_mode=\"reflect\""),
        ("box", {"data_format": "NCHW"}, ArgumentError, r"data_format='NCHW': is not a data f"),
        ("box", {"padding_value": "x"}, ArgumentError, r"padding_value='x': is not a number"),
    ],
)
def test_refused_when_made(kernel: Any, options: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        layers.FixedConv2D(kernel, **options)


def test_a_kernel_larger_than_the_padded_input_is_refused() -> None:
    layer = layers.FixedConv2D(np.ones((7, 3)))
    with pytest.raises(ShapeError, match="the kernel is larger than the padded input"):
        layer(IMAGE)
    with pytest.raises(ShapeError, match="axis 'height': the kernel is larger"):
        layer.compute_output_shape((None, 6, None, 3))


LINE = np.hanning(13)[1:-1]
BLUR = np.outer(LINE, LINE)
BIG_IMAGE = np.random.default_rng(3).uniform(-1, 1, (2, 14, 15, 3)).astype("float32")


@pytest.mark.parametrize(
    ("kernel", "arguments", "shapes"),
    [
        (BLUR, {}, [(1, 11), (1, 11)]),
        (np.stack([BLUR, 2 * BLUR, -BLUR], -1), {}, [(1, 11), (1, 11, 3)]),
        (BLUR[..., None, None], {"channel_axis": None}, [(1, 11), (1, 11, 1)]),
        (BLUR[..., None, None] * np.arange(1, 7.0).reshape(3, 2), {}, [(1, 11), (1, 11, 3, 2)]),
        (BLUR + 3 * np.eye(11)[5], {"separable": True}, [(2, 11), (2, 11)]),
        (BLUR, {"separable": True, "trainable": True}, [(1, 11), (1, 11)]),
        ("box", {"separable": True}, None),
    ],
)
def test_separated_kernels_give_what_whole_ones_give(
    kernel: Any, arguments: dict[str, Any], shapes: list[tuple[int, ...]] | None
) -> None:
    common = {"padding": "same", "padding_mode": "reflect", "strides": (2, 1), **arguments}
    layer = layers.FixedConv2D(kernel, **common)
    whole = layers.FixedConv2D(kernel, **{**common, "separable": False})
    assert layer.separable is True
    assert whole.separable is False
    if shapes is not None:
        assert [tuple(w.shape) for w in layer.weights] == shapes
        assert [w.name for w in layer.weights] == ["kernel_height", "kernel_width"]
    inputs = BIG_IMAGE[..., 0] if "channel_axis" in arguments else BIG_IMAGE
    expected = as_numpy(whole(inputs))
    np.testing.assert_allclose(as_numpy(layer(inputs)), expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(as_numpy(layer.kernel), as_numpy(whole.kernel), atol=1e-5)
    again = layers.FixedConv2D.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(as_numpy(again(inputs)), as_numpy(layer(inputs)))


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        ("sobel_x", {}),  # Small: as many passes as it saves.
        (BLUR + np.eye(11), {}),
        (BLUR, {"trainable": True}),
        (BLUR, {"dtype": "bfloat16"}),
        (BLUR, {"separable": False}),
    ],
)
def test_kernels_that_stay_whole(kernel: Any, arguments: dict[str, Any]) -> None:
    layer = layers.FixedConv2D(kernel, **arguments)
    assert layer.separable is False
    assert [w.name for w in layer.weights] == ["kernel"]


def test_lines_may_lose_as_much_as_the_user_allows() -> None:
    noisy = BLUR + 1e-3 * np.random.default_rng(0).normal(size=BLUR.shape)
    layer = layers.FixedConv2D(noisy, separable=0.01)
    assert layer.weights[0].shape[0] == 1
    lost = np.linalg.norm(as_numpy(layer.kernel) - noisy) / np.linalg.norm(noisy)
    assert 0 < lost <= 0.01
    assert layer.get_config()["separable"] == 0.01


def test_volumes_and_signals() -> None:
    cube = BLUR[..., None] * LINE
    layer = layers.FixedConv3D(cube, padding="same")
    assert [tuple(w.shape) for w in layer.weights] == [(1, 11)] * 3
    np.testing.assert_allclose(as_numpy(layer.kernel), cube, atol=1e-6)
    assert len(layers.FixedConv1D(LINE, separable=True).weights) == 1


def test_separated_kernels_train_and_round_halves_once() -> None:
    layer = layers.FixedConv2D(BLUR, separable=True, trainable=True)
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    before = [as_numpy(w) for w in layer.weights]
    model.fit(BIG_IMAGE, np.zeros((2, 4, 5, 3), "float32"), verbose=0)
    assert all(
        np.abs(as_numpy(w) - b).max() > 0 for w, b in zip(layer.weights, before, strict=True)
    )
    half = layers.FixedConv2D(BLUR, dtype="mixed_bfloat16")
    assert half.separable is True
    expected = as_numpy(layers.FixedConv2D(BLUR, separable=False)(BIG_IMAGE))
    outputs = as_numpy(keras.ops.cast(half(BIG_IMAGE), "float32"))
    np.testing.assert_allclose(outputs, expected, atol=2**-7 * abs(expected).max())


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ArgumentError, match=r"separable=.*number from 0 on"):
        layers.FixedConv2D(BLUR, separable=share)


def test_a_call_may_change_the_geometry() -> None:
    """The same kernel on a denser or sparser grid, whole or separated, and back again."""
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    for separable in (False, True):
        layer = layers.FixedConv2D("box", padding="same", separable=separable)
        before = as_numpy(layer(x))
        changed = {"strides": (2, 1), "dilation_rate": 2, "padding": 1}
        other = layers.FixedConv2D("box", separable=separable, **changed)
        assert_close(as_numpy(layer(x, **changed)), as_numpy(other(x)), 1e-6, "changed")
        assert_close(as_numpy(layer(x)), before, 1e-6, "as before")
        symbolic = layer(keras.Input((None, None, 3)), **changed)
        assert symbolic.shape == (None, None, None, 3)
    pooled = layers.BlurPool2D(2)
    assert tuple(pooled(x, strides=1).shape) == x.shape
    with pytest.raises(ArgumentError, match="strides"):
        layer(x, strides=0)


def test_blur_pooling_is_the_published_one() -> None:
    """Against PyTorch's reflection padding and strided depthwise convolution of the paper."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 11, 8, 3)).astype("float32")
    for taps in (2, 3, 4, 5):
        row = np.poly1d([1, 1]) ** (taps - 1)
        kernel = np.outer(row.c, row.c) / row.c.sum() ** 2
        weight = torch.tensor(np.repeat(kernel[None, None], 3, 0).astype("float32"))
        low, high = (taps - 1) // 2, -(-(taps - 1) // 2)
        image = torch.tensor(x.transpose(0, 3, 1, 2))
        padded = torch.nn.functional.pad(image, (low, high, low, high), mode="reflect")
        expected = torch.nn.functional.conv2d(padded, weight, stride=2, groups=3)
        actual = as_numpy(layers.BlurPool2D(2, taps)(x))
        assert_close(actual, expected.numpy().transpose(0, 2, 3, 1), 1e-5, f"{taps} taps")

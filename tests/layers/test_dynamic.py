"""Layers whose kernel is an input, and layers with a kernel for each position."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers, reference
from convsmith.errors import ArgumentError, ShapeError
from convsmith.layers.initializers import with_fans
from convsmith.testing.autodiff import compiled, layer_gradients
from convsmith.testing.contract import as_numpy, assert_close

RANKS = {1: layers.DynamicConv1D, 2: layers.DynamicConv2D, 3: layers.DynamicConv3D}
SIZES = {1: (9,), 2: (7, 6), 3: (4, 5, 6)}
NAMES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pattern(rank: int, per_sample: bool, depthwise: bool, stride: int, dilation: int) -> str:
    names = NAMES[rank]
    windows = " ".join(f"({stride}{n}+{dilation}k{n})" for n in names)
    taps = " ".join(f"k{n}" for n in names)
    own = "b " if per_sample else ""
    inner, kernel, outer = ("c", "c m", "(c m)") if depthwise else ("(g i)", "i (g o)", "(g o)")
    return f"b {windows} {inner}, {own}{taps} {kernel} -> b {' '.join(names)} {outer}"


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("way", ["dense", "groups", "depthwise"])
def test_values_and_gradients_are_the_definition(rank: int, per_sample: bool, way: str) -> None:
    depthwise, groups = way == "depthwise", 2 if way == "groups" else 1
    layer = RANKS[rank](
        strides=2,
        dilation_rate=2,
        padding="same",
        padding_mode="reflect",
        depthwise=depthwise,
        groups=groups,
    )
    x = random((3, *SIZES[rank], 4))
    tail = (4, 2) if depthwise else (4 // groups, 6)
    kernel = random((*((3,) if per_sample else ()), *[2] * rank, *tail), 1)
    text = pattern(rank, per_sample, depthwise, 2, 2)
    options: dict[str, Any] = {"padding": "same", "padding_mode": "reflect"}
    if not depthwise:
        options["g"] = groups

    def define(x: Any, kernel: Any) -> Any:
        return reference.conv(text, x, kernel, **options)

    expected = define(x.astype("float64"), kernel.astype("float64"))
    outputs = layer([x, kernel])
    assert_close(as_numpy(outputs), expected, 2e-5, "values")
    assert tuple(layer.compute_output_shape([x.shape, kernel.shape])) == expected.shape
    cotangent = random(expected.shape, 2)
    gradients = layer_gradients(layer, [x, kernel], cotangent)
    for index, (gradient, at) in enumerate(zip(gradients, (x, kernel), strict=True)):
        direction = random(at.shape, 3 + index).astype("float64")
        moved = define(direction, kernel) if index == 0 else define(x, direction)
        # Linear in each operand: the derivative along a direction is the value there.
        wanted = float((moved * cotangent).sum())
        found = float((gradient.astype("float64") * direction).sum())
        assert abs(found - wanted) <= 1e-4 * (1 + np.abs(gradient * direction).sum()), index


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_functional_model_with_open_sizes_compiles_saves_and_loads(
    per_sample: bool, tmp_path: Any
) -> None:
    x = keras.Input((None, None, 3))
    batch = None if per_sample else 3
    kernel = keras.Input((3, 3, 3, 4)) if per_sample else keras.Input(batch_shape=(batch, 3, 3, 4))
    outputs = layers.DynamicConv2D(padding="same", use_bias=True, activation="tanh")([x, kernel])
    assert outputs.shape == (None, None, None, 4)
    model: Any = keras.Model([x, kernel], outputs)
    values = [random((2, 6, 5, 3)), random((2, 3, 3, 3, 4) if per_sample else (3, 3, 3, 4), 1)]
    expected = as_numpy(model(values))
    assert expected.shape == (2, 6, 5, 4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_close(as_numpy(again(values)), expected, 1e-6, "loaded")
    tensors = [keras.ops.convert_to_tensor(v) for v in values]
    if keras.backend.backend() != "torch":
        assert_close(as_numpy(compiled(model)(tensors)), expected, 1e-5, "compiled")


def test_a_hypernetwork_learns_the_kernel_of_each_sample() -> None:
    """A dense layer makes a kernel from a code; each code's target is another filter."""
    keras.utils.set_random_seed(0)
    filters = random((2, 3, 3, 1, 1), 5)
    codes = np.eye(2, dtype="float32")[np.arange(16) % 2]
    x = random((16, 8, 8, 1))
    target = as_numpy(layers.DynamicConv2D()([x, filters[np.arange(16) % 2]]))
    image, code = keras.Input((8, 8, 1)), keras.Input((2,))
    kernel = keras.layers.Reshape((3, 3, 1, 1))(keras.layers.Dense(9, use_bias=False)(code))
    model: Any = keras.Model([image, code], layers.DynamicConv2D()([image, kernel]))
    model.compile(keras.optimizers.Adam(0.1), "mse")
    history = model.fit([x, codes], target, epochs=100, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 1e-3 * history[0]
    learned = as_numpy(model.weights[0]).reshape(filters.shape)
    assert_close(learned, filters, 0.05, "kernels")


def test_half_precision_and_geometry_of_the_call() -> None:
    x, kernel = random((2, 8, 8, 3)), random((2, 3, 3, 3, 4), 1)
    layer = layers.DynamicConv2D()
    expected = as_numpy(layers.DynamicConv2D(strides=2, padding="same")([x, kernel]))
    changed = layer([x, kernel], strides=2, padding="same")
    assert_close(as_numpy(changed), expected, 0.0, "changed")
    half = layers.DynamicConv2D(dtype="mixed_bfloat16", strides=2, padding="same")([x, kernel])
    assert "bfloat16" in str(half.dtype)
    assert_close(as_numpy(half), expected, 0.1, "half")


@pytest.mark.parametrize(
    ("shape", "arguments", "words"),
    [
        ((3, 3, 4), {}, "the kernel has 3 axes"),
        ((3, 3, 5, 4), {}, "the kernel reads 5 channels, and the input has 3"),
        ((3, 3, 4, 3), {}, r"reads 4 channels.*Try: keras.ops.swapaxes\(kernel, -1, -2\)"),
        ((5, 3, 3, 3, 4), {}, "there are kernels for 5 samples and 2 samples"),
        ((3, 3, 1, 4), {"groups": 3}, r"4 filters can't be split into groups=3"),
        ((3, 3, 3, 4), {"groups": 3}, "reads 3 channels, and the input has 3 in 3 groups"),
        ((3, 3, 2, 4), {"depthwise": True}, "reads 2 channels, and the input has 3"),
    ],
)
def test_kernels_that_do_not_fit(
    shape: tuple[int, ...], arguments: dict[str, Any], words: str
) -> None:
    layer = layers.DynamicConv2D(**arguments)
    with pytest.raises(ShapeError, match=words):
        layer([random((2, 8, 8, 3)), random(shape)])


def test_other_inputs_than_two_are_refused() -> None:
    layer = layers.DynamicConv2D()
    with pytest.raises(ShapeError, match=r"it takes two inputs; expected \[x, kernel\]"):
        layer(random((2, 8, 8, 3)))
    with pytest.raises(ShapeError, match="Received: 3 of them"):
        layer([random((2, 8, 8, 3))] * 3)
    with pytest.raises(ArgumentError, match="says twice how channels are split"):
        layers.DynamicConv2D(groups=2, depthwise=True)
    with pytest.raises(ShapeError, match="the number of filters is unknown"):
        layers.DynamicConv2D(use_bias=True).build([(None, 8, 8, 3), (3, 3, 3, None)])


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("changes", [{}, {"strides": 2}, {"dilation_rate": 2, "padding": "full"}])
def test_symbolic_shapes_are_the_real_ones(per_sample: bool, changes: dict[str, Any]) -> None:
    own = (4,) if per_sample else ()
    x, kernel = random((4, 9, 8, 3)), random((*own, 2, 3, 3, 5), 1)
    layer = layers.DynamicConv2D()
    symbolic = layer([keras.Input(batch_shape=one.shape) for one in (x, kernel)], **changes)
    assert symbolic.shape == tuple(layer([x, kernel], **changes).shape)


def test_unknown_filters_stay_unknown() -> None:
    shapes = [(None, 8, 8, 3), (3, 3, 3, None)]
    for depthwise in (False, True):
        layer = layers.DynamicConv2D(depthwise=depthwise)
        assert layer.compute_output_shape(shapes) == (None, 6, 6, None)


# --------------------------------------------------------------------------- locally connected


def test_locally_connected_sizes_must_be_known_and_stay() -> None:
    with pytest.raises(ShapeError, match="there is a kernel for each position"):
        layers.LocallyConnected2D(4, 3)(keras.Input((None, 8, 3)))
    layer = layers.LocallyConnected2D(4, 3)
    layer.build((None, 8, 8, 3))
    with pytest.raises(ShapeError, match=r"sizes are \(9, 8\); expected \(8, 8\)"):
        layer(random((1, 9, 8, 3)))
    with pytest.raises(ShapeError, match="3 input channels can't be split"):
        layers.LocallyConnected2D(4, 3, groups=2).build((None, 8, 8, 3))
    with pytest.raises(ArgumentError, match="can't be split into groups=3"):
        layers.LocallyConnected2D(4, 3, groups=3)


def test_equal_kernels_make_a_convolution() -> None:
    x = random((2, 6, 7, 3))
    shared = layers.Conv2D(4, 3, padding="same", dilation_rate=2)
    expected = as_numpy(shared(x))
    local = layers.LocallyConnected2D(4, 3, padding="same", dilation_rate=2)
    local.build(x.shape)
    kernel = np.broadcast_to(as_numpy(shared.kernel), local.kernel.shape)
    local.set_weights([kernel, np.zeros((6, 7, 4))])
    assert_close(as_numpy(local(x)), expected, 1e-5, "values")


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "lecun_uniform", "glorot_normal"])
def test_initialisers_see_the_fans_of_one_position(name: str) -> None:
    local = layers.LocallyConnected2D(16, 3, kernel_initializer=name)
    local.build((None, 12, 12, 8))
    shared = layers.Conv2D(16, 3, kernel_initializer=name)
    shared.build((None, 12, 12, 8))
    ratio = float(np.std(as_numpy(local.kernel)) / np.std(as_numpy(shared.kernel)))
    assert 0.9 < ratio < 1.1
    config = local.get_config()["kernel_initializer"]
    assert config["config"].get("input_axes") is None, "the user's initialiser is what is saved"


def test_initialisers_with_axes_of_the_user_s_keep_them() -> None:
    own = keras.initializers.VarianceScaling(1.0, "fan_in", input_axes=[0], output_axes=[1])
    assert with_fans(own, [2], [3]) is own
    plain = keras.initializers.GlorotUniform(seed=1)
    assert with_fans(plain, [2], [3]).get_config()["input_axes"] == [2]
    assert with_fans(keras.initializers.Ones(), [2], [3]).get_config() == {}

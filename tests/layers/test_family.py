"""Depthwise, separable and transposed layers are Keras's, completed."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.errors import ArgumentError, KernelError, ShapeError
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import as_numpy, assert_close

DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.DepthwiseConv3D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D, layers.SeparableConv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
FAMILY = (*DEPTHWISE, *SEPARABLE, *TRANSPOSED)
SHAPES = {1: (2, 9, 4), 2: (2, 8, 7, 4), 3: (2, 5, 4, 6, 4)}
KERAS = [c for c in FAMILY if hasattr(keras.layers, c.__name__)]


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def made(layer_class: Any, **arguments: Any) -> Any:
    """A layer with three filters of size 3, built with random weights."""
    filters = {} if layer_class in DEPTHWISE else {"filters": 6}
    layer = layer_class(kernel_size=3, **{**filters, **arguments})
    layer.build(SHAPES[layer.spatial_rank])
    layer.set_weights([random(w.shape, 3) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("layer_class", KERAS)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "padding": "same"}],
)
def test_values_and_gradients_are_keras_own(layer_class: Any, arguments: dict[str, Any]) -> None:
    theirs_class = getattr(keras.layers, layer_class.__name__)
    assert issubclass(layer_class, theirs_class)
    left = made(layer_class, activation="tanh", **arguments)
    inputs = random(SHAPES[left.spatial_rank])
    filters = {} if layer_class in DEPTHWISE else {"filters": 6}
    right = theirs_class(kernel_size=3, activation="tanh", **filters, **arguments)
    right.build(inputs.shape)
    right.set_weights(left.get_weights())
    expected = as_numpy(right(inputs))
    assert_close(as_numpy(left(inputs)), expected, 1e-5, "values")
    declared = tuple(right.compute_output_shape(inputs.shape))
    assert left.compute_output_shape(inputs.shape) == declared
    cotangent = random(expected.shape, 1)
    pairs = zip(
        layer_gradients(left, inputs, cotangent),
        layer_gradients(right, inputs, cotangent),
        strict=True,
    )
    for actual, wanted in pairs:
        assert_close(actual, wanted, 1e-5, "gradient")


@pytest.mark.backend_free
@pytest.mark.parametrize("layer_class", [*KERAS, layers.Conv1D, layers.Conv2D, layers.Conv3D])
def test_positional_arguments_stand_in_keras_order(layer_class: Any) -> None:
    def positional(one: Any) -> list[str]:
        found = inspect.signature(one.__init__).parameters.values()
        return [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]

    theirs = positional(getattr(keras.layers, layer_class.__name__))
    ours = positional(layer_class)
    assert ours == theirs[: len(ours)]
    assert len(ours) == len(theirs) or layer_class is layers.Conv3DTranspose


@pytest.mark.parametrize("layer_class", FAMILY)
def test_a_call_changes_the_geometry_and_the_next_one_does_not(layer_class: Any) -> None:
    plain = made(layer_class)
    inputs = random(SHAPES[plain.spatial_rank])
    before = as_numpy(plain(inputs))
    changed = {"strides": 2, "dilation_rate": 2, "padding": "same"}
    other = made(layer_class, **changed)
    expected = as_numpy(other(inputs))
    assert_close(as_numpy(plain(inputs, **changed)), expected, 1e-6, "changed")
    assert_close(as_numpy(plain(inputs)), before, 0.0, "as before")
    assert plain.geometry == (plain.strides, plain.padding, plain.dilation_rate)
    # The rest is the constructor's.
    assert plain(inputs, padding="same").shape == made(layer_class, padding="same")(inputs).shape


@pytest.mark.parametrize("layer_class", [layers.Conv2D, layers.Conv2DTranspose])
def test_a_functional_model_keeps_the_geometry_of_its_calls(layer_class: Any) -> None:
    layer = made(layer_class)
    inputs = keras.Input((None, None, 4))
    dense, sparse = layer(inputs), layer(inputs, strides=(3, 2), padding="same")
    assert sparse.shape == (None, None, None, 6)
    model: Any = keras.Model(inputs, [dense, sparse])
    x = random((2, 8, 7, 4))
    expected = [as_numpy(layer(x)), as_numpy(layer(x, strides=(3, 2), padding="same"))]
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for one in (model, again):
        for actual, wanted in zip(one(x), expected, strict=True):
            assert_close(as_numpy(actual), wanted, 1e-5, "model")


def test_a_hook_sees_the_geometry_of_the_call() -> None:
    class Twice(layers.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return 2.0 * self.convolve(inputs, kernel)

    plain, twice = made(layers.Conv2D, use_bias=False), made(Twice, use_bias=False)
    x = random((2, 8, 7, 4))
    expected = 2 * as_numpy(plain(x, strides=2, padding="full"))
    assert_close(as_numpy(twice(x, strides=2, padding="full")), expected, 1e-5, "hook")


@pytest.mark.parametrize("layer_class", [layers.Conv2D, layers.SeparableConv2D])
def test_what_a_call_does_not_say_is_the_constructor_s(layer_class: Any) -> None:
    own = {"strides": 2, "dilation_rate": (1, 2), "padding": "same"}
    x = random((2, 8, 7, 4))
    for changed in ({"strides": (1, 3)}, {"dilation_rate": 1}, {"padding": "full"}):
        expected = as_numpy(made(layer_class, **{**own, **changed})(x))
        assert_close(as_numpy(made(layer_class, **own)(x, **changed)), expected, 1e-6, str(changed))


def test_a_call_inside_a_call_has_a_geometry_of_its_own() -> None:
    class Pyramid(layers.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            if self.geometry.strides == (3, 3):
                return self.convolve(inputs, kernel)
            fine = self.call(inputs, strides=3, padding="same")
            return self.convolve(inputs, kernel) + keras.ops.mean(fine)

    pyramid, plain = made(Pyramid, use_bias=False), made(layers.Conv2D, use_bias=False)
    x = random((2, 8, 7, 4))
    expected = as_numpy(plain(x, strides=2)) + as_numpy(plain(x, strides=3, padding="same")).mean()
    assert_close(as_numpy(pyramid(x, strides=2)), expected, 1e-5, "values")


def test_calls_in_several_threads_keep_their_geometries_apart() -> None:
    both, seen = threading.Barrier(2), []

    class Met(layers.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            both.wait(timeout=60)
            seen.append(self.geometry.strides)
            both.wait(timeout=60)
            return self.convolve(inputs, kernel)

    layer, plain = made(Met), made(layers.Conv2D)
    x = keras.ops.convert_to_tensor(random((2, 8, 7, 4)))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda strides: layer(x, strides=strides), (2, 3)))
    assert sorted(seen) == [(2, 2), (3, 3)]
    for strides, result in zip((2, 3), results, strict=True):
        assert_close(as_numpy(result), as_numpy(plain(x, strides=strides)), 1e-6, "values")


def test_a_call_that_fails_leaves_the_geometry_alone() -> None:
    layer = made(layers.Conv2D)
    with pytest.raises(ArgumentError, match="strides=0"):
        layer(random((2, 8, 7, 4)), strides=0)
    with pytest.raises(ShapeError, match="larger than the padded"):
        layer(random((2, 8, 7, 4)), dilation_rate=9)
    assert layer.geometry.strides == (1, 1)
    assert layer.geometry.dilation_rate == (1, 1)


def test_a_tensor_as_strides_works_where_its_numbers_are_known() -> None:
    layer = made(layers.Conv2D)
    x = random((2, 8, 7, 4))
    expected = as_numpy(layer(x, strides=(2, 3)))
    for strides in (keras.ops.convert_to_tensor([2, 3]), np.array([2, 3])):
        assert_close(as_numpy(layer(x, strides=strides)), expected, 0.0, "strides")
    assert layer(x, strides=keras.ops.convert_to_tensor(2)).shape == layer(x, strides=2).shape
    with pytest.raises(ArgumentError, match=r"aren't known while the call is traced.*strides=2"):
        layer(keras.Input((8, 7, 4)), strides=keras.Input((), dtype="int32"))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch's traces know numbers")
def test_a_tensor_as_strides_is_refused_while_tracing() -> None:
    layer = made(layers.Conv2D)
    x = random((2, 8, 7, 4))
    if keras.backend.backend() == "jax":
        import jax

        traced: Any = jax.jit(lambda x, s: layer(x, strides=s))
    else:
        import tensorflow

        tf: Any = tensorflow
        traced = tf.function(lambda x, s: layer(x, strides=s))
    with pytest.raises(ArgumentError, match="aren't known while the call is traced"):
        traced(x, keras.ops.convert_to_tensor(2))


@pytest.mark.parametrize("layer_class", [*SEPARABLE, *DEPTHWISE])
def test_transforms_see_one_filter_per_column(layer_class: Any) -> None:
    seen: list[tuple[int, ...]] = []

    def centred(kernel: Any) -> Any:
        seen.append(tuple(kernel.shape))
        axes = tuple(range(len(kernel.shape) - 1))
        return kernel - keras.ops.mean(kernel, axis=axes, keepdims=True)

    name = "depthwise_transform" if layer_class in SEPARABLE else "kernel_transform"
    layer = made(layer_class, depth_multiplier=2, **{name: centred})
    attribute = "effective_depthwise_kernel" if layer_class in SEPARABLE else "effective_kernel"
    kernel = as_numpy(getattr(layer, attribute))
    assert seen[-1][-2:] == (1, 8)
    axes = tuple(range(layer.spatial_rank))
    assert_close(kernel.mean(axes), np.zeros((4, 2)), 1e-6, "means")


def test_a_pointwise_transform_belongs_to_the_pointwise_kernel() -> None:
    layer = made(layers.SeparableConv2D, pointwise_transform=lambda kernel: 3.0 * kernel)
    plain = made(layers.SeparableConv2D)
    wanted = 3 * as_numpy(plain.pointwise_kernel)
    assert_close(as_numpy(layer.effective_pointwise_kernel), wanted, 1e-6, "pointwise")
    depthwise = as_numpy(layer.effective_depthwise_kernel)
    assert_close(depthwise, as_numpy(plain.depthwise_kernel), 0.0, "depthwise")


def test_a_transposed_transform_sees_filters_last() -> None:
    seen: list[tuple[int, ...]] = []

    def look(kernel: Any) -> Any:
        seen.append(tuple(kernel.shape))
        return kernel

    layer = made(layers.Conv2DTranspose, groups=2, kernel_transform=look)
    assert tuple(layer.effective_kernel.shape) == (3, 3, 3, 4)
    assert seen[-1] == (3, 3, 4, 3)


@pytest.mark.parametrize("layer_class", FAMILY)
def test_a_transform_that_changes_the_shape_is_refused(layer_class: Any) -> None:
    name = "depthwise_transform" if layer_class in SEPARABLE else "kernel_transform"
    layer = made(layer_class, **{name: lambda kernel: kernel[..., :1]})
    with pytest.raises(KernelError, match="expected the same shape"):
        layer(random(SHAPES[layer.spatial_rank]))


@pytest.mark.parametrize("layer_class", FAMILY)
def test_wrong_ranks_and_channels_are_refused(layer_class: Any) -> None:
    layer = made(layer_class)
    shape = SHAPES[layer.spatial_rank]
    with pytest.raises(ShapeError, match="axes"):
        layer(np.zeros(shape[1:], "float32"))
    with pytest.raises(ShapeError, match="the input has 5 channels; expected 4"):
        layer(np.zeros((*shape[:-1], 5), "float32"))
    for wrong in ({"strides": 0}, {"padding": "some"}, {"padding_mode": "mirror"}):
        with pytest.raises(ArgumentError):
            made(layer_class, **wrong)


def test_output_padding_that_nothing_writes_is_refused() -> None:
    with pytest.raises(ArgumentError, match="adds entries that no window writes"):
        layers.Conv2DTranspose(4, 3, strides=2, output_padding=2)
    layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=3, output_padding=2)


def test_groups_of_a_transposed_layer_must_divide() -> None:
    with pytest.raises(ArgumentError, match=r"filters=4: can't be split into groups=3.*filters=6"):
        layers.Conv2DTranspose(4, 3, groups=3)
    with pytest.raises(ShapeError, match="3 input channels can't be split into groups=2"):
        layers.Conv2DTranspose(4, 3, groups=2)(np.zeros((1, 5, 5, 3), "float32"))


def test_a_transposed_layer_is_the_adjoint_of_the_convolution() -> None:
    """<conv(x), y> = <x, transposed(y)> for the same kernel, with every mode that folds back."""
    for mode in ("constant", "wrap", "reflect", "edge", "symmetric"):
        common: dict[str, Any] = {"kernel_size": 3, "strides": 2, "padding": 1, "use_bias": False}
        forward = layers.Conv2D(6, padding_mode=mode, groups=2, **common)
        back = layers.Conv2DTranspose(4, padding_mode=mode, groups=2, **common)
        x = random((1, 9, 7, 4))
        y = random(tuple(forward(x).shape), 5)
        back.build(y.shape)
        kernel = random((3, 3, 2, 6), 7)
        forward.set_weights([kernel])
        # (kh, kw, o, g i) reads what (kh, kw, i, g o) writes, group by group.
        back.set_weights([kernel])
        left = float((as_numpy(forward(x)) * y).sum())
        right = float((x * as_numpy(back(y))).sum())
        assert abs(left - right) <= 1e-4 * max(1.0, abs(left)), mode

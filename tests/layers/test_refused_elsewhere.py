"""What Keras's own layers refuse, break on, or don't have: computed here on every backend."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.errors import ArgumentError
from convsmith.testing.autodiff import compiled, layer_gradients
from convsmith.testing.checks import check_compiled
from convsmith.testing.contract import (
    LayerCase,
    as_numpy,
    assert_close,
    check_reference,
)
from layer_cases import (
    definition,
    depthwise_definition,
    local_definition,
    transposed_definition,
)
from layer_kinds import CHANNELS, PLANES, built, but, given, made, random

SHAPE = (2, 7, 6, CHANNELS)


def case(layer_class: Any, shape: tuple[int, ...], reference: Any, **arguments: Any) -> LayerCase:
    sizes = {"kernel_size": 3, **arguments}
    if "Depthwise" not in layer_class.__name__:
        sizes = {"filters": 4, **sizes}
    return LayerCase(layer_class, sizes, shape, reference)


BOTH = {"strides": 2, "dilation_rate": 2}
COMPUTED: dict[str, LayerCase] = {
    # Strides with dilation: every Conv layer refuses them.
    **{
        f"strides with dilation, rank {len(shape) - 2}": case(
            getattr(layers, f"Conv{len(shape) - 2}D"),
            shape,
            definition(len(shape) - 2, **BOTH),
            **BOTH,
        )
        for shape in ((2, 9, 3), (2, 9, 8, 3), (1, 6, 7, 5, 2))
    },
    "strides with dilation, depthwise": case(
        layers.DepthwiseConv2D, (2, 9, 8, 3), depthwise_definition(2, **BOTH), **BOTH
    ),
    "strides with dilation, separable": case(
        layers.SeparableConv2D, (2, 9, 8, 3), depthwise_definition(2, **BOTH), **BOTH
    ),
    "strides with dilation, transposed": case(
        layers.Conv2DTranspose,
        (2, 4, 5, 3),
        transposed_definition(2, **BOTH, crop=0),
        **BOTH,
    ),
    "strides with dilation, locally connected": case(
        layers.LocallyConnected2D, (2, 9, 8, 3), local_definition(2, **BOTH), **BOTH
    ),
    # Strides that differ between the axes: Keras's depthwise layer refuses them.
    "strides of each axis, depthwise": case(
        layers.DepthwiseConv2D,
        (2, 9, 8, 3),
        depthwise_definition(2, strides=(2, 3)),
        strides=(2, 3),
    ),
    # Transposed with an even kernel and an explicit output_padding of 0: no primitive on a CPU.
    "even transposed kernel, output_padding 0": case(
        layers.Conv2DTranspose,
        (2, 4, 5, 3),
        transposed_definition(2, strides=2, crop=2),
        kernel_size=4,
        strides=2,
        padding="same",
        output_padding=0,
    ),
    "even transposed kernel, output_padding 1": case(
        layers.Conv1DTranspose,
        (2, 5, 3),
        transposed_definition(1, strides=3, crop=((0, 1),)),
        kernel_size=2,
        strides=3,
        padding="same",
        output_padding=1,
    ),
    "grouped transposed": case(
        layers.Conv2DTranspose,
        (2, 4, 5, 6),
        transposed_definition(2, strides=2, crop=0, groups=2),
        strides=2,
        groups=2,
    ),
    # Layers that Keras doesn't have.
    "DepthwiseConv3D": case(
        layers.DepthwiseConv3D, (1, 4, 5, 3, 2), depthwise_definition(3, padding="same"),
        padding="same",
    ),
    "SeparableConv3D": case(
        layers.SeparableConv3D, (1, 4, 5, 3, 2), depthwise_definition(3, padding="same"),
        padding="same",
    ),
    "causal SeparableConv1D": case(
        layers.SeparableConv1D, (2, 9, 3), depthwise_definition(1, padding="causal"),
        padding="causal",
    ),
    "a convolution of rank 4": case(
        layers.ConvND, (1, 3, 4, 3, 4, 2), definition(4, strides=(1, 2, 1, 1)),
        rank=4, strides=(1, 2, 1, 1),
    ),
    # Gradients on TensorFlow's CPU kernels: explicit padding with dilation or groups fails, and
    # any with another library.
    "explicit padding with dilation": case(
        layers.Conv2D, (2, 7, 6, 4), definition(2, padding=((1, 2), (0, 1)), dilation_rate=2),
        padding=((1, 2), (0, 1)), dilation_rate=2,
    ),
    "explicit padding with groups": case(
        layers.Conv2D, (2, 7, 6, 4), definition(2, padding=2, groups=2), padding=2, groups=2
    ),
    "explicit padding, depthwise": case(
        layers.DepthwiseConv2D, (2, 7, 6, 4), depthwise_definition(2, padding=((1, 2), (0, 1))),
        padding=((1, 2), (0, 1)),
    ),
    "dilation with groups": case(
        layers.Conv2D, (2, 7, 6, 4), definition(2, groups=2, dilation_rate=2),
        groups=2, dilation_rate=2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_values_and_gradients_are_the_definition(name: str) -> None:
    check_reference(COMPUTED[name])


@pytest.mark.parametrize("name", [name for name in COMPUTED if "rank" not in name])
def test_compiled_it_is_the_same(name: str) -> None:
    check_compiled(COMPUTED[name])


# Gradients in half and double precision on a CPU: dilation or groups, and channels first, fail.
NARROW: dict[str, tuple[str, dict[str, Any]]] = {
    "dilation": ("Conv2D", {"dilation_rate": 2}),
    "groups": ("Conv2D", {"groups": 2}),
    "channels first": ("Conv2D", {"data_format": "channels_first"}),
    "depthwise": ("DepthwiseConv2D", {"dilation_rate": 2, "data_format": "channels_first"}),
    "separable": ("SeparableConv2D", {"dilation_rate": 2}),
    "transposed": ("Conv2DTranspose", {"groups": 2, "data_format": "channels_first"}),
}


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_gradients_in_half_and_double_precision(name: str, dtype: str, backend: str) -> None:
    if (dtype, backend) == ("float64", "jax"):
        return  # It holds float64 as float32.
    kind, arguments = NARROW[name]
    first = "data_format" in arguments
    shape = (2, CHANNELS, 7, 6) if first else SHAPE

    def eighths(shape: tuple[int, ...], seed: int) -> Any:
        # Exact in every dtype, so that only sums round.
        return np.random.default_rng(seed).integers(-8, 9, shape).astype("float32") / 8

    gradients = []
    for precision in ("float32", dtype):
        layer = built(kind, shape, **arguments, dtype=precision)
        layer.set_weights([eighths(w.shape, 1 + i) for i, w in enumerate(layer.get_weights())])
        x = eighths(shape, 0).astype(precision)
        cotangent = eighths(tuple(layer(x).shape), 9).astype(precision)
        gradients.append(layer_gradients(layer, x, cotangent))
    for found, wanted in zip(gradients[1], gradients[0], strict=True):
        assert str(found.dtype) == dtype
        assert_close(found, wanted, 5e-3 if dtype == "float16" else 1e-5, "gradient")


@pytest.mark.parametrize("name", NARROW)
def test_a_step_in_mixed_precision(name: str) -> None:
    kind, arguments = NARROW[name]
    shape = (CHANNELS, 7, 6) if "data_format" in arguments else SHAPE[1:]
    ways = {"jax": (True,), "torch": (False,)}.get(keras.backend.backend(), (False, True))
    for jit in ways:
        layer = made(kind, **arguments, dtype="mixed_float16")
        model: Any = keras.Sequential([keras.Input(shape), layer, keras.layers.Flatten()])
        model.compile("sgd", "mse", jit_compile=jit)
        before = [w.copy() for w in layer.get_weights()]
        x = random((4, *shape))
        model.fit(x, np.ones(model(x).shape, "float32"), verbose=0)
        for old, new in zip(before, layer.get_weights(), strict=True):
            assert np.isfinite(new).all()
            assert (new != old).any()


# Symbolic tensors with groups ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "DynamicConv2D", "Conv3D"])
def test_groups_in_a_functional_model(name: str) -> None:
    """Keras's convolution of symbolic tensors refuses groups."""
    rank = 3 if "3D" in name else 2
    x, inputs = random((2, *(5,) * rank, CHANNELS)), keras.Input((*(None,) * rank, CHANNELS))
    layer = made(name, groups=2)
    kernel = random((3, 3, CHANNELS // 2, CHANNELS), 1)
    if "Dynamic" in name:
        other = keras.Input(batch_shape=kernel.shape)
        model: Any = keras.Model([inputs, other], layer([inputs, other]))
    else:
        model = keras.Model(inputs, layer(inputs))
    arguments = given(name, x, kernel)
    assert model.output_shape[-1] == CHANNELS
    assert_close(as_numpy(model(arguments)), as_numpy(layer(arguments)), 1e-6, "values")


# Tensors as strides -------------------------------------------------------------------------


@pytest.mark.parametrize("name", but(PLANES, "Local", "Fixed", "Masked", "Central", "Standard"))
def test_tensors_as_strides(name: str) -> None:
    """TensorFlow takes them in eager calls only, and as vectors only."""
    layer, x = built(name, SHAPE), random(SHAPE)
    expected = as_numpy(layer(given(name, x), strides=(2, 3)))
    for strides in (keras.ops.convert_to_tensor([2, 3]), np.array([2, 3]), (2, 3)):
        assert_close(as_numpy(layer(given(name, x), strides=strides)), expected, 0.0, "vector")
    both = layer(given(name, x), strides=keras.ops.convert_to_tensor(2))
    assert both.shape == layer(given(name, x), strides=2).shape
    with pytest.raises(ArgumentError, match=r"aren't known while the call is traced"):
        layer(given(name, keras.Input(batch_shape=SHAPE)), strides=keras.Input((), dtype="int32"))


# Saving -------------------------------------------------------------------------------------


def test_arrays_as_arguments_are_in_the_config() -> None:
    """An ndarray as a constructor's argument breaks the usual `get_config`."""
    for layer in (
        layers.FixedConv2D(random((3, 3))),
        layers.FixedConv2D(keras.ops.convert_to_tensor(random((3, 3)))),
        layers.MaskedConv2D(2, 3, mask=np.tri(3)),
        layers.Conv2D(2, np.int64(3), strides=np.array([1, 2]), padding=np.int32(1)),
    ):
        x = random((1, 6, 6, 2))
        outputs = as_numpy(layer(x))
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        again: Any = keras.saving.deserialize_keras_object(config)
        if not again.built:
            again.build(x.shape)
        again.set_weights(layer.get_weights())
        assert_close(as_numpy(again(x)), outputs, 1e-6, type(layer).__name__)


LOADING = """
import sys, keras, numpy
model = keras.saving.load_model(sys.argv[1] + "/model.keras")
numpy.save(sys.argv[1] + "/y.npy", model.predict(numpy.load(sys.argv[1] + "/x.npy"), verbose=0))
"""


def test_our_layers_load_where_the_library_was_imported_alone(tmp_path: Path) -> None:
    """Keras's users must register their layers, and import the module that does, in order."""
    model: Any = keras.Sequential([keras.Input((8, 8, CHANNELS))])
    for name in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "LocallyConnected2D"):
        model.add(made(name))
    x = random((2, 8, 8, CHANNELS))
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = "import convsmith" + LOADING
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert_close(np.load(tmp_path / "y.npy"), model.predict(x, verbose=0), 1e-5, "loaded")


def test_a_call_that_cannot_be_traced_has_a_shape() -> None:
    """JAX can't infer it from the call, so that Keras asks each such layer for it."""

    class ByNumPy(layers.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            numbers = keras.ops.convert_to_numpy(inputs)  # Symbolic tensors have none.
            return self.convolve(keras.ops.convert_to_tensor(numbers), kernel)

    outputs = ByNumPy(4, 3, strides=2)(keras.Input((None, 8, 3)))
    assert outputs.shape == (None, None, 3, 4)


# Every way to compile -----------------------------------------------------------------------


def test_every_way_to_compile_gives_the_same(backend: str) -> None:
    """`jit_compile="auto"` depends on backend and device, so that users meet all of them."""
    ways: list[dict[str, Any]] = [{"jit_compile": "auto"}, {"run_eagerly": True}]
    if backend == "tensorflow":
        ways += [{"jit_compile": False}, {"jit_compile": True}]
    x, y = random((4, 8, 7, CHANNELS)), random((4, 1), 1)
    names = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
    results: list[Any] = []
    for way in ways:
        model: Any = keras.Sequential([keras.Input(x.shape[1:])])
        for name in names:
            model.add(made(name, data_format="channels_last", activation="tanh"))
        model.add(keras.layers.GlobalAveragePooling2D())
        model.add(keras.layers.Dense(1))
        model.set_weights([random(w.shape, i) for i, w in enumerate(model.get_weights())])
        model.compile(keras.optimizers.SGD(0.1), "mse", **way)
        model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
        results.append([model.predict(x, verbose=0), *model.get_weights()])
    for way, result in zip(ways[1:], results[1:], strict=True):
        for found, wanted in zip(result, results[0], strict=True):
            assert_close(found, wanted, 1e-5, str(way))


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D"])
def test_functions_inside_functions(name: str, backend: str) -> None:
    """Jitted in plain, plain in jitted, and both in each other: XLA's way must be seen in time."""
    layer, x = built(name, SHAPE), keras.ops.convert_to_tensor(random(SHAPE))
    expected = as_numpy(layer(x))
    assert_close(as_numpy(compiled(layer)(x)), expected, 1e-5, "compiled")
    if backend != "tensorflow":
        return
    import tensorflow

    tf: Any = tensorflow
    for inner in (False, True):
        called = tf.function(layer, jit_compile=inner)
        for outer in (False, True):
            nested = tf.function(lambda x, called=called: called(x), jit_compile=outer)
            assert_close(as_numpy(nested(x)), expected, 1e-5, f"{inner} in {outer}")
        assert_close(as_numpy(called(x)), expected, 1e-5, f"{inner} alone")


# Images and lists ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANES)
def test_uint8_images_train_a_model(name: str) -> None:
    """They fail in Conv2D on TensorFlow and PyTorch."""
    if "Dynamic" in name:
        return  # Two inputs; a whole one is in the numbered facts.
    images = np.random.default_rng(0).integers(0, 255, SHAPE).astype("uint8")
    inputs = keras.Input(SHAPE[1:], dtype="uint8")
    outputs = keras.layers.GlobalAveragePooling2D()(made(name)(inputs))
    model: Any = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    model.fit(images, np.ones((2, 1)), verbose=0)
    assert np.isfinite(model.predict(images, verbose=0)).all()


@pytest.mark.parametrize("name", PLANES)
def test_lists_are_refused_and_their_arrays_taken(name: str) -> None:
    """TensorFlow's `ops.conv` fails on lists, and PyTorch's takes them."""
    layer, x = built(name, SHAPE), random(SHAPE)
    expected = as_numpy(layer(given(name, keras.ops.convert_to_tensor(x))))
    np.testing.assert_array_equal(as_numpy(layer(given(name, x))), expected)
    with pytest.raises(ValueError, match="input"):
        layer(given(name, x.tolist(), None))

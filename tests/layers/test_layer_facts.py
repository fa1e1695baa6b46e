"""What users of the platforms hit (numbered): every layer computes it right, or refuses it.

The first tests of each number are in `test_facts.py`, for the engine and the commonest layers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers, transforms
from convsmith.errors import ArgumentError, ConvsmithError, KernelError, ShapeError
from convsmith.testing.autodiff import compiled, layer_gradients
from convsmith.testing.contract import as_numpy, assert_close
from layer_kinds import (
    CHANNELS,
    KINDS,
    PLANES,
    SIZES,
    WRITING,
    built,
    but,
    given,
    made,
    of,
    random,
    shaped,
)

FACTS: dict[str, str] = {
    "1 no batch axis aborts": "test_fact_01_one_sample_without_batch_axis_is_an_error",
    "1 an override that calls the backend": "test_fact_01_an_overrider_that_calls_the_backend_is_"
    "protected",
    "2 input = kernel - 1": "test_fact_02_an_input_one_smaller_than_the_kernel_is_an_error",
    "2 functional, unknown sizes": "test_fact_02_also_in_a_model_of_open_sizes",
    "2 predict": "test_fact_02_also_in_predict",
    "2 graphs": "test_fact_02_a_graph_of_open_sizes_makes_up_no_numbers",
    "3 empty batch": "test_fact_03_an_empty_batch_keeps_the_shape",
    "4 bias along the width": "test_fact_04_the_bias_is_one_for_each_filter",
    "4 graph and XLA": "test_fact_04_also_compiled_and_in_graphs",
    "4 bias gradient": "test_fact_04_the_gradient_of_the_bias_is_its_own_sum",
    "4 bias gradient in fit": "test_fact_04_the_bias_gradient_in_fit",
    "5 layouts of a given kernel": "test_fact_05_a_kernel_that_would_be_broadcast_is_refused",
    "5 constant initialisers": "test_fact_05_a_constant_initialiser_is_not_broadcast_to_another_"
    "shape",
    "6 spatial axes and channels": "test_fact_06_channels_are_no_spatial_axis",
    "7 the kernel never moves, is lost": "test_fact_07_every_weight_moves_and_comes_back",
    "8 an override loses arguments": "test_fact_08_overriders_lose_no_argument",
    "8 epsilon underflows": "test_fact_08_a_constant_kernel_stays_finite",
    "8 a 1x1 kernel becomes 0": "test_fact_08_a_filter_of_one_number_is_refused_not_zeroed",
    "9 whole inputs": "test_fact_09_whole_inputs_do_not_truncate_the_kernel",
    "9 complex inputs": "test_fact_09_complex_inputs_keep_their_imaginary_part",
    "9 float64": "test_fact_09_float64_is_computed_as_such_or_shown",
    "10 unknown paddings": "test_fact_10_unknown_paddings_are_refused",
    "10 words": "test_fact_10_known_paddings_are_those_of_a_padded_array",
    "10 modes": "test_fact_10_paddings_and_modes_are_numpys",
    "11 blur": "test_fact_11_a_blur_keeps_height_and_width_apart",
    "11 edges": "test_fact_11_an_edge_filter_meets_the_edges_that_it_is_told",
    "12 channels that divide": "test_fact_12_a_mismatch_that_divides_evenly_is_no_grouped_"
    "convolution",
    "12 numbers of strides": "test_fact_12_strides_are_one_for_each_axis",
    "12 another rank": "test_fact_12_a_kernel_of_another_rank_is_refused",
    "strides with dilation, absent layers, transposed sizes, CPU gradients":
        "test_values_and_gradients_are_the_definition",
    "the same under XLA": "test_compiled_it_is_the_same",
    "gradients in half and double precision": "test_gradients_in_half_and_double_precision",
    "mixed precision trained": "test_a_step_in_mixed_precision",
    "symbolic groups": "test_groups_in_a_functional_model",
    "tensor strides": "test_tensors_as_strides",
    "tensor strides while tracing": "test_a_tensor_as_strides_is_refused_while_tracing",
    "arrays in configs": "test_arrays_as_arguments_are_in_the_config",
    "loading": "test_our_layers_load_where_the_library_was_imported_alone",
    "calls that can't be traced": "test_a_call_that_cannot_be_traced_has_a_shape",
    "jit_compile": "test_every_way_to_compile_gives_the_same",
    "seeing XLA": "test_functions_inside_functions",
    "uint8 images": "test_uint8_images_train_a_model",
    "lists": "test_lists_are_refused_and_their_arrays_taken",
}  # fmt: skip
"""What goes wrong elsewhere, and the test that it doesn't here; those without a number are in
`test_refused_elsewhere.py`."""

READING = but(KINDS, *WRITING)
WITH_BIAS = but(KINDS, "Fixed")


def tensor(x: Any) -> Any:
    return keras.ops.convert_to_tensor(x)


@pytest.mark.backend_free
def test_every_fact_has_its_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert not [name for name in FACTS.values() if f"def {name}(" not in tests]


# 1: an input without batch axis aborts the process ------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("ready", [False, True])
def test_fact_01_one_sample_without_batch_axis_is_an_error(name: str, ready: bool) -> None:
    """Eager TensorFlow aborts the process where a layer hands it an image of rank 2 or 3."""
    rank = KINDS[name][0]
    sample = (*SIZES[rank], CHANNELS)
    layer = built(name, (1, *sample)) if ready else made(name)
    for shape in (sample, sample[:-1]):
        x = random(shape)
        for form in (x, tensor(x), keras.Input(batch_shape=shape)):
            with pytest.raises(ShapeError, match=rf"the input has {len(shape)} axes; expected"):
                layer(given(name, form))


def test_fact_01_a_pattern_counts_its_axes() -> None:
    layer = layers.PatternConv("b (h+kh) (w+kw) i, kh kw i o -> b h w o", kh=3, kw=3, o=4)
    for shape in ((6, 5), (6, 5, 4)):
        for form in (random(shape), tensor(random(shape)), keras.Input(batch_shape=shape)):
            with pytest.raises(ShapeError, match=f"operand 1 .* has rank {len(shape)}; expected"):
                layer(form)


# 2: an input one smaller than the kernel reads uninitialised memory -------------------------

WORDS = "the kernel is larger than the padded input"


def one_too_small(name: str, axis: int, batch: int = 2) -> tuple[int, ...]:
    """Return an input shape whose size along an axis is one less than the kernel's."""
    sizes = list(SIZES[KINDS[name][0]])
    sizes[axis] = 2
    return (batch, *sizes, CHANNELS)


@pytest.mark.parametrize("name", READING)
def test_fact_02_an_input_one_smaller_than_the_kernel_is_an_error(name: str) -> None:
    """TensorFlow returns uninitialised memory of a wrong shape where the output has size 0."""
    layer = built(name, (2, *SIZES[KINDS[name][0]], CHANNELS)) if "Local" not in name else None
    for axis, batch in product(range(KINDS[name][0]), (2, 0)):
        shape = one_too_small(name, axis, batch)
        x = np.ones(shape, "float32")
        for form in (x, keras.Input(batch_shape=shape)):
            with pytest.raises(ShapeError, match=WORDS):
                (layer or made(name))(given(name, form))
        with pytest.raises(ShapeError, match=WORDS):
            (layer or made(name)).compute_output_shape(shaped(name, shape))


@pytest.mark.parametrize("name", but(READING, "Local", "Dynamic"))
def test_fact_02_also_in_a_model_of_open_sizes(name: str) -> None:
    rank = KINDS[name][0]
    good = random((2, *SIZES[rank], CHANNELS))
    layer = built(name, good.shape)
    inputs = keras.Input((*(None,) * rank, CHANNELS))
    model: Any = keras.Model(inputs, layer(inputs))
    assert_close(as_numpy(model(good)), as_numpy(layer(good)), 1e-6, "a good input")
    with pytest.raises(ShapeError, match=WORDS):
        model(np.ones(one_too_small(name, 0), "float32"))


@pytest.mark.parametrize("name", ["DepthwiseConv2D", "SeparableConv1D", "FixedConv2D", "Conv3D"])
def test_fact_02_also_in_predict(name: str, backend: str) -> None:
    errors: tuple[type[Exception], ...] = (ShapeError,)
    if backend == "tensorflow":
        import tensorflow

        errors = (ShapeError, tensorflow.errors.InvalidArgumentError)
    good = random((2, *SIZES[KINDS[name][0]], CHANNELS))
    for eagerly in (False, True):
        inputs = keras.Input((*(None,) * KINDS[name][0], CHANNELS))
        model: Any = keras.Model(inputs, made(name)(inputs))
        model.compile(run_eagerly=eagerly)
        assert model.predict(good, verbose=0).shape == tuple(model(good).shape)
        with pytest.raises(errors):
            model.predict(np.ones(one_too_small(name, 0), "float32"), verbose=0)


@pytest.mark.parametrize("name", ["DepthwiseConv2D", "SeparableConv2D", "Conv1D", "FixedConv2D"])
def test_fact_02_a_graph_of_open_sizes_makes_up_no_numbers(name: str, backend: str) -> None:
    """A graph stops with an error; XLA drops those, and then the output has no entries."""
    if backend != "tensorflow":
        return  # JAX and PyTorch know the sizes when they trace.
    import tensorflow

    tf: Any = tensorflow
    rank = KINDS[name][0]
    layer = built(name, (2, *SIZES[rank], CHANNELS))
    signature = [tf.TensorSpec((None, *(None,) * rank, CHANNELS))]
    bad = tf.ones(one_too_small(name, 0))
    with pytest.raises((tf.errors.InvalidArgumentError, ConvsmithError)):
        tf.function(layer, input_signature=signature)(bad)
    try:
        outputs = tf.function(layer, input_signature=signature, jit_compile=True)(bad)
    except (tf.errors.InvalidArgumentError, ConvsmithError):
        return
    assert 0 in outputs.shape


# 3: an empty batch has a wrong shape --------------------------------------------------------


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fact_03_an_empty_batch_keeps_the_shape(name: str, data_format: str) -> None:
    """TensorFlow gives (0, 8, 8, 4) for (0, 8, 8, 4) and a kernel of 3 with 6 filters."""
    last = data_format == "channels_last"
    shape = (0, 8, 8, CHANNELS) if last else (0, CHANNELS, 8, 8)
    filters = {"filters": 6} if "filters" in KINDS[name][1] else {}
    layer = made(name, data_format=data_format, **filters)
    depth = filters.get("filters", CHANNELS)
    size = 10 if name in WRITING else 6
    expected = (0, size, size, depth) if last else (0, depth, size, size)
    x = np.zeros(shape, "float32")
    assert tuple(layer(given(name, x)).shape) == expected
    assert tuple(layer.compute_output_shape(shaped(name, shape))) == expected
    if last and name in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
        assert tuple(compiled(layer)(tensor(x)).shape) == expected


@pytest.mark.parametrize("name", but(PLANES, "Dynamic"))
def test_fact_03_its_gradients_are_zeros(name: str) -> None:
    layer = built(name, (2, 6, 5, CHANNELS))
    x = np.zeros((0, 6, 5, CHANNELS), "float32")
    gradients = layer_gradients(layer, x, np.zeros(tuple(layer(x).shape), "float32"))
    shapes = [x.shape, *(tuple(w.shape) for w in layer.trainable_weights)]
    assert [g.shape for g in gradients] == shapes
    assert not any(g.any() for g in gradients)


# 4: the bias of a channels-first layer goes along the width ---------------------------------


def with_bias_only(name: str) -> tuple[Any, Any, Any, Any]:
    """Return a channels-first layer of width == filters, its input, bias, and wanted outputs."""
    rank = KINDS[name][0]
    sizes = (*SIZES[rank][:-1], CHANNELS)
    x = random((2, CHANNELS, *sizes))
    changes = {"use_bias": True} if "Dynamic" in name else {}
    layer = built(name, x.shape, data_format="channels_first", padding="same", **changes)
    for weight in layer.weights:
        if weight.name != "bias":
            weight.assign(np.zeros(tuple(weight.shape)))
    bias = as_numpy(layer.bias)
    # A locally connected layer has one for each position.
    placed = np.moveaxis(bias, -1, 0) if bias.ndim > 1 else bias.reshape(-1, *(1,) * rank)
    return layer, x, bias, np.broadcast_to(placed, (2, CHANNELS, *sizes))


@pytest.mark.parametrize("name", WITH_BIAS)
def test_fact_04_the_bias_is_one_for_each_filter(name: str) -> None:
    """Keras on TensorFlow adds it along the width where width and filters are of one size."""
    layer, x, _, expected = with_bias_only(name)
    zeros = np.zeros((*(3,) * KINDS[name][0], CHANNELS, CHANNELS), "float32")
    assert_close(as_numpy(layer(given(name, x, zeros))), expected, 1e-6, "eager")


@pytest.mark.parametrize("name", but(PLANES, "Fixed"))
def test_fact_04_also_compiled_and_in_graphs(name: str, backend: str) -> None:
    layer, x, _, expected = with_bias_only(name)
    zeros = np.zeros((3, 3, CHANNELS, CHANNELS), "float32")
    inputs = keras.tree.map_structure(tensor, given(name, x, zeros))
    assert_close(as_numpy(compiled(layer)(inputs)), expected, 1e-6, "compiled")
    if backend == "tensorflow":
        import tensorflow

        tf: Any = tensorflow
        assert_close(as_numpy(tf.function(layer)(inputs)), expected, 1e-6, "graph")


@pytest.mark.parametrize("name", but(WITH_BIAS, "Dynamic"))
def test_fact_04_the_gradient_of_the_bias_is_its_own_sum(name: str) -> None:
    layer, x, bias, expected = with_bias_only(name)
    cotangent = random(expected.shape, 5)
    index = [w.name for w in layer.trainable_weights].index("bias")
    gradient = layer_gradients(layer, x, cotangent)[1 + index]
    over = (0,) if bias.ndim > 1 else (0, *range(2, cotangent.ndim))
    wanted = cotangent.sum(over)
    assert_close(gradient, np.moveaxis(wanted, 0, -1), 1e-5, "bias gradient")


# 5: a kernel in another layout is broadcast --------------------------------------------------


INITIALISED = [
    ("Conv2D", "kernel", (2, 2, 3, 4)),
    ("DepthwiseConv2D", "depthwise", (2, 2, 3, 1)),
    ("SeparableConv2D", "depthwise", (2, 2, 3, 1)),
    ("SeparableConv2D", "pointwise", (1, 1, 3, 4)),
    ("Conv2DTranspose", "kernel", (2, 2, 4, 3)),
    ("LocallyConnected2D", "kernel", (4, 4, 2, 2, 3, 4)),
    ("PatternConv", "kernel", (2, 2, 3, 4)),
]


@pytest.mark.parametrize(("name", "weight", "shape"), INITIALISED)
def test_fact_05_a_constant_initialiser_is_not_broadcast_to_another_shape(
    name: str, weight: str, shape: tuple[int, ...]
) -> None:
    """An RGB kernel in another layout makes a weight, and outputs, of more channels than said."""

    def layer(kernel: Any) -> Any:
        constant = {f"{weight}_initializer": keras.initializers.Constant(kernel)}
        if name == "PatternConv":
            pattern = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
            return layers.PatternConv(pattern, kh=2, kw=2, o=4, **constant)
        return made(name, kernel_size=2, **constant)

    x, kernel = random((1, 5, 5, 3)), random(shape, 1)
    good = layer(kernel)
    assert tuple(good(x).shape) == good.compute_output_shape(x.shape)
    found = getattr(good, f"{weight}_kernel" if "Separable" in name else "kernel")
    np.testing.assert_array_equal(as_numpy(found), kernel)
    assert good.get_config()[f"{weight}_initializer"] is not None
    # One more entry along an axis of 1, or an axis more, is what broadcasting would give.
    wrong = kernel[None] if 1 not in shape else np.concatenate([kernel] * 2, shape.index(1))
    with pytest.raises(KernelError, match=r"initializer Constant: gives .* for a weight of shape"):
        layer(wrong)(x)


# 7: the kernel isn't trained, or isn't saved ------------------------------------------------


@keras.saving.register_keras_serializable(package="facts")
class Amplified(layers.DepthwiseConv2D):
    """A user's own layer: a gain for each channel, learned with the kernel."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(CHANNELS, 1), initializer="ones")

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return self.convolve(inputs, kernel * self.gain)


def model_of(layer: Any) -> Any:
    model: Any = keras.Sequential([keras.Input((6, 5, CHANNELS)), layer, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    return model


MOVING: dict[str, Callable[[], Any]] = {
    **{name: lambda name=name: made(name) for name in but(PLANES, "Fixed", "Dynamic")},
    "FixedConv2D": lambda: layers.FixedConv2D("box", trainable=True),
    "Amplified": lambda: Amplified(3, activation="tanh"),
    "PatternConv": lambda: layers.PatternConv(
        "b (h+kh) (w+kw) i, kh r, kw r, i r o -> b h w o", kh=3, kw=3, r=2, o=4, bias="o"
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_fact_07_every_weight_moves_and_comes_back(name: str, tmp_path: Path) -> None:
    """Layers that call TensorFlow on PyTorch never move; untracked variables aren't saved."""
    x, layer = random((8, 6, 5, CHANNELS)), MOVING[name]()
    model = model_of(layer)
    before = [as_numpy(w).copy() for w in layer.trainable_weights]
    assert before
    model.fit(x, random((8, 1), 1), epochs=2, verbose=0)
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        assert (as_numpy(weight) != old).any(), weight.path
    model.save(tmp_path / "model.keras")
    again: Any = keras.saving.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert_close(again.predict(x, verbose=0), model.predict(x, verbose=0), 1e-5, "loaded")


def test_fact_07_what_makes_a_kernel_moves_too() -> None:
    image, code = keras.Input((6, 5, CHANNELS)), keras.Input((2,))
    kernel = keras.layers.Reshape((3, 3, CHANNELS, 2))(keras.layers.Dense(72, name="dense")(code))
    model: Any = keras.Model([image, code], layers.DynamicConv2D(use_bias=True)([image, kernel]))
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    x = [random((4, 6, 5, CHANNELS)), random((4, 2), 1)]
    model.fit(x, random((4, 4, 3, 2), 2), verbose=0)
    assert len(before) == 3
    assert all((new != old).any() for new, old in zip(model.get_weights(), before, strict=True))


# 8: overridden layers lose their arguments, or aren't finite --------------------------------


class DepthwiseInOneLine(layers.DepthwiseConv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return self.convolve(inputs, 2.0 * kernel)


class SeparableInOneLine(layers.SeparableConv2D):
    def convolution_op(self, inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any) -> Any:
        return self.convolve(inputs, 2.0 * depthwise_kernel, pointwise_kernel)


class TransposedInOneLine(layers.Conv2DTranspose):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return self.convolve(inputs, 2.0 * kernel)


class LocalInOneLine(layers.LocallyConnected2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return self.convolve(inputs, 2.0 * kernel)


OVERRIDERS = [DepthwiseInOneLine, SeparableInOneLine, TransposedInOneLine, LocalInOneLine]
HONOURED: dict[str, Any] = {
    "strides": 2,
    "dilation_rate": (1, 2),
    "padding": "same",
    "activation": "tanh",
    "data_format": "channels_first",
}


@pytest.mark.parametrize("layer_class", OVERRIDERS)
def test_fact_08_overriders_lose_no_argument(layer_class: Any) -> None:
    """The usual override ignores padding, dilation and data format; the other, the activation."""
    name = layer_class.__base__.__name__
    mode = "wrap" if name in WRITING else "reflect"
    groups = {} if "able" in name or "Depth" in name else {"groups": 2}
    arguments = {**KINDS[name][1], **HONOURED, **groups, "padding_mode": mode}
    layer, whole = layer_class(**arguments), getattr(layers, name)(**arguments)
    x = random((2, CHANNELS, 7, 8))
    whole.build(x.shape)
    weights = [random(w.shape, 1 + i) for i, w in enumerate(whole.get_weights())]
    layer.build(x.shape)
    layer.set_weights(weights)
    whole.set_weights([2 * weights[0], *weights[1:]])
    outputs = as_numpy(layer(x))
    assert_close(outputs, as_numpy(whole(x)), 1e-5, "values")
    assert tuple(layer.compute_output_shape(x.shape)) == outputs.shape


TRANSFORMED = [
    ("DepthwiseConv2D", "kernel_transform"),
    ("SeparableConv2D", "depthwise_transform"),
    ("SeparableConv2D", "pointwise_transform"),
    ("Conv2DTranspose", "kernel_transform"),
    ("ConvND", "kernel_transform"),
]


@pytest.mark.parametrize(("name", "argument"), TRANSFORMED)
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("value", [0.0, 1000.0])
def test_fact_08_a_constant_kernel_stays_finite(
    name: str, argument: str, dtype: str, value: float
) -> None:
    """An epsilon of 1e-10 underflows in float16, and the variance of a constant is 0."""
    standardize = transforms.Standardize(epsilon=1e-10)
    x = random((2, *SIZES[KINDS[name][0]], CHANNELS))
    layer = made(name, **{argument: standardize}, dtype=dtype)
    layer.build(x.shape)
    kernel = argument.replace("transform", "kernel").replace("kernel_kernel", "kernel")
    weight = getattr(layer, kernel)
    weight.assign(np.full(tuple(weight.shape), value))
    outputs = as_numpy(layer(x)).astype("float32")
    np.testing.assert_allclose(outputs, 0, atol=1e-2)
    for gradient in layer_gradients(layer, x, np.ones(outputs.shape, "float32")):
        assert np.isfinite(gradient.astype("float32")).all()


@pytest.mark.parametrize(
    ("name", "arguments", "channels"),
    [
        ("Conv1D", {"kernel_transform": "standardize"}, 1),
        ("DepthwiseConv2D", {"kernel_transform": "standardize"}, 4),
        ("SeparableConv2D", {"depthwise_transform": "standardize"}, 4),
        ("SeparableConv2D", {"pointwise_transform": "standardize"}, 1),
        ("Conv2DTranspose", {"kernel_transform": "standardize"}, 1),
    ],
)
def test_fact_08_a_filter_of_one_number_is_refused_not_zeroed(
    name: str, arguments: dict[str, Any], channels: int
) -> None:
    layer = made(name, kernel_size=1, **arguments)
    with pytest.raises(KernelError, match="which would always become 0"):
        layer(random((1, *SIZES[KINDS[name][0]], channels)))


# 9: dtypes that lose values -----------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_fact_09_whole_inputs_do_not_truncate_the_kernel(name: str) -> None:
    """A whole input truncates a float filter to 0; uint8 images fail in Conv2D."""
    shape = (2, *SIZES[KINDS[name][0]], CHANNELS)
    layer = built(name, shape)
    numbers = np.random.default_rng(0).integers(0, 120, shape)
    expected = as_numpy(layer(given(name, numbers.astype("float32"))))
    assert np.abs(expected).max() > 0
    for dtype in ("uint8", "int8", "int32"):
        outputs = layer(given(name, tensor(numbers.astype(dtype))))
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        assert_close(as_numpy(outputs), expected, 1e-6, dtype)
    yes = as_numpy(layer(given(name, numbers > 50)))
    ones = as_numpy(layer(given(name, (numbers > 50).astype("float32"))))
    assert_close(yes, ones, 1e-6, "bool")


@pytest.mark.parametrize("name", PLANES)
def test_fact_09_float64_is_computed_as_such_or_shown(name: str, backend: str) -> None:
    """JAX holds float64 as float32 unless told; elsewhere a float64 layer rounds nothing."""
    if backend == "jax":
        return
    shape = (2, *SIZES[2], CHANNELS)
    layer = built(name, shape, dtype="float64")
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    kernel = np.random.default_rng(1).uniform(-1, 1, (3, 3, CHANNELS, CHANNELS))
    outputs = layer(given(name, x, kernel))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float64"
    moved = as_numpy(layer(given(name, x * (1 + 2**-40), kernel))) - as_numpy(outputs)
    zero = as_numpy(layer(given(name, 0 * x, kernel)))
    # Linear but for the bias, and a change of 2**-40 is below what float32 tells apart.
    assert_close(moved * 2.0**40, as_numpy(outputs) - zero, 1e-3, "a small change")


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fact_09_complex_inputs_keep_their_imaginary_part(name: str, data_format: str) -> None:
    """JAX casts the input to the kernel's dtype, and drops it."""
    shape = (2, CHANNELS, CHANNELS, CHANNELS)
    layer = built(name, shape, data_format=data_format)
    real, imaginary = random(shape), random(shape, 1)
    x = (real + 1j * imaginary).astype("complex64")
    parts = [as_numpy(layer(given(name, part))) for part in (real, imaginary, 0 * real)]
    expected = parts[0] + 1j * (parts[1] - parts[2])  # The bias is real.
    for form in (x, tensor(x)):
        outputs = as_numpy(layer(given(name, form)))
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


# 10: unknown paddings are "valid", and modes differ -----------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("padding", ["foo", "same-lower", "", None])
def test_fact_10_unknown_paddings_are_refused(name: str, padding: Any) -> None:
    """PyTorch takes any word it doesn't know for "valid"."""
    with pytest.raises(ArgumentError, match=rf"padding={padding!r}: is not a"):
        made(name, padding=padding)


def amounts(word: str, size: int, reach: int, stride: int) -> tuple[int, int]:
    """Return what a word pads a side with, from its definition."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return {
        "valid": (0, 0),
        "same": (total // 2, total - total // 2),
        "same_lower": (total - total // 2, total // 2),
        "causal": (reach - 1, 0),
        "full": (reach - 1, reach - 1),
    }[word]


@pytest.mark.parametrize(
    "name", [*but(PLANES, "Masked", "Central", "Standard", *WRITING), "SeparableConv1D", "ConvND"]
)
@pytest.mark.parametrize("padding", ["valid", "same", "same_lower", "causal", "full"])
def test_fact_10_known_paddings_are_those_of_a_padded_array(name: str, padding: str) -> None:
    """Also `same` with even kernels and strides, and `causal` in any number of axes."""
    rank = KINDS[name][0]
    size = 2 if rank == 4 else 4
    sized = {"kernel": random((size,) * rank)} if "Fixed" in name else {"kernel_size": size}
    changes = {"strides": 2, **({} if "Dynamic" in name else sized)}
    kernel = random((*(size,) * rank, CHANNELS, CHANNELS), 3)
    sizes = tuple(n + 1 for n in SIZES[rank])
    x = random((2, *sizes, CHANNELS))
    pads = [(0, 0), *(amounts(padding, n, size, 2) for n in sizes), (0, 0)]
    wide = np.pad(x, pads)
    if "Dynamic" in name:
        layer, plain = made(name, **changes, padding=padding), made(name, **changes)
    else:
        plain = built(name, wide.shape, **changes)
        layer = made(name, **changes, padding=padding)
        layer.build(x.shape)
        layer.set_weights(plain.get_weights())
    expected = as_numpy(plain(given(name, wide, kernel)))
    assert_close(as_numpy(layer(given(name, x, kernel))), expected, 1e-5, padding)


@pytest.mark.parametrize("name", but(of("2D"), "Masked", "Central", "Standardized", *WRITING))
@pytest.mark.parametrize(
    ("mode", "padding", "fill"),
    [
        ("constant", ((1, 2), (0, 1)), None),
        ("constant", 2, 1.5),
        *((mode, ((3, 2), (-1, 4)), None) for mode in ("edge", "reflect", "symmetric", "wrap")),
    ],
)
def test_fact_10_paddings_and_modes_are_numpys(
    name: str, mode: Any, padding: Any, fill: float | None
) -> None:
    """Keras takes pairs and fails when called; modes it doesn't have, and backends' own differ."""
    x = random((2, 6, 5, CHANNELS))
    pairs = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    widths = [(0, 0), *((max(a, 0), max(b, 0)) for a, b in pairs), (0, 0)]
    filled = {} if fill is None else {"constant_values": fill}
    wide = np.pad(x, widths, mode=mode, **filled)
    wide = wide[:, :, max(-pairs[1][0], 0) :]
    changes = {"kernel": random((3, 3))} if "Fixed" in name else {}
    plain = made(name, **changes)
    layer = made(name, **changes, padding=padding, padding_mode=mode, padding_value=fill)
    plain.build(shaped(name, wide.shape))
    layer.build(shaped(name, x.shape))
    layer.set_weights(plain.get_weights())
    expected = as_numpy(plain(given(name, wide)))
    assert_close(as_numpy(layer(given(name, x))), expected, 1e-5, f"{padding} {mode}")


# 11: filters of images that swap axes or treat edges differently ----------------------------


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fact_11_a_blur_keeps_height_and_width_apart(data_format: str) -> None:
    """Keras's blur swaps the two widths, and blurs the wrong axes where no format is said."""
    rows, columns = np.array([0.25, 0.5, 0.25]), np.array([1, 4, 6, 4, 1]) / 16
    layer = layers.FixedConv2D(np.outer(rows, columns), padding="same", data_format=data_format)
    last = data_format == "channels_last"
    x = np.zeros((1, 9, 9, 2) if last else (1, 2, 9, 9), "float32")
    x[(0, 4, 4, 1) if last else (0, 1, 4, 4)] = 1
    outputs = np.moveaxis(as_numpy(layer(x)), 1 if not last else -1, 0)[:, 0]
    assert not outputs[0].any()
    spread = np.arange(9.0) - 4
    assert_close((outputs[1].sum(1) * spread**2).sum(), 0.5, 1e-6, "variance along rows")
    assert_close((outputs[1].sum(0) * spread**2).sum(), 1.0, 1e-6, "variance along columns")


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_fact_11_an_edge_filter_meets_the_edges_that_it_is_told(mode: Any) -> None:
    """Keras's mirrors the image on TensorFlow and pads zeros on the others."""
    x = random((1, 6, 5, 2))
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
    smooth = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    expected = smooth[:, :, 2:] - smooth[:, :, :-2]
    layer = layers.FixedConv2D("sobel_x", padding="same", padding_mode=mode)
    assert_close(as_numpy(layer(x)), expected, 1e-5, mode)


# 12: channels and strides that don't fit ----------------------------------------------------


@pytest.mark.parametrize("name", but(KINDS, "Fixed"))
def test_fact_12_a_mismatch_that_divides_evenly_is_no_grouped_convolution(name: str) -> None:
    """TensorFlow takes twice the channels for two groups."""
    shape = (2, *SIZES[KINDS[name][0]], CHANNELS)
    layer, x = built(name, shape), random((*shape[:-1], 2 * CHANNELS))
    for form in (x, keras.Input(batch_shape=x.shape)):
        with pytest.raises(ShapeError, match=r"the input has 8\b"):
            layer(given(name, form))


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("strides", [(1, 2, 2, 1), (2,), (2, 2, 2), ()])
def test_fact_12_strides_are_one_for_each_axis(name: str, strides: tuple[int, ...]) -> None:
    """TensorFlow takes 4 or 1 of them for two axes."""
    words = rf"strides=.*has {len(strides)} entries; expected an int or 2"
    with pytest.raises(ArgumentError, match=words):
        made(name, strides=strides)
    if any(part in name for part in ("Local", "Fixed")):
        return  # Their positions belong to the layer: a call can't say others.
    layer = made(name)
    with pytest.raises(ArgumentError, match=words):
        layer(given(name, random((2, 6, 5, CHANNELS))), strides=strides)


@pytest.mark.parametrize("name", of("2D", "3D"))
def test_fact_12_a_kernel_of_another_rank_is_refused(name: str) -> None:
    """TensorFlow takes an input of rank 4 with a kernel of rank 5, and gives a wrong shape."""
    rank = KINDS[name][0]
    shape = (2, *(5,) * (5 - rank), CHANNELS)
    with pytest.raises(ShapeError, match=rf"the input has {len(shape)} axes; expected {rank + 2}"):
        made(name)(given(name, random(shape)))

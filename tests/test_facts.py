"""What users of the platforms hit (numbered), computed or refused here on every backend.

The layers' tests have more of them under the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import reference
from convsmith.errors import (
    ArgumentError,
    ConvsmithError,
    DtypeError,
    KernelError,
    ShapeError,
)
from convsmith.testing.autodiff import compiled, layer_gradients
from convsmith.testing.contract import Array, as_numpy, assert_close
from layer_cases import definition, standardized

CONV2D = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def tf_only(backend: str) -> Any:
    """Return TensorFlow where it is the backend."""
    if backend != "tensorflow":
        return None
    import tensorflow

    return tensorflow


def dtype_of(x: Any) -> str:
    return keras.backend.standardize_dtype(x.dtype)


# 1: an input without batch axis aborts the process ------------------------------------------


class CallsTheBackendItself(cs.layers.Conv2D):
    """The well-known idiom that aborts: a layer that hands its input straight on."""

    def call(self, inputs: Any) -> Any:
        return self.convolution_op(inputs, self.kernel)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_fact_01_an_image_without_batch_axis_is_an_error(shape: tuple[int, ...]) -> None:
    image, kernel = random(shape), random((3, 3, 3, 4))
    for x in (image, keras.ops.convert_to_tensor(image)):
        with pytest.raises(ShapeError, match=rf"conv: x: has rank {len(shape)} .* Try: "):
            cs.ops.conv(x, kernel)
        with pytest.raises(ShapeError, match=rf"operand 1 .* has rank {len(shape)}; expected rank"):
            cs.conv(CONV2D, x, kernel)
        for layer_class in (cs.layers.Conv2D, cs.layers.StandardizedConv2D, CallsTheBackendItself):
            with pytest.raises(ShapeError, match=rf"the input has {len(shape)} axes; expected 4"):
                layer_class(4, 3)(x)
        with pytest.raises(ShapeError, match=rf"the input has {len(shape)} axes; expected 4"):
            cs.layers.FixedConv2D("box")(x)


@pytest.mark.parametrize("name", ["depthwise_conv", "conv_transpose"])
def test_fact_01_the_other_functions_too(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"{name}: x: has rank 3 .* Try: x\[None\]"):
        getattr(cs.ops, name)(random((8, 8, 3)), random((3, 3, 3, 3)))


# 2: an input one smaller than the kernel reads uninitialised memory -------------------------

ONE_TOO_SMALL: dict[str, Callable[[Any], Any]] = {
    "conv": lambda x: cs.ops.conv(x, np.ones((3, 3, 3, 4), "float32")),
    "strided": lambda x: cs.ops.conv(x, np.ones((3, 3, 3, 4), "float32"), strides=2),
    "dilated": lambda x: cs.ops.conv(x, np.ones((2, 2, 3, 4), "float32"), dilation_rate=2),
    "depthwise": lambda x: cs.ops.depthwise_conv(x, np.ones((3, 3, 3, 1), "float32")),
    "separable": lambda x: cs.ops.separable_conv(
        x, np.ones((3, 3, 3, 1), "float32"), np.ones((1, 1, 3, 4), "float32")
    ),
    "unfold": lambda x: cs.ops.unfold(x, 3),
    "max_plus": lambda x: cs.conv(
        "b (h+kh) (w+kw) c, kh kw c -> b h w c",
        x,
        np.ones((3, 3, 3), "float32"),
        semiring="max_plus",
    ),
}
WORDS = "the kernel is larger than the padded input"


@pytest.mark.parametrize("name", ONE_TOO_SMALL)
def test_fact_02_an_input_one_smaller_than_the_kernel_is_an_error(name: str) -> None:
    call = ONE_TOO_SMALL[name]
    for shape in ((1, 2, 8, 3), (1, 8, 2, 3), (0, 2, 8, 3)):
        with pytest.raises(ShapeError, match=WORDS):
            call(np.ones(shape, "float32"))
        with pytest.raises(ShapeError, match=WORDS):
            call(keras.Input(batch_shape=shape))


@pytest.mark.parametrize("name", ONE_TOO_SMALL)
def test_fact_02_also_in_a_model_of_open_sizes(name: str) -> None:
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, ONE_TOO_SMALL[name](inputs))
    good = ONE_TOO_SMALL[name](np.ones((1, 5, 4, 3), "float32"))
    np.testing.assert_array_equal(as_numpy(model(np.ones((1, 5, 4, 3), "float32"))), as_numpy(good))
    with pytest.raises(ShapeError, match=WORDS):
        model(np.ones((1, 2, 8, 3), "float32"))


@pytest.mark.parametrize("name", ONE_TOO_SMALL)
def test_fact_02_a_graph_of_open_sizes_stops_at_run_time(name: str, backend: str) -> None:
    tf = tf_only(backend)
    if tf is None:
        return  # JAX and PyTorch know the sizes when they trace.
    call = tf.autograph.experimental.do_not_convert(ONE_TOO_SMALL[name])
    run = tf.function(call, input_signature=[tf.TensorSpec((None, None, None, 3))])
    assert 0 not in run(tf.ones((1, 5, 4, 3))).shape
    for size in (2, 1):
        # Which node of the graph reports first is left to chance.
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(tf.ones((1, size, 8, 3)))


def test_fact_02_the_run_time_error_says_why(backend: str) -> None:
    tf = tf_only(backend)
    if tf is None:
        return
    for name in ("conv", "unfold"):
        call = tf.autograph.experimental.do_not_convert(ONE_TOO_SMALL[name])
        spec = tf.TensorSpec((None, None, None, 3))
        run = tf.function(call, input_signature=[spec])
        messages = []
        for _ in range(20):
            with pytest.raises(tf.errors.InvalidArgumentError) as caught:
                run(tf.ones((1, 2, 8, 3)))
            messages.append(str(caught.value))
        # Not each of them: a reshape that runs beside the check may be the first to fail.
        assert any(WORDS in message for message in messages), messages


@pytest.mark.parametrize("name", ONE_TOO_SMALL)
def test_fact_02_xla_of_open_sizes_makes_up_no_numbers(name: str, backend: str) -> None:
    """XLA drops assertions; then the result has no entries, so that none can be wrong."""
    tf = tf_only(backend)
    if tf is None:
        return
    call = tf.autograph.experimental.do_not_convert(ONE_TOO_SMALL[name])
    spec = tf.TensorSpec((None, None, None, 3))
    run = tf.function(call, input_signature=[spec], jit_compile=True)
    try:
        y = run(tf.ones((1, 2, 8, 3)))
    except (tf.errors.InvalidArgumentError, ConvsmithError):
        return
    assert tuple(y.shape)[1] == 0


def test_fact_02_predict_in_every_mode(backend: str) -> None:
    tf = tf_only(backend)
    errors = (ShapeError,) if tf is None else (ShapeError, tf.errors.InvalidArgumentError)
    for eagerly in (False, True):
        inputs = keras.Input((None, None, 3))
        model: Any = keras.Model(inputs, cs.layers.Conv2D(4, 3)(inputs))
        model.compile(run_eagerly=eagerly)
        assert model.predict(random((2, 5, 5, 3)), verbose=0).shape == (2, 3, 3, 4)
        with pytest.raises(errors):
            model.predict(random((2, 2, 5, 3)), verbose=0)


# 3: an empty batch has a wrong shape --------------------------------------------------------


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fact_03_an_empty_batch_keeps_the_shape(data_format: str) -> None:
    last = data_format == "channels_last"
    x = np.zeros((0, 8, 8, 4) if last else (0, 4, 8, 8), "float32")
    expected = (0, 6, 6, 5) if last else (0, 5, 6, 6)
    kernel = random((3, 3, 4, 5))
    assert tuple(cs.ops.conv(x, kernel, data_format=data_format).shape) == expected
    layer = cs.layers.Conv2D(5, 3, data_format=data_format)
    assert tuple(layer(x).shape) == expected
    assert tuple(compiled(layer)(keras.ops.convert_to_tensor(x)).shape) == expected
    gradients = layer_gradients(layer, x, np.zeros(expected, "float32"))
    assert [g.shape for g in gradients] == [x.shape, (3, 3, 4, 5), (5,)]
    assert not gradients[1].any()


# 4: the bias of a channels-first layer goes along the width ---------------------------------


@pytest.mark.parametrize("layer_class", [cs.layers.Conv2D, cs.layers.StandardizedConv2D])
@pytest.mark.parametrize("how", ["eager", "compiled", "graph"])
def test_fact_04_the_bias_is_one_for_each_filter(layer_class: Any, how: str, backend: str) -> None:
    width = 5
    x, kernel = random((2, 3, 4, width)), random((3, 3, 3, width), 1)
    bias = random((width,), 2)
    layer = layer_class(width, 3, padding="same", data_format="channels_first")
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    transform = standardized if layer_class is cs.layers.StandardizedConv2D else lambda k: k
    expected = definition(2, padding="same", data_format="channels_first", transform=transform)(
        x.astype("float64"), [kernel.astype("float64"), bias.astype("float64")]
    )
    tf = tf_only(backend)
    call: Any = layer
    if how == "compiled":
        call = compiled(layer)
    elif how == "graph" and tf is not None:
        call = tf.function(layer)
    assert_close(as_numpy(call(keras.ops.convert_to_tensor(x))), expected, 2e-5, "values")


def test_fact_04_the_bias_gradient_is_summed_over_all_but_the_filters() -> None:
    width = 5
    x, cotangent = random((2, 3, 4, width)), random((2, width, 4, width), 1)
    layer = cs.layers.Conv2D(width, 3, padding="same", data_format="channels_first")
    gradient = layer_gradients(layer, x, cotangent)[-1]
    assert_close(gradient, cotangent.sum((0, 2, 3)), 1e-5, "bias gradient")


def test_fact_04_the_bias_gradient_in_fit(backend: str) -> None:
    """One step of plain descent shows the gradient of the compiled training step."""
    width = 5
    x, y = random((2, 3, 4, width)), random((2, width, 4, width), 1)
    for jit in (False, True) if backend == "tensorflow" else ("auto",):
        layer = cs.layers.Conv2D(width, 3, padding="same", data_format="channels_first")
        model: Any = keras.Sequential([keras.Input(x.shape[1:]), layer])
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit)
        before = as_numpy(model(x))
        model.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0)
        expected = -(2 * (before - y) / y.size).sum((0, 2, 3))
        assert_close(as_numpy(layer.bias), expected, 1e-4, "bias after a step")


# 5: a kernel in another layout is broadcast or taken transposed -----------------------------


def test_fact_05_a_kernel_that_would_be_broadcast_is_refused() -> None:
    kernel = random((2, 2, 1, 3))
    with pytest.raises(KernelError, match=r"looks like HWOI .*Try: kernel.transpose\(0, 1, 3, 2\)"):
        cs.as_kernel(kernel, in_channels=3)
    with pytest.raises(ShapeError, match=r"Try: numpy.swapaxes\(kernel, -1, -2\): .*filters, in"):
        cs.ops.conv(random((1, 8, 8, 3)), kernel)
    with pytest.raises(KernelError, match=r"kernel.transpose\(0, 1, 3, 2\)"):
        cs.layers.FixedConv2D(kernel)(random((1, 8, 8, 3)))
    fixed = cs.as_kernel(kernel.transpose(0, 1, 3, 2), in_channels=3)
    assert fixed.shape == (2, 2, 3, 1)


def test_fact_05_a_kernel_from_pytorch_is_refused_and_named() -> None:
    kernel = random((8, 3, 5, 5))
    with pytest.raises(KernelError, match=r"OIHW \(PyTorch\).*Try: kernel.transpose\(2, 3, 1, 0"):
        cs.as_kernel(kernel, in_channels=3)
    with pytest.raises(ShapeError, match=r"Try: kernel.transpose\(\(2, 3, 1, 0\)\)"):
        cs.ops.conv(random((1, 8, 8, 3)), kernel)


def test_fact_05_a_layout_that_cannot_be_told_is_stated() -> None:
    kernel, x = random((3, 3, 3, 3)), random((1, 6, 6, 3), 1)
    stated = as_numpy(cs.layers.FixedConv2D(kernel, layout="OIHW")(x))
    expected = reference.conv("b (h+kh) (w+kw) i, o i kh kw -> b h w o", x, kernel)
    assert_close(stated, expected, 1e-5, "values")
    assert np.abs(stated - as_numpy(cs.layers.FixedConv2D(kernel)(x))).max() > 0.1


def test_fact_05_weights_of_another_shape_are_not_broadcast() -> None:
    layer = cs.layers.FixedConv2D(random((2, 2, 3, 1)))
    assert tuple(layer(random((1, 4, 4, 3))).shape) == (1, 3, 3, 1)
    assert layer.compute_output_shape((None, 4, 4, 3)) == (None, 3, 3, 1)


# 6: an edge filter runs over width and channels ---------------------------------------------


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_fact_06_channels_are_no_spatial_axis(ndim: int) -> None:
    layer_class = (cs.layers.FixedConv1D, cs.layers.FixedConv2D, cs.layers.FixedConv3D)[ndim - 1]
    shape = (2, *(6,) * ndim)
    layer = layer_class("laplacian", channel_axis=None)
    assert tuple(layer(random(shape)).shape) == (2, *(4,) * ndim)
    with pytest.raises(ShapeError, match=rf'has {ndim + 2} axes; .*Try: channel_axis="auto"'):
        layer(random((*shape, 3)))
    with pytest.raises(ShapeError, match=rf"has {ndim} axes; .*Try: x\[None\]"):
        layer(random(shape[1:]))


def test_fact_06_colour_images_are_filtered_channel_by_channel() -> None:
    x, sobel = random((1, 6, 7, 3)), cs.kernels.get("sobel_x", ndim=2)
    y = as_numpy(cs.layers.FixedConv2D("sobel_x")(x))
    for c in range(3):
        expected = reference.conv("b (h+kh) (w+kw), kh kw -> b h w", x[..., c], sobel)
        assert_close(y[..., c], expected, 1e-5, f"channel {c}")


# 7: the kernel isn't trained, or isn't saved ------------------------------------------------


@keras.saving.register_keras_serializable(package="facts")
class Normalised(cs.layers.Conv2D):
    """A user's own layer: the kernel scaled to unit length for each filter."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        length = keras.ops.sqrt(keras.ops.sum(kernel**2, axis=(0, 1, 2), keepdims=True) + 1e-6)
        return self.convolve(inputs, kernel / length)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normalised(4, 3, activation="relu"),
        lambda: cs.layers.StandardizedConv2D(4, 3),
        lambda: cs.layers.FixedConv2D("box", trainable=True),
    ],
)
def test_fact_07_the_kernel_moves_and_comes_back(make: Callable[[], Any], tmp_path: Path) -> None:
    x = random((8, 6, 6, 3))
    layer = make()
    model: Any = keras.Sequential([keras.Input((6, 6, 3)), layer, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    assert any("kernel" in w.path for w in layer.trainable_weights)
    before = as_numpy(layer.kernel).copy()
    model.fit(x, random((8, 1), 1), epochs=2, verbose=0)
    assert (as_numpy(layer.kernel) != before).any()
    model.save(tmp_path / "model.keras")
    again: Any = keras.saving.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(
        again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


# 8: standardised layers lose their arguments, or aren't finite ------------------------------

ARGUMENTS: list[dict[str, Any]] = [
    {"padding": "same"},
    {"padding": ((1, 0), "full"), "padding_mode": "edge"},
    {"dilation_rate": 2},
    {"dilation_rate": (1, 2), "strides": (2, 1), "padding": "same"},
    {"activation": "tanh"},
    {"groups": 2, "activation": "tanh", "padding": "same", "strides": 2},
    {"use_bias": False},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fact_08_every_argument_is_honoured(arguments: dict[str, Any], data_format: str) -> None:
    x = random((2, 7, 6, 4) if data_format == "channels_last" else (2, 4, 7, 6))
    layer = cs.layers.StandardizedConv2D(6, 3, data_format=data_format, **arguments)
    layer.build(x.shape)
    layer.set_weights([random(w.shape, i) for i, w in enumerate(layer.get_weights())])
    known = {k: v for k, v in arguments.items() if k not in ("activation", "use_bias")}
    compute = definition(
        2,
        data_format=data_format,
        transform=standardized,
        activation=np.tanh if "activation" in arguments else lambda y: y,
        **known,
    )
    expected = compute(x.astype("float64"), [w.astype("float64") for w in layer.get_weights()])
    assert_close(as_numpy(layer(x)), expected, 2e-5, "values")
    assert layer.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.0])
def test_fact_08_a_constant_kernel_stays_finite(dtype: str, value: float) -> None:
    initializer = keras.initializers.Constant(value)
    layer = cs.layers.StandardizedConv2D(3, 3, kernel_initializer=initializer, dtype=dtype)
    x = random((1, 6, 6, 2))
    y = as_numpy(layer(x)).astype("float32")
    # In float32 the mean of a constant is off by a rounding, which dividing makes visible.
    np.testing.assert_allclose(y, 0, atol=1e-2)
    for gradient in layer_gradients(layer, x, np.ones(y.shape, "float32")):
        assert np.isfinite(gradient.astype("float32")).all()


def test_fact_08_a_filter_of_one_number_is_refused_not_zeroed() -> None:
    with pytest.raises(KernelError, match="which would always become 0"):
        cs.layers.StandardizedConv2D(4, 1)(random((1, 6, 6, 1)))
    outputs = as_numpy(cs.layers.StandardizedConv2D(4, 1)(random((1, 6, 6, 2))))
    assert np.abs(outputs).max() > 0


# 9: dtypes that lose values -----------------------------------------------------------------


def test_fact_09_whole_inputs_do_not_truncate_the_filter() -> None:
    kernel = np.full((2, 2, 1, 1), 0.25, "float32")
    for dtype in ("int32", "uint8", "int8", "bool"):
        image = np.ones((1, 4, 4, 1), dtype)
        for x in (image, keras.ops.convert_to_tensor(image), image.tolist()):
            y = cs.ops.conv(x, kernel)
            assert dtype_of(y) == "float32"
            np.testing.assert_array_equal(as_numpy(y), 1)
    y = cs.ops.conv(keras.ops.ones((1, 4, 4, 1), "int32"), kernel.tolist())
    np.testing.assert_array_equal(as_numpy(y), 1)


def test_fact_09_a_whole_kernel_does_not_truncate_the_input() -> None:
    x = np.full((1, 4, 4, 1), 0.25, "float32")
    kernel = np.ones((2, 2, 1, 1), "int8")
    for k in (kernel, keras.ops.convert_to_tensor(kernel), kernel.tolist()):
        y = cs.ops.conv(keras.ops.convert_to_tensor(x), k)
        assert dtype_of(y) == "float32"
        np.testing.assert_array_equal(as_numpy(y), 1)


def test_fact_09_small_integers_do_not_wrap_round() -> None:
    y = cs.ops.conv(np.full((1, 4, 4, 1), 255, "uint8"), np.full((2, 2, 1, 1), 255, "uint8"))
    assert dtype_of(y) == "int32"
    np.testing.assert_array_equal(as_numpy(y), 4 * 255 * 255)


def test_fact_09_complex_numbers_keep_their_imaginary_part() -> None:
    x = (random((1, 5, 5, 2)) + 1j * random((1, 5, 5, 2), 1)).astype("complex64")
    kernel = random((2, 2, 2, 3), 2)
    for k in (kernel, (kernel + 1j * random(kernel.shape, 3)).astype("complex64")):
        expected = reference.conv(CONV2D, x, k)
        for a, b in ((x, k), (keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(k))):
            y = cs.ops.conv(a, b)
            assert dtype_of(y) == "complex64"
            np.testing.assert_allclose(as_numpy(y), expected, atol=1e-5)


def test_fact_09_float64_is_computed_as_such_or_shown(backend: str) -> None:
    """JAX holds float64 as float32 unless told; then the result has the narrower dtype."""
    x = np.random.default_rng(0).uniform(-1, 1, (1, 5, 5, 2))
    kernel = np.random.default_rng(1).uniform(-1, 1, (2, 2, 2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = cs.ops.conv(x, kernel)
    assert dtype_of(y) == ("float32" if backend == "jax" else "float64")
    tolerance = 1e-6 if backend == "jax" else 1e-14
    assert_close(as_numpy(y), reference.conv(CONV2D, x, kernel), tolerance, "values")


def test_fact_09_sums_that_jax_would_narrow_are_refused(backend: str) -> None:
    x, kernel = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1))
    if backend == "jax":
        with pytest.raises(DtypeError, match="would silently be float32.* Try: jax.config"):
            cs.conv(CONV2D, x, kernel, accumulate_dtype="float64")
    else:
        y = cs.conv(CONV2D, x.astype("float32"), kernel, accumulate_dtype="float64")
        assert as_numpy(y).ravel()[0] == 4


def test_fact_09_the_mean_of_a_uint8_image_in_a_layer() -> None:
    image = np.full((1, 4, 4, 1), 255, "uint8")
    layer = cs.layers.Conv2D(1, 2, kernel_initializer=keras.initializers.Constant(0.25))
    np.testing.assert_allclose(as_numpy(layer(image)), 255, rtol=1e-6)
    np.testing.assert_allclose(as_numpy(cs.layers.FixedConv2D("box")(image)), 255, rtol=1e-6)


# 10: unknown paddings are "valid", and modes differ -----------------------------------------


@pytest.mark.parametrize("padding", ["foo", "SAMEISH", "", "same-lower"])
def test_fact_10_unknown_paddings_are_refused(padding: str) -> None:
    words = rf"padding='{padding}': is not a known padding; expected one of 'valid', .*Try: "
    with pytest.raises(ArgumentError, match=words):
        cs.ops.conv(random((1, 6, 6, 2)), random((3, 3, 2, 2)), padding=padding)
    with pytest.raises(ArgumentError, match=words):
        cs.layers.Conv2D(2, 3, padding=padding)


@pytest.mark.parametrize("padding", ["causal", "same_lower", "full", "same", "valid"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_fact_10_known_paddings_are_right(padding: str, size: int, stride: int) -> None:
    x, kernel = random((2, 7, 3)), random((size, 3, 2), 1)
    y = as_numpy(cs.ops.conv(x, kernel, strides=stride, padding=padding))
    expected = reference.conv(f"b ({stride}w+kw) i, kw i o -> b w o", x, kernel, padding=padding)
    assert_close(y, expected, 1e-5, padding)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("widths", [(2, 2), (3, 1), (0, 2), (-1, 2), (2, -2), (-1, -1), (9, 11)])
def test_fact_10_pads_are_numpys(mode: Any, widths: tuple[int, int]) -> None:
    x = np.arange(20.0).reshape(4, 5).astype("float32")
    low, high = widths
    wide = np.pad(x, ((0, 0), (max(low, 0), max(high, 0))), mode=mode)
    expected = wide[:, max(-low, 0) : wide.shape[1] - max(-high, 0)]
    y = cs.ops.pad(x, ((0, 0), widths), mode=mode)
    np.testing.assert_array_equal(as_numpy(y), expected)
    # The same pads inside a convolution: each tap alone picks a shifted slice.
    if expected.shape[1] >= 2:
        z = cs.ops.unfold(x[..., None], 2, padding=(widths,), padding_mode=mode)
        np.testing.assert_array_equal(as_numpy(z)[:, :, 0, 0], expected[:, :-1])
        np.testing.assert_array_equal(as_numpy(z)[:, :, 1, 0], expected[:, 1:])


# 12: channels and strides that don't fit ----------------------------------------------------


def test_fact_12_a_mismatch_that_divides_evenly_is_no_grouped_convolution() -> None:
    with pytest.raises(ShapeError, match="has 6 channels and the kernel is for 3"):
        cs.ops.conv(random((1, 8, 8, 6)), random((3, 3, 3, 4)))
    with pytest.raises(ShapeError, match=r"axis 'i' has 6 entries .* and 3"):
        cs.conv(CONV2D, random((1, 8, 8, 6)), random((3, 3, 3, 4)))
    layer = cs.layers.Conv2D(4, 3)
    layer.build((None, 8, 8, 3))
    with pytest.raises(ShapeError, match="the input has 6 channels; expected 3"):
        layer(random((1, 8, 8, 6)))


@pytest.mark.parametrize("strides", [(1, 2, 2, 1), (2,), (2, 2, 2), ()])
def test_fact_12_strides_are_one_for_each_axis(strides: tuple[int, ...]) -> None:
    words = rf"strides=.*has {len(strides)} entries; expected an int or 2"
    with pytest.raises(ArgumentError, match=words):
        cs.ops.conv(random((1, 8, 8, 3)), random((3, 3, 3, 4)), strides=strides)
    with pytest.raises(ArgumentError, match=words):
        cs.layers.Conv2D(4, 3, strides=strides)


def test_fact_12_a_kernel_of_another_rank_is_refused() -> None:
    with pytest.raises(ShapeError, match="x: has rank 4 and the kernel rank 5; expected equal"):
        cs.ops.conv(random((1, 8, 8, 3)), random((3, 3, 1, 3, 6)))
    with pytest.raises(ShapeError, match="operand 2 .* has rank 5; expected rank 4"):
        cs.conv(CONV2D, random((1, 8, 8, 3)), random((3, 3, 1, 3, 6)))

"""What the functions refuse: one error each, by class and by the parts of its message.

The layers' own refusals are beside the layers' tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import (
    ArgumentError,
    ConvsmithError,
    DtypeError,
    KernelError,
    PatternError,
    ShapeError,
    UnsupportedError,
)

X = np.ones((2, 8, 8, 3), "float32")
KERNEL = np.ones((3, 3, 3, 4), "float32")
LINE, TAPS = np.ones((2, 8, 3), "float32"), np.ones((3, 3, 4), "float32")
PATTERN = "b (h+kh) i, kh i o -> b h o"


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, "float32")


def refuses(error: type[ConvsmithError], *parts: str) -> Any:
    """Expect this error, with these parts of the message in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(parts))


# Rank, channels and layout ------------------------------------------------------------------

RANKS: list[tuple[Callable[[], Any], tuple[str, ...]]] = [
    (
        lambda: cs.ops.conv(X[0], KERNEL),
        (
            r"conv: x: has rank 3 and the kernel rank 4; expected equal ranks: \(batch, ",
            r"Received: x \(8, 8, 3\), kernel \(3, 3, 3, 4\)\. Try: x\[None\] for a single",
        ),
    ),
    (
        lambda: cs.ops.conv(X[0, :, :, 0], KERNEL),
        ("x: has rank 2 and the kernel rank 4; expected", "Try: a kernel "),
    ),
    (
        lambda: cs.ops.conv(X, ones(3, 3, 3, 3, 4)),
        (r"rank 4 and the kernel rank 5; expected", r"kernel \(3, 3, 3, 3, 4\)\. Try: "),
    ),
    (lambda: cs.ops.conv(1.0, KERNEL), (r"x: has rank 0", r"Received: x \(\)", "Try: ")),
    (lambda: cs.ops.conv(X, 2.0), (r"the kernel rank 0", r"kernel \(\)", "Try: ")),
    (lambda: cs.ops.conv(None, KERNEL), (r"x: has rank 0", "expected", "Received", "Try: ")),
    (lambda: cs.ops.depthwise_conv(X[0], KERNEL), ("depthwise_conv: x: has rank 3", "Try: x")),
    (
        lambda: cs.ops.separable_conv(X[0], KERNEL, ones(1, 1, 12, 2)),
        ("separable_conv: x: has rank 3", r"Try: x\[None\]"),
    ),
    (lambda: cs.ops.conv_transpose(X[0], KERNEL), ("conv_transpose: x: has rank 3", "Try: x")),
    (lambda: cs.ops.unfold(X[0, 0], 3), ("unfold: x: has rank 2", "expected", "Try: x")),
    (
        lambda: cs.ops.fold(ones(1, 3, 3, 3, 2), 6),
        ("fold: patches have rank 5; expected", "Received: shape", "Try: patches as unfold"),
    ),
    (
        lambda: cs.conv(PATTERN, LINE[0], TAPS),
        (
            r"pattern 'b \(h\+kh\) i, kh i o -> b h o': operand 1 'b \(h\+kh\) i' has rank 2; ",
            r"expected rank 3\. Received: shapes \(8, 3\), \(3, 3, 4\); sizes known so far: none",
            r"Try: .*x\[None\]",
        ),
    ),
    (
        lambda: cs.conv("... (h+kh) i, kh i o -> ... h o", LINE[0, 0], TAPS),
        ("operand 1", "has rank 1; expected rank 2 or more", "Try: "),
    ),
]


@pytest.mark.parametrize(("call", "parts"), RANKS)
def test_ranks(call: Callable[[], Any], parts: tuple[str, ...]) -> None:
    with refuses(ShapeError, *parts):
        call()


def test_unknown_rank_in_a_graph(backend: str) -> None:
    if backend != "tensorflow":
        pytest.skip("the others always know the rank")
    import tensorflow

    tf: Any = tensorflow
    call = tf.autograph.experimental.do_not_convert(lambda x: cs.ops.conv(x, KERNEL))
    run = tf.function(call, input_signature=[tf.TensorSpec(None, "float32")])
    with refuses(ShapeError, "its rank is unknown; expected", "Try: .*set_shape"):
        run.get_concrete_function()


def test_errors_keep_their_class_in_a_graph(backend: str) -> None:
    if backend != "tensorflow":
        pytest.skip("the others don't rewrite functions")
    import tensorflow

    tf: Any = tensorflow

    @tf.function
    def run(x: Any) -> Any:
        return cs.ops.conv(x, KERNEL)

    with refuses(ShapeError, "x: has rank 3", "Try: x"):
        run(tf.ones((8, 8, 3)))


CHANNELS: list[tuple[Callable[[], Any], tuple[str, ...]]] = [
    (
        lambda: cs.ops.conv(ones(2, 8, 8, 5), KERNEL),
        (
            "conv: x: has 5 channels and the kernel is for 3; expected channels = in . groups",
            r"Received: x \(2, 8, 8, 5\), kernel \(3, 3, 3, 4\), channels_last",
            "Try: a kernel for 5 channels",
        ),
    ),
    (
        lambda: cs.ops.conv(ones(2, 3, 8, 8), KERNEL),
        ("has 8 channels", 'Try: data_format="channels_first"'),
    ),
    (
        lambda: cs.ops.conv(X, KERNEL, data_format="channels_first"),
        ("has 8 channels", "channels_first", 'Try: data_format="channels_last"'),
    ),
    (
        lambda: cs.ops.conv(X, KERNEL, groups=3),
        ("has 3 channels and the kernel is for 3 x groups=3", "expected", "Try: "),
    ),
    (
        lambda: cs.ops.conv(ones(1, 8, 8, 4), ones(3, 3, 2, 3), groups=2),
        ("groups=2: doesn't divide the kernel's 3 filters; expected", "Try: groups=1"),
    ),
    (
        lambda: cs.ops.conv_transpose(ones(1, 4, 4, 4), ones(3, 3, 3, 4), groups=3),
        ("groups=3: doesn't divide 4 channels; expected", "Try: groups=1"),
    ),
    (
        lambda: cs.ops.depthwise_conv(ones(2, 8, 8, 6), KERNEL),
        ("depthwise_conv: x: has 6 channels and the kernel is for 3", "Try: a kernel for 6"),
    ),
    (
        lambda: cs.ops.conv_transpose(X, KERNEL),
        ("conv_transpose: x: has 3 channels and the kernel is for 4", "Try: "),
    ),
    (
        lambda: cs.ops.separable_conv(X, ones(3, 3, 3, 2), ones(1, 1, 5, 4)),
        (
            r"pointwise_kernel: has shape \(1, 1, 5, 4\); expected \(1, 1, 6, 'filters'\)",
            "Try: a kernel with ones in front",
        ),
    ),
    (
        lambda: cs.ops.separable_conv(X, ones(3, 3, 3, 2), ones(3, 1, 6, 4)),
        (r"pointwise_kernel: has shape \(3, 1, 6, 4\); expected", "Try: "),
    ),
    (
        lambda: cs.conv(PATTERN, ones(2, 8, 6), TAPS),
        (
            r"axis 'i' has 6 entries \(operand 1\) and 3 \(operand 2\); expected one size for 'i'",
            r"Received: shapes \(2, 8, 6\), \(3, 3, 4\); sizes known so far: b=2, i=6",
            "Try: operands whose 'i' axes agree",
        ),
    ),
    (
        lambda: cs.conv("b h (g i), g i o -> b h (g o)", ones(2, 8, 6), ones(4, 2, 3)),
        (r"group '\(g i\)'", "8", "6", "expected", "Try: "),
    ),
]


@pytest.mark.parametrize(("call", "parts"), CHANNELS)
def test_channels(call: Callable[[], Any], parts: tuple[str, ...]) -> None:
    with refuses(ShapeError, *parts):
        call()


def test_kernels_of_another_layout_are_named_with_the_fix() -> None:
    with refuses(ShapeError, r"Try: kernel.transpose\(\(2, 3, 1, 0\)\): .* \(filters, in, "):
        cs.ops.conv(X, ones(8, 3, 5, 5))
    with refuses(ShapeError, r"Try: numpy.swapaxes\(kernel, -1, -2\): .*filters, in\)"):
        cs.ops.conv(X, ones(2, 2, 1, 3))
    with refuses(KernelError, r"looks like OIHW \(PyTorch\)", r"Try: kernel.transpose\(2, 3, 1, 0"):
        cs.as_kernel(ones(64, 3, 5, 5), in_channels=3)


@pytest.mark.parametrize("samples", [1, 3])
def test_per_sample_kernels_need_the_batch(samples: int) -> None:
    with refuses(
        ShapeError,
        rf"axis 'b' has 2 entries \(operand 1\) and {samples} \(operand 2\); expected one size",
        rf"Received: shapes \(2, 8, 3\), \({samples}, 3, 3, 4\)",
        "Try: ",
    ):
        cs.conv("b (h+kh) i, b kh i o -> b h o", LINE, ones(samples, 3, 3, 4))


# Dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.full((2, 8, 8, 3), "a"), "<U1"),
        (np.full((2, 8, 8, 3), b"a"), r"\|S1"),
        (np.full((2, 8, 8, 3), None), "object"),
        (np.zeros((2, 8, 8, 3), "datetime64[s]"), r"datetime64\[s\]"),
        (np.zeros((2, 8, 8, 3), "V4"), r"\|V4"),
        ([[1.0, 2.0], [3.0]], "object"),
    ],
)
def test_what_holds_no_numbers(values: Any, name: str) -> None:
    parts = (rf"operand: dtype {name} holds no numbers; expected a tensor, a NumPy array", "Try: ")
    with refuses(DtypeError, *parts):
        cs.ops.conv(values, KERNEL)
    with refuses(DtypeError, *parts):
        cs.conv("(h+k) w i o, k -> h w i o", values, [1.0])


@pytest.mark.parametrize("thing", [None, object(), {1, 2}, "text", {"a": 1}])
def test_what_is_no_array(thing: Any) -> None:
    with refuses(DtypeError, "operand: .* holds no numbers; expected", "Try: numpy.asarray"):
        cs.conv("(h+k), k -> h", thing, [1.0])


def test_bools_are_counted() -> None:
    """Bools are the integers 0 and 1, here as in NumPy's sums."""
    x = np.array([True, True, False, True])
    y = cs.conv("(h+k), k -> h", x, np.array([True, True]))
    assert keras.backend.standardize_dtype(y.dtype) == "int32"
    assert keras.ops.convert_to_numpy(y).tolist() == [2, 1, 1]


@pytest.mark.parametrize("dtype", ["uint32", "int64", "uint64"])
def test_wide_integers(dtype: str) -> None:
    """They may come as long as 32 bits hold them all."""
    y = cs.conv("(h+k), k -> h", np.full(3, 7, dtype), [1, 1])
    assert keras.ops.convert_to_numpy(y).tolist() == [14, 14]
    parts = (rf"dtype {dtype}: can't be convolved exactly in int32; expected one of", "Try: a cast")
    with refuses(DtypeError, *parts):
        cs.conv("(h+k), k -> h", np.array([2**31, 2, 3], dtype), [1, 1])


def test_whole_numbers_beyond_32_bits_in_a_list() -> None:
    with refuses(DtypeError, "dtype int64: can't be convolved exactly in int32", "Try: a cast"):
        cs.conv("(h+k), k -> h", [2**40, 2], [1, 1])


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble"])
def test_extended_precision(dtype: str) -> None:
    if (
        np.dtype(dtype).itemsize
        <= np.dtype("complex128" if dtype[0] == "c" else "float64").itemsize
    ):
        return  # The platform has none.
    with refuses(DtypeError, r"dtype \w+: can't be convolved; expected one of", "Try: a cast to"):
        cs.ops.conv(X.astype(dtype), KERNEL)


def test_sums_narrower_than_the_result() -> None:
    with refuses(DtypeError, "accumulate_dtype='float16'", "narrower", "Try: "):
        cs.conv(PATTERN, LINE, TAPS, accumulate_dtype="float16")


def test_dtypes_that_do_not_go_together() -> None:
    with refuses(DtypeError, "accumulate_dtype='int32': is of another kind", "Try: accumulate_d"):
        cs.conv(PATTERN, LINE, TAPS, accumulate_dtype="int32")
    with refuses(DtypeError, "dtype float99: can't be convolved; expected one of", "Try: a cast"):
        cs.conv(PATTERN, LINE, TAPS, accumulate_dtype="float99")
    with refuses(DtypeError, "semiring='max_plus': has no order for complex64", "Try: "):
        cs.conv(PATTERN, LINE.astype("complex64"), TAPS, semiring="max_plus")
    whole = LINE.astype("int32"), TAPS.astype("int32")
    with refuses(DtypeError, r"padding_value=0.5: isn't whole, but all operands", "Try: a cast"):
        cs.conv(PATTERN, *whole, padding=1, padding_value=0.5)
    with refuses(DtypeError, r"renormalize\": rescales by fractions", "Try: a cast to float32"):
        cs.conv(PATTERN, *whole, padding=1, padding_mode="renormalize")
    float8 = keras.ops.cast(TAPS, "float8_e4m3fn")
    with refuses(DtypeError, "dtype float8_e4m3fn: can't be convolved", "Try: a cast to float32"):
        cs.conv(PATTERN, LINE, float8)


# Sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: cs.ops.conv(X, ones(0, 3, 3, 4)),
        lambda: cs.ops.conv(X, ones(3, 0, 3, 4)),
        lambda: cs.ops.depthwise_conv(X, ones(0, 3, 3, 1)),
        lambda: cs.ops.conv_transpose(X, ones(0, 3, 4, 3)),
        lambda: cs.ops.separable_conv(X, ones(3, 0, 3, 1), ones(1, 1, 3, 2)),
        lambda: cs.conv("b (h+kh) i -> b h kh i", LINE, kh=0),
    ],
)
def test_empty_kernels(call: Callable[[], Any]) -> None:
    with refuses(
        ShapeError,
        "the kernel is empty: axis 'k[hw]' has no taps; expected at least 1 tap",
        "Received: shapes ",
        "Try: a kernel with entries",
    ):
        call()


LARGE = r"axis '{}': the kernel is larger than the padded input: floor\(\(size .* = {}; expected "


@pytest.mark.parametrize(
    ("call", "axis", "found"),
    [
        (lambda: cs.ops.conv(ones(1, 2, 8, 3), KERNEL), "h", 0),
        (lambda: cs.ops.conv(ones(1, 8, 1, 3), KERNEL), "w", -1),
        (lambda: cs.ops.conv(ones(1, 8, 4, 3), KERNEL, dilation_rate=2), "w", 0),
        (lambda: cs.ops.conv(ones(1, 8, 4, 3), KERNEL, dilation_rate=2, strides=3), "w", 0),
        (lambda: cs.ops.conv(X, KERNEL, padding=-3), "h", 0),
        (lambda: cs.ops.conv(ones(1, 0, 8, 3), KERNEL, padding="same"), "h", 0),
        (lambda: cs.ops.depthwise_conv(ones(1, 2, 8, 3), KERNEL), "h", 0),
        (lambda: cs.ops.separable_conv(ones(1, 2, 8, 3), KERNEL, ones(1, 1, 12, 2)), "h", 0),
        (lambda: cs.ops.unfold(ones(1, 8, 3), 9), "w", 0),
        (lambda: cs.conv(PATTERN, ones(1, 2, 3), TAPS, semiring="max_plus"), "h", 0),
        (lambda: cs.ops.pad(X, -4), "a0", -6),
    ],
)
def test_kernels_larger_than_the_padded_input(
    call: Callable[[], Any], axis: str, found: int
) -> None:
    with refuses(ShapeError, LARGE.format(axis, found) + "an output of at least 1", "Try: padding"):
        call()


def test_crops_that_leave_nothing() -> None:
    with refuses(ShapeError, "axis 'h': the crop leaves nothing: .* = -8; expected", "Try: less"):
        cs.ops.conv_transpose(X, ones(3, 3, 4, 3), padding=9)


def test_patches_that_unfold_would_not_make() -> None:
    with refuses(ShapeError, r"output_size=6: would unfold to 4 positions; expected the 3", "Try"):
        cs.ops.fold(ones(1, 3, 3, 3, 3, 2), 6)
    with refuses(ArgumentError, "output_size=0: is too small", "Try: output_size=1"):
        cs.ops.fold(ones(1, 3, 3, 3, 3, 2), 0)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_an_axis_without_entries_has_nothing_to_repeat(mode: str) -> None:
    parts = (rf"padding_mode='{mode}': has nothing to read on an axis of size 0; expected", "Try: ")
    with refuses(ShapeError, *parts):
        cs.ops.pad(ones(2, 0), ((0, 0), (1, 1)), mode=mode)
    with refuses(ShapeError, *parts):
        cs.ops.conv(ones(1, 0, 8, 3), KERNEL, padding="full", padding_mode=mode)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("size", [1, 2])
def test_pads_far_beyond_a_short_axis_repeat_it(mode: Any, size: int) -> None:
    x = np.arange(1.0, size + 1).astype("float32")
    y = keras.ops.convert_to_numpy(cs.ops.pad(x, (200, 131), mode=mode))
    np.testing.assert_array_equal(y, np.pad(x, (200, 131), mode=mode))
    patches = cs.ops.unfold(x[None, :, None], 3, padding=(99, 7), padding_mode=mode)
    whole = np.pad(x, (99, 7), mode=mode)
    expected = np.lib.stride_tricks.sliding_window_view(whole, 3)[None, :, :, None]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(patches), expected)


# Arguments ----------------------------------------------------------------------------------

ARGUMENTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"strides": 0}, ("strides=0: is too small; expected a whole number of at", "Try: strides=1")),
    ({"strides": (1, -2)}, ("strides=-2: is too small", "Try: strides=1")),
    ({"strides": (2,)}, (r"strides=\(2,\): has 1 entries; expected an int or 2", "Try: strides=")),
    ({"strides": (1, 2, 2, 1)}, (r"strides=\(1, 2, 2, 1\): has 4 entries", "Try: strides=")),
    ({"strides": 1.5}, ("strides=1.5: is not a whole number; expected a whole number",)),
    ({"strides": "2"}, ("strides='2': is not a whole number; expected",)),
    ({"strides": True}, ("strides=True: is not a whole number; expected",)),
    ({"strides": None}, ("strides=None: is not a whole number; expected",)),
    ({"dilation_rate": 0}, ("dilation_rate=0: is too small", "Try: dilation_rate=1")),
    ({"dilation_rate": -2}, ("dilation_rate=-2: is too small", "Try: dilation_rate=1")),
    ({"padding": "foo"}, ("padding='foo': is not a known padding; expected one of 'va", "Try: ")),
    ({"padding": None}, ("padding=None: is not a padding; expected", "Try: padding=1")),
    ({"padding": True}, ("padding=True: is not a padding; expected", "Try: padding=1")),
    ({"padding": 0.5}, ("padding=0.5: is not a padding; expected", "Try: padding=1")),
    ({"padding": (1, 2, 3)}, (r"padding=\(1, 2, 3\): has 3 entries; expected one", "Try: pad")),
    ({"padding": ((1, 2, 3), 1)}, (r"padding=\(1, 2, 3\): is not a padding", "Try: padding=1")),
    (
        {"padding_mode": "mirror"},
        ("padding_mode='mirror': is not a known padding mode; .*NumPy", "Try: .*reflect"),
    ),
    ({"padding_mode": "nearest"}, ("padding_mode='nearest'", 'Try: padding_mode="edge"')),
    ({"padding_mode": None}, ("padding_mode=None: is not a padding mode; expected", "Try: ")),
    ({"padding_mode": ("edge",)}, ("has 1 entries; expected a mode, or one for each", "Try: ")),
    (
        {"padding_mode": (("edge", "renormalize"), "edge")},
        ("mixes 'renormalize' with another mode", "expected", 'Try: padding_mode="renormalize"'),
    ),
    (
        {"lowering": "winograd"},
        ("lowering='winograd': is unknown; expected None or one of", "Try: lower"),
    ),
    ({"groups": 0}, ("groups=0: is too small; expected", "Try: groups=1")),
    ({"data_format": "NHWC"}, ("data_format='NHWC': is unknown; expected one", "Try: data_form")),
]


@pytest.mark.parametrize(("arguments", "parts"), ARGUMENTS)
def test_arguments(arguments: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refuses(ArgumentError, *parts):
        cs.ops.conv(X, KERNEL, **arguments)
    if "groups" not in arguments and "lowering" not in arguments:
        with refuses(ArgumentError, *parts):
            cs.ops.unfold(X, 3, **arguments)
    with refuses(ArgumentError, *parts):
        cs.ops.conv(keras.Input((8, 8, 3)), KERNEL, **arguments)


PATTERN_ARGUMENTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"semiring": "max"}, ("semiring='max': is unknown; expected one of 'sum_", "Try: semiring=")),
    ({"semiring": None}, ("semiring=None: is unknown; expected", "Try: semiring=")),
    (
        {"z": 3},
        (r"z=3: is no axis of the pattern .*; expected .* b, h, kh, i, o", "Try: without z"),
    ),
    ({"kh": -1}, ("kh=-1: is too small; expected", "Try: kh=0")),
    ({"kh": "3"}, ("kh='3': is not a whole number; expected",)),
    ({"padding": {"w": 1}}, ("names 'w', which is no window position; expected keys", "Try: a pa")),
    ({"padding": {"h": "foo"}}, ("padding='foo': is not a known padding", "Try: ")),
    ({"padding_mode": {"kh": "edge"}}, ("names 'kh', which is no window position", "Try: ")),
    ({"padding_mode": {"h": "foo"}}, ("padding_mode='foo': is not a known", "Try: ")),
    (
        {"padding_mode": "renormalize", "semiring": "min_plus"},
        ("has no meaning with semiring='min_plus'; expected", 'Try: padding_mode="constant"'),
    ),
]


@pytest.mark.parametrize(("arguments", "parts"), PATTERN_ARGUMENTS)
def test_arguments_of_patterns(arguments: dict[str, Any], parts: tuple[str, ...]) -> None:
    for call in (cs.conv, cs.plan):
        with refuses(ArgumentError, *parts):
            call(PATTERN, LINE, TAPS, **arguments)


@pytest.mark.parametrize("strides", [1.5, "2", None])
def test_what_is_no_whole_number_comes_with_a_fix(strides: Any) -> None:
    with refuses(ArgumentError, "is not a whole number; expected", "Try: strides=1"):
        cs.ops.conv(X, KERNEL, strides=strides)


@pytest.mark.parametrize("value", ["a", [1.0], 1 + 2j, True, float("nan")])
def test_padding_values_that_are_no_numbers(value: Any) -> None:
    with refuses(ArgumentError, "padding_value=.*: is not a number; expected", "Try: padding_val"):
        cs.ops.conv(X, KERNEL, padding=1, padding_value=value)


def test_padding_values_that_integers_do_not_have() -> None:
    with refuses(DtypeError, "padding_value=inf", "Try: "):
        cs.conv("(h+k), k -> h", [1, 2], [1, 1], padding=1, padding_value=float("inf"))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap", "renormalize"])
def test_padding_values_beside_a_mode_that_has_none(mode: str) -> None:
    with refuses(ArgumentError, "padding_value=3.0", "padding_mode", "Try: "):
        cs.ops.conv(X, KERNEL, padding=1, padding_mode=mode, padding_value=3.0)


@pytest.mark.parametrize(
    "operands", [(), (LINE,), (LINE, TAPS, TAPS)], ids=["none", "one", "three"]
)
def test_operands_are_counted(operands: tuple[Any, ...]) -> None:
    with refuses(
        ShapeError,
        rf"pattern '.*': {len(operands)} operands were given; expected 2, one for each part",
        "Received: shapes",
        "Try: as many operands",
    ):
        cs.conv(PATTERN, *operands)


def test_sizes_that_contradict_the_operands() -> None:
    with refuses(
        ShapeError,
        r"axis 'kh' has 4 entries \(given\) and 3 \(operand 2\); expected one size for 'kh'",
        "Received: shapes .*; sizes known so far: kh=4, b=2, i=3",
        "Try: ",
    ):
        cs.conv(PATTERN, LINE, TAPS, kh=4)
    assert tuple(cs.conv(PATTERN, LINE, TAPS, kh=3).shape) == (2, 6, 4)


def test_sizes_that_are_missing() -> None:
    with refuses(
        PatternError,
        "the size of the tap 'kh' is unknown; expected it among the arguments, such as kh=3",
        r"b \(h\+kh\) i -> b h kh i\n +\^\^",
        "Sizes known so far: b=2, i=3",
    ):
        cs.conv("b (h+kh) i -> b h kh i", LINE)
    with refuses(PatternError, "coefficient 's' has no value", r"\^", "Sizes known so far: "):
        cs.conv("b (s*h+kh) i, kh i o -> b h o", LINE, TAPS)
    with refuses(ArgumentError, "s=0: is too small", "Try: s=1"):
        cs.conv("b (s*h+kh) i, kh i o -> b h o", LINE, TAPS, s=0)
    with refuses(PatternError, "axis 'z' is only in the output; expected its size", r"\^"):
        cs.conv("b h -> b h z", LINE[..., 0])


def test_patterns_that_are_no_text() -> None:
    with refuses(PatternError, "int is not text; expected a string such as"):
        cs.conv(3, LINE, TAPS)  # type: ignore[arg-type]


def test_a_forced_lowering_that_cannot(backend: str) -> None:
    with refuses(
        UnsupportedError,
        rf"lowering='native': can't compute '.*' on {backend}: the backend has no convolution",
        "expected one of 'shift', 'unfold'",
        "Try: lowering=None",
    ):
        cs.conv(PATTERN, LINE, TAPS, lowering="native", semiring="max_plus")


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        ("a", ("pad_width='a': is not understood; expected an int, a pair", "Try: pad_width=")),
        ([(1, 1)], (r"pad_width=\[\(1, 1\)\]: is not understood; expected .* 4 pairs", "Try: ")),
        ([(1, 1)] * 3, ("is not understood", "Try: ")),
        (((0, 0), (1, 2, 3), 0, 0), ("is not understood", "Try: ")),
        ((), (r"pad_width=\(\): is not understood", "Try: ")),
        (1.5, ("pad_width=1.5: is not a whole number; expected",)),
        (None, ("pad_width=None: is not a whole number; expected",)),
        ([(0.5, 1)] * 4, ("pad_width=0.5: is not a whole number; expected",)),
    ],
)
def test_pad_widths(width: Any, parts: tuple[str, ...]) -> None:
    with refuses(ArgumentError, *parts):
        cs.ops.pad(X, width)


def test_pad_modes() -> None:
    with refuses(ArgumentError, "mode='mean': is not a known padding mode; expected", "Try: "):
        cs.ops.pad(X, 1, mode="mean")
    with refuses(ArgumentError, "has 2 entries; expected a mode, or one for each of the 4", "Try"):
        cs.ops.pad(X, 1, mode=("edge", "wrap"))


def test_pad_has_no_sums_to_renormalize() -> None:
    with refuses(ArgumentError, "renormalize", "Try: "):
        cs.ops.pad(X, 1, mode="renormalize")


def test_padding_a_scalar() -> None:
    with refuses(ShapeError, "pad: x", "rank 0", "Try: "):
        cs.ops.pad(5.0, 1)


def test_output_padding() -> None:
    with refuses(ArgumentError, "output_padding=-1: is too small; expected", "Try: output_padd"):
        cs.ops.conv_transpose(X, ones(3, 3, 4, 3), output_padding=-1)
    with refuses(ArgumentError, r"output_padding=\(1,\): has 1 entries; expected", "Try: output_p"):
        cs.ops.conv_transpose(X, ones(3, 3, 4, 3), strides=2, output_padding=(1,))


# Empty batches ------------------------------------------------------------------------------

EMPTY: list[tuple[Callable[[Any], Any], tuple[int, ...]]] = [
    (lambda x: cs.ops.conv(x, ones(3, 3, 3, 6)), (0, 6, 5, 6)),
    (lambda x: cs.ops.conv(x, ones(3, 3, 3, 6), strides=2, padding="same"), (0, 4, 4, 6)),
    (lambda x: cs.ops.conv(x, ones(3, 3, 1, 6), groups=3, dilation_rate=2), (0, 4, 3, 6)),
    (
        lambda x: cs.ops.conv(x, ones(3, 3, 3, 6), padding=(1, (2, 0)), padding_mode="reflect"),
        (0, 8, 7, 6),
    ),
    (
        lambda x: cs.ops.conv(x, ones(3, 1, 8, 6), data_format="channels_first"),
        (0, 6, 5, 3),
    ),
    (lambda x: cs.ops.depthwise_conv(x, ones(3, 3, 3, 2), strides=2), (0, 3, 3, 6)),
    (lambda x: cs.ops.separable_conv(x, ones(3, 3, 3, 2), ones(1, 1, 6, 4)), (0, 6, 5, 4)),
    (lambda x: cs.ops.conv_transpose(x, ones(3, 3, 4, 3), strides=2), (0, 17, 15, 4)),
    (
        lambda x: cs.ops.conv_transpose(
            x, ones(3, 3, 2, 3), groups=3, padding="same", padding_mode="wrap"
        ),
        (0, 8, 7, 6),
    ),
    (lambda x: cs.ops.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), mode="edge"), (0, 11, 7, 4)),
    (lambda x: cs.ops.unfold(x, (3, 2)), (0, 6, 6, 3, 2, 3)),
    (lambda x: cs.ops.fold(cs.ops.unfold(x, (3, 2)), (8, 7)), (0, 8, 7, 3)),
    (
        lambda x: cs.conv(
            "b (h+kh) (w+kw) c, kh kw c -> b h w c", x, ones(3, 3, 3), semiring="max_plus"
        ),
        (0, 6, 5, 3),
    ),
    (
        lambda x: cs.conv("b (h+kh) w c, b kh c o -> b h w o", x, ones(0, 3, 3, 2)),
        (0, 6, 7, 2),
    ),
    (lambda x: cs.layers.Conv2D(6, 3, strides=2)(x), (0, 3, 3, 6)),
    (lambda x: cs.layers.Conv2D(6, 3, padding=1, padding_mode="wrap")(x), (0, 8, 7, 6)),
    (lambda x: cs.layers.Conv2D(6, 3, groups=3, padding="same")(x), (0, 8, 7, 6)),
    (lambda x: cs.layers.StandardizedConv2D(6, 3)(x), (0, 6, 5, 6)),
    (lambda x: cs.layers.FixedConv2D("sobel_x")(x), (0, 6, 5, 3)),
    (lambda x: cs.layers.FixedConv2D(ones(3, 3, 2))(x), (0, 6, 5, 6)),
]


@pytest.mark.parametrize(("call", "shape"), EMPTY)
def test_empty_batches(call: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    y = call(np.zeros((0, 8, 7, 3), "float32"))
    assert tuple(y.shape) == shape
    assert keras.ops.convert_to_numpy(y).shape == shape


def test_summing_over_an_empty_batch_gives_zeros() -> None:
    y = cs.conv("b (h+k), b h -> k", np.zeros((0, 8), "float32"), np.zeros((0, 6), "float32"))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(y), np.zeros(3))


@pytest.mark.parametrize("rank", [1, 3])
def test_empty_batches_of_other_ranks(rank: int) -> None:
    x, spatial = np.zeros((0, *(6,) * rank, 2), "float32"), (6,) * rank
    taps = (3,) * rank
    assert tuple(cs.ops.conv(x, ones(*taps, 2, 5)).shape) == (0, *(4,) * rank, 5)
    assert tuple(cs.ops.depthwise_conv(x, ones(*taps, 2, 1)).shape) == (0, *(4,) * rank, 2)
    assert tuple(cs.ops.conv_transpose(x, ones(*taps, 5, 2)).shape) == (0, *(8,) * rank, 5)
    patches = cs.ops.unfold(x, 3)
    assert tuple(patches.shape) == (0, *(4,) * rank, *taps, 2)
    assert tuple(cs.ops.fold(patches, 6).shape) == (0, *spatial, 2)
    layer = (cs.layers.Conv1D, cs.layers.Conv3D)[rank // 2]
    assert tuple(layer(5, 3, padding="same")(x).shape) == (0, *spatial, 5)

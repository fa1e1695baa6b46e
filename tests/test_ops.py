"""The shortcuts against their definition, their adjoints, NumPy, and Keras where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import reference
from convsmith.errors import DtypeError, ShapeError
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import Array, as_numpy, assert_close

NAMES = ("z", "h", "w")
WORDS = ("valid", "same", "same_lower", "full", "causal")
MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "renormalize")
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Case:
    """Arguments of a convolution; `padding` and `modes` have one entry for each axis."""

    seed: int
    rank: int
    sizes: tuple[int, ...]
    taps: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[Any, ...]
    modes: tuple[Any, ...]
    value: float | None
    groups: int
    last: bool

    def __str__(self) -> str:
        return f"{self.rank}d-{self.seed}"

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES[3 - self.rank :]

    @property
    def windows(self) -> str:
        """The windows as the notation writes them."""
        each = zip(self.names, self.strides, self.dilations, strict=True)
        return " ".join(f"({s}{n}+{d}k{n})" for n, s, d in each)

    @property
    def kernel_axes(self) -> str:
        return " ".join(f"k{n}" for n in self.names)

    @property
    def positions(self) -> str:
        return " ".join(self.names)

    def side(self, spatial: str, channels: str) -> str:
        return f"b {spatial} {channels}" if self.last else f"b {channels} {spatial}"

    @property
    def edges(self) -> dict[str, Any]:
        """Padding and modes as the reference takes them."""
        return {
            "padding": dict(zip(self.names, self.padding, strict=True)),
            "padding_mode": dict(zip(self.names, self.modes, strict=True)),
        }

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that all shortcuts share."""
        one = self.rank == 1
        return {
            "strides": self.strides,
            "padding": self.padding[0] if one else self.padding,
            "padding_mode": self.modes[0] if one else self.modes,
            "dilation_rate": self.dilations,
            "data_format": "channels_last" if self.last else "channels_first",
        }

    def random(self, *shape: int, offset: int = 0) -> Array:
        generator = np.random.default_rng((self.seed, offset))
        return generator.uniform(-1, 1, shape).astype("float32")

    def data(self, channels: int, sizes: tuple[int, ...] | None = None) -> Array:
        sizes = self.sizes if sizes is None else sizes
        return self.random(2, *sizes, channels) if self.last else self.random(2, channels, *sizes)


def cases(count: int, seed: int, *, modes: tuple[str, ...] = MODES) -> Iterator[Case]:
    """Return cases with a bias to what goes wrong: stride with dilation, groups, short axes."""
    for number in range(count):
        generator = np.random.default_rng((seed, number))

        def pick(options: Any, generator: Any = generator) -> Any:
            return options[generator.integers(len(options))]

        rank = (1, 2, 2, 3)[number % 4]
        many = range(rank)
        low, high = (3, 8) if rank < 3 else (2, 5)
        padding: list[Any] = []
        for _ in many:
            pair = (int(generator.integers(-1, 4)), int(generator.integers(-1, 4)))
            padding.append(pick([*WORDS, "same", pair, pair, int(generator.integers(0, 3))]))
        mode: list[Any] = []
        for _ in many:
            two = (pick(modes), pick(modes))
            mode.append(two if "renormalize" not in two and number % 3 == 0 else two[0])
        yield Case(
            seed=1000 * seed + number,
            rank=rank,
            sizes=tuple(int(generator.integers(low, high)) for _ in many),
            taps=tuple(int(generator.integers(1, 4 if rank < 3 else 3)) for _ in many),
            strides=tuple(pick([1, 1, 2, 3]) for _ in many),
            dilations=tuple(pick([1, 1, 2, 3]) for _ in many),
            padding=tuple(padding),
            modes=tuple(mode),
            # Zeros are what "renormalize" rescales.
            value=pick([None, None, 1.5]) if "constant" in str(mode) else None,
            groups=pick([1, 1, 2]),
            last=bool(generator.integers(2)),
        )


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function jitted on JAX, where each operation alone costs a compilation."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def agree(call: Callable[[], Any], expected: Callable[[], Array]) -> None:
    """Check values, or that both find the output empty."""
    try:
        values = expected()
    except ValueError:
        with pytest.raises(ShapeError, match="larger than the padded input|leaves nothing"):
            call()
        return
    result = call()
    assert tuple(result.shape) == values.shape
    assert_close(as_numpy(result), values, TOLERANCE, "values")


# Against the definition ---------------------------------------------------------------------


def conv_pattern(case: Case) -> str:
    data, result = case.side(case.windows, "(g i)"), case.side(case.positions, "(g o)")
    return f"{data}, {case.kernel_axes} i g o -> {result}"


@pytest.mark.parametrize("case", list(cases(32, 1)), ids=str)
def test_conv(case: Case) -> None:
    x = case.data(2 * case.groups)
    kernel = case.random(*case.taps, 2, 2 * case.groups, offset=1)
    agree(
        lambda: cs.ops.conv(
            x, kernel, groups=case.groups, padding_value=case.value, **case.arguments
        ),
        lambda: reference.conv(
            conv_pattern(case),
            x,
            kernel.reshape(*case.taps, 2, case.groups, 2),
            padding_value=case.value,
            **case.edges,
        ),
    )


@pytest.mark.parametrize("case", list(cases(14, 2)), ids=str)
def test_depthwise_conv(case: Case) -> None:
    x, kernel = case.data(3), case.random(*case.taps, 3, 2, offset=1)
    data, result = case.side(case.windows, "c"), case.side(case.positions, "(c m)")
    agree(
        lambda: cs.ops.depthwise_conv(x, kernel, padding_value=case.value, **case.arguments),
        lambda: reference.conv(
            f"{data}, {case.kernel_axes} c m -> {result}",
            x,
            kernel,
            padding_value=case.value,
            **case.edges,
        ),
    )


@pytest.mark.parametrize("case", list(cases(8, 3)), ids=str)
def test_separable_conv(case: Case) -> None:
    x, depthwise = case.data(2), case.random(*case.taps, 2, 2, offset=1)
    pointwise = case.random(*(1,) * case.rank, 4, 3, offset=2)
    data, result = case.side(case.windows, "c"), case.side(case.positions, "o")
    agree(
        lambda: cs.ops.separable_conv(x, depthwise, pointwise, **case.arguments),
        lambda: reference.conv(
            f"{data}, {case.kernel_axes} c m, (c m) o -> {result}",
            x,
            depthwise,
            pointwise.reshape(4, 3),
            **case.edges,
        ),
    )


@pytest.mark.parametrize("case", list(cases(12, 4)), ids=str)
def test_unfold(case: Case) -> None:
    x = case.data(2)
    data, taps = case.side(case.windows, "c"), case.kernel_axes
    result = f"b {case.positions} {taps} c" if case.last else f"b c {case.positions} {taps}"
    agree(
        lambda: cs.ops.unfold(x, case.taps, padding_value=case.value, **case.arguments),
        lambda: reference.conv(
            f"{data} -> {result}",
            x,
            padding_value=case.value,
            **case.edges,
            **{f"k{n}": k for n, k in zip(case.names, case.taps, strict=True)},
        ),
    )


# Adjoints -----------------------------------------------------------------------------------

PLAIN_MODES = tuple(m for m in MODES if m != "renormalize")


@pytest.mark.parametrize("case", list(cases(12, 5, modes=PLAIN_MODES)), ids=str)
def test_fold_is_the_adjoint_of_unfold(case: Case) -> None:
    """<unfold(x), y> == <x, fold(y)>, in whole numbers so that it holds exactly."""
    generator = np.random.default_rng(case.seed)
    x = generator.integers(-9, 10, case.data(2).shape).astype("int32")
    unfold = compiled(lambda x: cs.ops.unfold(x, case.taps, **case.arguments))
    fold = compiled(lambda y: cs.ops.fold(y, case.sizes, **case.arguments))
    try:
        patches = as_numpy(unfold(x))
    except ShapeError:
        return
    y = generator.integers(-9, 10, patches.shape).astype("int32")
    folded = as_numpy(fold(y))
    assert folded.shape == x.shape
    assert int((patches * y).sum()) == int((x * folded).sum())
    counts = as_numpy(fold(np.ones_like(y)))
    if all(mode == "constant" for mode in case.modes):
        assert counts.max() <= np.prod(case.taps)
    else:
        assert counts.min() >= 0


def transposed_sizes(case: Case) -> tuple[int, ...]:
    """Return the sizes that Keras gives, by its formulas."""
    sizes: list[int] = []
    each = zip(case.sizes, case.taps, case.strides, case.dilations, case.padding, strict=True)
    for n, k, s, d, padding in each:
        reach = d * (k - 1) + 1
        whole = s * (n - 1) + reach
        if padding == "valid":
            sizes.append(s * n + max(reach - s, 0))
        elif padding in ("same", "same_lower"):
            sizes.append(s * n)
        elif padding == "full":
            sizes.append(whole - 2 * (reach - 1))
        elif padding == "causal":
            sizes.append(whole - (reach - 1))
        else:
            low, high = (padding, padding) if isinstance(padding, int) else padding
            sizes.append(whole - low - high)
    return tuple(sizes)


@pytest.mark.parametrize("case", list(cases(16, 6, modes=PLAIN_MODES)), ids=str)
def test_conv_transpose_is_the_adjoint_of_conv(case: Case) -> None:
    x = case.data(2 * case.groups)
    kernel = case.random(*case.taps, 3, 2 * case.groups, offset=1)
    arguments = {**case.arguments, "groups": case.groups}
    sizes = transposed_sizes(case)
    if min(sizes) < 1:
        with pytest.raises(ShapeError, match="leaves nothing"):
            cs.ops.conv_transpose(x, kernel, **arguments)
        return
    result = compiled(lambda x, k: cs.ops.conv_transpose(x, k, **arguments))(x, kernel)
    # Which convolution it is the adjoint of: conv's input has the shape of the result.
    data, outputs = case.side(case.windows, "(g o)"), case.side(case.positions, "(g i)")
    expected, _ = reference.gradients(
        f"{data}, {case.kernel_axes} o g i -> {outputs}",
        case.data(3 * case.groups, sizes) * 0,
        kernel.reshape(*case.taps, 3, case.groups, 2),
        cotangent=x,
        **case.edges,
    )
    assert tuple(result.shape) == expected.shape
    assert_close(as_numpy(result), expected, TOLERANCE, "values")


@pytest.mark.parametrize("padding", ["valid", "same", 1])
@pytest.mark.parametrize(("taps", "stride", "more"), [(3, 2, 0), (3, 2, 1), (2, 3, 2), (4, 2, 1)])
def test_output_padding(padding: Any, taps: int, stride: int, more: int) -> None:
    """ "same" halves all that is cropped, as Keras does on every backend."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (2, 5, 3)).astype("float32")
    kernel = generator.uniform(-1, 1, (taps, 4, 3)).astype("float32")
    result = cs.ops.conv_transpose(x, kernel, stride, padding, more)
    total = {"valid": 0, "same": 2 * (taps // 2), 1: 2}[padding] - more
    low = {"valid": 0, "same": max(total // 2, 0), 1: 1}[padding]
    size = stride * 4 + taps - total
    expected, _ = reference.gradients(
        f"b ({stride}w+kw) o, kw o i -> b w i",
        np.zeros((2, size, 4)),
        kernel,
        cotangent=x,
        padding=(low, total - low),
    )
    assert tuple(result.shape) == (2, size, 4)
    assert_close(as_numpy(result), expected, TOLERANCE, "values")


# Gradients ----------------------------------------------------------------------------------


class Applied(keras.layers.Layer):
    """A function of an input and kernels, with the kernels as weights."""

    def __init__(self, function: Callable[..., Any], *kernels: Array) -> None:
        super().__init__()
        self.function = compiled(function)
        self.kernels = []
        for kernel in kernels:
            self.kernels.append(self.add_weight(shape=kernel.shape, initializer="zeros"))
            self.kernels[-1].assign(kernel)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.function(inputs, *[k.value for k in self.kernels])


def check_gradients(
    function: Callable[..., Any], pattern: str, x: Array, kernels: list[Array], **options: Any
) -> None:
    """Compare with the definition's; `pattern` has the kernels in the same shapes."""
    try:
        shape = reference.conv(pattern, x, *kernels, **options).shape
    except ValueError:
        return
    cotangent = np.random.default_rng(7).uniform(-1, 1, shape).astype("float32")
    found = layer_gradients(Applied(function, *kernels), x, cotangent)
    expected = reference.gradients(pattern, x, *kernels, cotangent=cotangent, **options)
    for number, (ours, right) in enumerate(zip(found, expected, strict=True)):
        assert_close(ours, right, 5e-5, f"gradient {number}")


@pytest.mark.parametrize("case", list(cases(10, 8)), ids=str)
def test_conv_gradients(case: Case) -> None:
    # Groups as a product of names, so that the definition's kernel has the shape of ours.
    data, result = case.side(case.windows, "(g i)"), case.side(case.positions, "(g o)")
    check_gradients(
        lambda x, kernel: cs.ops.conv(x, kernel, groups=case.groups, **case.arguments),
        f"{data}, {case.kernel_axes} i (g o) -> {result}",
        case.data(2 * case.groups),
        [case.random(*case.taps, 2, 2 * case.groups, offset=1)],
        **case.edges,
        g=case.groups,
    )


@pytest.mark.parametrize("case", list(cases(6, 9)), ids=str)
def test_depthwise_and_separable_gradients(case: Case) -> None:
    x, kernel = case.data(2), case.random(*case.taps, 2, 2, offset=1)
    data = case.side(case.windows, "c")
    check_gradients(
        lambda x, kernel: cs.ops.depthwise_conv(x, kernel, **case.arguments),
        f"{data}, {case.kernel_axes} c m -> {case.side(case.positions, '(c m)')}",
        x,
        [kernel],
        **case.edges,
    )
    ones = "1 " * case.rank
    check_gradients(
        lambda x, one, two: cs.ops.separable_conv(x, one, two, **case.arguments),
        f"{data}, {case.kernel_axes} c m, {ones}(c m) o -> {case.side(case.positions, 'o')}",
        x,
        [kernel, case.random(*(1,) * case.rank, 4, 3, offset=2)],
        **case.edges,
    )


@pytest.mark.parametrize("case", list(cases(8, 10, modes=PLAIN_MODES)), ids=str)
def test_conv_transpose_gradients(case: Case) -> None:
    """The adjoint's gradients are convolutions: for x with the kernel, for it with x."""
    sizes = transposed_sizes(case)
    if min(sizes) < 1:
        return
    x, kernel = case.data(2), case.random(*case.taps, 3, 2, offset=1)
    cotangent = case.data(3, sizes)
    layer = Applied(lambda x, k: cs.ops.conv_transpose(x, k, **case.arguments), kernel)
    found = layer_gradients(layer, x, cotangent)
    data, result = case.side(case.windows, "o"), case.side(case.positions, "i")
    pattern = f"{data}, {case.kernel_axes} o i -> {result}"
    for_x = reference.conv(pattern, cotangent, kernel, **case.edges)
    _, for_kernel = reference.gradients(pattern, cotangent, kernel, cotangent=x, **case.edges)
    assert_close(found[0], for_x, 5e-5, "input gradient")
    assert_close(found[1], for_kernel, 5e-5, "kernel gradient")


@pytest.mark.parametrize("case", list(cases(6, 11, modes=PLAIN_MODES)), ids=str)
def test_unfold_and_fold_are_each_others_gradients(case: Case) -> None:
    x = case.data(2)
    unfolding = Applied(lambda x: cs.ops.unfold(x, case.taps, **case.arguments))
    folding = Applied(lambda y: cs.ops.fold(y, case.sizes, **case.arguments))
    try:
        patches = as_numpy(unfolding(x))
    except ShapeError:
        return
    y = case.random(*patches.shape, offset=3)
    folded = as_numpy(folding(y))
    assert_close(layer_gradients(unfolding, x, y)[0], folded, TOLERANCE, "unfold")
    assert_close(layer_gradients(folding, y, x)[0], patches, TOLERANCE, "fold")


@pytest.mark.parametrize("mode", PLAIN_MODES)
def test_pad_gradients(mode: str) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype("float32")
    widths = ((2, 5), (6, -1))
    wide = as_numpy(cs.ops.pad(x, widths, mode=mode))
    cotangent = np.random.default_rng(1).uniform(-1, 1, wide.shape).astype("float32")
    found = layer_gradients(Applied(lambda x: cs.ops.pad(x, widths, mode=mode)), x, cotangent)[0]
    expected = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        one = np.zeros(x.shape, "float32")
        one[place] = 1
        expected[place] = (as_numpy(cs.ops.pad(one, widths, mode=mode)) * cotangent).sum()
    assert_close(found, expected, TOLERANCE, "gradient")


# NumPy --------------------------------------------------------------------------------------


def numpy_pad(x: Array, widths: Any, modes: Any, value: float) -> Array:
    """Return what NumPy makes of it, axis by axis; negative widths crop."""
    for axis, ((low, high), mode) in enumerate(zip(widths, modes, strict=True)):
        wide = [(0, 0)] * x.ndim
        wide[axis] = (max(low, 0), max(high, 0))
        options: Any = {"constant_values": value} if mode == "constant" else {}
        x = np.pad(x, wide, mode=mode, **options)
        kept = slice(max(-low, 0), x.shape[axis] - max(-high, 0))
        x = x[(slice(None),) * axis + (kept,)]
    return x


@pytest.mark.parametrize("number", range(16))
def test_pad(number: int) -> None:
    generator = np.random.default_rng((12, number))
    rank = 1 + number % 4
    shape = tuple(int(n) for n in generator.integers(2, 6, rank))
    x = generator.uniform(-1, 1, shape).astype("float32")
    widths = tuple((int(a), int(b)) for a, b in generator.integers(-1, 8, (rank, 2)))
    if number % 3 == 0:
        widths = tuple((max(a, 0), 0) for a, _ in widths)
    modes: Any = tuple(PLAIN_MODES[i] for i in generator.integers(0, 5, rank))
    if number % 2:
        modes = modes[:1] * rank
    if any(n + a + b < 1 for n, (a, b) in zip(shape, widths, strict=True)):
        widths = ((1, 0),) * rank
    value = 2.5 if "constant" in modes else 0.0
    given = modes[0] if number % 2 else tuple((m, m) for m in modes) if rank == 1 else modes
    given = given[0] if rank == 1 and not isinstance(given, str) else given
    y = cs.ops.pad(x, widths, mode=given, constant_values=value)
    np.testing.assert_array_equal(as_numpy(y), numpy_pad(x, widths, modes, value))


@pytest.mark.parametrize("width", [2, (1, 3), ((0, 0), (2, 1)), np.array([[1, 2], [0, 4]])])
@pytest.mark.parametrize("mode", PLAIN_MODES)
def test_pad_takes_numpys_widths(width: Any, mode: Any) -> None:
    x = np.arange(6.0).reshape(2, 3).astype("float32")
    expected = np.pad(x, width, mode=mode)
    np.testing.assert_array_equal(as_numpy(cs.ops.pad(x, width, mode=mode)), expected)


# Keras --------------------------------------------------------------------------------------


def data_for(data_format: str, sizes: tuple[int, ...], channels: int) -> Array:
    last = data_format == "channels_last"
    shape = (2, *sizes, channels) if last else (2, channels, *sizes)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


SETTINGS: list[dict[str, Any]] = [
    {},
    {"strides": 2},
    {"dilation_rate": 2},
    {"padding": "same"},
    {"padding": "same", "strides": 3},
    {"padding": "same", "dilation_rate": 3},
]


def keras_and_ours(name: str, x: Array, *kernels: Array, **arguments: Any) -> tuple[Any, Any]:
    return (
        as_numpy(getattr(keras.ops, name)(x, *kernels, **arguments)),
        as_numpy(getattr(cs.ops, name)(x, *kernels, **arguments)),
    )


@pytest.mark.parametrize("arguments", SETTINGS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_keras_conv(arguments: dict[str, Any], data_format: str, rank: int) -> None:
    x = data_for(data_format, (8, 7, 6)[:rank], 3)
    kernel = np.random.default_rng(1).uniform(-1, 1, (*(3, 2, 3)[:rank], 3, 4)).astype("float32")
    theirs, ours = keras_and_ours("conv", x, kernel, data_format=data_format, **arguments)
    assert_close(ours, theirs, TOLERANCE, "values")


@pytest.mark.parametrize("arguments", SETTINGS)
@pytest.mark.parametrize("rank", [1, 2])
def test_keras_depthwise_and_separable_conv(arguments: dict[str, Any], rank: int) -> None:
    x = data_for("channels_last", (8, 7)[:rank], 3)
    generator = np.random.default_rng(1)
    kernel = generator.uniform(-1, 1, (*(3, 3)[:rank], 3, 2)).astype("float32")
    point = generator.uniform(-1, 1, (*(1, 1)[:rank], 6, 4)).astype("float32")
    arguments = {**arguments, "data_format": "channels_last"}
    theirs, ours = keras_and_ours("depthwise_conv", x, kernel, **arguments)
    assert_close(ours, theirs, TOLERANCE, "depthwise")
    theirs, ours = keras_and_ours("separable_conv", x, kernel, point, **arguments)
    assert_close(ours, theirs, TOLERANCE, "separable")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("taps", "stride", "more"), [(3, 1, None), (3, 2, None), (3, 2, 1)])
def test_keras_conv_transpose(
    padding: str,
    data_format: str,
    rank: int,
    taps: int,
    stride: int,
    more: int | None,
) -> None:
    x = data_for(data_format, (5, 4, 3)[:rank], 3)
    shape = (*(taps,) * rank, 4, 3)
    kernel = np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")
    theirs, ours = keras_and_ours(
        "conv_transpose",
        x,
        kernel,
        strides=stride,
        padding=padding,
        output_padding=more,
        data_format=data_format,
    )
    assert_close(ours, theirs, TOLERANCE, "values")


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_keras_pad(mode: str) -> None:
    x = data_for("channels_last", (5, 4), 3)
    widths = ((0, 0), (2, 1), (3, 0), (0, 0))
    theirs = as_numpy(keras.ops.pad(x, widths, mode=mode))
    np.testing.assert_array_equal(as_numpy(cs.ops.pad(x, widths, mode=mode)), theirs)


# Forms of input -----------------------------------------------------------------------------


def test_lists_arrays_tensors_variables_and_symbols() -> None:
    x, kernel = data_for("channels_last", (4, 4), 2), np.ones((2, 2, 2, 3), "float32")
    expected = reference.conv("b (h+kh) (w+kw) i, kh kw i o -> b h w o", x, kernel)
    tensor = keras.ops.convert_to_tensor
    for a in (x, x.tolist(), tensor(x), keras.Variable(x)):
        for b in (kernel, kernel.tolist(), tensor(kernel), keras.Variable(kernel)):
            assert_close(as_numpy(cs.ops.conv(a, b)), expected, TOLERANCE, "values")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, cs.ops.conv(inputs, kernel))
    assert model.output_shape == (None, None, None, 3)
    assert_close(as_numpy(model(x)), expected, TOLERANCE, "values")


def test_the_default_data_format_is_keras_own() -> None:
    x, kernel = data_for("channels_first", (5, 4), 3), np.ones((2, 2, 3, 4), "float32")
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        assert tuple(cs.ops.conv(x, kernel).shape) == (2, 4, 4, 3)
    finally:
        keras.config.set_image_data_format(before)


@pytest.mark.parametrize("lowering", ["native", "shift", "unfold"])
def test_every_lowering_gives_the_same(lowering: str) -> None:
    for case in cases(4, 13):
        x, kernel = case.data(2), case.random(*case.taps, 2, 3, offset=1)
        try:
            expected = as_numpy(cs.ops.conv(x, kernel, **case.arguments))
            found = cs.ops.conv(x, kernel, lowering=lowering, **case.arguments)
        except (ShapeError, cs.errors.UnsupportedError):
            continue
        assert_close(as_numpy(found), expected, TOLERANCE, str(case))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16"])
def test_what_is_only_moved_keeps_its_dtype(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, (1, 4, 4, 1)).astype(dtype)
    for data in (x, keras.ops.convert_to_tensor(x)):
        padded = cs.ops.pad(data, ((0, 0), (1, 2), (1, 0), (0, 0)))
        assert keras.backend.standardize_dtype(padded.dtype) == dtype
        expected = np.pad(x, ((0, 0), (1, 2), (1, 0), (0, 0)))
        np.testing.assert_array_equal(as_numpy(padded), expected)
        patches = cs.ops.unfold(data, 2)
        assert keras.backend.standardize_dtype(patches.dtype) == dtype
        assert keras.backend.standardize_dtype(cs.ops.pad(data, 0).dtype) == dtype


def test_a_fill_that_the_dtype_does_not_hold_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"constant_values=300: doesn't fit in uint8; .* Try: "):
        cs.ops.pad(np.ones(3, "uint8"), 1, constant_values=300)

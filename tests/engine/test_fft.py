"""`fft`: sizes at the edges of transforms and tiles, outside truth, the error that it states."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

import convsmith as cs
from convsmith.lowerings import fft
from engine_cases import Case
from engine_runs import BACKEND, MODES, as_numpy, assert_close, tensors, value_and_gradients

# JAX compiles each eager operation of a new shape.
FEW = settings(max_examples=15 if BACKEND == "jax" else max(settings.default.max_examples // 2, 30))
DTYPES = ["float32"] if BACKEND == "jax" else ["float32", "float64"]
DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c -> b h w c"
LINE = "b (h+kh) c, kh c -> b h c"


def ways_of(plan: Any) -> list[tuple[fft.Tiling, ...]]:
    """Return every tiling of the only step, the untiled one first."""
    return fft.ways(plan.steps[0].step)


def tiled(plan: Any, way: tuple[fft.Tiling, ...]) -> Any:
    """Return the plan with its tiles chosen by hand."""
    plan.steps[0].step.notes["fft tilings"] = way
    return plan


@st.composite
def cases(draw: Any) -> Case:
    """Windows of every kind: read, written, flipped; even kernels, kernels beyond the input."""
    rank = draw(st.sampled_from([1, 1, 2, 2, 3]))
    names = "dhw"[3 - rank :]
    most = {1: 70, 2: 40, 3: 20}[rank]
    sizes = [draw(st.integers(1, most)) for _ in names]
    taps = [draw(st.integers(1, 9 if rank == 1 else 4)) for _ in names]
    strides = [draw(st.sampled_from([1, 1, 2, 3, 11])) for _ in names]
    dilations = [draw(st.sampled_from([1, 1, 2, 3])) for _ in names]
    signs = [draw(st.sampled_from("+-")) for _ in names]
    windows = " ".join(
        f"({s}{n}{sign}{d}k{n})"
        for n, s, d, sign in zip(names, strides, dilations, signs, strict=True)
    )
    plain, kernel = " ".join(names), " ".join(f"k{n}" for n in names)
    channels, extra, result, counts = draw(
        st.sampled_from(
            [
                ("i", "i o", "o", {"i": 2, "o": 3}),
                ("c", "c", "c", {"c": 2}),
                ("c", "c m", "(c m)", {"c": 2, "m": 2}),
                ("c", "", "c", {"c": 3}),
                ("(g i)", "i g o", "(g o)", {"g": 2, "i": 2, "o": 2}),
            ]
        )
    )
    written = draw(st.booleans())
    if written:
        pattern = f"b {plain} {channels}, {kernel} {extra} -> b {windows} {result}"
    elif draw(st.booleans()):
        pattern = f"b {windows} {channels}, {kernel} {extra} -> b {plain} {result}"
    else:
        pattern = f"b {channels} {windows}, {kernel} {extra} -> b {result} {plain}"
    count = np.prod([counts[n] for n in channels.strip("()").split()], dtype=int)
    places = [count, *sizes] if pattern.startswith("b c (") else [*sizes, count]
    if pattern.split(",")[0].split()[1] == channels or pattern.startswith("b (g i)"):
        places = [count, *sizes]
    padding = draw(st.sampled_from(["valid", "same", "full", (2, 0), (0, 13), (-1, 2)]))
    if written and not isinstance(padding, tuple):
        padding = draw(st.sampled_from(["valid", 0, (1, 0), (-2, 1)]))
    shapes = ((2, *map(int, places)), (*taps, *(counts[n] for n in extra.split())))
    return Case(pattern, shapes, {"padding": padding})


@FEW
@given(case=cases(), choice=st.integers(0, 10**6))
def test_values_and_gradients_with_any_tiles(case: Case, choice: int) -> None:
    if not case.possible():
        return
    operands = case.operands()
    expected = case.expected(operands)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    for dtype in DTYPES:
        given_tensors = tensors(operands, dtype)
        plan = cs.plan(case.pattern, *given_tensors, lowering="fft", **case.arguments)
        ways = ways_of(plan)
        way = ways[choice % len(ways)]
        run = tiled(plan, way).run
        y, gradients = value_and_gradients(run, given_tensors, cotangent, "eager")
        assert_close(y, expected, dtype, f"{case}, {way}")
        wanted = case.gradients(operands, cotangent)
        for i, (ours, theirs) in enumerate(zip(gradients, wanted, strict=True)):
            assert_close(ours, theirs, dtype, f"{case}, {way}, gradient {i}")


TILED = {
    "line": Case("b (h+kh) c, kh c -> b h c", ((2, 100, 3), (5, 3)), {"padding": "same"}),
    "strided": Case("b (3h-2kh) i, kh i o -> b h o", ((2, 130, 2), (4, 2, 3)), {"padding": (1, 2)}),
    "image": Case(DEPTHWISE, ((1, 50, 41, 2), (3, 4, 2)), {"padding": "same"}),
    "written": Case("b h i, kh i o -> b (2h+kh) o", ((2, 60, 2), (4, 2, 3)), {"padding": 1}),
    "volume": Case("b (d+kd) (h+kh) (w+kw), kd kh kw -> b d h w", ((1, 20, 9, 34), (2, 3, 2)), {}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", TILED)
def test_tiles_in_every_mode(name: str, mode: str, monkeypatch: Any) -> None:
    used: list[int] = []

    def most_tiles(step: Any) -> tuple[fft.Tiling, ...]:
        way = max(fft.ways(step), key=lambda way: sum(t.tiles for t in way))
        used.append(max(t.tiles for t in way))
        return way

    monkeypatch.setattr(fft, "plan_axes", most_tiles)
    case = TILED[name]
    operands = case.operands()
    expected = case.expected(operands)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    y, gradients = value_and_gradients(
        lambda *xs: cs.conv(case.pattern, *xs, lowering="fft", **case.arguments),
        tensors(operands, "float32"),
        cotangent,
        mode,
    )
    assert max(used) > 1
    assert_close(y, expected, "float32", f"{case} in {mode}")
    for i, wanted in enumerate(case.gradients(operands, cotangent)):
        assert_close(gradients[i], wanted, "float32", f"{case} in {mode}, gradient {i}")


@pytest.mark.parametrize("size", [15, 16, 18, 25])
@pytest.mark.parametrize("padding", ["causal", "full", "valid", (3, 0), (0, 4), (7, 1)])
def test_what_wraps_around_is_not_wanted(padding: Any, size: int) -> None:
    """Sizes that are good transforms already: nothing is spare by chance."""
    case = Case("(h+kh), kh -> h", ((size,), (6,)), {"padding": padding})
    operands = case.operands()
    x, k = tensors(operands, "float32")
    plan = cs.plan(case.pattern, x, k, lowering="fft", **case.arguments)
    for way in ways_of(plan):
        y = tiled(plan, way).run(x, k)
        assert_close(y, case.expected(operands), "float32", f"{case}, {way}")


def test_open_batches() -> None:
    if BACKEND != "tensorflow":
        pytest.skip("only TensorFlow leaves sizes open")
    import tensorflow as tf

    function = tf.function(
        lambda x, k: cs.conv(DEPTHWISE, x, k, padding="same", lowering="fft"),
        input_signature=[tf.TensorSpec((None, 9, 40, 2)), tf.TensorSpec((3, 5, 2))],
    )
    case = Case(DEPTHWISE, ((3, 9, 40, 2), (3, 5, 2)), {"padding": "same"})
    operands = case.operands()
    assert_close(function(*operands), case.expected(operands), "float32", "open batch")


@pytest.mark.parametrize("tiles", [False, True])
def test_scipy_agrees(tiles: bool) -> None:
    """SciPy convolves, the pattern correlates: one kernel is flipped."""
    rng = np.random.default_rng(2)
    line, taps = rng.normal(size=3000).astype("float32"), rng.normal(size=77).astype("float32")
    plan = cs.plan("(h-kh), kh -> h", line, taps, padding="full", lowering="fft")
    way = next(w for w in ways_of(plan) if (w[0].tiles > 1) == tiles)
    y = tiled(plan, way).run(*tensors([line, taps], "float32"))
    wide, wide_taps = line.astype("float64"), taps.astype("float64")
    assert_close(y, signal.oaconvolve(wide, wide_taps), "float32", "a line")

    image, kernel = rng.normal(size=(91, 120)), rng.normal(size=(12, 9))
    made = cs.plan("(h-kh) (w-kw), kh kw -> h w", image.shape, kernel.shape, lowering="fft")
    ways = [w for w in ways_of(made) if (w[0].tiles * w[1].tiles > 1) == tiles]
    y = tiled(made, ways[-1]).run(*tensors([image, kernel], "float32"))
    assert_close(y, signal.fftconvolve(image, kernel, "valid"), "float32", "an image")


def test_good_sizes_have_small_factors() -> None:
    def smooth(n: int) -> bool:
        n = n // 7 if n % 7 == 0 else n
        for factor in (2, 3, 5):
            while n % factor == 0:
                n //= factor
        return n == 1

    for least in range(1, 2000):
        expected = next(n for n in range(least, 2 * least + 8) if smooth(n))
        assert fft.good_size(least) == expected
        even = fft.good_size(least, even=True)
        assert smooth(even)
        assert even % 2 == 0


def test_long_axes_are_tiled_and_short_ones_not() -> None:
    plan = cs.plan(LINE, (1, 1_000_000, 1), (1023, 1), padding="same", lowering="fft")
    (way,) = fft.plan_axes(plan.steps[0].step)
    assert way.tiles > 50
    workspace = fft.workspace(plan.steps[0].step, plan.target)
    assert workspace < 4 * plan.bytes
    plan = cs.plan(DEPTHWISE, (2, 56, 56, 48), (31, 31, 48), padding="same", lowering="fft")
    assert [t.tiles for t in fft.plan_axes(plan.steps[0].step)] == [1, 1]


def hard_operands(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and a kernel that a transform finds hard, exact in float32."""
    x, k = rng.normal(size=(70, 64)), rng.normal(size=(33, 31))
    if kind == "a bright pixel":
        x = np.full_like(x, 1e-3)
        x[40, 20] = 1e6
    elif kind == "positive":
        x, k = np.abs(x) + 10, np.abs(k)
    elif kind == "alternating":
        x = np.indices(x.shape).sum(0) % 2 * 2.0 - 1
        k = np.indices(k.shape).sum(0) % 2 * 2.0 - 1
    elif kind == "one tap":
        k = np.zeros_like(k)
        k[7, 30] = 1
    elif kind == "wide range of taps":
        k = 10.0 ** rng.uniform(-6, 6, k.shape)
    return x.astype("float32"), k.astype("float32")


HARD = ["noise", "a bright pixel", "positive", "alternating", "one tap", "wide range of taps"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", HARD)
def test_errors_are_within_the_stated_bound(kind: str, dtype: str) -> None:
    x, k = hard_operands(kind, np.random.default_rng(3))
    pattern = "(h+kh) (w+kw), kh kw -> h w"
    expected = signal.correlate2d(x.astype("float64"), k.astype("float64"), "valid")
    operands = tensors([x, k], dtype)
    plan = cs.plan(pattern, *operands, lowering="fft")
    for way in ways_of(plan):
        y = tiled(plan, way).run(*operands)
        bound = fft.error_bound(plan.steps[0].step, dtype) * np.abs(x).max() * np.abs(k).sum()
        assert np.abs(as_numpy(y) - expected).max() <= bound + 1e-15 * np.abs(expected).max()


def test_small_results_beside_large_ones_lose_digits_only_within_their_tile() -> None:
    """What the documentation warns of, so that it stays true."""
    x = np.full((1, 4096, 1), 1e-3, "float32")
    x[0, 10] = 1e6
    k = np.ones((65, 1), "float32")
    plan = cs.plan(LINE, x, k, lowering="fft")
    way = next(w for w in ways_of(plan) if w[0].tiles > 8)
    y = as_numpy(tiled(plan, way).run(*tensors([x, k], "float32")))[0, :, 0]
    apart = 2 * way[0].points
    np.testing.assert_allclose(y[apart:], 65e-3, rtol=1e-5)
    near = np.abs(y[11 : way[0].points - 64] - 65e-3).max()
    direct = as_numpy(cs.conv(LINE, x, k, lowering="native"))[0, :, 0]
    assert np.abs(direct[11:] - 65e-3).max() < 1e-6 < near


@pytest.mark.parametrize(
    ("shape", "taps", "accurate"),
    [
        ((2, 56, 56, 48), (31, 31, 48), True),
        ((2, 56, 56, 48), (3, 3, 48), False),
        ((2, 56, 56, 48), (9, 9, 48), False),
        ((1, 512, 512, 1), (127, 127, 1), True),
    ],
)
def test_it_is_chosen_only_where_direct_sums_are_no_better(
    shape: tuple[int, ...], taps: tuple[int, ...], accurate: bool
) -> None:
    plan = cs.plan(DEPTHWISE, shape, taps, padding="same")
    step = plan.steps[0].step
    assert fft.within_direct_error(step) == accurate
    eps = float(np.finfo("float32").eps)
    direct = eps * taps[0] * taps[1]
    assert (fft.error_bound(step, "float32") <= direct) == accurate
    if not accurate:
        assert plan.lowering != "fft"
        assert "fft: only when forced, its error may exceed" in str(plan)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"semiring": "max_plus"}, "no transform for max_plus"),
        ({"dtype": "int32"}, "no transform for int32"),
    ],
)
def test_what_it_declines_has_a_reason(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(cs.errors.UnsupportedError, match=reason):
        cs.plan(LINE, (1, 9, 2), (3, 2), lowering="fft", **arguments)
    with pytest.raises(cs.errors.UnsupportedError, match="positions 'h' is open"):
        cs.plan(LINE, (1, None, 2), (3, 2), lowering="fft")


def test_complex_numbers() -> None:
    case = Case("b (h+kh) i, kh i o -> b h o", ((2, 30, 2), (5, 2, 3)))
    operands = case.operands("complex64")
    y = cs.conv(case.pattern, *map(keras.ops.convert_to_tensor, operands), lowering="fft")
    assert_close(y, case.expected(operands), "complex64", "complex")

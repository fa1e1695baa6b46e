"""Kernels that are taken apart into lines: when, exactly what, and how forced or refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convsmith as cs
from convsmith import apart
from convsmith.errors import UnsupportedError
from convsmith.separation import separation
from engine_cases import MODES as PADDING_MODES
from engine_cases import PADDINGS, Case
from engine_runs import BACKEND, MODES, as_numpy, assert_close, tensors, value_and_gradients

# JAX compiles each operation of a new shape.
FEW = settings(max_examples=15 if BACKEND == "jax" else max(settings.default.max_examples // 2, 30))
# torch.compile doesn't look into arrays.
UNCOMPILED = [m for m in MODES if m != "compiled"]
PATTERN = "b (h+kh) (w+kw) c, kh kw -> b h w c"
GAUSSIAN = np.outer(np.hanning(17)[1:-1], np.hanning(17)[1:-1])
SHAPE = (4, 112, 96, 32)


def image(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def outer(lines: list[np.ndarray], rest: np.ndarray) -> np.ndarray:
    """Return the outer product of lines, times an array of the axes that are no taps."""
    whole = np.ones(())
    for line in lines:
        whole = whole[..., None] * line
    return whole.reshape(*whole.shape, *[1] * rest.ndim) * rest


@st.composite
def separable_cases(draw: Any) -> tuple[Case, np.ndarray]:
    rank = draw(st.sampled_from([2, 2, 3]))
    names = "dhw"[3 - rank :]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    sizes = [draw(st.integers(1, 9)) for _ in names]
    taps = [draw(st.integers(1, 4)) for _ in names]
    windows = " ".join(
        f"({draw(st.sampled_from([1, 1, 2, 3]))}{n}{draw(st.sampled_from('+-'))}"
        f"{draw(st.sampled_from([1, 1, 2]))}k{n})"
        for n in names
    )
    plain, kernel = " ".join(names), " ".join(f"k{n}" for n in names)
    channels, extra, result, counts = draw(
        st.sampled_from(
            [
                ("c", "", "c", (3,)),
                ("c", "c", "c", (3,)),
                ("c", "c m", "(c m)", (2, 2)),
                ("i", "i o", "o", (2, 3)),
                ("i", "1 o", "i o", (3,)),
                ("(g i)", "i g o", "(g o)", (2, 2, 1)),
            ]
        )
    )
    own = {"": (), "c": (3,), "c m": (2, 2), "i o": (2, 3), "1 o": (1, 4), "i g o": (2, 2, 1)}[
        extra
    ]
    depth = 4 if channels == "(g i)" else counts[0]
    whole = outer([rng.normal(size=n) for n in taps], rng.normal(size=own))
    first = draw(st.booleans())
    data = (2, depth, *sizes) if first else (2, *sizes, depth)
    left = f"b {channels} {windows}" if first else f"b {windows} {channels}"
    right = f"b {result} {plain}" if first else f"b {plain} {result}"
    arguments = {
        "padding": draw(st.sampled_from(PADDINGS)),
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
    }
    case = Case(f"{left}, {kernel} {extra} -> {right}", (data, whole.shape), arguments)
    return case, whole.astype("float32")


@FEW
@given(drawn=separable_cases(), mode=st.sampled_from(UNCOMPILED))
def test_values_and_gradients_are_those_of_the_whole_kernel(
    drawn: tuple[Case, np.ndarray], mode: str
) -> None:
    case, kernel = drawn
    if not case.possible():
        return
    data = case.operands()[0]
    expected = case.expected([data, kernel])
    cotangent = np.random.default_rng(1).normal(size=expected.shape)

    def apart(x: Any) -> Any:
        return cs.conv(case.pattern, x, kernel, lowering="separable", **case.arguments)

    y, (gradient,) = value_and_gradients(apart, tensors([data], "float32"), cotangent, mode)
    assert_close(y, expected, "float32", f"{case} in {mode}")
    wanted = case.gradients([data, kernel], cotangent)[0]
    assert_close(gradient, wanted, "float32", f"{case} in {mode}, gradient")


@pytest.mark.parametrize("mode", UNCOMPILED)
def test_large_outer_products_are_taken_apart_by_themselves(mode: str) -> None:
    x = image()
    plan = cs.plan(PATTERN, SHAPE, GAUSSIAN, padding="same", mode=mode)
    assert len(plan.steps) == 2
    y, _ = value_and_gradients(
        lambda x: cs.conv(PATTERN, x, GAUSSIAN, padding="same"),
        tensors([x], "float32"),
        np.ones(x.shape),
        mode,
    )
    expected = cs.conv(PATTERN, x, keras.ops.convert_to_tensor(GAUSSIAN.astype("float32")))
    assert_close(y[:, 7:-7, 7:-7], as_numpy(expected), "float32", mode)


@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile")
def test_a_compiled_call_takes_the_kernel_whole() -> None:
    import torch

    assert cs.plan(PATTERN, SHAPE, GAUSSIAN, mode="compiled").pattern == PATTERN
    x = image((1, 20, 20, 2))
    y = torch.compile(lambda x: cs.conv(PATTERN, x, GAUSSIAN))(torch.tensor(x))
    whole = cs.conv(PATTERN, x, torch.tensor(GAUSSIAN.astype("float32")))
    assert_close(y, as_numpy(whole), "float32", "compiled")


def test_plan_and_explain_show_the_lines(capsys: Any) -> None:
    plan = cs.plan(PATTERN, SHAPE, GAUSSIAN)
    assert plan.pattern == "b (h+kh) (w+kw) c, kh, kw -> b h w c"
    assert plan.problem.shapes == (SHAPE, (15,), (15,))
    assert plan.dtype == "float32"
    cs.explain(PATTERN, SHAPE, GAUSSIAN)
    assert "kh, kw" in capsys.readouterr().out


@pytest.mark.parametrize(
    "kernel",
    [
        np.random.default_rng(0).normal(size=(15, 15)),  # No outer product.
        GAUSSIAN + np.eye(15),
        np.outer([1.0, 2, 1], [1.0, 0, -1]),  # Small: two passes take longer.
        GAUSSIAN.astype("complex64"),
    ],
)
def test_other_kernels_stay_whole(kernel: np.ndarray) -> None:
    shape = SHAPE if kernel.shape == (15, 15) else (8, 112, 112, 32)
    assert cs.plan(PATTERN, shape, kernel).pattern == PATTERN


def test_what_rounding_allows_depends_on_the_dtype() -> None:
    nearly = GAUSSIAN + 1e-10 * np.random.default_rng(0).normal(size=GAUSSIAN.shape)
    assert cs.plan(PATTERN, SHAPE, nearly).pattern != PATTERN
    assert cs.plan(PATTERN, SHAPE, nearly, dtype="float64").pattern == PATTERN


def test_tensors_and_halves_and_limits_stay_whole() -> None:
    tensor = keras.ops.convert_to_tensor(GAUSSIAN.astype("float32"))
    assert cs.plan(PATTERN, SHAPE, tensor).pattern == PATTERN
    assert cs.plan(PATTERN, SHAPE, GAUSSIAN, dtype="bfloat16").pattern == PATTERN
    assert cs.plan(PATTERN, SHAPE, GAUSSIAN, accumulate_dtype="float32").pattern == PATTERN
    assert cs.plan(PATTERN, SHAPE, GAUSSIAN, lowering="shift").pattern == PATTERN


def test_another_kernel_of_the_same_shape_is_another_result() -> None:
    x = image()
    turned = np.random.default_rng(1).normal(size=GAUSSIAN.shape)
    for kernel in (GAUSSIAN, 2 * GAUSSIAN, turned, GAUSSIAN):
        y = cs.conv(PATTERN, x, kernel)
        whole = cs.conv(PATTERN, x, keras.ops.convert_to_tensor(kernel.astype("float32")))
        assert_close(y, as_numpy(whole), "float32", "one call after another")


def test_models_of_patterns_keep_the_whole_kernel(tmp_path: Any) -> None:
    x = image()
    inputs = keras.Input(SHAPE[1:])
    outputs = cs.conv(PATTERN, inputs, GAUSSIAN.astype("float32"), lowering="separable")
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    whole = cs.conv(PATTERN, x, keras.ops.convert_to_tensor(GAUSSIAN.astype("float32")))
    assert_close(again(x), as_numpy(whole), "float32", "reloaded")


@pytest.mark.parametrize(
    "kernel",
    [
        np.ones((2, 2)) + np.eye(2),
        np.array([[np.inf, 1], [1, 1]]),
        "tensor",
        GAUSSIAN.astype("complex64"),
    ],
    ids=["no outer product", "infinite", "tensor", "complex"],
)
def test_forcing_what_cannot_be_taken_apart_is_refused(kernel: Any) -> None:
    if isinstance(kernel, str):
        kernel = keras.ops.ones((2, 2))
    for call in (cs.conv, cs.plan):
        with pytest.raises(UnsupportedError, match=r"outer product.*kernels\.separate"):
            call(PATTERN, image(), kernel, lowering="separable")


def test_a_line_is_refused_too() -> None:
    with pytest.raises(UnsupportedError, match="apart"):
        cs.conv("b (h+kh), kh -> b h", np.ones((1, 5)), np.ones(2), lowering="separable")


@pytest.mark.backend_free
def test_which_operand_is_taken_apart() -> None:
    found = separation("b (h+kh) (w+kw) (g i), kh kw i g o -> b h w (g o)")
    assert found is not None
    assert found.pattern == "b (h+kh) (w+kw) (g i), kh, kw i g o -> b h w (g o)"
    assert found.line_shapes((3, 5, 2, 4, 6)) == ((3,), (5, 2, 4, 6))
    assert found.operands(("x", "kernel"), ("column", "row")) == ("x", "column", "row")
    assert separation("b (h+kh), kh -> b h") is None
    assert separation("b (h+kh) (w+kw), kh kw -> b h w kh") is None
    assert separation("... (h+kh) (w+kw), ... kh kw -> ... h w") is None
    assert separation("what is this") is None


@pytest.mark.backend_free
def test_terms_add_up_and_are_refused_where_they_cancel() -> None:
    found = separation(PATTERN)
    assert found is not None
    kernel = np.random.default_rng(0).normal(size=(4, 5))
    terms = found.terms(kernel, 1e-12)
    assert len(terms) == 4
    np.testing.assert_allclose(sum(np.outer(*lines) for lines in terms), kernel, atol=1e-12)
    assert len(found.terms(kernel, 0.5)) < 4
    # Every entry is small beside what the two outer products have there.
    cancelling = np.outer([1, 1e-9], [1, 1]) - np.outer([1, 0], [1, 1 + 1e-9])
    assert found.exact_terms(GAUSSIAN, 1e-7) is not None
    assert sum(np.abs(np.outer(*t)).sum() for t in found.terms(cancelling, 0)) < 1e-8


def test_decisions_are_forgotten_with_wisdom() -> None:
    cs.plan(PATTERN, SHAPE, GAUSSIAN)
    assert apart._known
    cs.wisdom.forget()
    assert not apart._known

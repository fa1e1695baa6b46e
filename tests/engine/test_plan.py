"""`plan` says what `conv` will do; `print` shows it."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import ArgumentError, UnsupportedError
from engine_cases import ROWS
from engine_runs import BACKEND, MODES

DENSE = "b (2h+kh) (w+kw) i, kh kw i o -> b h w o"
SHAPES = ((8, 32, 30, 16), (3, 3, 16, 24))


def test_a_plan_has_sizes_costs_and_shapes() -> None:
    plan = cs.plan(DENSE, *SHAPES, padding="same")
    assert plan.output_shape == (8, 16, 30, 24)
    assert dict(plan.sizes) == {"b": 8, "h": 16, "w": 30, "i": 16, "o": 24, "kh": 3, "kw": 3}
    assert plan.macs == 8 * 16 * 30 * 24 * 16 * 9
    assert plan.bytes == 4 * (8 * 32 * 30 * 16 + 9 * 16 * 24 + 8 * 16 * 30 * 24)


def test_the_text_shows_arithmetic_cost_choice_and_the_others() -> None:
    text = str(cs.plan(DENSE, *SHAPES, padding="same"))
    assert DENSE in text
    assert "(8, 32, 30, 16), (3, 3, 16, 24) -> (8, 16, 30, 24)" in text
    assert "h: floor((32 + 0 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 16" in text
    assert re.search(r"[\d.]+ ?M MACs", text)
    assert re.search(r"(native|direct): chosen", text)
    for loser in ("matmul", "shift", "unfold"):
        assert re.search(rf"{loser}: \S+", text), f"nothing said of {loser}"
    assert "has several taps and several positions" in text


def test_unknown_sizes_flow_through() -> None:
    plan = cs.plan(DENSE, (None, None, 30, 16), (3, 3, 16, 24))
    assert plan.output_shape == (None, None, 28, 24)
    assert "?" in str(plan)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_explained(name: str, mode: str, capsys: Any) -> None:
    case = ROWS[name]
    cs.explain(case.pattern, *case.shapes, mode=mode, **case.arguments)
    text = capsys.readouterr().out
    # Eager calls of JAX are compiled, too.
    assert f"{BACKEND}, {'jit' if BACKEND == 'jax' else mode}" in text
    assert "chosen" in text
    expected = case.expected(case.operands()).shape
    assert cs.plan(case.pattern, *case.shapes, **case.arguments).output_shape == expected


@pytest.mark.parametrize("name", ["native", "matmul", "shift", "unfold", "fft"])
def test_a_lowering_can_be_forced(name: str) -> None:
    # One tap: every lowering can do it.
    plan = cs.plan("b (2h+kh) i, kh i o -> b h o", (2, 9, 3), (1, 3, 4), lowering=name)
    assert plan.lowering == name


def test_a_forced_lowering_that_cannot_says_why() -> None:
    with pytest.raises(
        UnsupportedError, match="the kernel changes with the position 'h'"
    ) as caught:
        cs.plan("(h+kh), h kh -> h", (5,), (4, 2), lowering="native")
    assert "lowering=None" in str(caught.value)
    with pytest.raises(ArgumentError, match="lowering='fast': is unknown"):
        cs.plan("(h+kh), h kh -> h", (5,), (4, 2), lowering="fast")


def test_unknown_modes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="mode='turbo'"):
        cs.plan(DENSE, *SHAPES, mode="turbo")


def test_operands_of_a_plan_may_be_tensors_or_arrays() -> None:
    x, kernel = np.ones((2, 5, 1), "float32"), keras.ops.ones((2, 1, 3))
    assert cs.plan("b (h+kh) i, kh i o -> b h o", x, kernel).output_shape == (2, 4, 3)


def test_the_order_of_operands_is_the_cheapest() -> None:
    """Low rank: the channels meet the small factor before the windows do."""
    plan = cs.plan(
        "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o",
        (1, 64, 64, 128),
        (7, 4),
        (7, 4),
        (128, 4),
        (128, 4),
    )
    naive = 58 * 58 * 128 * 128 * 49
    assert plan.macs < naive / 100


def test_plans_are_found_again(monkeypatch: Any) -> None:
    from convsmith import engine

    x, kernel = keras.ops.ones((1, 7, 2)), keras.ops.ones((3, 2, 2))
    first = cs.conv("b (h+kh) i, kh i o -> b h o", x, kernel)
    monkeypatch.setattr(engine, "_new_plan", None)  # Planning again would fail.
    again = cs.conv("b (h+kh) i, kh i o -> b h o", x, kernel)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again), np.full((1, 5, 2), 6.0))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(first), keras.ops.convert_to_numpy(again)
    )

"""Random patterns of the grammar, random paddings, modes and semirings, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import convsmith as cs
from convsmith.errors import UnsupportedError
from convsmith.lowerings import LOWERINGS
from engine_cases import Case, random_cases
from engine_runs import BACKEND, MODES, assert_close, tensors, value_and_gradients

SMOOTH = "sum_product"


def compute(case: Case, **more: Any) -> Any:
    return lambda *xs: cs.conv(case.pattern, *xs, **case.arguments, **more)


def check(case: Case, mode: str, **more: Any) -> None:
    assume(case.possible())
    operands = case.operands()
    expected = case.expected(operands)
    given_tensors = tensors(operands, "float32")
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    if case.arguments.get("semiring", SMOOTH) != SMOOTH:
        assert_close(compute(case, **more)(*given_tensors), expected, "float32", str(case))
        return
    y, gradients = value_and_gradients(compute(case, **more), given_tensors, cotangent, mode)
    assert_close(y, expected, "float32", f"{case} in {mode}")
    wanted = case.gradients(operands, cotangent)
    for i, (ours, theirs) in enumerate(zip(gradients, wanted, strict=True)):
        assert_close(ours, theirs, "float32", f"{case} in {mode}, gradient {i}")


# JAX compiles each eager operation of a new shape, TensorFlow and PyTorch don't.
EAGER = settings(max_examples=settings.default.max_examples * (1 if BACKEND == "jax" else 3))
FEW = settings(max_examples=max(settings.default.max_examples // 3, 15))


@EAGER
@given(random_cases())
def test_eager(case: Case) -> None:
    check(case, "eager")


@pytest.mark.parametrize("mode", MODES[1:])
@FEW
@given(case=random_cases())
def test_compiled(mode: str, case: Case) -> None:
    check(case, mode)


@pytest.mark.parametrize("lowering", list(LOWERINGS))
@FEW
@given(case=random_cases())
def test_every_lowering(lowering: str, case: Case) -> None:
    assume(case.possible())
    try:
        cs.plan(case.pattern, *case.operands(), lowering=lowering, **case.arguments)
    except UnsupportedError:
        event(f"{lowering} declines")
        return
    event(f"{lowering} computes")
    check(case, "eager", lowering=lowering)


@FEW
@given(case=random_cases(), seed=st.integers(0, 3))
def test_lowerings_agree(case: Case, seed: int) -> None:
    """`unfold` computes everything, so it is what the others are compared with."""
    assume(case.possible())
    operands = tensors(case.operands(seed=seed), "float32")
    chosen = compute(case)(*operands)
    portable = compute(case, lowering="unfold")(*operands)
    expected = np.asarray(case.expected(case.operands(seed=seed)))
    assert_close(chosen, expected, "float32", "chosen")
    assert_close(portable, expected, "float32", "unfold")

"""`tune`: measure the lowerings on this machine and let the planner remember the fastest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import keras
import numpy as np

from convsmith import engine
from convsmith.errors import ArgumentError, compose
from convsmith.lowerings import Sizes, Target
from convsmith.lowerings.backend import current
from convsmith.lowerings.running import in_mode, wait, with_gradients
from convsmith.planner import Plan, wisdom
from convsmith.planner.costs import estimate
from convsmith.planner.differentiate import run_step
from convsmith.planner.features import workspace
from convsmith.planner.plan import PlannedStep
from convsmith.planner.tune import time_in_turns
from convsmith.steps import Step

OUT_OF_QUESTION = 50.0
"""Lowerings that are estimated this many times slower than the best aren't tried."""


def tune(
    problem: Any,
    *operands: Any,
    mode: str | None = None,
    gradients: bool = False,
    seconds: float = 1.0,
    wisdom_file: str | os.PathLike[str] | None = None,
    **arguments: Any,
) -> Any:
    """Measure every lowering of a convolution, or of all in a model, and remember the fastest.

    The lowerings take turns in this process, compilation not counted. What wins is kept in
    `convsmith.wisdom`, in memory and in its file; plans made from now on use it, while functions
    that were compiled before keep what they were compiled with.

    Args:
        problem: a pattern as `conv` takes it, or a Keras layer or model.
        *operands: for a pattern its operands or their shapes; for a model a sample of its input,
            or its shape with the batch (a list or dict of them for several inputs). All sizes
            must be known. Only shapes and dtypes matter.
        mode: the execution mode to measure in, as in `plan`. By default that of an eager call for
            a pattern; for a model that of its `fit` and `predict`.
        gradients: measure the result together with the gradients for both operands.
        seconds: of measuring for each step of each convolution, after compilation.
        wisdom_file: where to keep what was measured instead of `wisdom.path()`.
        **arguments: for a pattern those of `plan`.

    Returns:
        The plan as it is now for a pattern; for a model a list of plans, one per convolution that
        it computes.

    Raises:
        ArgumentError: an unknown size, or arguments that a model doesn't take.
        PatternError, ShapeError, DtypeError, UnsupportedError: as in `plan`.

    Example:
        >>> made = tune("b (h+kh) i, kh i o -> b h o", (1, 9, 2), (3, 2, 4), seconds=0.01)
        >>> made.steps[0].chosen.source
        'measured'
    """
    if isinstance(problem, str):
        made = engine.plan(problem, *operands, mode=mode, **arguments)
        _tune_plan(made, gradients, seconds, wisdom_file)
        return engine.plan(problem, *operands, mode=mode, **arguments)
    if not isinstance(problem, keras.layers.Layer) or len(operands) != 1 or arguments:
        raise ArgumentError(
            compose(
                "tune",
                "takes a pattern with its operands, or a layer or model with one sample",
                received=f"{type(problem).__name__}, {len(operands)} operands, "
                f"arguments {sorted(arguments) or 'none'}",
                fix="tune(model, (8, 224, 224, 3))",
            ),
            argument="problem",
            value=problem,
        )
    mode = mode or _mode_of(problem)
    with engine.recording() as calls:
        problem(_sample(operands[0]))
    distinct = [call for i, call in enumerate(calls) if call not in calls[:i]]
    for call in distinct:
        _tune_plan(call(mode=mode), gradients, seconds, wisdom_file)
    return [call(mode=mode) for call in distinct]


def _mode_of(model: Any) -> str:
    """Return the mode that a model's `fit` and `predict` run in."""
    compiled = getattr(model, "compiled", False)
    jitted = bool(compiled and getattr(model, "jit_compile", False))
    eager = bool(compiled and getattr(model, "run_eagerly", False))
    return {
        "tensorflow": "eager" if eager else "xla" if jitted else "graph",
        "jax": "jit",
        "torch": "compiled" if jitted and not eager else "eager",
    }[current().NAME]


def _sample(given: Any) -> Any:
    """Return tensors for shapes; tensors and arrays stay."""
    if isinstance(given, dict):
        return {name: _sample(one) for name, one in given.items()}
    if isinstance(given, tuple) and all(n is None or isinstance(n, int) for n in given):
        if None in given:
            raise ArgumentError(
                compose(
                    f"tune: shape {given}",
                    "has an unknown size",
                    expected="the sizes that the model will run with, the batch too",
                    fix=f"{tuple(8 if n is None else n for n in given)}",
                ),
                argument="operands",
                value=given,
            )
        return keras.ops.convert_to_tensor(_random(given, keras.backend.floatx()))
    if isinstance(given, list | tuple):
        return type(given)(_sample(one) for one in given)
    return given


def _tune_plan(
    made: Plan,
    gradients: bool,
    seconds: float,
    file: str | os.PathLike[str] | None,
) -> None:
    if made.is_open:
        raise ArgumentError(
            compose(
                f"pattern '{made.pattern}'",
                "can't be measured while a size is unknown",
                received=f"shapes {', '.join(map(str, made.problem.shapes))}",
                fix="shapes without None",
            ),
            argument="operands",
            value=made.problem.shapes,
        )
    if made.has_empty:
        return
    for planned in made.steps:
        steps = [planned]
        if gradients and planned.target.dtype.startswith(("float", "bfloat")):
            # The gradients are planned too: they come first, as the step is timed with them.
            steps = [*(a for a in planned.adjoints if a is not None), planned]
        for one in steps:
            if one.step.input_windows or one.step.output_windows:
                _tune_step(one, gradients and one is planned, seconds, file)


def _tune_step(
    planned: PlannedStep, gradients: bool, seconds: float, file: str | os.PathLike[str] | None
) -> None:
    step, target = planned.step, planned.target
    names = _worth_trying(planned)
    if not names:
        return
    operands = [_tensor(step, i, target) for i in range(len(step.operands))]
    candidates = {}
    for name in names:
        run = partial(_run, replace(step, notes={}), name, target)
        run = with_gradients(run) if gradients else run
        candidates[name] = partial(_call, in_mode(run, target.mode), operands)
    timing = time_in_turns(candidates, seconds)
    if timing.best is None:
        return
    measured = {
        "lowering": timing.best,
        "microseconds": {n: round(t, 2) for n, t in timing.microseconds.items()},
        "gradients": gradients,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    wisdom.keep(wisdom.entry(step, target, measured), file)


def _worth_trying(planned: PlannedStep) -> list[str]:
    free = [c.lowering for c in planned.choices if c.ok and not c.reason]
    # Estimates, not what an earlier tune measured: that may have been without gradients.
    costs = {n: estimate(n, planned.step, planned.target) for n in free}
    room = _free_memory() / 2
    return [
        name
        for name, cost in costs.items()
        if cost <= OUT_OF_QUESTION * min(costs.values())
        and workspace(name, planned.step, planned.target) <= room
    ]


def _free_memory() -> float:
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _run(step: Step, name: str, target: Target, *operands: Any) -> Any:
    planned = PlannedStep(step, name, (), target)
    run = partial(run_step, planned, Sizes(step.sizes, {}))
    if target.mode == "compiled":
        return current().opaque(lambda *xs: run(xs))(*operands)
    return run(operands)


def _call(function: Any, operands: Sequence[Any]) -> None:
    wait(function(*operands))


def _tensor(step: Step, index: int, target: Target) -> Any:
    shape = tuple(n or 0 for n in step.operand_shape(index))
    return keras.ops.convert_to_tensor(_random(shape, target.dtype), dtype=target.dtype)


def _random(shape: tuple[int | None, ...], dtype: str) -> np.ndarray:
    random = np.random.default_rng(0)
    known = tuple(n or 0 for n in shape)
    if dtype.startswith(("int", "uint", "bool")):
        return random.integers(0, 2, known)
    return random.standard_normal(known, dtype="float32")

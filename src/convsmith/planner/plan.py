"""`Plan`: everything that is decided before a number is touched, and the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from convsmith.errors import ArgumentError, UnsupportedError, compose
from convsmith.lowerings import LOWERINGS, Target
from convsmith.lowerings.amounts import dense, item_size, operand_bytes, output_bytes
from convsmith.planner import wisdom
from convsmith.planner.costs import estimate
from convsmith.planner.features import workspace
from convsmith.planner.memory import DEAR, MANY, check_limit, held_bytes
from convsmith.problem import Problem, Size, SizedWindow
from convsmith.separation import SEPARABLE
from convsmith.steps import Step, contraction_steps, elements, needs_real_pads, written_window

ESTIMATED, MEASURED = "estimated", "measured"

TRUSTED = 0.85
"""The backend's own convolution wins where estimates say that another is hardly faster."""

TINY = 100_000
"""Multiply-adds below which measured times are those of calls, and say little of lowerings."""

TRUSTED_TINY = 0.5
"""There the backend's own convolution wins by needing one operation."""

DOUBTED = 1.3
"""`direct` must be estimated this much faster for dense steps, where backends are good."""


@dataclass(frozen=True)
class Choice:
    """What one lowering would cost for one step, or why it can't, or only does when forced."""

    lowering: str
    ok: bool
    reason: str
    microseconds: float | None
    source: str = ESTIMATED
    workspace: int = 0
    """Bytes beside operands and result, with what the plan holds meanwhile."""


@dataclass(frozen=True)
class PlannedStep:
    """A step with its lowering, and the others with their reasons."""

    step: Step
    lowering: str
    choices: tuple[Choice, ...]
    target: Target
    limit: int | None = None
    """The most bytes of workspace that gradients may take too."""

    @property
    def chosen(self) -> Choice:
        """The choice that was made."""
        return next(c for c in self.choices if c.lowering == self.lowering)

    @cached_property
    def adjoints(self) -> tuple[PlannedStep | None, PlannedStep | None]:
        """The planned gradients of both operands, None where they are no such steps."""
        from convsmith.planner.differentiate import adjoints

        return adjoints(self)

    def replanned(self, *steps: Step) -> PlannedStep:
        """Return the plan of the cheapest of steps that compute the same, for this target."""
        return min((self._replanned(s) for s in steps), key=lambda p: p.microseconds)

    def _replanned(self, step: Step) -> PlannedStep:
        """Where none fits the memory, the lowering that needs the least is taken."""
        try:
            return _choose(step, self.target, None, limit=self.limit)
        except UnsupportedError:
            if self.limit is None:
                raise
        made = _choose(step, self.target, None)
        least = min((c for c in made.choices if c.ok), key=lambda c: c.workspace)
        return replace(made, lowering=least.lowering, limit=self.limit)

    @property
    def microseconds(self) -> float:
        """What the chosen lowering is thought to take."""
        return self.chosen.microseconds or 0.0


@dataclass(frozen=True, eq=False)
class Plan:
    """An immutable plan: sizes, pads, output shape, cost, the lowering of each step.

    `dtype` is that of the result, `compute_dtype` that of the sums.
    """

    problem: Problem
    target: Target
    dtype: str
    compute_dtype: str
    steps: tuple[PlannedStep, ...]
    flat_output: tuple[Any, ...]
    renormalized: tuple[SizedWindow, ...]
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def pattern(self) -> str:
        """The text of the pattern."""
        return self.problem.pattern

    @property
    def output_shape(self) -> tuple[Size, ...]:
        """The shape of the result; None where it is unknown."""
        return self.problem.output_shape

    @property
    def sizes(self) -> Mapping[str, Size]:
        """The size of every named axis."""
        return self.problem.sizes

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of all steps (unknown sizes counted as 16)."""
        return sum(s.step.macs for s in self.steps)

    @cached_property
    def bytes(self) -> int:
        """Bytes of operands and result."""
        item = item_size(self.dtype)
        shapes = (*self.problem.shapes, self.output_shape)
        return item * sum(elements(s) for s in shapes)

    @cached_property
    def workspace_bytes(self) -> int:
        """Bytes needed at most beside operands and result: copies, intermediates, workspace."""
        return max((s.chosen.workspace for s in self.steps), default=0)

    @property
    def microseconds(self) -> float:
        """What all steps are thought to take."""
        return sum(s.microseconds for s in self.steps)

    @property
    def lowering(self) -> str:
        """The lowering of the steps that have windows, joined by '+' when they differ."""
        windowed = [s for s in self.steps if s.step.input_windows or s.step.output_windows]
        names = dict.fromkeys(s.lowering for s in windowed or self.steps)
        return "+".join(names) or "matmul"

    @cached_property
    def has_empty(self) -> bool:
        """Whether some axis has no entries, so that the result is empty or all zeros."""
        windows = (*self.problem.input_windows, *self.problem.output_windows)
        known = [*self.sizes.values(), *(w.size for w in windows)]
        return any(s == 0 for s in known)

    @cached_property
    def is_open(self) -> bool:
        """Whether a size is only known when a graph runs."""
        windows = (*self.problem.input_windows, *self.problem.output_windows)
        return any(s is None for s in (*self.sizes.values(), *(w.size for w in windows)))

    @cached_property
    def needs_preparation(self) -> tuple[bool, ...]:
        """Whether each operand must be reshaped or padded before the steps."""
        problem = self.problem
        return tuple(
            self.is_open
            or shape != tuple(p.size if isinstance(p, SizedWindow) else self.sizes[p] for p in side)
            or any(isinstance(p, SizedWindow) and needs_real_pads(p, problem) for p in side)
            for shape, side in zip(problem.shapes, problem.operands, strict=True)
        )

    @cached_property
    def needs_finish(self) -> bool:
        """Whether the result must be folded back, ordered or reshaped after the steps."""
        problem = self.problem
        flat = tuple(
            p.size if isinstance(p, SizedWindow) else self.sizes[p] for p in problem.output
        )
        places = tuple(p if isinstance(p, str) else written_window(p) for p in problem.output)
        return (
            self.is_open
            or flat != self.output_shape
            or places != tuple(self.flat_output)
            or any(not w.plain_padding for w in problem.output_windows)
        )

    def run(self, *operands: Any) -> Any:
        """Return the result for operands of the planned shapes and dtypes."""
        run = self._cache.get("run")
        if run is None:
            from convsmith.lowerings.backend import current
            from convsmith.planner.run import run_plan

            run = self._cache["run"] = current().compiled(partial(run_plan, self))
        return run(*operands)

    def bound(self, dtypes: Sequence[str]) -> Callable[..., Any]:
        """Return the shortest function that runs this plan on operands of these dtypes."""
        from convsmith.planner.run import bind

        return bind(self, dtypes)

    def __str__(self) -> str:
        from convsmith.planner.report import describe

        return describe(self)


def make_plan(
    problem: Problem,
    target: Target,
    *,
    dtype: str,
    compute_dtype: str,
    lowering: str | None = None,
    max_workspace_bytes: int | None = None,
) -> Plan:
    """Return the plan of a problem: its steps in the cheapest order, each with a lowering.

    Raises:
        ArgumentError: `lowering` names none, or `max_workspace_bytes` is no number of bytes.
        UnsupportedError: `lowering` can't compute this, or none can within the memory; the
            message has the reason.
    """
    check_limit(max_workspace_bytes)
    if lowering is not None and lowering not in LOWERINGS:
        raise ArgumentError(
            compose(
                f"lowering={lowering!r}",
                "is unknown",
                expected=f"None or one of {', '.join(map(repr, (*LOWERINGS, SEPARABLE)))}",
                fix="lowering=None, which lets the planner choose",
            ),
            argument="lowering",
            value=lowering,
        )
    renormalized = tuple(
        dict.fromkeys(
            w for w in (*problem.input_windows, *problem.output_windows) if "renormalize" in w.mode
        )
    )
    steps, flat_output = contraction_steps(problem, tuple((w.position,) for w in renormalized))
    planned = tuple(
        _choose(step, target, lowering, problem.pattern, held, max_workspace_bytes)
        for step, held in zip(steps, held_bytes(problem, steps, compute_dtype), strict=True)
    )
    return Plan(problem, target, dtype, compute_dtype, planned, flat_output, renormalized)


def _choose(
    step: Step,
    target: Target,
    forced: str | None,
    pattern: str = "",
    held: int = 0,
    limit: int | None = None,
) -> PlannedStep:
    choices = [_choice(name, step, target, held, limit) for name in LOWERINGS]
    windowed = step.input_windows or step.output_windows
    if forced is None and limit is not None and not any(c.ok and not c.reason for c in choices):
        _refuse_limit(choices, pattern, limit)
    if forced is not None and windowed:
        chosen = next(c for c in choices if c.lowering == forced)
        if not chosen.ok:
            others = [c.lowering for c in choices if c.ok]
            raise UnsupportedError(
                compose(
                    f"lowering={forced!r}",
                    f"can't compute '{pattern}' on {target.backend}: {chosen.reason}",
                    expected=f"one of {', '.join(map(repr, others))}",
                    fix="lowering=None, which lets the planner choose",
                ),
                argument="lowering",
                value=forced,
            )
        return PlannedStep(step, forced, tuple(choices), target, limit)
    if not windowed:
        return PlannedStep(step, "matmul", tuple(choices), target, limit)
    free = [c for c in choices if c.ok and not c.reason]
    measured = [c for c in free if c.source == MEASURED]

    def cost(choice: Choice) -> float:
        time = choice.microseconds or 0.0
        if choice.source != ESTIMATED:
            return time
        return time * handicap(choice.lowering, step, target, choice.workspace - held)

    best = min(measured or free, key=cost, default=None)
    if best is None:
        reasons = "; ".join(f"{c.lowering}: {c.reason}" for c in choices)
        raise UnsupportedError(
            compose(
                f"pattern '{pattern}'",
                f"no lowering can compute it ({reasons})",
                expected="windows whose number of taps is known",
                fix="the sizes of the taps as arguments, such as kh=3",
            ),
            argument="lowering",
        )
    return PlannedStep(step, best.lowering, tuple(choices), target, limit)


def handicap(name: str, step: Step, target: Target, needed: int) -> float:
    """Return what an estimate counts times, because of what estimates don't see."""
    if name == "direct" and dense(step):
        return DOUBTED
    if needed > MANY * (operand_bytes(step, target) + output_bytes(step, target)):
        return DEAR
    if name == "native":
        return TRUSTED if step.macs >= TINY or target.compiled else TRUSTED_TINY
    return 1.0


def _choice(name: str, step: Step, target: Target, held: int, limit: int | None) -> Choice:
    """Return what a lowering would cost, by measurement where there is one."""
    support = LOWERINGS[name].supports(step, target)
    if not support.ok:
        return Choice(name, False, support.reason, None)
    needed = held + workspace(name, step, target)
    if limit is not None and needed > limit:
        reason = f"it needs {needed:,} bytes of workspace, more than {limit:,}"
        return Choice(name, False, reason, None, workspace=needed)
    known = (wisdom.find(step, target) or {}).get("microseconds", {})
    if name in known:
        return Choice(name, True, support.reason, known[name], MEASURED, needed)
    cost = estimate(name, step, target)
    return Choice(name, True, support.reason, cost, workspace=needed)


def _refuse_limit(choices: Sequence[Choice], pattern: str, limit: int) -> None:
    """Raise if memory is all that is missing."""
    able = [c for c in choices if c.workspace > limit]
    if not able:
        return
    least = min(able, key=lambda c: c.workspace)
    raise UnsupportedError(
        compose(
            f"max_workspace_bytes={limit!r}",
            f"is too little for '{pattern}'",
            expected=f"at least {least.workspace:,} bytes, which lowering {least.lowering!r} needs",
            received="; ".join(f"{c.lowering}: {c.reason}" for c in choices),
            fix=f"max_workspace_bytes={least.workspace}",
        ),
        argument="max_workspace_bytes",
        value=limit,
    )


def renormalization(window: SizedWindow, low: int, size: int, positions: int) -> np.ndarray:
    """Return taps / (taps in bounds) for every position, 0 where none is."""
    assert window.taps is not None
    start = np.arange(positions) * window.stride - low
    reads = start[:, None] + window.dilation * np.arange(window.taps)
    inside = ((reads >= 0) & (reads < size)).sum(axis=1)
    return np.where(inside > 0, window.taps / np.maximum(inside, 1), 0.0)

"""How much memory a plan takes beside its operands and its result."""

from __future__ import annotations

from convsmith.errors import ArgumentError, compose
from convsmith.lowerings.amounts import item_size
from convsmith.problem import Place, Problem, SizedWindow
from convsmith.steps import Step, elements, needs_real_pads, step_window

MANY = 2
"""Workspace of more than this many times operands and result is much."""

DEAR = 1.25
"""How many times slower a lowering may be before one that takes so much is preferred."""


def check_limit(limit: int | None) -> None:
    """Refuse what is no number of bytes.

    Raises:
        ArgumentError: it is no int, or negative.

    Example:
        >>> check_limit(-1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        convsmith.errors.ArgumentError: max_workspace_bytes=-1: is no number of bytes; ...
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0):
        return
    raise ArgumentError(
        compose(
            f"max_workspace_bytes={limit!r}",
            "is no number of bytes",
            expected="None or an int of at least 0",
            fix="max_workspace_bytes=2**30",
        ),
        argument="max_workspace_bytes",
        value=limit,
    )


def held_bytes(problem: Problem, steps: tuple[Step, ...], dtype: str) -> tuple[int, ...]:
    """Return, for each step, the bytes of copies and intermediate results that exist beside it.

    Operands whose edges must be made real are copied before the first step.
    """
    item = item_size(dtype)
    live: dict[int, int] = {}
    for index, side in enumerate(problem.operands):
        if any(isinstance(p, SizedWindow) and needs_real_pads(p, problem) for p in side):
            live[index] = item * elements(_padded_size(p, problem) for p in side)
    found: list[int] = []
    for number, step in enumerate(steps, start=1):
        if number < len(steps):
            live[step.slot] = item * elements(step.output_shape)
        found.append(sum(live.values()))
        for index in step.inputs:
            live.pop(index, None)
    return tuple(found)


def _padded_size(place: Place, problem: Problem) -> int | None:
    if isinstance(place, SizedWindow):
        return step_window(place, problem).size
    return problem.place_size(place)

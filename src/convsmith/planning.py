"""From the arguments of a call to its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from convsmith.dtypes import result_dtype, sum_dtype
from convsmith.errors import DtypeError, compose
from convsmith.lowerings import Target
from convsmith.lowerings.backend import current
from convsmith.notation import parse
from convsmith.operands import check_dtype
from convsmith.planner import Plan, make_plan
from convsmith.problem import solve


class Options(NamedTuple):
    """The arguments of `conv` beside pattern, operands and sizes, in its order."""

    padding: Any = "valid"
    padding_mode: Any = "constant"
    padding_value: float | None = None
    semiring: str = "sum_product"
    accumulate_dtype: str | None = None
    lowering: str | None = None
    max_workspace_bytes: int | None = None


def planned(
    pattern: str,
    shapes: list[tuple[int | None, ...]],
    dtypes: list[str],
    mode: str,
    given: Options,
    sizes: Mapping[str, int],
) -> Plan:
    """Return the plan of a call on operands of these shapes and dtypes."""
    spec = parse(pattern, sizes)
    problem = solve(
        pattern,
        spec,
        shapes,
        padding=given.padding,
        padding_mode=given.padding_mode,
        padding_value=given.padding_value,
        semiring=given.semiring,
        sizes=sizes,
    )
    result = result_dtype(tuple(dtypes))
    sums = sum_dtype(result, given.accumulate_dtype)
    if given.accumulate_dtype is not None and current().held_dtype(sums) != sums:
        raise DtypeError(
            compose(
                f"accumulate_dtype={sums!r}",
                f"would silently be {current().held_dtype(sums)}",
                expected="a dtype that the backend holds",
                fix='jax.config.update("jax_enable_x64", True) before the first computation',
            ),
            argument="accumulate_dtype",
            value=sums,
        )
    check_dtype(result, problem, given.padding_value)
    backend = current()
    target = Target(backend.NAME, mode, backend.device(), sums, backend.spread())
    limits: Any = {
        "lowering": given.lowering,
        "max_workspace_bytes": given.max_workspace_bytes,
    }
    made = make_plan(problem, target, dtype=result, compute_dtype=sums, **limits)
    native = all(s.lowering == "native" for s in made.steps)
    if native and sums != result and given.accumulate_dtype is None and made.steps:
        # The backends' own convolutions sum half precision in float32 by themselves.
        target = replace(target, dtype=result)
        kept = make_plan(problem, target, dtype=result, compute_dtype=result, **limits)
        if all(s.lowering == "native" for s in kept.steps) and backend.sums_halves_wide(target):
            return kept
    return made


def frozen(value: Any) -> Any:
    """Return a value that can be a key, different for different arguments."""
    if isinstance(value, Mapping):
        return tuple((k, frozen(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return (type(value).__name__, *(frozen(v) for v in value))
    return value

"""The text of a plan: shape arithmetic, cost, the choice and why the others lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsmith.planner.memory import MANY
from convsmith.problem import SizedWindow

if TYPE_CHECKING:
    from convsmith.planner.plan import Choice, Plan, PlannedStep


def describe(plan: Plan) -> str:
    """Return what `print(plan)` shows."""
    problem = plan.problem
    shapes = ", ".join(_shape(s) for s in problem.shapes)
    lines = [
        f"pattern   {problem.pattern}",
        f"shapes    {shapes} -> {_shape(plan.output_shape)}",
        f"dtype     {plan.dtype}"
        + (f", sums in {plan.compute_dtype}" if plan.compute_dtype != plan.dtype else ""),
        f"semiring  {problem.semiring}",
        f"target    {plan.target.backend}, {plan.target.mode}, {plan.target.device}"
        + (", split over several" if plan.target.spread else ""),
    ]
    lines += [f"window    {arithmetic(w)}" for w in problem.input_windows]
    lines += [f"window    {arithmetic(w)}" for w in problem.output_windows]
    lines.append(f"cost      {_amount(plan.macs)} MACs, {_amount(plan.bytes)}B in and out")
    much = plan.workspace_bytes > MANY * plan.bytes
    lines.append(
        f"memory    {_amount(plan.workspace_bytes)}B of workspace"
        + (f", more than {MANY} times what goes in and out" if much else "")
    )
    for number, planned in enumerate(plan.steps, start=1):
        lines += _step(plan, number, planned)
    return "\n".join(lines)


def arithmetic(window: SizedWindow) -> str:
    """Return the equation of one window's sizes with its numbers."""
    size = "?" if window.size is None else window.size
    low, high = ("?" if p is None else p for p in window.pads)
    taps, positions = window.taps or "?", window.positions
    positions = "?" if positions is None else positions
    mode = window.mode[0] if window.mode[0] == window.mode[1] else "/".join(window.mode)
    tail = f"   (pads {low}, {high} {mode}{', flipped' if window.flipped else ''})"
    if window.written:
        return (
            f"{window.position}: {window.stride}*({positions} - 1) + {window.dilation}*({taps} - 1)"
            f" + 1 - {low} - {high} = {size}{tail}"
        )
    return (
        f"{window.position}: floor(({size} + {low} + {high} - {window.dilation}*({taps} - 1) - 1)"
        f" / {window.stride}) + 1 = {positions}{tail}"
    )


def _step(plan: Plan, number: int, planned: PlannedStep) -> list[str]:
    step = planned.step
    sides = ", ".join(" ".join(map(_place, side)) for side in step.operands)
    head = f"step {number}    {sides} -> {' '.join(map(_place, step.output))}"
    lines = [head, f"          {planned.lowering}: chosen"]
    for choice in planned.choices:
        if choice.lowering == planned.lowering:
            if choice.microseconds is not None:
                lines[1] += f", {choice.source} {choice.microseconds:,.0f} us"
        elif choice.ok:
            lines.append(f"          {choice.lowering}: {_lost(choice)}")
        else:
            lines.append(f"          {choice.lowering}: can't, {choice.reason}")
    return lines


def _lost(choice: Choice) -> str:
    if choice.reason:
        return f"only when forced, {choice.reason}"
    return f"not chosen, {choice.source} {choice.microseconds:,.0f} us"


def _place(place: str | SizedWindow) -> str:
    if isinstance(place, str):
        return place
    sign = "-" if place.flipped else "+"
    return f"({place.stride}{place.position}{sign}{place.dilation}{place.tap})"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if n is None else str(n) for n in shape) + ")"


def _amount(number: float) -> str:
    for unit in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {unit}".rstrip() if not unit else f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} T"

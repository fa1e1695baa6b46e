"""How `shift` looks at a step: which windows it reads instead of writing, and what it sums when.

Three moves make one algorithm of forward passes, data gradients and kernel gradients:

* a written window is read from the other side: out[n] = sum over k of y[(n + low - d k) / s],
  with zeros between the entries of y where s > 1;
* a window whose taps are kept and whose positions are summed (the gradient of a kernel) changes
  roles: what it sums over are its taps, what it keeps its positions;
* names that both operands share and nothing multiplies (the batch, in the gradient of a depthwise
  kernel) are summed like taps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convsmith.problem import SizedWindow, place_names
from convsmith.rewrites import exchange_roles, read_instead
from convsmith.steps import Step


@dataclass(frozen=True)
class Arrangement:
    """A step as `shift` computes it."""

    step: Step
    """The step, with read windows only."""
    spread: Mapping[str, int]
    """Positions of windows whose axis gets zeros between its entries first: name to stride."""
    named: Mapping[str, int]
    """Sizes of the axes that only this arrangement names."""
    summed: tuple[str, ...]
    """Names that are summed one by one, slowest first."""
    counts: tuple[int | None, ...]
    """Their sizes; None for what only the running graph knows."""
    kept: tuple[str, ...]
    """Taps that stay in the output: one term each, stacked."""
    reversed: tuple[str, ...]
    """Names of the output to reverse at the end."""
    exchanged: bool
    """Whether taps and positions have changed roles."""

    def count(self, tap: str) -> int:
        """Return how many taps a name has."""
        found = next(w.taps for w in self.step.input_windows if w.tap == tap)
        assert found is not None
        return found


def arrange(step: Step, loops: bool) -> Arrangement | str:
    """Return the arrangement, or the reason why `shift` can't compute the step.

    `loops`: whether a compiler will run loops, so that long sums needn't be unrolled.
    """
    note = f"arrangement, loops={loops}"
    found = step.notes.get(note)
    if found is None:
        found = step.notes[note] = _arrange(step, loops)
    return found


def _arrange(step: Step, loops: bool) -> Arrangement | str:
    spread: dict[str, int] = {}
    named: dict[str, int] = {}
    if step.output_windows:
        if step.input_windows:
            return "it can't read and write windows in one step"
        read = read_instead(step)
        if isinstance(read, str):
            return read
        step, spread, named = read
    windows = step.input_windows
    if not windows:
        return "there is no window to shift"
    for window in windows:
        if window.taps is None:
            return f"the number of taps '{window.tap}' is unknown"
    reversed_names: tuple[str, ...] = ()
    plain: list[str] = []
    exchanged = None
    if loops and len(step.operands) == 2 and not _multiplies_matrices(step):
        exchanged = exchange_roles(step)
        if exchanged is not None:
            step, reversed_names = exchanged
            windows = step.input_windows
            plain = _shared_summed(step)
    if exchanged is None:
        # An axis with one entry is indexed away, so that it is no sum of products.
        plain = [n for n in _shared_summed(step) if step.sizes[n] == 1]
    kept = tuple(dict.fromkeys(w.tap for w in windows if w.tap in step.output))
    if kept and len(step.operands) < 2:
        return f"taps '{kept[0]}' of a single operand are kept in the output"
    counts: dict[str, int | None] = {n: step.sizes[n] for n in plain}
    counts |= {w.tap: w.taps for w in windows if w.tap not in kept}
    return Arrangement(
        step=step,
        spread=spread,
        named=named,
        summed=tuple(counts),
        counts=tuple(counts.values()),
        kept=kept,
        reversed=reversed_names,
        exchanged=exchanged is not None,
    )


def _names(step: Step, side: int) -> set[str]:
    read = {*step.input_windows}
    return {
        n
        for p in step.operands[side]
        for n in (place_names(p) if not isinstance(p, SizedWindow) or p in read else ())
    }


def _multiplies_matrices(step: Step) -> bool:
    """Whether a tap is a matrix product: rows of one side, columns of the other, a sum inside."""
    one, other = _names(step, 0), _names(step, 1)
    taps = {w.tap for w in step.input_windows}
    output = {n for p in step.output for n in place_names(p)}
    inside = {n for n in (one & other) - taps - output if step.sizes[n] != 1}
    return bool(inside and (one - other - taps) & output and (other - one - taps) & output)


def _shared_summed(step: Step) -> list[str]:
    if len(step.operands) < 2:
        return []
    taps = {w.tap for w in step.input_windows}
    both = _names(step, 0) & _names(step, 1)
    plain = [p for p in step.operands[0] if isinstance(p, str)]
    return [p for p in plain if p in both and p not in taps and p not in step.output]

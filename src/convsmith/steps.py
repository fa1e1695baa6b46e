"""From a `Problem` to `Step`s: the order in which operands are combined, two at a time.

``b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o`` costs 20 times more or less by the order in
which its five operands meet. All orders are tried (few operands) and the cheapest is taken;
multiply-adds are counted first, intermediate sizes second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any

from convsmith.geometry import Pads
from convsmith.problem import (
    SEMIRING_ZERO,
    Place,
    Problem,
    Size,
    SizedWindow,
    place_names,
)

ASSUMED_SIZE = 16
"""What an unknown size counts as in costs; choices hardly depend on it (it's mostly the batch)."""

MOST_OPERANDS_SEARCHED = 6

GRADIENT = "gradient"
"""Note of a step that is a gradient: part of training, never of a model that is handed on."""


@dataclass(frozen=True)
class Step:
    """One contraction of one or two flat operands to one flat output.

    `inputs` are the slots of the operands; the result is put in slot `slot`. Windows on an operand
    only have zero (semiring zero) pads; windows on the output may crop or extend.
    """

    inputs: tuple[int, ...]
    slot: int
    operands: tuple[tuple[Place, ...], ...]
    output: tuple[Place, ...]
    sizes: Mapping[str, Size]
    semiring: str
    notes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What lowerings found out about the step, so that no run has to find it again."""

    @cached_property
    def input_windows(self) -> tuple[SizedWindow, ...]:
        """Windows that this step reads: those whose axis the output doesn't carry along."""
        carried = {p for p in self.output if isinstance(p, SizedWindow)}
        return tuple(
            dict.fromkeys(
                p
                for side in self.operands
                for p in side
                if isinstance(p, SizedWindow) and p not in carried
            )
        )

    @cached_property
    def output_windows(self) -> tuple[SizedWindow, ...]:
        """Windows that this step writes."""
        brought = {p for side in self.operands for p in side}
        return tuple(p for p in self.output if isinstance(p, SizedWindow) and p not in brought)

    def size(self, place: Place) -> Size:
        """Return the size of a place; a position or tap name works too."""
        if isinstance(place, SizedWindow):
            return place.size
        return self.sizes[place]

    def operand_shape(self, index: int) -> tuple[Size, ...]:
        """Return the flat shape of an operand."""
        return tuple(self.size(p) for p in self.operands[index])

    @property
    def output_shape(self) -> tuple[Size, ...]:
        """The flat shape of the result."""
        return tuple(self.size(p) for p in self.output)

    @property
    def iteration_names(self) -> tuple[str, ...]:
        """Every name that the step runs over."""
        names: dict[str, None] = {}
        live = {*self.input_windows, *self.output_windows}
        for side in self.operands:
            for place in side:
                if isinstance(place, SizedWindow) and place not in live:
                    names[place.axis] = None
                else:
                    names.update(dict.fromkeys(place_names(place)))
        return tuple(names)

    @property
    def macs(self) -> int:
        """Multiply-adds, with unknown sizes counted as `ASSUMED_SIZE`."""
        carried = {
            p.axis: p.size for side in self.operands for p in side if isinstance(p, SizedWindow)
        }
        return prod(
            assumed(carried[n] if n in carried else self.sizes[n]) for n in self.iteration_names
        )


def assumed(size: Size) -> int:
    """Return the size, or what an unknown one counts as."""
    return ASSUMED_SIZE if size is None else size


def elements(shape: Iterable[Size]) -> int:
    """Return the number of entries of a shape, for costs."""
    return prod(map(assumed, shape))


def bare(place: Place) -> Place:
    """Return a window as steps see it: other modes than zeros have been padded for real before."""
    if isinstance(place, SizedWindow):
        return replace(place, padding="valid", mode=("constant", "constant"))
    return place


def needs_real_pads(window: SizedWindow, problem: Problem) -> bool:
    """Whether an operand must be padded before the steps (not by zeros, or by negative amounts)."""
    low, high = window.pads
    if low == 0 and high == 0:
        return False
    if low is None or high is None or low < 0 or high < 0 or not window.plain_padding:
        return True
    renormalized = "renormalize" in window.mode
    return not renormalized and problem.padding_value != SEMIRING_ZERO[problem.semiring]


def step_window(window: SizedWindow, problem: Problem) -> SizedWindow:
    """Return the window of an operand as the steps see it."""
    if needs_real_pads(window, problem):
        window = window.padded()
    return bare(window)  # type: ignore[return-value]


def written_window(window: SizedWindow) -> SizedWindow:
    """Return the window of the output as the steps see it: uncropped where the mode folds back."""
    if not window.plain_padding:
        low, high = window.pads
        whole = None if None in (window.size, low, high) else window.size + low + high  # type: ignore[operator]
        window = replace(window, size=whole, pads=Pads(0, 0))
    return bare(window)  # type: ignore[return-value]


Cost = tuple[int, int]


def contraction_steps(
    problem: Problem, extra_operands: tuple[tuple[Place, ...], ...] = ()
) -> tuple[tuple[Step, ...], tuple[Place, ...]]:
    """Return the steps and the flat output that they end in (without output-only names)."""
    operands = [
        tuple(step_window(p, problem) if isinstance(p, SizedWindow) else p for p in side)
        for side in (*problem.operands, *extra_operands)
    ]
    wanted = tuple(written_window(p) if isinstance(p, SizedWindow) else p for p in problem.output)
    present = {n for side in operands for p in side for n in place_names(p)}
    # Names that only the output has are broadcast at the end; a tap that only an output window
    # has is one operand of ones away.
    output = tuple(p for p in wanted if isinstance(p, SizedWindow) or p in present)
    search = _Search(problem, output)
    live = dict(enumerate(operands))
    steps = search.best(live, len(operands))
    return steps, output


class _Search:
    def __init__(self, problem: Problem, output: tuple[Place, ...]) -> None:
        self.problem = problem
        self.output = output

    def best(self, live: dict[int, tuple[Place, ...]], next_slot: int) -> tuple[Step, ...]:
        if len(live) > MOST_OPERANDS_SEARCHED:
            step = min(self.pairs(live, next_slot), key=_cost)
            return (step, *self.best(_after(live, step), next_slot + 1))
        return self.exhaustive(live, next_slot, (0, 0), None)[1]

    def exhaustive(
        self,
        live: dict[int, tuple[Place, ...]],
        next_slot: int,
        spent: Cost,
        bound: Cost | None,
    ) -> tuple[Cost, tuple[Step, ...]]:
        if len(live) == 1:
            ((slot, places),) = live.items()
            if places == self.output:
                return spent, ()
            step = self.make((slot,), live, next_slot, last=True)
            return _add(spent, _cost(step)), (step,)
        best: tuple[Cost, tuple[Step, ...]] | None = None
        for step in self.pairs(live, next_slot):
            cost = _add(spent, _cost(step))
            limit = best[0] if best else bound
            if limit is not None and cost >= limit:
                continue
            total, rest = self.exhaustive(_after(live, step), next_slot + 1, cost, limit)
            if rest is not None and (best is None or total < best[0]):
                best = (total, (step, *rest))
        if best is None:  # Everything was over the bound; any answer loses.
            step = next(iter(self.pairs(live, next_slot)))
            total, rest = self.exhaustive(
                _after(live, step), next_slot + 1, _add(spent, _cost(step)), None
            )
            return total, (step, *rest)
        return best

    def pairs(self, live: dict[int, tuple[Place, ...]], next_slot: int) -> Iterable[Step]:
        for a, b in combinations(live, 2):
            # The operand with windows leads; it is the "data" of the lowerings.
            has = _reads_windows
            pair = (b, a) if has(live[b]) and not has(live[a]) else (a, b)
            yield self.make(pair, live, next_slot, last=len(live) == 2)

    def make(
        self,
        pair: tuple[int, ...],
        live: dict[int, tuple[Place, ...]],
        next_slot: int,
        last: bool,
    ) -> Step:
        sides = tuple(live[i] for i in pair)
        if last:
            return self.step(pair, next_slot, sides, self.output)
        others = [places for slot, places in live.items() if slot not in pair]
        needed = {n for side in (*others, self.output) for p in side for n in place_names(p)}
        plain = {p for side in sides for p in side if isinstance(p, str)}
        result: list[Place] = []
        for place in dict.fromkeys(p for side in sides for p in side):
            if isinstance(place, SizedWindow):
                if place.tap not in plain and place.position not in plain:
                    result.append(place)  # Carried along: nothing here reads it yet.
                    continue
                names = place_names(place)
            else:
                names = (place,)
            result.extend(n for n in names if n in needed and n not in result)
        result = self.fold(result, others)
        return self.step(pair, next_slot, sides, tuple(result))

    def fold(self, result: list[Place], others: list[tuple[Place, ...]]) -> list[Place]:
        """Write the output windows whose two axes have met and that nothing else needs."""
        elsewhere = {n for side in others for p in side for n in place_names(p)}
        for window in (p for p in self.output if isinstance(p, SizedWindow)):
            plain = {p for p in self.output if isinstance(p, str)}
            wanted = elsewhere | plain
            if (
                window.position in result
                and window.tap in result
                and not {window.position, window.tap} & wanted
            ):
                index = result.index(window.position)
                result = [
                    window if i == index else p for i, p in enumerate(result) if p != window.tap
                ]
        return result

    def step(
        self,
        pair: tuple[int, ...],
        slot: int,
        sides: tuple[tuple[Place, ...], ...],
        output: tuple[Place, ...],
    ) -> Step:
        return Step(pair, slot, sides, output, self.problem.sizes, self.problem.semiring)


def _reads_windows(places: tuple[Place, ...]) -> bool:
    return any(isinstance(p, SizedWindow) for p in places)


def _after(live: dict[int, tuple[Place, ...]], step: Step) -> dict[int, tuple[Place, ...]]:
    rest = {slot: places for slot, places in live.items() if slot not in step.inputs}
    return {**rest, step.slot: step.output}


def _cost(step: Step) -> Cost:
    return step.macs, elements(step.output_shape)


def _add(one: Cost, other: Cost) -> Cost:
    return one[0] + other[0], one[1] + other[1]

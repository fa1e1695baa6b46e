"""A step as a loop nest: which loop fills the lanes, which the registers, which are shared out.

`program` writes what ``direct/nest.cpp`` runs. Every index of an operand is a loop, or a window:
an affine sum of two loops, divided where a window is written (out[n] = sum over t of
y[(n + low - d t) / s]), with zeros beyond the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from convsmith.lowerings.amounts import LANES
from convsmith.problem import Place, Size, SizedWindow
from convsmith.steps import Step, assumed

VERSION = 1
"""That of `nest.cpp`."""

BLOCK = 8
"""Accumulators that stay in registers, as in `nest.cpp`."""

MOST_PIECES = 1024
"""Sums inside registers; what is beyond is summed in memory."""

LEAST_RUN = 3
"""Rounds of an innermost sum below which the longest sum is taken."""

INNER_CACHE = 500_000
"""Bytes of an operand that stay near a core while other loops run."""

FEW_TASKS = 16
"""Fewer than these, and long sums are cut into parts that threads share."""

MOST_PARTS = 16
"""A fixed number, so that results don't depend on the number of threads."""

MOST_PART_BYTES = 32_000_000
"""Each part has an output of its own; together they have no more."""


class Span(NamedTuple):
    """A window as a nest reads it: entry (stride position + dilation tap - low) / divisor."""

    position: str
    tap: str
    stride: int
    dilation: int
    low: int
    divisor: int


Side = tuple[str | Span, ...]


@dataclass(frozen=True)
class Nest:
    """What `nest.cpp` is told, with names instead of numbers.

    `lane` is the innermost axis of every tensor that has it. `block` is the loop whose entries are
    accumulators in registers, `run` the innermost sum. `tasks` are shared out to threads; for each
    one the sums of `outer` go to memory, for each of those all of `inner`, and for each block of
    those the sums of `sums`, which stay in registers.
    """

    swapped: bool
    """Whether the operands change places: the second one is that which blocks share."""
    sides: tuple[Side, ...]
    """The axes of both operands and the output, once they are swapped and transposed."""
    orders: tuple[tuple[int, ...] | None, ...]
    """How they are transposed first, so that lanes are innermost; None where they are as they are.

    The output's order is that of the axes in the nest's own result, which is put back after.
    """
    lane: str
    block: str | None
    run: str | None
    tasks: tuple[str, ...]
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    sums: tuple[str, ...]
    sizes: dict[str, Size]

    @property
    def loops(self) -> tuple[str, ...]:
        """All loops, in any order that never changes."""
        return tuple(self.sizes)

    def size(self, loop: str | None) -> int:
        """Return how often a loop runs, 1 without one."""
        return 1 if loop is None else max(assumed(self.sizes[loop]), 1)

    @property
    def vectors(self) -> int:
        """How many vectors the lanes fill: whole ones, then fours, then single numbers."""
        lanes = self.size(self.lane)
        return lanes // LANES + lanes % LANES // 4 + lanes % 4

    @property
    def kernels(self) -> int:
        """How many times a block of accumulators is read and written."""
        loops = (*self.tasks, *self.outer, *self.inner)
        blocks = -(-self.size(self.block) // BLOCK)
        return prod(map(self.size, loops)) * blocks * self.vectors

    @property
    def load_macs(self) -> float:
        """Multiply-adds, counting lanes left idle and what must be loaded for each."""
        count = self.size(self.block)
        block = count / -(-count // BLOCK)
        loads = 1 + 1 / block if self._shares else 2.0
        idle = self.vectors * LANES / self.size(self.lane)
        gaps = prod(p.divisor for p in {*self.sides[0], *self.sides[1]} if isinstance(p, Span))
        return prod(map(self.size, self.loops)) * idle * loads / 2 / gaps

    @property
    def transposed(self) -> int:
        """How many entries are copied into another order."""
        copied = zip(self.sides, self.orders, strict=True)
        return sum(prod(map(self._extent, side)) for side, order in copied if order is not None)

    def streamed(self, item_size: int) -> float:
        """Return the bytes of the shared operand that blocks load from beyond the inner caches."""
        shared = item_size * prod(map(self._extent, self.sides[1]))
        if shared <= INNER_CACHE or not self._shares:
            return 0.0
        return item_size * prod(map(self.size, self.loops)) / min(self.size(self.block), BLOCK)

    @property
    def cost(self) -> float:
        """About how many vector operations all that is: what one arrangement has less than another.

        Copying an entry takes as long as some 20 multiply-adds in full lanes.
        """
        return self.load_macs + 16 * self.kernels + 20 * self.transposed

    def _extent(self, place: str | Span) -> int:
        return self.size(place.position if isinstance(place, Span) else place)

    @property
    def _shares(self) -> bool:
        return _still(self.sides[1], self.block)

    def parts(self, output_bytes: int | None) -> int:
        """Return how many parts the sums in memory are cut into; one where sizes are open."""
        if output_bytes is None or prod(map(self.size, self.tasks)) >= FEW_TASKS:
            return 1
        room = MOST_PART_BYTES // max(output_bytes, 1)
        return max(1, min(prod(map(self.size, self.outer)), MOST_PARTS, room))

    def program(self, output_bytes: int | None) -> list[int]:
        """Return the numbers that `nest.cpp` reads."""
        number = {name: i for i, name in enumerate(self.loops)}
        spans = list(dict.fromkeys(p for s in self.sides for p in s if isinstance(p, Span)))

        def at(name: str | None) -> int:
            return -1 if name is None else number[name]

        def counted(numbers: list[int]) -> list[int]:
            return [len(numbers), *numbers]

        code = [VERSION, len(number), len(spans), at(self.lane), at(self.block), at(self.run)]
        code.append(self.parts(output_bytes))
        for loops in (self.tasks, self.outer, self.inner, self.sums):
            code += counted([number[n] for n in loops])
        for span in spans:
            code += [number[span.position], number[span.tap], *span[2:]]
        for side in self.sides:
            code += counted(
                [-1 - spans.index(p) if isinstance(p, Span) else number[p] for p in side]
            )
        return code


def nest(step: Step) -> Nest | str:
    """Return the nest of a step, or the reason why there is none."""
    found = step.notes.get("nest")
    if found is None:
        found = step.notes["nest"] = _Maker(step).make()
    return found


class _Maker:
    def __init__(self, step: Step) -> None:
        self.step = step
        self.sizes: dict[str, Size] = {}
        self.spans: dict[SizedWindow, Span] = {}
        self.read_at: dict[str, Span] = {}
        """Positions of written windows, and how operands that have them are read."""

    def make(self) -> Nest | str:
        step = self.step
        if len(step.operands) != 2 or step.semiring != "sum_product":
            return "it computes sums of products of two operands"
        for window in (*step.input_windows, *step.output_windows):
            reason = self.add(window)
            if reason:
                return reason
        one, other = (self.side(s) for s in step.operands)
        output = self.side(step.output)
        places = dict.fromkeys(p for side in (one, other, output) for p in side)
        plain = [p for p in places if isinstance(p, str)]
        for span in self.all_spans():
            for name in (span.position, span.tap):
                if name not in plain:
                    return f"'{name}' is no axis of its own"
        names = (n for p in places for n in (p[:2] if isinstance(p, Span) else (p,)))
        # In memory's order: sums are added up in the order of loops.
        self.sizes = {n: self.sizes.get(n, self.step.sizes.get(n)) for n in names}
        made = [self.arranged(one, other, output, lane) for lane in self.lanes(one, other, output)]
        if not made:
            return "no axis of two tensors is free to fill the lanes"
        return min(made, key=lambda n: n.cost)

    def all_spans(self) -> list[Span]:
        return [*self.spans.values(), *self.read_at.values()]

    def add(self, window: SizedWindow) -> str:
        """Note how a window is read; return why it can't be, or an empty string."""
        low, taps = window.pads.low, window.taps
        if low is None or taps is None:
            return f"taps or pads of the window over '{window.tap}' are unknown"
        # A flipped window reads its last tap first.
        reach = window.dilation * (taps - 1)
        step, shift = (-window.dilation, -reach) if window.flipped else (window.dilation, 0)
        if window not in self.step.output_windows:
            span = Span(window.position, window.tap, window.stride, step, low + shift, 1)
            self.spans[window] = span
            return ""
        plain = {p for side in self.step.operands for p in side if isinstance(p, str)}
        if window.position not in plain or {window.position, window.tap} & set(self.step.output):
            return f"positions '{window.position}' are no axis, or stay in the output"
        reads = any({w.position, w.tap} & {window.position} for w in self.step.input_windows)
        if reads or window.position in self.read_at:
            return f"positions '{window.position}' belong to two windows"
        self.sizes[window.axis] = window.size
        divided = Span(window.axis, window.tap, 1, -step, -(low + shift), window.stride)
        self.read_at[window.position] = divided
        return ""

    def side(self, places: tuple[Place, ...]) -> Side:
        found: list[str | Span] = []
        for place in places:
            if isinstance(place, SizedWindow):
                # Written, or only carried along: an axis like any other.
                self.sizes.setdefault(place.axis, place.size)
                found.append(self.spans.get(place, place.axis))
            else:
                found.append(self.read_at.get(place, place))
        return tuple(found)

    def lanes(self, *sides: Side) -> list[str]:
        """Return the loops that can have neighbours in memory wherever they are an axis."""
        inside = {n for s in self.all_spans() for n in (s.position, s.tap)}
        return [
            name
            for name in self.sizes
            # Lanes are of both operands, or of one and the output; never a diagonal.
            if name not in inside
            and sum(name in side for side in sides) >= 2
            and all(side.count(name) <= 1 for side in sides)
        ]

    def long_and_short(self, span: Span) -> tuple[str, str]:
        """Return the loops of a window, that over the image first."""
        position, tap = span.position, span.tap
        if assumed(self.sizes[position]) < assumed(self.sizes[tap]):
            return tap, position
        return position, tap

    def order(self, side: Side, lane: str) -> tuple[int, ...] | None:
        """Return the order of axes that puts the lanes innermost, None if they are."""
        if lane not in side:
            return None
        index = side.index(lane)
        if all(isinstance(p, str) and self.sizes[p] == 1 for p in side[index + 1 :]):
            return None
        return (*(i for i in range(len(side)) if i != index), index)

    def arranged(self, one: Side, other: Side, output: Side, lane: str) -> Nest:
        """Return the nest whose lanes run over one loop."""
        kept = [n for n in self.sizes if n in output and n != lane]
        summed = [n for n in self.sizes if n not in output and n != lane]
        block = self.block(one, other, [n for n in output if n in kept])  # type: ignore[misc]
        swapped = block is not None and _still(one, block) and not _still(other, block)
        sides = (other, one, output) if swapped else (one, other, output)
        orders = tuple(self.order(side, lane) for side in sides)
        sides = tuple(
            side if order is None else tuple(side[i] for i in order)
            for side, order in zip(sides, orders, strict=True)
        )
        run = self.run(sides[0], summed)
        # Positions and taps may have changed roles: the longer of both is the image's.
        pairs = [self.long_and_short(s) for s in self.all_spans()]
        small = dict.fromkeys(short for long, short in pairs if short in kept and long in summed)
        inner = [n for n in small if n != block]
        gradient = bool(small)
        rest = [n for n in summed if n != run]
        taps = [short for long, short in pairs if long not in summed]
        sums = [n for n in rest if n in taps or not gradient]
        while prod(assumed(self.sizes[n]) for n in sums) > MOST_PIECES:
            sums.remove(max(sums, key=lambda n: (n not in taps, assumed(self.sizes[n]))))
        return Nest(
            swapped=swapped,
            sides=sides,
            orders=orders,
            lane=lane,
            block=block,
            run=run,
            tasks=tuple(n for n in output if n in kept and n != block and n not in inner),  # type: ignore[misc]
            outer=tuple(n for n in rest if n not in sums),
            inner=tuple(inner),
            sums=tuple(sums),
            sizes=self.sizes,
        )

    def block(self, one: Side, other: Side, kept: list[str]) -> str | None:
        """Return the loop whose entries share what they load, the innermost of equal ones."""

        def loads(name: str) -> float:
            size = assumed(self.sizes[name])
            shares = _still(one, name) or _still(other, name)
            return 1 + -(-size // BLOCK) / size if shares else 2.0

        useful = [n for n in kept if assumed(self.sizes[n]) > 1]
        least = min(map(loads, useful), default=0.0)
        return next((n for n in reversed(useful) if loads(n) <= 1.15 * least), None)

    def run(self, side: Side, summed: list[str]) -> str | None:
        """Return the sum that is innermost in memory, if it is long enough, or the longest."""
        innermost: list[str] = []
        for place in reversed(side):
            names = (place,) if isinstance(place, str) else (place.position, place.tap)
            innermost += [n for n in names if n in summed]
        long = [n for n in innermost if assumed(self.sizes[n]) >= LEAST_RUN]
        return next(iter(long), max(summed, key=lambda n: assumed(self.sizes[n]), default=None))


def _still(side: Side, loop: str | None) -> bool:
    """Whether an operand's entries stay the same while a loop runs."""
    return not any(loop in (p[:2] if isinstance(p, Span) else (p,)) for p in side)

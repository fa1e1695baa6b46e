"""A `Problem`: a pattern whose every axis has a size, every window its pads, and one output shape.

This is where shapes, named sizes, paddings and padding modes meet, and where every mismatch is
found, before any backend sees an operand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from convsmith import geometry
from convsmith.errors import ArgumentError, PatternError, ShapeError, compose
from convsmith.geometry import AxisMode, AxisPadding, Pads
from convsmith.notation import (
    Axis,
    Group,
    Item,
    Leading,
    One,
    Spec,
    Window,
    describe_sizes,
    format_axes,
    names_of,
    pattern_error,
)

Size = int | None
SEMIRINGS = ("sum_product", "max_plus", "min_plus")
SEMIRING_ZERO = {"sum_product": 0.0, "max_plus": float("-inf"), "min_plus": float("inf")}


@dataclass(frozen=True, slots=True)
class SizedWindow:
    """A window with numbers: `size` entries read by `taps` taps from `positions` positions.

    On an operand `pads` are added beyond the edges; on the output they are cropped.
    """

    position: str
    tap: str
    stride: int
    dilation: int
    flipped: bool
    size: Size
    positions: Size
    taps: Size
    pads: Pads
    padding: AxisPadding
    mode: AxisMode
    written: bool = False

    @property
    def axis(self) -> str:
        """The name of the place itself, for axes that are carried along before they're read."""
        return f"({self.position},{self.tap}){'>' if self.written else ''}"

    @property
    def plain_padding(self) -> bool:
        """Whether what lies beyond the edges is the fill value on both sides."""
        return all(m in ("constant", "renormalize") for m in self.mode)

    def padded(self) -> SizedWindow:
        """Return this window on an axis whose pads have been made real."""
        low, high = self.pads
        size = None if None in (self.size, low, high) else self.size + low + high  # type: ignore[operator]
        return replace(self, size=size, pads=Pads(0, 0), padding="valid")


Place = str | SizedWindow
"""One place of a flattened operand: a named axis, or a window."""


@dataclass(frozen=True)
class Problem:
    """A sized pattern. `operands` and `output` are flat: groups split, ones and ``...`` gone."""

    pattern: str
    spec: Spec
    shapes: tuple[tuple[Size, ...], ...]
    sizes: Mapping[str, Size]
    operands: tuple[tuple[Place, ...], ...]
    output: tuple[Place, ...]
    output_shape: tuple[Size, ...]
    semiring: str
    padding_value: float

    @property
    def input_windows(self) -> tuple[SizedWindow, ...]:
        """The windows of all operands."""
        return tuple(p for side in self.operands for p in side if isinstance(p, SizedWindow))

    @property
    def output_windows(self) -> tuple[SizedWindow, ...]:
        """The windows of the output."""
        return tuple(p for p in self.output if isinstance(p, SizedWindow))

    def place_size(self, place: Place) -> Size:
        """Return the size of one place."""
        return place.size if isinstance(place, SizedWindow) else self.sizes[place]


def place_names(place: Place) -> tuple[str, ...]:
    """Return the axis names of a place: one, or position and tap."""
    return (place.position, place.tap) if isinstance(place, SizedWindow) else (place,)


def solve(
    pattern: str,
    spec: Spec,
    shapes: Sequence[Sequence[Size]],
    *,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    semiring: str = "sum_product",
    sizes: Mapping[str, int] | None = None,
) -> Problem:
    """Return the `Problem` of a pattern on operands of the given shapes (None: unknown).

    Raises:
        ArgumentError: an unknown padding, mode or semiring, or a size that isn't whole.
        PatternError: a size that can't be found.
        ShapeError: ranks or sizes that contradict the pattern or each other.
    """
    return _Solver(pattern, spec, shapes, sizes or {}).solve(
        padding, padding_mode, padding_value, semiring
    )


class _Solver:
    def __init__(
        self,
        pattern: str,
        spec: Spec,
        shapes: Sequence[Sequence[Size]],
        sizes: Mapping[str, int],
    ) -> None:
        self.pattern, self.spec = pattern, spec
        self.given = dict(sizes)
        self.shapes = tuple(tuple(s) for s in shapes)
        # name -> size; a name that is present with None has an unknown size that flows through.
        self.sizes: dict[str, Size] = {}
        self.coefficients: dict[str, int] = {}
        self.sources: dict[str, str] = {}

    def fail(self, problem: str, expected: str, fix: str) -> ShapeError:
        text = compose(
            f"pattern '{self.pattern}'",
            problem,
            expected=expected,
            received=f"shapes {', '.join(map(str, self.shapes))}; sizes known so far: "
            f"{describe_sizes({**self.coefficients, **self.sizes})}",
            fix=fix,
        )
        return ShapeError(text, argument="shapes", value=self.shapes)

    def solve(self, padding: Any, padding_mode: Any, padding_value: Any, semiring: str) -> Problem:
        spec = self.spec
        if semiring not in SEMIRINGS:
            raise ArgumentError(
                compose(
                    f"semiring={semiring!r}",
                    "is unknown",
                    expected=f"one of {', '.join(map(repr, SEMIRINGS))}",
                    fix='semiring="max_plus"',
                ),
                argument="semiring",
                value=semiring,
            )
        self.check_given_sizes()
        self.paddings = self.paddings_by_position(padding)
        self.modes = self.modes_by_position(padding_mode, semiring)
        self.leading = self.check_ranks()
        self.match_plain_axes()
        self.solve_windows()
        self.check_output_names()
        operands = tuple(
            tuple(self.places(self.split(side, shape)))
            for side, shape in zip(spec.operands, self.shapes, strict=True)
        )
        output = tuple(self.places([(i, None) for i in spec.output], on_output=True))
        zero = SEMIRING_ZERO[semiring]
        return Problem(
            pattern=self.pattern,
            spec=spec,
            shapes=self.shapes,
            sizes=self.sizes,
            operands=operands,
            output=output,
            output_shape=self.output_shape(output),
            semiring=semiring,
            padding_value=geometry.fill(padding_value, self.modes.values(), zero),
        )

    def check_given_sizes(self) -> None:
        for name, value in self.given.items():
            if name in self.spec.symbols:
                self.coefficients[name] = geometry.integer(value, name, minimum=1)
            elif name in self.spec.names:
                self.sizes[name] = geometry.integer(value, name, minimum=0)
                self.sources[name] = "given"
            else:
                raise ArgumentError(
                    compose(
                        f"{name}={value!r}",
                        f"is no axis of the pattern '{self.pattern}'",
                        expected=f"an argument of conv, or one of its axes "
                        f"{', '.join((*self.spec.names, *sorted(self.spec.symbols)))}",
                        fix=f"without {name}",
                    ),
                    argument=name,
                    value=value,
                )
        for symbol in sorted(self.spec.symbols - set(self.coefficients)):
            raise pattern_error(
                self.pattern,
                self.pattern.find(f"{symbol}*") if f"{symbol}*" in self.pattern else None,
                f"coefficient '{symbol}' has no value",
                f"it among the arguments, such as {symbol}=2",
                self.sizes,
                len(symbol),
            )

    def paddings_by_position(self, padding: Any) -> dict[str, AxisPadding]:
        positions = self.spec.positions
        entries = geometry.per_axis(padding, positions, "padding", "padding")
        return {
            name: "valid" if entry is None else geometry.axis_padding(entry)
            for name, entry in zip(positions, entries, strict=True)
        }

    def modes_by_position(self, mode: Any, semiring: str) -> dict[str, AxisMode]:
        positions = self.spec.positions
        entries = geometry.per_axis(mode, positions, "padding_mode", "padding mode")
        if not positions:  # A wrong word is wrong even where nothing is padded.
            geometry.axis_mode(mode if not isinstance(mode, Mapping) else "constant")
        modes = {
            name: geometry.axis_mode("constant" if entry is None else entry)
            for name, entry in zip(positions, entries, strict=True)
        }
        if semiring != "sum_product" and any("renormalize" in m for m in modes.values()):
            raise ArgumentError(
                compose(
                    'padding_mode="renormalize"',
                    f"has no meaning with semiring={semiring!r}",
                    expected='semiring="sum_product", whose sums can be rescaled',
                    fix='padding_mode="constant"',
                ),
                argument="padding_mode",
                value=mode,
            )
        return modes

    def check_ranks(self) -> tuple[Size, ...]:
        if len(self.shapes) != len(self.spec.operands):
            raise self.fail(
                f"{len(self.shapes)} operands were given",
                f"{len(self.spec.operands)}, one for each part between commas",
                "as many operands as the pattern has",
            )
        leading: tuple[Size, ...] | None = None
        for number, (side, shape) in enumerate(
            zip(self.spec.operands, self.shapes, strict=True), start=1
        ):
            dots = any(isinstance(i, Leading) for i in side)
            rank = len(side) - dots
            if len(shape) < rank or (not dots and len(shape) != rank):
                raise self.fail(
                    f"operand {number} '{format_axes(side)}' has rank {len(shape)}",
                    f"rank {rank}{' or more' if dots else ''}",
                    "an operand with one axis for each item (a batch axis: x[None])",
                )
            if dots:
                front = shape[: len(shape) - rank]
                leading = front if leading is None else self.merge_leading(leading, front)
        return leading or ()

    def merge_leading(self, one: tuple[Size, ...], other: tuple[Size, ...]) -> tuple[Size, ...]:
        if len(one) != len(other) or any(
            a != b for a, b in zip(one, other, strict=True) if a is not None and b is not None
        ):
            raise self.fail(
                f"'...' stands for {one} in one operand and {other} in another",
                "the same leading axes in every operand that has it",
                "operands with equal leading axes",
            )
        return tuple(b if a is None else a for a, b in zip(one, other, strict=True))

    def split(self, side: tuple[Item, ...], shape: tuple[Size, ...]) -> list[tuple[Item, Size]]:
        items: list[tuple[Item, Size]] = []
        index = 0
        for item in side:
            if isinstance(item, Leading):
                count = len(shape) - (len(side) - 1)
                for k in range(count):
                    items.append((Axis(f"...{k}"), shape[index + k]))
                index += count
            else:
                items.append((item, shape[index]))
                index += 1
        return items

    def match_plain_axes(self) -> None:
        for k, size in enumerate(self.leading):
            self.sizes[f"...{k}"] = size
        groups: list[tuple[Group, Size, str]] = []
        for number, (side, shape) in enumerate(
            zip(self.spec.operands, self.shapes, strict=True), start=1
        ):
            where = f"operand {number}"
            for item, size in self.split(side, shape):
                if isinstance(item, Axis):
                    self.set_size(item.name, size, where)
                elif isinstance(item, One):
                    if size not in (1, None):
                        raise self.fail(
                            f"{where} has {size} entries where the pattern says 1",
                            "size 1",
                            f"a name instead of 1 in '{format_axes(side)}'",
                        )
                elif isinstance(item, Group):
                    groups.append((item, size, where))
        pending = groups
        while pending:
            waiting = [g for g in pending if not self.solve_group(*g)]
            if len(waiting) == len(pending):
                break
            pending = waiting
        # Groups of open size last: what they leave open must not hide a name that nothing tells.
        for group, size, _ in sorted(pending, key=lambda g: g[1] is None):
            if size is None:
                for name in group.names:
                    self.sizes.setdefault(name, None)
                continue
            missing = [n for n in group.names if n not in self.sizes]
            if not missing:  # All are there, but open: they flow through.
                continue
            raise pattern_error(
                self.pattern,
                max(self.pattern.find(missing[0]), 0),
                f"the sizes of {', '.join(map(repr, missing))} in the group '{group}' of size "
                f"{size} can't be told",
                f"all but one of them among the arguments, such as {missing[0]}=2",
                self.sizes,
                len(missing[0]),
            )

    def set_size(self, name: str, size: Size, where: str) -> None:
        known = self.sizes.get(name)
        if known is not None and size is not None and known != size:
            raise self.fail(
                f"axis '{name}' has {known} entries ({self.sources.get(name, 'given')}) "
                f"and {size} ({where})",
                f"one size for '{name}' everywhere",
                self.layout_hint(name),
            )
        if known is None:
            self.sizes[name] = size
            self.sources[name] = where

    def layout_hint(self, name: str) -> str:
        return f"operands whose '{name}' axes agree, or a transposed layout in the pattern"

    def solve_group(self, group: Group, size: Size, where: str) -> bool:
        unknown = [n for n in group.names if self.sizes.get(n) is None]
        known = prod(self.sizes[n] or 0 for n in group.names if n not in unknown)
        if size is None:
            return not unknown
        if not unknown:
            if known != size:
                raise self.fail(
                    f"group '{group}' has {known} entries and {where} has {size}",
                    f"{size} = product of the sizes in '{group}'",
                    "sizes whose product is that of the operand",
                )
            return True
        if len(unknown) > 1:
            return False
        if known == 0 or size % known:
            raise self.fail(
                f"{where} has {size} entries for the group '{group}', which {known} doesn't divide",
                f"a multiple of {known}",
                "a number of channels that the groups divide",
            )
        self.set_size(unknown[0], size // known, where)
        return True

    def coefficient(self, value: int | str) -> int:
        return value if isinstance(value, int) else self.coefficients[value]

    def solve_windows(self) -> None:
        for number, (side, shape) in enumerate(
            zip(self.spec.operands, self.shapes, strict=True), start=1
        ):
            for item, size in self.split(side, shape):
                if isinstance(item, Window):
                    self.solve_input_window(item, size, f"operand {number}")
        for window in self.spec.output_windows:
            for name, role in ((window.tap, "tap"), (window.position, "position")):
                if name not in self.sizes:
                    raise self.missing(name, role)
            self.check_taps(window)

    def missing(self, name: str, role: str) -> PatternError:
        return pattern_error(
            self.pattern,
            max(self.pattern.find(name), 0),
            f"the size of the {role} '{name}' is unknown",
            f"it among the arguments, such as {name}=3",
            self.sizes,
            len(name),
        )

    def check_taps(self, window: Window) -> None:
        if self.sizes.get(window.tap) == 0:
            raise self.fail(
                f"the kernel is empty: axis '{window.tap}' has no taps",
                "at least 1 tap",
                "a kernel with entries",
            )

    def solve_input_window(self, window: Window, size: Size, where: str) -> None:
        stride, dilation = self.coefficient(window.stride), self.coefficient(window.dilation)
        padding = self.paddings[window.position]
        if window.tap not in self.sizes:
            positions = self.sizes.get(window.position)
            pads = geometry.resolve_padding(padding, size, None, stride, dilation)
            if size is not None and positions is not None:
                taps = geometry.kernel_size_from(size, positions, stride, dilation, pads)
                if taps is not None:
                    if taps < 1:
                        raise self.fail(
                            f"{positions} positions don't fit into {size} entries",
                            "at least one tap for each",
                            f"fewer positions, or {window.tap}=1 with padding",
                        )
                    self.sizes[window.tap] = taps
                    self.sources[window.tap] = where
            if window.tap not in self.sizes:
                if size is None and window.position in self.sizes:
                    self.sizes[window.tap] = None
                else:
                    raise self.missing(window.tap, "tap")
        self.check_taps(window)
        taps = self.sizes[window.tap]
        pads = geometry.resolve_padding(padding, size, taps, stride, dilation)
        if (
            isinstance(padding, str)
            and padding in ("same", "same_lower")
            and size is not None
            and size > 0
        ):
            found: Size = -(-size // stride)
        else:
            try:
                found = geometry.output_size(
                    size, taps, stride, dilation, pads, axis=window.position
                )
            except ShapeError as error:
                raise ShapeError(
                    f"pattern '{self.pattern}': {error.message}", argument="padding"
                ) from None
        self.set_size(window.position, found, f"windows of {where}")

    def check_output_names(self) -> None:
        for name in self.spec.output_names:
            if name not in self.sizes:
                raise pattern_error(
                    self.pattern,
                    self.pattern.rfind(name),
                    f"axis '{name}' is only in the output",
                    f"its size among the arguments, such as {name}=4",
                    self.sizes,
                    len(name),
                )

    def places(self, items: list[tuple[Item, Size]], on_output: bool = False) -> list[Place]:
        places: list[Place] = []
        for item, size in items:
            if isinstance(item, Window):
                places.append(self.sized(item, size, on_output))
            elif isinstance(item, Leading):
                places.extend(f"...{k}" for k in range(len(self.leading)))
            else:
                places.extend(names_of(item))
        return places

    def sized(self, window: Window, size: Size, on_output: bool) -> SizedWindow:
        stride, dilation = self.coefficient(window.stride), self.coefficient(window.dilation)
        positions, taps = self.sizes[window.position], self.sizes[window.tap]
        padding = self.paddings[window.position]
        if on_output:
            pads = geometry.resolve_transposed_padding(padding, taps, stride, dilation)
            try:
                size = (
                    0
                    if positions == 0
                    else geometry.transposed_size(
                        positions, taps, stride, dilation, pads, axis=window.position
                    )
                )
            except ShapeError as error:
                raise ShapeError(
                    f"pattern '{self.pattern}': {error.message}", argument="padding"
                ) from None
        else:
            pads = geometry.resolve_padding(padding, size, taps, stride, dilation)
        mode = self.modes[window.position]
        result = SizedWindow(
            position=window.position,
            tap=window.tap,
            stride=stride,
            dilation=dilation,
            flipped=window.flipped,
            size=size,
            positions=positions,
            taps=taps,
            pads=pads,
            padding=padding,
            mode=mode,
            written=on_output,
        )
        if not on_output and size is not None and None not in pads and not result.plain_padding:
            geometry.pad_segments(size, pads, mode)  # Refuses what has no source to read.
        return result

    def output_shape(self, output: tuple[Place, ...]) -> tuple[Size, ...]:
        shape: list[Size] = []
        places = iter(output)
        for item in self.spec.output:
            if isinstance(item, One):
                shape.append(1)
            elif isinstance(item, Leading):
                shape.extend(self.leading)
                for _ in self.leading:
                    next(places)
            elif isinstance(item, Group):
                factors = [self.sizes[str(next(places))] for _ in item.names]
                known = [f for f in factors if f is not None]
                shape.append(prod(known) if len(known) == len(factors) else None)
            else:
                place = next(places)
                shape.append(place.size if isinstance(place, SizedWindow) else self.sizes[place])
        return tuple(shape)

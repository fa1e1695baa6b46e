"""Steps that compute the same from another point of view.

Lowerings see a step as it is written; a gradient that writes windows can also be read, and one
that keeps taps can also slide the output's gradient over the data.
"""

from __future__ import annotations

from dataclasses import replace

from convsmith.geometry import Pads
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step

EXCHANGED = "exchanged"
"""Note of a step whose kernel is an output's gradient: much larger than kernels are made for."""


def equivalents(step: Step) -> list[Step]:
    """Return a step, and those that compute exactly the same result from the same operands."""
    found = [step]
    if step.output_windows and not step.input_windows:
        holders = [s for s in step.operands if any(w.position in s for w in step.output_windows)]
        read = read_instead(step) if len(holders) == 1 else "two operands have the positions"
        if not isinstance(read, str) and not read[1]:
            found.append(read[0])
    exchanged = exchange_roles(step) if len(step.operands) == 2 else None
    if exchanged is not None and not exchanged[1] and all(map(_exact, exchanged[0].input_windows)):
        exchanged[0].notes[EXCHANGED] = True
        found.append(exchanged[0])
    return found


def _exact(window: SizedWindow) -> bool:
    """Whether a window has all the positions that its axis and pads leave room for."""
    low, high = window.pads
    if None in (window.size, window.positions, window.taps, low, high):
        return False
    reach = window.dilation * (window.taps - 1) + 1  # type: ignore[operator]
    room = window.size + low + high - reach  # type: ignore[operator]
    return room // window.stride + 1 == window.positions


def read_instead(step: Step) -> tuple[Step, dict[str, int], dict[str, int]] | str:
    """Return the step that reads the windows which this one writes, or why there is none.

    out[n] = sum over k of y[(n + low - d k) / s] k[k]: a window over y with s - 1 zeros between its
    entries. Returned beside the step: names of positions whose axis gets zeros, with strides; and
    the sizes of axes that only the new step names.
    """
    spread: dict[str, int] = {}
    named: dict[str, int] = {}
    sides = [list(side) for side in step.operands]
    output = list(step.output)
    for window in step.output_windows:
        low = window.pads.low
        if None in (window.size, window.positions, window.taps, low):
            return f"the size of the written window over '{window.tap}' is unknown"
        assert window.size is not None
        assert window.positions is not None
        assert window.taps is not None
        assert low is not None
        reach = window.dilation * (window.taps - 1)
        length = window.stride * (window.positions - 1) + 1
        before, after = reach - low, window.size - length + low
        if before < 0 or after < 0:
            return "more is cropped than a window reaches"
        holders = [side for side in sides if window.position in side]
        if not holders or window.position in output or window.tap in output:
            return f"positions '{window.position}' are missing, or kept in the output"
        if len(holders) > 1 and step.semiring != "sum_product":
            return "both operands have the positions"
        name = window.axis
        reading = SizedWindow(
            position=name,
            tap=window.tap,
            stride=1,
            dilation=window.dilation,
            flipped=not window.flipped,
            size=length,
            positions=window.size,
            taps=window.taps,
            pads=Pads(before, after),
            padding="valid",
            mode=("constant", "constant"),
        )
        for side in holders:
            side[side.index(window.position)] = reading
        if window.stride > 1:
            spread[name] = window.stride
        output[output.index(window)] = name
        named[name] = window.size
    if not all(any(w.tap in side for side in sides) for w in step.output_windows):
        return "no operand has the taps of a written window"
    read = replace(
        step,
        operands=tuple(tuple(side) for side in sides),
        output=tuple(output),
        sizes={**step.sizes, **named},
        notes={},
    )
    return read, spread, named


def exchange_roles(step: Step) -> tuple[Step, tuple[str, ...]] | None:
    """Return the step whose kept taps are positions, if its positions are summed; else None.

    The gradient of a kernel is itself a convolution, whose kernel is the output's gradient.
    Returned beside the step: names of its output that must be reversed.
    """
    new: dict[SizedWindow, SizedWindow] = {}
    for window in step.input_windows:
        plain = {p for p in step.output if isinstance(p, str)}
        if window.tap not in plain or window.position in plain or window.positions is None:
            continue
        new[window] = replace(
            window,
            position=window.tap,
            tap=window.position,
            stride=window.dilation,
            dilation=window.stride,
            flipped=False,
            positions=window.taps,
            taps=window.positions,
        )
    if not new:
        return None
    sides: list[tuple[Place, ...]] = [
        tuple(new.get(p, p) if isinstance(p, SizedWindow) else p for p in side)
        for side in step.operands
    ]
    flipped = tuple(w.tap for w in new if w.flipped)
    return replace(step, operands=tuple(sides), notes={}), flipped

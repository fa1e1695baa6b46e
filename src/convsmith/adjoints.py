"""The gradient of a step is a step: operands and output change places.

For out[O] = sum of a[A] b[B] (each index an affine sum of names), the gradients are

    da[A] = sum of dout[O] b[B]        db[B] = sum of a[A] dout[O]

over the same names. A window that the step reads is written by its gradient, and the other way
round, so that every lowering that computes convolutions computes their gradients.
"""

from __future__ import annotations

from dataclasses import replace

from convsmith.geometry import Pads, effective_kernel_size
from convsmith.problem import Place, SizedWindow, place_names
from convsmith.steps import Step

OUTPUT, OTHER = 0, 1
"""Slots of an adjoint step: the gradient of the output, and the operand that isn't asked for."""


def adjoint(step: Step, index: int) -> Step | None:
    """Return the step that computes the gradient of one operand; None where there is none.

    Its inputs are `OUTPUT` and `OTHER`, in the order that puts windows first.
    """
    if step.semiring != "sum_product" or len(step.operands) != 2:
        return None
    wanted, other, output = step.operands[index], step.operands[1 - index], step.output
    windows = (*step.input_windows, *step.output_windows)
    for window in windows:
        if window in wanted and window in other:
            return None
        if None in (window.size, window.positions, window.taps, *window.pads):
            return None
        if window in step.output_windows and min(window.pads) < 0:  # type: ignore[type-var]
            return None  # The output is extended: its gradient would be cropped before reading.
    present = {n for side in (output, other) for p in side for n in _live_names(p, windows)}
    if not all(n in present for p in wanted for n in _live_names(p, windows)):
        return None  # Something was summed over this operand alone: its gradient is a broadcast.
    sides = {OUTPUT: output, OTHER: other}
    reads_other = any(p in windows for p in other)
    inputs = (OTHER, OUTPUT) if reads_other else (OUTPUT, OTHER)
    return Step(
        inputs=inputs,
        slot=2,
        operands=tuple(sides[i] for i in inputs),
        output=tuple(_written(p) if p in windows else p for p in wanted),
        sizes=step.sizes,
        semiring=step.semiring,
    )


def _written(place: Place) -> Place:
    """Return a window as an output, which crops what is left of the last stride, too."""
    assert isinstance(place, SizedWindow)
    assert place.size is not None
    assert place.positions is not None
    assert place.taps is not None
    whole = place.stride * (place.positions - 1) + effective_kernel_size(place.taps, place.dilation)
    low = place.pads.low
    assert low is not None
    return replace(place, pads=Pads(low, whole - place.size - low))


def _live_names(place: object, windows: tuple[SizedWindow, ...]) -> tuple[object, ...]:
    """Return the names of a place that the step looks into, or the place itself."""
    if isinstance(place, SizedWindow):
        return place_names(place) if place in windows else (place,)
    return (place,)

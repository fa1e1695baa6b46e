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
    windows = (*step.input_windows, *step.output_windows)
    step = _with_plain_axes(step, windows)
    wanted, other, output = step.operands[index], step.operands[1 - index], step.output
    for window in windows:
        if window in wanted and window in other:
            return None
        if None in (window.size, window.positions, window.taps, *window.pads):
            return None
        if window in step.output_windows and min(window.pads) < 0:  # type: ignore[type-var]
            return None  # The output is extended: its gradient would be cropped before reading.
    present = {n for side in (output, other) for p in side for n in place_names(p)}
    if not all(n in present for p in wanted for n in place_names(p)):
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


def _with_plain_axes(step: Step, windows: tuple[SizedWindow, ...]) -> Step:
    """Return the step with windows that are only carried along as plain axes.

    Where the output is an operand, a carried window would look like one that is to be read.
    """

    def plain(side: tuple[Place, ...]) -> tuple[Place, ...]:
        return tuple(p.axis if p in carried else p for p in side)  # type: ignore[union-attr]

    places = {p for side in (*step.operands, step.output) for p in side}
    carried = {p for p in places if isinstance(p, SizedWindow) and p not in windows}
    if not carried:
        return step
    return replace(
        step,
        operands=tuple(map(plain, step.operands)),
        output=plain(step.output),
        sizes={**step.sizes, **{p.axis: p.size for p in carried}},
        notes={},
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

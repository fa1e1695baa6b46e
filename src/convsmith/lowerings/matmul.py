"""`matmul`: windows with one tap or one position are plain slices, so no window is left."""

from __future__ import annotations

from convsmith.lowerings.amounts import (
    Features,
    matrices,
    operand_bytes,
    output_bytes,
    padded_bytes,
    sums_products,
    vector_macs,
)
from convsmith.lowerings.amounts import strided as skips
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import contract, reduce_to
from convsmith.lowerings.tensors import permute, strided
from convsmith.lowerings.windows import pad_windows, tap_offset
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step

name = "matmul"


def supports(step: Step, target: Target) -> Support:
    """Every window must have one tap, or one position."""
    if step.output_windows:
        return Support(False, "it can't write windows")
    for window in step.input_windows:
        if window.taps != 1 and window.positions != 1:
            return Support(
                False, f"the window over '{window.tap}' has several taps and several positions"
            )
    return YES


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Slice, then contract what is left."""
    flat = [_slice(x, list(p), step, sizes) for x, p in zip(operands, step.operands, strict=True)]
    if len(flat) == 1:
        x, names = reduce_to(flat[0][0], flat[0][1], list(step.output), step.semiring)
        return permute(x, [names.index(n) for n in step.output])
    (a, a_names), (b, b_names) = flat
    return contract(a, a_names, b, b_names, list(step.output), sizes, step.semiring)


def _slice(x: Tensor, places: list[Place], step: Step, sizes: Sizes) -> tuple[Tensor, list[Place]]:
    windows = step.input_windows
    x = pad_windows(x, places, windows, step.semiring)
    names: list[Place] = []
    axis = 0
    for place in places:
        if not (isinstance(place, SizedWindow) and place in windows):
            names.append(place)
            axis += 1
            continue
        if place.taps == 1:
            x = strided(x, axis, 0, sizes.positions(place), place.stride)
            here, other = place.position, place.tap
        else:
            assert place.taps is not None
            x = strided(x, axis, 0, place.taps, place.dilation)
            if place.flipped:
                x = _flip(x, axis)
            here, other = place.tap, place.position
        names.append(here)
        axis += 1
        # The other name has size 1: it needs an axis only where somebody else names it.
        if other in step.output or any(other in side for side in step.operands):
            from keras import ops

            x = ops.expand_dims(x, axis)
            names.append(other)
            axis += 1
    return x, names


def _flip(x: Tensor, axis: int) -> Tensor:
    from keras import ops

    return ops.flip(x, axis=axis)


def features(step: Step, target: Target) -> Features:
    """One batch of matrix products, or one elementwise pass where nothing is summed."""
    amounts = {
        "calls": 1.0,
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.padded": padded_bytes(step, target),
        "bytes.strided": operand_bytes(step, target) if skips(step) else 0.0,
    }
    if sums_products(step):
        found = matrices(step, taps=True)
        return {**amounts, "calls.matrices": float(found.batch), "macs.matmul": found.macs}
    return {**amounts, "macs.products": vector_macs(step)}


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of the padded copy, if there is one."""
    return int(padded_bytes(step, target))


__all__ = ["features", "name", "run", "supports", "tap_offset", "workspace"]

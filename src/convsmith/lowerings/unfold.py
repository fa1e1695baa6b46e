"""`unfold`: windows become axes of their own, then one contraction; writes windows by folding.

It computes every step, at the price of `taps` times the memory.
"""

from __future__ import annotations

from keras import ops

from convsmith.lowerings.amounts import (
    Features,
    item_size,
    matrices,
    operand_bytes,
    output_bytes,
    padded_bytes,
    patch_bytes,
    strided,
    sums_products,
    vector_macs,
)
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import contract, reduce_to
from convsmith.lowerings.tensors import permute
from convsmith.lowerings.windows import fold_axis, pad_windows, unfold_axis
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step, assumed

name = "unfold"


def supports(step: Step, target: Target) -> Support:
    """Everything whose taps are counted."""
    for window in (*step.input_windows, *step.output_windows):
        if window.taps is None:
            return Support(False, f"the number of taps '{window.tap}' is unknown")
    return YES


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Unfold every read window, contract, fold every written one."""
    flat = [
        _unfold(x, list(side), step, sizes) for x, side in zip(operands, step.operands, strict=True)
    ]
    written = step.output_windows
    names = {n for _, side in flat for n in side}
    product: list[Place] = []
    for place in step.output:
        if isinstance(place, SizedWindow) and place in written:
            product.extend(n for n in (place.position, place.tap) if n in names)
        else:
            product.append(place)
    # A plain output name may also be a tap or position of a written window: keep it once.
    product = list(dict.fromkeys(product))
    if len(flat) == 1:
        x, left = reduce_to(flat[0][0], flat[0][1], product, step.semiring)
        x = permute(x, [left.index(n) for n in product])
    else:
        (a, a_names), (b, b_names) = flat
        x = contract(a, a_names, b, b_names, product, sizes, step.semiring)
    for window in written:
        x, product = _fold(x, product, window, sizes, step.semiring)
    return permute(x, [product.index(p) for p in step.output])


def _unfold(x: Tensor, places: list[Place], step: Step, sizes: Sizes) -> tuple[Tensor, list[Place]]:
    windows = step.input_windows
    x = pad_windows(x, places, windows, step.semiring)
    mine = [p for p in places if isinstance(p, SizedWindow) and p in windows]
    for window in mine:
        axis = places.index(window)
        # Tap axes stand together behind the last window, in front of the channels: the order
        # in which a channels-last kernel has them, so that the contraction needs no transposition.
        last = max(i for i, p in enumerate(places) if p in mine or p in _read(mine))
        places[axis] = window.position
        x = unfold_axis(x, axis, window, last + 1, sizes)
        places.insert(last + 1, window.tap)
    return x, places


def _read(windows: list[SizedWindow]) -> set[str]:
    return {n for w in windows for n in (w.position, w.tap)}


def _fold(
    x: Tensor, names: list[Place], window: SizedWindow, sizes: Sizes, semiring: str
) -> tuple[Tensor, list[Place]]:
    if window.tap not in names:
        # Only the output names this tap: every tap writes the same.
        x = ops.expand_dims(x, -1)
        x = ops.repeat(x, window.taps, axis=-1)
        names = [*names, window.tap]
    position, tap = names.index(window.position), names.index(window.tap)
    x = fold_axis(x, position, tap, window, sizes, semiring)
    names = [window if n == window.position else n for n in names if n != window.tap]
    return x, names


def features(step: Step, target: Target) -> Features:
    """Patches are written and read once, then multiplied; every tap is a slice."""
    amounts = {
        "calls": 1.0,
        "calls.taps": _slices(step),
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.padded": padded_bytes(step, target),
        "bytes.strided" if strided(step) else "bytes.patches": patch_bytes(step, target),
        "bytes.product": _product_bytes(step, target),
    }
    if sums_products(step):
        found = matrices(step, taps=True)
        return {**amounts, "calls.matrices": float(found.batch), "macs.matmul": found.macs}
    return {**amounts, "macs.products": vector_macs(step)}


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of patches and operands, in slices and in the contraction's order too, and
    of the product before it is folded.
    """
    copies = 3 if target.mode == "graph" else 2
    total = padded_bytes(step, target) + operand_bytes(step, target)
    total += copies * patch_bytes(step, target)
    # Patches along the last axis are made of those along the others.
    last = min((assumed(w.taps) for w in step.input_windows), default=1)
    total += patch_bytes(step, target) / max(last, 1)
    return int(total + 2 * _product_bytes(step, target))


def _slices(step: Step) -> float:
    return float(sum(assumed(w.taps) for w in (*step.input_windows, *step.output_windows)))


def _product_bytes(step: Step, target: Target) -> float:
    """Return the bytes of the product whose positions and taps are still apart."""
    if not step.output_windows:
        return 0.0
    total = float(item_size(target.dtype))
    for place in step.output:
        if isinstance(place, SizedWindow) and place in step.output_windows:
            total *= assumed(place.positions) * assumed(place.taps)
        else:
            total *= assumed(step.size(place))
    return total

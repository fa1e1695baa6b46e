"""`direct`: a loop nest of our own, compiled for this machine where the user had it built.

It reads neither padded copies nor patches: lanes run over channels, accumulators stay in
registers, threads share the rest. `convsmith build` compiles it; docs/decisions/0015-direct.md has
what it wins.
"""

from __future__ import annotations

from math import prod

from convsmith.adjoints import adjoint
from convsmith.direct import library
from convsmith.lowerings import shift
from convsmith.lowerings.amounts import Features, dense, item_size, operand_bytes, output_bytes
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.nest import INNER_CACHE, Nest, nest
from convsmith.lowerings.tensors import dtype_name, permute
from convsmith.steps import GRADIENT, Step, assumed, elements

name = "direct"

LEAST_DENSE = 1_000_000
"""Multiply-adds of a dense step that are worth a call which isn't the backend's own."""

_PORTABLE = shift
"""What computes the step where graphs leave this machine."""


def supports(step: Step, target: Target) -> Support:
    """Sums of products of known sizes on a CPU, in float32 or float64, channels innermost."""
    if target.device != "cpu":
        return Support(False, f"it is compiled for the CPU, not for a {target.device}")
    if target.spread:
        return Support(False, "XLA can't split a call of it over devices: each would do all")
    if target.dtype not in library.DTYPES:
        return Support(False, f"it computes float32 and float64, not {target.dtype}")
    if target.mode not in library.DOORS.get(target.backend, ()):
        return Support(False, f"{target.backend}/{target.mode} has no door to it")
    if target.mode == "graph" and GRADIENT not in step.notes:
        return Support(False, "graphs stay portable: only gradients are computed so")
    shapes = [*map(step.operand_shape, range(len(step.operands))), step.output_shape]
    if target.mode != "graph" and any(n is None for shape in shapes for n in shape):
        return Support(False, "sizes are open until the graph runs")
    found = nest(step)
    if isinstance(found, str):
        return Support(False, found)
    if any(adjoint(step, index) is None for index in range(len(step.operands))):
        return Support(False, "a gradient of it isn't such a step")
    missing = library.missing(target.backend)
    if missing:
        return Support(False, missing)
    if target.mode == "eager" and step.macs < LEAST_DENSE and dense(step):
        return Support(True, "its call takes longer than the backend's own for so little")
    if dense(step) and min(_bytes(step, target)) > INNER_CACHE:
        return Support(True, "no operand stays in the inner caches; backends copy blocks there")
    return YES


def _bytes(step: Step, target: Target) -> list[int]:
    """Return the bytes of both operands and the result."""
    shapes = [*map(step.operand_shape, range(len(step.operands))), step.output_shape]
    return [item_size(target.dtype) * elements(shape) for shape in shapes]


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Run the nest."""
    found = nest(step)
    assert isinstance(found, Nest)
    program = step.notes.get("program")
    if program is None:
        shape = [step.size(p) for p in step.output]
        item = item_size(dtype_name(operands[0]))
        written = None if None in shape else item * prod(map(assumed, shape))
        program = step.notes["program"] = tuple(found.program(written))
    shape = [sizes.of(p) for p in step.output]
    pair = operands[::-1] if found.swapped else operands
    *orders, order = found.orders
    one, other = (_transposed(x, o) for x, o in zip(pair, orders, strict=True))
    made = shape if order is None else [shape[i] for i in order]

    def portable(one: Tensor, other: Tensor) -> Tensor:
        back = [_transposed(x, _inverse(o)) for x, o in zip((one, other), orders, strict=True)]
        result = _PORTABLE.run(step, sizes, tuple(back[::-1] if found.swapped else back))
        return _transposed(result, order)

    result = current().direct(program, tuple(made), one, other, portable)
    return _transposed(result, _inverse(order))


def _transposed(x: Tensor, order: tuple[int, ...] | None) -> Tensor:
    return x if order is None else permute(x, list(order))


def _inverse(order: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if order is None else tuple(sorted(range(len(order)), key=order.__getitem__))


def features(step: Step, target: Target) -> Features:
    """Multiply-adds with what they load, and a price for each time that registers are filled."""
    found = nest(step)
    assert isinstance(found, Nest)
    kind = "macs.summed_lanes" if found.lane not in step.output else "macs.lanes"
    return {
        "calls": 1.0,
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        kind: found.load_macs,
        "calls.kernels": float(found.kernels),
        "bytes.transposed": float(found.transposed * item_size(target.dtype)),
        "bytes.streamed": float(found.streamed(item_size(target.dtype))),
    }


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of the parts that long sums are cut into."""
    found = nest(step)
    each = int(output_bytes(step, target))
    parts = 1 if isinstance(found, str) else found.parts(each)
    copies = 0 if isinstance(found, str) else found.transposed * item_size(target.dtype)
    return copies + (parts * each if parts > 1 else 0)

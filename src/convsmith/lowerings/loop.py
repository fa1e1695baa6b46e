"""`loop`: one dense convolution per entry of the axes that data, kernel and output share.

A kernel per sample, or few large groups: backends compute these as grouped convolutions, many of
which are slower than their dense ones by more than the number of groups.
"""

from __future__ import annotations

from dataclasses import replace

from convsmith.lowerings import native, shift, unfold
from convsmith.lowerings.amounts import Features, operand_bytes, output_bytes
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import YES, Lowering, Sizes, Support, Target, Tensor
from convsmith.lowerings.tensors import dtype_name, permute, reshape, size_product
from convsmith.problem import Place
from convsmith.steps import Step, assumed

name = "loop"

INNER: tuple[Lowering, ...] = (native, shift, unfold)  # type: ignore[assignment]
"""What may compute one entry, the preferred first."""

MOST_UNROLLED = 64
"""More entries than this make graphs and dispatch too long where nothing compiles the loop."""


def supports(step: Step, target: Target) -> Support:
    """Two operands with windows, axes that all three share, and a sum over channels besides."""
    looped = _looped(step)
    if isinstance(looped, str):
        return Support(False, looped)
    names, inner = looped
    if target.mode == "compiled":
        return Support(False, "torch.compile would unroll every entry")
    count = size_product(assumed(step.sizes[n]) for n in names)
    if target.mode == "eager" and count > MOST_UNROLLED:
        return Support(False, f"{count} entries are too many to call one by one")
    if _inner_lowering(inner, target) is None:
        return Support(False, "no lowering computes one entry")
    return YES


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Compute entry after entry, and stack."""
    looped = _looped(step)
    assert not isinstance(looped, str)
    names, inner = looped
    backend = current()
    dtype = dtype_name(operands[0])
    target = Target(backend.NAME, backend.mode(operands), backend.device(), dtype, backend.spread())
    lowering = _inner_lowering(inner, target)
    assert lowering is not None
    counts = [sizes.of(n) for n in names]
    fronts = [
        _in_front(x, side, names, sizes) for x, side in zip(operands, step.operands, strict=True)
    ]

    def entry(one: Tensor, other: Tensor) -> Tensor:
        return lowering.run(inner, sizes, (one, other))

    result = backend.map_entries(entry, *fronts)
    rest = [backend.size(result, i) for i in range(1, len(result.shape))]
    result = reshape(result, [*counts, *rest])
    natural = [*names, *inner.output]
    return permute(result, [natural.index(p) for p in step.output])


def _in_front(x: Tensor, side: tuple[Place, ...], names: tuple[str, ...], sizes: Sizes) -> Tensor:
    rest = [p for p in side if p not in names]
    x = permute(x, [side.index(p) for p in (*names, *rest)])
    if len(names) == 1:
        return x
    shape = list(x.shape)
    tail = [
        n if n is not None else sizes.of(p) for n, p in zip(shape[len(names) :], rest, strict=True)
    ]
    return reshape(x, [size_product(sizes.of(n) for n in names), *tail])


def _inner_lowering(inner: Step, target: Target) -> Lowering | None:
    for one in INNER:
        support = one.supports(inner, target)
        if support.ok and not (target.spread and support.reason):
            return one
    return None


def _looped(step: Step) -> tuple[tuple[str, ...], Step] | str:
    """Return the names to loop over and the step of one entry, or why there is none."""
    found = step.notes.get(name)
    if found is None:
        found = step.notes[name] = _find(step)
    return found


def _find(step: Step) -> tuple[tuple[str, ...], Step] | str:
    if len(step.operands) != 2:
        return "there is no kernel operand"
    windows = (*step.input_windows, *step.output_windows)
    if not windows:
        return "there is no window"
    spatial = {n for w in windows for n in (w.position, w.tap)}
    sides = [{p for p in side if isinstance(p, str)} - spatial for side in step.operands]
    output = {p for p in step.output if isinstance(p, str)}
    shared = sides[0] & sides[1] & output
    names = tuple(p for p in step.output if isinstance(p, str) and p in shared)
    if not names:
        return "no axis is shared by both operands and the output"
    summed = (sides[0] & sides[1]) - output
    if not _wide(step, summed) and not all(_wide(step, side - shared) for side in sides):
        return "an entry has no channels to sum over"
    inner = replace(
        step,
        operands=tuple(tuple(p for p in side if p not in shared) for side in step.operands),
        output=tuple(p for p in step.output if p not in shared),
        notes={},
    )
    return names, inner


def _wide(step: Step, names: set[str]) -> bool:
    """Whether there is more than one entry along these axes together."""
    return any(step.sizes[n] != 1 for n in names)


def features(step: Step, target: Target) -> Features:
    """The features of one entry, as often as there are entries."""
    looped = _looped(step)
    assert not isinstance(looped, str)
    names, inner = looped
    count = float(size_product(assumed(step.sizes[n]) for n in names))
    lowering = _inner_lowering(inner, target)
    assert lowering is not None
    own: Features = lowering.features(inner, target)  # type: ignore[attr-defined]
    products = {k: v * count for k, v in own.items() if k.startswith("macs")}
    return {
        "calls": 1.0,
        "calls.entries": count,
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        **products,
    }


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of the stacked entries, and of transposed operands."""
    looped = _looped(step)
    if isinstance(looped, str):
        return 0
    names, _ = looped
    moved = any(side[: len(names)] != names for side in (*step.operands, step.output))
    total = output_bytes(step, target)
    return int(total + (operand_bytes(step, target) if moved else 0))

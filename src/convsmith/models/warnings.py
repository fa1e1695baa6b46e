"""What is probably not meant in a layer, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from convsmith import geometry
from convsmith.models import windows
from convsmith.models.graph import Step
from convsmith.models.kernels import Kernel
from convsmith.planner import Plan
from convsmith.problem import Problem, SizedWindow

SLOWER_UNDER_XLA = 4.0
"""From here on a path is said to fall off XLA: estimates err by less."""

WORTH_A_WARNING_MICROSECONDS = 50.0
"""What is faster than this needn't be faster still."""


class Warning(NamedTuple):
    """`problem` in words, `fix` as one change; `kind` is the same for all warnings of a kind."""

    kind: str
    problem: str
    fix: str


def of_step(
    step: Step, plans: Sequence[Plan], kernel: Kernel | None, calls: Sequence[Any]
) -> tuple[Warning, ...]:
    """Return the warnings of a step.

    Args:
        step: the step.
        plans: of the convolutions that compute it.
        kernel: its weights, if they make up a kernel.
        calls: of `convsmith.conv`, which can be planned in other modes too.
    """
    found: dict[Warning, None] = {}
    for problem in [plan.problem for plan in plans]:
        # Windows of a layer's first operand are those that look at its input.
        for window in _read(problem):
            found |= dict.fromkeys(_of_reading(window))
        for window in problem.output_windows:
            found |= dict.fromkeys(_of_writing(window))
    found |= dict.fromkeys(_of_kernel(kernel))
    found |= dict.fromkeys(_of_xla(step, calls))
    return tuple(found)


def _read(problem: Problem) -> list[SizedWindow]:
    return [p for p in problem.operands[0] if isinstance(p, SizedWindow)]


def _of_reading(window: SizedWindow) -> Iterator[Warning]:
    if window.taps is None:
        return
    axis, taps, size = window.position, window.taps, window.size
    stride, dilation = window.stride, window.dilation
    reach = geometry.effective_kernel_size(taps, dilation)
    if size is not None and reach > size:
        dilated = f" (dilated to {reach})" if dilation > 1 else ""
        yield Warning(
            "kernel larger than input",
            f"along {axis} the kernel has {taps} taps{dilated} and the input {size} entries: "
            "some taps see only what lies beyond the edges",
            f"kernel_size of at most {(size - 1) // dilation + 1} along {axis}, or less striding "
            "before",
        )
    unread = stride - len({dilation * k % stride for k in range(taps)})
    if unread and window.positions != 1:
        yield Warning(
            "skipped inputs",
            f"along {axis} a stride of {stride} with {_taps(taps, dilation)} never reads "
            f"{unread} of every {stride} entries",
            f"a kernel of at least {stride} undilated taps along {axis}, or "
            "convsmith.layers.BlurPool before it and a stride of 1",
        )
    low, high = window.pads
    if window.padding in ("same", "same_lower") and taps % 2 == 0 and low != high:
        where = "unknown" if None in (low, high) else f"{low} before and {high} behind"
        yield Warning(
            "shift",
            f"along {axis} padding='{window.padding}' with an even kernel of {taps} pads {where}: "
            "the result is shifted by half an entry",
            f"kernel_size={taps - 1} or {taps + 1} along {axis}",
        )


def _of_writing(window: SizedWindow) -> Iterator[Warning]:
    if window.taps is None or window.stride == 1:
        return
    axis, taps, stride = window.position, window.taps, window.stride
    written = Counter(window.dilation * k % stride for k in range(taps))
    counts = [written[place] for place in range(stride)]
    if len(set(counts)) == 1:
        return
    better = -(-taps // stride) * stride
    yield Warning(
        "checkerboard",
        f"along {axis} a stride of {stride} with {_taps(taps, window.dilation)} writes neighbours "
        f"{' and '.join(map(str, sorted(set(counts))))} times: checkerboard patterns",
        f"kernel_size={better} along {axis}"
        + (" without dilation" if window.dilation > 1 else "")
        + ", or keras.layers.UpSampling before a convolution",
    )


def _of_kernel(kernel: Kernel | None) -> Iterator[Warning]:
    if kernel is None:
        return
    dead = int(np.sum(~kernel.filters().any(axis=(0, *range(2, kernel.filters().ndim)))))
    count = kernel.filters().shape[1]
    if dead:
        yield Warning(
            "zero kernels",
            f"{dead} of {count} kernels are all zeros: their outputs don't depend on the input",
            "these filters taken out, or another initializer if they were meant to learn",
        )


def _of_xla(step: Step, calls: Sequence[Any]) -> Iterator[Warning]:
    mode = windows.xla_mode()
    if mode is None:
        return
    layer = step.operation
    if not getattr(layer, "supports_jit", True):
        yield Warning(
            "falls off XLA",
            f"{type(layer).__name__} has supports_jit=False: jit_compile='auto' compiles nothing "
            "of a model that holds it",
            "a layer that XLA can compile, or this one in a model of its own",
        )
    if windows.is_own(step) or isinstance(layer, windows.POOLING):
        return
    for plan in [call(mode) for call in calls]:
        native = windows.native_microseconds(plan)
        if native is None or native < WORTH_A_WARNING_MICROSECONDS:
            continue
        times = native / max(plan.microseconds, 1e-9)
        if plan.lowering != "native" and times >= SLOWER_UNDER_XLA:
            yield Warning(
                "falls off XLA",
                f"under XLA the backend's own convolution is estimated to take {times:.0f} times "
                f"as long as convsmith's lowering {plan.lowering!r} (jit_compile=True)",
                f"convsmith.layers.{type(layer).__name__} in its place",
            )


def _taps(taps: int, dilation: int) -> str:
    text = "1 tap" if taps == 1 else f"{taps} taps"
    return f"{text} and a dilation of {dilation}" if dilation > 1 else text

"""What is probably not meant in a layer, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from convsmith import geometry
from convsmith.models import counting, windows
from convsmith.models.calls import Step
from convsmith.models.kernels import Kernel
from convsmith.planner import Plan
from convsmith.problem import Problem, SizedWindow

SLOWER_UNDER_XLA = 4.0
"""From here on a path is said to fall off XLA: estimates err by less."""

WORTH_A_WARNING_MICROSECONDS = 1000.0
"""What is faster than this needn't be faster still."""

AXES = "{axes}"
"""Stands for the axes that a warning is for, which are named once all are known."""


class LayerWarning(NamedTuple):
    """`problem` in words, `fix` as one change; `kind` is the same for all warnings of a kind."""

    kind: str
    problem: str
    fix: str


def of_step(
    step: Step, plans: Sequence[Plan], kernel: Kernel | None, calls: Sequence[Any]
) -> tuple[LayerWarning, ...]:
    """Return the warnings of a step.

    Args:
        step: the step.
        plans: of the convolutions that compute it.
        kernel: its weights, if they make up a kernel.
        calls: of `convsmith.conv`, which can be planned in other modes too.
    """
    found = [*of_windows([plan.problem for plan in plans]), *_of_kernel(kernel)]
    return tuple(dict.fromkeys([*found, *_of_xla(step, calls)]))


def of_windows(problems: Sequence[Problem]) -> tuple[LayerWarning, ...]:
    """Return the warnings that the windows of convolutions give cause to."""
    found: dict[LayerWarning, list[str]] = {}
    for problem in problems:
        # The windows of the first operand are those that look at a layer's input.
        read = [place for place in problem.operands[0] if isinstance(place, SizedWindow)]
        for window, of_window in (
            *((w, _of_reading) for w in read),
            *((w, _of_writing) for w in problem.output_windows),
        ):
            for warning in of_window(window):
                axes = found.setdefault(warning, [])
                axes += [] if window.position in axes else [window.position]
    return tuple(
        LayerWarning(*(text.replace(AXES, _listed(axes)) for text in warning))
        for warning, axes in found.items()
    )


def _of_reading(window: SizedWindow) -> Iterator[LayerWarning]:
    if window.taps is None:
        return
    taps, size, stride, dilation = window.taps, window.size, window.stride, window.dilation
    reach = geometry.effective_kernel_size(taps, dilation)
    if size is not None and reach > size:
        dilated = f" that reach over {reach}" if dilation > 1 else ""
        yield LayerWarning(
            "kernel larger than input",
            f"along {AXES} the kernel has {taps} taps{dilated} and the input {size} entries: some "
            "taps see only what lies beyond the edges",
            f"kernel_size of at most {max((size - 1) // dilation + 1, 1)} along {AXES}, or less "
            "striding before",
        )
    unread = stride - len({dilation * k % stride for k in range(taps)})
    if unread and window.positions != 1:
        yield LayerWarning(
            "skipped inputs",
            f"along {AXES} a stride of {stride} with {_taps(taps, dilation)} never reads {unread} "
            f"of every {stride} entries",
            f"a kernel of at least {stride} undilated taps along {AXES}, or a blur before it, "
            "such as convsmith.layers.BlurPool2D",
        )
    low, high = window.pads
    if window.padding in ("same", "same_lower") and taps % 2 == 0 and low != high:
        yield LayerWarning(
            "shift",
            f"along {AXES} padding='{window.padding}' with an even kernel of {taps} pads {low} "
            f"before and {high} behind: the result is shifted by half an entry",
            f"kernel_size={taps + 1} along {AXES}",
        )


def _of_writing(window: SizedWindow) -> Iterator[LayerWarning]:
    if window.taps is None or window.stride == 1:
        return
    taps, stride = window.taps, window.stride
    written = Counter(window.dilation * k % stride for k in range(taps))
    counts = [written[place] for place in range(stride)]
    if len(set(counts)) == 1:
        return
    yield LayerWarning(
        "checkerboard",
        f"along {AXES} a stride of {stride} with {_taps(taps, window.dilation)} writes "
        f"neighbours {' and '.join(map(str, sorted(set(counts))))} times: checkerboard patterns",
        f"kernel_size={-(-taps // stride) * stride} along {AXES}"
        + (" without dilation" if window.dilation > 1 else "")
        + ", or keras.layers.UpSampling2D before a convolution",
    )


def _of_kernel(kernel: Kernel | None) -> Iterator[LayerWarning]:
    if kernel is None:
        return
    dead = int(np.sum(~kernel.filters().any(axis=(0, *range(2, kernel.filters().ndim)))))
    count = kernel.filters().shape[1]
    if dead:
        yield LayerWarning(
            "zero kernels",
            f"{dead} of {count} kernels are all zeros: their outputs don't depend on the input",
            "these filters taken out, or another initializer if they were meant to learn",
        )


def _of_xla(step: Step, calls: Sequence[Any]) -> Iterator[LayerWarning]:
    mode = windows.xla_mode()
    if mode is None:
        return
    layer = step.operation
    if not getattr(layer, "supports_jit", True):
        yield LayerWarning(
            "falls off XLA",
            f"{type(layer).__name__} has supports_jit=False: jit_compile='auto' compiles nothing "
            "of a model that holds it",
            "a layer that XLA can compile, or this one in a model of its own",
        )
    # Dense convolutions are what XLA is good at: estimates that say otherwise err.
    apart = isinstance(layer, (*counting.DEPTHWISE, *counting.SEPARABLE))
    if windows.is_own(step) or not (apart or getattr(layer, "groups", 1) > 1):
        return
    for plan in [call(mode) for call in calls]:
        native = windows.native_microseconds(plan)
        if native is None or native < WORTH_A_WARNING_MICROSECONDS:
            continue
        times = native / max(plan.microseconds, 1e-9)
        if plan.lowering != "native" and times >= SLOWER_UNDER_XLA:
            yield LayerWarning(
                "falls off XLA",
                f"under XLA the backend's own convolution is estimated to take {times:.0f} times "
                f"as long as convsmith's lowering {plan.lowering!r} (jit_compile=True)",
                f"convsmith.layers.{type(layer).__name__} in its place",
            )


def _taps(taps: int, dilation: int) -> str:
    text = "1 tap" if taps == 1 else f"{taps} taps"
    return f"{text} and a dilation of {dilation}" if dilation > 1 else text


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last

"""`native_gradient`: the backend's own gradient of its convolution by the kernel.

A step that reads windows of the data, keeps their taps and sums their positions is such a gradient:
dk[k] = sum over p of x[s p + d k] dy[p].
"""

from __future__ import annotations

from dataclasses import replace

from convsmith.lowerings import native
from convsmith.lowerings.amounts import Features
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.problem import SizedWindow
from convsmith.steps import Step

name = "native_gradient"


def supports(step: Step, target: Target) -> Support:
    """Whatever is the gradient of a convolution that the backend has."""
    if not target.dtype.startswith(("float", "bfloat")):
        return Support(False, f"backends have no gradients for {target.dtype}")
    forward = _forward(step)
    if isinstance(forward, str):
        return Support(False, forward)
    found = native.supports(forward, target)
    if not found.ok:
        return Support(False, f"of the convolution: {found.reason}")
    return YES


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Return the gradient by the kernel."""
    forward = _forward(step)
    assert isinstance(forward, Step)
    data, output_gradient = operands
    shape = tuple(sizes.of(p) for p in step.output)

    def convolve(kernel: Tensor) -> Tensor:
        return native.run(forward, sizes, (data, kernel))

    return current().linear_gradient(convolve, shape, output_gradient)


def _forward(step: Step) -> Step | str:
    """Return the convolution whose gradient by the kernel this is, or why there is none."""
    found = step.notes.get(name)
    if found is None:
        found = step.notes[name] = _find(step)
    return found


def _find(step: Step) -> Step | str:
    windows = step.input_windows
    if len(step.operands) != 2 or step.output_windows or not windows:
        return "it is no gradient of a kernel"
    data, output_gradient = step.operands
    if not all(w in data and w.tap in step.output for w in windows):
        return "it is no gradient of a kernel: taps are summed"
    if any(isinstance(p, SizedWindow) for p in output_gradient):
        return "both operands have windows"
    if any(w.position not in output_gradient or w.position in step.output for w in windows):
        return "it is no gradient of a kernel: positions are kept"
    return replace(step, operands=(data, step.output), output=output_gradient, notes={})


def features(step: Step, target: Target) -> Features:
    """Those of the convolution: the multiply-adds are the same, their price is fitted."""
    forward = _forward(step)
    assert isinstance(forward, Step)
    amounts = native.features(forward, target)
    if forward.input_windows and len(forward.input_windows) == 1 and not target.by_xla:
        # The backends' CPU kernels for it hardly use a second thread, nor long vectors.
        amounts = {"macs.row" if k == "macs.dense" else k: v for k, v in amounts.items()}
    # No sweep has timed these; they cost what grouped convolutions do on some backends only.
    grouped = amounts.pop("macs.grouped", None)
    return amounts if grouped is None else {**amounts, "macs.grouped_gradient": grouped}


def workspace(step: Step, target: Target) -> int:
    """Return that of the convolution."""
    forward = _forward(step)
    return native.workspace(forward, target) if isinstance(forward, Step) else 0

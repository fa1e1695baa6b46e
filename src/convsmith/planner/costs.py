"""A first cost model: microseconds of each lowering by backend and execution mode.

The rates are measured orders of magnitude on two AVX-512 cores, in multiply-adds per microsecond
(1000 = 1 GMAC/s). They differ by 100x between modes of one backend, which is what matters here.
"""

from __future__ import annotations

from convsmith.lowerings import native, shift
from convsmith.lowerings.base import Target
from convsmith.steps import Step, assumed, elements

BYTES_PER_MICROSECOND = 20_000.0
"""Memory traffic of an elementwise pass that nothing fuses."""

CALL = {"eager": 40.0, "graph": 8.0, "xla": 1.0, "jit": 1.0, "compiled": 3.0}
"""Cost of dispatching one operation, by mode."""

MATMUL_RATE = 120_000.0
DENSE_RATE = {"tensorflow": 150_000.0, "jax": 80_000.0, "torch": 120_000.0}
DEPTHWISE_RATE = {
    ("tensorflow", "eager"): 30_000.0,
    ("tensorflow", "graph"): 30_000.0,
    ("tensorflow", "xla"): 350.0,
    ("jax", "eager"): 1_000.0,
    ("jax", "jit"): 1_000.0,
    ("torch", "eager"): 7_500.0,
    ("torch", "compiled"): 7_500.0,
}
FUSED_SHIFT_RATE = 20_000.0
UNFOLDED_RATE = 480.0
"""Products of unfolded windows with kernels that nothing but taps is summed over."""


def estimate(name: str, step: Step, target: Target) -> float:
    """Return the estimated microseconds of a step under a lowering."""
    call = CALL[target.mode]
    out_bytes = 4.0 * elements(step.output_shape)
    in_bytes = 4.0 * sum(elements(step.operand_shape(i)) for i in range(len(step.operands)))
    traffic = (in_bytes + out_bytes) / BYTES_PER_MICROSECOND
    macs = float(step.macs)
    if name == "native":
        return _native(step, target, macs) + traffic + call
    if name == "matmul":
        return macs / MATMUL_RATE + traffic + 3 * call
    if name == "shift":
        return _shift(step, target, macs, out_bytes, call) + traffic
    taps = 1
    patches = 0.0
    for window in (*step.input_windows, *step.output_windows):
        taps += assumed(window.taps)
    for side, index in zip(step.operands, range(len(step.operands)), strict=True):
        size = 4.0 * elements(step.operand_shape(index))
        for window in step.input_windows:
            if window in side:
                size *= assumed(window.taps) / min(window.stride, assumed(window.taps))
        patches += size
    product = out_bytes
    for window in step.output_windows:
        product *= assumed(window.taps) / window.stride
    rate = MATMUL_RATE if _has_matmul(step) else UNFOLDED_RATE
    return macs / rate + 3 * (patches + product) / BYTES_PER_MICROSECOND + taps * call + traffic


def _native(step: Step, target: Target, macs: float) -> float:
    form = native.analyze(step)
    if isinstance(form, str):
        return float("inf")
    if form.depthwise:
        return macs / DEPTHWISE_RATE.get((target.backend, target.mode), 5_000.0)
    rate = DENSE_RATE.get(target.backend, 80_000.0)
    groups = form.groups or 1
    if groups > 1:
        # Few channels per group leave the vector units idle.
        width = min((form.depth_size or 1) * (form.features_size or 1) / 1024, 1.0)
        rate *= max(width, 0.02 if target.compiled else 0.1)
    elif (form.depth_size or 1) * (form.features_size or 1) < 64:
        rate /= 8
    return macs / rate


def _shift(step: Step, target: Target, macs: float, out_bytes: float, call: float) -> float:
    taps = shift.tap_count(step)
    if _has_matmul(step):
        # One small matrix product a tap, and one pass to add it up.
        return macs / (MATMUL_RATE / 3) + taps * (4 * call + 3 * out_bytes / BYTES_PER_MICROSECOND)
    if target.compiled:
        return macs / FUSED_SHIFT_RATE + call
    return taps * (4 * call + 5 * out_bytes / BYTES_PER_MICROSECOND)


def _has_matmul(step: Step) -> bool:
    """Whether something besides taps is summed over two operands."""
    if len(step.operands) < 2:
        return False
    names = [{p for p in side if isinstance(p, str)} for side in step.operands]
    taps = {w.tap for w in step.input_windows}
    summed = (names[0] & names[1]) - set(step.output) - taps
    if taps & set(step.output):
        return False
    return bool(summed)

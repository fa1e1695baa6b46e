"""How each kernel is applied: directly, by lines, running sums or Fourier transforms; and why.

The choice depends on kernel and dtypes only, never on the image's size, so that parts of an image
give the same numbers as the whole.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import ArgumentError, compose
from convsmith.images.program import LIMITS, WIDE
from convsmith.images.requests import Request
from convsmith.images.running import Box, box_for

Array = NDArray[Any]

LINE_OVERHEAD = 3.5
"""What a second pass over a tile costs, in multiplications of each output."""

RUNNING_COST = 3.0
"""What a running sum costs, in multiplications of each output."""

FOURIER_COST = 500.0
"""What transforms of tiles cost, in multiplications of each output."""

OTHERWISE = "would round otherwise than the convention"

WHOLE_FLOAT32 = 2**24
"""Up to here float32 holds every whole number."""


@dataclass(frozen=True)
class KernelPlan:
    """How one kernel is applied."""

    shape: tuple[int, ...]
    anchor: tuple[int, ...]
    source: str
    work: str
    target: str
    method: str
    lines: tuple[Array, ...]
    """By lines: a (taps, terms) array for each axis."""
    kernel: Array
    bounded: bool
    rounding: str
    fused: bool
    semiring: str
    mirrored: tuple[int, ...]
    """For each line 1 or -1 if pairs of its entries are added, or subtracted, first."""
    considered: tuple[tuple[str, float, str], ...]
    """Each method with its cost, in multiplications of each output, and what there is to say."""
    box: Box | None = None
    """By running sums: the kernel."""

    @property
    def before(self) -> tuple[int, ...]:
        """How many entries before an output are read, for each axis."""
        return self.anchor

    @property
    def after(self) -> tuple[int, ...]:
        """How many entries after an output are read, for each axis."""
        return tuple(n - 1 - a for n, a in zip(self.shape, self.anchor, strict=True))

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        work = self.box.sums if self.box is not None and self.method == "running" else self.work
        dtypes = f"{self.source} in, summed in {work}, {self.target} out"
        rows = [f"kernel {size}, anchor {self.anchor}; {dtypes}"]
        for method, cost, reason in self.considered:
            mark = "->" if method == self.method else "  "
            price = f"{cost:.0f} multiplications an output" if cost < float("inf") else "-"
            rows.append(f"{mark} {method:<10} {price:<32} {reason}")
        return "\n".join(rows)


def plan_kernel(wanted: Request, index: int, kernel: Array) -> KernelPlan:
    """Return the fastest way to apply a real kernel that keeps the convention's rounding."""
    source, target = wanted.image.dtype.name, wanted.target
    bound = _bound(source, wanted.edges.value, kernel)
    work = wanted.convention.work or _work(source, target, kernel, bound)
    lines, loss = _lines(kernel, wanted.tolerances[index], work)
    box, why = box_for(kernel, wanted.tolerances[index], (source, target), wanted.edges)
    considered = _considered(wanted, kernel, (lines, loss), (box, why))
    chosen = min(considered, key=lambda entry: entry[1])[0]
    if wanted.method is not None:
        chosen = wanted.method
        reason = next((r for m, c, r in considered if m == chosen and c == float("inf")), None)
        if reason is not None:
            raise ArgumentError(
                compose(
                    f"method={chosen!r}",
                    f"can't apply this kernel: {reason}",
                    expected="a method that can",
                    fix="method=None",
                ),
                argument="method",
                value=chosen,
            )
    return KernelPlan(
        shape=kernel.shape,
        anchor=wanted.anchors[index],
        source=source,
        work=work,
        target=target,
        method=chosen,
        lines=lines,
        kernel=kernel,
        rounding=wanted.convention.rounding,
        fused=wanted.convention.fused,
        semiring="sum_product",
        mirrored=(0,) * kernel.ndim,
        bounded=bound < 2**31 and target in LIMITS and np.dtype(target).itemsize <= 2,
        considered=tuple(considered),
        box=box,
    )


def _bound(source: str, beyond: float, kernel: Array) -> float:
    """Return what no sum exceeds; infinity for floating images."""
    if source not in LIMITS:
        return float("inf")
    largest = max(*(abs(limit) for limit in LIMITS[source]), abs(beyond))
    return largest * float(np.abs(kernel).sum())


def _work(source: str, target: str, kernel: Array, bound: float) -> str:
    """Return the dtype of sums: float32 unless that would lose what the image holds."""
    if source in WIDE or target in WIDE:
        return "float64"
    whole = source in LIMITS and bool((kernel == np.rint(kernel)).all())
    return "float64" if whole and bound > WHOLE_FLOAT32 else "float32"


def _lines(kernel: Array, tolerance: float | None, work: str) -> tuple[tuple[Array, ...], str]:
    """Return the kernel as lines, and what is lost by that."""
    if kernel.ndim == 1 or not kernel.any():
        return (), "one line already" if kernel.ndim == 1 else "the kernel is zero"
    exact = np.finfo(np.float64).eps * 4
    # What rounding of the sums hides anyway may be lost.
    allowed = max(exact, tolerance or 0.0, 2.0**-26 if work == "float32" else 0.0)
    whole = _separated(kernel.tobytes(), kernel.shape, allowed)
    terms = whole[0].shape[1]
    if kernel.ndim > 2 and terms > 1:
        return (), "not one product of lines"
    return whole, f"{terms} product{'s' * (terms > 1)} of lines"


@functools.lru_cache(maxsize=64)
def _separated(kernel: bytes, shape: tuple[int, ...], tolerance: float) -> tuple[Array, ...]:
    """Return the lines of a kernel, which finding takes longer than filtering a small image."""
    return kernels.separate(np.frombuffer(kernel).reshape(shape), tolerance=tolerance)


def _considered(
    wanted: Request,
    kernel: Array,
    by_lines: tuple[tuple[Array, ...], str],
    boxed: tuple[Box | None, str],
) -> list[tuple[str, float, str]]:
    direct = float(kernel.size)
    nothing = float("inf")
    if wanted.convention.plain or wanted.convention.work is not None:
        boxed = None, OTHERWISE
    if wanted.convention.plain:
        return [
            ("direct", direct, "sums in the order of the convention"),
            *((method, nothing, OTHERWISE) for method in ("separable", "running", "fourier")),
        ]
    lines, loss = by_lines
    separable = nothing
    if lines:
        terms = lines[0].shape[1]
        separable = terms * (sum(kernel.shape) + LINE_OVERHEAD * (kernel.ndim - 1))
    box, why_box = boxed
    # Lines and volumes of transforms aren't built: kernels that long are rare there.
    planar = kernel.ndim == 2
    return [
        ("direct", direct, "every entry of the kernel"),
        ("separable", separable, loss),
        ("running", nothing if box is None else RUNNING_COST, why_box),
        (
            "fourier",
            FOURIER_COST if planar else nothing,
            "tiles that fit the cache" if planar else "only for two axes",
        ),
    ]

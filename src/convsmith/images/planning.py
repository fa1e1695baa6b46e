"""How each kernel is applied: directly, by lines, running sums or Fourier transforms; and why.

The choice depends on kernel and dtypes only, never on the image's size, so that parts of an image
give the same numbers as the whole.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import ArgumentError, compose
from convsmith.images.program import LIMITS, NARROW, SIZES, WIDE
from convsmith.images.requests import Edges, Request
from convsmith.images.running import Box, box_for
from convsmith.images.whole import whole

Array = NDArray[Any]

LINE_OVERHEAD = 3.5
"""What a second pass over a tile costs, in multiplications of each output."""

RUNNING_COST = 3.0
"""What a running sum costs, in multiplications of each output."""

FOURIER_COST = 100.0
"""What transforms of tiles cost, in multiplications of each output, in the same dtype."""

OTHERWISE = "would round otherwise than the convention"

WHOLE_FLOAT32 = 2**24
"""Up to here float32 holds every whole number."""


FEW_ROWS = 36
"""Columns of more rows times bytes are read row by row: where rows are a power of two apart, the
smallest cache holds few entries of a column together."""

SMALL_SOURCES = ("uint8", "int8")
"""Dtypes that are converted again for each few rows of results sooner than kept converted."""


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
    plain: bool
    """Whether sums are rounded as if added tap by tap, along rows first."""
    semiring: str
    mirrored: tuple[int, ...]
    """For each line 1 or -1 if pairs of its entries are added, or subtracted, first."""
    shift: int
    """Sums of whole numbers are so many powers of two too large."""
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
    return refined(plain_plan(wanted, index, kernel), wanted)


def plain_plan(wanted: Request, index: int, kernel: Array) -> KernelPlan:
    """Return a plan that takes nothing of its kernel's numbers for granted."""
    source, target = wanted.image.dtype.name, wanted.target
    bound = _bound(source, wanted.edges.value, kernel)
    work = wanted.convention.work or _work(source, target, kernel, bound)
    lines, loss = _lines(kernel, wanted.tolerances[index], work)
    exact = work == "float32" and whole_sums(source, kernel)
    boxed = box_for(kernel, wanted.tolerances[index], (source, target), wanted.edges)
    transforms = FOURIER_COST * (2 if exact else 1)
    considered = _considered(wanted, kernel, (lines, loss), boxed, transforms)
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
        plain=wanted.convention.plain,
        semiring="sum_product",
        mirrored=(0,) * kernel.ndim,
        shift=0,
        bounded=bound < 2**31 and target in LIMITS and np.dtype(target).itemsize <= 2,
        considered=tuple(considered),
        box=boxed[0],
    )


def refined(plan: KernelPlan, wanted: Request) -> KernelPlan:
    """Return a plan that uses what its kernel is: whole numbers, or the same backwards."""
    if wanted.convention.work is not None or plan.method == "running":
        return plan
    by_lines = plan.method == "separable"
    if plan.kernel.ndim <= 2 and plan.method != "fourier" and held(wanted.edges, plan.source):
        found = whole(plan.kernel, plan.source, plan.target, plan.rounding, by_lines)
        if found is not None:
            numbers = found.numbers
            plan = replace(
                plan, work=found.work, shift=found.shift, kernel=plan.kernel * 2.0**found.shift,
                lines=tuple(line[:, None] for line in numbers) if by_lines else plan.lines,
            )  # fmt: skip
    if wanted.convention.plain and plan.work not in NARROW:
        return plan  # Pairs would be rounded otherwise than tap by tap.
    lines = plan.lines if by_lines else (plan.kernel,) if plan.kernel.ndim == 1 else ()
    return replace(plan, mirrored=tuple(map(symmetry, lines)) or plan.mirrored)


def columns_first(plan: KernelPlan, edges: Edges) -> bool:
    """Whether columns are summed before rows, read and converted where they lie in the image."""
    down, _ = plan.lines
    if down.shape[1] > 1 or not 1 < len(down) <= FEW_ROWS // SIZES[plan.work]:
        return False
    if plan.source == plan.work:
        return True
    exact = plan.work in NARROW or not plan.plain
    return exact and plan.source in SMALL_SOURCES and held(edges, plan.source)


def held(edges: Edges, source: str) -> bool:
    """Whether what lies beyond the edges is among an image's own numbers, and nothing rescaled."""
    if any("renormalize" in mode for mode in edges.modes) or source not in LIMITS:
        return False
    low, high = LIMITS[source]
    return low <= edges.value <= high and edges.value == int(edges.value)


def symmetry(line: Array) -> int:
    """Return 1 for a line that is the same backwards, -1 for its negative, 0 for others."""
    line = line.reshape(len(line), -1)
    if line.shape[1] > 1 or len(line) % 2 == 0 or len(line) == 1:
        return 0
    if (line == line[::-1]).all():
        return 1
    return -1 if (line == -line[::-1]).all() else 0


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
    whole = whole_sums(source, kernel)
    return "float64" if whole and bound > WHOLE_FLOAT32 else "float32"


def whole_sums(source: str, kernel: Array) -> bool:
    """Return whether sums are whole numbers, which float32's transforms miss by more than a half.

    Transforms compute them in float64.
    """
    return source in LIMITS and bool((kernel == np.rint(kernel)).all())


def _lines(kernel: Array, tolerance: float | None, work: str) -> tuple[tuple[Array, ...], str]:
    """Return the kernel as lines, and what is lost by that."""
    if kernel.ndim == 1 or not kernel.any():
        return (), "one line already" if kernel.ndim == 1 else "the kernel is zero"
    exact = np.finfo(np.float64).eps * 4
    # What rounding of the sums hides anyway may be lost.
    allowed = max(exact, tolerance or 0.0, 2.0**-26 if work == "float32" else 0.0)
    lines = _separated(kernel.tobytes(), kernel.shape, allowed)
    terms = lines[0].shape[1]
    if kernel.ndim > 2 and terms > 1:
        return (), "not one product of lines"
    return lines, f"{terms} product{'s' * (terms > 1)} of lines"


@functools.lru_cache(maxsize=64)
def _separated(kernel: bytes, shape: tuple[int, ...], tolerance: float) -> tuple[Array, ...]:
    """Return the lines of a kernel, which finding takes longer than filtering a small image."""
    found = kernels.separate(np.frombuffer(kernel).reshape(shape), tolerance=tolerance)
    return tuple(map(_straightened, found))


def _straightened(line: Array) -> Array:
    """Return a line that is the same backwards if it is but for rounding."""
    for sign in (1.0, -1.0):
        if np.abs(line - sign * line[::-1]).max() <= 1e-14 * np.abs(line).max():
            return (line + sign * line[::-1]) / 2
    return line


def _considered(
    wanted: Request,
    kernel: Array,
    by_lines: tuple[tuple[Array, ...], str],
    boxed: tuple[Box | None, str],
    transforms: float,
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
            transforms if planar else nothing,
            "two tiles at a time" if planar else "only for two axes",
        ),
    ]

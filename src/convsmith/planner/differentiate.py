"""One planned step as a differentiable operation with gradients that are planned steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convsmith.adjoints import OUTPUT, adjoint
from convsmith.lowerings import LOWERINGS, Sizes, native
from convsmith.lowerings.backend import current
from convsmith.rewrites import equivalents
from convsmith.steps import GRADIENT, Step

if TYPE_CHECKING:
    from convsmith.planner.plan import PlannedStep


FLOATS = ("float", "bfloat")
"""Integers have no gradients, and backends disagree on those of complex numbers."""


def run_step(planned: PlannedStep, sizes: Sizes, operands: tuple[Any, ...]) -> Any:
    """Return the result of a step, with the gradients that suit its lowering."""
    product = _product(planned, sizes)
    if product is None:
        return LOWERINGS[planned.lowering].run(planned.step, sizes, operands)
    return current().bilinear(product, *operands)


LEAST_WORK = 1_000_000
"""Multiply-adds below which a backend's own gradients are as good, and quicker to call."""


def _product(planned: PlannedStep, sizes: Sizes) -> Product | None:
    """Return the step as a product, or None if the backend's own gradients do."""
    notes = planned.step.notes
    product = notes.get("product")
    if product is None:
        wanted = not _backend_differentiates(planned) and None not in planned.adjoints
        product = Product(planned, sizes) if wanted else False
        if sizes.known or not product:
            notes["product"] = product
    return product or None


def _backend_differentiates(planned: PlannedStep) -> bool:
    """Whether the backend's own gradients of what this lowering calls are as good as any."""
    target = planned.target
    if planned.lowering in ("matmul", "native_gradient") or not target.dtype.startswith(FLOATS):
        return True
    if planned.lowering != "native":
        return False
    form = native.analyze(planned.step)
    if not isinstance(form, native.Form) or form.groups == 1 or target.device != "cpu":
        return True
    if target.mode in ("eager", "graph") and planned.step.macs < LEAST_WORK:
        return True
    own = ("native", "native_gradient")
    data, kernel = planned.adjoints
    if data is None or kernel is None:
        return True
    return data.lowering in own and kernel.lowering in own and bool(data.step.output_windows)


class Product:
    """A step of two operands: linear in each, and its gradients are such steps again."""

    def __init__(self, planned: PlannedStep, sizes: Sizes) -> None:
        self.planned, self.sizes = planned, sizes
        self.compiled: Any = None  # Room for what a backend makes of this product once.

    def __call__(self, one: Any, other: Any) -> Any:
        """Return the result, without gradients of its own."""
        planned = self.planned
        return LOWERINGS[planned.lowering].run(planned.step, self.sizes, (one, other))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the result, None where a graph leaves it open."""
        return self.planned.step.output_shape

    def gradient(self, index: int, output_gradient: Any, other: Any) -> Any:
        """Return the gradient of one operand, given the other one."""
        planned = self.planned.adjoints[index]
        assert planned is not None
        first, second = (output_gradient, other)
        if planned.step.inputs[0] != OUTPUT:
            first, second = second, first
        return run_step(planned, _with_names(self.sizes, planned.step), (first, second))

    def batched(self, size: int, axes: tuple[bool, bool]) -> Product:
        """Return this product for operands of which some have one more leading axis."""
        key = f"batched {size} {axes}"
        notes = self.planned.step.notes
        if key not in notes:
            step = _with_axis(self.planned.step, size, axes)
            names = {**self.sizes.names, _new_name(self.planned.step): size}
            notes[key] = Product(self.planned.replanned(step), Sizes(names, self.sizes.windows))
        return notes[key]


def _with_names(sizes: Sizes, step: Step) -> Sizes:
    """Return sizes that also know the axes which only a rewritten step names."""
    new = {n: size for n, size in step.sizes.items() if n not in sizes.names}
    return Sizes({**sizes.names, **new}, sizes.windows) if new else sizes


def _new_name(step: Step) -> str:
    # No name of a pattern has a space, so this can't meet one.
    return f"mapped {sum(n.startswith('mapped ') for n in step.sizes)}"


def _with_axis(step: Step, size: int, axes: tuple[bool, bool]) -> Step:
    name = _new_name(step)
    return replace(
        step,
        operands=tuple(
            (name, *side) if has else side for has, side in zip(axes, step.operands, strict=True)
        ),
        output=(name, *step.output),
        sizes={**step.sizes, name: size},
        notes={},
    )


def adjoints(planned: PlannedStep) -> tuple[PlannedStep | None, PlannedStep | None]:
    """Return the planned gradients of both operands, None where there is no such step."""
    found = []
    for index in (0, 1):
        step = adjoint(planned.step, index)
        steps = [] if step is None else equivalents(step)
        for each in steps:
            each.notes[GRADIENT] = True
        found.append(planned.replanned(*steps) if steps else None)
    return found[0], found[1]

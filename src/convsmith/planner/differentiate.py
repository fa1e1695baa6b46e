"""One planned step as a differentiable operation with gradients that are planned steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convsmith.adjoints import OUTPUT, adjoint
from convsmith.lowerings import LOWERINGS, Sizes
from convsmith.lowerings.backend import current
from convsmith.steps import Step

if TYPE_CHECKING:
    from convsmith.planner.plan import PlannedStep

OWN_GRADIENTS = ("native", "matmul")
"""Lowerings whose backend has good gradients of its own."""

FLOATS = ("float", "bfloat")
"""Integers have no gradients, and backends disagree on those of complex numbers."""


def run_step(planned: PlannedStep, sizes: Sizes, operands: tuple[Any, ...]) -> Any:
    """Return the result of a step, with the gradients that suit its lowering."""
    product = _product(planned, sizes)
    if product is None:
        return LOWERINGS[planned.lowering].run(planned.step, sizes, operands)
    return current().bilinear(product, *operands)


def _product(planned: PlannedStep, sizes: Sizes) -> Product | None:
    """Return the step as a product, or None if the backend's own gradients do."""
    if planned.lowering in OWN_GRADIENTS or not planned.target.dtype.startswith(FLOATS):
        return None
    notes = planned.step.notes
    product = notes.get("product")
    if product is None:
        product = False
        if None not in planned.adjoints:
            product = Product(planned, sizes)
        if sizes.known or not product:
            notes["product"] = product
    return product or None


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
        return run_step(planned, self.sizes, (first, second))

    def batched(self, size: int, axes: tuple[bool, bool]) -> Product:
        """Return this product for operands of which some have one more leading axis."""
        key = f"batched {size} {axes}"
        notes = self.planned.step.notes
        if key not in notes:
            step = _with_axis(self.planned.step, size, axes)
            names = {**self.sizes.names, _new_name(self.planned.step): size}
            notes[key] = Product(self.planned.replanned(step), Sizes(names, self.sizes.windows))
        return notes[key]


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
        found.append(None if step is None else planned.replanned(step))
    return found[0], found[1]

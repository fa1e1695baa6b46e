"""What a lowering is: a way to compute one `Step`, with its limits stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from convsmith.problem import Size, SizedWindow
from convsmith.steps import Step

Tensor = Any


class Support(NamedTuple):
    """Whether a lowering can compute a step, and why not; or why it only does when forced."""

    ok: bool
    reason: str = ""


YES = Support(True)


XLA_MODES = ("xla", "jit")
"""Execution modes that XLA compiles: it runs loops, and its CPU convolutions are its own."""


@dataclass(frozen=True)
class Target:
    """Where a plan will run: backend, execution mode, kind of device and dtype of the sums.

    `spread` says that the compiler splits the computation over several devices.
    """

    backend: str
    mode: str
    device: str
    dtype: str
    spread: bool = False

    @property
    def by_xla(self) -> bool:
        """Whether XLA compiles the computation."""
        return self.mode in XLA_MODES

    @property
    def compiled(self) -> bool:
        """Whether a compiler will fuse elementwise passes."""
        return self.by_xla or self.mode == "compiled"


@dataclass(frozen=True)
class Sizes:
    """Sizes at run time: ints, or the backend's scalars where a graph leaves them open."""

    names: Mapping[str, Any]
    windows: Mapping[str, tuple[Any, Any, Any]]

    @property
    def known(self) -> bool:
        """Whether all sizes are ints, the same in every run."""
        return not self.windows and all(isinstance(n, int) for n in self.names.values())

    def of(self, place: str | SizedWindow) -> Any:
        """Return the size of a place."""
        if isinstance(place, SizedWindow):
            if place.size is not None:
                return place.size
            return self.windows[place.axis][0]
        return self.names[place]

    def positions(self, window: SizedWindow) -> Any:
        """Return how many positions a window has."""
        return self.names[window.position] if window.positions is None else window.positions


class Lowering(Protocol):
    """One way to compute a step."""

    name: str

    def supports(self, step: Step, target: Target) -> Support:
        """Say whether this lowering computes `step` exactly on `target`; never raises."""
        ...

    def run(self, step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
        """Return the flat result."""
        ...


class Product(Protocol):
    """A product of two tensors that knows its gradients; made by the planner, used by backends."""

    compiled: Any

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the result, None where a graph leaves it open."""
        ...

    def __call__(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the result, without gradients of its own."""
        ...

    def gradient(self, index: int, output_gradient: Tensor, other: Tensor) -> Tensor:
        """Return the gradient of one operand, given the other one."""
        ...

    def batched(self, size: int, axes: tuple[bool, ...]) -> Product:
        """Return this product for operands of which some have one more leading axis."""
        ...


__all__ = ["YES", "Lowering", "Product", "Size", "Sizes", "Support", "Target", "Tensor"]

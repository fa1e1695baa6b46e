"""The lowerings: each computes a `Step` in its own way; the planner chooses."""

from __future__ import annotations

from convsmith.lowerings import direct, fft, loop, matmul, native, native_gradient, shift, unfold
from convsmith.lowerings.base import Lowering, Sizes, Support, Target

LOWERINGS: dict[str, Lowering] = {
    module.name: module  # type: ignore[misc]
    for module in (native, native_gradient, matmul, shift, unfold, loop, fft, direct)
}
"""All lowerings by name, the preferred first where costs are equal."""

__all__ = ["LOWERINGS", "Lowering", "Sizes", "Support", "Target"]

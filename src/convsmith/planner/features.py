"""What a lowering's time and memory depend on: the one truth of estimates and of their fit.

A lowering states its own by two optional functions in its module, `features(step, target)` and
`workspace(step, target)`; one that doesn't is taken for a single pass without extra memory.
"""

from __future__ import annotations

from convsmith.lowerings import LOWERINGS, Target
from convsmith.lowerings.amounts import (
    Features,
    operand_bytes,
    output_bytes,
    padded_bytes,
    sums_products,
)
from convsmith.steps import Step

CACHE = 8_000_000
"""Bytes that caches hold, to the order of magnitude; what is beyond costs extra."""


def features(name: str, step: Step, target: Target) -> Features:
    """Return amounts by name: ``calls``, ``bytes``, ``macs``, each also with ``.detail``.

    A lowering's microseconds are estimated as the sum of amounts times constants.

    Example:
        >>> from convsmith import plan
        >>> made = plan("b (h+kh) i, kh i o -> b h o", (1, 9, 1), (2, 1, 4))
        >>> features("native", made.steps[0].step, made.target)["calls"]
        1.0
    """
    own = getattr(LOWERINGS[name], "features", None)
    moved = operand_bytes(step, target) + output_bytes(step, target)
    kind = "macs.matmul" if sums_products(step) else "macs"
    amounts = (
        {"calls": 1.0, "bytes": moved, kind: float(step.macs)} if own is None else own(step, target)
    )
    beyond = max(moved + workspace(name, step, target) - CACHE, 0.0)
    return {**amounts, "bytes.beyond_cache": beyond}


def workspace(name: str, step: Step, target: Target) -> int:
    """Return the bytes that a lowering needs beyond operands and result.

    Example:
        >>> from convsmith import plan
        >>> made = plan("b (h+kh) i, kh i o -> b h o", (1, 9, 1), (2, 1, 4))
        >>> workspace("unfold", made.steps[0].step, made.target)
        228
    """
    own = getattr(LOWERINGS[name], "workspace", None)
    if own is not None:
        return int(own(step, target))
    return int(padded_bytes(step, target))

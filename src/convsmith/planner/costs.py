"""The cost model: a lowering's microseconds are its amounts times constants.

The amounts come from `features`, the constants from ``costs.json``, which ``python -m
benchmarks.fit`` writes from recorded sweeps: one table for each backend, execution mode and kind
of device. Where there is no table, or it has no constant for an amount, the defaults below hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from convsmith.lowerings import Target
from convsmith.planner.features import features
from convsmith.steps import Step

FILE = "costs.json"
VERSION = 2

_CALL = {"eager": 20.0, "graph": 6.0, "xla": 1.0, "jit": 1.0, "compiled": 3.0}

_DEFAULTS = {
    "bytes": 1 / 20_000,
    "macs": 1 / 50_000,
    "macs.dense": 1 / 100_000,
    "macs.volume": 1 / 50_000,
    "macs.narrow": 1 / 8_000,
    "macs.depthwise": 1 / 5_000,
    "macs.depthwise_general": 1 / 2_000,
    "macs.grouped": 1 / 10_000,
    "macs.grouped_gradient": 1 / 16_000,
    "macs.grouped_padded": 0.0,
    "macs.row": 1 / 10_000,
    "macs.stacked_matrices": 1 / 40_000,
    "macs.transposed_busy": 1 / 80_000,
    "macs.transposed_narrow": 1 / 8_000,
    "macs.transposed_dense": 1 / 50_000,
    "macs.transposed_volume": 1 / 30_000,
    "macs.transposed_grouped": 1 / 10_000,
    "macs.transposed_depthwise": 1 / 2_000,
    "macs.matmul": 1 / 80_000,
    "macs.products": 1 / 20_000,
    "macs.accumulated": 1 / 8_000,
    "macs.stacked": 1 / 4_000,
    "macs.exchanged": 1 / 700,
    "macs.butterflies": 1 / 4_000,
    "macs.spectra": 1 / 16_000,
    "bytes.beyond_cache": 0.0,
    "bytes.passes": 5 / 20_000,
    "bytes.strided": 5 / 20_000,
    "bytes.products": 3 / 20_000,
    "bytes.patches": 3 / 20_000,
    "bytes.product": 3 / 20_000,
}
"""Microseconds of one unit on two AVX-512 cores, to the order of magnitude."""

XLA_GROUPED_GRADIENT = 1 / 15
"""XLA's CPU gradients of grouped convolutions: 58 million multiply-adds took 3.9 s."""

UNFITTED = 4.0
"""How much worse a lowering is taken to be than its defaults, beside others that were fitted."""

_ALIKE = {"torch/compiled": "torch/eager"}
"""Whose table stands in for one that nobody has measured."""


def estimate(name: str, step: Step, target: Target) -> float:
    """Return the estimated microseconds of a step under a lowering that supports it.

    Example:
        >>> from convsmith import plan
        >>> made = plan("b (h+kh) i, kh i o -> b h o", (1, 9, 1), (2, 1, 4))
        >>> estimate("native", made.steps[0].step, made.target) > 0
        True
    """
    known = table(target)
    fitted = known.get(name, {})
    amounts = features(name, step, target)
    doubt = UNFITTED if known and not fitted else 1.0
    return doubt * sum(
        amount * (fitted[key] if key in fitted else default(key, target))
        for key, amount in amounts.items()
    )


def default(key: str, target: Target) -> float:
    """Return the microseconds that one unit of an amount costs where nothing was fitted."""
    kind = key.split(".")[0]
    if kind == "calls":
        return _CALL[target.mode]
    if key == "bytes.passes" and target.compiled:
        return 0.0  # Fused into one pass.
    if key == "macs.grouped_gradient" and target.by_xla and target.device == "cpu":
        return XLA_GROUPED_GRADIENT
    return _DEFAULTS.get(key, _DEFAULTS[kind])


def table(target: Target) -> Mapping[str, Any]:
    """Return the fitted constants for a target by lowering; empty without."""
    known = tables()
    place = f"{target.backend}/{target.mode}"
    for name in (place, _ALIKE.get(place, place)):
        found = known.get(f"{name}/{target.device}")
        if found is not None:
            return found["constants"]
    return {}


@cache
def tables() -> Mapping[str, Any]:
    """Return all fitted tables by ``backend/mode/device``, read once."""
    text = resources.files("convsmith.planner").joinpath(FILE).read_text(encoding="utf-8")
    return json.loads(text)["tables"]

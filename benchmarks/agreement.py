"""Which candidates compute the same: one that computes something else is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

TOLERANCE = 2e-3
"""Largest difference, as a share of the largest entry."""

Parts = Sequence[np.ndarray]


def same(one: Parts, other: Parts) -> bool:
    """Whether two results, each an array or an array and its gradients, agree."""
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
            return False
        scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), 1e-30)
        if float(np.abs(a - b).max(initial=0)) > TOLERANCE * scale:
            return False
    return True


def disagreeing(results: Mapping[str, Parts], trusted_last: str = "convsmith") -> dict[str, str]:
    """Return the error of each candidate that doesn't compute what most compute.

    With as many on both sides, `trusted_last` is on the wrong one: who measures himself must
    convince the others.
    """
    names = list(results)
    camps: list[list[str]] = []
    for name in names:
        for camp in camps:
            if same(results[camp[0]], results[name]):
                camp.append(name)
                break
        else:
            camps.append([name])
    if len(camps) < 2:
        return {}
    right = max(camps, key=lambda camp: (len(camp), trusted_last not in camp))
    shapes = [a.shape for a in results[right[0]]]
    return {
        name: f"computes something else than {', '.join(right)}"
        + ("" if [a.shape for a in results[name]] == shapes else " (other shapes)")
        for name in names
        if name not in right
    }

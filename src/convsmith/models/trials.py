"""Random inputs of several sizes for a model, and how far outputs lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convsmith.errors import UnsupportedError, compose
from convsmith.models.formats import Arrays, Run

BATCHES = (2, 1, 5)
SIDES = ((32, 41, 27), (64, 96, 128))
"""Sizes for open axes; the second for models that need multiples of 32."""


def trials_of(model: Any, run: Run) -> tuple[list[Arrays], list[Arrays]]:
    """Return random inputs, and what the model makes of them.

    The first two have the same sizes but for the batch.

    Args:
        model: one whose inputs have shapes.
        run: the model as a function of arrays.

    Raises:
        UnsupportedError: the model takes none of the sizes that are tried.
    """
    last: Exception | None = None
    for sides in SIDES:
        inputs = [_draw(model, i, batch, sides) for i, batch in enumerate(BATCHES)]
        if not any(None in x.shape[1:] for x in model.inputs):
            return inputs, [run(x) for x in inputs]
        try:
            return inputs, [run(x) for x in inputs]
        except Exception as error:  # too small for the model, or not divisible
            last = error
    raise UnsupportedError(
        compose(
            f"export: {model.name!r}",
            f"the model takes none of the sizes {SIDES} that were tried for its open axes "
            f"({str(last).strip().splitlines()[0][:200]})",
            fix="an Input with the size that it is used with",
        ),
        argument="model",
        value=model,
    )


def _draw(model: Any, number: int, batch: int, sides: tuple[int, ...]) -> Arrays:
    rng = np.random.default_rng(number)
    turn = max(0, number - 1)
    arrays: Arrays = []
    for x in model.inputs:
        first, *rest = x.shape
        sizes = [n or sides[(turn + axis) % len(sides)] for axis, n in enumerate(rest)]
        shape = (first or batch, *sizes)
        kind = np.dtype(x.dtype if x.dtype != "bfloat16" else "float32")
        if kind.kind == "f":
            arrays.append(rng.standard_normal(shape).astype(kind))
        else:  # small, because they may be indices
            arrays.append(rng.integers(0, 2, shape).astype(kind))
    return arrays


def distance(runs: Sequence[tuple[Arrays, Arrays, Arrays]]) -> tuple[float, float, float]:
    """Return the largest and the mean difference, and the largest number expected.

    The first are infinite where shapes differ or one is not a number where the other is.

    Args:
        runs: Inputs, what was found for them and what was expected, of each run.
    """
    worst = total = scale = 0.0
    count = 0
    for _, found, expected in runs:
        if [y.shape for y in found] != [y.shape for y in expected]:
            return np.inf, np.inf, scale
        for y, right in zip(found, expected, strict=True):
            one, other = y.astype(np.float64), right.astype(np.float64)
            finite = np.isfinite(other)
            if (np.isfinite(one) != finite).any():
                return np.inf, np.inf, scale
            apart = np.abs(np.where(finite, one, 0.0) - np.where(finite, other, 0.0))
            worst = max(worst, float(apart.max(initial=0.0)))
            scale = max(scale, float(np.abs(other[finite]).max(initial=0.0)))
            total, count = total + float(apart.sum()), count + apart.size
    return worst, total / max(count, 1), scale

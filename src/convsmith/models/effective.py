"""Effective receptive fields: how much of its field a layer really depends on, by a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.lowerings.running import with_gradients
from convsmith.models.calls import Step

ops: Any = keras.ops

DRAWS = 4
"""Random inputs that gradients are averaged over."""

HELD = 0.95
"""The share of the gradient that counts as effective."""


class Spreads:
    """The effective receptive fields of a model's layers, by the gradient of a central position.

    Raises:
        ArgumentError: several inputs.
        ShapeError: an input of unknown size.
    """

    def __init__(self, subject: Any, inputs: Sequence[Any]) -> None:
        if len(inputs) != 1:
            raise ArgumentError(
                compose(
                    f"effective_field=True for {subject.name!r}",
                    f"it has {len(inputs)} inputs",
                    expected="a layer or model of one input",
                    fix="effective_field=False",
                ),
                argument="effective_field",
                value=True,
            )
        self._subject, self._input = subject, inputs[0]
        shape = tuple(self._input.shape)
        if None in shape[1:]:
            raise ShapeError(
                compose(
                    f"effective_field=True for {subject.name!r}",
                    f"the input's sizes are {shape}",
                    expected="sizes that are known",
                    fix="input_shape=(1, 64, 64, 3)",
                ),
                argument="input_shape",
                value=shape,
            )
        self._draws = np.random.default_rng(0).normal(size=(DRAWS, *shape[1:])).astype("float32")

    def __call__(self, step: Step) -> dict[tuple[int, int], int]:
        """Return the effective sizes by input and axis; none for layers within nested models."""
        if len(step.output_shapes[0]) < 3:
            return {}
        if isinstance(self._subject, keras.Model) and step.own is None:
            return {}
        function = self._subject
        if step.own is not None:
            function = keras.Model(self._subject.inputs, step.own)
        held = gradient(function, self._draws, _middle(step))
        return {
            (0, axis): spread(held.sum(axis=tuple(a for a in range(held.ndim) if a != axis - 1)))
            for axis in range(1, held.ndim + 1)
        }


def gradient(function: Any, draws: NDArray[Any], middle: tuple[Any, ...]) -> NDArray[Any]:
    """Return the mean size of the gradient of one position, its channels summed, without batch.

    Args:
        function: from input to output.
        draws: inputs, whose gradients are averaged.
        middle: which entries of an output without batch are summed.
    """

    def central(x: Any) -> Any:
        return ops.sum(function(x)[(slice(None), *middle)])

    run = with_gradients(central)
    total = np.zeros(draws.shape[1:])
    for draw in draws:
        result, slope = run(ops.convert_to_tensor(draw[None]))
        # The gradient is that of half the square.
        scale = float(ops.convert_to_numpy(result)) or 1.0
        total += np.abs(ops.convert_to_numpy(slope)[0] / scale)
    return total / len(draws)


def spread(weights: NDArray[Any]) -> int:
    """Return how many entries in a row hold all but what the two ends have too much of.

    Example:
        >>> spread(np.array([0.01, 0.0, 1.0, 1.0, 0.0, 0.01]))
        2
    """
    total = weights.sum()
    if total == 0:
        return 0
    before = np.cumsum(weights) / total
    tail = (1 - HELD) / 2
    first = int(np.searchsorted(before, tail, side="right"))
    last = int(np.searchsorted(before, 1 - tail, side="left"))
    return min(last, len(weights) - 1) - first + 1


def _middle(step: Step) -> tuple[Any, ...]:
    """Return the index of the central position, all channels."""
    shape = step.output_shapes[0][1:]
    first = getattr(step.operation, "data_format", None) == "channels_first"
    channel = 0 if first else len(shape) - 1
    return tuple(
        slice(None) if axis == channel else (size or 1) // 2 for axis, size in enumerate(shape)
    )

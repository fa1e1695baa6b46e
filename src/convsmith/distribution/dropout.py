"""Dropout that doesn't depend on how many devices share a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

ops: Any = keras.ops


def share_masks(model: keras.Model, count: int, rank: Callable[[], Any]) -> None:
    """Let each device drop what one device would drop in its part of the batch.

    All devices draw the same mask for the whole batch from the same seed, and take their rows;
    what is saved with the model doesn't change.

    Args:
        model: all its dropout layers are treated.
        count: how many devices have equal parts of each batch, in order.
        rank: the place of this device among them, asked for in each call.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            setattr(layer, "call", partial(_call, layer.call, count, rank))  # noqa: B010


def _call(
    own: Callable[..., Any], count: int, rank: Callable[[], Any], inputs: Any, training: Any = False
) -> Any:
    if not training:
        return own(inputs, training=training)
    rows = ops.shape(inputs)[0]
    whole = ops.ones((rows * count, *inputs.shape[1:]), inputs.dtype)
    start = rank() * rows
    return inputs * own(whole, training=training)[start : start + rows]

"""Keras's own files, for any backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from convsmith.models.formats import Arrays, Order, Run, Written
from convsmith.models.loading import load


def write(model: Any, order: Order) -> Written:
    model.save(order.path)
    ours = sorted(_ours(model))
    return Written(notes=(f"loads where convsmith is: {', '.join(ours)}",) if ours else ())


def _ours(model: Any) -> set[str]:
    """Return the classes of convsmith that the model's layers are of."""
    own = type(model)
    found = {own.__name__} if own.__module__.startswith("convsmith.") else set()
    return found.union(*(_ours(layer) for layer in getattr(model, "layers", ())))


def opened(path: Path, model: Any) -> Run:
    """Return the reloaded model as a function."""
    return as_function(load(path))


def as_function(model: Any) -> Run:
    """Return a model at inference as a function of flat lists of arrays."""

    def run(inputs: Arrays) -> Arrays:
        given = inputs[0] if len(inputs) == 1 else keras.tree.pack_sequence_as(model.input, inputs)
        outputs = keras.tree.flatten(model(given, training=False))
        return [np.asarray(keras.ops.convert_to_numpy(_held(y))) for y in outputs]

    return run


def _held(y: Any) -> Any:
    """Return a tensor in a dtype that NumPy has."""
    return keras.ops.cast(y, "float32") if "bfloat16" in str(y.dtype) else y

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
    return Written()


def opened(path: Path, model: Any) -> Run:
    """Return the reloaded model as a function."""
    return as_function(load(path))


def as_function(model: Any) -> Run:
    """Return a model at inference as a function of flat lists of arrays."""

    def run(inputs: Arrays) -> Arrays:
        given = inputs[0] if len(inputs) == 1 else keras.tree.pack_sequence_as(model.input, inputs)
        outputs = keras.tree.flatten(model(given, training=False))
        return [np.asarray(keras.ops.convert_to_numpy(y)) for y in outputs]

    return run

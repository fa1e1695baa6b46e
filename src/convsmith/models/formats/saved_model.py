"""TensorFlow's SavedModel: a folder that TensorFlow Serving and `tf.saved_model.load` read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from convsmith.models.formats import Arrays, Order, Run, Written
from convsmith.models.formats.grouped import without_hidden_groups


def write(model: Any, order: Order) -> Written:
    without_hidden_groups(model).export(order.path, format="tf_saved_model", verbose=False)
    return Written()


def opened(path: Path, model: Any) -> Run:
    """Return the function `serve` of the reloaded folder."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(inputs: Arrays) -> Arrays:
        given = inputs[0] if len(inputs) == 1 else keras.tree.pack_sequence_as(model.input, inputs)
        given = keras.tree.map_structure(tf.convert_to_tensor, given)
        return [np.asarray(y) for y in keras.tree.flatten(loaded.serve(given))]  # type: ignore[attr-defined]

    return run

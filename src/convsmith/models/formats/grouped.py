"""Convolutions in groups as plain operations.

On a CPU Keras hides them in a function that XLA compiles, which converters don't look into.
"""

from __future__ import annotations

from typing import Any

import keras

from convsmith import layers

_OURS: dict[type[Any], type[Any]] = {
    keras.layers.Conv1D: layers.Conv1D,
    keras.layers.Conv2D: layers.Conv2D,
    keras.layers.Conv3D: layers.Conv3D,
}


def without_hidden_groups(model: Any) -> Any:
    """Return the model, or a copy with convsmith's layers for Keras's that have groups."""
    return _copy(model) if _hides(model) else model


def _hides(layer: Any) -> bool:
    return (type(layer) in _OURS and layer.groups > 1) or any(
        _hides(inner) for inner in getattr(layer, "layers", ())
    )


def _copy(model: Any) -> Any:
    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _copy(layer)
        made = _OURS[type(layer)] if _hides(layer) else type(layer)
        return made.from_config(layer.get_config())

    copy: Any = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy

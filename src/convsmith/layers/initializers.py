"""Initialisers whose variance follows the right axes of a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def with_fans(initializer: Any, input_axes: Sequence[int], output_axes: Sequence[int]) -> Any:
    """Return an initialiser that counts inputs and outputs along these axes.

    Keras takes the last two axes for channels and all others for taps, which is wrong where an
    axis is a position or a group. Initialisers without a fan, or with axes of the user's, stay.

    Example:
        >>> local = with_fans(keras.initializers.get("glorot_uniform"), [1, 2], [1, 3])
        >>> local.input_axes, local.output_axes
        ([1, 2], [1, 3])
    """
    if not isinstance(initializer, keras.initializers.VarianceScaling):
        return initializer
    config = initializer.get_config()
    if config.get("input_axes") is not None or config.get("output_axes") is not None:
        return initializer
    axes = {"input_axes": list(input_axes), "output_axes": list(output_axes)}
    return type(initializer).from_config({**config, **axes})

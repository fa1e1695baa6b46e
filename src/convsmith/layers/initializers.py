"""Initialisers whose variance follows the right axes of a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from convsmith.errors import KernelError, compose


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


class OfShape:
    """An initialiser that gives the shape which is asked for, or an error.

    Keras's `Constant` multiplies its array by ones: an array of another layout is broadcast, and
    the weight then has another shape than it says.

    Raises:
        KernelError: in a call, the initialiser gives another shape.

    Example:
        >>> OfShape(keras.initializers.Constant([[1.0], [2.0]]))((2, 1)).shape[0]
        2
    """

    def __init__(self, initializer: Any) -> None:
        self.initializer: Any = keras.initializers.get(initializer)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return what the initialiser gives for this shape."""
        values: Any = self.initializer(shape, dtype=dtype)
        if tuple(values.shape) != tuple(shape):
            raise KernelError(
                compose(
                    f"initializer {type(self.initializer).__name__}",
                    f"gives {tuple(values.shape)} for a weight of shape {tuple(shape)}",
                    expected="an array of the weight's shape, such as (*kernel_size, in, out)",
                    fix="numpy.swapaxes(array, -1, -2), or FixedConv2D for a given kernel",
                ),
                argument="initializer",
                value=tuple(values.shape),
            )
        return values

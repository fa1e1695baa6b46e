"""Gradients of a layer against the slopes of its values, by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from convsmith.testing.autodiff import holds_float64, layer_gradients
from convsmith.testing.case import Array, LayerCase, as_numpy

Function = Callable[[list[Array], list[Array]], Array]
"""Takes all inputs and all weights in float64, returns the outputs."""


class Values(NamedTuple):
    """Where the slopes come from, the steps that suit its precision, and the error left.

    One step has to agree: rounding spoils a small one, and a kink such as that of relu a large one.
    """

    function: Function
    steps: tuple[float, ...]
    tolerance: float


def assert_gradients(case: LayerCase) -> None:
    """Assert that the slope along a direction in each operand is what autodiff says.

    The direction is random, with the signs of the gradient: so nothing in the sum cancels.

    Raises:
        AssertionError: a gradient has another shape, or differs.

    Example:
        >>> assert_gradients(LayerCase(keras.layers.Dense, {"units": 3}, (2, 4)))

    Source: none.
    """
    layer = case.built()
    inputs: list[Any] = case.each(case.inputs("float64"))
    weights = [w.astype("float64") for w in layer.get_weights()]
    values = _values(case)
    generator = np.random.default_rng(case.seed + 2)
    cotangent = generator.uniform(-1, 1, values.function(inputs, weights).shape)
    gradients = layer_gradients(layer, case.inputs(), cotangent.astype("float32"))
    trained = {id(v) for v in layer.trainable_variables}
    operands = [*inputs, *weights]
    places = list(range(len(inputs)))
    names = ["inputs"] if len(inputs) == 1 else [f"input {place}" for place in places]
    for index, variable in enumerate(layer.weights):
        if id(variable) in trained:
            places.append(len(inputs) + index)
            names.append(variable.path)
    for place, name, gradient in zip(places, names, gradients, strict=True):
        shape = operands[place].shape
        assert gradient.shape == shape, f"for {name}: shape {gradient.shape} instead of {shape}"
        direction = generator.uniform(-1, 1, shape)
        direction = np.where(gradient, np.copysign(direction, gradient), direction)

        def moved(amount: float, place: int = place, direction: Array = direction) -> Array:
            at = list(operands)
            at[place] = at[place] + amount * direction
            return values.function(at[: len(inputs)], at[len(inputs) :])

        said = (gradient * direction).sum()
        slopes = [((moved(h) - moved(-h)) * cotangent).sum() / (2 * h) for h in values.steps]
        error = min(abs(said - slope) for slope in slopes)
        message = f"for {name}: slope {said:.5g} instead of {slopes[0]:.5g}"
        assert error <= values.tolerance * (said + 1), message


def _values(case: LayerCase) -> Values:
    """Return the reference, or else the layer itself, in float64 if it computes in that."""
    reference = case.reference
    if reference is not None:
        return Values(lambda x, weights: reference(case.pack(x), weights), (1e-5,), 1e-4)
    if holds_float64():
        layer = case.built(dtype="float64")
        outputs = layer(case.inputs("float64"))
        if keras.backend.standardize_dtype(outputs.dtype) == "float64":
            # The larger step is for what is computed in float32 after all.
            return Values(_of_layer(case, layer, "float64"), (1e-5, 1e-3), 1e-3)
    return Values(_of_layer(case, case.built(), "float32"), (1e-2, 1e-3), 1e-2)


def _of_layer(case: LayerCase, layer: Any, dtype: str) -> Function:
    def function(inputs: list[Array], weights: list[Array]) -> Array:
        layer.set_weights(weights)
        return as_numpy(layer(case.pack([x.astype(dtype) for x in inputs]))).astype("float64")

    return function

"""Models with random weights, and what every folded model must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import convsmith as cs
from convsmith.models.folding import FoldReport
from engine_runs import as_numpy


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(model: Any) -> Any:
    """Give a model random weights, and statistics that are neither 0 nor 1."""
    for seed, variable in enumerate(model.weights):
        if not variable.dtype.startswith(("float", "bfloat")):
            continue
        value = data(*variable.shape, seed=seed) / 2
        variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    return model


def chain(shape: tuple[int | None, ...], *layers: Any, **options: Any) -> Any:
    return randomized(keras.Sequential([keras.Input(shape, **options), *layers]))


def all_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def of_convsmith(model: Any) -> list[str]:
    return [
        type(layer).__name__
        for layer in all_layers(model)
        if type(layer).__module__.startswith("convsmith")
    ]


def names_of(model: Any) -> list[str]:
    """The classes of a model's layers, `Model` for nested ones."""
    kinds = (keras.Model, *model.layers)
    return [
        "Model" if isinstance(one, keras.Model) else type(one).__name__
        for one in kinds[1:]
        if not isinstance(one, keras.layers.InputLayer)
    ]


def folded(model: Any, inputs: Any = None, *, tolerance: float = 1e-5) -> tuple[Any, FoldReport]:
    """Fold a model and compare it on inputs of the test's own."""
    result, report = cs.models.fold(model, return_report=True, tolerance=tolerance)
    if inputs is None:
        inputs = [
            # As many as `fold` takes: JAX compiles for each size.
            data(4, *(n or 32 for n in tensor.shape[1:]), seed=7 + i)
            for i, tensor in enumerate(model.inputs)
        ]
        inputs = inputs if len(inputs) > 1 else inputs[0]
    found = keras.tree.flatten(result(inputs))
    for one, other in zip(found, keras.tree.flatten(model(inputs)), strict=True):
        expected = as_numpy(other)
        scale = max(float(np.abs(expected).max()), 1e-6)
        np.testing.assert_allclose(as_numpy(one), expected, atol=tolerance * scale)
    return result, report

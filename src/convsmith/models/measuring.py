"""Two models side by side: their multiply-adds, and how far their outputs are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from convsmith.models.counting import macs
from convsmith.models.graph import calls, check_graph, input_tensors

Macs = Mapping[int, int | None]
"""Multiply-adds by the identities of layers; None stands for a number that isn't known."""

UNKNOWN_SIZE = 64
"""What stands for a size that a model leaves open."""

BATCH = 2
"""What stands for a batch of any size."""

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops
tree: Any = keras.tree


def inputs_of(model: Any, given: Any, seed: int) -> tuple[Any, list[tuple[int, ...]]]:
    """Return inputs for a model, random ones if none are given, and the shapes of one sample."""
    check_graph(model)
    if given is None:
        rng = np.random.default_rng(seed)
        given = tree.map_structure(lambda tensor: _drawn(tensor, rng), input_tensors(model))
    shapes = [(1, *np.shape(array)[1:]) for array in tree.flatten(given)]
    return given, shapes


def _drawn(tensor: Any, rng: np.random.Generator) -> Any:
    batch, *sizes = tensor.shape
    shape = (batch or BATCH, *(size or UNKNOWN_SIZE for size in sizes))
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return rng.integers(0, 2, shape).astype(dtype)
    return ops.cast(rng.normal(size=shape).astype("float32"), dtype)


def macs_by_layer(model: Any, shapes: Sequence[tuple[int, ...]]) -> Macs:
    """Return the multiply-adds of every layer that is called, for inputs of these shapes."""
    found: dict[int, int | None] = {}
    try:
        inputs = [
            keras.KerasTensor(shape, dtype=tensor.dtype)
            for tensor, shape in zip(model.inputs, shapes, strict=True)
        ]
        _walk(model, inputs, 1, found)
    except Exception:  # sizes that don't fit the model; `difference` says why
        return {0: None}
    return found


def total(numbers: Macs) -> int | None:
    """Return the sum, None where a number isn't known."""
    known = [n for n in numbers.values() if n is not None]
    return sum(known) if len(known) == len(numbers) else None


def difference(old: Any, new: Any, inputs: Any) -> tuple[float | None, float | None, str]:
    """Return the largest difference of outputs, the largest output, and what went wrong."""
    try:
        pairs = zip(_outputs(old, inputs), _outputs(new, inputs), strict=True)
        apart = [(float(np.max(np.abs(b - a))), float(np.max(np.abs(a)))) for a, b in pairs]
    except Exception as error:  # whatever a model does with inputs that it isn't made for
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return None, None, f"the models couldn't be compared on these inputs: {reason}"
    return max(a for a, _ in apart), max(b for _, b in apart), ""


def _outputs(model: Any, inputs: Any) -> list[Any]:
    made = tree.flatten(model(inputs, training=False))
    return [np.asarray(ops.convert_to_numpy(ops.cast(y, "float32")), np.float64) for y in made]


def _walk(model: Any, inputs: Sequence[Any], times: int, found: dict[int, int | None]) -> None:
    """Count the calls of a model for symbolic inputs, as often as the model itself is called."""
    tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}

    def new_of(value: Any) -> Any:
        return tensors[id(value)] if isinstance(value, keras.KerasTensor) else value

    for call in calls(model):
        args, kwargs = tree.map_structure(new_of, (call.args, dict(call.kwargs)))
        made = tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
        tensors.update((id(old), new) for old, new in zip(call.outputs, made, strict=True))
        if isinstance(call.operation, keras.layers.Layer):
            read = [new_of(tensor) for tensor in call.inputs]
            _count(call.operation, read, made, times, found)


def _count(
    layer: Any, read: Sequence[Any], made: Sequence[Any], times: int, found: dict[int, int | None]
) -> None:
    if isinstance(layer, keras.Model):
        _walk(layer, read, times, found)
        return
    if isinstance(layer, keras.layers.TimeDistributed):
        inner = keras.KerasTensor((1, *read[0].shape[2:]), dtype=read[0].dtype)
        result = [keras.KerasTensor((1, *y.shape[2:]), dtype=y.dtype) for y in made]
        _count(layer.layer, [inner], result, times * read[0].shape[1], found)
        return
    shapes = [tuple(t.shape) for t in read]
    results = [tuple(t.shape) for t in made]
    once = macs(
        layer,
        shapes[0] if len(shapes) == 1 else shapes,
        results[0] if len(results) == 1 else results,
    )
    before = found.get(id(layer), 0)
    found[id(layer)] = None if once is None or before is None else before + times * once

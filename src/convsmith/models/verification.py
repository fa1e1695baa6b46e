"""Two models on the same random inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]

SIZES = (32, 64, 128, 256, 16, 8)
"""What is tried, in turn, for sizes that a model leaves open."""


def has_open_sizes(model: Any) -> bool:
    """Whether a model takes inputs of several sizes, the batch aside."""
    return any(None in tensor.shape[1:] for tensor in model.inputs)


def random_inputs(model: Any, *, samples: int, size: int, seed: int) -> Any:
    """Return random inputs in the structure that a model takes, `size` for open sizes."""
    generator = np.random.default_rng(seed)

    def drawn(tensor: Any) -> Array:
        batch, *rest = tensor.shape
        shape = (batch or samples, *(n or size for n in rest))
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype == "bool" or "int" in dtype:
            # Whole numbers may be indices: 0 and 1 exist in any table; bytes are images.
            return generator.integers(0, 256 if dtype == "uint8" else 2, shape).astype(dtype)
        return generator.normal(size=shape).astype("float64" if dtype == "float64" else "float32")

    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(drawn, structure)


def outputs(model: Any, inputs: Any) -> list[Array]:
    """Return a model's outputs at inference, in float64."""
    found = keras.tree.flatten(model(inputs, training=False))
    arrays = [
        ops.convert_to_numpy(ops.cast(one, "float32") if "bfloat" in str(one.dtype) else one)
        for one in found
    ]
    return [np.asarray(one, np.float64) for one in arrays]


def difference(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the largest difference, relative to the largest number of each output.

    Infinite where one has numbers and the other hasn't, or where shapes differ.
    """
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        finite = np.isfinite(other)
        if one.shape != other.shape or not np.array_equal(
            one[~finite], other[~finite], equal_nan=True
        ):
            return float("inf")
        one, other = one[finite], other[finite]
        if not np.isfinite(one).all():
            return float("inf")
        scale = float(np.abs(other).max(initial=0.0))
        gap = float(np.abs(one - other).max(initial=0.0))
        worst = max(worst, gap / scale if scale else gap)
    return worst

"""A plain layer of each kind and rank, for tests that all of them must pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from convsmith import layers
from convsmith.testing.contract import Array

CHANNELS = 4
SIZES = {1: (6,), 2: (6, 5), 3: (4, 5, 3), 4: (3, 4, 3, 3)}
DENSE = {"filters": CHANNELS, "kernel_size": 3}
OF_EVERY_RANK: dict[str, dict[str, Any]] = {
    "Conv{}D": DENSE,
    "StandardizedConv{}D": DENSE,
    "DepthwiseConv{}D": {"kernel_size": 3},
    "SeparableConv{}D": DENSE,
    "Conv{}DTranspose": DENSE,
    "LocallyConnected{}D": DENSE,
    "FixedConv{}D": {"kernel": "box"},
    "DynamicConv{}D": {},
}
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    **{
        name.format(rank): (rank, arguments)
        for rank in (1, 2, 3)
        for name, arguments in OF_EVERY_RANK.items()
    },
    "MaskedConv2D": (2, DENSE),
    "CentralDifferenceConv2D": (2, DENSE),
    "ConvND": (4, {"rank": 4, **DENSE}),
}
"""By class: the spatial rank, and arguments for windows of 3 and `CHANNELS` filters."""

PLANES = [name for name, (rank, _) in KINDS.items() if rank == 2]
WRITING = [name for name in KINDS if name.endswith("Transpose")]
"""Layers whose windows are in the output: `padding` is what they crop."""


def of(*parts: str) -> list[str]:
    """Return the kinds, of any rank, whose name has one of these parts."""
    return [name for name in KINDS if any(part in name for part in parts)]


def but(names: Any, *parts: str) -> list[str]:
    """Return those of the kinds whose name has none of these parts."""
    return [name for name in names if not any(part in name for part in parts)]


def made(name: str, **changes: Any) -> Any:
    """Return a new layer of a kind."""
    return getattr(layers, name)(**{**KINDS[name][1], **changes})


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return random numbers, the same each time."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def given(name: str, x: Any, kernel: Any = None) -> Any:
    """Return what a layer of this kind is called with: x, and a kernel if that's an input."""
    if "Dynamic" not in name:
        return x
    rank = KINDS[name][0]
    return [x, random((*(3,) * rank, CHANNELS, CHANNELS), 9) if kernel is None else kernel]


def shaped(name: str, shape: Any) -> Any:
    """Return the input shape in the form that `build` and `compute_output_shape` take."""
    rank = KINDS[name][0]
    return [shape, (*(3,) * rank, CHANNELS, CHANNELS)] if "Dynamic" in name else shape


def built(name: str, shape: tuple[int, ...], **changes: Any) -> Any:
    """Return a new layer of a kind with random weights, biases included."""
    layer = made(name, **changes)
    layer.build(shaped(name, shape))
    for seed, weight in enumerate(layer.trainable_weights):
        weight.assign(random(tuple(weight.shape), seed))
    return layer

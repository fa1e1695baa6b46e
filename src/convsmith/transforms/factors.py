"""Kernels of low rank: made of small factors, which are what is trained."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith import geometry
from convsmith.transforms.trained import KernelSource, Shape

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]
SWEEPS = 12
"""Of alternating least squares: the first kernel is random, so that near is good enough."""


@keras.saving.register_keras_serializable(package="convsmith")
class CP(KernelSource):
    """A kernel that is a sum of a few outer products.

    Equation: ``k[t1, ..., tn, i, o] = sum over r of a1[t1, r] * ... * an[tn, r] * b[i, r] * c[o,
    r]``, r up to `rank`. The factors start near those of a kernel that the layer's initialiser
    makes, and equal to it where the rank allows every kernel: the product of all sizes but the
    largest.

    Args:
        rank: how many products.

    Raises:
        ArgumentError: the rank isn't a positive int.

    Example:
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(16, 3, kernel_transform=CP(4))
        >>> _ = layer(keras.ops.ones((1, 8, 8, 8)))
        >>> [tuple(w.shape) for w in layer.trainable_weights]
        [(16,), (3, 4), (3, 4), (8, 4), (16, 4)]

    Source: Lebedev, Ganin, Rakhuba, Oseledets & Lempitsky, "Speeding-up Convolutional Neural
    Networks Using Fine-tuned CP-Decomposition", 2015.
    """

    def __init__(self, rank: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = geometry.integer(rank, "rank", minimum=1)

    def build(self, kernel_shape: Shape) -> None:
        """Make a factor for each axis."""
        initial = self.initial_kernel
        rank = self.rank

        @cache
        def found() -> list[Array]:
            return cp_factors(np.asarray(ops.convert_to_numpy(initial())), rank)

        def start(axis: int) -> Any:
            return lambda shape, dtype=None: ops.convert_to_tensor(found()[axis], dtype)

        self.factors = [
            self.add_weight(
                name=f"factor_{axis}",
                shape=(size, rank),
                initializer=start(axis),
                dtype=self.variable_dtype,
            )
            for axis, size in enumerate(kernel_shape)
        ]

    def make(self) -> Any:
        """Return the sum of products."""
        axes = string.ascii_lowercase[: len(self.factors)]
        return ops.einsum(",".join(f"{a}z" for a in axes) + "->" + axes, *self.factors)

    def get_config(self) -> dict[str, Any]:
        """Return the rank."""
        return {**super().get_config(), "rank": self.rank}


@keras.saving.register_keras_serializable(package="convsmith")
class Tucker(KernelSource):
    """A kernel that is a small core between two projections of the channels.

    Equation: ``k[..., i, o] = sum over p, q of b[i, p] * core[..., p, q] * c[o, q]``, p and q up to
    `ranks`. The factors start as the truncated higher-order singular value decomposition of a
    kernel that the layer's initialiser makes, which is that kernel where the ranks are full.

    Args:
        ranks: for the input channels and for the filters; one int for both. More than there are
            channels counts as all of them.

    Raises:
        ArgumentError: other than one or two positive ints.

    Example:
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(16, 3, kernel_transform=Tucker((4, 6)))
        >>> _ = layer(keras.ops.ones((1, 8, 8, 8)))
        >>> [tuple(w.shape) for w in layer.trainable_weights]
        [(16,), (3, 3, 4, 6), (8, 4), (16, 6)]

    Source: Kim, Park, Yoo, Choi, Yang & Shin, "Compression of Deep Convolutional Neural Networks
    for Fast and Low Power Mobile Applications", 2016, section 3.1 (Tucker-2).
    """

    def __init__(self, ranks: int | Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ranks = geometry.normalize_tuple(ranks, 2, "ranks")

    def build(self, kernel_shape: Shape) -> None:
        """Make the core and the projections."""
        *taps, depth, filters = kernel_shape
        p, q = min(self.ranks[0], depth), min(self.ranks[1], filters)
        initial = self.initial_kernel

        @cache
        def found() -> dict[str, Array]:
            return tucker_factors(np.asarray(ops.convert_to_numpy(initial())), p, q)

        def start(name: str) -> Any:
            return lambda shape, dtype=None: ops.convert_to_tensor(found()[name], dtype)

        shapes = {"core": (*taps, p, q), "inward": (depth, p), "outward": (filters, q)}
        self.core, self.inward, self.outward = (
            self.add_weight(
                name=name, shape=shape, initializer=start(name), dtype=self.variable_dtype
            )
            for name, shape in shapes.items()
        )

    def make(self) -> Any:
        """Return the core between its projections."""
        return ops.einsum("...pq,ip,oq->...io", self.core, self.inward, self.outward)

    def get_config(self) -> dict[str, Any]:
        """Return the ranks."""
        return {**super().get_config(), "ranks": self.ranks}


def cp_factors(kernel: Array, rank: int) -> list[Array]:
    """Return factors ``[size, rank]`` of each axis whose products add up to nearly the kernel.

    They add up to the kernel where `rank` is the product of all sizes but the largest, or more.
    Their lengths are alike.
    """
    kernel = kernel.astype("float64")
    shape = kernel.shape
    if not kernel.any():
        # Zeros in one factor only: from zeros in two, no gradient leads away.
        random = np.random.default_rng(0)
        first = [random.normal(size=(n, rank)) / rank**0.5 for n in shape[:-1]]
        return [*first, np.zeros((shape[-1], rank))]
    largest = max(range(kernel.ndim), key=lambda axis: shape[axis])
    others = [n for axis, n in enumerate(shape) if axis != largest]
    if rank >= prod(others):
        factors = _exact_factors(kernel, rank, largest, others)
    else:
        factors = _alternating_factors(kernel, rank)
    lengths = [np.linalg.norm(f, axis=0) for f in factors]
    mean = np.exp(np.mean([np.log(np.maximum(n, 1e-30)) for n in lengths], axis=0))
    return [f * (mean / np.maximum(n, 1e-30)) for f, n in zip(factors, lengths, strict=True)]


def _exact_factors(kernel: Array, rank: int, largest: int, others: list[int]) -> list[Array]:
    """Each product holds one line of the kernel along its largest axis."""
    lines = np.moveaxis(kernel, largest, -1).reshape(-1, kernel.shape[largest])
    places = np.stack(np.unravel_index(np.arange(len(lines)), others))
    factors: list[Array] = []
    for size, own in zip(others, places, strict=True):
        factor = np.zeros((size, rank))
        factor[own, np.arange(len(lines))] = 1.0
        factors.append(factor)
    last = np.zeros((kernel.shape[largest], rank))
    last[:, : len(lines)] = lines.T
    factors.insert(largest, last)
    return factors


def _alternating_factors(kernel: Array, rank: int) -> list[Array]:
    """Return what alternating least squares finds from a random start."""
    random = np.random.default_rng(0)
    factors = [random.normal(size=(n, rank)) for n in kernel.shape]
    axes = string.ascii_lowercase[: kernel.ndim]
    for _ in range(SWEEPS):
        for axis, letter in enumerate(axes):
            rest = [(a, f) for i, (a, f) in enumerate(zip(axes, factors, strict=True)) if i != axis]
            text = ",".join([axes, *(f"{a}z" for a, _ in rest)]) + f"->{letter}z"
            target = np.einsum(text, kernel, *(f for _, f in rest), optimize=True)
            gram = prod((f.T @ f for _, f in rest), start=np.ones((rank, rank)))
            # A little is added to the diagonal: products that are alike would share nothing.
            gram += 1e-9 * np.trace(gram) / rank * np.eye(rank)
            factors[axis] = np.linalg.solve(gram, target.T).T
    return factors


def tucker_factors(kernel: Array, p: int, q: int) -> dict[str, Array]:
    """Return the core and the projections of the truncated decomposition."""
    kernel = kernel.astype("float64")

    def leading(axis: int, count: int) -> Array:
        unfolded = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
        _, vectors = np.linalg.eigh(unfolded @ unfolded.T)
        return vectors[:, ::-1][:, :count]

    inward, outward = leading(-2, p), leading(-1, q)
    core = np.einsum("...io,ip,oq->...pq", kernel, inward, outward)
    return {"core": core, "inward": inward, "outward": outward}

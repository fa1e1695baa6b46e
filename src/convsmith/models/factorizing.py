"""Kernels of convolutions as products of smaller ones: Tucker and CP decompositions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SWEEPS = {"tucker": 10, "cp": 500}
"""How often all factors are improved, at most."""

STARTS = 2
"""How many starting points a CP decomposition is begun from."""


def tucker_ranks(shape: tuple[int, ...], ranks: tuple[int, int]) -> tuple[int, int]:
    """Return the ranks that the channel modes of a kernel ``(*taps, in, out)`` can have at most.

    Example:
        >>> tucker_ranks((3, 64, 4), (20, 8))
        (12, 4)
    """
    taps, first, last = prod(shape[:-2]), min(ranks[0], shape[-2]), min(ranks[1], shape[-1])
    first = min(first, taps * last)
    return first, min(last, taps * first)


def tucker(kernel: Array, ranks: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return the factors of a kernel ``(*taps, in, out)`` in its two channel modes.

    Equation: ``kernel[..., i, o] ~ sum over p, q of first[i, p] * core[..., p, q] * last[q, o]``,
    begun with the leading singular vectors of the two modes (HOSVD) and improved by alternating
    between them (HOOI). Exact where the modes have no higher rank. Ranks that are larger than the
    modes can have are cut.

    Returns:
        first ``(in, p)``, core ``(*taps, p, q)`` and last ``(q, out)``, float64.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> kernel = rng.normal(size=(3, 3, 8, 6))
        >>> first, core, last = tucker(kernel, (8, 6))
        >>> bool(np.allclose(np.einsum("ip,hwpq,qo->hwio", first, core, last), kernel))
        True

    Source: Kim et al., "Compression of Deep Convolutional Neural Networks for Fast and Low Power
    Mobile Applications", 2015, arXiv:1511.06530; De Lathauwer et al., "On the best rank-1 and
    rank-(R1, R2, ..., Rn) approximation of higher-order tensors", 2000.
    """
    wide = np.asarray(kernel, np.float64)
    ranks = tucker_ranks(wide.shape, ranks)
    first = _leading(wide, -2, ranks[0])
    last = _leading(wide, -1, ranks[1])
    before = 0.0
    for _ in range(SWEEPS["tucker"]):
        first = _leading(wide @ last, -2, ranks[0])
        last = _leading(np.einsum("...io,ip->...po", wide, first), -1, ranks[1])
        core = np.einsum("...io,ip,oq->...pq", wide, first, last, optimize=True)
        kept = float(np.linalg.norm(core))
        if kept - before <= 1e-9 * kept:
            break
        before = kept
    core = np.einsum("...io,ip,oq->...pq", wide, first, last, optimize=True)
    return first, core, last.T


def cp(kernel: Array, rank: int, *, seed: int = 0) -> tuple[Array, ...]:
    """Return lines whose products add up to a kernel, one matrix of them for each of its axes.

    Equation: ``kernel[h, w, i, o] ~ sum over r of f0[h, r] * f1[w, r] * f2[i, r] * f3[o, r]``, by
    alternating least squares from singular vectors and from random numbers, whichever ends nearer.

    Returns:
        A matrix ``(size, rank)`` for each axis, float64, the columns of all of the same length.

    Example:
        >>> lines = [np.ones((3, 1)), np.ones((3, 1)), np.ones((4, 1)), np.ones((5, 1))]
        >>> kernel = np.ones((3, 3, 4, 5))
        >>> bool(np.allclose(joined(cp(kernel, 1)), kernel))
        True

    Source: Lebedev et al., "Speeding-up Convolutional Neural Networks Using Fine-tuned
    CP-Decomposition", 2015, arXiv:1412.6553; Kolda & Bader, "Tensor Decompositions and
    Applications", 2009, section 3.4.
    """
    wide = np.asarray(kernel, np.float64)
    norm = float(np.linalg.norm(wide))
    if norm == 0:
        return tuple(np.zeros((size, rank)) for size in wide.shape)
    rng = np.random.default_rng(seed)
    best: tuple[float, list[Array]] | None = None
    for start in range(STARTS):
        factors = [
            _started(wide, axis, rank, rng, singular=start == 0) for axis in range(wide.ndim)
        ]
        found = _alternated(wide / norm, factors)
        if best is None or found[0] < best[0]:
            best = found
        if best[0] < 1e-7:
            break
    assert best is not None
    lines = best[1]
    lengths = [np.linalg.norm(line, axis=0) for line in lines]
    each = (norm * np.prod(lengths, axis=0)) ** (1 / wide.ndim)
    return tuple(
        line * (each / np.where(length > 0, length, 1.0))
        for line, length in zip(lines, lengths, strict=True)
    )


def joined(lines: tuple[Array, ...] | list[Array]) -> Array:
    """Return the array that the lines of a CP decomposition add up to.

    Example:
        >>> joined((np.ones((2, 3)), np.ones((4, 3))))[0, 0].item()
        3.0
    """
    sizes = [line.shape[0] for line in lines]
    rows = lines[0]
    for line in lines[1:]:
        rows = _khatri_rao(rows, line)
    return rows.sum(axis=1).reshape(sizes)


def _alternated(target: Array, factors: list[Array]) -> tuple[float, list[Array]]:
    """Return the relative error and the factors after alternating least squares."""
    axes = range(target.ndim)
    unfolded = [np.moveaxis(target, axis, 0).reshape(target.shape[axis], -1) for axis in axes]
    gram = products = np.zeros(0)
    before = error = np.inf
    for _ in range(SWEEPS["cp"]):
        for axis in axes:
            others = [factors[a] for a in axes if a != axis]
            rows = others[0]
            for line in others[1:]:
                rows = _khatri_rao(rows, line)
            gram = np.prod([line.T @ line for line in others], axis=0)
            products = unfolded[axis] @ rows
            # The pseudo-inverse, as columns that become alike leave the system without rank.
            factors[axis] = products @ np.linalg.pinv(gram, rcond=1e-12, hermitian=True)
            if axis != axes[-1]:
                lengths = np.linalg.norm(factors[axis], axis=0)
                factors[axis] = factors[axis] / np.where(lengths > 0, lengths, 1.0)
        # The last factor's own system gives the error without building the whole array.
        fitted = float(np.sum((factors[-1].T @ factors[-1]) * gram))
        error = max(1.0 - 2.0 * float(np.sum(products * factors[-1])) + fitted, 0.0) ** 0.5
        if before - error <= 1e-4 * error:
            break
        before = error
    return error, factors


def _khatri_rao(left: Array, right: Array) -> Array:
    """Return the products of all pairs of rows, column by column."""
    return (left[:, None] * right[None]).reshape(-1, left.shape[1])


def _leading(array: Array, axis: int, rank: int) -> Array:
    """Return the leading left singular vectors of an array unfolded along an axis."""
    matrix = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return np.linalg.svd(matrix, full_matrices=False)[0][:, :rank]


def _started(
    array: Array, axis: int, rank: int, rng: np.random.Generator, *, singular: bool
) -> Array:
    found = rng.normal(size=(array.shape[axis], rank))
    if singular:
        vectors = _leading(array, axis, rank)
        found[:, : vectors.shape[1]] = vectors
    return found

"""Decompositions of kernels: exact where they can be, and never far from the best."""

from __future__ import annotations

import numpy as np
import pytest

from convsmith.models.factorizing import cp, joined, tucker

pytestmark = pytest.mark.backend_free


def kernel(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tucker_of(array: np.ndarray, ranks: tuple[int, int]) -> np.ndarray:
    first, core, last = tucker(array, ranks)
    assert first.shape == (array.shape[-2], ranks[0])
    assert core.shape == (*array.shape[:-2], *ranks)
    assert last.shape == (ranks[1], array.shape[-1])
    return np.einsum("ip,...pq,qo->...io", first, core, last)


@pytest.mark.parametrize("taps", [(3,), (3, 3), (2, 3, 3)])
def test_full_ranks_lose_nothing(taps: tuple[int, ...]) -> None:
    array = kernel(*taps, 5, 4)
    np.testing.assert_allclose(tucker_of(array, (5, 4)), array, atol=1e-12)


def test_ranks_beyond_what_a_mode_can_have_are_cut() -> None:
    array = kernel(3, 64, 4)
    first, core, last = tucker(array, (20, 8))
    assert (first.shape, core.shape, last.shape) == ((64, 12), (3, 12, 4), (4, 4))
    np.testing.assert_allclose(np.einsum("ip,hpq,qo->hio", first, core, last), array, atol=1e-12)


def test_tucker_of_one_mode_is_the_truncated_svd() -> None:
    """Eckart and Young: with all of the other mode, nothing is nearer."""
    array = kernel(3, 3, 8, 6)
    values = np.linalg.svd(np.moveaxis(array, 2, 0).reshape(8, -1), compute_uv=False)
    error = np.linalg.norm(tucker_of(array, (3, 6)) - array)
    np.testing.assert_allclose(error, np.sqrt(np.sum(values[3:] ** 2)), rtol=1e-10)


def test_tucker_is_at_least_as_near_as_singular_vectors() -> None:
    array = kernel(3, 3, 10, 12)
    sides = []
    for axis, rank in ((2, 4), (3, 5)):
        unfolded = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        sides.append(np.linalg.svd(unfolded, full_matrices=False)[0][:, :rank])
    plain = np.einsum("hwio,ip,oq,jp,nq->hwjn", array, sides[0], sides[1], sides[0], sides[1])
    found = np.linalg.norm(tucker_of(array, (4, 5)) - array)
    assert found < np.linalg.norm(plain - array)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 3, 6, 7), (2, 3, 3, 4, 5)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_cp_finds_the_lines_of_a_kernel_that_has_them(shape: tuple[int, ...], scale: float) -> None:
    array = scale * joined([kernel(n, 2, seed=n + i) for i, n in enumerate(shape)])
    lines = cp(array, 2)
    assert [line.shape for line in lines] == [(n, 2) for n in shape]
    assert np.linalg.norm(joined(lines) - array) <= 1e-4 * np.linalg.norm(array)
    # No factor is much larger than another, so that training moves all alike.
    lengths = np.array([np.linalg.norm(line, axis=0) for line in lines])
    np.testing.assert_allclose(lengths, lengths[:1].repeat(len(lines), 0), rtol=1e-6)


def test_cp_gets_nearer_with_the_rank_and_is_the_same_again() -> None:
    array = kernel(3, 3, 6, 6)
    errors = [np.linalg.norm(joined(cp(array, rank)) - array) for rank in (1, 4, 12)]
    assert errors[0] > errors[1] > errors[2]
    np.testing.assert_array_equal(cp(array, 4)[0], cp(array, 4)[0])


def test_cp_of_two_axes_is_the_truncated_svd() -> None:
    array = kernel(6, 5)
    values = np.linalg.svd(array, compute_uv=False)
    np.testing.assert_allclose(
        np.linalg.norm(joined(cp(array, 2)) - array), np.sqrt(np.sum(values[2:] ** 2)), rtol=1e-4
    )


def test_nothing_is_made_of_nothing() -> None:
    assert not np.any(joined(cp(np.zeros((3, 3, 2, 2)), 2)))
    assert not np.any(tucker_of(np.zeros((3, 3, 2, 2)), (1, 1)))

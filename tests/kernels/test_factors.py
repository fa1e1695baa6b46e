"""Separation: the terms add up, there are as few as possible, and what is lost is bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels, reference
from convsmith.errors import ArgumentError, KernelError

pytestmark = pytest.mark.backend_free


def product(factors: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the kernel that factors stand for, term by term."""
    total: Any = 0
    for term in zip(*(f.T for f in factors), strict=True):
        outer = np.array(1.0)
        for line in term:
            outer = np.multiply.outer(outer, line)
        total = total + outer
    return total


def gaussian(size: int, sigma: float, ndim: int) -> np.ndarray:
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return product((line[:, None],) * ndim)


@pytest.mark.parametrize(
    "kernel",
    [
        kernels.sobel("x"),
        kernels.sobel("y", ndim=3),
        kernels.box(5),
        kernels.identity(),
        gaussian(15, 2.5, 2),
        gaussian(9, 1.5, 3),
        np.ones((2, 3, 4, 5)),
    ],
)
def test_outer_products_have_one_term(kernel: np.ndarray) -> None:
    for dtype in ("float32", "float64"):
        factors = kernels.separate(kernel.astype(dtype))
        assert [f.shape for f in factors] == [(n, 1) for n in kernel.shape]
        assert {f.dtype.name for f in factors} == {dtype}
        np.testing.assert_allclose(
            product(factors), kernel, rtol=0, atol=8 * np.finfo(dtype).eps * np.abs(kernel).max()
        )


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    tolerance=st.sampled_from([None, 0.0, 1e-9, 1e-2, 0.3, 2.0]),
    exponent=st.sampled_from([-150, 0, 150]),
    imaginary=st.booleans(),
)
def test_what_is_lost_is_within_the_tolerance(
    shape: list[int], seed: int, tolerance: float | None, exponent: int, imaginary: bool
) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)
    scaled = kernel * 10.0**exponent
    factors = kernels.separate(scaled, tolerance=tolerance)
    assert len(factors) == len(shape)
    lost = np.linalg.norm(product(factors) / 10.0**exponent - kernel)
    share = 1e-14 + (4 * np.finfo("float64").eps if tolerance is None else tolerance)
    assert lost <= share * np.linalg.norm(kernel)


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_matrices_get_as_few_terms_as_their_rank(terms: int) -> None:
    rng = np.random.default_rng(terms)
    kernel = rng.normal(size=(9, terms)) @ rng.normal(size=(terms, 7))
    assert {f.shape[1] for f in kernels.separate(kernel)} == {terms}
    noisy = kernel + 1e-9 * rng.normal(size=kernel.shape)
    assert {f.shape[1] for f in kernels.separate(noisy, tolerance=1e-7)} == {terms}
    assert {f.shape[1] for f in kernels.separate(noisy)} == {7}


def test_the_laplacian_has_two_terms_and_a_sum_in_three_dimensions_few() -> None:
    assert {f.shape[1] for f in kernels.separate(kernels.laplacian())} == {2}
    volume = gaussian(9, 1.0, 3) - 0.5 * gaussian(9, 2.0, 3)
    factors = kernels.separate(volume, tolerance=1e-12)
    assert {f.shape[1] for f in factors} <= {2, 3, 4}  # Two are possible.
    np.testing.assert_allclose(product(factors), volume, atol=1e-11)


def test_whole_numbers_stay_exact_and_zeros_stay_zero() -> None:
    column, row = kernels.separate([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    np.testing.assert_allclose(column @ row.T, [[1, 2, 1], [2, 4, 2], [1, 2, 1]], rtol=4e-16)
    zeros = kernels.separate(np.zeros((3, 4)))
    assert [f.tolist() for f in zeros] == [[[0.0]] * 3, [[0.0]] * 4]


def test_factors_convolve_like_the_kernel() -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(1, 20, 18, 2)), gaussian(7, 1.2, 2) - 0.2
    factors = kernels.separate(kernel)
    direct = reference.conv("b (h+kh) (w+kw) c, kh kw -> b h w c", image, kernel)
    split = reference.conv("b (h+kh) (w+kw) c, kh r, kw r -> b h w c", image, *factors)
    np.testing.assert_allclose(split, direct, atol=1e-12)


def test_the_stated_error_of_outputs_holds() -> None:
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(11, 9))
    for tolerance in (0.5, 0.1, 1e-3):
        factors = kernels.separate(kernel, tolerance=tolerance)
        x = np.sign(product(factors) - kernel)  # The worst input.
        off = abs(((product(factors) - kernel) * x).sum())
        assert off <= tolerance * np.sqrt(kernel.size) * np.linalg.norm(kernel)


@pytest.mark.parametrize(
    ("kernel", "tolerance", "error", "words"),
    [
        (np.float64(3), None, KernelError, r"has shape \(\)"),
        (np.ones((0, 3)), None, KernelError, r"has shape \(0, 3\)"),
        ([[1.0, np.nan]], None, KernelError, "infinite or NaN"),
        ([[1, 2], [3]], None, KernelError, "rows of different lengths"),
        (np.ones((2, 2)), -1, ArgumentError, "is no share of a norm"),
        (np.ones((2, 2)), "low", ArgumentError, "is no share of a norm"),
        (np.ones((2, 2)), float("nan"), ArgumentError, "is no share of a norm"),
    ],
)
def test_refusals(kernel: Any, tolerance: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        kernels.separate(kernel, tolerance=tolerance)
    assert "Try: " in str(caught.value)

"""The identity, means and binomial weights, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["box", "identity", "binomial"])
def test_gain_one_kernels_sum_to_one(name: str, ndim: int) -> None:
    kernel = kernels.get(name, ndim=ndim, size=5)
    assert kernel.shape == (5,) * ndim
    assert kernel.dtype == np.float64
    np.testing.assert_allclose(kernel.sum(), 1.0)


def test_identity_has_its_one_at_the_centre_of_an_oblong_kernel() -> None:
    assert np.argwhere(kernels.identity((3, 5))).tolist() == [[1, 2]]


def test_box_has_equal_entries() -> None:
    assert kernels.box((2, 3)).tolist() == [[1 / 6] * 3] * 2


@given(st.integers(1, 12))
def test_binomial_weights_are_sums_of_two_taps_applied_again_and_again(size: int) -> None:
    line = np.ones(1)
    for _ in range(size - 1):
        line = np.convolve(line, [0.5, 0.5])
    np.testing.assert_allclose(kernels.binomial(size, ndim=1), line, rtol=1e-14)
    np.testing.assert_allclose(kernels.binomial((size, 3)), np.outer(line, [0.25, 0.5, 0.25]))


def test_large_binomial_weights_neither_overflow_nor_vanish() -> None:
    line = kernels.binomial(2001, ndim=1)
    np.testing.assert_allclose(line.sum(), 1.0)
    places = np.arange(2001) - 1000
    np.testing.assert_allclose((line * places**2).sum(), 2000 / 4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.identity(4), r"identity\(size=4\): is even.* Try: size=5"),
        (lambda: kernels.identity(ndim=9), r"ndim=9: is not a number of axes"),
        (lambda: kernels.identity(ndim=True), r"ndim=True: .* expected 1, 2 or 3"),
        (lambda: kernels.identity(ndim=2.0), r"ndim=2.0: "),  # type: ignore[arg-type]
        (lambda: kernels.box(0), r"box\(size=0\): is not a kernel size"),
        (lambda: kernels.box((3, 3, 3)), r"expected a positive whole number, or 2 of them"),
        (lambda: kernels.box(True), r"box\(size=True\): is not a kernel size"),
        (lambda: kernels.box("33"), r"box\(size='33'\): is not a kernel size"),  # type: ignore[arg-type]
        (lambda: kernels.box(2.5), r"box\(size=2.5\): "),  # type: ignore[arg-type]
        (lambda: kernels.box(ndim=-1), r"ndim=-1: "),
        (lambda: kernels.box(10**6, ndim=3), r"box: a kernel of shape .* is too large"),
        (lambda: kernels.binomial(-3), r"binomial\(size=-3\): is not a kernel size"),
        (lambda: kernels.binomial(ndim=0), r"ndim=0: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words) as caught:
        call()
    assert "Try: " in str(caught.value)

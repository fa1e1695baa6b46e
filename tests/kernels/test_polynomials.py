"""Fits of polynomials against SciPy's, and by what they reproduce."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize(
    ("size", "degree"), [(3, 0), (3, 1), (3, 2), (5, 2), (6, 5), (8, 3), (21, 1), (21, 5)]
)
def test_one_dimension_is_scipys(size: int, degree: int) -> None:
    for order in range(degree + 1):
        ours = kernels.savitzky_golay(size, degree, order=order, ndim=1)
        theirs = scipy.signal.savgol_coeffs(
            size, degree, deriv=order, pos=(size - 1) / 2, use="dot"
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-11 * max(1, np.abs(theirs).max()))


def test_the_published_table() -> None:
    nine = kernels.savitzky_golay(9, 2, ndim=1) * 231
    np.testing.assert_allclose(nine, [-21, 14, 39, 54, 59, 54, 39, 14, -21], rtol=1e-12)


@given(
    seed=st.integers(0, 1000),
    ndim=st.integers(1, 3),
    degree=st.integers(0, 4),
    data=st.data(),
)
def test_polynomials_have_their_exact_derivative(
    seed: int, ndim: int, degree: int, data: Any
) -> None:
    size = tuple(data.draw(st.integers(degree + 1, 7)) for _ in range(ndim))
    orders = tuple(data.draw(st.integers(0, degree // ndim)) for _ in range(ndim))
    kernel = kernels.savitzky_golay(size, degree, order=orders, ndim=ndim)
    grids = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    rng = np.random.default_rng(seed)
    powers = [p for p in itertools.product(range(degree + 1), repeat=ndim) if sum(p) <= degree]
    coefficients = dict(zip(powers, rng.normal(size=len(powers)), strict=True))
    image = sum(
        c * np.prod([g**n for g, n in zip(grids, p, strict=True)], axis=0)
        for p, c in coefficients.items()
    )
    expected = coefficients[orders] * math.prod(map(math.factorial, orders))
    assert (kernel * image).sum() == pytest.approx(expected, abs=1e-9)


def test_two_dimensions_are_the_least_squares_fit() -> None:
    y, x = np.indices((5, 7)) - np.array([2, 3])[:, None, None]
    columns = [x**0, x, y, x**2, x * y, y**2]
    design = np.stack([c.ravel() for c in columns], axis=1)
    fit = np.linalg.pinv(design.astype(float))
    for row, order in ((0, (0, 0)), (1, (0, 1)), (2, (1, 0)), (4, (1, 1))):
        kernel = kernels.savitzky_golay((5, 7), 2, order=order)
        np.testing.assert_allclose(kernel.ravel(), fit[row], atol=1e-14)
    second = kernels.savitzky_golay((5, 7), 2, order=(2, 0))
    np.testing.assert_allclose(second.ravel(), 2 * fit[5], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.savitzky_golay(3, 3), r"has too few taps .* above 3. Try: size=5"),
        (lambda: kernels.savitzky_golay(0), r"savitzky_golay\(size=0\)"),
        (lambda: kernels.savitzky_golay(5, -1), r"degree=-1\): .* from 0 to 12"),
        (lambda: kernels.savitzky_golay(5, 2, order=2), r"total order 4, .* Try: degree=4"),
        (lambda: kernels.savitzky_golay(5, 2, order=0.5), r"order=0.5"),  # type: ignore[arg-type]
        (lambda: kernels.savitzky_golay(ndim=4), r"ndim=4: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

"""Finite differences against Fornberg's tables and by what they are exact on."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free

CENTRAL = {
    (1, 2): [F(-1, 2), 0, F(1, 2)],
    (1, 4): [F(1, 12), F(-2, 3), 0, F(2, 3), F(-1, 12)],
    (1, 6): [F(-1, 60), F(3, 20), F(-3, 4), 0, F(3, 4), F(-3, 20), F(1, 60)],
    (2, 2): [1, -2, 1],
    (2, 4): [F(-1, 12), F(4, 3), F(-5, 2), F(4, 3), F(-1, 12)],
    (3, 2): [F(-1, 2), 1, 0, -1, F(1, 2)],
    (4, 2): [1, -4, 6, -4, 1],
    (4, 4): [F(-1, 6), 2, F(-13, 2), F(28, 3), F(-13, 2), 2, F(-1, 6)],
}
FORWARD = {
    (1, 1): [-1, 1],
    (1, 2): [F(-3, 2), 2, F(-1, 2)],
    (1, 3): [F(-11, 6), 3, F(-3, 2), F(1, 3)],
    (2, 1): [1, -2, 1],
    (2, 2): [2, -5, 4, -1],
    (3, 1): [-1, 3, -3, 1],
    (4, 1): [1, -4, 6, -4, 1],
}


@pytest.mark.parametrize(("key", "weights"), CENTRAL.items())
def test_central_differences_are_the_published_ones(key: tuple[int, int], weights: Any) -> None:
    order, accuracy = key
    line = kernels.finite_difference(order=order, accuracy=accuracy, ndim=1)
    assert line.tolist() == [float(w) for w in weights]


@pytest.mark.parametrize(("key", "weights"), FORWARD.items())
def test_forward_differences_are_the_published_ones(key: tuple[int, int], weights: Any) -> None:
    order, accuracy = key
    line = kernels.finite_difference(order=order, accuracy=accuracy, kind="forward", ndim=1)
    middle = len(line) // 2
    assert line[middle:].tolist() == [float(w) for w in weights]
    assert not line[:middle].any()
    back = kernels.finite_difference(order=order, accuracy=accuracy, kind="backward", ndim=1)
    np.testing.assert_array_equal(back, (-1.0) ** order * line[::-1])


@pytest.mark.parametrize("kind", ["central", "forward", "backward"])
@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_exact_on_polynomials_and_no_further(kind: Any, order: int, accuracy: int) -> None:
    line = kernels.finite_difference(order=order, accuracy=accuracy, kind=kind, ndim=1)
    t = np.arange(len(line)) - len(line) // 2
    for degree in range(order + accuracy):
        expected = math.factorial(order) if degree == order else 0
        terms = line * t.astype(float) ** degree
        assert terms.sum() == pytest.approx(expected, abs=1e-12 * np.abs(terms).sum())
    # An even central difference is exact on the odd power after the last, by symmetry.
    beyond = order + accuracy
    if kind != "central" or (order + beyond) % 2 == 0:
        assert abs((line * t.astype(float) ** beyond).sum()) > 0.1


def test_axes() -> None:
    assert kernels.finite_difference("y", ndim=3).shape == (1, 3, 1)
    assert kernels.finite_difference("z", ndim=3).ravel().tolist() == [-0.5, 0, 0.5]
    assert kernels.get("finite_difference_x").shape == (1, 3)


@given(
    points=st.lists(st.integers(-20, 20), min_size=2, max_size=8, unique=True),
    at=st.integers(-10, 10),
    order=st.integers(0, 7),
)
def test_weights_of_any_points_solve_the_moment_equations(
    points: list[int], at: int, order: int
) -> None:
    assume(order < len(points))
    weights = kernels.fornberg_weights(points, order=order, at=at)
    for degree in range(len(points)):
        terms = weights * (np.array(points, float) - at) ** degree
        expected = math.factorial(order) if degree == order else 0
        assert terms.sum() == pytest.approx(expected, abs=1e-11 * max(np.abs(terms).sum(), 1))


def test_order_0_interpolates_at_uneven_points() -> None:
    points = [0.0, 0.5, 1.25, 3.0]
    weights = kernels.fornberg_weights(points, order=0, at=0.8)
    assert (weights * np.array(points) ** 3).sum() == pytest.approx(0.8**3)
    assert kernels.fornberg_weights([2.0], order=0).tolist() == [1.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.finite_difference("z"), r"finite_difference\(axis='z'\)"),
        (lambda: kernels.finite_difference(order=0), r"order=0\): .* from 1 to 12"),
        (lambda: kernels.finite_difference(accuracy=3), r"accuracy=3\): is odd.* Try: accuracy=4"),
        (lambda: kernels.finite_difference(accuracy=0), r"accuracy=0\): is out of range"),
        (lambda: kernels.finite_difference(kind="left"), r"kind='left'\)"),  # type: ignore[arg-type]
        (lambda: kernels.finite_difference(ndim=4), r"ndim=4: "),
        (lambda: kernels.fornberg_weights([0, 0, 1]), r"has 3 numbers, 2 of them different"),
        (lambda: kernels.fornberg_weights([]), r"has 0 numbers"),
        (lambda: kernels.fornberg_weights(3), r"has 0 numbers"),  # type: ignore[arg-type]
        (lambda: kernels.fornberg_weights([0, float("nan")]), r"points=nan\)"),
        (lambda: kernels.fornberg_weights([0, 1], order=2), r"order=2\): .* from 0 to 1"),
        (lambda: kernels.fornberg_weights([0, 1], at=float("inf")), r"at=inf\)"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

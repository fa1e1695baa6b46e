"""Compass templates and Frei and Chen's images against their published arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free

# Counterclockwise from north, as printed in the papers.
KIRSCH = [
    [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]],
    [[5, 5, -3], [5, 0, -3], [-3, -3, -3]],
    [[5, -3, -3], [5, 0, -3], [5, -3, -3]],
    [[-3, -3, -3], [5, 0, -3], [5, 5, -3]],
    [[-3, -3, -3], [-3, 0, -3], [5, 5, 5]],
    [[-3, -3, -3], [-3, 0, 5], [-3, 5, 5]],
    [[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]],
    [[-3, 5, 5], [-3, 0, 5], [-3, -3, -3]],
]
ROBINSON = [
    [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    [[2, 1, 0], [1, 0, -1], [0, -1, -2]],
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    [[0, -1, -2], [1, 0, -1], [2, 1, 0]],
]


def test_kirsch_is_the_published_bank() -> None:
    bank = kernels.kirsch()
    assert bank.shape == (3, 3, 8)
    np.testing.assert_array_equal(np.moveaxis(bank, -1, 0), KIRSCH)


def test_robinson_is_the_published_bank_and_its_negative() -> None:
    bank = np.moveaxis(kernels.robinson(), -1, 0)
    np.testing.assert_array_equal(bank[:4], ROBINSON)
    np.testing.assert_array_equal(bank[4:], -np.array(ROBINSON))


def test_three_levels_are_prewitts() -> None:
    np.testing.assert_array_equal(kernels.robinson("south", levels=3), kernels.prewitt("y"))
    np.testing.assert_array_equal(kernels.robinson("east", levels=3), kernels.prewitt("x"))
    np.testing.assert_array_equal(kernels.robinson("south_east", levels=3).sum(0), [-2, 0, 2])


@pytest.mark.parametrize("name", ["kirsch", "robinson"])
def test_names_are_the_banks_order_and_point_to_the_bright_side(name: str) -> None:
    builder = getattr(kernels, name)
    steps = {"north": (-1, 0), "west": (0, -1), "south": (1, 0), "east": (0, 1)}
    order = ["north", "", "west", "", "south", "", "east", ""]
    y, x = np.indices((3, 3)) - 1
    for direction, (dy, dx) in steps.items():
        alone = builder(direction)
        np.testing.assert_array_equal(alone, builder()[..., order.index(direction)])
        answers = (builder() * (y * dy + x * dx)[..., None]).sum((0, 1))
        assert answers.argmax() == order.index(direction)


def test_the_stated_gains() -> None:
    step = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]])
    assert (kernels.kirsch("north") * step).sum() == 15
    assert (kernels.robinson("north") * step).sum() == 4
    assert (kernels.robinson("north", levels=3) * step).sum() == 3
    assert not kernels.kirsch().sum((0, 1)).any()


def test_frei_chen_is_an_orthonormal_basis_in_the_papers_order() -> None:
    bank = kernels.frei_chen()
    vectors = bank.reshape(9, 9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(9), atol=1e-15)
    root = np.sqrt(2)
    published = np.array([[1, root, 1], [0, 0, 0], [-1, -root, -1]]) / (2 * root)
    np.testing.assert_allclose(bank[..., 0], published, rtol=1e-15)
    np.testing.assert_allclose(bank[..., 1], published.T, rtol=1e-15)
    np.testing.assert_allclose(bank[..., 6] * 6, np.outer([1, -2, 1], [1, -2, 1]), rtol=1e-15)
    np.testing.assert_allclose(bank[..., 8], 1 / 3, rtol=1e-15)


def test_the_first_four_of_frei_chen_hold_edges_the_next_four_lines() -> None:
    def share(window: np.ndarray, first: int, last: int) -> float:
        answers = (kernels.frei_chen() * window[..., None]).sum((0, 1))[:8] ** 2
        return answers[first:last].sum() / answers.sum()

    y, x = np.indices((3, 3)) - 1.0
    for edge in (x, y, x + y, x - y):
        assert share(edge, 0, 4) == pytest.approx(1)
    for line in (x == 0, y == 0, x == y, x == -y):
        assert share(line.astype(float), 4, 8) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.kirsch("up"), r"kirsch\(direction='up'\): is not a choice"),  # type: ignore[arg-type]
        (lambda: kernels.kirsch(ndim=3), r"kirsch\(ndim=3\): .* expected 2. Try: ndim=2"),
        (lambda: kernels.robinson(0), r"robinson\(direction=0\)"),  # type: ignore[arg-type]
        (lambda: kernels.robinson(levels=4), r"levels=4\): .* one of 5, 3"),
        (lambda: kernels.robinson(ndim=1), r"robinson\(ndim=1\)"),
        (lambda: kernels.frei_chen(ndim=1), r"frei_chen\(ndim=1\)"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

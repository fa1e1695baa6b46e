"""The spatial rich model's filters against their published arrays and what they are blind to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free

BANK = kernels.srm(normalized=False)
PLACES = {"first": (0, 8), "second": (8, 12), "third": (12, 20), "edge3": (20, 24)}


def test_published_arrays() -> None:
    assert BANK.shape == (5, 5, 30)
    assert BANK[1:4, 1:4, 0].tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, 0]]
    assert BANK[1:4, 1:4, 3].tolist() == [[0, 0, 0], [0, -1, 1], [0, 0, 0]]
    assert BANK[2, 1:4, 8].tolist() == [1, -2, 1]
    assert BANK[1:4, 2, 9].tolist() == [1, -2, 1]
    assert np.diag(BANK[..., 10]).tolist() == [0, 1, -2, 1, 0]
    assert BANK[:, 2, 13].tolist() == [-1, 3, -3, 1, 0]
    assert BANK[1:4, 1:4, 20].tolist() == [[-1, 2, -1], [2, -4, 2], [0, 0, 0]]
    assert BANK[1:4, 1:4, 21].tolist() == [[0, 2, -1], [0, -4, 2], [0, 2, -1]]
    assert BANK[1:4, 1:4, 24].tolist() == [[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]
    assert BANK[..., 25].tolist() == [
        [-1, 2, -2, 2, -1],
        [2, -6, 8, -6, 2],
        [-2, 8, -12, 8, -2],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert BANK[:3, :, 25].tolist() == BANK[:3, :, 29].tolist()
    assert BANK[2:, :, 29].tolist() == BANK[2::-1, :, 29].tolist()


def test_residuals_have_the_published_orders() -> None:
    middles = [-1] * 8 + [-2] * 4 + [-3] * 8 + [-4] * 5 + [-12] * 5
    assert BANK[2, 2].tolist() == middles
    assert not BANK.sum((0, 1)).any()
    np.testing.assert_allclose(kernels.srm() * -np.array(middles), BANK, rtol=1e-15)
    assert (kernels.srm()[2, 2] == -1).all()


def test_higher_orders_are_blind_to_ramps_and_curves() -> None:
    y, x = np.indices((5, 5)) - 2
    for ramp in (x, y, x + y):
        answers = (BANK * ramp[..., None]).sum((0, 1))
        assert answers[:8].any()
        assert not answers[8:20].any()
        assert not answers[[24, 29]].any()
    for curve in (x**2, y**2, (x + y) ** 2):
        answers = (BANK * curve[..., None]).sum((0, 1))
        assert answers[8:12].any()
        assert not answers[12:20].any()


def test_each_kind_is_turned_clockwise() -> None:
    assert len({BANK[..., n].tobytes() for n in range(30)}) == 30
    for first, last in [PLACES["first"], PLACES["third"]]:
        group = BANK[..., first:last]
        np.testing.assert_array_equal(np.rot90(group[..., :6], -1), group[..., 2:])
    for first in (20, 25):
        for n in range(3):
            np.testing.assert_array_equal(
                np.rot90(BANK[..., first + n], -1), BANK[..., first + n + 1]
            )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.srm(normalized=1), r"srm\(normalized=1\): is not a choice"),  # type: ignore[arg-type]
        (lambda: kernels.srm(ndim=1), r"srm\(ndim=1\)"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

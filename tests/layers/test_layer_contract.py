"""Every layer keeps the contract that `convsmith.testing` states."""

from __future__ import annotations

import pytest

from convsmith import layers
from convsmith.testing.contract import CHECKS
from engine_runs import wide
from layer_cases import CASES, ONE_OF_EACH, starting_at_zero


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "float64"])
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, check: str) -> None:
    CHECKS[check](CASES[name] if check == "config round trip" else starting_at_zero(CASES[name]))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_float64(name: str) -> None:
    with wide():
        assert CHECKS["float64"](starting_at_zero(ONE_OF_EACH[name])) is None


@pytest.mark.backend_free
def test_every_layer_has_a_case() -> None:
    assert {case.layer_class.__name__ for case in CASES.values()} == {
        name for name in layers.__all__ if name[0].isupper()
    }

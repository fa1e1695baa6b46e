"""Every layer keeps the contract that `convsmith.testing` states."""

from __future__ import annotations

import contextlib

import pytest

from convsmith import layers
from convsmith.testing.contract import CHECKS
from engine_runs import wide
from layer_cases import CASES


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, check: str) -> None:
    with wide() if check == "dtype policies" else contextlib.nullcontext():
        CHECKS[check](CASES[name])


@pytest.mark.backend_free
def test_every_layer_has_a_case() -> None:
    assert {case.layer_class.__name__ for case in CASES.values()} == {
        name for name in layers.__all__ if name[0].isupper()
    }

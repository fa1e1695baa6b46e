"""The cost model: amounts, constants from the package's data, and the fit that makes them."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.lowerings import LOWERINGS, Support
from convsmith.lowerings.running import MODES as EVERY_MODE
from convsmith.planner import costs
from convsmith.planner.features import features, workspace
from engine_cases import ROWS

BACKEND = keras.backend.backend()
MODES = EVERY_MODE[BACKEND]
ROOT = Path(__file__).parents[2]
KINDS = {"calls", "bytes", "macs"}


def test_the_constants_are_data_of_the_package() -> None:
    file = resources.files("convsmith.planner").joinpath(costs.FILE)
    assert file.is_file()
    for place, table in costs.tables().items():
        backend, mode, _ = place.split("/")
        assert mode in EVERY_MODE[backend]
        assert table["cases"] >= 30, place
        for name, constants in table["constants"].items():
            assert all(np.isfinite(c) and c >= 0 for c in constants.values()), (place, name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ROWS)
def test_every_lowering_states_amounts_for_all_that_it_supports(name: str, mode: str) -> None:
    case = ROWS[name]
    plan = cs.plan(case.pattern, *case.shapes, mode=mode, **case.arguments)
    for planned in plan.steps:
        for choice in planned.choices:
            if not choice.ok:
                continue
            amounts = features(choice.lowering, planned.step, plan.target)
            assert amounts
            assert all(np.isfinite(a) and a >= 0 for a in amounts.values()), amounts
            assert {key.split(".")[0] for key in amounts} <= KINDS
            assert workspace(choice.lowering, planned.step, plan.target) >= 0
            assert choice.microseconds is not None
            assert choice.microseconds >= 0


def test_an_estimate_is_amounts_times_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = cs.plan("b (h+kh) i, kh i o -> b h o", (2, 9, 3), (2, 3, 4), mode=MODES[0])
    step, target = plan.steps[0].step, plan.target
    place = f"{BACKEND}/{MODES[0]}/{target.device}"
    amounts = features("unfold", step, target)
    table = {place: {"constants": {"unfold": dict.fromkeys(amounts, 0.0) | {"calls": 7.0}}}}
    monkeypatch.setattr(costs, "tables", lambda: table)
    assert costs.estimate("unfold", step, target) == pytest.approx(7.0 * amounts["calls"])
    # What nobody fitted has its default.
    defaults = sum(
        a * costs.default(k, target) for k, a in features("native", step, target).items()
    )
    assert costs.estimate("native", step, target) == pytest.approx(costs.UNFITTED * defaults)
    monkeypatch.setattr(costs, "tables", dict)
    assert costs.estimate("native", step, target) == pytest.approx(defaults)


def test_a_lowering_that_states_nothing_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        name = "plain"

        def supports(self, step: Any, target: Any) -> Support:
            return Support(True)

        def run(self, step: Any, sizes: Any, operands: Any) -> Any:
            raise NotImplementedError

    monkeypatch.setitem(LOWERINGS, "plain", Plain())
    plan = cs.plan("b (h+kh) i, kh i o -> b h o", (2, 9, 3), (2, 3, 4), mode=MODES[0])
    choice = next(c for c in plan.steps[0].choices if c.lowering == "plain")
    assert choice.ok
    assert choice.microseconds is not None
    assert choice.microseconds > 0


def fit_module() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import fit
    finally:
        sys.path.remove(str(ROOT))
    return fit


def synthetic(count: int, seed: int) -> tuple[list[dict[str, float]], np.ndarray]:
    random = np.random.default_rng(seed)
    rows = [
        {
            "calls": 1.0,
            "bytes": float(10 ** random.uniform(2, 8)),
            "macs": float(10 ** random.uniform(2, 9)),
        }
        for _ in range(count)
    ]
    return rows, random.lognormal(0.0, 0.02, count)


def test_the_fit_recovers_known_constants() -> None:
    fit = fit_module()
    truth = {"calls": 25.0, "bytes": 1e-4, "macs": 2e-5}
    rows, noise = synthetic(120, 0)
    times = [sum(truth[k] * a for k, a in row.items()) for row in rows]
    found = fit.fit_lowering(
        list(zip(rows, (np.array(times) * noise).tolist(), strict=True)), lambda key: 1e-3
    )
    for key, constant in truth.items():
        assert found[key] == pytest.approx(constant, rel=0.05), key


def test_the_fitted_model_chooses_well_on_shapes_it_has_not_seen() -> None:
    fit = fit_module()
    truth = {
        "steady": {"calls": 400.0, "bytes": 1e-5, "macs": 1e-6},
        "quick": {"calls": 10.0, "bytes": 1e-4, "macs": 2e-5},
    }
    rows, noise = synthetic(150, 1)
    found = [
        fit.Case(
            str(i),
            dict.fromkeys(truth, row),
            {n: e * sum(c[k] * a for k, a in row.items()) for n, c in truth.items()},
            dict.fromkeys(truth, 1.0),
        )
        for i, (row, e) in enumerate(zip(rows, noise.tolist(), strict=True))
    ]
    scores = fit.held_out(found, lambda key: 1e-3)
    assert np.median(scores) <= 1.01
    assert np.percentile(scores, 95) <= 1.05
    fixed = [max(c.times.values()) / min(c.times.values()) for c in found]
    assert np.median(fixed) > 2, "the cases must differ for this to say anything"

"""Fit the constants of the cost model to recorded sweeps and say how well it then chooses.

``python -m benchmarks.fit benchmarks/results/sweep-*.json`` writes
``src/convsmith/planner/costs.json``; tables of modes that weren't swept stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDS = 5
TAIL = 2.0
"""How much more a choice counts for each factor e that it takes longer than the best."""

LOST = 0.3
"""How much more a choice counts where the backend's own dense convolution is faster: there nobody
expects to lose."""

CLOSE = 0.3
"""How far, in logarithms, two estimates must be apart for the choice to be clear."""

TWINS = {"tensorflow/graph/cpu": "tensorflow/eager/cpu"}
"""Where `direct` costs what it costs there: sweeps time forward passes, graphs use it backward."""

Constants = dict[str, float]


@dataclass(frozen=True)
class Case:
    """What was measured of one shape: amounts, microseconds and handicaps by lowering."""

    label: str
    amounts: Mapping[str, Mapping[str, float]]
    times: Mapping[str, float]
    handicaps: Mapping[str, float]
    dense: bool = False


def main(arguments: list[str] | None = None) -> None:
    """Fit all sweeps that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweeps", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, help="the package's costs.json by default")
    parser.add_argument("--worst", type=int, default=0, help="show this many of the worst choices")
    options = parser.parse_args(arguments)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from benchmarks._measure import build_kernels
    from convsmith.files import write_text
    from convsmith.planner import costs

    build_kernels()  # A lowering that isn't there would lose its constants.

    path = options.output or Path(costs.__file__).with_name(costs.FILE)
    data = {"version": costs.VERSION, "tables": {}}
    if path.exists():
        data = json.loads(path.read_text())
    print(f"{'':34}{'cases':>6}{'median':>9}{'95th':>9}{'worst':>9}   of time / best, held out")
    for place, record in records(options.sweeps).items():
        found, prior = cases(record), priors(record)
        scores = held_out(found, prior)
        print(f"{place:34}{len(found):6}{quality(scores)}")
        unfitted = [ratio(case, {}, prior) for case in found]
        print(f"{'  by the defaults':34}{'':6}{quality(unfitted)}")
        worst = sorted(zip(scores, found, strict=True), key=lambda s: -s[0])
        for score, case in worst[: options.worst]:
            print(f"    {score:6.2f}  {case.label}")
            print(f"            {dict(case.times)}")
        table = {
            "machine": record["machine"],
            "cases": len(record["rows"]),
            "constants": {
                name: {k: float(f"{c:.4g}") for k, c in sorted(constants.items())}
                for name, constants in fit(found, prior).items()
            },
        }
        data["tables"][place] = table
    for place, twin in TWINS.items():
        known = data["tables"]
        if place in known and "direct" in known.get(twin, {}).get("constants", {}):
            known[place]["constants"]["direct"] = known[twin]["constants"]["direct"]
    data["tables"] = dict(sorted(data["tables"].items()))
    write_text(path, json.dumps(data, indent=1) + "\n")
    print(f"kept in {path}")


def records(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the sweeps by backend, mode and device, the rows of several files together."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        record = json.loads(path.read_text())
        place = f"{record['backend']}/{record['mode']}/{record['device']}"
        if place in found:
            found[place]["rows"].extend(record["rows"])
        else:
            found[place] = record
    return found


def cases(record: Mapping[str, Any]) -> list[Case]:
    """Return the rows of a sweep with the amounts that lowerings state for them."""
    import convsmith as cs
    from convsmith.lowerings import LOWERINGS, Target
    from convsmith.lowerings.amounts import dense
    from convsmith.planner.features import features, workspace
    from convsmith.planner.plan import handicap

    target = Target(record["backend"], record["mode"], record["device"], "float32")
    found: list[Case] = []
    for row in record["rows"]:
        plan = cs.plan(row["pattern"], *map(tuple, row["shapes"]), **row["arguments"])
        (planned,) = plan.steps
        # A recorded lowering may have gone, or be refused today.
        able = {n for n, one in LOWERINGS.items() if one.supports(planned.step, target).ok}
        times = {n: t for n, t in row["forward"].items() if n in able}
        if len(times) < 2:
            continue
        step = planned.step
        amounts = {name: features(name, step, target) for name in times}
        handicaps = {n: handicap(n, step, target, workspace(n, step, target)) for n in times}
        label = f"{row['number']} {row['family']}: {row['pattern']} {row['shapes']}"
        found.append(Case(label, amounts, times, handicaps, dense(step)))
    return found


def priors(record: Mapping[str, Any]) -> Any:
    """Return the default constant of an amount."""
    from convsmith.lowerings import Target
    from convsmith.planner.costs import default

    target = Target(record["backend"], record["mode"], record["device"], "float32")
    return lambda key: default(key, target)


def fit(found: Sequence[Case], prior: Any, *, choices: bool = True) -> dict[str, Constants]:
    """Return the constants of every lowering, never negative, that explain the times.

    Each lowering is first fitted alone, by the logarithm of its times; then all together, so that
    what would be chosen is fast: only differences between lowerings matter for that.
    """
    names = list(dict.fromkeys(name for case in found for name in case.times))
    fitted: dict[str, Constants] = {}
    for name in names:
        rows = [(case.amounts[name], case.times[name]) for case in found if name in case.times]
        fitted[name] = fit_lowering(rows, prior)
    return refine(found, fitted) if choices else fitted


def fit_lowering(rows: Sequence[tuple[Mapping[str, float], float]], prior: Any) -> Constants:
    """Return non-negative constants whose sums of amounts have the least relative error."""
    from scipy.optimize import least_squares, nnls

    keys = sorted({k for amounts, _ in rows for k, amount in amounts.items() if amount})
    times = np.array([t for _, t in rows])
    matrix = np.array([[amounts.get(k, 0.0) for k in keys] for amounts, _ in rows])
    scale = np.median(matrix / times[:, None], axis=0) + matrix.max(axis=0) / times.max() / 100
    solution, _ = nnls(matrix / times[:, None] / scale, np.ones(len(times)))
    start = solution / scale
    kept = start > 0
    expected = np.array([max(prior(k), 1e-12) for k in keys])

    def errors(logarithms: Any) -> Any:
        predicted = matrix[:, kept] @ np.exp(logarithms)
        errors = np.log(np.maximum(predicted, 1e-3)) - np.log(times)
        # A constant that few rows speak of stays near its default.
        return np.concatenate([errors, 0.03 * (logarithms - np.log(expected[kept]))])

    if kept.any():
        best = least_squares(errors, np.log(start[kept]), loss="soft_l1", f_scale=0.3)
        start[kept] = np.exp(best.x)
    return dict(zip(keys, start.tolist(), strict=True))


def refine(found: Sequence[Case], fitted: Mapping[str, Constants]) -> dict[str, Constants]:
    """Return constants moved a little, so that the choices they lead to are faster."""
    from scipy.optimize import minimize

    places = [(n, k) for n, constants in fitted.items() for k, c in constants.items() if c > 0]
    if not places:
        return {n: dict(c) for n, c in fitted.items()}
    start = np.log([fitted[n][k] for n, k in places])
    names = list(fitted)
    amounts = np.zeros((len(found), len(names), len(places)))
    times = np.full((len(found), len(names)), np.inf)
    for i, case in enumerate(found):
        for name, measured in case.times.items():
            times[i, names.index(name)] = np.log(measured)
        for j, (name, key) in enumerate(places):
            amounts[i, names.index(name), j] = case.amounts.get(name, {}).get(key, 0.0)
    handicaps = np.log([[case.handicaps.get(n, 1.0) for n in names] for case in found])
    present = np.isfinite(times)
    known = np.where(present, times, 0.0)
    loss = np.where(present, times - times.min(axis=1, keepdims=True), 0.0)
    for i, case in enumerate(found):
        if case.dense and "native" in case.times:
            lost = np.maximum(times[i] - times[i, names.index("native")], 0.0)
            loss[i] += LOST * np.where(present[i], lost, 0.0)

    def objective(logarithms: Any) -> tuple[float, Any]:
        constants = np.exp(np.clip(logarithms, -80, 80))
        total = np.maximum(amounts @ constants, 1e-3)
        estimate = np.where(present, np.log(total) + handicaps, np.inf)
        weights = np.exp(-(estimate - estimate.min(axis=1, keepdims=True)) / CLOSE)
        weights = weights / weights.sum(axis=1, keepdims=True)
        regret = (weights * loss).sum(axis=1)
        error = np.where(present, np.log(total) - known, 0.0)
        smooth = np.sqrt(1 + (error / 0.3) ** 2) - 1
        moved = logarithms - start
        # The worst choices weigh more: they are what a user notices.
        value = (regret + TAIL * regret**2).mean()
        value += 0.05 * smooth.mean() + 0.002 * (moved**2).mean()
        # d regret / d estimate = weights * (regret - loss) / CLOSE
        slope = weights * (regret[:, None] - loss) / CLOSE / len(found)
        slope = slope * (1 + 2 * TAIL * regret[:, None])
        slope = (
            slope
            + 0.05
            * np.where(present, error / 0.09 / np.sqrt(1 + (error / 0.3) ** 2), 0.0)
            / error.size
        )
        gradient = np.einsum("il,ilp->p", slope / total, amounts) * constants
        return value, gradient + 0.004 * moved / len(moved)

    best = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    result = {n: dict(c) for n, c in fitted.items()}
    for (name, key), value in zip(places, np.exp(best.x), strict=True):
        result[name][key] = float(value)
    return result


def predicted(amounts: Mapping[str, float], constants: Constants, prior: Any) -> float:
    """Return the estimate, as `convsmith.planner.costs` makes it."""
    return sum(a * (constants[k] if k in constants else prior(k)) for k, a in amounts.items())


def held_out(found: Sequence[Case], prior: Any) -> list[float]:
    """Return (time of the chosen) / (time of the best) of each case, fitted without it."""
    scores = [0.0] * len(found)
    for fold in range(FOLDS):
        known = [c for i, c in enumerate(found) if i % FOLDS != fold]
        constants = fit(known, prior) if known else {}
        for i in range(fold, len(found), FOLDS):
            scores[i] = ratio(found[i], constants, prior)
    return scores


def ratio(case: Case, constants: Mapping[str, Constants], prior: Any) -> float:
    """Return (time of the chosen) / (time of the best) of a case."""
    costs = {
        n: case.handicaps[n] * predicted(case.amounts[n], constants.get(n, {}), prior)
        for n in case.times
    }
    chosen = min(costs, key=costs.__getitem__)
    return case.times[chosen] / min(case.times.values())


def quality(scores: Sequence[float]) -> str:
    """Return median, 95th percentile and worst."""
    middle, most = np.percentile(scores, [50, 95])
    return f"{middle:9.3f}{most:9.3f}{max(scores):9.3f}"


if __name__ == "__main__":
    main()

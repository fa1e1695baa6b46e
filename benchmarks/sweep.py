"""Time every lowering on random shapes: the record that the cost model is fitted to.

``python -m benchmarks.sweep --backend jax --mode jit --count 200`` writes
``results/sweep-jax-jit.json`` after each case and continues it when called again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

VERSION = 1
MOST_WORKSPACE = 1_500_000_000
MOST_UNROLLED = 1200
"""Slices that a compiler is given; more of them take it minutes."""


def main(arguments: list[str] | None = None) -> None:
    """Measure what a sweep's file doesn't have yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True, choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--mode", required=True)
    parser.add_argument("--count", type=int, default=200, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="results/sweep-BACKEND-MODE.json by default")
    parser.add_argument("--repeat-seconds", type=float, default=0.15, help="of turns for a case")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after this time; call again"
    )
    parser.add_argument(
        "--size",
        default="",
        choices=("", "large", "usual"),
        help="large: work that no cache holds; usual: layers of networks in wide use",
    )
    parser.add_argument("--family", default="", help="only cases of this family")
    parser.add_argument("--threads", default="2")
    options = parser.parse_args(arguments)
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["OMP_NUM_THREADS"] = os.environ["TF_NUM_INTRAOP_THREADS"] = options.threads
    sweep(options)


def sweep(options: argparse.Namespace) -> None:
    """Fill the file of a sweep, case by case."""
    end = time.monotonic() + options.seconds
    from rich.console import Console
    from rich.progress import track

    from benchmarks._measure import RESULTS, build_kernels, machine
    from benchmarks.random_work import Work, draw
    from convsmith.files import write_text
    from convsmith.lowerings.backend import current
    from convsmith.lowerings.running import MODES

    build_kernels()
    if options.mode not in MODES[options.backend]:
        raise SystemExit(f"--mode {options.mode}: expected one of {MODES[options.backend]}")
    if options.backend == "torch":
        import torch

        torch.set_num_threads(int(options.threads))
    path = options.output or RESULTS / (
        f"sweep-{options.backend}-{options.mode}{'-' + options.size if options.size else ''}.json"
    )
    record: dict[str, Any] = {
        "version": VERSION,
        "backend": options.backend,
        "mode": options.mode,
        "device": current().device(),
        "seed": options.seed,
        "machine": machine(),
        "rows": [],
    }
    if path.exists():
        kept = json.loads(path.read_text())
        if (kept["version"], kept["seed"]) != (VERSION, options.seed):
            raise SystemExit(f"{path} is of another version or seed: choose another --output")
        record["rows"] = kept["rows"]
    rows = {row["number"]: row for row in record["rows"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    label = f"{options.backend} {options.mode}"
    numbers = sorted({*range(options.count), *rows})
    for number in track(numbers, label, console=Console(stderr=True)):
        if time.monotonic() > end:
            break
        if number in rows:  # Measured again where a lowering has come since.
            work = Work.from_json(rows[number])
        else:
            work = draw(options.seed, number, size=options.size)
        if options.family not in ("", work.family):
            continue
        candidates, skipped = lowerings(work, options.mode)
        row = rows.get(number)
        if row is not None and set(candidates) <= {*row["forward"], *row["failed"]}:
            continue
        rows[number] = {
            "number": number,
            **work.as_json(),
            **measure(work, candidates, options),
            "skipped": skipped,
        }
        record["rows"] = [rows[n] for n in sorted(rows)]
        write_text(path, json.dumps(record, indent=1) + "\n")
    print(f"{path}: {sum(n in rows for n in numbers)} of {len(numbers)} cases")


def lowerings(work: Any, mode: str) -> tuple[list[str], dict[str, str]]:
    """Return the lowerings to time on a case, and those left out with why."""
    import convsmith as cs
    from convsmith.planner.features import features, workspace

    plan = cs.plan(work.pattern, *work.shapes, mode=mode, **work.arguments)
    (planned,) = plan.steps
    names: list[str] = []
    skipped: dict[str, str] = {}
    for choice in planned.choices:
        if not choice.ok:
            continue
        needed = workspace(choice.lowering, planned.step, plan.target)
        slices = features(choice.lowering, planned.step, plan.target).get("calls.taps", 0)
        if needed > MOST_WORKSPACE:
            skipped[choice.lowering] = f"needs {needed:,} bytes"
        elif plan.target.compiled and slices > MOST_UNROLLED:
            skipped[choice.lowering] = f"would unroll {slices:.0f} slices"
        elif choice.reason:
            skipped[choice.lowering] = choice.reason  # Never chosen unasked.
        else:
            names.append(choice.lowering)
    return names, skipped


def measure(work: Any, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return microseconds of each lowering; gradients are cases of their own, being steps."""
    mode, seconds = options.mode, options.repeat_seconds
    import keras
    import numpy as np

    import convsmith as cs
    from convsmith.lowerings.running import in_mode, wait
    from convsmith.planner.tune import time_in_turns

    random = np.random.default_rng(0)
    operands = [
        keras.ops.convert_to_tensor(random.normal(size=s).astype("float32")) for s in work.shapes
    ]

    def call(function: Any) -> Any:
        return wait(function(*operands))

    candidates = {
        name: partial(call, in_mode(partial(_convolve, cs.conv, work, name), mode))
        for name in names
    }
    timing = time_in_turns(candidates, seconds)
    result: dict[str, Any] = {
        "failed": timing.failed,
        "first_call_seconds": {n: round(t, 3) for n, t in timing.first_call_seconds.items()},
        "forward": {n: round(t, 2) for n, t in timing.microseconds.items()},
    }
    if mode != "eager":
        keras.backend.clear_session(free_memory=True)
        _forget_compiled()
    return result


def _convolve(conv: Any, work: Any, lowering: str, *operands: Any) -> Any:
    return conv(work.pattern, *operands, lowering=lowering, **work.arguments)


def _forget_compiled() -> None:
    """Free what a compiler keeps for functions that are gone."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    elif keras.backend.backend() == "torch":
        import torch

        torch._dynamo.reset()


if __name__ == "__main__":
    main()

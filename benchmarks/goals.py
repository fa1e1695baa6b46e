"""The speed goals of the project as data, and whether they are met here and now.

Each goal is about one workload, backend, mode and direction; candidates take turns in one process.
Results go to ``results/goals.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from benchmarks import overhead, peers
from benchmarks._measure import RESULTS
from benchmarks.candidates import BACKENDS
from benchmarks.registry import BY_NAME, Job
from benchmarks.session import PLACE, Kept, Row, run_jobs
from benchmarks.steps import PLAIN, STEP_WORK
from benchmarks.suite import describe
from benchmarks.worker import NO_FACTS
from benchmarks.workloads import OURS, PADDING_WORK, Workload
from convsmith.files import write_text

BOTH = ("forward", "backward")
AS_FAST = 0.97
"""Within 3%: what "never slower" and "no overhead" mean where times fluctuate by as much."""
TRAINED = {"tensorflow": ("graph", "xla"), "jax": ("jit",), "torch": ("eager",)}
ZERO = "zero padding"
DEPTHWISE = {
    3: "depthwise 3x3 (MobileNet)",
    7: "depthwise 7x7 (ConvNeXt)",
    15: "depthwise 15x15",
    31: "depthwise 31x31 (RepLKNet), 96 channels",
}
SMALL_31 = "depthwise 31x31 (RepLKNet), 48 channels"
PER_PIXEL = "per pixel 7x7 (involution)"
DENSE = (
    "dense 3x3, 56x56x64",
    "dense 3x3, 28x28x128",
    "dense 3x3, 14x14x256",
    "dense 3x3, 7x7x512",
    "dense 3x3, stride 2",
    "dense 3x3, dilation 2",
    "batch 1, dense 3x3, 14x14x128",
)


@dataclass(frozen=True)
class Goal:
    """One number to reach.

    `measure` is ``"ratio"`` (time of `slow` / time of `fast`), ``"compile"`` (the most seconds
    that any lowering takes to compile), ``"memory"`` (the most bytes beyond operands and result
    that any lowering needs, as a share of those), ``"padding memory"`` (bytes beyond those of zero
    padding, as a share of a padded copy) or ``"overhead"`` (microseconds above the bare call).
    A ratio must be at least `wanted`, the others at most.
    """

    text: str
    workload: str
    backend: str
    mode: str
    direction: str
    wanted: float
    measure: str = "ratio"
    slow: str = "keras"
    fast: str = OURS

    @property
    def key(self) -> tuple[str, ...]:
        """The row that has the numbers."""
        return self.job(0).key

    def job(self, seconds: float) -> Job:
        """Return what has to be measured."""
        place = (self.workload, self.backend, self.mode, self.direction, seconds)
        if self.measure in ("compile", "memory"):
            only = (f"{OURS}*",)
            return Job(*place, only, lowerings=True, memory=self.measure == "memory")
        memory = self.measure == "padding memory"
        return Job(*place, (self.fast, ZERO if memory else self.slow), memory=memory)

    def met(self, value: float) -> bool:
        """Whether a measured value reaches the goal."""
        return value >= self.wanted if self.measure == "ratio" else value <= self.wanted


def goals() -> list[Goal]:
    """Return all goals."""
    return [*_against_keras(), *_against_bare(), *_padding(), *_standardised(), *_limits()]


def _both(
    text: str, workload: str, backend: str, mode: str, wanted: float, slow: str = "keras"
) -> Iterator[Goal]:
    for direction in BOTH:
        yield Goal(text, workload, backend, mode, direction, wanted, slow=slow)


def _against_keras() -> Iterator[Goal]:
    for name in (*DEPTHWISE.values(), SMALL_31):
        yield from _both("depthwise, TensorFlow with jit_compile", name, "tensorflow", "xla", 50)
        yield from _both("depthwise, JAX", name, "jax", "jit", 20)
    for taps, wanted in ((3, 2), (7, 2), (31, 10)):
        yield from _both("depthwise, PyTorch", DEPTHWISE[taps], "torch", "eager", wanted)
    yield from _both("per sample over vmap", "per sample 3x3", "jax", "jit", 5, "JAX, vmap")
    groups = "PyTorch, a group each"
    yield from _both("per sample over groups", "per sample 3x3", "torch", "eager", 2, groups)
    for backend, mode in (
        ("tensorflow", "eager"),
        ("tensorflow", "graph"),
        ("tensorflow", "xla"),
        ("jax", "jit"),
        ("torch", "eager"),
    ):
        yield from _both("per pixel over patches and einsum", PER_PIXEL, backend, mode, 10)
    name = "grouped 3x3, 32 groups (ResNeXt)"
    yield from _both("grouped, TensorFlow eager", name, "tensorflow", "eager", 10)


def _against_bare() -> Iterator[Goal]:
    text = "TensorFlow's graph, never slower than its kernels"
    for name in (
        *DEPTHWISE.values(),
        "1-D depthwise causal 4",
        "grouped 3x3, 32 groups (ResNeXt)",
        "transposed 4x4, stride 2",
        "separable 3x3",
    ):
        yield from _both(text, name, "tensorflow", "graph", AS_FAST, peers.TENSORFLOW)
    for backend, mode, bare in (
        ("tensorflow", "graph", peers.TENSORFLOW),
        ("tensorflow", "xla", peers.TENSORFLOW),
        ("jax", "jit", peers.JAX),
    ):
        for name in DENSE:
            text = "dense, within 3% of the bare backend"
            yield from _both(text, name, backend, mode, AS_FAST, bare)
    for backend in BACKENDS:
        text = "microseconds of a call above the bare backend"
        yield Goal(text, "tiny call", backend, "eager", "forward", 30.0, "overhead")


def _padding() -> Iterator[Goal]:
    for backend, modes in TRAINED.items():
        for mode in modes:
            for work in PADDING_WORK:
                text = "padding mode, within 10% of zero padding"
                yield from _both(text, work.name, backend, mode, round(1 / 1.1, 3), ZERO)
                text = "padding mode, extra memory in padded copies"
                yield Goal(text, work.name, backend, mode, "forward", 0.5, "padding memory")


def _standardised() -> Iterator[Goal]:
    for backend, modes in TRAINED.items():
        for mode in modes:
            for work in STEP_WORK:
                text, wanted = "standardised train step, within 5% of plain", round(1 / 1.05, 3)
                place = (work.name, backend, mode)
                yield Goal(text, *place, "train step", wanted, slow=PLAIN)
                text = "standardised inference, no overhead"
                yield Goal(text, *place, "inference", AS_FAST, slow=PLAIN)


def _limits() -> Iterator[Goal]:
    for backend, mode in (("tensorflow", "xla"), ("jax", "jit")):
        for direction in BOTH:
            text = "seconds to compile 31x31, slowest lowering"
            yield Goal(text, SMALL_31, backend, mode, direction, 5.0, "compile")
    for backend, modes in TRAINED.items():
        for mode in modes:
            for name in (
                DENSE[0],
                DEPTHWISE[7],
                SMALL_31,
                "grouped 3x3, 32 groups (ResNeXt)",
                "per sample 3x3",
                PER_PIXEL,
            ):
                text = "memory of the hungriest lowering, in operands and result"
                yield Goal(text, name, backend, mode, "forward", 2.0, "memory")


def measured(goal: Goal, rows: Mapping[tuple[str, ...], Row]) -> tuple[float | None, str]:
    """Return the value of a goal from the rows by their keys, and what there is to say about it."""
    # What a memory job finds joins the row with the times, where there is one.
    timed = (*goal.key[:-1], "lowerings" if "lowerings" in goal.key[-1] else "time")
    row = rows.get(timed) or rows.get(goal.key)
    if row is None:
        return None, "not measured"
    found = row["results"]
    if goal.measure == "overhead":
        return found["overhead"]["microseconds"], ""
    if goal.measure == "ratio":
        for name in (goal.fast, goal.slow):
            if "milliseconds" not in found.get(name, {}):
                return None, f"{name}: {row['failed'].get(name, 'not measured')}"
        slow, fast = (found[name]["milliseconds"] for name in (goal.slow, goal.fast))
        return slow / fast, f"{slow:.3g} / {fast:.3g} ms, {row['lowering']}"
    if goal.measure == "padding memory":
        if not all("extra_bytes" in found.get(name, {}) for name in (goal.fast, ZERO)):
            return None, str(row["failed"] or "not measured")
        more = found[goal.fast]["extra_bytes"] - found[ZERO]["extra_bytes"]
        return more / _padded_copy(goal.workload), f"{more / 1e6:.1f} MB more"
    values: dict[str, float] = {}
    for name, result in found.items():
        if goal.measure == "compile" and "compile_seconds" in result:
            values[name] = result["compile_seconds"]
        if goal.measure == "memory" and "extra_bytes" in result:
            need = max(result["extra_bytes"] - row["output_bytes"], 0)
            # What the plan states openly is allowed.
            values[name] = need / max(row["bytes"], result.get("stated_bytes", 0) / goal.wanted)
    if not values:
        return None, str(row["failed"] or "not measured")
    worst = max(values, key=lambda name: values[name])
    failures = "".join(f"; {name}: {why}" for name, why in row["failed"].items())
    return values[worst], worst.removeprefix(f"{OURS}: ") + failures


def _padded_copy(name: str) -> int:
    work = BY_NAME[name]
    assert isinstance(work, Workload)
    (batch, *sizes, channels), (taps, *_) = work.shapes
    return 4 * batch * channels * prod(n + taps - 1 for n in sizes)


def judged(wanted: Sequence[Goal], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each goal with its value and whether it is met; None where it wasn't measured."""
    by_key = {tuple(row[p] for p in PLACE): row for row in rows}
    found: list[dict[str, Any]] = []
    for goal in wanted:
        value, remark = measured(goal, by_key)
        met = None if value is None else goal.met(value)
        found.append({**asdict(goal), "measured": value, "met": met, "remark": remark})
    return found


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the goals as a Markdown table and a line that sums up."""
    columns = ("goal", "work", "backend", "mode", "direction", "wanted", "measured", "met", "")
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for goal in found:
        sign = ">=" if goal["measure"] == "ratio" else "<="
        value = "" if goal["measured"] is None else f"{goal['measured']:.3g}"
        met = {True: "yes", False: "**no**", None: "?"}[goal["met"]]
        place = [goal[k] for k in ("text", "workload", "backend", "mode", "direction")]
        cells = [*place, f"{sign} {goal['wanted']:g}", value, met, goal["remark"]]
        lines.append(f"| {' | '.join(cells)} |")
    count = {value: sum(g["met"] is value for g in found) for value in (True, False, None)}
    summary = f"{count[True]} met, {count[False]} not met, {count[None]} not measured"
    return "\n".join([*lines, "", summary]) + "\n"


def _overhead_row(backend: str) -> Row:
    """Return the row of the overhead goal, as its own benchmark measures it."""
    times = overhead.measured_elsewhere(backend)
    calls = [value for name, value in times.items() if name.startswith("cs.")]
    value = max(calls) - times["bare backend"]
    place = ("tiny call", backend, "eager", "forward", "time")
    results = {"overhead": {"microseconds": value}}
    return {**dict(zip(PLACE, place, strict=True)), **NO_FACTS, "results": results, "failed": {}}


def main(arguments: list[str] | None = None) -> None:
    """Measure what the goals need and print whether they are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks goals", description=__doc__)
    parser.add_argument("--only", default="", help="goals whose text or work contains this")
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--mode", action="append")
    parser.add_argument("--seconds", type=float, default=2.0, help="repeats of each row")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a first call")
    parser.add_argument("--name", default="goals")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    options = parser.parse_args(arguments)
    wanted = [
        goal
        for goal in goals()
        if (options.only in goal.text or options.only in goal.workload)
        and goal.backend in (options.backend or BACKENDS)
        and (not options.mode or goal.mode in options.mode)
    ]
    jobs: dict[tuple[str, ...], Job] = {}
    for goal in wanted:
        if goal.measure != "overhead":
            job = goal.job(options.seconds)
            names = (*jobs[job.key].candidates, *job.candidates) if job.key in jobs else ()
            jobs[job.key] = replace(job, candidates=tuple(dict.fromkeys(names)) or job.candidates)
    asked = {k: v for k, v in vars(options).items() if k in ("only", "backend", "mode", "seconds")}
    kept = Kept(options.folder / f"{options.name}.json", "goals", asked)
    if options.resume:
        kept.resume()
    order = sorted(jobs.values(), key=lambda job: (BACKENDS.index(job.backend), job.memory))
    run_jobs(order, kept, describe=describe, limit=options.limit)
    for goal in wanted:
        if goal.measure == "overhead" and goal.key not in kept.done:
            kept.add(_overhead_row(goal.backend), goal.key)
    found = judged(wanted, kept.rows)
    kept.content["goals"] = found
    kept.finish()
    write_text(kept.path.with_suffix(".md"), table(found))
    print(table(found))
    print(f"kept in {kept.path} (.md)")


if __name__ == "__main__":
    main()

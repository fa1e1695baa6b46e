"""The process that measures jobs on one backend: ``python -m benchmarks.worker < jobs.json``.

What it found goes to standard output, one JSON object a line after `MARK`; before each candidate
it says which, so that the process that reads it knows what died or hung.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from functools import partial
from typing import Any

import numpy as np

from benchmarks._measure import SLOW, THREADS, roofline, time_in_turns, use_two_threads
from benchmarks.agreement import disagreeing
from benchmarks.candidates import Candidate
from benchmarks.layouts import Layout
from benchmarks.registry import BY_NAME, AnyWork, Job
from benchmarks.steps import LAYERS, PLAIN, StepWorkload
from benchmarks.workloads import OURS, Workload

MARK = "@row "
SLOW_COMPILATION = 20.0
"""Seconds above which a candidate of a series isn't tried at larger sizes."""

NO_FACTS: dict[str, Any] = {
    "lowering": "",
    "macs": 0,
    "bytes": 0,
    "output_bytes": 0,
    "roofline_milliseconds": 0.0,
}
"""What a row has where there is no plan."""

HURRY = 6.0
"""Seconds of a first call above which, in a hurry, it is the measurement, compilation included."""
LEFT_OUT = "left out: too slow before, at a smaller size or without gradients"

Parts = list[np.ndarray]


@dataclass
class Ready:
    """A candidate with its data: a call that waits for the result, and its result as arrays."""

    call: Callable[[], Any]
    arrays: Callable[[Any], Parts]
    comparable: bool = True
    prepare: Callable[[], Any] | None = None
    """Compiles, or traces, without a run; None where that can't be told apart."""


def tell(**message: Any) -> None:
    """Say something to the process that reads."""
    print(MARK + json.dumps(message), flush=True)


def ready(work: Workload, candidate: Candidate, arrays: list[np.ndarray], job: Job) -> Ready:
    """Return a candidate with the workload's data in its own layout."""
    import keras

    from convsmith.lowerings.running import in_mode, wait, with_gradients

    layouts = [Layout(text) for text in candidate.operands]
    own = (
        [layout.there(x) for layout, x in zip(layouts, arrays, strict=True)] if layouts else arrays
    )
    operands = [_tensor(x, candidate.channels_last) for x in own]
    function = candidate.function
    if job.mode == "compiled":
        import torch

        torch._dynamo.reset()  # Candidates share code, which is compiled for so many inputs only.
        function = in_mode(function, job.mode)
    run: Any = with_gradients(function) if job.direction == "backward" else function
    if job.mode != "compiled":
        run = in_mode(run, job.mode)

    def back(result: Any) -> Parts:
        parts = result if isinstance(result, list | tuple) else (result,)
        found = [np.asarray(keras.ops.convert_to_numpy(part)) for part in parts]
        if candidate.output:
            found[0] = Layout(candidate.output).back(found[0], _output_shape(work))
        if layouts:
            gradients = zip(layouts, found[1:], arrays, strict=False)
            found[1:] = [layout.back(part, x.shape) for layout, part, x in gradients]
        return found

    def call() -> Any:
        return wait(run(*operands))

    def compile_first() -> Any:
        # The first call finds it again.
        if job.mode == "jit":
            return run.lower(*operands).compile()
        return run.get_concrete_function(*operands)

    prepare = compile_first if job.mode in ("jit", "graph") else None
    return Ready(call, back, candidate.comparable, prepare)


def _tensor(x: np.ndarray, channels_last: bool) -> Any:
    import keras

    y: Any = keras.ops.convert_to_tensor(x)
    if channels_last and y.ndim > 3:
        import torch

        kind = torch.channels_last if y.ndim == 4 else torch.channels_last_3d
        y = y.contiguous(memory_format=kind)
    return y


def _output_shape(work: Workload) -> tuple[int, ...]:
    import convsmith as cs

    shape = cs.plan(work.pattern, *work.shapes, **work.arguments).output_shape
    return tuple(n or 0 for n in shape)


def prepared(work: AnyWork, job: Job) -> dict[str, Callable[[], Ready]]:
    """Return what makes each candidate ready, by name."""
    if isinstance(work, StepWorkload):
        from benchmarks import steps

        def step(name: str) -> Ready:
            call = steps.prepared(work, name, job.mode, job.direction)
            return Ready(call, lambda result: [np.asarray(result)], name != PLAIN)

        return {name: partial(step, name) for name in LAYERS}
    random = np.random.default_rng(0)
    arrays = [random.normal(size=s).astype("float32") for s in work.shapes]
    candidates = work.candidates(job.backend)
    if job.lowerings:
        # The planner's choice is compared with each way by force; one that can't is left out.
        forced = [Candidate(f"{OURS}: {n}", work.call(lowering=n)) for n in _lowerings(work, job)]
        candidates = [c for c in candidates if c.name in (OURS, "keras")] + forced
    return {c.name: partial(ready, work, c, arrays, job) for c in candidates}


def _lowerings(work: Workload, job: Job) -> list[str]:
    import convsmith as cs
    from convsmith.errors import UnsupportedError
    from convsmith.lowerings import LOWERINGS

    found: list[str] = []
    for name in LOWERINGS:
        try:
            cs.plan(work.pattern, *work.shapes, mode=job.mode, lowering=name, **work.arguments)
        except UnsupportedError:
            continue
        found.append(name)
    return found


def facts(work: AnyWork, job: Job, limits: dict[str, float]) -> dict[str, Any]:
    """Return what planning says: the lowering, multiply-adds, bytes, and the machine's limit."""
    if isinstance(work, StepWorkload):
        lowering, macs, size, times = "", work.macs, 0, 3 if job.direction == "train step" else 1
    else:
        import convsmith as cs

        plan = cs.plan(work.pattern, *work.shapes, mode=job.mode, **work.arguments)
        lowering, macs, size = plan.lowering, plan.macs, plan.bytes
        # A gradient for each operand costs as much again, and reads and writes as much again.
        times = 1 if job.direction == "forward" else 1 + len(work.shapes)
    ideal = max(2e-6 * macs / limits["gflops"], 1e-6 * size / limits["copy_gb"])
    output = 0 if isinstance(work, StepWorkload) else 4 * int(np.prod(_output_shape(work)))
    return {
        "lowering": lowering,
        "macs": macs,
        "bytes": size,
        "output_bytes": output,
        "roofline_milliseconds": times * ideal,
    }


def workspaces(work: AnyWork, job: Job) -> dict[str, int]:
    """Return the bytes that the plan of each lowering states, where it states any."""
    import convsmith as cs

    if isinstance(work, StepWorkload):
        return {}
    try:
        from convsmith.planner.features import workspace
    except ImportError:
        return {}
    found: dict[str, int] = {}
    for lowering in (None, *_lowerings(work, job)):
        plan = cs.plan(
            work.pattern, *work.shapes, mode=job.mode, lowering=lowering, **work.arguments
        )
        stated = [workspace(s.lowering, s.step, plan.target) for s in plan.steps]
        found[OURS if lowering is None else f"{OURS}: {lowering}"] = max(stated, default=0)
    return found


class Worker:
    """Measures jobs one after another."""

    def __init__(self, limits: dict[str, float], dead: dict[tuple[str, ...], dict[str, str]]):
        self.limits = limits
        self.dead = dead
        self.hopeless: set[tuple[str, ...]] = set()

    def measure(self, job: Job) -> dict[str, Any]:
        """Return the row of a job."""
        work = BY_NAME[job.workload]
        failed = dict(self.dead.get(job.key, {}))
        tell(begin=job.key, candidate="planning")
        row: dict[str, Any] = {
            "workload": job.workload,
            "backend": job.backend,
            "mode": job.mode,
            "direction": job.direction,
            "kind": job.kind,
        }
        if "planning" in failed:
            return {**row, **NO_FACTS, "results": {}, "failed": failed}
        try:
            row |= facts(work, job, self.limits)
            made = prepared(work, job)
        except Exception as error:
            failed["planning"] = _words(error)
            return {**row, **NO_FACTS, "results": {}, "failed": failed}
        if job.candidates:
            made = {n: m for n, m in made.items() if any(fnmatch(n, c) for c in job.candidates)}
        made = {name: make for name, make in made.items() if name not in failed}
        for name in [n for n in made if (*self._place(job), n) in self.hopeless]:
            del made[name]
            failed[name] = LEFT_OUT
        if job.memory:
            return {**row, **self._memory(work, job, made, failed)}
        calls, first, known = self._first_calls(job, made, failed)
        tell(begin=job.key, candidate="timing")
        results = time_in_turns(calls, job.seconds, known)
        for name, result in results.items():
            result["first_call_seconds"] = first[name]
            if job.mode != "eager":
                result["compile_seconds"] = max(first[name] - 1e-3 * result["milliseconds"], 0.0)
            if name != OURS and self._too_slow(job, name, results):
                self.hopeless.add((*self._place(job), name))
        return {**row, "results": results, "failed": failed}

    def _place(self, job: Job) -> tuple[str, ...]:
        return (job.series or job.workload, job.backend, job.mode)

    def _too_slow(self, job: Job, name: str, results: dict[str, dict[str, float]]) -> bool:
        """Whether a candidate isn't worth its time at larger sizes, or in a hurry, backward."""
        own = 1e-3 * results[name]["milliseconds"]
        if job.series:
            return own > SLOW / 2 or results[name]["first_call_seconds"] > SLOW_COMPILATION
        ours = 1e-3 * results.get(OURS, {}).get("milliseconds", 0.0)
        return job.hurry and own > 0.1 and own > 4 * ours

    def _first_calls(
        self, job: Job, made: dict[str, Callable[[], Ready]], failed: dict[str, str]
    ) -> tuple[dict[str, Callable[[], Any]], dict[str, float], dict[str, float]]:
        calls: dict[str, Callable[[], Any]] = {}
        first: dict[str, float] = {}
        known: dict[str, float] = {}
        results: dict[str, Parts] = {}
        for name, make in made.items():
            tell(begin=job.key, candidate=name)
            try:
                one = make()
                start = time.perf_counter()
                if one.prepare is not None:
                    one.prepare()
                compiled = time.perf_counter()
                result = one.call()
                end = time.perf_counter()
                first[name] = end - start
                exact = one.prepare is not None or job.mode == "eager"
                if exact or (job.hurry and end - compiled > HURRY):
                    known[name] = end - compiled
                if one.comparable:
                    results[name] = one.arrays(result)
                calls[name] = one.call
            except Exception as error:  # What others can't do is a result too.
                failed[name] = _words(error)
        for name, error in disagreeing(results, OURS).items():
            failed[name] = error
            del calls[name]
        return calls, first, {name: spent for name, spent in known.items() if name in calls}

    def _memory(
        self,
        work: AnyWork,
        job: Job,
        made: dict[str, Callable[[], Ready]],
        failed: dict[str, str],
    ) -> dict[str, Any]:
        from benchmarks.memory import peak_extra_bytes

        results: dict[str, dict[str, int]] = {}
        stated = workspaces(work, job)
        for name, make in made.items():
            tell(begin=job.key, candidate=name)
            try:
                results[name] = {"extra_bytes": peak_extra_bytes(make().call)}
            except Exception as error:
                failed[name] = _words(error)
                continue
            if name in stated:
                results[name]["stated_bytes"] = stated[name]
        return {"results": results, "failed": failed}


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"


def main() -> None:
    """Measure the jobs that standard input lists."""
    use_two_threads()
    asked = json.load(sys.stdin)
    jobs = [Job(**{**j, "candidates": tuple(j["candidates"])}) for j in asked["jobs"]]
    dead = {tuple(d["key"]): d["failed"] for d in asked["dead"]}
    tell(begin=["start"], candidate="loading the backend")
    limits = asked["limits"] or roofline(asked["roofline_seconds"])
    tell(limits=limits)
    if os.environ["KERAS_BACKEND"] == "torch":
        import torch

        torch.set_num_threads(THREADS)
    worker = Worker(limits, dead)
    for job in jobs:
        row = worker.measure(job)
        tell(row=row, key=job.key)


if __name__ == "__main__":
    main()

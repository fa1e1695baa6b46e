"""Fair timing: candidates take turns in one process, and medians are compared."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from convsmith.files import write_text

RESULTS = Path(__file__).parent / "results"
THREADS = 2
SLOW = 2.0
"""Seconds of a call above which it is measured only once."""
LEAST, MOST = 3, 400
"""Calls of a candidate that isn't slow."""


def build_kernels() -> None:
    """Compile the kernels of `direct` where there is a compiler and nobody forbids it."""
    from convsmith import direct
    from convsmith.direct import library
    from convsmith.direct.builder import compiler

    if compiler() is not None and library.folder() is not None:
        direct.build()


def medians(
    candidates: Mapping[str, Callable[[], Any]],
    finish: Callable[[Any], Any] = lambda result: result,
    repeats: int = 2000,
    warm_up: int = 50,
) -> dict[str, float]:
    """Return the median microseconds of each candidate, measured in turns.

    `finish` waits for a result where a backend computes in the background.
    """
    for call in candidates.values():
        for _ in range(warm_up):
            finish(call())
    times: dict[str, list[int]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, call in candidates.items():
            start = time.perf_counter_ns()
            finish(call())
            times[name].append(time.perf_counter_ns() - start)
    return {name: statistics.median(t) / 1000 for name, t in times.items()}


def time_in_turns(
    calls: Mapping[str, Callable[[], Any]],
    seconds: float,
    known: Mapping[str, float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, float]]:
    """Return median and fastest milliseconds of calls that wait for their result themselves.

    The candidates take turns, in an order that turns too, until each has had its share of the
    seconds. `known` has seconds of earlier calls without compilation: where they say that one is
    slow, they are its measurement.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name, spent in (known or {}).items():
        if spent > SLOW:
            times[name].append(spent)
    share = seconds / max(len(calls), 1)
    racing = [name for name in calls if not times[name]]
    while racing:
        for name in list(racing):
            start = clock()
            calls[name]()
            times[name].append(clock() - start)
            own = times[name]
            enough = sum(own) >= share and len(own) >= LEAST
            if enough or len(own) >= MOST or own[-1] > SLOW:
                racing.remove(name)
        racing = [*racing[1:], *racing[:1]]
    return {
        name: {
            "milliseconds": 1e3 * statistics.median(own),
            "fastest": 1e3 * min(own),
            "calls": len(own),
        }
        for name, own in times.items()
    }


def roofline(seconds: float = 1.0) -> dict[str, float]:
    """Return what the machine can do on two threads: multiply-adds and bytes copied a second.

    Both are the best of several tries, by NumPy; `gflops` counts a multiply-add as two.
    """
    side, entries = (1536, 2**26) if seconds >= 1 else (256, 2**20)
    a, b = (np.random.default_rng(0).random((side, side), dtype="float32") for _ in range(2))
    source = np.ones(entries, "float32")
    target = np.zeros_like(source)
    np.copyto(target, source)  # The system hands out pages at their first use, which is slow.
    parts = [slice(i * entries // THREADS, (i + 1) * entries // THREADS) for i in range(THREADS)]
    best = {"gflops": 0.0, "copy_gb": 0.0}
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        rounds = 0
        while rounds < 3 or time.perf_counter() < end:
            rounds += 1
            start = time.perf_counter()
            np.matmul(a, b)
            spent = time.perf_counter() - start
            best["gflops"] = max(best["gflops"], 2 * side**3 / spent / 1e9)
            start = time.perf_counter()
            list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))
            spent = time.perf_counter() - start
            best["copy_gb"] = max(best["copy_gb"], 2 * source.nbytes / spent / 1e9)
    return best


def use_two_threads() -> None:
    """Keep this process, and the threads that it starts, on two cores."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:THREADS])


def commit() -> str:
    """Return the commit of the code, with "+" where files differ from it; "" outside of git."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    found = git("rev-parse", "--short=12", "HEAD")
    return found + ("+" if found and git("status", "--porcelain", "--", "../src") else "")


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    from convsmith import direct

    packages = ("convsmith", "keras", "tensorflow", "jax", "torch", "numpy")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {p: metadata.version(p) for p in packages},
        "kernels": direct.status(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def save(name: str, rows: Any) -> Path:
    """Write rows with the machine's description to ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"machine": machine(), "rows": rows}, indent=1)
    write_text(path, text + "\n")
    return path

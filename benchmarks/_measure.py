"""Fair timing: candidates take turns in one process, and medians are compared."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from convsmith.training.files import write_text

RESULTS = Path(__file__).parent / "results"


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


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    packages = ("convsmith", "keras", "tensorflow", "jax", "torch", "numpy")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {p: metadata.version(p) for p in packages},
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

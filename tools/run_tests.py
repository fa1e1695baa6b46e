"""Runs every check and the test suite on each backend, and ends with one summary line.

Keras fixes its backend per process, so each backend gets its own pytest; the tests that need none
(`backend_free`) get one more. Two processes run at a time. What fails prints its output.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BACKENDS = ("tensorflow", "jax", "torch")
CHECKS: dict[str, list[str]] = {
    "ruff check": [str(BIN / "ruff"), "check", "--quiet", "--no-cache"],
    "ruff format": [str(BIN / "ruff"), "format", "--check", "--quiet", "--no-cache"],
    "pyright": [str(BIN / "pyright"), "--pythonpath", sys.executable],
    "lint-imports": [str(BIN / "lint-imports")],
}
# Two processes share few cores: one thread each is faster than fighting for them.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


@dataclass(frozen=True)
class Outcome:
    passed: int
    failed: int
    skipped: int
    output: str

    def line(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_check(command: Sequence[str]) -> Outcome:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = int(done.returncode != 0)
    return Outcome(1 - failed, failed, 0, done.stdout + done.stderr)


def run_pytest(backend: str | None, full: bool, extra: Sequence[str]) -> Outcome:
    selection = "not backend_free" if backend else "backend_free"
    if not full:
        selection += " and not slow"
    env = os.environ | {
        "KERAS_BACKEND": backend or "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "HYPOTHESIS_PROFILE": "full" if full else "ci",
    }
    env = ONE_THREAD | env
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", selection, f"--junitxml={report}"]
        command += ["-p", "no:cacheprovider", *extra]
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        return read_report(report, done.returncode, done.stdout + done.stderr)


def read_report(report: Path, returncode: int, output: str) -> Outcome:
    nothing_selected = returncode == 5
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return Outcome(0, 1, 0, f"{output}\npytest died with exit code {returncode}")

    def total(key: str) -> int:
        return sum(int(suite.get(key, 0)) for suite in suites)

    failed, skipped = total("failures") + total("errors"), total("skipped")
    passed = max(total("tests") - failed - skipped, 0)
    if returncode != 0 and not failed and not nothing_selected:
        failed = 1  # such as a crash after the report, or a warning raised at exit
    return Outcome(passed, failed, skipped, output)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    groups = (*BACKENDS, "free", "checks")
    parser.add_argument("--only", action="append", choices=groups, help="run only this group")
    parser.add_argument("--full", action="store_true", help="slow tests and more generated cases")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()

    jobs: dict[str, Callable[[], Outcome]] = {}
    for group in options.only or groups:
        if group == "checks":
            for name, command in CHECKS.items():
                jobs[name] = lambda command=command: run_check(command)
        else:
            backend = None if group == "free" else group
            jobs[f"tests, {backend or 'no backend'}"] = lambda backend=backend: run_pytest(
                backend, options.full, options.pytest
            )

    outcomes: list[Outcome] = []

    def run_job(name: str) -> None:
        start = time.perf_counter()
        outcome = jobs[name]()
        seconds = time.perf_counter() - start
        text = f"{name:<20} {outcome.line()} in {seconds:.0f} s"
        if outcome.failed:
            text += "\n" + "\n".join("    " + row for row in outcome.output.splitlines())
        outcomes.append(outcome)
        print(text, flush=True)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(run_job, jobs))
    total = Outcome(
        sum(o.passed for o in outcomes),
        sum(o.failed for o in outcomes),
        sum(o.skipped for o in outcomes),
        "",
    )
    print(total.line())
    return int(total.failed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""A run of many jobs: a process for each backend, a progress bar, results that survive a stop.

Rows are kept in ``NAME.partial.json`` after each job, whole or not at all; the file becomes
``NAME.json`` at the end. A candidate that kills its process, or doesn't end, is recorded as failed,
and a new process goes on with the rest.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks._measure import THREADS, commit, machine
from benchmarks.memory import ENVIRONMENT
from benchmarks.registry import Job
from benchmarks.worker import MARK, NO_FACTS
from convsmith.files import write_text

SCHEMA = 2
"""Version of the result files; `compare` reads this one only."""
MOST_RESTARTS = 50
LOADING = 120.0
"""Seconds that loading a backend may take."""
PLACE = ("workload", "backend", "mode", "direction", "kind")
"""What tells a row from the others."""

Row = dict[str, Any]


class Kept:
    """The rows of a run and their file."""

    def __init__(self, path: Path, kind: str, options: dict[str, Any]) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.stem}.partial.json")
        self.content: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": kind,
            "complete": False,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "machine": machine(),
            "options": options,
            "limits": {},
            "done": [],
            "rows": [],
        }

    def resume(self) -> bool:
        """Take over the rows of a run that was stopped; whether there was one that fits."""
        try:
            found = json.loads(self.partial.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        fits = all(
            found.get(k) == self.content[k] for k in ("schema", "kind", "machine", "options")
        )
        if fits:
            found["commit"] = found["commit"] if found["commit"] == commit() else "several"
            self.content = found
        return fits

    @property
    def rows(self) -> list[Row]:
        """The rows so far."""
        return self.content["rows"]

    @property
    def done(self) -> set[tuple[str, ...]]:
        """The keys of the jobs that are done."""
        return {tuple(key) for key in self.content["done"]}

    def add(self, row: Row, key: Sequence[str]) -> None:
        """Keep one more row; what a memory job found joins the row with the times."""
        self.content["done"].append(list(key))
        if "memory" in key[-1]:
            timed = [*key[:-1], "lowerings" if "lowerings" in key[-1] else "time"]
            for other in self.rows:
                if [other[p] for p in PLACE] == timed:
                    for name, found in row["results"].items():
                        other["results"].setdefault(name, {}).update(found)
                    for name, why in row["failed"].items():
                        other["failed"].setdefault(name, f"memory: {why}")
                    self.write()
                    return
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Write what there is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.partial, json.dumps(self.content, indent=1) + "\n")

    def finish(self) -> dict[str, Any]:
        """Write the final file and return its content."""
        self.content["complete"] = True
        del self.content["done"]
        write_text(self.path, json.dumps(self.content, indent=1) + "\n")
        self.partial.unlink(missing_ok=True)
        return self.content


def environment(backend: str, memory: bool) -> dict[str, str]:
    """Return the environment of a process: its backend and two threads for everything."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **{name: str(THREADS) for name in threads},
        **(ENVIRONMENT if memory else {}),
    }


class Process:
    """A worker, its messages with a time limit between them, and what it last began."""

    def __init__(self, asked: dict[str, Any], backend: str, memory: bool) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `stop`)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            env=environment(backend, memory),
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asked))
        self.process.stdin.close()
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def message(self, seconds: float) -> dict[str, Any] | str | None:
        """Return the next message, None at the good end, or how the process ended otherwise."""
        while True:
            try:
                line = self.lines.get(timeout=seconds)
            except queue.Empty:
                return f"stopped after {seconds:.0f} s"
            if line is None:
                code = self.process.wait()
                return None if code == 0 else f"killed its process: exit code {code}{self._last()}"
            if line.startswith(MARK):
                return json.loads(line[len(MARK) :])

    def _last(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return f", {lines[-1][:120]}" if lines else ""

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        self.errors.close()


def run_jobs(
    jobs: Sequence[Job],
    kept: Kept,
    *,
    describe: Callable[[Row], str] = lambda row: "",
    limit: float = 300.0,
    roofline_seconds: float = 1.0,
    console: Console | None = None,
) -> None:
    """Measure the jobs that aren't done yet; `limit` seconds are for one candidate's first call.

    Raises:
        RuntimeError: a process dies before it begins, or too many die.
    """
    console = console or Console(stderr=True)
    left = [job for job in jobs if job.key not in kept.done]
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        console=console,
        expand=True,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(left))

        def report(row: Row) -> None:
            progress.update(task, advance=1, description=f"{row['backend']} {row['workload']}")
            console.print(describe(row), soft_wrap=True, markup=False, highlight=False)

        groups = dict.fromkeys((job.backend, job.memory) for job in left)
        for backend, memory in groups:
            own = [job for job in left if (job.backend, job.memory) == (backend, memory)]
            _run_group(own, kept, memory, report, limit, roofline_seconds)


def _run_group(
    jobs: list[Job],
    kept: Kept,
    memory: bool,
    report: Callable[[Row], None],
    limit: float,
    roofline_seconds: float,
) -> None:
    backend = jobs[0].backend
    dead: dict[tuple[str, ...], dict[str, str]] = {}
    for _ in range(MOST_RESTARTS):
        left = [job for job in jobs if job.key not in kept.done]
        if not left:
            return
        asked = {
            "jobs": [job.as_json() for job in left],
            "dead": [{"key": key, "failed": failed} for key, failed in dead.items()],
            "limits": kept.content["limits"].get(backend),
            "roofline_seconds": roofline_seconds,
        }
        process = Process(asked, backend, memory)
        try:
            begun, candidate = _follow(process, kept, backend, report, limit)
        finally:
            process.stop()
        if isinstance(begun, str):
            raise RuntimeError(f"{backend}: the process ended before any work: {begun}")
        if begun is None:
            return
        key, ending = begun
        dead.setdefault(key, {})[candidate] = ending
        if candidate == "timing":  # Nobody knows which one it was: the row goes without times.
            job = next(j for j in left if j.key == key)
            row = {p: getattr(job, p) for p in PLACE}
            row |= {**NO_FACTS, "results": {}, "failed": dead[key]}
            kept.add(row, key)
            report(row)
    raise RuntimeError(f"{backend}: {MOST_RESTARTS} processes died: {dead}")


def _follow(
    process: Process, kept: Kept, backend: str, report: Callable[[Row], None], limit: float
) -> tuple[tuple[tuple[str, ...], str] | str | None, str]:
    """Return what was begun when the process ended and how, or None at the good end."""
    key: tuple[str, ...] = ("start",)
    candidate = ""
    while True:
        message = process.message(max(limit, LOADING) if key == ("start",) else limit)
        if message is None:
            return None, ""
        if isinstance(message, str):
            return (message if key == ("start",) else (key, message)), candidate
        if "begin" in message:
            key, candidate = tuple(message["begin"]), message["candidate"]
        elif "limits" in message:
            kept.content["limits"][backend] = message["limits"]
        else:
            kept.add(message["row"], message["key"])
            report(message["row"])

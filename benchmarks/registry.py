"""All work by name; `jobs` lists what a run measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.scale_work import SCALE_WORK
from benchmarks.steps import STEP_WORK, StepWorkload
from benchmarks.tiny import TINY_WORK
from benchmarks.workloads import WORKLOADS, Workload

MODES = {
    "tensorflow": ("eager", "graph", "xla"),
    "jax": ("jit", "eager"),
    "torch": ("eager", "compiled"),
}
QUICK_MODES = {"tensorflow": ("eager", "graph", "xla"), "jax": ("jit",), "torch": ("eager",)}

AnyWork = Workload | StepWorkload
SUITE = (*WORKLOADS, *STEP_WORK)
BY_NAME: dict[str, AnyWork] = {w.name: w for w in (*SUITE, *SCALE_WORK, *TINY_WORK)}


@dataclass(frozen=True)
class Job:
    """One row to measure: the candidates of a workload in one mode and direction.

    `candidates` keeps only names that match one of those, such as ``convsmith*``. `lowerings`
    compares convsmith with its own lowerings instead of others. `series` names a sweep in which a
    candidate that became slow is left out of the larger sizes. In a `hurry` one that is slow
    forward, four times slower than convsmith, isn't run backward.
    """

    workload: str
    backend: str
    mode: str
    direction: str
    seconds: float
    candidates: tuple[str, ...] = ()
    lowerings: bool = False
    memory: bool = False
    series: str = ""
    hurry: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this job from the others of a run."""
        return self.workload, self.backend, self.mode, self.direction, self.kind

    @property
    def kind(self) -> str:
        """What is measured of whom: "time", "memory", "lowerings" or "lowerings memory"."""
        words = ["lowerings"] * self.lowerings + ["memory"] * self.memory
        return " ".join(words) or "time"

    def as_json(self) -> dict[str, Any]:
        """Return the job as plain data."""
        return asdict(self)


def suite_jobs(
    backends: tuple[str, ...],
    *,
    quick: bool,
    only: str = "",
    lowerings: bool = False,
    memory: bool = False,
    work: tuple[AnyWork, ...] = SUITE,
    seconds: float | None = None,
) -> list[Job]:
    """Return the jobs of `make bench` or `make bench-quick`, backend by backend."""
    modes = QUICK_MODES if quick else MODES
    budget = seconds if seconds is not None else (0.4 if quick else 1.0)
    jobs: list[Job] = []
    for backend in backends:
        for one in work:
            if (quick and not one.quick) or only not in one.name:
                continue
            for mode in modes[backend]:
                if mode not in QUICK_MODES[backend] and not one.every_mode:
                    continue
                if memory and mode == "eager" and backend != "torch":
                    continue  # The same kernels as in a graph.
                for direction in one.directions:
                    trains = direction in ("backward", "train step")
                    if quick and trains and (backend, mode) == ("tensorflow", "eager"):
                        continue  # Who trains does it in a graph.
                    place = (one.name, backend, mode, direction)
                    jobs.append(
                        Job(*place, budget, lowerings=lowerings, memory=memory, hurry=quick)
                    )
    return jobs

"""Fair timing of alternatives: they take turns in one process; lower quartiles are compared.

What else the machine does only ever adds time, so that the lower quartile says more than the
median where other processes run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

Call = Callable[[], Any]

HOPELESS = 6.0
"""A candidate that takes this many times the fastest's time is timed once and left alone."""

SHORT = 0.05
"""Seconds that are soon spent again."""

LEAST_TURNS = 4
MOST_TURNS = 200


@dataclass
class Timing:
    """Microseconds of every candidate, seconds of its first call, and what failed with why."""

    microseconds: dict[str, float] = field(default_factory=dict)
    first_call_seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str | None:
        """The fastest candidate, None if all failed."""
        return min(self.microseconds, key=self.microseconds.__getitem__, default=None)


def time_in_turns(
    candidates: Mapping[str, Call],
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Return the timing of candidates within about `seconds`, compilation not counted.

    Each is called once to compile, and again to see whether it is hopeless; the others then take
    turns, so that a machine that slows down slows them all.

    Example:
        >>> time_in_turns({"sum": lambda: sum(range(9)), "bad": lambda: 1 / 0}, 0.01).best
        'sum'
    """
    timing = Timing()
    once: dict[str, float] = {}
    for name, call in candidates.items():
        try:
            start = clock()
            call()
            timing.first_call_seconds[name] = clock() - start
            once[name] = _shortest(call, clock)
        except Exception as error:  # Whatever a backend refuses: the others are still timed.
            timing.failed[name] = f"{type(error).__name__}: {str(error)[:200]}"
    if not once:
        return timing
    limit = HOPELESS * min(once.values())
    racing = [name for name, spent in once.items() if spent <= limit]
    times: dict[str, list[float]] = {name: [] for name in racing}
    turns, end = 0, clock() + seconds
    while turns < LEAST_TURNS or (turns < MOST_TURNS and clock() < end):
        for name in racing:
            start = clock()
            candidates[name]()
            times[name].append(clock() - start)
        turns += 1
    for name, spent in once.items():
        timing.microseconds[name] = 1e6 * (quantiles(times[name])[0] if name in times else spent)
    return timing


def _shortest(call: Call, clock: Callable[[], float]) -> float:
    """Return the seconds of a call; a short one is repeated, as anything may interrupt it."""
    spent: list[float] = []
    while not spent or (len(spent) < LEAST_TURNS and spent[0] < SHORT):
        start = clock()
        call()
        spent.append(clock() - start)
    return min(spent)

"""A candidate: one way to do a workload, with where it runs and how it wants its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Candidate:
    """A function of the workload's operands.

    `operands` and `output` say how it wants them and what it returns (`benchmarks.layouts`);
    nothing means the workload's own way. Putting data into that order isn't timed: a
    user of that way keeps it so. `channels_last` asks for PyTorch's memory format. One that
    does other work on purpose, such as zero padding beside mirroring, isn't `comparable`.
    """

    name: str
    function: Callable[..., Any]
    backends: tuple[str, ...] = BACKENDS
    operands: tuple[str, ...] = ()
    output: str = ""
    channels_last: bool = False
    comparable: bool = True

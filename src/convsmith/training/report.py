"""How a run tells its caller what it is doing, without knowing how that is shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One epoch of the history; `test_*` is measured on the test part at the end of the epoch."""

    conv: str
    epoch: int
    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    milliseconds_per_step: float


class Reporter:
    """Receives the progress of a run; this one says nothing. Override what you want to show."""

    def start(self, conv: str, *, epochs: int, done: int, steps: int) -> None:
        """Training of `conv` begins; `done` epochs were already there (a resumed run)."""

    def step(self, loss: float, accuracy: float) -> None:
        """One batch is done; the averages are over the epoch so far."""

    def epoch(self, row: Row) -> None:
        """One epoch is done and safe on disk."""

    def finish(self) -> None:
        """Training of the convolution last started is over."""


QUIET = Reporter()

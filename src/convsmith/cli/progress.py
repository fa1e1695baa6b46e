"""The progress bar of a training run; without a terminal, one line per epoch."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from convsmith.training import Reporter, Row


class Bar(Reporter):
    """Draws one bar per convolution, over all its steps."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def start(self, conv: str, *, epochs: int, done: int, steps: int) -> None:
        if done >= epochs:
            self._console.print(f"[bold]{conv}[/]: its {done} epochs were already there.")
            return
        again = f", continuing after epoch {done}" if done else ""
        self._console.print(f"Training with [bold]{conv}[/] convolutions{again}")
        self._epochs, self._width = epochs, len(str(epochs))
        if not self._console.is_terminal:
            return
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:7.2%}"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
            transient=True,
        )
        self._task = progress.add_task(
            conv, total=epochs * steps, completed=done * steps, loss=0.0, accuracy=0.0
        )
        progress.start()
        self._progress = progress

    def step(self, loss: float, accuracy: float) -> None:
        if self._progress:
            self._progress.update(self._task, advance=1, loss=loss, accuracy=accuracy)

    def epoch(self, row: Row) -> None:
        self._console.print(
            f"  epoch {row.epoch:{self._width}}/{self._epochs}"
            f"   training {row.accuracy:7.2%} (loss {row.loss:.4f})"
            f"   test {row.test_accuracy:7.2%} (loss {row.test_loss:.4f})   {row.seconds:.1f} s",
            soft_wrap=True,
        )

    def finish(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

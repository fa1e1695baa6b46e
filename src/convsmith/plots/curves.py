"""How training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convsmith.plots.style import COLOURS, INK, new_figure, style_axes


def save_curves(path: Path, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draw accuracy and loss by epoch, a colour per convolution.

    Args:
        path: The PNG to write.
        histories: For each name its rows with `epoch`, `loss`, `accuracy`, `test_loss` and
            `test_accuracy`.
    """
    figure = new_figure(figsize=(10.0, 4.0))
    for axes, key, title in zip(
        figure.subplots(1, 2), ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True
    ):
        for colour, (name, rows) in zip(_cycle(len(histories)), histories.items(), strict=True):
            epochs = [row["epoch"] for row in rows]
            test = [row[f"test_{key}"] for row in rows]
            axes.plot(epochs, test, "o-", color=colour, lw=2.2, ms=5, label=f"{name}, test")
            axes.plot(
                epochs,
                [row[key] for row in rows],
                "--",
                color=colour,
                lw=1.3,
                alpha=0.7,
                label=f"{name}, training (with dropout)",
            )
        style_axes(axes, title)
        if key == "accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        else:
            # The first epochs' loss is far above the last's, where the difference lies.
            axes.set_yscale("log")
            axes.yaxis.get_major_locator().set_params(subs=(1.0, 2.0, 5.0))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        labelcolor=INK,
    )
    figure.savefig(path, dpi=150)


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]

"""Pictures of training runs and kernels, drawn with Matplotlib.

It comes with `pip install 'convsmith[plots]'`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convsmith.errors import UnsupportedError, compose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#22303c"
FAINT = "#dfe5ea"
COLOURS = ("#c8502d", "#2f6f9f", "#5b8c3a", "#8a5aa3")


def new_figure(**options: Any) -> Figure:
    """Return an empty figure that needs no display and no pyplot state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            compose("plots", "Matplotlib is missing", fix="pip install 'convsmith[plots]'")
        ) from error
    figure = Figure(layout="constrained", facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


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


def style_axes(axes: Any, title: str) -> None:
    """Give a chart its title and the look that all of them share."""
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.grid(color=FAINT, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def save_kernels(path: Path, kernels: Mapping[str, np.ndarray], *, columns: int = 8) -> None:
    """Draw the filters of each kernel, (height, width, in, out), as a grid of small squares.

    One input channel: red is positive, blue negative, white zero, each filter on its own scale.
    Three: as RGB. Otherwise the mean over the input channels.
    """
    kernels = {name: kernel for name, kernel in kernels.items() if kernel.shape[-1]}
    if not kernels:
        raise UnsupportedError(compose("plots", "there is no kernel to draw"))
    rows = max(-(-kernel.shape[-1] // columns) for kernel in kernels.values())
    figure = new_figure(figsize=(0.52 * columns * len(kernels) + 0.3, 0.5 * rows + 0.7))
    panels = figure.subfigures(1, len(kernels), squeeze=False, wspace=0.05)[0]
    for panel, (name, kernel) in zip(panels, kernels.items(), strict=True):
        height, width, channels, count = kernel.shape
        panel.suptitle(
            f"{name}: {count} kernels of {height}x{width}x{channels}",
            color=INK,
            fontweight="bold",
            fontsize=11,
        )
        grid = panel.subplots(rows, columns, squeeze=False)
        for index, axes in enumerate(grid.flat):
            axes.set_axis_off()
            if index < count:
                _draw_filter(axes, kernel[..., index])
        if channels != 3:
            mean = "" if channels == 1 else "mean over the input channels; "
            note = f"{mean}red above zero, blue below, each on its own scale"
            panel.supxlabel(note, color=INK, fontsize=8)
    figure.savefig(path, dpi=150)


def _draw_filter(axes: Any, taps: np.ndarray) -> None:
    if taps.shape[-1] == 3:
        low, high = float(taps.min()), float(taps.max())
        show_image(axes, (taps - low) / max(high - low, 1e-12))
    else:
        show_image(axes, taps.mean(axis=-1), signed=True)


def show_image(axes: Any, image: np.ndarray, title: str = "", *, signed: bool = False) -> None:
    """Show (height, width) or RGB (height, width, 3) without ticks, in a faint frame.

    Args:
        axes: Where to draw.
        image: Grey levels on their own scale, or RGB in 0..1.
        title: What stands above it.
        signed: Whether red is positive, blue negative and white zero, instead of grey levels.
    """
    limits: dict[str, float] = {}
    if signed:
        limit = max(float(np.abs(image).max()), 1e-12)
        limits = {"vmin": -limit, "vmax": limit}
    colours = "RdBu_r" if signed else "gray"
    axes.imshow(image, cmap=colours, interpolation="nearest", **limits)
    axes.set_title(title, color=INK, fontsize=9)
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)

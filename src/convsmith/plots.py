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
GAPS = "#aab4bd"
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
        limit = max(float(np.nanmax(np.abs(image))), 1e-12)
        limits = {"vmin": -limit, "vmax": limit}
    colours = "RdBu_r" if signed else "gray"
    axes.imshow(image, cmap=colours, interpolation="nearest", **limits)
    axes.set_title(title, color=INK, fontsize=9)
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def save_sheet(path: Path, kernels: Mapping[str, np.ndarray], *, columns: int = 9) -> None:
    """Draw kernels as a contact sheet: a square for each, with all of its slices and filters.

    Red is positive, blue negative, white zero; each filter on its own scale.

    Args:
        path: The PNG to write.
        kernels: For each name its parts, (parts, rows, columns).
        columns: How many stand side by side.
    """
    rows = -(-len(kernels) // columns)
    figure = new_figure(figsize=(1.5 * columns, 1.68 * rows + 0.5))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, parts) in zip(grid.flat, kernels.items(), strict=False):
        title = f"{name} ({len(parts)})" if len(parts) > 1 else name
        show_image(axes, montage(parts), signed=True)
        axes.set_facecolor(GAPS)
        axes.set_title(title, color=INK, fontsize=min(8.5, 160 / len(title)))
    note = (
        "Red is above zero, blue below, white zero, each filter on its own scale. "
        "Banks show all filters, volumes all slices."
    )
    figure.supxlabel(note, color=INK, fontsize=9)
    figure.savefig(path, dpi=130)


def montage(parts: np.ndarray) -> np.ndarray:
    """Return (parts, rows, columns) as one picture, each on its own scale, with gaps between."""
    if len(parts) == 1:
        return parts[0]
    # Gaps are thinner than the entries of small filters.
    larger = max(1, 40 // max(parts.shape[1:]))
    parts = parts.repeat(larger, axis=1).repeat(larger, axis=2)
    count, height, width = parts.shape
    across = count if count < 4 else int(np.ceil(np.sqrt(count * height / width)))
    down = -(-count // across)
    gap = max(1, round(0.08 * max(height, width)))
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap), np.nan)
    for index, part in enumerate(parts):
        top, left = index // across * (height + gap), index % across * (width + gap)
        scaled = part / max(float(np.abs(part).max()), 1e-12)
        sheet[top : top + height, left : left + width] = scaled
    return sheet


def save_kernel(path: Path, name: str, parts: np.ndarray, responses: np.ndarray) -> None:
    """Draw a kernel, or the filters of a bank, each above its frequency response.

    Args:
        path: The PNG to write.
        name: What it is called.
        parts: (parts, rows, columns).
        responses: For each part the gain at frequencies from -1/2 to 1/2 along both axes.
    """
    columns = min(len(parts), 8)
    rows = -(-len(parts) // columns)
    figure = new_figure(figsize=(max(1.9 * columns, 5.0), 3.9 * rows + 0.8))
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (part, response) in enumerate(zip(parts, responses, strict=True)):
        top, column = 2 * (index // columns), index % columns
        title = f"filter {index}" if len(parts) > 1 else "entries"
        show_image(grid[top, column], part, title, signed=True)
        show_image(grid[top + 1, column], response, f"gain up to {response.max():.3g}")
    figure.suptitle(name, color=INK, fontweight="bold", fontsize=11)
    note = "Gain: frequency 0 in the middle, half a cycle per pixel at the edges; white is largest"
    figure.supxlabel(note, color=INK, fontsize=8)
    figure.savefig(path, dpi=130)

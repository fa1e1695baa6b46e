"""What a kernel does to waves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import KernelError, compose
from convsmith.plots.style import (
    COLOURS,
    FAINT,
    INK,
    TINY,
    axes_or_new,
    new_figure,
    show_image,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

FLOOR = -80.0
"""In decibels: what lies below it is drawn as nothing."""

STEPS = 257
"""Frequencies along a curve."""

WAVES = "{} frequency (cycles per pixel)"


def plot_frequency_response(
    kernel: Any,
    ax: Any = None,
    *,
    ndim: int | None = None,
    decibels: bool = False,
    title: str | None = None,
) -> Axes:
    """Draw by how much the correlation with a kernel multiplies waves: its gain.

    Equation: ``gain(f) = |sum over t of kernel[t] * exp(2 pi i f . t)|``; in decibels
    ``20 log10(gain)``. One axis gives a curve from 0 to half a cycle per pixel, two axes a map of
    all directions with frequency 0 in the middle.

    Args:
        kernel: a name such as ``"gaussian(sigma=1)"``, or an array-like of one or two axes;
            complex ones too. With ``ndim=1`` an array of two axes is a bank of lines.
        ax: the Matplotlib Axes to draw into; those of a new figure by default.
        ndim: number of spatial axes; the kernel's by default, 2 for names.
        decibels: whether the gain is drawn in decibels, down to -80.
        title: what stands above it; a named kernel's name by default.

    Returns:
        The Axes.

    Raises:
        KernelError: what isn't finite numbers, or a bank of two axes, or more axes.
        ArgumentError: an unknown name, or an `ax` that can't be drawn into.
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> curve = plot_frequency_response([0.25, 0.5, 0.25]).lines[0]
        >>> curve.get_ydata()[[0, -1]].round(6).tolist()
        [1.0, 0.0]

    Source: as `convsmith.kernels.frequency_response`.
    """
    name = kernel if isinstance(kernel, str) else ""
    rank = ndim if ndim is not None else 2 if name else np.ndim(kernel)
    array = kernels.get(kernel, ndim=rank) if isinstance(kernel, str) else np.asarray(kernel)
    allowed = {1: (1, 2), 2: (2,)}  # A bank of lines is several curves.
    if array.ndim not in allowed.get(rank, ()):
        raise KernelError(
            compose(
                f"kernel of shape {array.shape}",
                f"has {rank} spatial axes of {array.ndim}",
                expected="a line, a bank of lines with ndim=1, or one kernel of two axes",
                fix="kernel[..., 0], one filter of a bank or one slice of a volume",
            ),
            argument="kernel",
            value=array.shape,
        )
    heading = title if title is not None else name
    if rank == 1:
        return _curves(array, ax, decibels, heading)
    gain = np.abs(kernels.frequency_response(array).response)
    axes = axes_or_new(ax, figsize=(3.9, 3.3))
    shown = _in_decibels(gain) if decibels else gain
    low = max(FLOOR, float(shown.min())) if decibels else 0.0
    image = axes.imshow(
        shown, cmap="viridis", vmin=low, vmax=max(float(shown.max()), low + TINY),
        extent=(-0.5, 0.5, 0.5, -0.5), interpolation="bilinear",
    )  # fmt: skip
    axes.set_xlabel(WAVES.format("column"), color=INK, fontsize=8)
    axes.set_ylabel(WAVES.format("row"), color=INK, fontsize=8)
    axes.set_xticks([-0.5, 0.0, 0.5])
    axes.set_yticks([-0.5, 0.0, 0.5])
    axes.tick_params(colors=INK, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85)
    bar.outline.set_edgecolor(FAINT)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)
    bar.set_label("gain (dB)" if decibels else "gain", color=INK, fontsize=8)
    axes.set_title(heading, color=INK, fontsize=10)
    return axes


def _curves(array: Array, ax: Any, decibels: bool, heading: str) -> Axes:
    # Complex kernels tell a wave from its mirror image.
    first = -0.5 if array.dtype.kind == "c" else 0.0
    waves = np.linspace(first, 0.5, STEPS)
    response = kernels.frequency_response(array, waves, ndim=1).response
    gains = np.abs(response.reshape(STEPS, -1))
    axes = axes_or_new(ax, figsize=(4.6, 3.0))
    for index, gain in enumerate(gains.T):
        axes.plot(
            waves, _in_decibels(gain) if decibels else gain, lw=2,
            color=COLOURS[index % len(COLOURS)], label=f"filter {index}",
        )  # fmt: skip
    style_axes(axes, heading)
    axes.set_xlim(first, 0.5)
    if not decibels:
        axes.set_ylim(bottom=0.0)
    axes.set_xlabel(WAVES.format("").strip(), color=INK)
    axes.set_ylabel("gain (dB)" if decibels else "gain", color=INK)
    if gains.shape[1] > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=8)
    return axes


def _in_decibels(gain: Array) -> Array:
    return np.maximum(20 * np.log10(np.maximum(gain, TINY)), FLOOR)


def save_kernel(path: Path, name: str, parts: Array, responses: Array) -> None:
    """Write a PNG of a kernel, or the filters of a bank, each above its frequency response.

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

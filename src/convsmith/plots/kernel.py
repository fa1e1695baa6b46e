"""A kernel with its numbers written in its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsmith.kernels.fractions import common_denominator
from convsmith.plots.given import check_axes, real_kernel
from convsmith.plots.style import GAPS, INK, SIGNED, axes_or_new, frame, largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

MOST_NUMBERED = 15
"""Numbers in more rows or columns than these would be too small to read."""

DARK = 0.6
"""From this share of the largest entry on, white is read better than ink."""

CELL_INCHES = 0.62


def plot_kernel(
    kernel: Any, ax: Any = None, *, numbers: bool = True, title: str | None = None
) -> Axes:
    """Draw a kernel as cells with their numbers: red above zero, blue below, white zero.

    Args:
        kernel: a name such as ``"sobel_x"`` or ``"gaussian(sigma=1)"``, or an array-like of one or
            two axes, (rows, columns).
        ax: the Matplotlib Axes to draw into; those of a new figure by default.
        numbers: whether entries are written, as whole numbers over one denominator where there is
            one. Kernels of more than 15 rows or columns are drawn without.
        title: what stands above it; a named kernel's name by default.

    Returns:
        The Axes. ``axes.figure.savefig("kernel.png")`` writes a new figure.

    Raises:
        KernelError: what isn't real numbers, or has another number of axes.
        ArgumentError: an unknown name, or an `ax` that can't be drawn into.
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> axes = plot_kernel("sobel_x")
        >>> [text.get_text() for text in axes.texts]
        ['-1', '0', '1', '-2', '0', '2', '-1', '0', '1']

    Source: none.
    """
    array = real_kernel(kernel, 2)
    check_axes(array, (1, 2), "plot_bank(kernel) for banks, ndim=3 for volumes")
    cells = np.atleast_2d(array)
    rows, columns = cells.shape
    numbered = numbers and max(rows, columns) <= MOST_NUMBERED
    axes = axes_or_new(
        ax, figsize=(max(CELL_INCHES * columns, 1.6) + 0.2, max(CELL_INCHES * rows, 0.6) + 0.5)
    )
    draw_cells(axes, cells)
    heading = title if title is not None else kernel if isinstance(kernel, str) else ""
    if numbered:
        texts, denominator = _texts(cells)
        _write(axes, cells, texts)
        if denominator > 1:
            heading = f"{heading}  (1/{denominator} of)" if heading else f"1/{denominator} of"
    axes.set_title(heading, color=INK, fontsize=10)
    return axes


def draw_cells(axes: Axes, cells: Array) -> None:
    """Draw (rows, columns) in signed colours; entries that are never chosen are grey."""
    limit = largest(cells)
    shown = np.ma.masked_where(~np.isfinite(cells), cells)
    axes.imshow(shown, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_facecolor(GAPS)
    frame(axes)


def _texts(cells: Array) -> tuple[list[str], int]:
    """Return the entries as text, row by row, and what all are over."""
    finite = cells[np.isfinite(cells)]
    denominator = common_denominator(finite) or 1
    scaled = cells * denominator
    if (scaled[np.isfinite(cells)] == np.rint(scaled[np.isfinite(cells)])).all() or denominator > 1:
        whole = np.where(np.isfinite(scaled), np.rint(scaled), scaled)
        return [_whole(value) for value in whole.ravel()], denominator
    # Three digits of the largest entry; what is nothing beside it is 0.
    digits = max(0, 2 - int(np.floor(np.log10(largest(cells)))))
    if digits > 4:
        return [f"{value:.2g}" if np.isfinite(value) else _whole(value) for value in cells.flat], 1
    return [
        (f"{value:.{digits}f}" if abs(value) >= 0.5 * 10.0**-digits else "0")
        if np.isfinite(value)
        else _whole(value)
        for value in cells.flat
    ], 1


def _whole(value: float) -> str:
    if np.isfinite(value):
        return f"{int(value)}"
    return "-∞" if value < 0 else "∞"


def _write(axes: Axes, cells: Array, texts: list[str]) -> None:
    """Write a text into each cell, as large as the longest one fits."""
    rows, columns = cells.shape
    limit = largest(cells)
    box = axes.get_window_extent()
    side = 72 / axes.figure.dpi * min(box.width / columns, box.height / rows)
    size = min(12.0, 0.5 * side, 1.3 * side / max(map(len, texts)))
    for index, text in enumerate(texts):
        row, column = divmod(index, columns)
        value = cells[row, column]
        dark = np.isfinite(value) and abs(value) > DARK * limit
        axes.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color="white" if dark else INK,
        )  # fmt: skip

"""Banks as contact sheets: a square for each kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.plots.given import real_kernel
from convsmith.plots.style import (
    GAPS,
    INK,
    SIGNED,
    TINY,
    figure_or_new,
    frame,
    largest,
    new_figure,
    show_image,
)

Array = NDArray[Any]

Scale = Literal["each", "shared"]

MOST_COLUMNS = 8


def plot_bank(
    bank: Any,
    figure: Any = None,
    *,
    ndim: int = 2,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    scale: Scale = "each",
) -> Any:
    """Draw kernels as a contact sheet: red above zero, blue below, white zero.

    Args:
        bank: a name such as ``"leung_malik"``, an array-like with the filters on its last axis, a
            list of kernels or names, or a dict of titles with kernels.
        figure: the Matplotlib Figure or SubFigure to draw into; a new one by default.
        ndim: number of spatial axes, 1 to 3; volumes show all of their slices.
        titles: what stands above each; names, or the number of each filter, by default.
        columns: how many stand side by side; at most 8 by default.
        scale: ``"each"`` its own colours, or ``"shared"``: the same number has the same colour.

    Returns:
        The figure, with axes for each kernel.

    Raises:
        KernelError: what isn't real numbers, or has another number of axes.
        ArgumentError: unknown names, wrong arguments, or not one title for each kernel.
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> figure = plot_bank(["sobel_x", "sobel_y"])
        >>> [axes.get_title() for axes in figure.axes]
        ['sobel_x', 'sobel_y']

    Source: none.
    """
    if ndim not in (1, 2, 3):
        raise _wrong("ndim", ndim, "is no number of spatial axes", "1, 2 or 3", "ndim=2")
    if scale not in ("each", "shared"):
        raise _wrong("scale", scale, "is not known", "'each' or 'shared'", 'scale="each"')
    named = _named(bank, ndim)
    if columns is None:
        columns = min(len(named), MOST_COLUMNS)
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise _wrong("columns", columns, "is no number of columns", "1 or more", "columns=8")
    if titles is not None:
        if len(titles) != len(named):
            raise _wrong(
                "titles", titles, f"are {len(titles)} for {len(named)} kernels",
                "one for each kernel", "titles=None",
            )  # fmt: skip
        named = list(zip(titles, (kernel for _, kernel in named), strict=True))
    limit = max(largest(kernel) for _, kernel in named) if scale == "shared" else None
    rows = -(-len(named) // columns)
    figure = figure_or_new(figure, figsize=(1.25 * columns + 0.1, 1.5 * rows + 0.1))
    draw_squares(figure, [(t, _slices(k, ndim)) for t, k in named], columns, limit)
    return figure


def _named(bank: Any, ndim: int) -> list[tuple[str, Array]]:
    """Return a title and one kernel for each square."""
    if isinstance(bank, Mapping):
        entries = list(bank.items())
    elif isinstance(bank, list | tuple) and any(
        isinstance(k, str) or getattr(k, "ndim", 0) for k in bank
    ):
        entries = [(k if isinstance(k, str) else str(i), k) for i, k in enumerate(bank)]
    else:
        entries = [("", bank)]
    named: list[tuple[str, Array]] = []
    for title, kernel in entries:
        array = real_kernel(kernel, ndim)
        if array.ndim == ndim:
            named.append((title or "0", array))
            continue
        if array.ndim != ndim + 1:
            raise KernelError(
                compose(
                    f"kernel of shape {array.shape}",
                    f"has {array.ndim} axes",
                    expected=f"{ndim} spatial axes, and one more for a bank",
                    fix="ndim=3 for volumes",
                ),
                argument="bank",
                value=array.shape,
            )
        single = array.shape[-1] == 1
        named += [
            (title if single and title else f"{title} {i}".strip(), array[..., i])
            for i in range(array.shape[-1])
        ]
    if not named:
        raise KernelError(
            compose("bank", "holds no kernel", expected="at least one", fix='["sobel_x"]'),
            argument="bank",
        )
    return named


def _wrong(argument: str, value: Any, problem: str, expected: str, fix: str) -> ArgumentError:
    return ArgumentError(
        compose(f"plot_bank({argument}={value!r})", problem, expected=expected, fix=fix),
        argument=argument,
        value=value,
    )


def _slices(kernel: Array, ndim: int) -> Array:
    """Return (slices, rows, columns)."""
    return kernel.reshape((-1, *(1,) * max(0, 2 - ndim), *kernel.shape[-2:]))


def draw_squares(
    figure: Any, squares: Sequence[tuple[str, Array]], columns: int, limit: float | None = None
) -> None:
    """Draw titled squares of (parts, rows, columns) side by side.

    Args:
        figure: where to draw.
        squares: a title and the parts of each.
        columns: how many stand side by side.
        limit: what has the strongest colour; each square's own largest entry by default.
    """
    rows = -(-len(squares) // columns)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(squares) :]:
        axes.remove()
    for axes, (title, parts) in zip(grid.flat, squares, strict=False):
        if limit is None:
            show_image(axes, montage(parts), signed=True)
        else:
            axes.imshow(
                montage(parts, limit), cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest"
            )
            frame(axes)
        axes.set_facecolor(GAPS)
        axes.set_title(title, color=INK, fontsize=min(8.5, 160 / max(len(title), 1)))


def montage(parts: Array, limit: float | None = None) -> Array:
    """Return (parts, rows, columns) as one picture, with gaps between.

    Args:
        parts: -inf entries, which are never chosen, become gaps.
        limit: what becomes 1; of several parts each one's own largest entry by default.
    """
    parts = np.where(np.isfinite(parts), parts, np.nan)
    if len(parts) == 1:
        return parts[0] if limit is None else parts[0] / limit
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
        scaled = part / (limit or max(largest(part), TINY))
        sheet[top : top + height, left : left + width] = scaled
    return sheet


def save_sheet(path: Path, sheet: Mapping[str, Array], *, columns: int = 9) -> None:
    """Write a PNG of kernels as a contact sheet: for each all of its slices and filters.

    Red is positive, blue negative, white zero; each filter on its own scale.

    Args:
        path: The PNG to write.
        sheet: For each name its parts, (parts, rows, columns).
        columns: How many stand side by side.
    """
    rows = -(-len(sheet) // columns)
    figure = new_figure(figsize=(1.5 * columns, 1.68 * rows + 0.5))
    squares = [(f"{n} ({len(p)})" if len(p) > 1 else n, p) for n, p in sheet.items()]
    draw_squares(figure, squares, columns)
    note = (
        "Red is above zero, blue below, white zero, each filter on its own scale. "
        "Banks show all filters, volumes all slices."
    )
    figure.supxlabel(note, color=INK, fontsize=9)
    figure.savefig(path, dpi=130)

"""The look that all pictures share, and where they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, UnsupportedError, compose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

INK = "#22303c"
FAINT = "#dfe5ea"
GAPS = "#aab4bd"
COLOURS = ("#c8502d", "#2f6f9f", "#5b8c3a", "#8a5aa3")

SIGNED = "RdBu_r"
"""Red above zero, blue below, white zero: told apart by those who see no red or no green too."""

TINY = 1e-12


def new_figure(**options: Any) -> Figure:
    """Return an empty figure that needs no display and no pyplot state.

    Args:
        **options: of `matplotlib.figure.Figure`.

    Raises:
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> new_figure(figsize=(4, 3)).get_size_inches().tolist()
        [4.0, 3.0]
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            compose("plots", "Matplotlib is missing", fix="pip install 'convsmith[plots]'")
        ) from error
    # "constrained" cuts the titles of images, whose height follows from their width.
    options = {"layout": "compressed", "facecolor": "white", **options}
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def axes_or_new(ax: Any, **options: Any) -> Axes:
    """Return the axes that were given, or those of a new figure.

    Raises:
        ArgumentError: what isn't axes.
        UnsupportedError: Matplotlib isn't installed.
    """
    if ax is None:
        return new_figure(**options).subplots()
    figure = getattr(ax, "figure", None)
    if figure is None or not hasattr(ax, "imshow"):
        raise ArgumentError(
            compose(
                f"ax of type {type(ax).__name__}",
                "is not something to draw into",
                expected="one Matplotlib Axes, or None for a new figure",
                fix="figure, ax = matplotlib.pyplot.subplots()",
            ),
            argument="ax",
            value=ax,
        )
    return ax


def figure_or_new(figure: Any, **options: Any) -> Any:
    """Return the figure, or the part of one, that was given; or a new one.

    Raises:
        ArgumentError: what isn't a figure.
        UnsupportedError: Matplotlib isn't installed.
    """
    if figure is None:
        return new_figure(**options)
    if not hasattr(figure, "subfigures"):
        raise ArgumentError(
            compose(
                f"figure of type {type(figure).__name__}",
                "is not something to draw into",
                expected="a Matplotlib Figure or SubFigure, or None for a new one",
                fix='figure = matplotlib.pyplot.figure(layout="constrained")',
            ),
            argument="figure",
            value=figure,
        )
    return figure


def style_axes(axes: Axes, title: str) -> None:
    """Give a chart its title and the look that all of them share."""
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.grid(color=FAINT, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def show_image(axes: Axes, image: Array, title: str = "", *, signed: bool = False) -> None:
    """Show (height, width) or RGB (height, width, 3) without ticks, in a faint frame.

    Args:
        axes: Where to draw.
        image: Grey levels on their own scale, or RGB in 0..1.
        title: What stands above it.
        signed: Whether red is positive, blue negative and white zero, instead of grey levels.
    """
    limits: dict[str, Any] = {}
    if signed:
        limit = largest(image)
        limits = {"vmin": -limit, "vmax": limit}
    colours = SIGNED if signed else "gray"
    axes.imshow(image, cmap=colours, interpolation="nearest", **limits)
    axes.set_title(title, color=INK, fontsize=9)
    frame(axes)


def frame(axes: Axes) -> None:
    """Take the ticks away and draw a faint frame."""
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def largest(image: Array) -> float:
    """Return the largest absolute value that is finite; a tiny one where all are zero."""
    finite = np.abs(image[np.isfinite(image)])
    return max(float(finite.max(initial=0.0)), TINY)

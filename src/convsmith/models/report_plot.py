"""An explanation as a picture: where cost and weights are, and how receptive fields grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsmith.models.report import Explanation, LayerReport, amount
from convsmith.plots import COLOURS, FAINT, INK, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 24


def figure(explanation: Explanation) -> Figure:
    """Return bars of the layers' shares, and the receptive fields over the input."""
    shown = _shown(explanation)
    height = max(3.2, 0.9 + 0.3 * len(shown))
    made = new_figure(figsize=(11.0, height))
    bars, picture = made.subplots(1, 2, width_ratios=(3, 2))
    _draw_bars(bars, shown, explanation)
    _draw_fields(picture, explanation)
    title = (
        f"{explanation.name}: {amount(explanation.parameters)} parameters, "
        f"{amount(explanation.macs)} multiply-adds"
    )
    made.suptitle(title, color=INK, fontweight="bold", x=0.01, ha="left")
    return made


def _shown(explanation: Explanation) -> list[LayerReport]:
    """Return the layers with the largest shares, in order."""
    total = max(explanation.parameters, 1)
    able = [r for r in explanation.layers if r.share or r.parameters]
    able.sort(key=lambda r: -max(r.share or 0.0, r.parameters / total))
    kept = {id(r) for r in able[:MOST_BARS]}
    return [r for r in explanation.layers if id(r) in kept]


def _draw_bars(axes: Any, shown: list[LayerReport], explanation: Explanation) -> None:
    total = max(explanation.parameters, 1)
    places = range(len(shown))
    for offset, colour, label, values in (
        (-0.2, COLOURS[1], "multiply-adds", [100 * (r.share or 0.0) for r in shown]),
        (0.2, COLOURS[0], "parameters", [100 * r.parameters / total for r in shown]),
    ):
        axes.barh([p + offset for p in places], values, 0.38, color=colour, label=label)
    few = len(shown) < len([r for r in explanation.layers if r.share or r.parameters])
    style_axes(axes, f"The {len(shown)} largest layers" if few else "Shares of the layers")
    axes.set_yticks(list(places), [_short(r.name) for r in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:g} %")
    if shown:
        axes.legend(frameon=False, labelcolor=INK, loc="lower right")


def _draw_fields(axes: Any, explanation: Explanation) -> None:
    """Draw the fields around a central position, the input's first two known axes."""
    from matplotlib.patches import Rectangle

    rows = [r.receptive_field for r in explanation.layers if r.patterns and r.receptive_field]
    title = "Receptive fields over the input"
    style_axes(axes, title)
    spans = [
        [f for f in fields if f.input == fields[0].input and f.size is not None][-2:]
        for fields in rows
    ]
    spans = [s for s in spans if s and s[-1].extent is not None and s[0].extent is not None]
    if not spans:
        axes.set_axis_off()
        axes.set_title("Receptive fields: the input's sizes aren't known", loc="left", color=INK)
        return
    height, width = (float(spans[0][i].extent or 1) for i in (0, -1))
    if len(spans[0]) == 1:
        height = max(width / 6, 1.0)
    axes.add_patch(Rectangle((0, 0), width, height, fill=False, edgecolor=INK, lw=1.4))
    seen: dict[tuple[float, float], None] = {}
    for span in spans:
        across = float(span[-1].size or 0)
        seen[(height if len(span) == 1 else float(span[0].size or 0), across)] = None
    sizes = sorted(seen, reverse=True)
    for number, (tall, broad) in enumerate(sizes):
        corner = ((width - broad) / 2, (height - tall) / 2)
        strength = 0.12 + 0.5 * number / max(len(sizes), 1)
        axes.add_patch(
            Rectangle(corner, broad, tall, facecolor=COLOURS[1], alpha=strength, edgecolor="none")
        )
        axes.add_patch(Rectangle(corner, broad, tall, fill=False, edgecolor=COLOURS[1], lw=0.8))
    widest, tallest = max(width, sizes[0][1]), max(height, max(s[0] for s in sizes))
    axes.set_xlim(width / 2 - 0.52 * widest, width / 2 + 0.52 * widest)
    axes.set_ylim(height / 2 + 0.52 * tallest, height / 2 - 0.52 * tallest)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_facecolor("white")
    axes.set_xlabel(f"input of {height:g} x {width:g}, each layer's window", color=INK)
    if len(spans[0]) == 1:
        axes.set_yticks([])
        axes.set_xlabel(f"input of {width:g}, each layer's window", color=INK)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:14]}...{name[-15:]}"

"""The results as a Markdown table and as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = (
    "work",
    "backend",
    "mode",
    "direction",
    "lowering",
    "ms",
    "of the roofline",
    "keras / ours",
    "best other / ours",
    "best other",
    "compile s",
    "extra MB",
)
OURS = ("convsmith", "zero padding", "plain keras layer")
"""Not among the others: ourselves, and those that do less work."""


def milliseconds(row: Row, name: str) -> float | None:
    """Return a candidate's time, None where it has none."""
    return row["results"].get(name, {}).get("milliseconds")


def ratio(row: Row, name: str) -> float | None:
    """Return how many times longer another candidate takes than convsmith."""
    other, ours = milliseconds(row, name), milliseconds(row, "convsmith")
    return None if other is None or ours is None else other / ours


def best_other(row: Row) -> str:
    """Return the fastest of the bare backends' ways, "" where none ran."""
    times = {
        name: time
        for name in row["results"]
        if name not in (*OURS, "keras") and (time := milliseconds(row, name)) is not None
    }
    return min(times, key=lambda name: times[name], default="")


def share_of_roofline(row: Row) -> float | None:
    """Return the machine's limit as a share of our time; above 1 where we compute less."""
    ours = milliseconds(row, "convsmith")
    return row["roofline_milliseconds"] / ours if ours and row["roofline_milliseconds"] else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def table(content: Mapping[str, Any]) -> str:
    """Return what was measured where, then one line for each row.

    Ratios above 1 mean that convsmith is faster.
    """
    machine = content["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    lines = [
        f"{machine['processor']}, two threads; commit {content['commit']}; {versions}.",
        "",
        *(
            f"- {backend}: peak {limit['gflops']:.0f} GFLOP/s, copies {limit['copy_gb']:.0f} GB/s"
            for backend, limit in content["limits"].items()
        ),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for row in content["rows"]:
        ours = row["results"].get("convsmith", {})
        cells = [row[k] for k in ("workload", "backend", "mode", "direction", "lowering")]
        fails = "fails" if "convsmith" in row["failed"] else ""
        cells.append(_number(ours.get("milliseconds"), ".3g") or fails)
        cells.append(_number(share_of_roofline(row), ".0%"))
        why = row["failed"].get("keras", "")
        keras = "left out" if why.startswith("left out") else "fails" if why else ""
        cells.append(_number(ratio(row, "keras"), ".2f") or keras)
        best = best_other(row)
        cells += [_number(ratio(row, best), ".2f"), best]
        cells.append(_number(ours.get("compile_seconds"), ".2f"))
        extra = ours.get("extra_bytes")
        cells.append(_number(None if extra is None else extra / 1e6, ".1f"))
        lines.append(f"| {' | '.join(cells)} |")
    failures = [
        f"- {row['workload']}, {row['backend']} {row['mode']} {row['direction']}: {name}: {why}"
        for row in content["rows"]
        for name, why in row["failed"].items()
        if not why.startswith("left out")
    ]
    if failures:
        lines += ["", "What failed:", "", *failures]
    return "\n".join(lines) + "\n"


def _figure(*arguments: Any, **options: Any) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(*arguments, layout="constrained", facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw how many times longer a Keras user's code takes, work by work."""
    names = list(dict.fromkeys(r["workload"] for r in rows))
    kinds = list(dict.fromkeys((r["backend"], r["mode"]) for r in rows))
    figure = _figure(figsize=(14, 1.8 + 0.3 * len(names)))
    panels = figure.subplots(1, 2, sharey=True)
    groups = (("forward", "inference"), ("backward", "train step"))
    for axis, directions in zip(panels, groups, strict=True):
        for number, kind in enumerate(kinds):
            points = []
            for row in rows:
                if (row["backend"], row["mode"]) != kind or row["direction"] not in directions:
                    continue
                steps = row["direction"] not in ("forward", "backward")
                value = ratio(row, "what users write" if steps else "keras")
                if value is not None:
                    points.append((value, names.index(row["workload"])))
            axis.plot(
                [x for x, _ in points],
                [y + 0.1 * (number - len(kinds) / 2) for _, y in points],
                "o",
                ms=4,
                label=" ".join(kind),
            )
        axis.axvline(1, color="#888888", linewidth=1)
        axis.set_xscale("log")
        axis.set_title(f"{directions[0]}: time of Keras's way / ours", fontsize=10)
        axis.set_xlabel("right of 1: ours is faster")
        axis.grid(alpha=0.3)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].invert_yaxis()
    panels[1].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)


Curve = list[tuple[float, float]]


def draw_scale(curves: Mapping[str, Mapping[str, Mapping[str, Curve]]], path: Path) -> None:
    """Draw milliseconds against size: a row of panels for each series, one for each backend.

    Args:
        curves: series -> "backend mode" -> candidate -> (size, milliseconds) in order.
        path: the PNG to write.
    """
    places = list(dict.fromkeys(place for series in curves.values() for place in series))
    candidates = list(
        dict.fromkeys(name for s in curves.values() for place in s.values() for name in place)
    )
    colours = {name: f"C{i % 10}" for i, name in enumerate(candidates)}
    figure = _figure(figsize=(4.2 * len(places), 3.4 * len(curves) + 0.6))
    panels = figure.subplots(len(curves), len(places), squeeze=False)
    for axes, (title, series) in zip(panels, curves.items(), strict=True):
        for axis, place in zip(axes, places, strict=True):
            for name, curve in series.get(place, {}).items():
                ours = name == "convsmith"
                axis.plot(
                    [x for x, _ in curve],
                    [y for _, y in curve],
                    "o-",
                    ms=3,
                    color="black" if ours else colours[name],
                    linewidth=2.5 if ours else 1.2,
                    alpha=0.9 if ours else 0.8,
                    zorder=1 if ours else 2,
                    label=name,
                )
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.set_title(f"{title}\n{place}", fontsize=9)
            axis.set_ylabel("ms")
            axis.grid(alpha=0.3)
    handles = {
        label: handle
        for axis in figure.axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=2 * len(places)
    )
    figure.savefig(path, dpi=90)

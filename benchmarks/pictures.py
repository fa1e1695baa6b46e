"""The results as a Markdown table and as a picture."""

from __future__ import annotations

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
    "peer / ours",
)


def ratio(row: Row, name: str) -> float | None:
    """Return how many times longer another candidate takes than convsmith."""
    results = row["results"]
    if name not in results:
        return None
    return results[name]["milliseconds"] / results["convsmith"]["milliseconds"]


def table(rows: list[Row]) -> str:
    """Return one line for each row; ratios above 1 mean that convsmith is faster."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for row in rows:
        ours = row["results"]["convsmith"]["milliseconds"]
        share = row["roofline_milliseconds"] / ours if row["direction"] == "forward" else None
        cells = [row[k] for k in ("workload", "backend", "mode", "direction", "lowering")]
        cells += [f"{ours:.2f}", "" if share is None else f"{share:.0%}"]
        for name in ("keras", "peer"):
            value = ratio(row, name)
            cells.append(f"{value:.2f}" if value else "fails" if name in row["failed"] else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(rows: list[Row], path: Path) -> None:
    """Draw how many times longer a Keras user's code takes, work by work."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(r["workload"] for r in rows))
    kinds = list(dict.fromkeys((r["backend"], r["mode"]) for r in rows))
    figure, axes = plt.subplots(1, 2, figsize=(13, 1.5 + 0.32 * len(names)), sharey=True)
    for axis, direction in zip(axes, ("forward", "backward"), strict=True):
        for number, kind in enumerate(kinds):
            points = [
                (ratio(r, "keras"), names.index(r["workload"]))
                for r in rows
                if (r["backend"], r["mode"]) == kind and r["direction"] == direction
            ]
            points = [(x, y) for x, y in points if x is not None]
            axis.plot(
                [x for x, _ in points],
                [y + 0.1 * (number - len(kinds) / 2) for _, y in points],
                "o",
                label=" ".join(kind),
            )
        axis.axvline(1, color="#888888", linewidth=1)
        axis.set_xscale("log")
        axis.set_title(f"{direction}: time of Keras's way / ours (right of 1: ours is faster)")
        axis.grid(alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[1].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""Writes the tables of ``docs/performance.md`` from the results: ``python -m benchmarks.page``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import images
from benchmarks._measure import RESULTS
from benchmarks.pictures import best_other, ratio, share_of_roofline
from convsmith.files import write_text

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
NOTHING = "Nothing measured yet: run `make bench`, then `python -m benchmarks.page`."
Content = Mapping[str, Any]


def suite(content: Content) -> str:
    """Return how much faster convsmith is in the middle, by backend, mode and direction."""
    columns = ("backend", "mode", "direction", "rows", "keras / ours", "best other / ours")
    lines = [
        _where(content),
        "",
        f"| {' | '.join((*columns, 'slowest against others', 'of the roofline'))} |",
        f"|{'---|' * (len(columns) + 2)}",
    ]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in content["rows"]:
        place = (row["backend"], row["mode"], row["direction"])
        groups.setdefault(place, []).append(row)
    for place, rows in groups.items():
        keras = _known(ratio(row, "keras") for row in rows)
        others = _known(ratio(row, best_other(row)) for row in rows)
        shares = _known(share_of_roofline(row) for row in rows)
        cells = [*place, str(len(rows)), _middle(keras, ".2f"), _middle(others, ".2f")]
        cells += [f"{min(others):.2f}" if others else "", _middle(shares, ".0%")]
        lines.append(f"| {' | '.join(cells)} |")
    name = content["name"]
    lines += ["", f"Medians of ratios; every row is in `{name}.md`, and in the picture:", ""]
    return "\n".join([*lines, f"![Keras's time / ours](../benchmarks/results/{name}.png)"])


def goals(content: Content) -> str:
    """Return for each kind of goal how many are met, and the range that was measured."""
    columns = ("goal", "backend", "mode", "wanted", "measured", "met")
    lines = [_where(content), "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for goal in content["goals"]:
        sign = ">=" if goal["measure"] == "ratio" else "<="
        key = (goal["text"], goal["backend"], goal["mode"], f"{sign} {goal['wanted']:g}")
        groups.setdefault(key, []).append(goal)
    for key, found in groups.items():
        values = sorted(_known(goal["measured"] for goal in found))
        measured = f"{values[0]:.3g} to {values[-1]:.3g}" if values else ""
        met = f"{sum(bool(goal['met']) for goal in found)} of {len(found)}"
        lines.append(f"| {' | '.join((*key, measured, met))} |")
    return "\n".join([*lines, "", "Each goal is in `goals.md`."])


TABLES: dict[str, Callable[[Content], str]] = {
    "suite": suite,
    "goals": goals,
    "images": images.page,
}


def _where(content: Content) -> str:
    machine = content["machine"]
    return f"Measured on {machine['processor']}, two threads, commit {content['commit']}."


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _middle(values: Sequence[float], form: str) -> str:
    return format(median(values), form) if values else ""


def filled(text: str, folder: Path) -> str:
    """Return a page with its tables written from the results of a folder."""

    def fill(match: re.Match[str]) -> str:
        body = NOTHING
        # The full run's results, else the quick one's.
        for path in (folder / f"{match[1]}.json", folder / f"{match[1]}-quick.json"):
            if path.exists():
                content = {"name": path.stem, **json.loads(path.read_text(encoding="utf-8"))}
                body = TABLES[match[1]](content)
                break
        return f"<!-- table: {match[1]} -->\n\n{body}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main() -> None:
    """Write the page."""
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), RESULTS))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()

"""What changed between two results: ``python -m benchmarks.compare A.json B.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.session import PLACE, SCHEMA

Key = tuple[str, ...]


def read(path: Path) -> dict[str, Any]:
    """Return the content of a result file.

    Raises:
        SystemExit: it has another version than this code reads.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("schema") != SCHEMA:
        raise SystemExit(
            f"{path}: schema {content.get('schema')!r}; expected {SCHEMA}. Try: measure again."
        )
    return content


def changes(
    before: dict[str, Any], after: dict[str, Any], threshold: float, every: bool = False
) -> list[str]:
    """Return the lines of the report: times that moved, failures that came or went, rows of one.

    Only convsmith's times count unless `every` candidate is asked for.
    """
    old = {tuple(row[p] for p in PLACE): row for row in before["rows"]}
    new = {tuple(row[p] for p in PLACE): row for row in after["rows"]}
    lines: list[str] = []
    for key in ("machine", "limits"):
        if before[key] != after[key]:
            lines.append(f"other {key}: {before[key]} -> {after[key]}")
    moved: list[tuple[float, str]] = []
    both = [key for key in old if key in new]
    for key in both:
        one, two = old[key], new[key]
        for name in one["results"]:
            if name != "convsmith" and not every:
                continue
            times = [r["results"].get(name, {}).get("milliseconds") for r in (one, two)]
            if None in times:
                continue
            factor = times[1] / times[0]
            if abs(factor - 1) > threshold:
                place = " | ".join(key) + (f" | {name}" if every else "")
                chosen = one["lowering"]
                if two["lowering"] != chosen:
                    chosen += f" -> {two['lowering']}"
                text = f"{times[0]:10.3f} -> {times[1]:10.3f} ms  {place}  {chosen}"
                moved.append((factor, f"{factor:6.2f}x  {text}"))
        for name in sorted(one["failed"].keys() | two["failed"].keys()):
            if (name in one["failed"]) != (name in two["failed"]):
                word = "fails now" if name in two["failed"] else "works now"
                lines.append(f"{word}: {' | '.join(key)} | {name}")
    lines += [text for _, text in sorted(moved, key=lambda pair: pair[0])]
    lines += [f"only before: {' | '.join(key)}" for key in old if key not in new]
    lines += [f"only after: {' | '.join(key)}" for key in new if key not in old]
    lines.append(f"{len(moved)} moved by more than {threshold:.0%} in {len(both)} common rows")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Print what changed; times are ratios after / before, the best first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--threshold", type=float, default=0.1, help="smallest change shown")
    parser.add_argument("--all", action="store_true", help="the other candidates too")
    options = parser.parse_args(arguments)
    files = read(options.before), read(options.after)
    print("\n".join(changes(*files, options.threshold, options.all)))


if __name__ == "__main__":
    main()

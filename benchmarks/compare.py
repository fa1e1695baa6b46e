"""What changed between two results: ``python -m benchmarks.compare A.json B.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

Key = tuple[str, ...]
PARTS = ("workload", "backend", "mode", "direction")


def rows(path: Path) -> dict[Key, Any]:
    """Return the rows of a result file by what they measured."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {tuple(row[p] for p in PARTS): row for row in content["rows"]}


def main() -> None:
    """Print each row of both files whose time moved by more than a tenth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--threshold", type=float, default=0.1, help="smallest change shown")
    options = parser.parse_args()
    before, after = rows(options.before), rows(options.after)
    moved = 0
    for key in [k for k in before if k in after]:
        old, new = (r[key]["results"]["convsmith"]["milliseconds"] for r in (before, after))
        if abs(new / old - 1) > options.threshold:
            moved += 1
            chosen = f"{before[key]['lowering']} -> {after[key]['lowering']}"
            print(f"{new / old:6.2f}x  {old:10.2f} -> {new:10.2f} ms  {' | '.join(key)}  {chosen}")
    for key in before.keys() ^ after.keys():
        print(f"only in one file: {' | '.join(key)}")
    print(
        f"{moved} of {len(before.keys() & after.keys())} moved by more than {options.threshold:.0%}"
    )


if __name__ == "__main__":
    main()

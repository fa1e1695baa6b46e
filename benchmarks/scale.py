"""Cost as work grows: time against pixels, channels, kernel size and batch, log-log.

convsmith's choice, each lowering by force, and Keras's way. A candidate that has become slow is
left out of the larger sizes. Results go to ``results/scale.json`` and ``.png``.
"""

from __future__ import annotations

import argparse
from math import log
from pathlib import Path
from typing import Any

from benchmarks._measure import RESULTS
from benchmarks.candidates import BACKENDS
from benchmarks.pictures import Curve, draw_scale
from benchmarks.registry import Job
from benchmarks.scale_work import SERIES
from benchmarks.session import Kept, Row, run_jobs
from benchmarks.suite import describe
from convsmith.files import replacing

MODES = {"tensorflow": ("graph", "xla"), "jax": ("jit",), "torch": ("eager",)}
Curves = dict[str, dict[str, dict[str, Curve]]]


def jobs(backends: tuple[str, ...], only: str, seconds: float) -> list[Job]:
    """Return the jobs, each series from small to large."""
    return [
        Job(work.name, backend, mode, "forward", seconds, lowerings=True, series=series)
        for backend in backends
        for mode in MODES[backend]
        for series, sizes in SERIES.items()
        if only in series
        for work in sizes.values()
    ]


def curves(rows: list[Row]) -> Curves:
    """Return series -> "backend mode" -> candidate -> (size, milliseconds)."""
    found: Curves = {}
    for series, sizes in SERIES.items():
        for size, work in sizes.items():
            for row in (r for r in rows if r["workload"] == work.name):
                panel = found.setdefault(series, {}).setdefault(
                    f"{row['backend']} {row['mode']}", {}
                )
                for name, result in row["results"].items():
                    panel.setdefault(name, []).append((size, result["milliseconds"]))
    return found


def slope(curve: Curve) -> float:
    """Return the exponent of a curve over its upper half: 1 where time is linear in size."""
    upper = curve[len(curve) // 2 - (len(curve) < 4) :]
    (x0, y0), (x1, y1) = upper[0], upper[-1]
    return log(y1 / y0) / log(x1 / x0) if x1 > x0 else float("nan")


def main(arguments: list[str] | None = None) -> None:
    """Measure, draw, and print how time grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--only", default="", help="series whose name contains this")
    parser.add_argument("--seconds", type=float, default=0.4, help="repeats of each row")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a first call")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    options = parser.parse_args(arguments)
    backends = tuple(options.backend or BACKENDS)
    asked: dict[str, Any] = {"backends": list(backends), "only": options.only}
    kept = Kept(options.folder / "scale.json", "scale", {**asked, "seconds": options.seconds})
    if options.resume:
        kept.resume()
    wanted = jobs(backends, options.only, options.seconds)
    run_jobs(wanted, kept, describe=describe, limit=options.limit)
    content = kept.finish()
    found = curves(content["rows"])
    with replacing(kept.path.with_suffix(".png")) as temporary:
        draw_scale(found, temporary)
    print("exponents of time against size, upper half of each curve (1 = linear)")
    for series, places in found.items():
        for place, panel in places.items():
            text = "  ".join(f"{n} {slope(c):.2f}" for n, c in panel.items() if len(c) > 1)
            print(f"{series:38} {place:18} {text}")
    print(f"kept in {kept.path} (.png)")


if __name__ == "__main__":
    main()

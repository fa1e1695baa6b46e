"""Every workload by convsmith, by what a Keras user writes, and by the bare backends.

Each backend runs in a process of its own, on two threads; the candidates of a workload take turns
within it. Results go to ``results/suite.json``, ``.md`` and ``.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks._measure import RESULTS
from benchmarks.candidates import BACKENDS
from benchmarks.pictures import draw, table
from benchmarks.registry import SUITE, TINY_WORK, suite_jobs
from benchmarks.session import Kept, Row, run_jobs
from benchmarks.worker import LEFT_OUT
from convsmith.files import replacing, write_text


def describe(row: Row) -> str:
    """Return one line for people: our time, and how many times longer the others take."""
    results = row["results"]
    place = (
        f"{row['workload']:46} {row['backend']:10} {row['mode']:8} {row['direction']:10} "
        f"{row['lowering']:10}"
    )
    ours = results.get("convsmith", {}).get("milliseconds")
    text = place + (f"{ours:10.3f} ms" if ours else " " * 13)
    for name, result in results.items():
        if name == "convsmith":
            continue
        if "milliseconds" not in result:
            text += f"   {name} {result['extra_bytes'] / 1e6:.1f} MB"
        elif ours:
            text += f"   {name} {result['milliseconds'] / ours:.2f}x"
        else:
            text += f"   {name} {result['milliseconds']:.3f} ms"
    return text + "".join(
        f"   {name} {'left out' if why == LEFT_OUT else f'FAILS ({why})'}"
        for name, why in row["failed"].items()
    )


def finish(kept: Kept) -> dict[str, Any]:
    """Write the final JSON, the table and the picture."""
    content = kept.finish()
    write_text(kept.path.with_suffix(".md"), table(content))
    with replacing(kept.path.with_suffix(".png")) as temporary:
        draw(content["rows"], temporary)
    print(f"kept in {kept.path} (.md, .png)")
    return content


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks suite", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, under 10 minutes")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--mode", action="append", help="only this execution mode")
    parser.add_argument("--name", help="name of the result files")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where they are kept")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--seconds", type=float, help="repeats of each row, in seconds")
    parser.add_argument("--limit", type=float, help="seconds for one candidate's first call")
    parser.add_argument("--memory", action="store_true", help="peak memory too (always in full)")
    parser.add_argument("--tiny", action="store_true", help="work for the tests of the harness")
    parser.add_argument(
        "--lowerings", action="store_true", help="compare with every lowering, not with others"
    )
    options = parser.parse_args(arguments)
    narrowed = bool(options.only or options.mode or options.tiny)
    backends = tuple(options.backend or BACKENDS)
    shared: dict[str, Any] = {
        "quick": options.quick and not options.only,
        "only": options.only,
        "lowerings": options.lowerings,
        "work": TINY_WORK if options.tiny else SUITE,
        "seconds": options.seconds,
    }
    jobs = suite_jobs(backends, **shared)
    if options.memory or not (options.quick or narrowed):
        jobs += suite_jobs(backends, memory=True, **shared)
    if options.mode:
        jobs = [job for job in jobs if job.mode in options.mode]
    name = options.name or ("suite-quick" if options.quick else "suite")
    asked = {k: v for k, v in shared.items() if k != "work"} | {"backends": list(backends)}
    kept = Kept(options.folder / f"{name}.json", "suite", asked)
    if options.resume and kept.resume():
        print(f"going on after {len(kept.done)} of {len(jobs)} rows")
    limit = options.limit or (60.0 if options.quick else 300.0)
    run_jobs(
        jobs,
        kept,
        describe=describe,
        limit=limit,
        roofline_seconds=0.1 if options.tiny else 2.0,
    )
    finish(kept)
    failing = sum("convsmith" in row["failed"] for row in kept.rows)
    if failing:
        print(f"convsmith itself failed in {failing} rows")


if __name__ == "__main__":
    main()

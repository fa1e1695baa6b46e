"""Runs the benchmarks: ``python -m benchmarks [NAME]``.

The names are overhead, suite, goals, scale, images and latency. Without one: the overhead of a call
and the suite (`--quick`: fewer workloads), and in full the scale, the goals, image filtering and
the latency of exported models. Arguments after a name are that benchmark's own (``--help`` lists
them).
``CONVSMITH_DIRECT=off`` measures without the compiled kernels.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import goals, images, latency, overhead, scale, suite
from benchmarks._measure import build_kernels

NAMES = ("overhead", "suite", "goals", "scale", "images", "latency")


def main() -> None:
    """Run what was asked for, with the compiled kernels where there is a compiler."""
    build_kernels()
    if len(sys.argv) > 1 and sys.argv[1] in NAMES:
        name, rest = sys.argv[1], sys.argv[2:]
        if name == "overhead":
            overhead.main()
        else:
            {
                "suite": suite.main,
                "goals": goals.main,
                "scale": scale.main,
                "images": images.main,
                "latency": latency.main,
            }[name](rest)
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, under 10 minutes")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    options = parser.parse_args()
    given = ["--resume"] if options.resume else []
    print("== overhead", flush=True)
    overhead.main()
    print("== suite", flush=True)
    suite.main([*given, *(["--quick"] if options.quick else [])])
    if options.quick:
        return
    print("== goals", flush=True)
    goals.main(given)
    print("== scale", flush=True)
    scale.main(given)
    print("== images", flush=True)
    images.main([])
    print("== latency", flush=True)
    latency.main([])


if __name__ == "__main__":
    main()

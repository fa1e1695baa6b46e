"""Runs the benchmarks by name, or all of them: ``python -m benchmarks [NAME...] [--quick]``."""

from __future__ import annotations

import argparse

from benchmarks import overhead, suite


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], "overhead", "suite"], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer workloads, under 10 minutes")
    options = parser.parse_args()
    wanted = options.names or ["overhead", "suite"]
    if "overhead" in wanted:
        print("== overhead", flush=True)
        overhead.main()
    if "suite" in wanted:
        print("== suite", flush=True)
        name = "suite-quick" if options.quick else "suite"
        suite.main([*(["--quick"] if options.quick else []), "--name", name])


if __name__ == "__main__":
    main()

"""Runs the benchmarks by name, or all of them, in one process on the current backend."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")


def main(wanted: list[str]) -> int:
    known = names()
    if unknown := [name for name in wanted if name not in known]:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
        return 2
    for name in wanted or known:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    if not known:
        print("There are no benchmarks yet: add benchmarks/NAME.py with a main().")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

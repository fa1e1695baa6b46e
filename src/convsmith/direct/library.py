"""Where the compiled kernels lie, and calling them.

They are kept in the user's cache folder, under a name made of the sources, the processor and the
backend's version: what was built for another machine is never loaded. The environment variable
``CONVSMITH_DIRECT`` names another folder, or none if it is ``off``.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

VARIABLE = "CONVSMITH_DIRECT"
NOWHERE = "off"

DTYPES = ("float32", "float64")
"""What the kernels compute, by their number."""

TARGET = "convsmith_direct"
"""The name of the kernels inside XLA."""

CORE = "nest"
DOORS = {"tensorflow": ("eager", "graph", "xla"), "jax": ("jit",), "torch": ("eager",)}
"""Backends and the execution modes that reach the kernels."""

NEEDED = {"tensorflow": (CORE, "tensorflow"), "jax": (CORE, "jax"), "torch": (CORE,)}
"""What each backend needs; PyTorch's operations are registered from Python."""

FILES = {
    CORE: ("nest.cpp", "program.h", "kernels.h", "threads.h"),
    "jax": ("jax.cpp",),
    "tensorflow": ("tensorflow.cpp",),
}
"""What each library is compiled from, the first file with what it includes."""

FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-pthread",
)
"""No -ffast-math: linked so, a library would change how the whole process rounds."""


def folder() -> Path | None:
    """Return where libraries are kept, None if they are switched off."""
    import platformdirs

    named = os.environ.get(VARIABLE, "")
    if named == NOWHERE:
        return None
    return Path(named) if named else platformdirs.user_cache_path("convsmith") / "direct"


def source(file: str) -> str:
    """Return the text of a C++ file."""
    return resources.files("convsmith.direct").joinpath(file).read_text(encoding="utf-8")


@cache
def processor() -> str:
    """Return what compiled code may depend on: the architecture and its extensions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.system()} {platform.machine()} {flags or platform.processor()}"


def path(part: str) -> Path | None:
    """Return where the library of a source file lies once it is built."""
    kept = folder()
    if kept is None:
        return None
    version = ""
    if part != CORE:
        # What a door is compiled against: JAX's headers come with jaxlib.
        version = metadata.version({"jax": "jaxlib"}.get(part, part))
    text = "\0".join((*map(source, FILES[part]), *FLAGS, processor(), version))
    return kept / f"{part}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"


def missing(backend: str) -> str:
    """Return why a backend can't use the kernels, or an empty string."""
    return _missing(backend, os.environ.get(VARIABLE, ""))


@cache
def _missing(backend: str, variable: str) -> str:
    if variable == NOWHERE:
        return f"{VARIABLE}={NOWHERE} switches it off"
    for part in NEEDED[backend]:
        found = path(part)
        if found is None or not found.exists():
            return "it isn't built: `convsmith build` compiles it for this machine"
    try:
        core()
    except OSError as error:
        return f"its library can't be loaded: {error}"
    return ""


def status() -> dict[str, str]:
    """Return for each installed backend whether its kernels are "built", "not built" or "off".

    Example:
        >>> set(status().values()) <= {"built", "not built", "off"}
        True
    """
    kept = folder()
    found = {}
    for backend, parts in NEEDED.items():
        try:
            metadata.version(backend)
        except metadata.PackageNotFoundError:
            continue
        there = kept is not None and all((p := path(part)) and p.exists() for part in parts)
        found[backend] = "off" if kept is None else "built" if there else "not built"
    return found


def forget() -> None:
    """Look for the libraries anew."""
    _missing.cache_clear()


@cache
def _load(found: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(found))


def core() -> Any:
    """Return the function that runs a program."""
    found = path(CORE)
    assert found is not None
    return _function(found)


@cache
def _function(found: Path) -> Any:
    function = _load(found).convsmith_direct
    numbers, count, data = ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
    tensor = [data, numbers, count]
    lender = ctypes.c_void_p
    function.argtypes = [numbers, count, ctypes.c_int, *tensor * 3, ctypes.c_int, lender]
    function.restype = ctypes.c_char_p
    return function


def share_threads(function: int) -> None:
    """Let the kernels run on the threads of a GNU OpenMP that the process has, by its entry."""
    found = path(CORE)
    assert found is not None
    core()
    use = _load(found).convsmith_team
    use.argtypes, use.restype = [ctypes.c_void_p], None
    use(function)


@cache
def door(backend: str) -> ctypes.CDLL:
    """Return the library through which a backend reaches the kernels, ready to be called."""
    found = path(backend)
    assert found is not None
    library = _load(found)
    library.convsmith_use.argtypes = [ctypes.c_void_p]
    library.convsmith_use.restype = None
    library.convsmith_use(ctypes.cast(core(), ctypes.c_void_p))
    return library


def threads() -> int:
    """Return how many threads to use: ``OMP_NUM_THREADS``, or the processors that there are."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def numbers(values: Sequence[int]) -> Any:
    """Return integers as C has them."""
    return (ctypes.c_int64 * len(values))(*values)

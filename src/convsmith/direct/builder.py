"""Compiling the kernels for this machine, with the C++ compiler that it has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from convsmith.direct import library
from convsmith.errors import UnsupportedError, compose

COMPILERS = ("c++", "g++", "clang++")
PATIENCE_SECONDS = 600

watchers: list[Callable[[], None]] = []
"""Called whenever kernels were built: whoever keeps plans forgets them then."""


def compiler() -> str | None:
    """Return the C++ compiler: that of the environment variable CXX, or the first found."""
    named = os.environ.get("CXX")
    return next((c for c in ([named] if named else COMPILERS) if shutil.which(c)), None)


def build(*, force: bool = False) -> dict[str, Path]:
    """Compile the kernels of the `direct` lowering for every installed backend.

    What is there already isn't compiled again. It takes about 20 seconds and a C++ compiler, and
    changes nothing but files in the user's cache folder. Plans made from then on may choose
    `direct`; so may those of the next process.

    Args:
        force: Compile again what is there.

    Returns:
        The libraries by name: ``nest``, and the doors ``jax`` and ``tensorflow``.

    Raises:
        UnsupportedError: there is no C++ compiler, or it fails; or ``CONVSMITH_DIRECT=off``.

    Example:
        >>> import convsmith as cs
        >>> libraries = cs.direct.build()  # doctest: +SKIP
    """
    return {part: path for part, path in steps(force=force) if path is not None}


def parts() -> tuple[str, ...]:
    """Return what is to be compiled: the nest, and the doors of installed backends."""
    return (library.CORE, *(n for n in ("jax", "tensorflow") if find_spec(n) is not None))


def steps(*, force: bool = False) -> Iterator[tuple[str, Path | None]]:
    """Compile as `build` does: yield each part before it is compiled, and with its library after.

    Args:
        force: Compile again what is there.

    Yields:
        The name of a part with None before, and with the path of its library after.

    Raises:
        UnsupportedError: as for `build`.

    Example:
        >>> import convsmith as cs
        >>> for part, path in cs.direct.steps():  # doctest: +SKIP
        ...     print(part, path or "...")
    """
    for part in parts():
        yield part, None
        yield part, _compiled(part, force)
    library.forget()
    for watcher in watchers:
        watcher()


def _compiled(part: str, force: bool) -> Path:
    target = library.path(part)
    if target is None:
        raise _unsupported(
            f"{library.VARIABLE}={library.NOWHERE}",
            "switches the kernels off",
            f"{library.VARIABLE} without a value, or a folder for the libraries",
        )
    if target.exists() and not force:
        return target
    command = compiler()
    if command is None:
        raise _unsupported(
            "the `direct` kernels",
            f"need a C++ compiler; none of {', '.join(COMPILERS)} is there, nor $CXX",
            "a compiler, such as apt-get install g++",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own beside the target: other processes may be compiling the same.
    with tempfile.TemporaryDirectory(prefix=".partial.", dir=target.parent) as work:
        result = Path(work) / target.name
        for file in library.FILES[part]:
            (Path(work) / file).write_text(library.source(file), encoding="utf-8")
        include = [f"-I{folder}" for folder in _headers(part)]
        done = subprocess.run(
            [command, *library.FLAGS, "-w", *include, f"{work}/{part}.cpp", "-o", str(result)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            first = next((ln for ln in done.stderr.splitlines() if "error" in ln), done.stderr)
            raise _unsupported(
                f"{command}",
                f"can't compile {part}.cpp: {first.strip()[:300]}",
                "another compiler, such as CXX=g++ (12 or newer)",
            )
        result.replace(target)
    return target


def _headers(part: str) -> list[Path]:
    """Return the folders of a backend's headers, without importing the backend."""
    if part == library.CORE:
        return []
    package, folder = {"jax": ("jaxlib", "include"), "tensorflow": ("tensorflow", "include")}[part]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _unsupported(package, "isn't installed", f"pip install {package}")
    return [Path(spec.origin).parent / folder]


def _unsupported(subject: str, problem: str, fix: str) -> UnsupportedError:
    return UnsupportedError(
        compose(subject, problem, expected="a machine that can compile", fix=fix),
        argument="direct",
    )


__all__ = ["build", "compiler", "parts", "steps"]

"""Choosing the Keras backend before Keras is imported, and finding out what is installed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from convsmith.cli.app import Backend
from convsmith.errors import ArgumentError, UnsupportedError, compose

BACKENDS: tuple[str, ...] = get_args(Backend)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def install_command(extra: str) -> str:
    return f"pip install 'convsmith[{extra}]'"


def wanted(option: str | None) -> tuple[str, str]:
    """Return the backend to use and who asked for it; Keras's own order, then what is there."""
    if option:
        return option, "--backend"
    if named := os.environ.get("KERAS_BACKEND"):
        return named, "KERAS_BACKEND"
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text())["backend"]), "keras.json"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    there = [name for name in BACKENDS if installed(name)]
    return (there or list(BACKENDS))[0], "default"


def select(option: str | None) -> str:
    """Fix the backend of this process.

    Raises:
        ArgumentError: if the name is unknown, or Keras already runs on another.
        UnsupportedError: if it isn't installed; the message has the command.
    """
    name, source = wanted(option)
    if name not in BACKENDS:
        raise ArgumentError(
            compose(source, f"unknown backend {name!r}", expected=f"one of {', '.join(BACKENDS)}"),
            argument="backend",
            value=name,
        )
    if not installed(name):
        raise UnsupportedError(
            compose(
                f"backend {name} ({source})",
                "it is not installed",
                fix=f"{install_command(name)}, or --backend with one of those that "
                "`convsmith info` shows",
            ),
            argument="backend",
            value=name,
        )
    if "keras" in sys.modules:
        import keras

        if (running := keras.backend.backend()) != name:
            raise ArgumentError(
                compose(
                    source,
                    f"this process already runs Keras on {running}, so {name} can't be chosen",
                    fix=f"a new process with KERAS_BACKEND={name}",
                ),
                argument="backend",
                value=name,
            )
    os.environ["KERAS_BACKEND"] = name
    # TensorFlow reports its libraries at start; none of that is for the user of this command.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return name


def start(*, debug: bool) -> None:
    """Import Keras and its backend, without the lines that frameworks write to stderr meanwhile.

    TensorFlow's C++ logs before any setting can silence it, so the file descriptor itself is
    turned away, unless `debug` asks to see everything.
    """
    with quiet(debug=debug):
        import keras

        # This also imports TensorFlow where it is installed beside another backend, as Keras
        # would otherwise do in the middle of the first epoch.
        keras.utils.set_random_seed(0)


@contextlib.contextmanager
def quiet(*, debug: bool) -> Iterator[None]:
    """Turn stderr away while frameworks work, unless `debug` asks to see everything."""
    if debug:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)

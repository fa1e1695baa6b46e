"""Modules of the user's that register kernels, imported before a command looks names up."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from convsmith.errors import ArgumentError, compose

ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import a module first, whose kernels.register(...) makes names known; repeatable.",
    ),
]


def import_modules(names: Iterable[str] | None) -> None:
    """Import modules by their dotted names; those in the current folder too.

    Raises:
        ArgumentError: one that isn't there, or fails.
    """
    here = str(Path.cwd())
    for name in names or ():
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            importlib.import_module(name)
        except Exception as error:  # Their module may raise anything.
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ArgumentError(
                compose(
                    f"--import {name}",
                    f"can't be imported: {reason}",
                    expected="a module's dotted name",
                    fix="run it in the folder that holds the module, or install its package",
                ),
                argument="import",
                value=name,
            ) from error

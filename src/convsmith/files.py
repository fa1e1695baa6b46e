"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARK = ".partial."


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which it replaces if the block succeeds.

    The suffix stays the same, because writers choose the format by it.
    """
    temporary = path.with_name(f"{_MARK}{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary folder beside `path`, which it replaces if the block succeeds.

    There is a moment between the old folder and the new one, because no system swaps folders.
    """
    temporary = path.with_name(f"{_MARK}{path.name}")
    old = path.with_name(f"{_MARK}old.{path.name}")
    _remove(temporary)
    try:
        yield temporary
        _remove(old)
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    finally:
        _remove(temporary)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_partial(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in folder.glob(f"{_MARK}*"):
        _remove(leftover)

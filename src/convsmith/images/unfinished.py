"""A result on disk that isn't whole yet: a folder beside its place, with what is done so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convsmith.errors import ArgumentError, DataError, compose
from convsmith.files import write_text

DATA, RECORD, DONE = "data", "request.json", "done"


class Unfinished:
    """The folder ``OUT.partial``: the data, what was asked for, and which tiles are done."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.partial")
        self.data = self.folder / f"{DATA}{out.suffix}"
        self.record = self.folder / RECORD

    def begin(
        self, request: dict[str, Any], create: Callable[[Path], None], resume: bool, again: bool
    ) -> dict[str, Any]:
        """Make the data, or find what a stopped run left; return the request of then.

        Args:
            request: what must be the same for a stopped run to go on, under any key but
                ``"tile"``, which is that of the stopped run.
            create: makes the data.
            resume: whether to go on with what a stopped run has done.
            again: whether it may be thrown away.

        Raises:
            ArgumentError: a stopped run left something, and nothing says what to do with it; or
                it was asked for otherwise.
        """
        # Without its record it holds nothing: a run was stopped while it began.
        if self.record.exists():
            if resume:
                return self._checked(request)
            if not again:
                raise ArgumentError(
                    compose(
                        str(self.out),
                        "is half done by a run that was stopped",
                        fix="--resume to go on with it, or --overwrite to begin again",
                    ),
                    argument="out",
                    value=self.out,
                )
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        try:
            create(self.data)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        (self.folder / DONE).touch()
        write_text(self.record, json.dumps(request, indent=1))
        return request

    def _checked(self, request: dict[str, Any]) -> dict[str, Any]:
        before = json.loads(self.record.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(request))
        changed = [name for name in now if name != "tile" and before.get(name) != now[name]]
        if changed:
            raise ArgumentError(
                compose(
                    str(self.out),
                    f"is half done by a run of another request: {', '.join(changed)} changed",
                    fix="--overwrite instead of --resume, to begin again",
                ),
                argument="resume",
                value=changed,
            )
        return before

    def done(self) -> set[int]:
        """Return which tiles are done."""
        lines = (self.folder / DONE).read_text(encoding="utf-8").split("\n")
        return {int(line) for line in lines[:-1]}  # The last one was cut off, or is empty.

    def note(self, index: int) -> None:
        """Remember that a tile is done."""
        with (self.folder / DONE).open("a", encoding="utf-8") as file:
            file.write(f"{index}\n")

    def abandon(self) -> None:
        """Leave nothing behind, if nothing is done."""
        if not self.done():
            shutil.rmtree(self.folder)

    def end(self) -> None:
        """Give the result its name."""
        if self.out.exists():
            self.out.rename(self.folder / "replaced")
        self.data.rename(self.out)
        shutil.rmtree(self.folder)


def identity(path: Path) -> dict[str, Any]:
    """Return what tells whether a file, or a folder of chunks, is still the same.

    Raises:
        DataError: it is not there.
    """
    if not path.exists():
        raise DataError(compose(str(path), "is not there"), argument="path", value=path)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    stats = [file.stat() for file in files]
    return {
        "path": str(path.resolve()),
        "bytes": sum(stat.st_size for stat in stats),
        "modified": max((stat.st_mtime_ns for stat in stats), default=0),
    }

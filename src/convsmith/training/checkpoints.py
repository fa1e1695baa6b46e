"""The state of a run on disk, so that killing it at any moment loses at most one epoch.

`run.json` says what the run is. For each convolution a `NAME.json` holds the history and names the
model file of the same epoch; it is replaced atomically *after* that file is whole, so that it is
the one thing that decides how far the run has come.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from convsmith.errors import ArgumentError, DataError, compose
from convsmith.files import remove_partial, write_text
from convsmith.training import model_file
from convsmith.training.report import Row
from convsmith.training.settings import Settings

RESULT_FILES = ("model.keras", "history.csv", "curves.png", "kernels.png")


class Checkpoints:
    """The `checkpoint` folder of a run."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "checkpoint"
        self._run = self.folder / "run.json"

    def begin(self, settings: Settings, data: str, *, resume: bool, overwrite: bool) -> None:
        """Start a new run, or check that the one found may be resumed with these settings."""
        identity = settings.identity() | {"backend": keras.backend.backend(), "fingerprint": data}
        if resume:
            if not self._run.exists():
                raise ArgumentError(
                    compose(
                        "--resume",
                        f"{self.out} holds no run to continue",
                        fix="the --out of the run that was stopped, or start anew without --resume",
                    ),
                    argument="resume",
                    value=True,
                )
            self._check_same(identity)
            remove_partial(self.folder)
            remove_partial(self.out)
            return
        found = [path.name for path in self._all_files() if path.exists()]
        if found and not overwrite:
            raise ArgumentError(
                compose(
                    f"--out {self.out}",
                    "this folder already holds a run",
                    received=", ".join(found),
                    fix="--resume to continue it, --overwrite to replace it, or another --out",
                ),
                argument="out",
                value=str(self.out),
            )
        for path in self._all_files():
            path.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self._run, json.dumps(identity, indent=1))

    def _check_same(self, identity: dict[str, Any]) -> None:
        found = _read_json(self._run)
        changed = [key for key in identity if found.get(key) != identity[key]]
        if changed:
            key = changed[0]
            shown = "the data" if key == "fingerprint" else f"{key}={found.get(key)!r}"
            raise ArgumentError(
                compose(
                    "--resume",
                    f"the run in {self.out} was started with other settings",
                    expected=f"{shown} as before",
                    received=f"{key}={identity[key]!r}",
                ),
                argument=key,
                value=identity[key],
            )

    def _all_files(self) -> list[Path]:
        """Return the run's own files only (the folder may hold the user's as well).

        In an order in which deleting can be interrupted: nothing outlives what refers to it, and
        `run.json`, by which the rest is known for a run, goes last.
        """
        states = [path for path in self.folder.glob("*.json") if path != self._run]
        models = list(self.folder.glob("*.keras"))
        return [*(self.out / name for name in RESULT_FILES), *states, *models, self._run]

    def _state(self, conv: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', conv)}.json"

    def save(self, conv: str, model: keras.Model, extras: model_file.Extras, rows: list[Row]):
        """Make the last epoch of `rows` the one to continue from."""
        state = self._state(conv)
        file = self.folder / f"{state.stem}-{len(rows):04d}.keras"
        model_file.save(file, model, extras)
        write_text(
            state, json.dumps({"model": file.name, "history": [asdict(r) for r in rows]}, indent=1)
        )
        for older in self.folder.glob(f"{state.stem}-????.keras"):
            if older != file:
                older.unlink()

    def restore(self, conv: str) -> tuple[keras.Model, list[Row]] | None:
        """Return the model with its optimizer and history, or None if no epoch was finished."""
        state = self._state(conv)
        if not state.exists():
            return None
        found = _read_json(state)
        try:
            rows = [Row(**row) for row in found["history"]]
            file = self.folder / found["model"]
        except (KeyError, TypeError) as error:
            raise DataError(
                compose(str(state), "damaged checkpoint", fix="start anew with --overwrite")
            ) from error
        model, _ = model_file.load(file, to_train=True)
        return model, rows


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass
    raise DataError(
        compose(str(path), "damaged checkpoint", fix="start anew with --overwrite")
    ) from None

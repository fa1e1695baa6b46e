"""The command in this process: its exit code, and what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bars import save_bars
from convsmith.cli import main


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def convsmith(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        assert isinstance(stop.value.code, int)
        return Finished(stop.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def refused(convsmith: Command) -> Callable[..., str]:
    """Run a command that must be refused: exit code 2, one line on stderr, no traceback."""

    def run(*arguments: object) -> str:
        done = convsmith(*arguments)
        assert done.code == 2, done
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.out + done.err
        return done.err

    return run


@pytest.fixture
def bar_file(tmp_path: Path) -> Path:
    return save_bars(tmp_path / "bars.npz")

"""SIGKILL in the middle of a run, and `--resume`: the same results as if nothing had happened."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bars import save_bars

pytestmark = pytest.mark.one_backend

EPOCHS = 6
PATIENCE_SECONDS = 120


def command(folder: Path, name: str, *more: str) -> list[str]:
    # Enough steps per epoch to be killed between two of them.
    options = f"--data bars.npz --conv plain --batch-size 4 --epochs {EPOCHS} --out {name}"
    return [sys.executable, "-m", "convsmith.cli", "train", *options.split(), *more]


def learning(file: Path) -> np.ndarray:
    keys = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy")
    with file.open(newline="") as handle:
        return np.array([[float(row[key]) for key in keys] for row in csv.DictReader(handle)])


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def test_kill_and_resume(tmp_path: Path) -> None:
    save_bars(tmp_path / "bars.npz", train=1200)
    with subprocess.Popen(
        command(tmp_path, "killed"), cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as process:
        wait_for(tmp_path / "killed" / "checkpoint" / "plain.json", process)
        process.kill()
        process.wait()
    assert not (tmp_path / "killed" / "model.keras").exists()

    resumed = subprocess.run(
        command(tmp_path, "killed", "--resume"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "continuing after epoch" in resumed.stdout
    subprocess.run(command(tmp_path, "whole"), cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)

    files = [sorted(p.name for p in (tmp_path / n).iterdir()) for n in ("killed", "whole")]
    assert files[0] == files[1]
    found, wanted = (learning(tmp_path / n / "history.csv") for n in ("killed", "whole"))
    assert len(wanted) == EPOCHS
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)

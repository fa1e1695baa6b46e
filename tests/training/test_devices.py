"""`convsmith train --devices`: the steps of one device, on every engine, and workers that die."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from bars import save_bars
from convsmith.errors import ArgumentError
from convsmith.training import Settings, run

BACKEND = keras.backend.backend()
CONV = {"jax": "plain"}.get(BACKEND, "WeightNormConv2D")  # XLA compiles for long.
PATIENCE_SECONDS = 300


def settings(folder: Path, **changes: object) -> Settings:
    """18 steps an epoch, the last of them with 12 images."""
    data = folder / "bars.npz"
    if not data.exists():
        save_bars(data, train=17 * 16 + 12, test=17)
    base = Settings(data=str(data), conv=CONV, epochs=2, batch_size=16, out=folder / "one")
    return replace(base, **changes)  # pyright: ignore[reportArgumentType]


def command(wanted: Settings, *more: str) -> list[str]:
    choices = {
        "data": wanted.data,
        "conv": wanted.conv,
        "epochs": wanted.epochs,
        "batch-size": wanted.batch_size,
        "devices": wanted.devices,
        "out": wanted.out,
    }
    options = [text for name, value in choices.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "convsmith.cli", "train", *options, *more]


def learning(out: Path) -> np.ndarray:
    """The part of the history that doesn't depend on the clock."""
    keys = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy")
    with (out / "history.csv").open(newline="") as handle:
        return np.array([[float(row[key]) for key in keys] for row in csv.DictReader(handle)])


def assert_same_history(out: Path, wanted: Settings) -> None:
    found, expected = learning(out), learning(wanted.out)
    assert len(expected) == wanted.epochs * len(wanted.convs)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(BACKEND == "torch", reason="its test kills a worker on the way")
def test_two_devices_go_on_as_one_device_would(tmp_path: Path) -> None:
    one = settings(tmp_path, epochs=1)
    run.train(one)
    one = replace(one, epochs=2)
    two = replace(one, out=tmp_path / "two", devices=2)
    shutil.copytree(one.out, two.out)
    run.train(one, resume=True)
    done = subprocess.run(
        command(two, "--resume"),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"},
    )
    assert done.stdout.count("continuing after epoch 1") == len(two.convs)
    assert done.stdout.count("epoch 2/2") == len(two.convs)
    assert "batch 16, 2 devices" in done.stdout
    assert "2 devices: each sends" in done.stdout
    assert_same_history(two.out, one)


def workers(parent: int) -> list[int]:
    """Return the processes that train, in the order in which they were started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return sorted(child for child, line in lines.items() if b"spawn_main" in line)


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] == "Z"
    except OSError:
        return True


def moments() -> Iterator[None]:
    """Yield now and then until patience is at an end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError("nothing happened")


@pytest.mark.skipif(BACKEND != "torch", reason="the others have no worker processes")
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_run_and_it_can_be_resumed(tmp_path: Path) -> None:
    one = settings(tmp_path, epochs=3)
    two = replace(one, out=tmp_path / "two", devices=2)
    with subprocess.Popen(
        command(two), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in moments():
            assert process.poll() is None, process.communicate()
            if (two.out / "checkpoint" / f"{CONV}.json").exists():
                break
        crew = workers(process.pid)
        assert len(crew) == 2
        os.kill(crew[1], signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert err == (
        "error: --devices 2: worker 2 of 2 was killed (SIGKILL), so the run was stopped; its "
        "finished epochs are kept. Try: --resume, with any number of --devices.\n"
    )
    assert out.count("epoch 1/3") == 1
    assert not (two.out / "model.keras").exists()
    for _ in moments():
        if all(map(gone, crew)):
            break

    run.train(replace(two, devices=1), resume=True)
    run.train(one)
    assert_same_history(two.out, one)
    names = [sorted(path.name for path in each.out.iterdir()) for each in (one, two)]
    assert names[0] == names[1]


@pytest.mark.one_backend
def test_batches_that_cannot_be_split_are_refused() -> None:
    with pytest.raises(
        ArgumentError,
        match="train: batch_size=16 can't be split evenly over 3 devices; expected a multiple of "
        "the number of devices. Try: --batch-size 18",
    ):
        Settings(batch_size=16, devices=3)
    with pytest.raises(ArgumentError, match="train: devices=0 is too small; expected 1 or more"):
        Settings(devices=0)

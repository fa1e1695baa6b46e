"""`convsmith train`: what it prints, and every way to be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convsmith.cli.backends
from convsmith.training import run as training_run

Command = Callable[..., Any]
Refused = Callable[..., str]


def test_table_beside_the_baseline_and_list_of_files(convsmith: Command, bar_file: Path) -> None:
    out = bar_file.parent / "out"
    done = convsmith(
        *("train", "--data", bar_file, "--out", out, "--epochs", 1, "--batch-size", 16)
    )
    assert done.code == 0, done
    assert done.err == ""
    for word in ("test accuracy", "test loss", "ms per step", "parameters"):
        assert word in done.out
    assert "standardized" in done.out
    assert "plain (baseline)" in done.out
    assert "epoch 1/1" in done.out
    ending = done.out[done.out.index("Written to") :]
    listed = [line.split()[0] for line in ending.splitlines()[1:]]
    assert sorted(listed) == ["curves.png", "history.csv", "kernels.png", "model.keras"]
    assert all((out / name).stat().st_size for name in listed)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", 0), "Invalid value for '--epochs'"),
        (("--batch-size", "many"), "Invalid value for '--batch-size'"),
        (("--seed", -1), "Invalid value for '--seed'"),
        (("--precision", "float8"), "Invalid value for '--precision'"),
        (("--backend", "theano"), "Invalid value for '--backend'"),
        (("--epoch", 3), "No such option: --epoch"),
        (("--conv", "nothing"), "--conv nothing: there is no such convolution"),
        (("--conv", "Conv1D"), "--conv Conv1D: this layer can't stand in the classifier"),
        (("--data", "nothing.npz"), "--data nothing.npz: there is no such file or folder"),
        (("--resume",), "--resume: out holds no run to continue"),
    ],
)
def test_refused_arguments(
    refused: Refused,
    bar_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(bar_file.parent)
    found = refused("train", "--data", "bars.npz", "--out", "out", *arguments)
    assert message in found
    assert not Path("out").exists() or not list(Path("out").glob("*.*"))


@pytest.mark.one_backend
def test_refused_data(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "corrupt.npz").write_bytes(b"PK\x03\x04 not really")
    found = refused("train", "--data", tmp_path / "corrupt.npz", "--out", tmp_path / "out")
    assert "corrupt.npz: not a readable .npz file" in found
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    found = refused("train", "--data", tmp_path / "other.npz", "--out", tmp_path / "out")
    assert "the arrays x_train, y_train, x_test, y_test are missing" in found
    assert "no such" not in found
    assert not (tmp_path / "out").exists()


@pytest.mark.one_backend
def test_a_failed_download_says_what_to_do(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def fail() -> None:
        raise Exception("URL fetch failure on https://example.org: None -- no network")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    found = refused("train", "--data", "mnist", "--out", tmp_path / "out")
    assert "Keras could not download MNIST (URL fetch failure" in found
    assert "Try: --data mini" in found
    assert "--data FILE.npz" in found


@pytest.mark.one_backend
def test_out_that_cannot_be_a_folder(refused: Refused, bar_file: Path) -> None:
    found = refused("train", "--data", bar_file, "--out", bar_file)
    assert f"{bar_file}" in found


def test_a_missing_backend_comes_with_its_command(
    refused: Refused, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convsmith.cli.backends, "installed", lambda name: name == backend)
    other = "torch" if backend != "torch" else "jax"
    found = refused("train", "--backend", other)
    assert f"backend {other} (--backend): it is not installed" in found
    assert f"Try: pip install 'convsmith[{other}]'" in found


def test_a_backend_that_keras_no_longer_can_change_to(refused: Refused, backend: str) -> None:
    import keras

    assert keras.backend.backend() == backend
    other = "torch" if backend != "torch" else "jax"
    found = refused("train", "--backend", other)
    assert f"this process already runs Keras on {backend}" in found


@pytest.mark.one_backend
def test_debug_shows_the_traceback(convsmith: Command) -> None:
    done = convsmith("train", "--data", "nothing.npz", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert "error: --data nothing.npz: there is no such file" in done.err


@pytest.mark.one_backend
def test_a_bug_is_one_line_too(convsmith: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(training_run, "train", broken)
    done = convsmith("train")
    assert done.code == 1
    assert done.err == (
        "error: unexpected RuntimeError: two lines. Run it again with --debug for the traceback.\n"
    )


@pytest.mark.one_backend
def test_ctrl_c_says_how_to_go_on(convsmith: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "train", interrupted)
    done = convsmith("train")
    assert done.code == 130
    assert "add --resume to continue" in done.err

"""A whole run on small data: what it writes, and that stopping it changes nothing."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convsmith.errors import ArgumentError, DataError
from convsmith.training import Precision, Reporter, Row, Settings, classifier, model_file, run


def settings(bar_file: Path, **changes: object) -> Settings:
    base = Settings(
        data=str(bar_file), conv="plain", epochs=2, batch_size=16, out=bar_file.parent / "out"
    )
    return replace(base, **changes)  # pyright: ignore[reportArgumentType]


def history(out: Path) -> list[dict[str, str]]:
    with (out / "history.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def learning(out: Path) -> np.ndarray:
    """The part of the history that doesn't depend on the clock."""
    keys = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy")
    return np.array([[float(row[key]) for key in keys] for row in history(out)])


def test_files_table_and_answers(bar_file: Path) -> None:
    wanted = settings(bar_file, conv="standardized", epochs=4)
    results = run.train(wanted)
    names = {"model.keras", "history.csv", "curves.png", "kernels.png"}
    assert {path.name for path in results.files.values()} == names
    assert {path.name for path in wanted.out.iterdir()} == names | {"checkpoint"}
    assert [row.conv for row in results.summaries] == ["standardized", "plain"]
    assert results.summaries[0].parameters == results.summaries[1].parameters
    assert results.summaries[0].accuracy > 0.9
    assert results.summaries[0].milliseconds_per_step > 0.0
    assert results.notes == ["Reloaded model.keras: the same answers on 16 test images."]
    rows = history(wanted.out)
    assert [(r["conv"], r["epoch"]) for r in rows[:5]] == [
        *(("standardized", str(i + 1)) for i in range(4)),
        ("plain", "1"),
    ]
    for name in ("curves.png", "kernels.png"):
        with Image.open(wanted.out / name) as picture:
            assert min(picture.size) > 100


class StopAfter(Reporter):
    """Stops the run as Ctrl-C would, once an epoch is safe on disk."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def epoch(self, row: Row) -> None:
        if row.epoch == self.last:
            raise KeyboardInterrupt


def test_a_resumed_run_ends_as_an_uninterrupted_one(bar_file: Path) -> None:
    whole = settings(bar_file, epochs=3, out=bar_file.parent / "whole")
    run.train(whole)
    stopped = settings(bar_file, epochs=3, out=bar_file.parent / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run.train(stopped, StopAfter(1))
    assert not (stopped.out / "model.keras").exists()
    run.train(stopped, resume=True)
    np.testing.assert_allclose(learning(stopped.out), learning(whole.out), rtol=1e-4, atol=1e-5)
    models = [model_file.load(s.out / "model.keras")[0] for s in (whole, stopped)]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.one_backend
def test_a_finished_run_can_be_made_longer(bar_file: Path) -> None:
    run.train(settings(bar_file, epochs=1))
    before = learning(settings(bar_file).out)
    run.train(settings(bar_file, epochs=2), resume=True)
    after = learning(settings(bar_file).out)
    assert len(after) == 2
    np.testing.assert_array_equal(after[:1], before)


@pytest.mark.one_backend
def test_resume_needs_a_run(bar_file: Path) -> None:
    with pytest.raises(ArgumentError, match="holds no run to continue. Try: "):
        run.train(settings(bar_file), resume=True)


@pytest.mark.one_backend
def test_resume_needs_the_same_settings_and_data(bar_file: Path) -> None:
    run.train(settings(bar_file, epochs=1))
    with pytest.raises(ArgumentError, match="expected seed=0 as before. Received: seed=1"):
        run.train(settings(bar_file, seed=1), resume=True)
    with np.load(bar_file) as arrays:
        changed = dict(arrays) | {"y_train": 1 - arrays["y_train"]}
    np.savez(bar_file, **changed)
    with pytest.raises(ArgumentError, match="expected the data as before"):
        run.train(settings(bar_file), resume=True)


@pytest.mark.one_backend
def test_an_old_run_is_replaced_only_when_told(bar_file: Path) -> None:
    run.train(settings(bar_file, epochs=1))
    with pytest.raises(
        ArgumentError, match=r"already holds a run. Received: model.keras, .* Try: --res"
    ):
        run.train(settings(bar_file))
    (settings(bar_file).out / "mine.txt").write_text("the user's")
    run.train(settings(bar_file, seed=5, epochs=1), overwrite=True)
    assert (settings(bar_file).out / "mine.txt").exists()
    assert len(history(settings(bar_file).out)) == 1


@pytest.mark.one_backend
@pytest.mark.parametrize("file", ["run.json", "plain.json", "plain-0001.keras"])
def test_a_damaged_checkpoint_is_reported(bar_file: Path, file: str) -> None:
    run.train(settings(bar_file, epochs=1))
    (settings(bar_file).out / "checkpoint" / file).write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"{file}: (damaged checkpoint|corrupt or incomplete)"):
        run.train(settings(bar_file), resume=True)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_resumes(bar_file: Path, precision: Precision) -> None:
    wanted = settings(bar_file, precision=precision, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run.train(wanted, StopAfter(2))
    results = run.train(wanted, resume=True)
    assert results.summaries[0].accuracy > 0.9


def test_a_loss_that_is_not_a_number_stops_the_run(
    bar_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "LEARNING_RATE", float("nan"))
    with pytest.raises(DataError, match=r"the loss became nan in epoch \d"):
        run.train(settings(bar_file))


@pytest.mark.one_backend
def test_without_matplotlib_the_rest_is_written(
    bar_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    results = run.train(settings(bar_file, epochs=1))
    assert {path.name for path in results.files.values()} == {"model.keras", "history.csv"}
    assert "Matplotlib is missing" in results.notes[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0 is too small; expected 1 or more"),
        ({"batch_size": -1}, "batch_size=-1 is too small"),
        ({"seed": -1}, "seed=-1 is too small; expected 0 or more"),
        ({"precision": "float8"}, "precision='float8' is unknown; expected one of float32"),
    ],
)
@pytest.mark.one_backend
def test_settings_that_no_run_could_have(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        replace(Settings(), **change)  # pyright: ignore[reportArgumentType]

"""`convsmith export`: files of every format from a `.keras` file, and every refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bars import save_bars
from convsmith import layers

Command = Callable[..., Any]
Refused = Callable[..., str]

FILES = {"tensorflow": "a.onnx", "jax": "a.keras", "torch": "a.pt2"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that takes the images of `save_bars`."""
    path = tmp_path / "model.keras"
    found = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.StandardizedConv2D(3, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    found.save(path)
    return path


def test_a_file_and_its_report(
    convsmith: Command, refused: Refused, model: Path, backend: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    path = model.parent / "out" / FILES[backend]
    done = convsmith("export", model, "-o", path)
    assert done.code == 0, done
    assert "bytes)\nrun on 2x12x12x1; 1x12x12x1; 5x12x12x1: differs by at most" in done.out
    assert path.stat().st_size > 0
    assert "is there already" in refused("export", model, "-o", path)
    assert convsmith("export", model, "-o", path, "--overwrite").code == 0


@pytest.mark.one_backend
def test_quantised_with_accuracy(convsmith: Command, model: Path) -> None:
    bars = save_bars(model.parent / "bars.npz")
    path = model.parent / "a.tflite"
    options = ["--quantize", "int8", "--calibration", bars, "--evaluate", bars]
    done = convsmith("export", model, "-o", path, *options)
    assert done.code == 0, done
    assert "(litert, int8, " in done.out
    assert "accuracy: " in done.out


@pytest.mark.one_backend
def test_refusals(refused: Refused, model: Path) -> None:
    folder = model.parent

    def to(name: str, source: Path = model, *more: object) -> str:
        return refused("export", source, "-o", folder / name, *more)

    assert "gone.keras: there is no such file" in to("a.onnx", folder / "gone.keras")
    text = folder / "notes.keras"
    text.write_text("hello")
    assert "notes.keras: corrupt or incomplete model file" in to("a.onnx", text)
    half = folder / "half.keras"
    half.write_bytes(model.read_bytes()[:3000])
    assert "half.keras: corrupt or incomplete model file" in to("a.onnx", half)
    assert "no format has the suffix '.bin'" in to("a.bin")
    assert "isn't a name for the format litert" in to("a.onnx", model, "--format", "litert")
    assert "needs samples that show" in to("a.onnx", model, "--quantize", "int8")
    many = ("--quantize", "int8", "--calibration")
    assert "gone.npy: there is no such file" in to("a.onnx", model, *many, folder / "gone.npy")
    assert "notes.keras: is corrupt, or not a file of" in to("a.onnx", model, *many, text)
    np.save(folder / "wrong.npy", np.zeros((3, 5)))
    assert "calibration: isn't samples for the" in to("a.onnx", model, *many, folder / "wrong.npy")
    assert "Missing option '--out'" in refused("export", model).replace(" / '-o'", "")
    lambdas = folder / "lambda.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)]).save(lambdas)
    assert "holds a Lambda layer" in to("a.onnx", lambdas)
    assert not list(folder.glob("*.onnx"))

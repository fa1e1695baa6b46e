"""`convsmith fold`: a model file becomes a plain one, or one line says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs

pytestmark = pytest.mark.one_backend

Command = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.keras"
    layers = [
        keras.Input((8, 8, 2)),
        cs.layers.StandardizedConv2D(3, 3, padding="same", padding_mode="edge", name="first"),
        keras.layers.BatchNormalization(name="norm"),
        cs.layers.LocallyConnected2D(2, 3, name="local"),
    ]
    keras.Sequential(layers).save(path)
    return path


def test_a_file_becomes_plain(convsmith: Command, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "folded.keras"
    done = convsmith("fold", model, "-o", output)
    assert done.code == 0, done
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "StandardizedConv2D" in lines["first"]
    assert "operations, Conv2D" in lines["first"]
    assert "in first" in lines["norm"]
    assert "its kernel differs from position to position" in lines["local"]
    assert "Largest difference" in done.out
    assert f"Written: {output}" in done.out
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32")
    folded: Any = keras.saving.load_model(output)
    expected: Any = keras.saving.load_model(model)
    np.testing.assert_allclose(
        folded.predict(x, verbose=0), expected.predict(x, verbose=0), atol=1e-5
    )
    assert [path.name for path in tmp_path.iterdir()] == ["folded.keras"]


def test_outputs_that_are_refused(refused: Refused, model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    assert "is the input; expected another file" in refused("fold", model, "-o", model)
    link = tmp_path / "link.keras"
    link.symlink_to(model)
    assert "is the input" in refused("fold", model, "-o", link, "--overwrite")
    assert "isn't a .keras file" in refused("fold", model, "-o", tmp_path / "m.h5")
    assert "no such folder" in refused("fold", model, "-o", tmp_path / "gone" / "m.keras")
    (tmp_path / "folder.keras").mkdir()
    assert "is a folder" in refused("fold", model, "-o", tmp_path / "folder.keras")
    old = tmp_path / "old.keras"
    old.write_text("old")
    assert "exists; expected a new file" in refused("fold", model, "-o", old)
    assert old.read_text() == "old"
    assert model.read_bytes() == before
    assert "Missing option" in refused("fold", model)


def test_overwrite(convsmith: Command, model: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.keras"
    old.write_text("old")
    assert convsmith("fold", model, "-o", old, "--overwrite").code == 0
    assert isinstance(keras.saving.load_model(old), keras.Model)


def test_inputs_that_are_refused(refused: Refused, tmp_path: Path) -> None:
    output = tmp_path / "f.keras"
    assert "there is no such file" in refused("fold", tmp_path / "gone.keras", "-o", output)
    (tmp_path / "half.keras").write_bytes(b"half")
    assert "corrupt or incomplete" in refused("fold", tmp_path / "half.keras", "-o", output)
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    assert "holds a Lambda layer" in refused("fold", path, "-o", output)
    assert not output.exists()


def test_a_difference_above_the_tolerance_writes_nothing(
    refused: Refused, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "f.keras"
    text = refused("fold", model, "-o", output, "--tolerance", "0")
    assert "outputs differ by" in text
    assert not output.exists()

"""A model file from anyone: a model, or one line that says why not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import DataError
from convsmith.models.loading import load

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "good.keras"
    layers = [
        keras.Input((6, 6, 1)),
        cs.layers.StandardizedConv2D(2, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    keras.Sequential(layers).save(path)
    return path


def edited(source: Path, out: Path, without: str = "", **changes: Callable[[bytes], bytes]) -> Path:
    """A copy of a model file with a member left out, or `config` or `weights` changed."""
    names = {"config.json": "config", "model.weights.h5": "weights"}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if name != without:
                change = changes.get(names.get(name, ""), lambda data: data)
                new.writestr(name, change(old.read(name)))
    return out


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "expected a .keras file" in text
    return text


def test_a_model_with_layers_of_convsmith(good: Path) -> None:
    model = load(good)
    assert isinstance(model, keras.Model)
    assert type(model.layers[0]) is cs.layers.StandardizedConv2D
    x = np.ones((1, 6, 6, 1), "float32")
    expected: Any = keras.saving.load_model(good)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected.predict(x, verbose=0))


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    assert "there is no such file" in refusal(tmp_path / "gone.keras")
    assert "is a folder, not a model file" in refusal(tmp_path / "folder.keras")
    assert "not a model file" in refusal(tmp_path / "notes.txt")


def test_damaged_files(good: Path, tmp_path: Path) -> None:
    whole = good.read_bytes()
    path = tmp_path / "m.keras"
    for contents in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(contents)
        assert "corrupt or incomplete model file" in refusal(path)
    for member in ("config.json", "model.weights.h5"):
        assert "corrupt or incomplete" in refusal(edited(good, path, without=member))
    for change in (b"not json", b"[1, 2]", b"{}"):
        damaged = edited(good, path, config=lambda _, change=change: change)
        assert "corrupt or incomplete" in refusal(damaged)
    damaged = edited(good, path, weights=lambda data: data[: len(data) // 2])
    assert "corrupt or incomplete" in refusal(damaged)


def test_foreign_classes(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    for name in (b"Nope", b"system"):
        foreign = edited(
            good, path, config=lambda data, name=name: data.replace(b'"Dense"', b'"%s"' % name)
        )
        assert f"{name.decode()}', which neither Keras nor convsmith knows" in refusal(foreign)


def test_python_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    text = refusal(path)
    assert "holds a Lambda layer, whose Python code convsmith doesn't run" in text
    assert "Try: a registered layer class" in text


def test_what_is_no_model(good: Path, tmp_path: Path) -> None:
    layer = {"module": "keras.layers", "class_name": "Flatten", "config": {}}
    changed = edited(good, tmp_path / "m.keras", config=lambda _: json.dumps(layer).encode())
    assert "holds a Flatten, not a model" in refusal(changed)


def test_weights_that_do_not_fit(good: Path, tmp_path: Path) -> None:
    changed = edited(
        good,
        tmp_path / "m.keras",
        config=lambda data: data.replace(b'"units": 2', b'"units": 3'),
    )
    assert "Keras can't load this model" in refusal(changed)

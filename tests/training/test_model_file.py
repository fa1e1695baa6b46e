"""The model file: whole, self-contained, loaded without running its code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith.errors import DataError
from convsmith.training import classifier, model_file

EXTRAS = model_file.Extras(["across", "down"], light_ground=True)


def small_model(conv: str = "standardized") -> Any:
    return classifier.build(conv, (12, 12, 1), 2)


def test_round_trip_with_extras(tmp_path: Path) -> None:
    model = small_model()
    model_file.save(tmp_path / "m.keras", model, EXTRAS)
    again, extras = model_file.load(tmp_path / "m.keras")
    assert extras == EXTRAS
    images = np.random.default_rng(0).random((3, 12, 12, 1), np.float32)
    np.testing.assert_allclose(
        model_file.answers(again, images), model_file.answers(model, images), atol=1e-5
    )
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_keras_loads_it_too(tmp_path: Path) -> None:
    model = small_model()
    model.optimizer.build(model.trainable_variables)
    model_file.save(tmp_path / "m.keras", model, EXTRAS)
    assert isinstance(keras.saving.load_model(tmp_path / "m.keras"), keras.Model)


def test_a_model_that_keras_saved_has_numbers_for_names(tmp_path: Path) -> None:
    small_model("plain").save(tmp_path / "m.keras")
    _, extras = model_file.load(tmp_path / "m.keras")
    assert extras.name(1) == "1"


def test_probabilities_and_logits_give_the_same_answer() -> None:
    logits = small_model("plain")
    softmax: Any = keras.Sequential([logits, keras.layers.Softmax()])
    images = np.random.default_rng(0).random((3, 12, 12, 1), np.float32)
    found = model_file.answers(logits, images)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)
    np.testing.assert_allclose(found, model_file.answers(softmax, images), atol=1e-5)


def test_a_failed_save_keeps_the_old_model(tmp_path: Path) -> None:
    class Unsaveable:
        def save(self, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError("disk full")

    path = tmp_path / "m.keras"
    path.write_bytes(b"old")
    broken: Any = Unsaveable()
    with pytest.raises(OSError, match="disk full"):
        model_file.save(path, broken, EXTRAS)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "missing", "folder", "suffix"])
def test_what_is_no_model_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / ("m.h5" if damage == "suffix" else "m.keras")
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        model_file.save(tmp_path / "whole.keras", small_model("plain"), EXTRAS)
        whole = (tmp_path / "whole.keras").read_bytes()
        contents = {"truncated": whole[: len(whole) // 2], "empty": b"", "garbage": b"hello"}
        path.write_bytes(contents.get(damage, whole))
    wording = {
        "folder": "is a folder, not a model file",
        "missing": "there is no such file",
        "suffix": "not a model file",
    }
    with pytest.raises(DataError, match=wording.get(damage, "corrupt or incomplete model file")):
        model_file.load(path)


def test_code_in_a_model_file_does_not_run(tmp_path: Path) -> None:
    layers = [keras.Input((12, 12, 1)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "m.keras")
    with pytest.raises(DataError, match="Lambda layer, whose Python code convsmith doesn.t run"):
        model_file.load(tmp_path / "m.keras")

"""`convsmith convert`: a model file to a model file, and every refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith.training import model_file

Command = Callable[..., Any]
Refused = Callable[..., str]
layers: Any = keras.layers


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.keras"
    keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(8, 3, padding="same", name="stem"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(8, 3, strides=2, padding="same", name="body"),
        ]
    ).save(path)
    return path


def kinds(path: Path) -> list[str]:
    return [type(layer).__name__ for layer in keras.saving.load_model(path).layers]


def test_one_rule(convsmith: Command, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.keras"
    done = convsmith(
        "convert", model, "--rule", "Conv2D=StandardizedConv2D", "--except-first", "-o", out
    )
    assert done.code == 0, done
    assert kinds(out) == ["Conv2D", "BatchNormalization", "StandardizedConv2D"]
    old, new = keras.saving.load_model(model), keras.saving.load_model(out)
    for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "keras.Conv2D  StandardizedConv2D" in done.out
    assert "1 layer replaced" in done.out
    assert "parameters: 768" in done.out
    assert f"Written to {out}" in done.out


@pytest.mark.one_backend
def test_all_options(convsmith: Command, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.keras"
    done = convsmith(
        *("convert", model, "-o", out, "--rule", "stem=DropIn", "--rule", "body=WeightNormConv2D"),
        *("--padding-mode", "reflect", "--blur-pool", 3, "--low-rank", "tucker:2"),
        *("--group-norm", 4),
    )
    assert done.code == 0, done
    new = keras.saving.load_model(out)
    assert [layer.name for layer in new.layers] == [
        *("stem_in", "stem_core", "stem", "norm"),
        *("body_in", "body_core", "body", "body_blur"),
    ]
    assert new.get_layer("stem_core").padding_mode == "reflect"
    assert new.get_layer("norm").groups == 4
    assert convsmith("convert", out, "--rule", "Conv2D=DropIn", "-o", out, "--overwrite").code == 0


@pytest.mark.one_backend
def test_the_names_of_classes_stay(convsmith: Command, model: Path, tmp_path: Path) -> None:
    extras = model_file.Extras(("cat", "dog"), light_ground=True)
    model_file.save(tmp_path / "named.keras", model_file.load(model)[0], extras)
    out = tmp_path / "new.keras"
    assert convsmith("convert", tmp_path / "named.keras", "--rule", "*=DropIn", "-o", out).code == 0
    assert model_file.load(out)[1].name(1) == "dog"


@pytest.mark.one_backend
def test_refusals(refused: Refused, model: Path, tmp_path: Path) -> None:
    out, rule = tmp_path / "new.keras", ("--rule", "Conv2D=StandardizedConv2D")
    assert "has nothing to do" in refused("convert", model, "-o", out)
    assert "rule 'Conv2D': is no pair" in refused("convert", model, "-o", out, "--rule", "Conv2D")
    found = refused("convert", model, "-o", out, "--rule", "Conv2D=StandardConv2D")
    assert "is no layer of convsmith or Keras" in found
    found = refused("convert", model, "-o", out, "--rule", "Conv3D=StandardizedConv3D")
    assert "rules: key 'Conv3D': matches no layer" in found
    assert "Conv2D (2)" in found
    assert "has no rank" in refused("convert", model, "-o", out, "--low-rank", "tucker")
    assert "'sideways'" in refused("convert", model, "-o", out, "--padding-mode", "sideways")
    assert "isn't a .keras file" in refused("convert", model, *rule, "-o", tmp_path / "new.onnx")
    gone = tmp_path / "gone" / "new.keras"
    assert f"the folder {gone.parent} isn't there" in refused("convert", model, *rule, "-o", gone)
    assert "is there already. Try: another -o" in refused("convert", model, *rule, "-o", model)
    assert "there is no such file" in refused("convert", tmp_path / "no.keras", *rule, "-o", out)
    (tmp_path / "half.keras").write_bytes(model.read_bytes()[:3000])
    found = refused("convert", tmp_path / "half.keras", *rule, "-o", out)
    assert "corrupt or incomplete" in found
    assert list(tmp_path.glob("*new*")) == []


@pytest.mark.one_backend
def test_a_file_with_python_code(refused: Refused, tmp_path: Path) -> None:
    code = [keras.Input((8, 8, 2)), layers.Lambda(lambda x: 2 * x), layers.Conv2D(2, 3)]
    keras.Sequential(code).save(tmp_path / "code.keras")
    out = tmp_path / "new.keras"
    found = refused("convert", tmp_path / "code.keras", "--rule", "Conv2D=DropIn", "-o", out)
    assert "ambda" in found
    assert not out.exists()


def test_nothing_is_half_written(
    convsmith: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new.keras"

    def torn(self: Any, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(keras.Model, "save", torn)
    done = convsmith("convert", model, "--rule", "Conv2D=DropIn", "-o", out)
    assert done.code == 2
    assert "No space left on device" in done.err
    assert list(tmp_path.iterdir()) == []

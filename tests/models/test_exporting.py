"""Exports: what is refused, what is left behind, several inputs and outputs, other backends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import layers
from convsmith.errors import ArgumentError, ShapeError, UnsupportedError
from convsmith.models import export, exporting
from convsmith.models.formats import FORMATS, Made
from convsmith.models.trials import distance

BACKEND = keras.config.backend()
OTHER = {"tensorflow": "torch", "jax": "onnx", "torch": "saved_model"}
"""A format that another backend writes."""


def small(**options: Any) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6, 7, 2), **options), layers.StandardizedConv2D(3, 3), layers.Conv2D(2, 1)]
    )


def paths_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.txt", {}, r"no format has the suffix '\.txt'; expected keras \(\.keras\)"),
        ("a.onnx", {"format": "onx"}, r"format='onx': there is no such format; expected keras"),
        ("a.onnx", {"format": "litert"}, r"isn't a name for the format litert.*a\.tflite"),
        ("a.keras", {"quantize": "float16"}, r"nothing that the format keras can do.*onnx"),
        ("a.onnx", {"quantize": "int4"}, r"quantize='int4': is unknown"),
        ("a.onnx", {"quantize": "int8"}, r"needs samples.*calibration=x_train\[:200\]"),
        ("a.onnx", {"calibration": [1]}, r"has no use for calibration.*quantize='int8'"),
    ],
)
def test_requests_that_make_no_sense(
    name: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        export(small(), tmp_path / name, **options)
    assert not paths_in(tmp_path)


def test_models_without_inputs_of_known_shape(tmp_path: Path) -> None:
    for model in (keras.Sequential([layers.Conv2D(2, 3)]), layers.Conv2D(2, 3)):
        with pytest.raises(UnsupportedError, match="a built Sequential or functional model"):
            export(model, tmp_path / "a.keras")  # type: ignore[arg-type]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convsmith.models import formats

    monkeypatch.setattr(formats, "there", lambda name: name not in ("tf2onnx", "tensorflow"))
    message = r"tensorflow, tf2onnx are not installed.*'convsmith\[tensorflow,export\]'"
    with pytest.raises(UnsupportedError, match=message):
        export(small(), tmp_path / "a.onnx")


def test_samples_that_arent_inputs(tmp_path: Path) -> None:
    x = np.zeros((4, 6, 7, 2), "float32")
    for bad in (x[..., :1], x[:0], [x, x], x[0]):
        with pytest.raises(ShapeError, match=r"evaluation: isn't samples.*'samples', 6, 7, 2"):
            export(small(), tmp_path / "a.keras", evaluation=(bad, np.zeros(4, int)))
    with pytest.raises(ShapeError, match=r"expected 4 labels, and outputs \(samples, classes\)"):
        export(small(), tmp_path / "a.keras", evaluation=(x, np.zeros(3, int)))
    with pytest.raises(ShapeError, match=r"outputs \(4, 4, 5, 2\)"):
        export(small(), tmp_path / "a.keras", evaluation=(x, np.zeros(4, int)))
    assert not paths_in(tmp_path)


# ---------------------------------------------------------------------------- what is left behind


def test_an_artifact_that_differs_is_never_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = exporting._make

    def off(*arguments: Any) -> Made:
        made = make(*arguments)
        assert made.outputs[1] is not None
        made.outputs[1][0] += 0.01
        return made

    path = tmp_path / "a.keras"
    first = export(small(), path)
    before = path.read_bytes()
    monkeypatch.setattr(exporting, "_make", off)
    with pytest.raises(UnsupportedError, match=r"differ from the model's by 0\.01 where those"):
        export(small(), path, overwrite=True)
    assert path.read_bytes() == before
    assert paths_in(tmp_path) == ["a.keras"]
    report = export(small(), path, overwrite=True, tolerance=0.1)
    assert abs(report.max_difference - 0.01) < 1e-5
    assert first.max_difference < 1e-5 < report.mean_difference


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    path.write_text("precious")
    with pytest.raises(ArgumentError, match="is there already. Try: overwrite=True"):
        export(small(), path)
    assert path.read_text() == "precious"
    export(small(), path, overwrite=True)
    assert keras.saving.load_model(path).count_params() == small().count_params()


@pytest.mark.one_backend
def test_folders_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "served"
    path.mkdir()
    (path / "old").write_text("old")
    report = export(small(), path, overwrite=True)
    assert not (path / "old").exists()
    assert (path / "saved_model.pb").exists()
    assert report.bytes == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert paths_in(tmp_path) == ["served"]

    def fail(*_: Any) -> Any:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(FORMATS["saved_model"].module, "opened", fail)
    with pytest.raises(UnsupportedError, match=r"doesn't run \(the disk is full\)"):
        export(small(), path, overwrite=True)
    assert (path / "saved_model.pb").exists()
    assert paths_in(tmp_path) == ["served"]


# ------------------------------------------------------------------------------ kinds of models


def several(**names: Any) -> keras.Model:
    """Two inputs, of which one is whole numbers, and two outputs, whose order could be mixed up."""
    images = keras.Input((6, 7, 2), name="z_images")
    kinds = keras.Input((1,), dtype="int32", name="a_kinds")
    maps = layers.Conv2D(3, 3)(images)
    means = keras.layers.GlobalAveragePooling2D()(maps)
    kind = keras.layers.Flatten()(keras.layers.Embedding(2, 3)(kinds))
    outputs: Any = [keras.layers.Add()([means, kind]), maps]
    return keras.Model([images, kinds], outputs)


@pytest.mark.parametrize("name", [f.name for f in FORMATS.values() if f.backend in (None, BACKEND)])
def test_several_inputs_and_outputs(name: str, tmp_path: Path) -> None:
    report = export(several(), tmp_path / f"a{FORMATS[name].suffix}")
    assert report.format == name
    assert report.sizes[1] == ((1, 6, 7, 2), (1, 1))
    assert report.max_difference < 1e-5


def test_fixed_batch_stays_fixed(tmp_path: Path) -> None:
    report = export(small(batch_size=4), tmp_path / "a.keras")
    assert {sizes[0][0] for sizes in report.sizes} == {4}


def test_sizes_that_the_model_refuses_are_not_tried(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 1))
    halves = keras.layers.AveragePooling2D(32)(inputs)
    outputs = keras.layers.Concatenate()([inputs, keras.layers.UpSampling2D(32)(halves)])
    report = export(keras.Model(inputs, outputs), tmp_path / "a.keras")
    assert all(n % 32 == 0 for sizes in report.sizes for n in sizes[0][1:3])


def test_report_reads_well(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.set_weights([np.eye(4, 2), np.zeros(2)])
    x = np.eye(4, dtype="float32")[:2]
    report = export(model, tmp_path / "a.keras", evaluation=(x, np.array([0, 0])))
    lines = str(report).splitlines()
    assert lines[0] == f"{tmp_path / 'a.keras'} (keras, {report.bytes:,} bytes)"
    assert lines[1].startswith("run on 2x4; 1x4; 5x4: differs by at most 0, by 0 in the mean")
    assert lines[2] == "accuracy: 50.00% before, 50.00% after, on 2 samples"


# --------------------------------------------------------------------------------- other backends


def test_a_format_of_another_backend(tmp_path: Path) -> None:
    name: Any = OTHER[BACKEND]
    path = tmp_path / f"a{FORMATS[name].suffix}"
    x = np.zeros((2, 6, 7, 2), "float32")
    model = keras.Sequential(
        [keras.Input((6, 7, 2)), layers.Conv2D(3, 3, padding_mode="wrap"), keras.layers.Flatten()]
    )
    report = export(model, path, evaluation=(x, np.zeros(2, int)))
    assert report.max_difference < 1e-5
    assert report.accuracy is not None
    assert path.exists()
    assert paths_in(tmp_path) == [path.name]


class Unknown(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs


@pytest.mark.one_backend
def test_a_class_that_the_other_process_cant_import(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), Unknown()])
    name: Any = OTHER[BACKEND]
    with pytest.raises(UnsupportedError, match=r"can't be loaded on .*KERAS_BACKEND="):
        export(model, tmp_path / f"a{FORMATS[name].suffix}")
    assert not paths_in(tmp_path)


def test_distance_sees_what_isnt_a_number() -> None:
    one = [np.array([1.0, np.nan])]
    assert distance([([], one, one)]) == (0.0, 0.0, 1.0)
    assert distance([([], [np.array([1.0, 2.0])], one)])[0] == np.inf
    assert distance([([], [np.array([1.0])], one)])[0] == np.inf
    assert distance([([], [np.array([1.5, np.nan])], one)]) == (0.5, 0.25, 1.0)

"""From training to the runtimes on the shipped digits: the same accuracy, to the digit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convsmith.models import export, fold
from convsmith.models.loading import load
from convsmith.training import classifier, datasets, model_file

pytestmark = pytest.mark.one_backend

Trained = tuple[Any, datasets.Dataset]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The model that `convsmith train` trains, saved as there and reloaded, and the digits."""
    digits = datasets.load("mini")
    model = classifier.build("standardized", digits.image_shape, len(digits.classes))
    model.fit(digits.x_train, digits.y_train, batch_size=64, epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("run") / "model.keras"
    model_file.save(path, model, model_file.Extras(digits.classes, digits.light_ground))
    return load(path), digits


def by_onnxruntime(path: Path, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = [given.name for given in session.get_inputs()]
    return np.asarray(session.run(None, {name: x})[0])


def by_litert(path: Path, x: np.ndarray) -> np.ndarray:
    """One digit at a time, without a signature: as on a phone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for digit in x:
        interpreter.set_tensor(given["index"], digit[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(made["index"])[0])
    return np.stack(rows)


RUNTIMES: dict[str, Callable[[Path, np.ndarray], np.ndarray]] = {
    "digits.onnx": by_onnxruntime,
    "digits.tflite": by_litert,
}


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(logits.argmax(axis=-1) == labels))


@pytest.mark.parametrize("name", RUNTIMES)
def test_same_accuracy_to_the_digit(name: str, trained: Trained, tmp_path: Path) -> None:
    model, digits = trained
    x, y = digits.x_test, digits.y_test
    keras_logits = np.asarray(model.predict(x, verbose=0))
    folded_logits = np.asarray(fold(model).predict(x, verbose=0))
    report = export(model, tmp_path / name, evaluation=(x, y))
    logits = RUNTIMES[name](report.path, x)

    before = accuracy(keras_logits, y)
    assert before > 0.8, "a model that learned nothing would prove nothing"
    assert accuracy(folded_logits, y) == before
    assert accuracy(logits, y) == before
    assert report.accuracy is not None
    assert (report.accuracy.before, report.accuracy.after) == (before, before)
    assert report.accuracy.samples == len(y)
    np.testing.assert_allclose(logits, keras_logits, atol=1e-4 * np.abs(keras_logits).max())


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("quantize", "largest_share", "largest_loss"), [("float16", 0.52, 0.002), ("int8", 0.3, 0.01)]
)
def test_quantised(
    name: str,
    quantize: Any,
    largest_share: float,
    largest_loss: float,
    trained: Trained,
    tmp_path: Path,
) -> None:
    model, digits = trained
    x, y = digits.x_test, digits.y_test
    calibration = digits.x_train[:100] if quantize == "int8" else None
    report = export(
        model, tmp_path / name, quantize=quantize, calibration=calibration, evaluation=(x, y)
    )
    floats = 4 * model.count_params()
    assert report.bytes < largest_share * floats + 10_000
    assert report.accuracy is not None
    assert report.accuracy.after >= report.accuracy.before - largest_loss
    assert accuracy(RUNTIMES[name](report.path, x), y) == report.accuracy.after
    assert 0 < report.mean_difference < report.max_difference
    assert f"({report.format}, {quantize}, " in str(report)

"""Exporting: a model as a file for another runtime, which has been run before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from convsmith.errors import ArgumentError, ShapeError, UnsupportedError, compose
from convsmith.files import replacing, replacing_folder
from convsmith.models import formats
from convsmith.models.export_report import Accuracy, ExportReport
from convsmith.models.folding import fold
from convsmith.models.formats import Arrays, Format, FormatName, Made, Order, Quantize, Run
from convsmith.models.formats.elsewhere import make_elsewhere
from convsmith.models.formats.keras_file import as_function
from convsmith.models.trials import distance, trials_of
from convsmith.models.widening import is_mixed, widened

TOLERANCES = {None: 1e-4, "mixed": 2e-2, "float16": 2e-2, "int8": 0.5}
"""Of the largest number in the output: plain, mixed precision, and quantised."""


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    format: FormatName | None = None,
    quantize: Quantize | None = None,
    calibration: Any = None,
    evaluation: tuple[Any, Any] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a model for another runtime: folded, written, run there and compared.

    Equation: ``|artifact(x) - model(x)| <= tolerance * max |model(x)|`` for random x of several
    batch sizes, and of several sizes of images where the model leaves them open; for int8, x are
    samples of the calibration. Nothing is left under the name otherwise.

    A format that another backend writes is written in a process of its own, on that backend.
    Models of mixed precision are written in float32, the precision of their weights.

    Args:
        model: a built Sequential or functional model.
        path: `.keras`, `.onnx`, `.tflite`, `.pt2`, or a folder without suffix for a SavedModel.
        format: `"keras"`, `"saved_model"`, `"onnx"`, `"litert"` or `"torch"` (an
            ExportedProgram); default: what the path says.
        quantize: for ONNX and LiteRT: `"float16"` stores the weights in half the bytes, `"int8"`
            computes in whole numbers.
        calibration: for int8: inputs (samples, ...) that show which numbers occur, or a list with
            an array for each input.
        evaluation: inputs and integer labels, for the accuracy of a classifier before and after.
        tolerance: how far outputs may lie apart, as a part of the largest output; default: 1e-4,
            2e-2 for mixed precision and float16, 0.5 for int8.
        overwrite: whether to replace what is there.

    Returns:
        An `ExportReport`: print it.

    Raises:
        ArgumentError: an unknown format, a path that is there already or doesn't suit the format,
            quantisation without calibration or of a format without it.
        ShapeError: calibration or evaluation that aren't inputs of the model.
        UnsupportedError: a model without inputs of known rank, a format that isn't installed or
            lacks an operation, or an artifact whose outputs differ.

    Example:
        >>> import tempfile, pathlib, keras
        >>> from convsmith import layers
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), layers.StandardizedConv2D(2, 3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = export(model, pathlib.Path(folder) / "model.keras")
        >>> report.format, report.max_difference < 1e-4
        ('keras', True)
    """
    path = Path(path)
    form = formats.find(format, path)
    _check_request(model, form, path, quantize, calibration, overwrite)
    formats.check_installed(form)
    given = as_function(model)
    samples = None if calibration is None else _arrays(model, calibration, "calibration")
    exam = None if evaluation is None else _exam(model, given, *evaluation)
    if samples is None:
        inputs, expected = trials_of(model, given)
    else:
        inputs = [[x[:n] for x in samples] for n in (2, 1, 5)]
        expected = [given(x) for x in inputs]

    folded = fold(model)
    mixed = is_mixed(folded) and form.name != "keras"
    notes = ["computes in float32, the precision of the weights"] if mixed else []
    if mixed:
        folded = widened(folded)
    allowed = tolerance or TOLERANCES[quantize or ("mixed" if mixed else None)]
    with _replacing(path, form) as temporary:
        order = Order(temporary, inputs, quantize, samples, exam.questions if exam else None)
        made = _make(folded, form, order)
        pairs = [
            (x, y, right)
            for x, y, right in zip(inputs, made.outputs, expected, strict=True)
            if y is not None
        ]
        worst, mean, scale = distance(pairs)
        _check_close(form, worst, scale, allowed)
        size = _bytes_of(temporary)
    return ExportReport(
        path,
        form.name,
        quantize,
        tuple(tuple(x.shape for x in arrays) for arrays, _, _ in pairs),
        worst,
        mean,
        scale,
        size,
        None if exam is None else exam.marked(made.answers),
        (*notes, *made.written.notes),
    )


def _check_request(
    model: Any,
    form: Format,
    path: Path,
    quantize: str | None,
    calibration: Any,
    overwrite: bool,
) -> None:
    if not (isinstance(model, keras.Model) and model.built and getattr(model, "inputs", None)):
        raise UnsupportedError(
            compose(
                f"export: {type(model).__name__} {getattr(model, 'name', '')!r}",
                "isn't a model with inputs of known shape",
                expected="a built Sequential or functional model",
                fix="keras.Model(inputs, layers(inputs)) with inputs = keras.Input(shape)",
            ),
            argument="model",
            value=model,
        )
    if quantize is not None and quantize not in form.quantize:
        some = ", ".join(f.name for f in formats.FORMATS.values() if quantize in f.quantize)
        known = ", ".join(formats.QUANTIZE)
        raise ArgumentError(
            compose(
                f"export: quantize={quantize!r}",
                f"is nothing that the format {form.name} can do" if some else "is unknown",
                expected=f"one of {known}, for onnx and litert",
                fix=f"format={some.split(', ')[0]!r}" if some else "quantize='float16'",
            ),
            argument="quantize",
            value=quantize,
        )
    if (quantize == "int8") != (calibration is not None):
        raise ArgumentError(
            compose(
                f"export: quantize={quantize!r}",
                "needs samples that show which numbers occur"
                if calibration is None
                else "has no use for calibration",
                fix="calibration=x_train[:200]" if calibration is None else "quantize='int8'",
            ),
            argument="calibration",
            value=calibration,
        )
    if path.exists() and not overwrite:
        raise ArgumentError(
            compose(
                f"export: path={str(path)!r}", "is there already", fix="overwrite=True, or another"
            ),
            argument="path",
            value=path,
        )


def _arrays(model: Any, given: Any, what: str) -> Arrays:
    """Return an array for each input, checked against the model."""
    several = list(given) if isinstance(given, list | tuple) else [given]
    if len(model.inputs) == 1 and len(several) != 1:
        several = [given]
    arrays = [np.asarray(x, np.dtype(t.dtype)) for x, t in zip(several, model.inputs)]  # noqa: B905
    fits = len(several) == len(model.inputs) and all(
        x.ndim == len(t.shape)
        and len(x) == len(arrays[0]) > 0
        and all(n in (None, m) for n, m in zip(t.shape[1:], x.shape[1:], strict=True))
        for x, t in zip(arrays, model.inputs, strict=True)
    )
    if not fits:
        raise ShapeError(
            compose(
                f"export: {what}",
                "isn't samples for the inputs of the model",
                expected=" and ".join(str(("samples", *t.shape[1:])) for t in model.inputs),
                received=" and ".join(str(np.shape(x)) for x in several),
            ),
            argument=what,
            value=given,
        )
    return arrays


def _make(model: Any, form: Format, order: Order) -> Made:
    here = form.backend in (None, keras.backend.backend())
    return formats.make(model, form, order) if here else make_elsewhere(model, form, order)


def _check_close(form: Format, worst: float, scale: float, allowed: float) -> None:
    if worst <= allowed * (scale or 1.0):
        return
    raise UnsupportedError(
        compose(
            f"export: format={form.name!r}",
            f"outputs differ from the model's by {worst:.3g} where those reach {scale:.3g}, and "
            "nothing was written",
            expected=f"a part of {allowed:g} at most",
            fix="a larger tolerance=, if that is acceptable",
        ),
        argument="tolerance",
        value=allowed,
    )


@dataclass(frozen=True)
class _Exam:
    """Inputs, their labels, and the answers of the model before it was exported."""

    questions: Arrays
    labels: np.ndarray
    answers: np.ndarray

    def marked(self, after: Any) -> Accuracy:
        shares = [float(np.mean(y.argmax(-1) == self.labels)) for y in (self.answers, after)]
        return Accuracy(shares[0], shares[1], len(self.labels))


def _exam(model: Any, before: Run, inputs: Any, labels: Any) -> _Exam:
    questions = _arrays(model, inputs, "evaluation")
    labels = np.asarray(labels).reshape(-1)
    answers = formats.in_batches(before, questions)
    if answers.ndim != 2 or len(labels) != len(answers):
        raise ShapeError(
            compose(
                "export: evaluation",
                "isn't inputs and a whole number for each",
                expected=f"{len(answers)} labels, and outputs (samples, classes)",
                received=f"{len(labels)} labels, and outputs {answers.shape}",
            ),
            argument="evaluation",
            value=labels,
        )
    return _Exam(questions, labels, answers)


@contextmanager
def _replacing(path: Path, form: Format) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (replacing if form.suffix else replacing_folder)(path) as temporary:
        yield temporary


def _bytes_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file())

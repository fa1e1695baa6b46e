"""From training to other runtimes: the digit classifier as ONNX and LiteRT files.

The trained model is folded and exported, whole, in half precision and in whole numbers, and each
file is run by its own runtime on the test digits.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import read_options, save_picture
from convsmith import plots
from convsmith.models.export_report import ExportReport
from convsmith.training import classifier, datasets

KINDS = {"float32": None, "float16": "float16", "int8": "int8"}


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Return the logits that onnxruntime computes, all images at once."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def run_litert(path: Path, images: np.ndarray) -> np.ndarray:
    """Return the logits that LiteRT computes, an image at a time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    logits = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(made["index"])[0])
    return np.stack(logits)


RUNTIMES: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "ONNX": (".onnx", run_onnx),
    "LiteRT": (".tflite", run_litert),
}


def train(digits: datasets.Dataset, count: int, epochs: int) -> keras.Model:
    """Return the classifier of `convsmith train`, trained on the first `count` digits."""
    model = classifier.build("standardized", digits.image_shape, len(digits.classes))
    model.fit(
        digits.x_train[:count], digits.y_train[:count], batch_size=50, epochs=epochs, verbose=0
    )
    return model


def draw(reports: dict[str, ExportReport], found: dict[str, float], before: float) -> Any:
    """Return the picture: sizes of the files, and what they get right."""
    figure = plots.new_figure(figsize=(11, 4))
    sizes, shares = figure.subplots(1, 2)
    rows = range(len(reports))
    sizes.barh(rows, [r.bytes / 1000 for r in reports.values()], color=plots.COLOURS[0])
    plots.style_axes(sizes, "Kilobytes")
    shares.plot([100 * share for share in found.values()], rows, "o", color=plots.COLOURS[1])
    shares.axvline(100 * before, color=plots.INK, linestyle="--", label="Keras")
    plots.style_axes(shares, "Test digits right, in %")
    shares.set_xlim(max(0, 100 * min(*found.values(), before) - 3), 100)
    shares.legend(frameon=False, loc="lower right")
    for axes in (sizes, shares):
        axes.set_yticks(rows, list(reports))
        axes.set_ylim(len(reports) - 0.5, -0.5)
    return figure


def main(arguments: Sequence[str] | None = None) -> tuple[float, dict[str, float]]:
    """Train, export and run; return the accuracy in Keras, and that of each file."""
    options = read_options(__doc__, arguments, epochs=5)
    digits = datasets.load("mini")
    model = train(digits, 1000 if options.quick else len(digits.x_train), options.epochs)
    logits = model.predict(digits.x_test, verbose=0)
    before = float(np.mean(logits.argmax(axis=-1) == digits.y_test))
    print(f"Keras: {before:.2%} of the test digits, {model.count_params():,} parameters")
    reports, found = {}, {}
    folder = options.out.with_name("deploy")
    for runtime, (suffix, run) in RUNTIMES.items():
        for kind, quantize in KINDS.items():
            report = cs.models.export(
                model,
                folder / f"digits-{kind}{suffix}",
                quantize=quantize,
                calibration=digits.x_train[:100] if kind == "int8" else None,
                overwrite=True,
            )
            name = f"{runtime}, {kind}"
            guesses = run(report.path, digits.x_test).argmax(axis=-1)
            reports[name], found[name] = report, float(np.mean(guesses == digits.y_test))
            print(f"{name}: {found[name]:.2%}, {report.bytes:,} bytes in {report.path}")
    save_picture(draw(reports, found, before), options.out / "deploy.png")
    return before, found


if __name__ == "__main__":
    main()

"""How long a model's answer takes: in Keras, folded, and exported.

All on one thread, in a process of its own on TensorFlow, which writes the exported files. Inputs
and outputs are NumPy arrays in the runtimes, and TensorFlow's own tensors in compiled calls.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 64)
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
COLUMNS = (
    "predict_on_batch",
    "compiled call",
    "folded, compiled call",
    "ONNX",
    "ONNX, int8",
    "LiteRT",
    "LiteRT, int8",
)


def models() -> dict[str, Any]:
    """Return the classifier of `convsmith train`, and a usual network with batch norm."""
    import keras

    from convsmith.training import classifier

    applications: Any = keras.applications
    mobile = applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)
    return {
        "digits, standardised": classifier.build("standardized", (28, 28, 1), 10),
        "MobileNetV2 0.35, 96x96": mobile,
    }


def candidates(model: Any, x: np.ndarray, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return the ways to compute the model's answer for x."""
    import tensorflow as tf

    import convsmith as cs
    from convsmith.models.formats import FORMATS, Arrays, Run

    tensor = tf.convert_to_tensor(x)
    compiled = tf.function(lambda x: model(x, training=False))
    folded = cs.models.fold(model)
    compiled_folded = tf.function(lambda x: folded(x, training=False))
    samples = np.random.default_rng(1).random((20, *x.shape[1:]), dtype="float32")

    def exported(name: str, quantize: Any = None) -> Run:
        path = folder / f"{name}-{quantize}{FORMATS[name].suffix}"
        if not path.exists():
            calibration = samples if quantize else None
            cs.models.export(model, path, quantize=quantize, calibration=calibration, tolerance=1.0)
        return FORMATS[name].module.opened(path, folded)  # whose inputs the file names

    runs = [
        exported("onnx"),
        exported("onnx", "int8"),
        exported("litert"),
        exported("litert", "int8"),
    ]
    given: Arrays = [x]
    calls: list[Callable[[], Any]] = [
        lambda: model.predict_on_batch(x),
        lambda: compiled(tensor).numpy(),  # type: ignore[union-attr]
        lambda: compiled_folded(tensor).numpy(),  # type: ignore[union-attr]
        *((lambda run=run: run(given)[0]) for run in runs),
    ]
    return dict(zip(COLUMNS, calls, strict=True))


def measure(seconds: float) -> list[dict[str, Any]]:
    """Return a row for each model and batch; all but int8 must agree."""
    from benchmarks._measure import time_in_turns

    rows = []
    for name, model in models().items():
        with tempfile.TemporaryDirectory() as folder:
            for batch in BATCHES:
                shape = (batch, *model.inputs[0].shape[1:])
                x = np.random.default_rng(0).random(shape, dtype="float32")
                calls = candidates(model, x, Path(folder))
                expected = np.asarray(calls[COLUMNS[0]]())
                for column, call in calls.items():
                    found = np.asarray(call())
                    if "int8" not in column and not np.allclose(found, expected, atol=1e-3):
                        raise SystemExit(f"{column} computes something else")
                times = time_in_turns(calls, seconds)
                rows.append({"model": name, "batch": batch, "times": times})
                print(_line(rows[-1]), flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    cells = [f"{row['times'][column]['milliseconds']:.3g}" for column in COLUMNS]
    return f"| {row['model']} | {row['batch']} | {' | '.join(cells)} |"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the medians as a table in Markdown."""
    head = f"| milliseconds | batch | {' | '.join(COLUMNS)} |"
    lines = [head, "|---|" + "---:|" * (len(COLUMNS) + 1), *map(_line, rows)]
    return "\n".join([*lines, "", "One thread each; medians of calls that take turns."])


def main(arguments: Sequence[str]) -> None:
    """Measure in a process of its own, and keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each row (default: 8)")
    options = parser.parse_args(arguments)
    command = [sys.executable, "-m", "benchmarks.latency", str(options.seconds)]
    subprocess.run(command, env=os.environ | ENVIRONMENT, check=True)


def _keep(seconds: float) -> None:
    from benchmarks._measure import RESULTS, save
    from convsmith.files import write_text

    rows = measure(seconds)
    write_text(RESULTS / "latency.md", table(rows) + "\n")
    print(f"kept in {save('latency', rows)}")


if __name__ == "__main__":
    _keep(float(sys.argv[1]))

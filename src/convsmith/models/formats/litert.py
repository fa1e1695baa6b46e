"""LiteRT (once TensorFlow Lite): one file for phones and small devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convsmith.errors import UnsupportedError, compose
from convsmith.models.formats import Arrays, Order, Run, Written, names_of

_LACKING = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def write(model: Any, order: Order) -> Written:
    """Write the file with operations that LiteRT has itself, none of TensorFlow's.

    Raises:
        UnsupportedError: the model needs others.
    """
    import tensorflow as tf

    ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    options: dict[str, Any] = {"target_spec": {"supported_ops": ops}}
    if order.quantize is not None:
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if order.quantize == "float16":
        options["target_spec"]["supported_types"] = [tf.float16]
    if order.calibration is not None:
        ops.insert(0, tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
        options["representative_dataset"] = _samples(model, order.calibration)
    try:
        model.export(order.path, format="litert", verbose=False, **options)
    except Exception as error:  # the converter has several kinds, none of them public
        raise _refusal(error) from error
    return Written()


def _samples(model: Any, calibration: Arrays) -> Any:
    names = names_of(model.inputs)

    def each() -> Iterator[dict[str, Any]]:
        for i in range(len(calibration[0])):
            yield {
                name: x[i : i + 1].astype(t.dtype)
                for name, x, t in zip(names, calibration, model.inputs, strict=True)
            }

    return each


def _refusal(error: Exception) -> UnsupportedError:
    lacking = _LACKING.search(str(error))
    text = str(error).strip()
    reason = f"LiteRT lacks the operations {lacking[1]}" if lacking else text.splitlines()[0][:300]
    return UnsupportedError(
        compose(
            "export: format='litert'",
            reason,
            fix="format='saved_model', which has all of TensorFlow's",
        ),
        argument="format",
        value="litert",
    )


def opened(path: Path, model: Any) -> Run:
    """Return the file, run by LiteRT's interpreter, which is told the sizes at each call."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    call = interpreter.get_signature_runner()
    names = names_of(model.inputs)

    def run(inputs: Arrays) -> Arrays:
        outputs = call(**dict(zip(names, inputs, strict=True)))
        return [outputs[name] for name in sorted(outputs, key=_by_number)]

    return run


def _by_number(name: str) -> tuple[str, int]:
    """Sort output_10 after output_9."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdigit() else (name, 0)

"""ONNX: one file that onnxruntime and many others run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from convsmith.errors import UnsupportedError, compose
from convsmith.models.formats import Arrays, Order, Run, Written, names_of
from convsmith.models.formats.grouped import without_hidden_groups
from convsmith.models.formats.keras_file import as_function


def write(model: Any, order: Order) -> Written:
    """Write the file, quantised if asked.

    Raises:
        UnsupportedError: the model needs an operation that ONNX lacks.
    """
    import onnx

    model = without_hidden_groups(model)
    as_function(model)(order.trials[0])  # Keras refuses models that were never called.
    tf2onnx_log = logging.getLogger("tf2onnx")
    level = tf2onnx_log.level
    tf2onnx_log.setLevel(logging.CRITICAL)
    try:
        model.export(order.path, format="onnx", verbose=False)
    except Exception as error:  # whatever the converter meets
        raise _refusal(error) from error
    finally:
        tf2onnx_log.setLevel(level)
    made = onnx.load(str(order.path))
    _name_batch(made.graph)
    onnx.checker.check_model(made)
    onnx.save(made, str(order.path))
    if order.quantize is not None:
        from convsmith.models.formats import onnx_quantized

        onnx_quantized.quantize(order, names_of(model.inputs))
    return Written()


def _name_batch(graph: Any) -> None:
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_param:
            dims[0].dim_param = "batch"


def _refusal(error: Exception) -> UnsupportedError:
    return UnsupportedError(
        compose(
            "export: format='onnx'",
            f"this model can't be written as ONNX ({str(error).strip().splitlines()[0][:300]})",
            fix="format='saved_model'",
        ),
        argument="format",
        value="onnx",
    )


def opened(path: Path, model: Any) -> Run:
    """Return the file, run by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = names_of(model.inputs)

    def run(inputs: Arrays) -> Arrays:
        return [*session.run(None, dict(zip(names, inputs, strict=True)))]  # type: ignore[misc]

    return run

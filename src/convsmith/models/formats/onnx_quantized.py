"""ONNX files with smaller numbers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from convsmith.models.formats import Arrays, Order

LEAST_HALVED = 16
"""Smaller constants stay as they are: shapes, factors, and biases of a few numbers."""


def quantize(order: Order, names: list[str]) -> None:
    """Replace the file of the order by its quantised version."""
    if order.quantize == "float16":
        _halve_weights(order.path)
    else:
        assert order.calibration is not None
        _to_int8(order.path, order.calibration, names)


def _halve_weights(path: Path) -> None:
    """Store weights in float16, and turn them to float32 where they are used.

    As LiteRT does it: half the bytes, the same operations. Runtimes do the cast once, on loading.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = onnx.load(str(path))
    casts: list[Any] = []
    most = float(np.finfo(np.float16).max)
    for constant in made.graph.initializer:
        values = numpy_helper.to_array(constant)
        large = values.dtype == np.float32 and values.size >= LEAST_HALVED
        if not large or np.abs(values).max() > most:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [constant.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    onnx.checker.check_model(made)
    onnx.save(made, str(path))


def _to_int8(path: Path, calibration: Arrays, names: list[str]) -> None:
    """Let onnxruntime measure the ranges on the samples and write scales into the file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self._next = 0

        def get_next(self) -> Any:
            i, self._next = self._next, self._next + 1
            if i >= len(calibration[0]):
                return None
            return {name: x[i : i + 1] for name, x in zip(names, calibration, strict=True)}

    logging.disable(logging.WARNING)  # advice about preprocessing that has been done
    try:
        quantize_static(
            str(path), str(path), Samples(), quant_format=QuantFormat.QDQ, per_channel=True
        )
    finally:
        logging.disable(logging.NOTSET)

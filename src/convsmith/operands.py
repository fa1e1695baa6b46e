"""Operands of every kind, as tensors of the backend, and what their dtypes allow."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from convsmith.dtypes import adopt, host_dtype, kind
from convsmith.errors import DtypeError, ShapeError, compose
from convsmith.lowerings.backend import current
from convsmith.lowerings.tensors import dtype_name
from convsmith.problem import Problem


def shape_of(x: Any) -> tuple[int | None, ...]:
    """Return the shape of a tensor, array or list; a plain shape is returned as it is."""
    if isinstance(x, tuple) and all(n is None or isinstance(n, int) for n in x):
        return x
    return tuple(getattr(x, "shape", None) or np.shape(x))


def to_tensors(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return operands as backend tensors; lists and arrays adopt the dtype of tensors."""
    backend = current()
    values = [x.value if isinstance(x, keras.Variable) else x for x in operands]
    own = [dtype_name(x) for x in values if backend.is_tensor(x)]
    result: list[Any] = []
    for x in values:
        if backend.is_tensor(x):
            result.append(x)
            continue
        if not isinstance(x, np.ndarray | list | tuple | int | float | complex | np.generic):
            x = _foreign(x)
        host = host_dtype(x)
        dtype = adopt(host, own) if own else host
        kind(dtype)  # Raises before a backend would wrap long integers around.
        dtype = backend.held_dtype(dtype)
        result.append(keras.ops.convert_to_tensor(np.asarray(x), dtype=dtype))
    return tuple(result)


def _foreign(x: Any) -> np.ndarray:
    """Return another backend's tensor as a NumPy array.

    Raises:
        ShapeError: it is nothing that holds numbers.
    """
    try:
        if hasattr(x, "detach"):
            x = x.detach().cpu()
        return np.asarray(x.numpy() if hasattr(x, "numpy") else x)
    except Exception:
        raise ShapeError(
            compose(
                "operand",
                f"{type(x).__name__} is no array",
                expected="a tensor, a NumPy array or nested lists of numbers",
                fix="numpy.asarray(...)",
            ),
            argument="operands",
        ) from None


def check_dtype(result: str, problem: Problem, padding_value: float | None) -> None:
    """Check that the result's dtype can hold what the problem asks for.

    Raises:
        DtypeError: an order of complex numbers, or fractions in integers.
    """
    if result.startswith("complex") and problem.semiring != "sum_product":
        raise DtypeError(
            compose(
                f"semiring={problem.semiring!r}",
                f"has no order for {result}",
                expected="real operands",
                fix='semiring="sum_product"',
            ),
            argument="semiring",
            value=problem.semiring,
        )
    if result != "int32":
        return
    windows = (*problem.input_windows, *problem.output_windows)
    if any("renormalize" in w.mode for w in windows):
        raise DtypeError(
            compose(
                'padding_mode="renormalize"',
                "rescales by fractions, which integers can't hold",
                expected="floating operands",
                fix="a cast to float32",
            ),
            argument="padding_mode",
        )
    if padding_value is not None and not float(padding_value).is_integer():
        raise DtypeError(
            compose(
                f"padding_value={padding_value!r}",
                "isn't whole, but all operands are integers",
                expected="a whole number",
                fix="a cast to float32",
            ),
            argument="padding_value",
            value=padding_value,
        )

"""Which dtype a result has, and in which one it is summed.

Among tensors the widest float wins; float16 with bfloat16 gives float32, which holds both. A list
or NumPy array beside a tensor takes the tensor's dtype when it is of the same kind or a simpler
one (bool < integer < float < complex), as Python numbers do; nothing is ever truncated. Integers
are widened to int32; a NumPy array of longer integers may come if all of them fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convsmith.errors import DtypeError, compose

FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32")
WIDTHS = {"float16": 16, "bfloat16": 16, "float64": 64, "complex64": 64, "complex128": 128}
HALVES = ("float16", "bfloat16")


def kind(dtype: str) -> int:
    """Return 0 for bool, 1 for integers, 2 for floats, 3 for complex numbers.

    Raises:
        DtypeError: a dtype that can't be convolved with.
    """
    if dtype == "bool":
        return 0
    if dtype in FLOATS:
        return 2
    if dtype in COMPLEX:
        return 3
    if dtype in INTEGERS:
        return 1
    exact = dtype.startswith(("int", "uint"))
    raise DtypeError(
        compose(
            f"dtype {dtype}",
            "can't be convolved" + (" exactly in int32" if exact else ""),
            expected=f"one of {', '.join((*INTEGERS, *FLOATS, *COMPLEX))}",
            fix="a cast to int32 or float32" if exact else "a cast to float32",
        ),
        argument="dtype",
        value=dtype,
    )


def host_dtype(x: Any) -> str:
    """Return the dtype that a list or NumPy array has by itself, in Keras's default precision.

    Raises:
        DtypeError: text, objects or ragged lists.
    """
    if not isinstance(x, np.ndarray | np.generic):
        try:
            x = np.asarray(x)
        except ValueError:
            x = np.asarray(None)
        if x.dtype.kind == "f":
            import keras

            return keras.backend.floatx()
        if x.dtype.kind == "c":
            return "complex64"
    if x.dtype.kind not in "biufcV" or (x.dtype.kind == "V" and x.dtype.name != "bfloat16"):
        raise DtypeError(
            compose(
                "operand",
                f"dtype {x.dtype} holds no numbers",
                expected="a tensor, a NumPy array of numbers, or nested lists of equal lengths",
                fix="numpy.asarray(values, dtype='float32')",
            ),
            argument="operands",
            value=str(x.dtype),
        )
    if x.dtype.kind in "iu" and x.dtype.name not in INTEGERS:
        low, high = (x.min(), x.max()) if x.size else (0, 0)
        if low >= -(2**31) and high < 2**31:
            return "int32"
    return x.dtype.name


def adopt(host: str, tensors: list[str]) -> str:
    """Return the dtype that a host array takes beside tensors."""
    simpler = [t for t in tensors if kind(host) <= kind(t)]
    if simpler and kind(host) != 1:
        return max(simpler, key=kind)
    if simpler:
        best = max(simpler, key=kind)
        return best if kind(best) > 1 else host
    if host == "float64":
        import keras

        return keras.backend.floatx()  # NumPy's default is no wish for double precision.
    return host


def result_dtype(dtypes: tuple[str, ...]) -> str:
    """Return the dtype of a result.

    Raises:
        DtypeError: integers of more than 32 bits, or dtypes without numbers.
    """
    kinds = [kind(d) for d in dtypes]
    if max(kinds) < 2:
        return "int32"
    if max(kinds) == 3:
        wide = any(d in ("complex128", "float64") for d in dtypes)
        return "complex128" if wide else "complex64"
    floats = {d for d in dtypes if d in FLOATS}
    if len(floats) == 1:
        return floats.pop()
    return "float64" if "float64" in floats else "float32"


def sum_dtype(result: str, accumulate: str | None) -> str:
    """Return the dtype in which products are summed; half precision sums in float32.

    Raises:
        DtypeError: `accumulate_dtype` of another kind than the result, or narrower.
    """
    if accumulate is None:
        return "float32" if result in HALVES else result
    if kind(accumulate) != kind(result):
        raise DtypeError(
            compose(
                f"accumulate_dtype={accumulate!r}",
                f"is of another kind than the result's {result}",
                expected="a dtype of the same kind",
                fix="accumulate_dtype='float32'" if kind(result) == 2 else "no accumulate_dtype",
            ),
            argument="accumulate_dtype",
            value=accumulate,
        )
    if WIDTHS.get(accumulate, 32) < WIDTHS.get(result, 32):
        raise DtypeError(
            compose(
                f"accumulate_dtype={accumulate!r}",
                f"is narrower than the result's {result}",
                expected=f"{result} or wider",
                fix=f"accumulate_dtype={result!r}",
            ),
            argument="accumulate_dtype",
            value=accumulate,
        )
    return accumulate

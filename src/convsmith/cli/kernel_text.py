"""Kernels as they are typed: a name, a name with arguments, a file, or the numbers."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from convsmith.errors import ArgumentError, compose

FORMS = (
    "a name, a name with arguments, a FILE.npy or numbers: sobel_x, 'gaussian(sigma=2)', [[1,2]]"
)


def kernel_of(text: str) -> Any:
    """Return an array, or the name as it is.

    Raises:
        ArgumentError: numbers that don't make up an array, or a file that isn't one.
    """
    import numpy as np

    text = text.strip()
    if text.endswith(".npy"):
        path = Path(text)
        if not path.is_file():
            raise _wrong(text, "is not there")
        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise _wrong(text, f"is not an array file: {error}") from error
    if text.startswith(("[", "(")):
        try:
            array = np.array(ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise _wrong(text, "is not rows of numbers, all of one length") from error
        if array.dtype.kind not in "biufc":
            raise _wrong(text, "is not rows of numbers, all of one length")
        return array
    return text


def _wrong(text: str, problem: str) -> ArgumentError:
    return ArgumentError(
        compose(
            f"--kernel {text}",
            problem,
            expected=FORMS,
            fix="convsmith kernels, for the names",
        ),
        argument="kernel",
        value=text,
    )

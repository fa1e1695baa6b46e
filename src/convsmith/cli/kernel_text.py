"""Kernels as text: what is typed (a name, a file, numbers), and entries as they are printed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convsmith.errors import ArgumentError, compose

if TYPE_CHECKING:
    import numpy as np

MOST_COLUMNS, MIDDLE = 15, 9
"""Of wider kernels only the middle is shown."""

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


def values(kernel: np.ndarray) -> str:
    """Return the entries, of large kernels those in the middle; whole numbers where possible."""
    import numpy as np

    from convsmith.kernels.fractions import common_denominator

    cut = tuple(
        slice((n - MIDDLE) // 2, (n + MIDDLE) // 2) if n > MOST_COLUMNS else slice(None)
        for n in kernel.shape
    )
    shown = kernel[cut]
    prefix = ""
    if shown.shape != kernel.shape:
        prefix = f"in the middle, {' x '.join(map(str, shown.shape))}:\n"
    options: dict[str, Any] = {"max_line_width": 400, "suppress_small": True, "threshold": 10**6}
    flat = np.abs(kernel[np.isfinite(kernel) & (kernel != 0)])
    if not flat.size:
        return prefix + np.array2string(shown, **options)
    denominator = common_denominator(kernel)
    if denominator is not None:
        text = np.array2string(np.rint(shown * denominator).astype(int), **options)
        return prefix + (text if denominator == 1 else f"1/{denominator} of\n{text}")
    # So that the largest entry has one digit before the point.
    power = int(np.floor(np.log10(flat.max())))
    power = 0 if -2 < power < 4 else power
    text = np.array2string(shown / 10.0**power, precision=4, floatmode="fixed", **options)
    return prefix + (text if power == 0 else f"1e{power} of\n{text}")


def size(array: np.ndarray, rank: int) -> str:
    size = " x ".join(map(str, array.shape[:rank]))
    return f"{size}, {array.shape[-1]} filters" if array.ndim > rank else size


def tidy(value: float) -> float:
    """Return 0 for what is only rounding."""
    return 0.0 if abs(value) < 1e-12 else value

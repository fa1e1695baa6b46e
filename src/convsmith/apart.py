"""Taking a call's kernel apart into lines, where its numbers are known and that is faster.

`separation` knows which patterns have such lines; this knows whether the numbers allow them and
whether they pay. docs/decisions/0013-separable-kernels.md has why.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from convsmith.dtypes import result_dtype
from convsmith.errors import UnsupportedError
from convsmith.operands import shape_of
from convsmith.planner.plan import TRUSTED
from convsmith.planning import Options, frozen, planned
from convsmith.separation import SEPARABLE, Separation, separation

MOST_CALLS = 4096

FEWER = 2
"""By how much lines must multiply less: what two passes cost isn't known to better than that."""

MOST_ENTRIES = 2**16
"""Larger kernels aren't looked at: that would take longer than it saves."""


class Separated(NamedTuple):
    """A call whose kernel was taken apart."""

    pattern: str
    operands: tuple[Any, ...]
    options: tuple[Any, ...]


_known: dict[Any, tuple[int, ...] | None] = {}
"""For calls as they were made: the kernel's flat shape if taking it apart is estimated to pay."""


def separated(
    pattern: str,
    tensors: tuple[Any, ...],
    operands: tuple[Any, ...],
    dtypes: list[str],
    mode: str,
    options: tuple[Any, ...],
    sizes: Mapping[str, int],
) -> Separated | None:
    """Return the call with the kernel taken apart where its numbers are known and that pays.

    Only kernels that are one outer product, up to what direct summation rounds away. Halves would
    be rounded in between.
    """
    given = Options(*options)
    form = separation(pattern)
    if form is None or len(operands) <= form.index or given.semiring != "sum_product":
        return None
    if given.lowering not in (None, SEPARABLE):
        return None
    kernel = _known_numbers(operands[form.index])
    dtype = result_dtype(tuple(dtypes))
    if kernel is None or dtype not in ("float32", "float64") or given.accumulate_dtype is not None:
        return None
    shapes = [shape_of(x) for x in tensors]
    key = (pattern, tuple(shapes), dtype, mode, frozen(options), tuple(sizes.items()))
    try:
        flat = _known.get(key, ())
    except TypeError:
        return None  # Something unhashable: planning says what is wrong with it.
    if flat == ():
        if len(_known) >= MOST_CALLS:
            _known.clear()
        flat = _known[key] = _flat_if_faster(form, pattern, shapes, dtype, mode, given, sizes)
    if flat is None:
        return None
    lines = _lines(form, kernel.tobytes(), kernel.dtype.str, flat, dtype)
    if lines is None:
        return None
    free = given._replace(lowering=None)
    return Separated(form.pattern, form.operands(operands, lines), free)


def _flat_if_faster(
    form: Separation,
    pattern: str,
    shapes: list[tuple[int | None, ...]],
    dtype: str,
    mode: str,
    options: Options,
    sizes: Mapping[str, int],
) -> tuple[int, ...] | None:
    """Return the kernel's flat shape if its lines are estimated to be faster, or are forced."""
    free = options._replace(lowering=None)
    direct = planned(pattern, shapes, [dtype] * len(shapes), mode, free, sizes)
    flat = tuple(direct.sizes[n] or 0 for n in form.names)
    if options.lowering is not None:
        return flat
    multiplied = sum(map(prod, form.line_shapes(flat)))
    if FEWER * multiplied > prod(flat):
        return None
    lines = form.operands(tuple(shapes), form.line_shapes(flat))
    try:
        made = planned(form.pattern, list(lines), [dtype] * len(lines), mode, free, sizes)
    except UnsupportedError:  # It takes more memory than is allowed.
        return None
    return flat if made.microseconds < TRUSTED * direct.microseconds else None


def forget() -> None:
    """Forget what was estimated to pay."""
    _known.clear()


@lru_cache(maxsize=256)
def _lines(
    form: Separation, data: bytes, dtype: str, shape: tuple[int, ...], wanted: str
) -> tuple[np.ndarray, ...] | None:
    """Return the lines of a kernel that is one outer product."""
    kernel = np.frombuffer(data, dtype).reshape(shape)
    if not np.isfinite(kernel).all():
        return None
    terms = form.exact_terms(kernel, float(np.finfo(wanted).eps))
    if terms is None or len(terms) > 1:
        return None
    return tuple(line.astype(wanted) for line in terms[0])


def _known_numbers(x: Any) -> np.ndarray | None:
    """Return the entries of an operand that is no tensor, if they are few and real."""
    if not isinstance(x, np.ndarray | list):
        return None
    array = np.asarray(x)
    return array if array.dtype.kind in "fiub" and 0 < array.size <= MOST_ENTRIES else None

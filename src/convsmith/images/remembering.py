"""Calls that differ in nothing but the numbers of the image are checked and planned once.

Filtering a small image takes less time than finding out how.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

REMEMBERED = 256
"""How many calls are remembered."""

SIMPLE = {bool, int, float, str, type(None)}
"""What two calls share if it is equal and of one type."""

COMPARABLE = (bool, int, float, complex, str, type, np.generic, np.dtype)
"""What says all of itself."""


class _Call:
    """The arguments of a call, which are equal if they mean the same."""

    def __init__(self, shape: Any, dtype: Any, kernel: Any, options: dict[str, Any]) -> None:
        self.arguments = shape, dtype, kernel, options
        several = kernel if isinstance(kernel, list | tuple) else [kernel]
        if any(isinstance(each, str) for each in several):
            raise TypeError  # A name may get another kernel at any time.
        chosen = tuple(options.values())
        kinds = tuple(map(type, chosen))
        if not set(kinds) <= SIMPLE:
            chosen = tuple(o if type(o) in SIMPLE else _frozen(o) for o in chosen)
        self.key = shape, dtype, _frozen(kernel), tuple(options), chosen, kinds
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call) and self.key == other.key


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiubc":
            raise TypeError
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_frozen, value))
    if value is not None and not isinstance(value, COMPARABLE):
        raise TypeError  # Such as a tensor, whose numbers may change.
    # 1, 1.0 and True are equal, and yet some of them are refused.
    return type(value), value


def remembered(plan: Callable[..., T]) -> Callable[..., T]:
    """Let a function of shapes, dtypes, kernels and options remember its results.

    What can't be compared is planned anew.
    """

    @functools.lru_cache(maxsize=REMEMBERED)
    def known(call: _Call) -> T:
        return plan(*call.arguments)

    @functools.wraps(plan)
    def wrapped(*arguments: Any) -> T:
        try:
            call = _Call(*arguments)
        except TypeError:
            return plan(*arguments)
        return known(call)

    return wrapped

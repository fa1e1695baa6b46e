"""Memory of large results, used again once nobody holds the result.

The system clears every page of new memory before it is written first, which for large images
takes as long as filtering them.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 64
"""Results begin where a vector may be written past the caches."""

LEAST = 1 << 20
"""The library's own memory manager does well with less."""

MOST_KEPT = 1 << 28
"""How many bytes are kept at most."""

_lock = threading.Lock()
_free: list[NDArray[np.uint8]] = []


class _Lease:
    """Owns a piece of memory, and gives it back when the last array on it is gone."""

    def __init__(self, memory: NDArray[np.uint8], start: int, shape: Any, dtype: str) -> None:
        self.memory = memory
        address = memory.ctypes.data + start
        self.__array_interface__ = {
            "shape": shape,
            "typestr": np.dtype(dtype).str,
            "data": (address, False),
            "version": 3,
        }

    def __del__(self) -> None:
        # At exit NumPy may be gone before the last result.
        if _free is not None and self.memory.nbytes <= MOST_KEPT:
            with _lock:
                _free.append(self.memory)
                while sum(m.nbytes for m in _free) > MOST_KEPT:
                    _free.pop(0)


def empty(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return an array to be filled, whose first entry is aligned."""
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed < LEAST:
        return np.empty(shape, dtype)
    memory = _taken(needed + ALIGNED)
    start = -memory.ctypes.data % ALIGNED
    return np.asarray(_Lease(memory, start, shape, dtype))


def _taken(size: int) -> NDArray[np.uint8]:
    with _lock:
        for i, memory in enumerate(_free):
            # Not much larger: a small result shouldn't hold on to a large piece.
            if size <= memory.nbytes <= size + size // 4:
                return _free.pop(i)
    return np.empty(size, np.uint8)


def release() -> None:
    """Give the memory that is kept for later results back to the system."""
    with _lock:
        _free.clear()

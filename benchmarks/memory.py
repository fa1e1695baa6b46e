"""The most memory that a call needs beyond what was there before it.

Processes that measure it start with `ENVIRONMENT`: large blocks then go back to the system as soon
as they are freed, so that the resident size follows what is alive. That slows calls down, so that
nothing is timed in such a process.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def _kilobytes(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise OSError(f"{_STATUS} has no {name}")


def _allocator() -> Any:
    """Return TensorFlow's accounts; it keeps freed memory, which the system then sees as used."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return tf.config.experimental


def peak_extra_bytes(call: Callable[[], Any]) -> int:
    """Return the peak bytes of a second call, its result included.

    The first call compiles and fills caches, which isn't counted.

    Raises:
        OSError: the system doesn't tell (other than Linux).
    """
    call()
    gc.collect()
    accounts = _allocator()
    kept = 0
    if accounts is not None:
        accounts.reset_memory_stats("CPU:0")
        kept = accounts.get_memory_info("CPU:0")["current"]
    _RESET.write_text("5")  # The peak restarts from what is resident now.
    before = _kilobytes("VmRSS")
    result = call()
    peak = 1024 * max(_kilobytes("VmHWM") - before, 0)
    if accounts is not None:
        peak += accounts.get_memory_info("CPU:0")["peak"] - kept
    del result
    return peak

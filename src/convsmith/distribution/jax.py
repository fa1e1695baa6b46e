"""JAX: Keras's `DataParallel`. One program, which XLA splits over the devices."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import Any

import jax
import keras

from convsmith.distribution.devices import Devices
from convsmith.distribution.refusals import too_few


def claim(count: int) -> Devices:
    """Return so many devices; CPU devices are simulated unless JAX has started already.

    Raises:
        ArgumentError: there are fewer.
    """
    with suppress(RuntimeError):  # JAX has started: it has as many as it has.
        jax.config.update("jax_num_cpu_devices", count)
    found = keras.distribution.list_devices()
    if len(found) < count:
        raise too_few(count, len(found), found, _fix(count, found))
    return DataParallel(found[:count])


def _fix(count: int, found: list[str]) -> str:
    if not found[0].startswith("cpu"):
        return f"--devices {len(found)}"
    return f"XLA_FLAGS=--xla_force_host_platform_device_count={count} in the environment"


class DataParallel(Devices):
    """Devices among which the samples of each batch are split."""

    alone = False

    def __init__(self, names: list[str]) -> None:
        self.count = len(names)
        self._distribution = keras.distribution.DataParallel(devices=names)

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the distribution."""
        return self._distribution.scope()

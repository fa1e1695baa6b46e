"""TensorFlow: `MirroredStrategy`. Each device has a copy of the model and its part of the batch."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import Any

import tensorflow as tf

from convsmith.distribution.devices import Devices
from convsmith.distribution.dropout import share_masks
from convsmith.distribution.refusals import too_few


def claim(count: int) -> Devices:
    """Return so many devices; CPU devices are simulated unless TensorFlow has started already.

    Raises:
        ArgumentError: there are fewer.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        with suppress(RuntimeError):  # TensorFlow has started: it has as many as it has.
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * count,
            )
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(names) < count:
        fix = "a new process, in which TensorFlow hasn't computed before" if kind == "CPU" else ""
        raise too_few(count, len(names), names, fix or f"--devices {len(names)}")
    return Mirrored(names[:count])


class Mirrored(Devices):
    """Devices that each have a copy of all variables."""

    alone = False

    def __init__(self, names: list[str]) -> None:
        self.count = len(names)
        self._strategy = tf.distribute.MirroredStrategy(names)

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the strategy."""
        return self._strategy.scope()

    def prepare(self, model: Any) -> None:
        """Let dropout layers drop what they would drop on one device."""
        share_masks(model, self.count, _rank)


def _rank() -> Any:
    return tf.distribute.get_replica_context().replica_id_in_sync_group

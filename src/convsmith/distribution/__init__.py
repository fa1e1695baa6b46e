"""Training on several devices, with what each framework has for it: nothing here is an engine.

`claim(count).run(job, reporter)` is what `convsmith train --devices` uses: Keras's `DataParallel`
on JAX, `MirroredStrategy` on TensorFlow, `DistributedDataParallel` in a process per device on
PyTorch. `communication` says what a step sends. docs/devices.md shows all of them in code.
"""

from __future__ import annotations

from importlib import import_module

from convsmith.distribution.communication import gathered_bytes, reduced_bytes
from convsmith.distribution.devices import Devices

__all__ = ["Devices", "claim", "gathered_bytes", "reduced_bytes"]


def claim(count: int) -> Devices:
    """Return so many devices of Keras's backend: its GPUs, or simulated ones on a CPU.

    Args:
        count: how many; one needs no engine.

    Raises:
        ArgumentError: there are fewer, or the framework was started with fewer.
    """
    if count == 1:
        return Devices()
    import keras

    engine = import_module(f"convsmith.distribution.{keras.backend.backend()}")
    return engine.claim(count)

"""Running a function of tensors in an execution mode, with or without gradients, to time it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convsmith.lowerings.backend import current

Function = Callable[..., Any]

MODES = {
    "tensorflow": ("eager", "graph", "xla"),
    "jax": ("jit",),
    "torch": ("eager", "compiled"),
}
"""The execution modes of each backend."""


def in_mode(function: Function, mode: str) -> Function:
    """Return `function` as `mode` runs it."""
    if mode == "eager":
        return function
    if mode == "jit":
        import jax

        return jax.jit(function)
    if mode == "compiled":
        import torch

        return torch.compile(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=mode == "xla", autograph=False)


def with_gradients(function: Function) -> Function:
    """Return a function that gives the result, and the gradients of half its sum of squares."""
    name = current().NAME
    if name == "tensorflow":
        import tensorflow as tf

        def run(*operands: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(operands)
                y = function(*operands)
            return y, *tape.gradient(y, operands, output_gradients=tf.stop_gradient(y))

        return run
    if name == "jax":
        import jax

        def run(*operands: Any) -> Any:
            y, pull = jax.vjp(function, *operands)
            return y, *pull(y)

        return run
    import torch

    def run(*operands: Any) -> Any:
        leaves = [x.detach().requires_grad_(True) for x in operands]
        y = function(*leaves)
        return y.detach(), *torch.autograd.grad(y, leaves, y.detach())

    return run


def wait(result: Any) -> Any:
    """Return a result once it has been computed."""
    name = current().NAME
    parts = result if isinstance(result, list | tuple) else (result,)
    if name == "jax":
        import jax

        jax.block_until_ready(parts)
    elif name == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    elif current().device() != "cpu":
        for part in parts:
            part.numpy()  # The only wait that every release of TensorFlow has.
    return result


def device_name() -> str:
    """Return the name of the accelerator in use, "" for the processor itself."""
    name = current().NAME
    if current().device() == "cpu":
        return ""
    if name == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if name == "torch":
        import torch

        return torch.cuda.get_device_name()
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(devices[0])
    return str(details.get("device_name", ""))

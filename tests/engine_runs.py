"""Values and gradients of a function of tensors, in every execution mode of the backend in use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ("eager", "graph", "xla"),
    "jax": ("eager", "jit"),
    "torch": ("eager", "compiled"),
}[BACKEND]

TOLERANCE = {
    "float16": 4e-3,
    "bfloat16": 3e-2,
    "float32": 2e-5,
    "float64": 1e-12,
    "complex64": 2e-5,
    "int32": 0.0,
}
"""Largest error allowed, as a share of the largest entry: a few roundings of the dtype."""

Function = Callable[..., Any]
Arrays = Sequence[np.ndarray]


def as_numpy(x: Any) -> np.ndarray:
    """Return a tensor as float64, int or complex values."""
    if keras.backend.standardize_dtype(getattr(x, "dtype", "int32")) in ("bfloat16", "float16"):
        # Through float32, which every backend turns into an array, scalars too.
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")), "float64")
    return np.asarray(keras.ops.convert_to_numpy(x))


def assert_close(actual: Any, expected: np.ndarray, dtype: str, what: str) -> None:
    """Fail unless shapes are equal and the largest error is within the dtype's tolerance."""
    found = as_numpy(actual)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if not expected.size:
        return
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite]), f"{what}: infinities differ"
    if not finite.any():
        return
    scale = max(1.0, float(np.abs(expected[finite]).max()))
    error = float(np.abs(found[finite] - expected[finite]).max()) / scale
    assert error <= TOLERANCE[dtype], f"{what}: error {error:.2e} of the largest entry"


def wide() -> Any:
    """JAX has float64 only where it is switched on."""
    if BACKEND != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


def tensors(operands: Arrays, dtype: str) -> list[Any]:
    """Return operands as tensors of `dtype`."""
    return [keras.ops.convert_to_tensor(x, dtype=dtype) for x in operands]


def value(function: Function, operands: Sequence[Any], mode: str) -> Any:
    """Return ``function(*operands)`` computed in `mode`."""
    return in_mode(function, mode)(*operands)


def in_mode(function: Function, mode: str) -> Function:
    """Return `function` as `mode` runs it."""
    if mode == "eager":
        return function
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=mode == "xla", reduce_retracing=False)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import torch

    torch._dynamo.reset()
    # The tracer without a code generator: what can't be traced shows in seconds.
    return torch.compile(function, backend="eager", fullgraph=True)


def value_and_gradients(
    function: Function, operands: Sequence[Any], cotangent: np.ndarray, mode: str
) -> tuple[Any, list[Any]]:
    """Return the value and the gradient of ``sum(value * cotangent)`` for each operand."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def run(*xs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(xs)
                y = function(*xs)
                loss = tf.reduce_sum(y * tf.cast(cotangent, y.dtype))
            return y, tape.gradient(loss, xs)

        y, gradients = in_mode(run, mode)(*operands)
        return y, list(gradients)
    if BACKEND == "jax":
        import jax

        def run(*xs: Any) -> Any:
            y, pull = jax.vjp(function, *xs)
            return y, pull(jax.numpy.asarray(cotangent, y.dtype))

        y, gradients = in_mode(run, mode)(*operands)
        return y, list(gradients)
    import torch

    xs = [x.detach().clone().requires_grad_(True) for x in operands]
    y = in_mode(function, mode)(*xs)
    loss = (y * torch.as_tensor(cotangent, dtype=y.dtype, device=y.device)).sum()
    return y.detach(), list(torch.autograd.grad(loss, xs))


def check_values_and_gradients(case: Any, mode: str, **more: Any) -> None:
    """Fail unless `cs.conv` of a `Case`, with more arguments, agrees with the reference."""
    import convsmith as cs

    operands = case.operands()
    expected = case.expected(operands)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    y, gradients = value_and_gradients(
        lambda *xs: cs.conv(case.pattern, *xs, **case.arguments, **more),
        tensors(operands, "float32"),
        cotangent,
        mode,
    )
    assert_close(y, expected, "float32", f"{case} in {mode}")
    for i, wanted in enumerate(case.gradients(operands, cotangent)):
        assert_close(gradients[i], wanted, "float32", f"{case} in {mode}, gradient {i}")

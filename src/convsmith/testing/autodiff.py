"""Gradients and compilation of a layer by whichever backend is in use, for tests only."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
from numpy.typing import NDArray

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]


def layer_gradients(layer: Any, inputs: Array, cotangent: Array) -> list[Array]:
    """Return the gradients of ``sum(layer(inputs) * cotangent)`` by the backend's autodiff.

    Args:
        layer: a layer of one input.
        inputs: its input.
        cotangent: of the output's shape.

    Returns:
        The gradient for the inputs, then for each of ``layer.trainable_variables``.

    Raises:
        NotImplementedError: a backend without autodiff here.

    Example:
        >>> import numpy as np
        >>> scale = keras.layers.Rescaling(3.0)
        >>> layer_gradients(scale, np.ones((1, 2)), np.ones((1, 2)))[0].tolist()
        [[3.0, 3.0]]

    Source: none.
    """
    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    name = keras.backend.backend()
    if name not in backends:
        raise NotImplementedError(f"layer_gradients: no autodiff for backend {name!r}")
    if not layer.built:
        layer(inputs)
    return [ops.convert_to_numpy(g) for g in backends[name](layer, inputs, cotangent)]


def _tensorflow(layer: Any, inputs: Array, cotangent: Array) -> list[Any]:
    import tensorflow

    tf: Any = tensorflow
    tensor = tf.convert_to_tensor(inputs)
    variables = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        outputs = layer(tensor)
        loss = tf.reduce_sum(outputs * tf.convert_to_tensor(cotangent, outputs.dtype))
    return tape.gradient(loss, [tensor, *variables])


def _jax(layer: Any, inputs: Array, cotangent: Array) -> list[Any]:
    import jax

    fixed = [v.value for v in layer.non_trainable_variables]

    def loss(tensor: Any, trained: list[Any]) -> Any:
        outputs, _ = layer.stateless_call(trained, fixed, tensor)
        return (outputs * cotangent).sum()

    trained = [v.value for v in layer.trainable_variables]
    for_inputs, for_trained = jax.grad(loss, argnums=(0, 1))(jax.numpy.asarray(inputs), trained)
    return [for_inputs, *for_trained]


def _torch(layer: Any, inputs: Array, cotangent: Array) -> list[Any]:
    import torch

    tensor = ops.convert_to_tensor(inputs).detach().clone().requires_grad_(True)
    variables = [v.value for v in layer.trainable_variables]
    outputs = layer(tensor)
    loss = (outputs * ops.convert_to_tensor(cotangent, outputs.dtype)).sum()
    return list(torch.autograd.grad(loss, [tensor, *variables]))


def compiled(layer: Any) -> Callable[[Any], Any]:
    """Return the layer's call compiled: XLA on TensorFlow and JAX, a traced graph on PyTorch.

    Example:
        >>> compiled(keras.layers.Rescaling(3.0))(ops.ones((1,))).shape[0]
        1

    Source: none.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow

        tf: Any = tensorflow
        return tf.function(layer, jit_compile=True)
    if name == "jax":
        import jax

        return jax.jit(layer.__call__)
    import torch

    # The tracer without a code generator: it finds what can't be traced, in seconds.
    traced = torch.compile(layer.__call__, backend="eager")

    def call(inputs: Any) -> Any:
        with warnings.catch_warnings():
            # The tracer itself looks at gradients that aren't there, and warns.
            warnings.simplefilter("ignore", UserWarning)
            return traced(inputs)

    return call

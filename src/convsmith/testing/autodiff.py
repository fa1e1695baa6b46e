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


def layer_gradients(layer: Any, inputs: Array | list[Array], cotangent: Array) -> list[Array]:
    """Return the gradients of ``sum(layer(inputs) * cotangent)`` by the backend's autodiff.

    Args:
        layer: any layer.
        inputs: its input, or a list of them.
        cotangent: of the output's shape.

    Returns:
        The gradient for each input, then for each of ``layer.trainable_variables``; zeros for what
        the outputs don't depend on.

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


def _tensorflow(layer: Any, inputs: Any, cotangent: Array) -> list[Any]:
    import tensorflow

    tf: Any = tensorflow
    tensors = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    sources = [*tf.nest.flatten(tensors), *(v.value for v in layer.trainable_variables)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = layer(tensors)
        loss = tf.reduce_sum(outputs * tf.convert_to_tensor(cotangent, outputs.dtype))
    return tape.gradient(loss, sources, unconnected_gradients="zero")


def _jax(layer: Any, inputs: Any, cotangent: Array) -> list[Any]:
    import jax

    fixed = [v.value for v in layer.non_trainable_variables]

    def loss(tensors: Any, trained: list[Any]) -> Any:
        outputs, _ = layer.stateless_call(trained, fixed, tensors)
        return (outputs * cotangent).sum()

    trained = [v.value for v in layer.trainable_variables]
    tensors = jax.tree.map(jax.numpy.asarray, inputs)
    return jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(tensors, trained))


def _torch(layer: Any, inputs: Any, cotangent: Array) -> list[Any]:
    import torch

    def leaf(x: Array) -> Any:
        return ops.convert_to_tensor(x).detach().clone().requires_grad_(True)

    several = isinstance(inputs, list)
    tensors = [leaf(x) for x in (inputs if several else [inputs])]
    sources = [*tensors, *(v.value for v in layer.trainable_variables)]
    outputs = layer(tensors if several else tensors[0])
    loss = (outputs * ops.convert_to_tensor(cotangent, outputs.dtype)).sum()
    return list(torch.autograd.grad(loss, sources, materialize_grads=True))


def compiled(layer: Any, *, xla: bool = True) -> Callable[[Any], Any]:
    """Return the layer's call compiled: XLA on TensorFlow and JAX, a traced graph on PyTorch.

    On TensorFlow, ``xla=False`` gives its graph without XLA; JAX and PyTorch have one way only.

    Example:
        >>> compiled(keras.layers.Rescaling(3.0))(ops.ones((1,))).shape[0]
        1

    Source: none.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow

        tf: Any = tensorflow
        return tf.function(layer, jit_compile=xla)
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


def holds_float64() -> bool:
    """Whether tensors can be float64 now: on JAX that is a switch.

    Example:
        >>> keras.backend.backend() == "jax" or holds_float64()
        True

    Source: none.
    """
    if keras.backend.backend() != "jax":
        return True
    import jax

    return str(jax.dtypes.canonicalize_dtype("float64")) == "float64"

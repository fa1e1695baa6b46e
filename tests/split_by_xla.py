"""Runs on four simulated devices of JAX: what XLA makes of layers whose batches it splits.

Prints JSON: for each layer what its training step sends between devices, whether it calls the
compiled kernels, and how far its gradients are from those of one device.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import convsmith as cs
from convsmith import layers

KINDS = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
LAYERS = {
    "dense": lambda: layers.Conv2D(32, 3, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(7, padding="same", padding_mode="wrap"),
}


def sent(program: str) -> dict[str, int]:
    """Return the bytes of the results of each kind of communication."""
    found: dict[str, int] = {}
    for shapes, kind in re.findall(rf" = (.*?) ({KINDS})(?:-start)?\(", program):
        sizes = re.findall(r"f32\[([\d,]*)\]", shapes)
        total = sum(4 * math.prod(int(n) for n in size.split(",") if n) for size in sizes)
        found[kind] = found.get(kind, 0) + total
    return found


def study(name: str, *, keras_knows: bool) -> dict[str, Any]:
    """Return what is printed of a layer."""
    keras.utils.set_random_seed(0)
    devices = keras.distribution.list_devices()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(16, 14, 14, 16)).astype("float32")
    layer = LAYERS[name]()
    layer.build((None, *images.shape[1:]))
    weights = [np.asarray(w.value) for w in layer.trainable_variables]

    def loss(weights: Any, x: Any) -> Any:
        outputs, _ = layer.stateless_call(weights, [], x)
        return jnp.mean(jnp.sin(outputs))

    def compiled(*arguments: Any) -> Any:
        # A new function: JAX remembers what it traced, whatever the mesh was.
        return jax.jit(lambda *given: jax.value_and_grad(loss)(*given)).lower(*arguments).compile()

    one = compiled(weights, images)
    mesh = Mesh(np.array(jax.devices()), ("samples",))
    everywhere = jax.device_put(weights, NamedSharding(mesh, PartitionSpec()))
    split = jax.device_put(images, NamedSharding(mesh, PartitionSpec("samples")))
    scope: Any = contextlib.nullcontext()
    if keras_knows:
        scope = keras.distribution.DataParallel(devices=devices).scope()
    with scope:
        program = compiled(everywhere, split)
    pairs = zip(
        jax.tree.leaves(one(weights, images)),
        jax.tree.leaves(program(everywhere, split)),
        strict=True,
    )
    text = program.as_text()
    return {
        "sent": sent(text),
        "gradients": 4 * (1 + layer.count_params()),  # And the loss.
        "compiled kernels": "convsmith_direct" in text,
        "compiled kernels on one device": "convsmith_direct" in one.as_text(),
        "difference": max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs),
    }


def study_split_filters() -> dict[str, Any]:
    """Return what a convolution sends whose filters are split, where all need all its outputs."""
    keras.utils.set_random_seed(0)
    mesh = keras.distribution.DeviceMesh((4,), ("filters",), keras.distribution.list_devices())
    layout = keras.distribution.LayoutMap(mesh)
    layout["wide/kernel"] = (None, None, None, "filters")
    everywhere = NamedSharding(mesh.backend_mesh, PartitionSpec())
    images = np.random.default_rng(0).normal(size=(8, 14, 14, 16)).astype("float32")
    with keras.distribution.ModelParallel(layout_map=layout).scope():
        layer = layers.StandardizedConv2D(64, 3, use_bias=False, name="wide")
        layer.build(images.shape)
        kernel = layer.kernel.value
        split = jax.jit(
            lambda kernel, x: layer.stateless_call([kernel], [], x)[0], out_shardings=everywhere
        )
        program = split.lower(kernel, jax.device_put(images, everywhere)).compile()
        outputs = np.asarray(program(kernel, jax.device_put(images, everywhere)))
    whole = layers.StandardizedConv2D(64, 3, use_bias=False)
    whole.build(images.shape)
    whole.kernel.assign(np.asarray(kernel))
    return {
        "sent": sent(program.as_text()),
        "outputs": outputs.nbytes,
        "difference": float(np.abs(outputs - np.asarray(whole(images))).max() / outputs.max()),
    }


def study_shard_map() -> dict[str, Any]:
    """Return how far the gradients are where each device is given its part of the batch."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 14, 14, 16)).astype("float32")
    kernel = rng.normal(size=(3, 3, 16, 32)).astype("float32")
    mesh = Mesh(np.array(jax.devices()), ("samples",))

    def total(kernel: Any, images: Any) -> Any:
        pattern = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
        return jnp.sum(jnp.sin(cs.conv(pattern, images, kernel, padding="same")))

    spread = jax.shard_map(
        lambda kernel, images: jax.lax.psum(total(kernel, images), "samples"),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("samples")),
        out_specs=PartitionSpec(),
    )
    one, split = (jax.jit(jax.grad(f))(kernel, images) for f in (total, spread))
    with jax.set_mesh(mesh):
        known = cs.plan("b (h+kh) i, kh i o -> b h o", (8, 9, 4), (3, 4, 8)).target.spread
    return {
        "difference": float(np.abs(np.asarray(one) - np.asarray(split)).max() / np.abs(one).max()),
        "a mesh is known": known,
    }


if __name__ == "__main__":
    found = {name: study(name, keras_knows=True) for name in LAYERS}
    found["dense, split by hand"] = study("dense", keras_knows=False)
    print("RESULTS", json.dumps([found, study_split_filters(), study_shard_map()]))

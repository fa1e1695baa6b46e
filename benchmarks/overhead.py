"""What `cs.ops.conv` costs in eager mode above the bare backend call, once a plan is cached.

The convolution is tiny, so that nothing but the call itself takes time. Each backend runs in a
process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
LIMIT = 100.0
"""Microseconds that a call may cost above the bare backend."""

SHAPE, KERNEL = (1, 8, 8, 4), (3, 3, 4, 4)


def bare(x: Any, kernel: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Return the bare backend call on channels-last data, and how to wait for its result."""
    import keras

    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return lambda: tf.nn.conv2d(x, kernel, 1, "SAME"), lambda y: y
    if name == "jax":
        from jax import lax

        names = ("NHWC", "HWIO", "NHWC")
        return (
            lambda: lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=names),
            lambda y: y.block_until_ready(),
        )
    import torch.nn.functional as F

    def call() -> Any:
        y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), padding=1)
        return y.permute(0, 2, 3, 1)

    return call, lambda y: y


def measure() -> dict[str, float]:
    """Return the medians for the backend in use."""
    import keras

    import convsmith as cs
    from benchmarks._measure import medians

    random = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(random.normal(size=SHAPE).astype("float32"))
    kernel = keras.ops.convert_to_tensor(random.normal(size=KERNEL).astype("float32"))
    call, finish = bare(x, kernel)
    dense = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
    candidates: dict[str, Callable[[], Any]] = {
        "bare backend": call,
        "cs.ops.conv": lambda: cs.ops.conv(x, kernel, padding="same"),
        "cs.conv": lambda: cs.conv(dense, x, kernel, padding="same"),
        "keras.ops.conv": lambda: keras.ops.conv(x, kernel, padding="same"),
    }
    expected = np.asarray(keras.ops.convert_to_numpy(call()))
    for name, candidate in candidates.items():
        found = np.asarray(keras.ops.convert_to_numpy(candidate()))
        if not np.allclose(found, expected, atol=1e-4):
            raise SystemExit(f"{name} computes something else")
    return medians(candidates, finish)


def measured_elsewhere(backend: str) -> dict[str, float]:
    """Return the medians for a backend, measured in a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every backend, print a table, keep the numbers."""
    from benchmarks._measure import save

    rows = []
    print(f"{'microseconds a call':22}" + "".join(f"{b:>12}" for b in BACKENDS))
    for backend in BACKENDS:
        times = measured_elsewhere(backend)
        above = times["cs.ops.conv"] - times["bare backend"]
        rows.append({"backend": backend, "microseconds": times, "above_bare": above})
    for name in rows[0]["microseconds"]:
        print(f"{name:22}" + "".join(f"{r['microseconds'][name]:12.1f}" for r in rows))
    print(f"{'above the bare call':22}" + "".join(f"{r['above_bare']:12.1f}" for r in rows))
    met = all(r["above_bare"] < LIMIT for r in rows)
    print(f"goal: under {LIMIT:.0f} above the bare call: {'met' if met else 'NOT met'}")
    print(f"kept in {save('overhead', rows)}")


if __name__ == "__main__":
    print(json.dumps(measure()))

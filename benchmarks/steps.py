"""Whole training steps and predictions of small models: what a layer costs a Keras user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PLAIN = "plain keras layer"
LAYERS: dict[str, str] = {
    "convsmith": "cs.layers.StandardizedConv2D",
    "what users write": "keras.layers.Conv2D with its own convolution_op",
    PLAIN: "keras.layers.Conv2D",
}


@dataclass(frozen=True)
class StepWorkload:
    """A model of two standardised convolutions, trained and used."""

    name: str
    shape: tuple[int, ...]
    filters: int
    quick: bool = False
    every_mode: bool = False
    directions: tuple[str, ...] = ("train step", "inference")

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward pass."""
        batch, height, width, channels = self.shape
        return batch * height * width * 9 * self.filters * (channels + self.filters)


STEP_WORK = (
    StepWorkload("standardised conv, 28x28x64", (8, 28, 28, 64), 64, quick=True),
    StepWorkload("standardised conv, 56x56x64", (16, 56, 56, 64), 64),
    StepWorkload("standardised conv, 14x14x256", (8, 14, 14, 256), 256),
)


def layer(name: str, filters: int) -> Any:
    """Return a layer of a candidate."""
    import keras

    import convsmith as cs

    ops: Any = keras.ops

    class Written(keras.layers.Conv2D):
        """What is found in many repositories, written for every backend."""

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            mean = ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
            variance = ops.var(kernel, axis=(0, 1, 2), keepdims=True)
            return super().convolution_op(inputs, (kernel - mean) / ops.sqrt(variance + 1e-5))

    kinds: dict[str, Any] = {
        "convsmith": cs.layers.StandardizedConv2D,
        "what users write": Written,
        PLAIN: keras.layers.Conv2D,
    }
    return kinds[name](filters, 3, padding="same", activation="relu")


def prepared(work: StepWorkload, name: str, mode: str, direction: str) -> Callable[[], Any]:
    """Return a call that does one training step (gives the loss) or prediction."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(work.shape[1:], batch_size=work.shape[0]),
            layer(name, work.filters),
            layer(name, work.filters),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    compiles: Any = mode in ("xla", "jit", "compiled")
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=mode == "eager" and keras.backend.backend() != "torch",
        jit_compile=compiles,
    )
    random = np.random.default_rng(0)
    x = random.normal(size=work.shape).astype("float32")
    y = random.integers(0, 10, work.shape[0])
    tensors = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)
    if direction == "inference":
        return lambda: model.predict_on_batch(tensors[0])
    return lambda: np.asarray(model.train_on_batch(*tensors))

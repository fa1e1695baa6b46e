"""A layer that keeps every promise of the contract, and ones that each break one of them."""

from __future__ import annotations

from typing import Any

import keras

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

register: Any = keras.saving.register_keras_serializable(package="faulty_layers")


@register
class Scale(keras.layers.Layer):
    """A right layer: y = times * x * w, with a factor w for each channel."""

    def __init__(
        self, times: float = 2.0, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.times = times
        self.data_format = data_format

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        self.w: Any = self.add_weight(shape=(channels,), initializer="ones", name="w")
        self.steps: Any = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="steps"
        )

    def factor(self, inputs: Any) -> Any:
        spatial = len(inputs.shape) - 2 if self.data_format == "channels_first" else 0
        return ops.reshape(ops.convert_to_tensor(self.w), (-1, *[1] * spatial))

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor(inputs) * self.times

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "times": self.times, "data_format": self.data_format}


@register
class Weighted(keras.layers.Layer):
    """A right layer of two inputs, with a layer of its own inside: y = dense(a) * b."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, dtype=self.dtype_policy)

    def call(self, inputs: Any) -> Any:
        a, b = inputs
        return self.dense(a) * b


@register
class CountsSteps(Scale):
    """Right if it says that `steps` is its state."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.steps.assign(self.steps + 1.0)
        return super().call(inputs)


@register
class LosesArgument(Scale):
    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["times"]
        return config


@register
class ChangesArgument(Scale):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "times": 1 + self.times}


@register
class ObjectInConfig(Scale):
    def __init__(self, times: Any = 2.0, **kwargs: Any) -> None:
        super().__init__(2.0, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "times": {2.0}}


@register
class WrongShape(Scale):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], input_shape[-1] + 1)


@register
class SlightlyOff(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) + 1e-3


@register
class CountsCalls(Scale):
    calls = 0

    def call(self, inputs: Any) -> Any:
        self.calls += 1
        return super().call(inputs) + self.calls


@register
class StaticBatch(Scale):
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.batch = input_shape[0]

    def call(self, inputs: Any) -> Any:
        shape = (self.batch, *inputs.shape[1:])
        return ops.reshape(super().call(inputs), shape)


@register
class KnownSizesOnly(Scale):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*(int(n) for n in input_shape),)


@register
class NoEmptyBatch(Scale):
    def call(self, inputs: Any) -> Any:
        if inputs.shape[0] == 0:
            raise ValueError("there must be a sample")
        return super().call(inputs)


@register
class IgnoresFormat(Scale):
    def factor(self, inputs: Any) -> Any:
        return ops.convert_to_tensor(self.w)


@register
class Overflows(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs * 1e5) / 1e5


@register
class AlwaysFloat32(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.cast(super().call(inputs), "float32")


@register
class RoundsToFloat32(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.cast(ops.cast(super().call(inputs), "float32"), self.compute_dtype)


@register
class HalfWeights(Scale):
    def add_weight(self, **kwargs: Any) -> Any:
        return super().add_weight(**kwargs, dtype=self.compute_dtype)


@register
class NeverTrains(Scale):
    def factor(self, inputs: Any) -> Any:
        return ops.stop_gradient(super().factor(inputs))


@register
class StopsGradient(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(ops.stop_gradient(inputs))


@register
class StopsPart(Scale):
    def call(self, inputs: Any) -> Any:
        outputs = super().call(inputs)
        return ops.concatenate([ops.stop_gradient(outputs[..., :1]), outputs[..., 1:]], axis=-1)


@register
class WrongGradient(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) + 0.1 * (inputs - ops.stop_gradient(inputs))


class Unregistered(Scale):
    pass


@register
class OtherElsewhere(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) * len(keras.backend.backend())

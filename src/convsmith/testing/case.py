"""A layer to check, with its inputs: the same random numbers each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]
Shape = tuple[int, ...]
Axis = int | None
Axes = Sequence[int] | None
Reference = Callable[[Any, list[Array]], Array]
"""Takes the inputs and ``layer.get_weights()`` in float64, returns the right outputs."""

TOLERANCE: dict[str, float] = {
    "float64": 1e-10,
    "float32": 2e-5,
    "float16": 2e-2,
    "bfloat16": 1e-1,
}
"""Of values, relative to the largest one, by the dtype computed in."""


@dataclass(frozen=True)
class LayerCase:
    """A layer to check.

    Args:
        layer_class: a `keras.layers.Layer`.
        init_kwargs: its constructor's arguments.
        input_shape: with a batch axis and no None; a list of shapes for a layer of several inputs,
            which then all have a batch axis. What follows may be a list too, with an entry for
            each input.
        reference: takes the inputs and ``layer.get_weights()`` in float64, returns the outputs.
        channel_axis: where the channels are when the layer says ``data_format="channels_last"``;
            None if it has no such argument or no channels.
        spatial_axes: those that may be unknown when a model is made; None for all but batch and
            channels.
        seed: of inputs and weights.
        tolerance: of values, relative to the largest one, by the dtype computed in.
        state: how the paths end of weights that aren't trainable and may still move in training.
        factory: makes the layer instead of ``layer_class(**init_kwargs)``.

    Example:
        >>> case = LayerCase(keras.layers.Conv1D, {"filters": 1, "kernel_size": 2}, (2, 9, 3))
        >>> case.unknown_shape()
        (None, None, 3)

    Source: none.
    """

    layer_class: type[Any]
    init_kwargs: Mapping[str, Any]
    input_shape: Shape | list[Shape]
    reference: Reference | None = None
    channel_axis: Axis | list[Axis] = -1
    spatial_axes: Axes | list[Axes] = None
    seed: int = 0
    tolerance: Mapping[str, float] = field(default_factory=lambda: TOLERANCE)
    state: Sequence[str] = ()
    factory: Callable[[], Any] | None = None

    @property
    def data_format(self) -> str | None:
        """The layer's own, if it has one."""
        return self.make().get_config().get("data_format")

    def make(self, **changes: Any) -> Any:
        """Return a new layer."""
        if self.factory is None:
            return self.layer_class(**{**self.init_kwargs, **changes})
        layer = self.factory()
        return layer.from_config({**layer.get_config(), **changes}) if changes else layer

    def pack(self, values: list[Any]) -> Any:
        """Return what a layer takes for a list with an entry for each input."""
        return values if isinstance(self.input_shape, list) else values[0]

    def each(self, value: Any) -> list[Any]:
        """Return a list with an entry for each input."""
        count = len(self.input_shape) if isinstance(self.input_shape, list) else 1
        return value if isinstance(value, list) else [value] * count

    def inputs(self, dtype: str = "float32") -> Any:
        """Return the same random inputs each time."""
        generator = np.random.default_rng(self.seed)
        shapes = self.each(self.input_shape)
        drawn = [generator.uniform(-1, 1, shape).astype("float32") for shape in shapes]
        return self.pack([one.astype(dtype) for one in drawn])

    def built(self, **changes: Any) -> Any:
        """Return a new layer with random weights, biases included, the same each time."""
        # What isn't trained starts from an initialiser, of the layer itself or by it.
        keras.utils.set_random_seed(self.seed)
        layer = self.make(**changes)
        build(layer, self.inputs())
        generator = np.random.default_rng(self.seed + 1)
        for weight in layer.trainable_variables:
            weight.assign(generator.uniform(-1, 1, tuple(weight.shape)))
        return layer

    def unknown_shape(self) -> Any:
        """Return the input shape with batch and spatial axes unknown."""
        shapes: list[tuple[int | None, ...]] = []
        axes = zip(
            self.each(self.input_shape),
            self.each(self.channel_axis),
            self.each(self.spatial_axes),
            strict=True,
        )
        for shape, channels, spatial in axes:
            if spatial is None:
                if channels is not None and self.data_format == "channels_first":
                    channels = 1
                fixed = () if channels is None else (channels % len(shape),)
                spatial = [i for i in range(1, len(shape)) if i not in fixed]
            shapes.append(tuple(None if i == 0 or i in spatial else n for i, n in enumerate(shape)))
        return self.pack(shapes)

    def within(self, dtype: str) -> float:
        """Return the tolerance of values computed in `dtype`."""
        return {**TOLERANCE, **self.tolerance}[dtype]

    def declared(self, layer: Any, shape: Any) -> tuple[Any, ...]:
        """Return the output shape that the layer says, or else what Keras finds by a dry call."""
        if type(layer).compute_output_shape is not keras.layers.Layer.compute_output_shape:
            return tuple(layer.compute_output_shape(shape))
        symbolic = [keras.KerasTensor(one) for one in self.each(shape)]
        return tuple(layer.compute_output_spec(self.pack(symbolic)).shape)

    def model(self, layer: Any, shape: Any) -> Any:
        """Return a functional model of the layer for inputs of this shape."""
        symbolic = [keras.Input(batch_shape=one) for one in self.each(shape)]
        return keras.Model(self.pack(symbolic), layer(self.pack(symbolic)))


def build(layer: Any, inputs: Any) -> None:
    """Make the layer's weights, as a call with these inputs would."""
    if type(layer).build is keras.layers.Layer.build:
        # Its call builds what is inside; Keras may take it for built before that.
        layer(inputs)
    elif not layer.built:
        layer.build(shapes_of(inputs))


def shapes_of(inputs: Any) -> Any:
    """Return the shape of an array, or the list of shapes of a list of them."""
    if isinstance(inputs, list):
        return [one.shape for one in inputs]
    return inputs.shape


def as_numpy(tensor: Any) -> Array:
    """Return a tensor as a NumPy array, bfloat16 widened to float32."""
    if "bfloat16" in str(tensor.dtype):
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)


def assert_close(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    """Assert equal shapes, finite values, and differences within `tolerance` of the largest."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: {actual.shape} instead of {expected.shape}"
    assert np.isfinite(actual.astype("float64")).all(), f"{what}: not finite"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    worst = float(np.abs(actual.astype("float64") - expected).max(initial=0.0))
    assert worst <= tolerance * scale, f"{what}: differs by {worst:.3g} at a scale of {scale:.3g}"

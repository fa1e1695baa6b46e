"""What every layer must do, as checks that assert. Run them on your own layers too.

Each check takes a `LayerCase`; `check_layer` runs them all. `check_reload` starts one fresh process
for many cases, because a process that imports a framework takes seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith.testing.autodiff import compiled, layer_gradients

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]
Reference = Callable[[Array, list[Array]], Array]
"""Takes the inputs and ``layer.get_weights()`` in float64, returns the right outputs."""

TOLERANCE: dict[str, float] = {"float32": 2e-5, "float16": 2e-2, "bfloat16": 1e-1}
"""Of values, relative to the largest one, by the dtype computed in."""


@dataclass(frozen=True)
class LayerCase:
    """A layer to check.

    `input_shape` has a batch axis and no None. `channel_axis` is where the channels are when the
    layer says ``data_format="channels_last"``; None if it has no such argument or no channels.
    `spatial_axes` are those that may be unknown when a model is made.
    """

    layer_class: type[Any]
    init_kwargs: Mapping[str, Any]
    input_shape: tuple[int, ...]
    reference: Reference | None = None
    channel_axis: int | None = -1
    spatial_axes: tuple[int, ...] | None = None
    seed: int = 0
    tolerance: Mapping[str, float] = field(default_factory=lambda: TOLERANCE)

    def make(self, **changes: Any) -> Any:
        """Return a new layer."""
        return self.layer_class(**{**self.init_kwargs, **changes})

    def inputs(self) -> Array:
        """Return the same random inputs each time."""
        generator = np.random.default_rng(self.seed)
        return generator.uniform(-1, 1, self.input_shape).astype("float32")

    def built(self, **changes: Any) -> Any:
        """Return a new layer with random weights, biases included, the same each time."""
        layer = self.make(**changes)
        layer.build(self.input_shape)
        generator = np.random.default_rng(self.seed + 1)
        for weight in layer.trainable_variables:
            weight.assign(generator.uniform(-1, 1, tuple(weight.shape)))
        return layer

    def unknown_shape(self) -> tuple[int | None, ...]:
        """Return the input shape with batch and spatial axes unknown."""
        rank = len(self.input_shape)
        spatial = self.spatial_axes
        if spatial is None:
            channels = None if self.channel_axis is None else self.channel_axis % rank
            if self.init_kwargs.get("data_format") == "channels_first":
                channels = 1
            spatial = tuple(i for i in range(1, rank) if i != channels)
        return tuple(None if i == 0 or i in spatial else n for i, n in enumerate(self.input_shape))


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


def check_config(case: LayerCase) -> None:
    """The config is JSON, and a layer made from it has the same config and outputs."""
    layer = case.built()
    config = layer.get_config()
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = layer.from_config(config)
    assert again.get_config() == config, "from_config(get_config()) has another config"
    loaded = keras.saving.deserialize_keras_object(written)
    assert type(loaded) is type(layer), f"deserialised as {type(loaded)}"
    # Through JSON, where tuples become lists that Keras marks.
    assert json.dumps(loaded.get_config()) == json.dumps(config), "the saved config differs"
    inputs, expected = case.inputs(), as_numpy(layer(case.inputs()))
    for copy in (again, loaded):
        if not copy.built:
            copy.build(case.input_shape)
        copy.set_weights(layer.get_weights())
        assert_close(as_numpy(copy(inputs)), expected, 1e-6, "outputs of the copy")


def check_shapes(case: LayerCase) -> None:
    """The declared output shape is the real one, with known sizes and with unknown ones."""
    layer = case.built()
    real = tuple(layer(case.inputs()).shape)
    declared = tuple(layer.compute_output_shape(case.input_shape))
    assert declared == real, f"declared {declared}, real {real}"
    unknown = tuple(layer.compute_output_shape(case.unknown_shape()))
    assert len(unknown) == len(real)
    assert unknown[0] is None
    for said, size in zip(unknown, real, strict=True):
        assert said in (None, size), f"declared {unknown}, real {real}"


def check_symbolic(case: LayerCase) -> None:
    """A functional model, with unknown sizes and with known ones, computes what a call does."""
    layer = case.built()
    inputs = case.inputs()
    expected = as_numpy(layer(inputs))
    for shape in (case.unknown_shape(), case.input_shape):
        symbolic = keras.Input(batch_shape=shape)
        outputs = layer(symbolic)
        model: Any = keras.Model(symbolic, outputs)
        assert_close(as_numpy(model(inputs)), expected, 1e-5, f"model of {shape}")
        assert_close(model.predict(inputs, verbose=0), expected, 2e-5, f"predict of {shape}")


def check_empty_batch(case: LayerCase) -> None:
    """No samples give no outputs, of the right shape."""
    layer = case.built()
    real = tuple(layer(case.inputs()).shape)
    empty = layer(np.zeros((0, *case.input_shape[1:]), "float32"))
    assert tuple(empty.shape) == (0, *real[1:]), f"{tuple(empty.shape)} instead of (0, *{real[1:]})"


def check_data_formats(case: LayerCase) -> None:
    """With channels first, moved inputs give moved outputs of the same values."""
    if case.channel_axis is None or "data_format" not in case.make().get_config():
        return
    last = case.built(data_format="channels_last")
    first = case.make(data_format="channels_first")
    inputs = case.inputs()
    if case.init_kwargs.get("data_format") == "channels_first":
        inputs = np.moveaxis(inputs, 1, -1)
        last = case.make(data_format="channels_last")
        last.build(inputs.shape)
        last.set_weights(case.built().get_weights())
    moved = np.moveaxis(inputs, -1, 1)
    first.build(moved.shape)
    first.set_weights(last.get_weights())
    expected = np.moveaxis(as_numpy(last(inputs)), -1, 1)
    assert_close(as_numpy(first(moved)), expected, 2e-5, "channels_first")
    assert tuple(first.compute_output_shape(moved.shape)) == expected.shape


def check_compiled(case: LayerCase) -> None:
    """Compiled, the layer computes what it computes eagerly."""
    layer = case.built()
    inputs = ops.convert_to_tensor(case.inputs())
    assert_close(as_numpy(compiled(layer)(inputs)), as_numpy(layer(inputs)), 2e-5, "compiled")


def check_mixed_precision(case: LayerCase) -> None:
    """In half precision variables stay float32, and outputs are finite, half and near."""
    expected = as_numpy(case.built(dtype="float32")(case.inputs()))
    for half in ("float16", "bfloat16"):
        layer = case.built(dtype=f"mixed_{half}")
        outputs = layer(case.inputs())
        given = keras.backend.standardize_dtype(outputs.dtype)
        assert given == half, f"output is {given} under mixed_{half}"
        for variable in layer.weights:
            assert variable.dtype == "float32", f"{variable.name} is {variable.dtype}"
        assert_close(as_numpy(outputs), expected, case.tolerance[half], f"mixed_{half}")


def check_training(case: LayerCase) -> None:
    """A step moves every trainable weight of the layer and of the one before it, no others."""
    layer = case.built()
    # Without a bias: behind it, a filter whose taps add up to 0 leaves no gradient but rounding.
    earlier = keras.layers.Dense(case.input_shape[-1], use_bias=False)
    # JAX always compiles; PyTorch's compiler takes minutes.
    ways = {"jax": (True,), "torch": (False,)}.get(keras.backend.backend(), (False, True))
    for compile_step in ways:
        model: Any = keras.Sequential([keras.Input(case.input_shape[1:]), earlier, layer])
        model.compile("sgd", "mse", jit_compile=compile_step)
        target = np.ones(tuple(layer.compute_output_shape(case.input_shape)), "float32")
        moving = [*earlier.trainable_variables, *layer.trainable_variables]
        before = [as_numpy(v.value).copy() for v in moving]
        fixed = [as_numpy(v.value).copy() for v in layer.non_trainable_variables]
        with warnings.catch_warnings():
            # Keras only warns where a weight has no gradient; below that is an error.
            warnings.simplefilter("ignore", UserWarning)
            # Unlike train_on_batch, fit hides the batch's size from a graph.
            loss = model.fit(case.inputs(), target, verbose=0).history["loss"][-1]
        assert np.isfinite(loss), f"loss {loss}"
        for variable, old in zip(moving, before, strict=True):
            new = as_numpy(variable.value)
            assert np.isfinite(new).all(), f"{variable.path} isn't finite"
            assert (new != old).any(), f"{variable.path} never moved, jit_compile={compile_step}"
        for variable, old in zip(layer.non_trainable_variables, fixed, strict=True):
            assert (as_numpy(variable.value) == old).all(), f"{variable.path} moved"


def check_reference(case: LayerCase) -> None:
    """Outputs are the reference's, and so are the derivatives along random directions."""
    if case.reference is None:
        return
    layer = case.built()
    inputs = case.inputs().astype("float64")
    weights = [w.astype("float64") for w in layer.get_weights()]
    expected = case.reference(inputs, weights)
    actual = as_numpy(layer(case.inputs()))
    assert_close(actual, expected, case.tolerance["float32"], "values")
    generator = np.random.default_rng(case.seed + 2)
    cotangent = generator.uniform(-1, 1, expected.shape)
    gradients = layer_gradients(layer, case.inputs(), cotangent.astype("float32"))
    trained = [id(v) for v in layer.trainable_variables]
    slots = [-1, *(i for i, v in enumerate(layer.weights) if id(v) in trained)]
    step = 1e-5
    for slot, gradient in zip(slots, gradients, strict=True):
        at = inputs if slot < 0 else weights[slot]
        assert gradient.shape == at.shape, f"gradient {slot} has shape {gradient.shape}"
        direction = generator.uniform(-1, 1, at.shape)

        def moved(amount: float, slot: int = slot, direction: Array = direction) -> Array:
            assert case.reference is not None
            if slot < 0:
                return case.reference(inputs + amount * direction, weights)
            others = list(weights)
            others[slot] = weights[slot] + amount * direction
            return case.reference(inputs, others)

        slope = ((moved(step) - moved(-step)) * cotangent).sum() / (2 * step)
        scale = np.abs(gradient * direction).sum() + 1
        error = abs((gradient * direction).sum() - slope)
        name = "inputs" if slot < 0 else layer.weights[slot].path
        assert error <= 1e-4 * scale, f"gradient for {name}: differs by {error:.3g} of {scale:.3g}"


CHECKS: dict[str, Callable[[LayerCase], None]] = {
    "config": check_config,
    "shapes": check_shapes,
    "symbolic": check_symbolic,
    "empty batch": check_empty_batch,
    "data formats": check_data_formats,
    "compiled": check_compiled,
    "mixed precision": check_mixed_precision,
    "training": check_training,
    "reference": check_reference,
}
"""All checks within this process, by name."""


def check_layer(
    layer_class: type[Any],
    init_kwargs: Mapping[str, Any],
    input_shape: tuple[int, ...],
    *,
    reference: Reference | None = None,
    channel_axis: int | None = -1,
    reload_modules: Sequence[str] | None = (),
    skip: Sequence[str] = (),
) -> None:
    """Assert that a layer does what every layer must, on the backend in use.

    Config round trip, declared shapes, unknown sizes, symbolic and compiled calls, empty batch,
    both data formats, mixed precision, a training step, values and gradients against a reference,
    and reloading in a fresh process.

    Args:
        layer_class: a `keras.layers.Layer` of one input.
        init_kwargs: its constructor's arguments.
        input_shape: with batch axis, all sizes known.
        reference: takes inputs and ``layer.get_weights()`` in float64, returns the outputs.
        channel_axis: where the channels are with ``data_format="channels_last"``; None if there
            are none.
        reload_modules: the modules that register the layer, imported by the fresh process before
            it loads (those of convsmith are anyway); None leaves the process out.
        skip: names of `CHECKS` that don't apply.

    Raises:
        AssertionError: the layer breaks one of the checks.
        KeyError: `skip` has a name that isn't a check's.

    Example:
        >>> check_layer(keras.layers.Conv2D, {"filters": 2, "kernel_size": 3}, (2, 5, 6, 3),
        ...             reload_modules=None, skip=["data formats", "empty batch"])

    Source: the idea of one contract for all layers is from Keras's own tests.
    """
    for name in skip:
        CHECKS[name]
    case = LayerCase(layer_class, init_kwargs, input_shape, reference, channel_axis)
    for name, check in CHECKS.items():
        if name not in skip:
            check(case)
    if reload_modules is not None:
        check_reload([case], modules=reload_modules)


_RELOAD = """
import importlib, json, sys
from pathlib import Path
for name in sys.argv[2:]:
    importlib.import_module(name)
import keras, numpy
folder = Path(sys.argv[1])
for index in range(len(list(folder.glob("*.keras")))):
    model = keras.models.load_model(folder / f"{index}.keras")
    inputs = numpy.load(folder / f"{index}-inputs.npy")
    expected = numpy.load(folder / f"{index}-outputs.npy")
    outputs = keras.ops.convert_to_numpy(model(inputs))
    assert outputs.shape == expected.shape, (model.summary(), outputs.shape, expected.shape)
    worst = numpy.abs(outputs - expected).max(initial=0)
    assert worst <= 1e-5 * max(1, numpy.abs(expected).max(initial=0)), (index, worst)
print("reloaded", index + 1)
"""


def check_reload(
    cases: Sequence[LayerCase],
    *,
    imports: Sequence[str] = ("keras", "convsmith"),
    modules: Sequence[str] = (),
) -> None:
    """Assert that saved models with the layers load in a fresh process and compute the same.

    Args:
        cases: the layers, each saved in a model of its own; one process loads them all.
        imports: what that process imports first, in this order.
        modules: what it imports next: those that register your own layers.

    Raises:
        AssertionError: a model doesn't load or computes something else; shows the process's
            output.

    Example:
        >>> check_reload([LayerCase(keras.layers.Conv1D, {"filters": 1, "kernel_size": 2},
        ...                         (1, 4, 1))])

    Source: none.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, case in enumerate(cases):
            layer = case.built()
            symbolic = keras.Input(batch_shape=case.unknown_shape())
            model = keras.Model(symbolic, layer(symbolic))
            model.save(Path(folder, f"{index}.keras"))
            np.save(Path(folder, f"{index}-inputs.npy"), case.inputs())
            np.save(Path(folder, f"{index}-outputs.npy"), as_numpy(model(case.inputs())))
        done = subprocess.run(
            [sys.executable, "-c", _RELOAD, folder, *imports, *modules],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        )
    assert done.returncode == 0, f"the fresh process failed:\n{done.stdout}\n{done.stderr}"
    assert f"reloaded {len(cases)}" in done.stdout

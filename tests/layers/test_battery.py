"""Thousands of generated layers: the definition's values and gradients, and Keras's where it can.

A sample runs always, all of them in the full suite.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from battery import KINDS, battery_case
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import LayerCase, as_numpy, assert_close, check_reference

COUNT = 3600
SAMPLE = 72
CHUNK = 100
OURS = ("padding_mode", "padding_value")


@pytest.mark.parametrize("number", range(SAMPLE))
def test_a_sample(number: int) -> None:
    check(number)


# Seven axes padded: TensorFlow takes six.
@pytest.mark.parametrize("number", [1389])
def test_what_failed_once(number: int) -> None:
    check(number)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(SAMPLE, COUNT, CHUNK))
def test_all(start: int) -> None:
    numbers = range(start, min(start + CHUNK, COUNT))
    agreed = sum(check(number) for number in numbers)
    # Keras must have been there to compare with, or this compares less than it says.
    assert agreed >= len(numbers) // 10


def check(number: int) -> bool:
    """Check a configuration; whether Keras computes it too."""
    case = battery_case(number)
    try:
        check_reference(case)
        return agrees_with_keras(case)
    except Exception as error:
        error.add_note(f"battery_case({number}): {case.layer_class.__name__} {case.init_kwargs}")
        error.add_note(f"input {case.input_shape}")
        raise


def agrees_with_keras(case: LayerCase) -> bool:
    """Compare values and gradients with Keras's layer; whether it takes the arguments and runs."""
    theirs_class = getattr(keras.layers, case.layer_class.__name__, None)
    arguments = dict(case.init_kwargs)
    transposed = case.layer_class.__name__.endswith("Transpose")
    words = (
        ("valid", "same", "causal") if theirs_class is keras.layers.Conv1D else ("valid", "same")
    )
    if theirs_class is None or arguments["padding"] not in words:
        return False
    if any(arguments.pop(name, "constant") != "constant" for name in OURS):
        return False
    if transposed and arguments.pop("groups") != 1:
        return False
    if breaks_memory(arguments):
        return False
    layer = case.built()
    inputs = case.inputs()
    outputs = as_numpy(layer(inputs))
    cotangent = np.random.default_rng(case.seed).uniform(-1, 1, outputs.shape).astype("float32")
    ours = [outputs, *layer_gradients(layer, inputs, cotangent)]
    try:
        theirs = keras_results(theirs_class, arguments, layer, inputs, cotangent)
    except Exception:
        return False  # It refuses: strides with dilation, layouts, sizes that its kernels lack.
    last = arguments["data_format"] == "channels_last"
    if known_wrong(arguments, inputs.shape[-1 if last else 1], outputs.shape):
        return False
    for actual, expected in zip(ours, theirs, strict=True):
        assert_close(actual, expected, 1e-5, "against Keras")
    return True


def keras_results(
    theirs_class: Any, arguments: dict[str, Any], layer: Any, inputs: Any, cotangent: Any
) -> list[Any]:
    """Keras's outputs and gradients with our weights."""
    theirs = theirs_class(**arguments)
    theirs.build(inputs.shape)
    theirs.set_weights(layer.get_weights())
    outputs = as_numpy(theirs(inputs))
    if outputs.shape != cotangent.shape:
        return [outputs]
    return [outputs, *layer_gradients(theirs, inputs, cotangent)]


def breaks_memory(arguments: dict[str, Any]) -> bool:
    """Whether Keras's layer would write over other memory.

    TensorFlow's gradient of kernels of single taps does where strides are unequal.
    """
    strides, taps = (np.unique(arguments[name]) for name in ("strides", "kernel_size"))
    return keras.backend.backend() == "tensorflow" and len(strides) > 1 and max(taps) == 1


def known_wrong(arguments: dict[str, Any], channels: int, ours: Any) -> bool:
    """Whether Keras is known to compute something else than it says."""
    backend = keras.backend.backend()
    last = arguments["data_format"] == "channels_last"
    spatial = ours[1:-1] if last else ours[2:]
    if backend != "jax" and channels == 1 and 1 in spatial:
        # oneDNN misreads one channel in channels last where the output is a single column.
        return True
    # TensorFlow adds the bias along the width where that has as many entries as there are filters.
    return backend == "tensorflow" and not last and arguments["use_bias"] and ours[-1] == ours[1]


@pytest.mark.backend_free
def test_all_kinds_and_many_arguments_appear() -> None:
    cases = [battery_case(number) for number in range(360)]
    assert {case.layer_class for case in cases} == {kind[2] for kind in KINDS}
    for name in ("padding_mode", "padding_value", "output_padding", "groups", "depth_multiplier"):
        assert any(name in case.init_kwargs for case in cases), name
    both = [
        c for c in cases if c.init_kwargs["strides"] != 1 and c.init_kwargs["dilation_rate"] != 1
    ]
    assert len(both) > 20

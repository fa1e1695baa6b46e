"""Every pattern of the design's table, in every execution mode, values and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from engine_cases import MORE, ROWS, Case
from engine_runs import MODES, as_numpy, assert_close, tensors, value_and_gradients

ALL = {**ROWS, **MORE}


def function(case: Case, **more: Any) -> Any:
    return lambda *xs: cs.conv(case.pattern, *xs, **case.arguments, **more)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients(name: str, padding: str, mode: str) -> None:
    case = replace(ALL[name], arguments={**ALL[name].arguments, "padding": padding})
    if (
        not case.possible()
    ):  # Operands of the size of "valid" outputs, such as one kernel per pixel.
        case = ALL[name]
    operands = case.operands()
    expected = case.expected(operands)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    y, gradients = value_and_gradients(
        function(case), tensors(operands, "float32"), cotangent, mode
    )
    assert_close(y, expected, "float32", f"{case} in {mode}")
    for i, wanted in enumerate(case.gradients(operands, cotangent)):
        assert_close(gradients[i], wanted, "float32", f"{case} in {mode}, gradient {i}")


@pytest.mark.parametrize("name", ALL)
def test_arrays_and_lists(name: str) -> None:
    case = ALL[name]
    operands = case.operands()
    expected = case.expected(operands)
    assert_close(function(case)(*operands), expected, "float32", "arrays")
    assert_close(function(case)(*(x.tolist() for x in operands)), expected, "float32", "lists")


@pytest.mark.parametrize("name", ALL)
def test_symbolic_tensors_make_models(name: str) -> None:
    case = ALL[name]
    first, *rest = case.operands()
    inputs = keras.Input(batch_shape=first.shape)
    outputs = function(case)(inputs, *rest)
    expected = case.expected([first, *rest])
    assert outputs.shape == expected.shape
    model = keras.Model(inputs, outputs)
    assert_close(model(first), expected, "float32", "functional model")


def test_a_model_of_patterns_reloads(tmp_path: Any) -> None:
    inputs = keras.Input((None, 3))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4)).astype("float32")
    pads = {"h": (2, 0)}
    outputs = cs.conv("b (h+kh) i, kh i o -> b h o", inputs, kernel, padding=pads)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(1).normal(size=(2, 7, 3)).astype("float32")
    np.testing.assert_array_equal(as_numpy(again(x)), as_numpy(model(x)))
    assert outputs.shape == (None, None, 4)

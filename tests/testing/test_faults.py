"""The contract must fail for layers that break it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from convsmith.testing import contract
from convsmith.testing.contract import CHECKS, LayerCase

SHAPE = (2, 5, 4)

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class Scale(keras.layers.Layer):
    """A right layer: y = x * w, to be broken in one place each."""

    def __init__(self, power: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def build(self, input_shape: Any) -> None:
        self.w: Any = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

    def call(self, inputs: Any) -> Any:
        return inputs * ops.convert_to_tensor(self.w)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


@keras.saving.register_keras_serializable(package="tests")
class RightScale(Scale):
    pass


@keras.saving.register_keras_serializable(package="tests")
class ForgetsConfig(Scale):
    def get_config(self) -> dict[str, Any]:
        return {**keras.layers.Layer.get_config(self), "power": 1 + self.power}


@keras.saving.register_keras_serializable(package="tests")
class ArrayInConfig(Scale):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": object()}


class WrongShape(Scale):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], input_shape[-1] + 1)


class ForgetsBatch(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) if inputs.shape[0] else inputs[:, :-1]


class NeverMoves(Scale):
    def call(self, inputs: Any) -> Any:
        return inputs * ops.stop_gradient(ops.convert_to_tensor(self.w))


class StopsGradient(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.stop_gradient(inputs) * ops.convert_to_tensor(self.w)


class Float32Out(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.cast(super().call(inputs), "float32")


class Overflows(Scale):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs * 1e5) / 1e5


class WrongGradient(Scale):
    def call(self, inputs: Any) -> Any:
        outputs = super().call(inputs)
        return outputs + 0.1 * (inputs - ops.stop_gradient(inputs))


class IgnoresFormat(Scale):
    def __init__(self, data_format: str = "channels_last", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


def reference(inputs: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    return inputs * weights[0]


def case_of(layer_class: type[Any], shape: tuple[int, ...] = SHAPE) -> LayerCase:
    return LayerCase(layer_class, {}, shape, reference=reference)


@pytest.mark.parametrize("check", CHECKS)
def test_a_right_layer_passes(check: str) -> None:
    CHECKS[check](case_of(RightScale))


@pytest.mark.parametrize(
    ("check", "layer_class", "words"),
    [
        ("config", ForgetsConfig, "has another config"),
        ("shapes", WrongShape, "declared"),
        ("empty batch", ForgetsBatch, "instead of"),
        ("training", NeverMoves, "never moved"),
        ("training", StopsGradient, "never moved"),
        ("mixed precision", Float32Out, "output is float32 under mixed_float16"),
        ("mixed precision", Overflows, "not finite"),
        ("reference", WrongGradient, "gradient for inputs: differs"),
    ],
)
def test_a_broken_layer_fails(check: str, layer_class: type[Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        CHECKS[check](case_of(layer_class))


def test_an_object_in_the_config_fails() -> None:
    with pytest.raises((AssertionError, TypeError, ValueError)):
        contract.check_config(case_of(ArrayInConfig))


def test_an_ignored_data_format_fails() -> None:
    with pytest.raises((AssertionError, ValueError)):
        contract.check_data_formats(case_of(IgnoresFormat, (2, 5, 6, 4)))


def test_wrong_values_fail() -> None:
    wrong = LayerCase(RightScale, {}, SHAPE, reference=lambda x, w: x * w[0] + 1e-3)
    with pytest.raises(AssertionError, match="values: differs by"):
        contract.check_reference(wrong)


def test_a_layer_that_no_module_registers_fails_to_reload() -> None:
    with pytest.raises(AssertionError, match=r"the fresh process failed:[\s\S]*RightScale"):
        contract.check_reload([case_of(RightScale)])


def test_check_layer_runs_the_checks_and_knows_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []
    spies: dict[str, Callable[[LayerCase], None]] = {
        name: lambda case, name=name: ran.append(name) for name in CHECKS
    }
    monkeypatch.setattr(contract, "CHECKS", spies)
    contract.check_layer(RightScale, {}, SHAPE, reload_modules=None, skip=["training"])
    assert ran == [name for name in CHECKS if name != "training"]
    with pytest.raises(KeyError, match="speed"):
        contract.check_layer(RightScale, {}, SHAPE, skip=["speed"])


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        (np.ones(3), r"it: \(3,\) instead of \(2,\)"),
        (np.array([1, np.nan]), "it: not finite"),
        (np.array([1, 1.1]), "it: differs by 0.1"),
    ],
)
def test_assert_close_asserts(actual: np.ndarray, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        contract.assert_close(actual, np.ones(2), 1e-3, "it")

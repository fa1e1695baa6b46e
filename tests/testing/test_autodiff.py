"""The backend's gradients, of whatever a layer takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from convsmith.testing.autodiff import layer_gradients


class FirstOfTwo(keras.layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.unused = self.add_weight(shape=(3,), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return inputs[0] * 2.0


def test_what_the_outputs_do_not_depend_on_has_gradients_of_zero() -> None:
    inputs = [np.ones((2, 3), "float32"), np.ones((2, 4), "float32")]
    found = layer_gradients(FirstOfTwo(), inputs, np.full((2, 3), 5.0, "float32"))
    expected = [np.full((2, 3), 10.0), np.zeros((2, 4)), np.zeros(3)]
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(gradient, wanted)


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "abacus")
    with pytest.raises(NotImplementedError, match="abacus"):
        layer_gradients(FirstOfTwo(), np.ones(2), np.ones(2))

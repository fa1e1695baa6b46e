"""One call for a class, a layer or a function that makes one; what it leaves out, it says."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
import faulty_layers as faulty
from convsmith.errors import ArgumentError
from convsmith.testing import CHECKS, check_layer
from engine_runs import wide

SHAPE = (2, 5, 3, 4)
PROCESSES = ("reload", "other backends")
SKIPPED = dict.fromkeys(PROCESSES, "skipped")


def reference(inputs: Any, weights: list[np.ndarray]) -> np.ndarray:
    return 3.0 * inputs * weights[0]


def test_a_class_keeps_every_promise() -> None:
    with wide():
        left_out = cs.testing.check_layer(
            faulty.Scale,
            SHAPE,
            init_kwargs={"times": 3.0},
            reference=reference,
            skip=PROCESSES,
        )
    assert left_out == SKIPPED


@pytest.mark.parametrize(
    "layer",
    [
        faulty.Scale(3.0, data_format="channels_first", name="mine"),
        lambda: faulty.Scale(3.0, data_format="channels_first"),
    ],
)
def test_a_layer_or_a_function(layer: Any) -> None:
    def moved(inputs: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
        return 3.0 * inputs * weights[0][:, None, None]

    with wide():
        left_out = check_layer(layer, SHAPE, reference=moved, skip=PROCESSES)
    assert left_out == SKIPPED
    # A layer itself stays as it was.
    assert not isinstance(layer, keras.layers.Layer) or not layer.built


@pytest.mark.filterwarnings("ignore:`build:UserWarning")  # Keras wants such layers to have one.
def test_several_inputs_and_layers_within() -> None:
    with wide():
        left_out = check_layer(faulty.Weighted, [(2, 5, 4), (2, 5, 3)], skip=PROCESSES)
    assert set(left_out) == {"values", "data formats", *PROCESSES}


def test_a_layer_that_was_used_before() -> None:
    layer = faulty.CountsCalls(3.0)
    layer(np.ones(SHAPE, "float32"))
    others = [name for name in CHECKS if name != "config round trip"]
    check_layer(layer, SHAPE, skip=[*others, *PROCESSES])
    assert layer.calls == 1


def test_state_may_move() -> None:
    check_layer(faulty.CountsSteps, SHAPE, state=["steps"], skip=PROCESSES)


def test_what_is_left_out_has_a_reason() -> None:
    left_out = check_layer(keras.layers.Dense(3), (2, 4), backends=[], skip=["reload"])
    reasons = {
        "values": "no reference",
        "data formats": "the layer has no data_format, or no channels",
        "reload": "skipped",
        "other backends": "no other backend",
    }
    if keras.backend.backend() == "jax":
        reasons["float64"] = "JAX has float64 after jax.config.update('jax_enable_x64', True) only"
    assert left_out == reasons


def test_a_layer_of_the_main_program_has_no_module_to_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faulty.Scale, "__module__", "__main__")
    case = cs.testing.LayerCase(faulty.Scale, {}, SHAPE)
    with pytest.raises(AssertionError, match=r"^reload: modules: .*__main__.*Try: "):
        cs.testing.check_reload([case])


SCALE = faulty.Scale()


@pytest.mark.parametrize(
    ("layer", "shape", "options", "words"),
    [
        (faulty.Scale, SHAPE, {"skip": ["speed"]}, "'speed' is no promise; expected some of"),
        (faulty.Scale, (None, 5, 4), {}, "isn't a shape with known sizes"),
        (faulty.Scale, [2, 5, 4], {}, "isn't a shape with known sizes"),
        (SCALE, SHAPE, {"init_kwargs": {}}, "init_kwargs={}: are for a layer's class"),
        (lambda: SCALE, SHAPE, {}, "layer=.*: makes no new layers; expected"),
        (lambda: 3, SHAPE, {}, "layer=.*: makes no new layers; expected"),
        ("Scale", SHAPE, {}, "layer=.*: makes no new layers; expected"),
    ],
)
def test_wrong_arguments_are_refused(
    layer: Any, shape: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        check_layer(layer, shape, **options)

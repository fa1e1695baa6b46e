"""The contract must fail for layers that break it, and say which promise broke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import faulty_layers as faulty
from convsmith.testing import CHECKS, check_layer, slopes
from convsmith.testing.contract import assert_close
from engine_runs import wide

SHAPE = (2, 5, 3, 4)
PROCESSES = ("reload", "other backends")


def reference(inputs: Any, weights: list[np.ndarray]) -> np.ndarray:
    return inputs * weights[0] * 2.0


def broken(
    layer: Any, promise: str, words: str, skip: Sequence[str] = PROCESSES, **options: Any
) -> None:
    """Assert that this is the promise that breaks; those before it must be kept."""
    with wide(), pytest.raises(AssertionError, match=rf"^{promise}: [\s\S]*{words}"):
        check_layer(layer, SHAPE, skip=skip, **{"reference": reference, **options})


@pytest.mark.parametrize(
    ("layer", "promise", "words"),
    [
        (faulty.ChangesArgument, "config round trip", "has another config"),
        (faulty.ObjectInConfig, "config round trip", ""),
        (faulty.WrongShape, "declared shape", r"declared \(2, 5, 3, 5\), real \(2, 5, 3, 4\)"),
        (faulty.SlightlyOff, "values", "outputs: differs by 0.001"),
        (faulty.StaticBatch, "unknown sizes", ""),
        (faulty.KnownSizesOnly, "unknown sizes", "TypeError"),
        (faulty.NoEmptyBatch, "empty batch", "ValueError: [\\s\\S]*there must be a sample"),
        (faulty.IgnoresFormat, "data formats", ""),
        (faulty.Overflows, "half precision", "mixed_float16: not finite"),
        (faulty.AlwaysFloat32, "half precision", "output is float32 under mixed_float16"),
        (faulty.RoundsToFloat32, "float64", "float64: differs"),
        (faulty.HalfWeights, "half precision", "w is float16 under mixed_float16"),
        (faulty.CountsSteps, "fit step", "steps moved, and is neither trainable nor in state"),
        (faulty.NeverTrains, "fit step", "w never moved"),
        (faulty.StopsGradient, "fit step", "kernel never moved"),
        (faulty.StopsPart, "gradients", "for inputs: slope"),
        (faulty.WrongGradient, "gradients", "for inputs: slope"),
    ],
)
def test_a_broken_promise_is_named(layer: type[Any], promise: str, words: str) -> None:
    broken(layer, promise, words)


def test_a_lost_argument_is_named() -> None:
    words = r"times=3.0 became 2.0 in from_config\(get_config\(\)\)"
    broken(faulty.LosesArgument, "config round trip", words, init_kwargs={"times": 3.0})
    broken(faulty.LosesArgument(3.0), "config round trip", words)
    broken(lambda: faulty.LosesArgument(3.0), "config round trip", words)


def test_side_effects_make_compiled_calls_differ() -> None:
    broken(faulty.CountsCalls, "eager = compiled", ": differs by 1 ", reference=None)


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("layer", [faulty.StopsPart, faulty.WrongGradient])
def test_finite_differences_find_wrong_gradients(
    layer: type[Any], precise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not precise:
        monkeypatch.setattr(slopes, "holds_float64", lambda: False)
    others = [name for name in (*CHECKS, *PROCESSES) if name != "gradients"]
    check_layer(faulty.Scale, SHAPE, skip=others)
    broken(layer, "gradients", "slope", skip=others, reference=None)


@pytest.mark.one_backend
def test_a_layer_that_no_module_registers_does_not_reload() -> None:
    broken(
        faulty.Unregistered,
        "reload",
        "Could not locate class 'Unregistered'",
        skip=["other backends"],
    )


@pytest.mark.one_backend
def test_a_layer_that_computes_something_else_on_another_backend() -> None:
    words = r"on torch failed:[\s\S]*OtherElsewhere .*: outputs differ by"
    options = {"reference": None, "backends": ["torch"]}
    broken(faulty.OtherElsewhere, "other backends", words, skip=["reload"], **options)


def test_a_constructor_that_fails_breaks_a_promise_too() -> None:
    broken(faulty.Scale, "config round trip", "ValueError", init_kwargs={"kernel": 3})


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
        assert_close(actual, np.ones(2), 1e-3, "it")

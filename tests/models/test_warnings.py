"""Each warning of `explain`, and its absence where there's nothing to warn of."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs

L: Any = keras.layers
C = cs.layers

XLA = keras.backend.backend() in ("tensorflow", "jax")


def kinds(layer: Any, *shape: Any) -> list[str]:
    return [w.kind for w in cs.explain(layer, shape).layers[-1].warnings]


def only(layer: Any, *shape: Any) -> Any:
    (warning,) = cs.explain(layer, shape).layers[-1].warnings
    return warning


@pytest.mark.parametrize(
    ("kind", "problem", "fix", "bad", "shape", "good"),
    [
        (
            "kernel larger than input",
            "along h and w the kernel has 7 taps and the input 5 entries",
            "kernel_size of at most 5",
            L.Conv2D(2, 7, padding="same"),
            (1, 5, 5, 3),
            L.Conv2D(2, 5, padding="same"),
        ),
        (
            "kernel larger than input",
            "3 taps that reach over 9 and the input 8",
            "kernel_size of at most 2",
            C.Conv1D(2, 3, dilation_rate=4, padding="same"),
            (1, 8, 3),
            C.Conv1D(2, 2, dilation_rate=4, padding=2),
        ),
        (
            "checkerboard",
            "along h and w a stride of 2 with 3 taps writes neighbours 1 and 2 times",
            "kernel_size=4",
            L.Conv2DTranspose(2, 3, strides=2),
            (1, 5, 5, 3),
            L.Conv2DTranspose(2, 4, strides=2),
        ),
        (
            "checkerboard",
            "along w a stride of 2 with 4 taps and a dilation of 2 writes neighbours 0 and 4",
            "kernel_size=4 along w without dilation",
            C.Conv1DTranspose(2, 4, strides=2, dilation_rate=2),
            (1, 5, 3),
            C.Conv1DTranspose(2, 4, strides=2),
        ),
        (
            "shift",
            "along w padding='same' with an even kernel of 4 pads 1 before and 2 behind",
            "kernel_size=5 along w",
            L.Conv2D(2, (3, 4), padding="same"),
            (1, 9, 9, 3),
            L.Conv2D(2, (3, 4)),
        ),
        (
            "shift",
            "padding='same_lower' with an even kernel of 2 pads 1 before and 0 behind",
            "kernel_size=3",
            C.DepthwiseConv2D(2, padding="same_lower"),
            (1, 9, 9, 3),
            C.DepthwiseConv2D(2, padding=((0, 1), (1, 0))),
        ),
        (
            "skipped inputs",
            "along h and w a stride of 2 with 1 tap never reads 1 of every 2 entries",
            "a kernel of at least 2 undilated taps",
            L.Conv2D(2, 1, strides=2),
            (1, 8, 8, 3),
            L.Conv2D(2, 2, strides=2),
        ),
        (
            "skipped inputs",
            "3 taps and a dilation of 2 never reads 1 of every 2",
            "undilated",
            C.Conv1D(2, 3, strides=2, dilation_rate=2),
            (1, 16, 3),
            C.Conv1D(2, 3, strides=3, dilation_rate=2),
        ),
        (
            "skipped inputs",
            "along w a stride of 3 with 2 taps never reads 1 of every 3",
            "a kernel of at least 3",
            L.MaxPooling1D(2, strides=3),
            (1, 16, 3),
            L.MaxPooling1D(3, strides=3),
        ),
        (
            "zero kernels",
            "2 of 2 kernels are all zeros",
            "another initializer",
            L.Conv2D(2, 3, kernel_initializer="zeros"),
            (1, 8, 8, 3),
            L.Conv2D(2, 3),
        ),
    ],
)
def test_what_is_warned_of(
    kind: str, problem: str, fix: str, bad: Any, shape: Any, good: Any
) -> None:
    warning = only(bad, *shape)
    assert warning.kind == kind
    assert problem in warning.problem
    assert fix in warning.fix
    assert kinds(good, *shape) == []


def test_some_dead_kernels_of_each_kind() -> None:
    alive = np.ones((3, 3, 2, 4), "float32")
    for layer, dead, count in (
        (L.Conv2D(4, 3, use_bias=False), np.s_[..., 1], "1 of 4"),
        (C.Conv2D(4, 3, use_bias=False), np.s_[..., 1:3], "2 of 4"),
        (L.Conv2DTranspose(2, 3, use_bias=False), np.s_[..., 0, :], "1 of 2"),
        (C.DepthwiseConv2D(3, depth_multiplier=4, use_bias=False), np.s_[..., 1, 2], "1 of 8"),
    ):
        channels = 4 if isinstance(layer, L.Conv2DTranspose) else 2
        layer.build((None, 8, 8, channels))
        kernel = alive.copy()
        layer.set_weights([kernel])
        assert kinds(layer, 1, 8, 8, channels) == []
        kernel[dead] = 0.0
        layer.set_weights([kernel])
        assert count in only(layer, 1, 8, 8, channels).problem
    assert (
        "1 of 2" in only(C.FixedConv2D(np.stack([np.eye(2), np.zeros((2, 2))], -1)), 1, 8, 8, 3)[1]
    )
    # What counts is the kernel that is convolved with.
    constant = C.StandardizedConv2D(2, 3, kernel_initializer="ones")
    assert kinds(constant, 1, 8, 8, 3) == ["zero kernels"]


@pytest.mark.skipif(not XLA, reason="PyTorch has no XLA")
def test_layers_that_fall_off_xla() -> None:
    shape = (8, 56, 56, 96)
    warning = only(L.DepthwiseConv2D(7, padding="same"), *shape)
    assert warning.kind == "falls off XLA"
    assert "times as long as convsmith's lowering" in warning.problem
    assert warning.fix == "convsmith.layers.DepthwiseConv2D in its place"
    assert kinds(C.DepthwiseConv2D(7, padding="same"), *shape) == []
    assert kinds(L.Conv2D(96, 3, padding="same"), *shape) == []
    assert kinds(L.DepthwiseConv2D(7, padding="same"), 1, 8, 8, 4) == []


@pytest.mark.skipif(not XLA, reason="PyTorch has no XLA")
def test_layers_that_xla_cannot_compile() -> None:
    class Slow(L.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_jit = False

        def call(self, inputs: Any) -> Any:
            return inputs

    assert "supports_jit=False" in only(Slow(), 1, 8).problem
    assert kinds(L.ReLU(), 1, 8) == []


def test_warnings_are_shown_everywhere() -> None:
    explanation = cs.explain(L.Conv2D(2, 1, strides=2, name="sparse"), (1, 8, 8, 3))
    ((name, warning),) = explanation.warnings
    assert name == "sparse"
    for shown in (explanation.to_json(), explanation.to_html(), str(explanation["sparse"])):
        assert warning.problem in shown
        assert warning.fix in shown
    flat = " ".join(str(explanation).split())
    assert f"skipped inputs (sparse): {warning.problem}. Try: {warning.fix}." in flat

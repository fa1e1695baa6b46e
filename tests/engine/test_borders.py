"""Borders made real in one pass: every mode on every side, their gradients, and theirs again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest

from convsmith.geometry import Pads, axis_mode, pad_segments
from convsmith.lowerings.borders import Border, pad_borders, unpad_each
from engine_runs import MODES, as_numpy, assert_close, tensors, value_and_gradients

READING = ("edge", "reflect", "symmetric", "wrap")
SIDES: list[Any] = [*READING, "constant", ("reflect", "constant"), ("constant", "wrap")]
SHAPE = (2, 4, 5, 16)
"""The last axis is long enough for runs of neighbours to be gathered."""


def sources(border: Border) -> list[int | None]:
    return [
        None if s.start is None else s.start + s.step * i
        for s in pad_segments(border.size, border.pads, border.mode)
        for i in range(s.length)
    ]


def padded(x: np.ndarray, borders: Sequence[Border], value: float) -> np.ndarray:
    """The definition, entry by entry."""
    for border in borders:
        entries = np.moveaxis(x, border.axis, 0)
        fill = np.full_like(entries[0], value)
        x = np.stack([fill if i is None else entries[i] for i in sources(border)], border.axis)
    return x


def borders_of(shape: tuple[int, ...], axes: tuple[int, ...], pads: Any, mode: Any) -> list[Border]:
    return [Border(a, shape[a], Pads(*pads), axis_mode(mode)) for a in axes]


def adjoint(x: np.ndarray, gradient: np.ndarray, borders: Sequence[Border]) -> np.ndarray:
    for border in reversed(borders):
        result = np.zeros(
            [border.size if i == border.axis else n for i, n in enumerate(gradient.shape)]
        )
        for entry, i in zip(np.moveaxis(gradient, border.axis, 0), sources(border), strict=True):
            if i is not None:
                np.moveaxis(result, border.axis, 0)[i] += entry
        gradient = result
    return gradient


@pytest.mark.parametrize("run", MODES)
@pytest.mark.parametrize("pads", [(1, 1), (2, 0), (0, 3), (9, 11), (-1, 2), (-2, -1)])
@pytest.mark.parametrize("mode", SIDES)
def test_values_and_gradients(mode: Any, pads: Any, run: str) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    borders = borders_of(SHAPE, (1, 2), pads, mode)
    expected = padded(x, borders, 2.5)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    y, (gradient,) = value_and_gradients(
        lambda x: pad_borders(x, borders, 2.5), tensors([x], "float32"), cotangent, run
    )
    assert_close(y, expected, "float32", "value")
    assert_close(gradient, adjoint(x, cotangent, borders), "float32", "gradient")


@pytest.mark.parametrize("axes", [(0,), (3,), (1, 3), (0, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("mode", READING)
def test_any_axes(mode: str, axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    borders = borders_of(SHAPE, axes, (3, 2), mode)
    expected = padded(x, borders, 0.0)
    (given,) = tensors([x], "float32")
    assert_close(pad_borders(given, borders, 0.0), expected, "float32", "value")
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    (gradient,) = tensors([cotangent], "float32")
    folded = unpad_each(gradient, borders)
    assert_close(folded, adjoint(x, cotangent, borders), "float32", "adjoint")


def test_modes_differ_by_axis_and_wide_pads_meet_fills() -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    borders = [
        Border(1, 4, Pads(2, 1), axis_mode("edge")),
        Border(2, 5, Pads(1, 12), axis_mode(("constant", "wrap"))),
        Border(0, 2, Pads(1, 0), axis_mode("constant")),
    ]
    (given,) = tensors([x], "float32")
    assert_close(pad_borders(given, borders, -1.0), padded(x, borders, -1.0), "float32", "value")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32", "complex64"])
def test_dtypes_stay(dtype: str) -> None:
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX holds float64 as float32 here")
    x = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 64
    borders = borders_of(SHAPE, (1, 2), (1, 2), "reflect")
    (given,) = tensors([x], dtype)
    result = pad_borders(given, borders, 0)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    np.testing.assert_array_equal(as_numpy(result), padded(x, borders, 0))


@pytest.mark.parametrize("mode", READING)
def test_the_second_derivative_is_there(mode: str) -> None:
    """Of sum(pad(x)**3): 6 * unpad(pad(x))."""
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    borders = borders_of(SHAPE, (1, 2), (1, 2), mode)
    expected = adjoint(x, 6 * padded(x, borders, 0.0), borders)
    (given,) = tensors([x], "float32")

    def cubes(x: Any) -> Any:
        return keras.ops.sum(pad_borders(x, borders, 0.0) ** 3)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                y = cubes(given)
            first = inner.gradient(y, given)
        second = outer.gradient(first, given)
    elif backend == "jax":
        import jax

        second = jax.grad(lambda x: jax.grad(cubes)(x).sum())(given)
    else:
        import torch

        given.requires_grad_(True)
        (first,) = torch.autograd.grad(cubes(given), given, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), given)
    assert_close(second, expected, "float32", "second derivative")


def test_forward_derivatives_and_batches_of_them() -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    borders = borders_of(SHAPE, (1, 2), (1, 2), ("reflect", "constant"))
    given, tangent = tensors([x, 2 * x], "float32")
    expected = padded(2 * x, borders, 0.0)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.autodiff.ForwardAccumulator(given, tangent) as forward:
            y = pad_borders(given, borders, 1.0)
        assert_close(forward.jvp(y), expected, "float32", "forward derivative")
        return
    if backend == "jax":
        import jax as functional
    else:
        import torch.func as functional
    _, found = functional.jvp(lambda x: pad_borders(x, borders, 1.0), (given,), (tangent,))
    assert_close(found, expected, "float32", "forward derivative")
    rows = [Border(b.axis - 1, *b[1:]) for b in borders]
    each = functional.vmap(lambda x: pad_borders(x, rows, 1.0))(given)
    assert_close(each, padded(x, borders, 1.0), "float32", "one by one")

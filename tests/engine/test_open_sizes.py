"""Sizes that only a running graph knows: the same numbers as with known ones."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from engine_cases import MODES as PADDING_MODES
from engine_cases import PADDINGS, ROWS, Case
from engine_runs import BACKEND, MODES, as_numpy, assert_close, tensors, value

PATTERN = "b (2h+kh) (w+2kw) i, kh kw i o -> b h w o"
KERNEL = (3, 2, 3, 4)
SIZES = [(2, 6, 7, 3), (4, 9, 8, 3)]


def open_function(case: Case, open_axes: int) -> Any:
    """Return the case's function, compiled with the first operand's first axes open."""

    def compute(*xs: Any) -> Any:
        return cs.conv(case.pattern, *xs, **case.arguments)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        first, *rest = case.shapes
        shapes = [(*(None,) * open_axes, *first[open_axes:]), *rest]
        return tf.function(compute, input_signature=[tf.TensorSpec(s) for s in shapes])
    if BACKEND == "torch":
        import torch

        torch._dynamo.reset()
        return torch.compile(compute, dynamic=True, backend="eager", fullgraph=True)
    pytest.skip("JAX has no open sizes")


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no open sizes")
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_every_padding(padding: Any, mode: str) -> None:
    arguments = {"padding": padding, "padding_mode": mode}
    compute = open_function(Case(PATTERN, (SIZES[0], KERNEL), arguments), 4)
    for shape in SIZES:
        case = Case(PATTERN, (shape, KERNEL), arguments)
        operands = case.operands()
        y = compute(*tensors(operands, "float32"))
        assert_close(y, case.expected(operands), "float32", f"{padding} {mode} on {shape}")


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no open sizes")
@pytest.mark.parametrize("name", ROWS)
def test_an_open_batch(name: str) -> None:
    case = ROWS[name]
    compute = open_function(case, 1)
    operands = case.operands()
    y = compute(*tensors(operands, "float32"))
    assert_close(y, case.expected(operands), "float32", name)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no open sizes")
def test_a_second_graph_has_sizes_of_its_own() -> None:
    """Plans are shared between graphs; scalars of one graph mean nothing in another."""
    case = Case("b t (h+kh) i, kh i o -> b t h o", ((2, 3, 5, 2), (3, 2, 4)))
    operands = case.operands()
    for _ in range(2):
        y = open_function(case, 2)(*tensors(operands, "float32"))
        assert_close(y, case.expected(operands), "float32", str(case))


@pytest.mark.parametrize("name", ["dense", "depthwise", "transposed", "unfold", "sum pooling"])
def test_functional_models_with_open_axes(name: str) -> None:
    case = ROWS[name]
    first, *rest = case.operands()
    inputs = keras.Input((None, None, first.shape[-1]))
    outputs = cs.conv(case.pattern, inputs, *rest, **case.arguments)
    model = keras.Model(inputs, outputs)
    for x in (first, np.concatenate([first, first], axis=1)[:, :9]):
        expected = cs.reference.conv(case.pattern, x, *rest, **case.arguments)
        assert_close(model(x), expected, "float32", name)
        assert_close(model.predict(x, verbose=0), expected, "float32", f"{name}, predict")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow's graphs leave sizes open")
def test_a_kernel_larger_than_an_open_input_stops_the_graph() -> None:
    import tensorflow as tf

    compute = tf.function(
        lambda x, k: cs.conv("b (h+kh) i, kh i o -> b h o", x, k),
        input_signature=[tf.TensorSpec((None, None, 1)), tf.TensorSpec((4, 1, 1))],
    )
    assert compute(tf.ones((1, 4, 1)), tf.ones((4, 1, 1))).shape == (1, 1, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="kernel is larger than the"):
        compute(tf.ones((1, 3, 1)), tf.ones((4, 1, 1)))


@pytest.mark.parametrize("name", ROWS)
def test_vmap(name: str) -> None:
    """A mapped axis in front of every operand."""
    if BACKEND == "tensorflow":
        pytest.skip("tf.vectorized_map is a graph of its own, and has its own rules")
    case = ROWS[name]
    pair = [np.stack([x, 2 * x]) for x in case.operands()]
    expected = np.stack([case.expected([x[i] for x in pair]) for i in (0, 1)])

    def compute(*xs: Any) -> Any:
        return cs.conv(case.pattern, *xs, **case.arguments)

    if BACKEND == "jax":
        import jax

        y = jax.jit(jax.vmap(compute))(*tensors(pair, "float32"))
    else:
        import torch

        y = torch.vmap(compute)(*tensors(pair, "float32"))
    assert_close(y, expected, "float32", name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", ["batch", "space", "channels"])
def test_empty_axes(axis: str, mode: str) -> None:
    shapes = {
        "batch": ((0, 5, 3), (2, 3, 4), (0, 4, 4)),
        "space": ((2, 0, 3), (2, 3, 4), (2, 1, 4)),
        "channels": ((2, 5, 0), (2, 0, 4), (2, 6, 4)),
    }[axis]
    padding = "valid" if axis == "batch" else 1
    xs = tensors([np.ones(s) for s in shapes[:2]], "float32")
    y = value(
        lambda *operands: cs.conv("b (h+kh) i, kh i o -> b h o", *operands, padding=padding),
        xs,
        mode,
    )
    assert tuple(y.shape) == shapes[2]
    assert not as_numpy(y).any()

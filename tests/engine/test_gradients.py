"""Gradients that are planned steps: higher orders, forward mode, mapping, open batches."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from tests.engine_runs import BACKEND

import convsmith as cs
from convsmith import reference
from convsmith.adjoints import OTHER, OUTPUT, adjoint
from convsmith.lowerings import LOWERINGS, Sizes
from convsmith.rewrites import equivalents

DEPTHWISE = "b (2h+kh) (w-3kw) c, kh kw c -> b h w c"
PER_PIXEL = "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)"
LOOPED = "b (l+k) c, k c -> b l c"
CASES = {
    "depthwise": (DEPTHWISE, (2, 8, 9, 3), (3, 2, 3), {"padding": (1, 2)}),
    "per pixel": (PER_PIXEL, (2, 5, 4, 4), (2, 5, 4, 3, 3, 2), {"padding": (1, 1)}),
    "looped": (LOOPED, (2, 40, 2), (75, 2), {"padding": (74, 0)}),
}
case = pytest.mark.parametrize("name", CASES)


def drawn(name: str) -> tuple[str, np.ndarray, np.ndarray, dict]:
    pattern, data_shape, kernel_shape, options = CASES[name]
    rng = np.random.default_rng(7)
    data = rng.normal(size=data_shape).astype("float32")
    return pattern, data, rng.normal(size=kernel_shape).astype("float32"), options


def assert_close(found, expected) -> None:
    expected = np.asarray(expected)
    scale = np.abs(expected).max() + 1.0
    np.testing.assert_allclose(np.asarray(found), expected, atol=2e-5 * scale, rtol=0)


def mixed_second(pattern: str, kernel_shape, output, direction, options) -> np.ndarray:
    """Return the gradient by the kernel of sum of (da/dx in `direction`) * output: it is linear."""
    zeros = np.zeros(kernel_shape)
    _, kernel = reference.gradients(pattern, direction, zeros, cotangent=output, **options)
    return kernel


@case
@pytest.mark.skipif(BACKEND != "jax", reason="JAX transformations")
def test_jax_forward_mode_mapping_and_second_order(name: str) -> None:
    import jax
    import jax.numpy as jnp

    pattern, data, kernel, options = drawn(name)

    def compute(x, k):
        return cs.conv(pattern, x, k, lowering="shift", **options)

    rng = np.random.default_rng(1)
    direction = rng.normal(size=data.shape).astype("float32")
    _, tangent = jax.jvp(lambda x: compute(x, kernel), (data,), (direction,))
    assert_close(tangent, reference.conv(pattern, direction, kernel, **options))

    output = rng.normal(size=tangent.shape).astype("float32")

    def through_data(k):
        gradient = jax.grad(lambda x: jnp.sum(compute(x, k) * output))(jnp.asarray(data))
        return jnp.sum(gradient * direction)

    expected = mixed_second(pattern, kernel.shape, output, direction, options)
    assert_close(jax.jit(jax.grad(through_data))(jnp.asarray(kernel)), expected)
    assert_close(jax.jacfwd(through_data)(jnp.asarray(kernel)), expected)

    many = np.stack([kernel, -kernel, 2 * kernel])
    mapped = jax.jit(jax.vmap(lambda k: jax.grad(lambda q: jnp.sum(compute(data, q) ** 2))(k)))
    found = mapped(many)
    for row, k in zip(found, many, strict=True):
        value = reference.conv(pattern, data, k, **options)
        assert_close(row, reference.gradients(pattern, data, k, cotangent=2 * value, **options)[1])
    assert_close(
        jax.vmap(compute, in_axes=(1, None), out_axes=1)(np.stack([data, data + 1], 1), kernel)[
            :, 1
        ],
        reference.conv(pattern, data + 1, kernel, **options),
    )
    both = jax.vmap(compute)(np.stack([data] * 3), many)
    assert_close(both[2], reference.conv(pattern, data, 2 * kernel, **options))


@case
@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch transformations")
def test_torch_forward_mode_mapping_and_second_order(name: str) -> None:
    import torch

    pattern, data, kernel, options = drawn(name)
    if name == "looped":
        data, kernel, options = data[:, :6], kernel[:5], {"padding": (4, 0)}

    def compute(x, k):
        return cs.conv(pattern, x, k, lowering="shift", **options)

    x = torch.tensor(data, dtype=torch.float64, requires_grad=True)
    k = torch.tensor(kernel, dtype=torch.float64, requires_grad=True)
    small = (x[:, :4].detach().requires_grad_(), k) if name == "depthwise" else (x, k)
    assert torch.autograd.gradcheck(
        compute, small, check_forward_ad=True, fast_mode=True, check_batched_grad=True
    )
    assert torch.autograd.gradgradcheck(compute, small, fast_mode=True)
    direction = np.random.default_rng(1).normal(size=data.shape)
    _, tangent = torch.func.jvp(
        lambda v: compute(v, k.detach()), (x.detach(),), (torch.tensor(direction),)
    )
    assert_close(tangent, reference.conv(pattern, direction, kernel, **options))
    mapped = torch.func.vmap(torch.func.grad(lambda q: compute(x.detach(), q).square().sum()))
    found = mapped(torch.stack([k.detach(), 2 * k.detach()]))
    value = reference.conv(pattern, data, 2 * kernel, **options)
    assert_close(
        found[1],
        reference.gradients(pattern, data, 2 * kernel, cotangent=2 * value, **options)[1],
    )


@case
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow modes")
def test_tensorflow_forward_mode_second_order_and_open_batches(name: str, mode: str) -> None:
    import tensorflow as tf

    pattern, data, kernel, options = drawn(name)
    rng = np.random.default_rng(1)
    direction = rng.normal(size=data.shape).astype("float32")
    shape = reference.conv(pattern, data, kernel, **options).shape
    output = rng.normal(size=shape).astype("float32")

    def compute(x, k):
        return cs.conv(pattern, x, k, lowering="shift", **options)

    def mixed(x, k):
        with tf.GradientTape() as outer:
            outer.watch(k)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = compute(x, k)
            gradient = inner.gradient(y, x, output_gradients=tf.constant(output))
            value = tf.reduce_sum(gradient * direction)
        return gradient, outer.gradient(value, k)

    open_batch = [
        tf.TensorSpec((None, *data.shape[1:])),
        tf.TensorSpec((None, *kernel.shape[1:]) if name == "per pixel" else kernel.shape),
    ]
    run = mixed
    if mode != "eager":
        run = tf.function(mixed, jit_compile=mode == "xla", input_signature=open_batch)
    gradient, second = run(tf.constant(data), tf.constant(kernel))
    assert_close(
        gradient, reference.gradients(pattern, data, kernel, cotangent=output, **options)[0]
    )
    assert_close(second, mixed_second(pattern, kernel.shape, output, direction, options))
    if mode == "eager":
        x = tf.constant(data)
        with tf.autodiff.ForwardAccumulator(x, tf.constant(direction)) as forward:
            y = compute(x, tf.constant(kernel))
        found = forward.jvp(y)
        assert_close(found, reference.conv(pattern, direction, kernel, **options))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow modes")
def test_a_tape_outside_a_compiled_function_works() -> None:
    import tensorflow as tf

    pattern, data, kernel, options = drawn("depthwise")
    compute = tf.function(
        lambda x, k: cs.conv(pattern, x, k, lowering="shift", **options),
        jit_compile=True,
        input_signature=[tf.TensorSpec((None, *data.shape[1:])), tf.TensorSpec(kernel.shape)],
    )
    x, k = tf.constant(data), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, k])
        y = compute(x, k)
    output = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    found = tape.gradient(y, [x, k], output_gradients=tf.constant(output))
    expected = reference.gradients(pattern, data, kernel, cotangent=output, **options)
    assert_close(found[0], expected[0])
    assert_close(found[1], expected[1])


EVERY = {
    **CASES,
    "dense": ("b (2h+kh) (w+2kw) i, kh kw i o -> b h w o", (2, 7, 8, 3), (3, 2, 3, 4), {}),
    "grouped": ("b (h+kh) (g i), kh i g o -> b h (g o)", (2, 7, 6), (3, 3, 2, 4), {}),
    "per sample": ("b i (h+kh), b kh i o -> b o h", (3, 4, 7), (3, 3, 4, 2), {"padding": (1, 1)}),
    "transposed": ("b h w c, kh kw c -> b (2h+kh) (w+kw) c", (2, 5, 4, 3), (3, 2, 3), {}),
    "true": ("b (h-kh) c, kh c m -> b h (c m)", (2, 9, 3), (4, 3, 2), {"padding": (2, 1)}),
    "one channel each": ("b (h+kh) c, kh c m -> b h (c m)", (2, 7, 3), (3, 3, 1), {}),
    "one channel": ("b (h+kh) i, kh i o -> b h o", (2, 7, 1), (3, 1, 4), {}),
    "correlation": ("b h c, b (h+d) c -> b h d", (2, 5, 3), (2, 8, 3), {"d": 4}),
    # Its gradient by the kernel sums batch, rows and columns in loops over two axes.
    "long rows": ("b (h+kh) (w+kw) c, kh kw c -> b h w c", (2, 4, 72, 2), (2, 2, 2), {}),
    # The last entry of the data is beyond the last stride: no window of the gradient reads it.
    "leftover": ("b (2h+kh) i, kh i o -> b h o", (2, 8, 3), (3, 3, 4), {}),
    "leftover depthwise": ("b (2h+kh) c, kh c -> b h c", (2, 8, 3), (3, 3), {}),
}


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("name", EVERY)
def test_every_lowering_of_every_equivalent_gradient(name: str, index: int) -> None:
    pattern, data_shape, kernel_shape, options = EVERY[name]
    rng = np.random.default_rng(3)
    operands = [rng.normal(size=s).astype("float32") for s in (data_shape, kernel_shape)]
    made = cs.plan(pattern, *operands, **options)
    (planned,) = made.steps
    value = reference.conv(pattern, *operands, **options)
    output = rng.normal(size=value.shape).astype("float32")
    gradients = reference.gradients(pattern, *operands, cotangent=output, **options)
    # Groups and layouts of the pattern are reshapes; the step's own order of operands counts.
    flat = {
        i: np.reshape(operands[i], planned.step.operand_shape(planned.step.inputs.index(i)))
        for i in (0, 1)
    }
    expected = gradients[planned.step.inputs[index]]
    wanted = adjoint(planned.step, index)
    assert wanted is not None
    tensors = {
        OUTPUT: ops.convert_to_tensor(output.reshape(planned.step.output_shape)),
        OTHER: ops.convert_to_tensor(flat[planned.step.inputs[1 - index]]),
    }
    ran = set()
    for step in equivalents(wanted):
        sizes = Sizes(dict(step.sizes), {})
        for lowering, module in LOWERINGS.items():
            if module.supports(step, planned.target).ok:
                found = module.run(step, sizes, tuple(tensors[i] for i in step.inputs))
                assert_close(np.reshape(ops.convert_to_numpy(found), expected.shape), expected)
                ran.add(lowering)
    assert {"shift", "unfold"} & ran


def test_gradients_where_a_window_is_carried_through_a_step() -> None:
    made = cs.plan("b (h+kh) (w+kw) c, kh c, kw c -> b h w c", (2, 6, 7, 3), (3, 3), (2, 3))
    first = made.steps[0].step
    assert any(p in first.output for p in first.operands[0] if not isinstance(p, str))
    rng = np.random.default_rng(3)
    data, kernel = (rng.normal(size=first.operand_shape(i)).astype("float32") for i in (0, 1))
    output = rng.normal(size=first.output_shape).astype("float32")
    wanted = adjoint(first, 1)
    assert wanted is not None
    tensors = {OUTPUT: ops.convert_to_tensor(output), OTHER: ops.convert_to_tensor(data)}
    read = next(w for w in first.input_windows)
    axis = first.operands[0].index(read)
    kept = first.operands[0].index("c")
    expected = np.zeros(kernel.shape)
    for tap in range(kernel.shape[0]):
        part = np.take(data, range(tap, tap + read.positions), axis=axis) * output
        expected[tap] = part.sum(axis=tuple(i for i in range(4) if i != kept))
    for lowering, module in LOWERINGS.items():
        if module.supports(wanted, made.target).ok:
            sizes = Sizes(dict(wanted.sizes), {})
            found = module.run(wanted, sizes, tuple(tensors[i] for i in wanted.inputs))
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, err_msg=lowering)


def test_a_gradient_of_something_summed_alone_is_left_to_the_backend() -> None:
    (planned,) = cs.plan("b (h+kh) c j, kh c -> b h c", (1, 5, 2, 3), (2, 2)).steps
    assert adjoint(planned.step, 0) is None


def test_a_gradient_where_both_operands_have_the_window_is_left_to_the_backend() -> None:
    (planned,) = cs.plan("b (h+k), c (h+k) -> b c h", (2, 5), (3, 5), k=2).steps
    assert adjoint(planned.step, 0) is None
    assert adjoint(planned.step, 1) is None


def test_an_axis_with_one_entry_makes_no_matrix_product() -> None:
    plain = cs.plan("b (h+kh) (w+kw) c, kh kw c -> b h w c", (8, 56, 56, 96), (3, 3, 96))
    layers = cs.plan("b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)", (8, 56, 56, 96), (3, 3, 96, 1))
    for one, other in zip(plain.steps[0].adjoints, layers.steps[0].adjoints, strict=True):
        assert one is not None
        assert other is not None
        assert one.lowering == other.lowering

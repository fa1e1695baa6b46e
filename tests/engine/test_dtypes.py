"""Every dtype on every row: values within the dtype's own rounding, gradients too."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import DtypeError
from engine_cases import MORE, ROWS
from engine_runs import BACKEND, MODES, as_numpy, assert_close, tensors, value_and_gradients, wide

FLOATS = ("float16", "bfloat16", "float64")
QUICK = "jit" if BACKEND == "jax" else "eager"
"""JAX compiles eager operations one by one, which takes longer than all at once."""

ALL = {**ROWS, **MORE}


def rounded(operands: list[np.ndarray], dtype: str) -> tuple[list[Any], list[np.ndarray]]:
    """Return tensors of `dtype`, and the numbers that they really hold."""
    xs = tensors(operands, dtype)
    return xs, [as_numpy(x).astype("float64") for x in xs]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ALL)
def test_floats(name: str, dtype: str) -> None:
    case = ALL[name]
    with wide() if dtype == "float64" else contextlib.nullcontext():
        xs, held = rounded(case.operands("float64"), dtype)
        expected = case.expected(held)
        cotangent = np.round(np.random.default_rng(1).normal(size=expected.shape) * 4) / 4

        def compute(*operands: Any) -> Any:
            return cs.conv(case.pattern, *operands, **case.arguments)

        y, gradients = value_and_gradients(compute, xs, cotangent, QUICK)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        assert_close(y, expected, dtype, name)
        for i, wanted in enumerate(case.gradients(held, cotangent)):
            assert_close(gradients[i], wanted, dtype, f"{name}, gradient {i}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mode", MODES[1:])
def test_floats_compiled(mode: str, dtype: str) -> None:
    for name in ("dense", "strides and dilation", "grouped", "depthwise", "transposed"):
        case = ALL[name]
        with wide() if dtype == "float64" else contextlib.nullcontext():
            xs, held = rounded(case.operands("float64"), dtype)
            expected = case.expected(held)
            cotangent = np.ones(expected.shape)

            def compute(*operands: Any, case: Any = case) -> Any:
                return cs.conv(case.pattern, *operands, **case.arguments)

            y, gradients = value_and_gradients(compute, xs, cotangent, mode)
            assert_close(y, expected, dtype, name)
            for i, wanted in enumerate(case.gradients(held, cotangent)):
                assert_close(gradients[i], wanted, dtype, f"{name}, gradient {i}")


def test_half_precision_sums_in_float32() -> None:
    """4,096 products of 0.1 in float16 sums stop growing near 256; here they reach 410."""
    x = np.full((1, 1, 4096), 0.1, "float16")
    kernel = np.ones((1, 4096, 1), "float16")
    y = cs.conv("b (h+kh) i, kh i o -> b h o", *tensors([x, kernel], "float16"))
    np.testing.assert_allclose(as_numpy(y), 4096 * float(np.float16(0.1)), rtol=1e-3)


def test_integers_are_exact() -> None:
    case = ROWS["dense"]
    operands = case.operands("int32")
    for dtype in ("int8", "uint8", "int32"):
        xs = [np.abs(x) if dtype == "uint8" else x for x in operands]
        y = cs.conv(case.pattern, *tensors(xs, dtype))
        assert keras.backend.standardize_dtype(y.dtype) == "int32"
        assert_close(y, case.expected(xs), "int32", dtype)


def test_an_integer_image_with_a_float_kernel_keeps_its_fractions() -> None:
    image = np.arange(12, dtype="int32").reshape(1, 12, 1)
    kernel = np.full((3, 1, 1), 0.25)
    y = cs.conv("b (h+kh) i, kh i o -> b h o", keras.ops.convert_to_tensor(image), kernel)
    np.testing.assert_allclose(as_numpy(y).ravel(), (np.arange(10) + 1) * 0.75, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_complex_dense(mode: str) -> None:
    case = ROWS["dense"]
    operands = case.operands("complex64")
    from engine_runs import value

    y = value(lambda *xs: cs.conv(case.pattern, *xs), tensors(operands, "complex64"), mode)
    assert keras.backend.standardize_dtype(y.dtype) == "complex64"
    assert_close(y, case.expected(operands), "complex64", "complex")


def test_long_integers_may_come_if_they_fit() -> None:
    y = cs.conv("(h+kh), kh -> h", np.arange(4), np.ones(2, "int64"))
    assert keras.backend.standardize_dtype(y.dtype) == "int32"
    assert as_numpy(y).tolist() == [1, 3, 5]
    with pytest.raises(DtypeError, match="int64: can't be convolved exactly in int32"):
        cs.conv("(h+kh), kh -> h", np.arange(4) + 2**31, np.ones(2, "int64"))


def test_the_widest_float_wins() -> None:
    x, kernel = np.ones(4), np.ones(2)
    for one, other, expected in [
        ("float16", "bfloat16", "float32"),
        ("bfloat16", "float32", "float32"),
        ("int32", "float16", "float16"),
    ]:
        y = cs.conv("(h+kh), kh -> h", *tensors([x], one), *tensors([kernel], other))
        assert keras.backend.standardize_dtype(y.dtype) == expected
    with wide():
        y = cs.conv("(h+kh), kh -> h", *tensors([x], "float64"), *tensors([kernel], "float32"))
        assert keras.backend.standardize_dtype(y.dtype) == "float64"


def test_accumulate_dtype() -> None:
    case = ROWS["dense"]
    xs, held = rounded(case.operands("float64"), "float16")
    y = cs.conv(case.pattern, *xs, accumulate_dtype="float32")
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    assert_close(y, case.expected(held), "float16", "float32 sums")
    with pytest.raises(DtypeError, match="accumulate_dtype='int32'"):
        cs.conv(case.pattern, *xs, accumulate_dtype="int32")

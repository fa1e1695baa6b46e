"""Anything array-like in any layout becomes the checked (spatial..., in, out) kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith.errors import ArgumentError, KernelError
from convsmith.kernels import LAYOUTS, as_kernel

# Distinct sizes, so that a wrong permutation can't pass.
SIZES = {"D": 2, "H": 3, "W": 5, "I": 7, "O": 11}
ALL = [(ndim, layout) for ndim, layouts in LAYOUTS.items() for layout in layouts]


def distinct(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.backend_free
@pytest.mark.parametrize(("ndim", "layout"), ALL)
def test_every_layout_lands_on_spatial_in_out(ndim: int, layout: str) -> None:
    offered = distinct(tuple(SIZES[letter] for letter in layout))
    kernel = as_kernel(offered, ndim, filters=SIZES["O"] if "O" in layout else 1, layout=layout)
    target = LAYOUTS[ndim][0]
    assert kernel.shape == tuple(SIZES[c] if c in layout else 1 for c in target)
    for index in np.ndindex(kernel.shape):
        by_letter = dict(zip(target, index, strict=True))
        assert kernel[index] == offered[tuple(by_letter[c] for c in layout)]


@pytest.mark.backend_free
@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("float16", "float16"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("complex64", "complex64"),
        ("int32", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
    ],
)
def test_dtype(dtype: str, kept: str) -> None:
    assert as_kernel(np.ones((3, 3, 1, 1), dtype)).dtype == kept


@pytest.mark.backend_free
def test_nested_lists_and_lower_case_layouts() -> None:
    assert as_kernel([[1, 2], [3, 4]], layout="hw").shape == (2, 2, 1, 1)


@pytest.mark.backend_free
@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        (
            (2, 2, 1, 3),
            {"in_channels": 3},
            (
                r"doesn't fit in_channels=3 where the kernel has 1; the shape looks like HWOI .*"
                r"Try: kernel.transpose\(0, 1, 3, 2\)"
            ),
        ),
        (
            (64, 3, 3, 3),
            {},
            (
                r"would be an oblong kernel of 64x3; the shape looks like OIHW \(PyTorch\) or OHWI "
                r"\(LiteRT\). Try: kernel.transpose\(2, 3, 1, 0\), or layout='OIHW'"
            ),
        ),
        ((64, 3, 3, 3), {"in_channels": 3}, r"looks like OIHW \(PyTorch\)"),
        ((64, 3, 3, 3), {"filters": 64}, r"filters=64 where the kernel has 3; .*like OIHW"),
        ((64, 5, 5, 3), {"in_channels": 3}, r"looks like OHWI \(LiteRT\)"),
        ((64, 3, 3, 3, 3), {"ndim": 3}, r"looks like OIDHW \(PyTorch\)"),
        ((16, 4, 3), {"ndim": 1, "in_channels": 16}, r"looks like I"),
        ((64, 3, 3), {"layout": "HWO"}, r"looks like OHW \(a bank, filters first\)"),
        ((3, 3, 3, 8), {"in_channels": 4}, r"in_channels=4 where the kernel has 3; expected a"),
        ((3, 3), {}, r"kernel of shape \(3, 3\): has 2 axes; expected 4 axes .*layout='HW'"),
        ((3,) * 6, {}, r"has 6 axes; expected 4 axes .* Try: a kernel with axes"),
        ((0, 3, 1, 1), {}, r"kernel of shape \(0, 3, 1, 1\): is empty"),
    ],
)
def test_shapes_refused(shape: tuple[int, ...], options: dict[str, Any], words: str) -> None:
    with pytest.raises(KernelError, match=words):
        as_kernel(np.ones(shape), **options)


@pytest.mark.backend_free
def test_the_proposed_transposition_is_accepted() -> None:
    offered = np.ones((2, 2, 1, 3))
    assert as_kernel(offered.transpose(0, 1, 3, 2), in_channels=3).shape == (2, 2, 3, 1)
    offered = np.ones((64, 3, 3, 3))
    assert as_kernel(offered.transpose(2, 3, 1, 0), in_channels=3).shape == (3, 3, 3, 64)


@pytest.mark.backend_free
@pytest.mark.parametrize("shape", [(1, 7, 1, 1), (7, 1, 1, 1), (1, 7, 7, 7), (3, 5, 8, 16)])
def test_honest_oblong_kernels_are_accepted(shape: tuple[int, ...]) -> None:
    assert as_kernel(np.ones(shape)).shape == shape


@pytest.mark.backend_free
def test_stating_the_filters_settles_an_oblong_kernel() -> None:
    assert as_kernel(np.ones((7, 3, 3, 3)), filters=3).shape == (7, 3, 3, 3)


@pytest.mark.backend_free
@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("sobel", r"kernel of type str: is str, not an array of numbers"),
        (None, r"kernel of type NoneType: is NoneType"),
        ([["a", "b"]], r"has dtype <U1, which is not a number"),
        ([[1, 2], [3]], r"has rows of different lengths; expected numbers in rows"),
        ([[object()]], r"has dtype object"),
        (np.full((3, 3, 1, 1), np.nan), r"has 9 entries that aren't finite, the first at \(0, 0"),
        (np.full((1, 1, 1, 1), np.inf), r"1 entries that aren't finite"),
    ],
)
def test_entries_refused(kernel: Any, words: str) -> None:
    with pytest.raises(KernelError, match=words):
        as_kernel(kernel)


@pytest.mark.backend_free
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ndim": 4}, r"as_kernel\(ndim=4\): .* expected 1, 2 or 3"),
        ({"layout": "NCHW"}, r"as_kernel\(layout='NCHW'\): is not a layout .*'HWIO', 'OIHW'"),
        ({"layout": 3}, r"as_kernel\(layout=3\): is not a layout"),
    ],
)
def test_arguments_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        as_kernel(np.ones((3, 3, 1, 1)), **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_backends_tensors_and_variables_are_read(dtype: str) -> None:
    import keras

    values = distinct((3, 3, 2, 4))
    tensor = keras.ops.convert_to_tensor(values, dtype)
    variable = keras.Variable(values, dtype=dtype)  # on torch it requires a gradient
    for kernel in (as_kernel(tensor), as_kernel(variable)):
        assert isinstance(kernel, np.ndarray)
        np.testing.assert_array_equal(kernel.astype("float32"), values)

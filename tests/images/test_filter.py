"""Filtering against the definition, for generated images, kernels, axes and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import images
from convsmith.errors import ArgumentError
from convsmith.geometry import source_index
from convsmith.images import engine

pytestmark = pytest.mark.backend_free

MODES = ("reflect", "symmetric", "edge", "wrap", "constant")
DTYPES = ("float32", "float64", "uint8", "int16", "uint16", "float16", "bool", "int32", "int8")


def by_definition(
    image: np.ndarray, kernel: np.ndarray, axes: Any, modes: Any, value: float, anchor: Any
) -> np.ndarray:
    """Return the correlation in float64, one axis's padding after the other, tap by tap."""
    x = image.astype(np.float64)
    outside = np.zeros(image.shape, bool)
    for axis, taps, mode, at in zip(axes, kernel.shape, modes, anchor, strict=True):
        size = image.shape[axis]
        places = [source_index(i, size, mode) for i in range(-at, size + taps - 1 - at)]
        index = np.array([0 if p is None else p for p in places], int)
        gone = np.array([p is None for p in places])
        x, outside = np.take(x, index, axis), np.take(outside, index, axis)
        shape = [-1 if a == axis else 1 for a in range(image.ndim)]
        outside = outside | gone.reshape(shape)
    x[outside] = value
    total = np.zeros(image.shape)
    for tap in np.ndindex(kernel.shape):
        cut = [slice(None)] * image.ndim
        for axis, t in zip(axes, tap, strict=True):
            cut[axis] = slice(t, t + image.shape[axis])
        total += kernel[tap] * x[tuple(cut)]
    return total


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    ndim = draw(st.integers(rank, min(rank + 2, 4)))
    longest = {1: 70, 2: 40, 3: 9}[rank]
    shape = [draw(st.integers(1, 4)) for _ in range(ndim)]
    axes = draw(st.permutations(range(ndim)))[:rank]
    for axis in axes:
        shape[axis] = draw(st.integers(1, longest))
    largest = {1: 40, 2: 12, 3: 4}[rank]
    taps = [draw(st.integers(1, largest)) for _ in axes]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(DTYPES))
    kernel = rng.uniform(-1, 1, taps)
    if draw(st.booleans()):  # one that lines make up
        kernel = rng.uniform(-1, 1, taps[0])
        for n in taps[1:]:
            kernel = np.multiply.outer(kernel, rng.uniform(-1, 1, n))
    if draw(st.booleans()):
        kernel[rng.uniform(size=kernel.shape) < 0.3] = 0.0
    return {
        "image": (rng.uniform(0, 120, shape)).astype(dtype),
        "kernel": kernel,
        "axes": tuple(axes),
        "modes": tuple(draw(st.sampled_from(MODES)) for _ in axes),
        "anchor": tuple(draw(st.integers(0, n - 1)) for n in taps),
        "value": draw(st.sampled_from([0.0, 2.0])),
    }


def check(case: dict[str, Any], **options: Any) -> None:
    image, kernel, modes = case["image"], case["kernel"], case["modes"]
    value = case["value"] if "constant" in modes else 0.0
    wide = image.dtype in (np.float64, np.int32)
    actual = images.filter(
        image,
        kernel,
        axes=case["axes"],
        padding_mode=modes,
        padding_value=value or None,
        anchor=case["anchor"],
        dtype="float64" if wide else "float32",
        **options,
    )
    expected = by_definition(image, kernel, case["axes"], modes, value, case["anchor"])
    assert actual.shape == image.shape
    largest = float(np.abs(kernel).sum()) * max(float(np.abs(image.astype(float)).max()), value)
    tolerance = (1e-12 if wide else 2e-6) * largest + 1e-30
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@given(cases())
def test_values(case: dict[str, Any]) -> None:
    check(case)


@given(cases())
def test_values_without_machine_code(case: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compiled", None)
        check(case)


@given(cases(), st.sampled_from(["direct", "separable", "fourier"]))
def test_values_of_each_method(case: dict[str, Any], method: str) -> None:
    wanted = images.plan(case["image"], case["kernel"], axes=case["axes"])[0]
    possible = {name for name, cost, _ in wanted.considered if cost < float("inf")}
    if method in possible:
        check(case, method=method)
        return
    with pytest.raises(ArgumentError, match="can't apply this kernel"):
        check(case, method=method)


@pytest.mark.parametrize(
    ("dtype", "convention"),
    [("float64", None), ("int32", None), ("float32", "scipy"), ("float16", "scipy")],
)
def test_half_precision_of_double_sums(dtype: str, convention: Any) -> None:
    """There machine code ended the process."""
    image = np.random.default_rng(5).uniform(0, 120, (9, 11)).astype(dtype)
    kernel = np.outer([1, 2, 1], [0.3, 1, 0.5])
    options: dict[str, Any] = {"convention": convention, "padding_mode": "wrap"}
    found = images.filter(image, kernel, dtype="float16", **options)
    wanted = images.filter(image, kernel, dtype="float64", **options)
    np.testing.assert_array_equal(found, wanted.astype("float16"))
    huge = images.filter(np.full((3, 3), 1e6), np.ones((1, 1)), dtype="float16")
    assert np.isposinf(huge).all()

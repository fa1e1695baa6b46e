"""Turning kernels: exactly by quarters, and against SciPy's interpolation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError, KernelError

pytestmark = pytest.mark.backend_free


@given(quarters=st.integers(-9, 9), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_quarter_turns_are_exact(quarters: int, rows: int, columns: int) -> None:
    kernel = np.random.default_rng(0).normal(size=(rows, columns))
    turned = kernels.rotate(kernel, quarters * math.pi / 2)
    np.testing.assert_array_equal(turned, np.rot90(kernel, -quarters))


def test_it_turns_from_columns_to_rows() -> None:
    np.testing.assert_array_equal(
        kernels.rotate(kernels.sobel("x"), math.pi / 2), kernels.sobel("y")
    )
    line = np.zeros((5, 5))
    line[2, 3:] = 1
    slanted = kernels.rotate(line, math.pi / 4)
    assert slanted[3, 3] > 0.5
    assert abs(slanted[1, 3]) < 0.2


@given(angle=st.floats(-4, 4), rows=st.integers(1, 7), columns=st.integers(1, 7))
def test_linear_interpolation_is_scipys(angle: float, rows: int, columns: int) -> None:
    kernel = np.random.default_rng(1).normal(size=(rows, columns))
    cosine, sine = math.cos(angle), math.sin(angle)
    middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
    back = np.array([[cosine, -sine], [sine, cosine]])
    theirs = scipy.ndimage.affine_transform(
        kernel, back, middle - back @ middle, order=1, mode="grid-constant"
    )
    quarters = angle / (math.pi / 2)
    if abs(quarters - round(quarters)) > 1e-9:
        ours = kernels.rotate(kernel, angle, interpolation="linear")
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@given(angle=st.floats(-4, 4), seed=st.integers(0, 99))
def test_cubic_interpolation_is_exact_on_quadratics_inside(angle: float, seed: int) -> None:
    a, b, c, d, e, f = np.random.default_rng(seed).normal(size=6)
    y, x = np.indices((15, 15)) - 7.0

    def surface(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return a + b * x + c * y + d * x * x + e * x * y + f * y * y

    turned = kernels.rotate(surface(y, x), angle)
    cosine, sine = math.cos(angle), math.sin(angle)
    expected = surface(y * cosine - x * sine, x * cosine + y * sine)
    inside = np.hypot(y, x) < 5
    np.testing.assert_allclose(turned[inside], expected[inside], atol=1e-10)


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5, -0.7])
def test_it_turns_as_the_angles_of_builders_do(angle: float) -> None:
    flat = kernels.gabor(8.0, component="odd", size=41)
    slanted = kernels.gabor(8.0, component="odd", size=41, angle_radians=angle)
    np.testing.assert_allclose(kernels.rotate(flat, angle), slanted, atol=0.02)
    assert np.abs(flat - slanted).max() > 0.3


def test_other_axes_are_kept() -> None:
    bank = np.random.default_rng(0).normal(size=(5, 5, 3))
    turned = kernels.rotate(bank, 0.4)
    for n in range(3):
        np.testing.assert_allclose(turned[..., n], kernels.rotate(bank[..., n], 0.4))
    volume = np.moveaxis(bank, -1, 0)
    np.testing.assert_allclose(kernels.rotate(volume, 0.4, axes=(1, 2)), np.moveaxis(turned, -1, 0))
    np.testing.assert_allclose(
        kernels.rotate(volume, 0.4, axes=(-1, -2)), kernels.rotate(volume, -0.4, axes=(1, 2))
    )
    np.testing.assert_array_equal(
        kernels.rotate(kernels.sobel("x", ndim=3), math.pi / 2, axes=(0, 2)),
        kernels.sobel("z", ndim=3),
    )


def test_expand_loses_nothing() -> None:
    kernel = np.ones((1, 15))
    assert kernels.rotate(kernel, 0.5).shape == (1, 15)
    whole = kernels.rotate(kernel, 0.5, interpolation="linear", expand=True)
    assert whole.shape[0] % 2 == whole.shape[1] % 2 == 1
    assert whole.sum() == pytest.approx(15, rel=0.02)
    assert whole[:, 0].any() or whole[:, 1].any()
    assert kernels.rotate(np.ones((9, 15)), 1.0, expand=True).shape == (19, 17)
    blob = kernels.gaussian(2.0)
    turned = kernels.rotate(blob, 0.7, expand=True)
    assert turned.sum() == pytest.approx(1, abs=1e-3)
    assert turned.shape[0] >= blob.shape[0]


def test_complex_kernels() -> None:
    kernel = np.random.default_rng(0).normal(size=(4, 4, 2)) @ np.array([1, 1j])
    turned = kernels.rotate(kernel, 0.3)
    np.testing.assert_allclose(turned.imag, kernels.rotate(kernel.imag, 0.3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kernels.rotate([1.0, 2.0], 1), KernelError, r"has no plane to turn in"),
        (lambda: kernels.rotate([[1.0, np.nan]], 1), KernelError, r"infinite or NaN"),
        (lambda: kernels.rotate(np.ones((0, 3)), 1), KernelError, r"has shape \(0, 3\)"),
        (lambda: kernels.rotate([[1.0]], float("nan")), ArgumentError, r"angle_radians=nan"),
        (lambda: kernels.rotate([[1.0]], 1, axes=(0, 0)), ArgumentError, r"is not a plane"),
        (lambda: kernels.rotate([[1.0]], 1, axes=(0, -2)), ArgumentError, r"is not a plane"),
        (lambda: kernels.rotate([[1.0]], 1, axes=3), ArgumentError, r"axes=3\): is not a plane"),  # type: ignore[arg-type]
        (lambda: kernels.rotate([[1.0]], 1, axes=(0, 2)), ArgumentError, r"from -2 to 1"),
        (
            lambda: kernels.rotate([[1.0]], 1, interpolation="nearest"),  # type: ignore[arg-type]
            ArgumentError,
            r"interpolation='nearest'\): is not a choice",
        ),
        (lambda: kernels.rotate([[1.0]], 1, expand=2), ArgumentError, r"expand=2"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "Try: " in str(caught.value)

"""Frequency responses against SciPy's, and against what a kernel does to waves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError, KernelError

pytestmark = pytest.mark.backend_free


@given(size=st.integers(1, 12), seed=st.integers(0, 99))
def test_one_dimension_is_scipys_but_for_direction_and_middle(size: int, seed: int) -> None:
    kernel = np.random.default_rng(seed).normal(size=size)
    grid = np.linspace(-0.5, 0.5, 21)
    _, theirs = scipy.signal.freqz(kernel, worN=2 * math.pi * grid)
    # That is a convolution from the first tap on: conjugate, and moved to the middle.
    shift = np.exp(-2j * math.pi * grid * (size - 1) / 2)
    ours = kernels.frequency_response(kernel, grid).response
    np.testing.assert_allclose(ours, np.conj(theirs) * shift, atol=1e-12)


def test_a_wave_is_multiplied_by_the_response() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 4, 5))
    frequency = (0.1, -0.23, 0.41)
    response = kernels.frequency_response(kernel, tuple([f] for f in frequency)).response
    grids = np.indices(kernel.shape)
    middle = [(n - 1) / 2 for n in kernel.shape]
    phase = sum(f * (g - m) for f, g, m in zip(frequency, grids, middle, strict=True))
    answer = (kernel * np.exp(2j * math.pi * phase)).sum()
    assert response.shape == (1, 1, 1)
    assert response.item() == pytest.approx(answer)


def test_the_two_dimensional_grid_is_the_discrete_transform() -> None:
    kernel = np.random.default_rng(0).normal(size=(5, 7))
    found = kernels.frequency_response(kernel, (np.fft.fftfreq(5), np.fft.fftfreq(7)))
    theirs = np.fft.fft2(np.fft.ifftshift(kernel))
    np.testing.assert_allclose(found.response, np.conj(theirs), atol=1e-12)


def test_symmetric_ones_are_real_and_slopes_imaginary() -> None:
    smooth = kernels.frequency_response(kernels.gaussian(1.5))
    assert smooth.response.shape == (65, 65)
    assert [f[[0, 32, 64]].tolist() for f in smooth.frequencies] == [[-0.5, 0, 0.5]] * 2
    np.testing.assert_allclose(smooth.response.imag, 0, atol=1e-15)
    expected = np.exp(-2 * (math.pi * 1.5 * smooth.frequencies[0]) ** 2)
    np.testing.assert_allclose(smooth.response[:, 32].real, expected, atol=1e-3)
    slope = kernels.frequency_response(kernels.sobel("y"), [0.001]).response
    assert slope.item() == pytest.approx(8 * 2j * math.pi * 0.001, rel=1e-3)


def test_composition_multiplies_and_dilation_repeats() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(2, 5))
    grid = np.linspace(-0.5, 0.5, 9)

    def response(kernel: np.ndarray, frequencies: np.ndarray = grid) -> np.ndarray:
        return kernels.frequency_response(kernel, frequencies).response

    both = response(kernels.compose(first, second))
    np.testing.assert_allclose(both, response(first) * response(second), atol=1e-12)
    np.testing.assert_allclose(
        response(kernels.dilate(first, 3)), response(first, 3 * grid), atol=1e-12
    )


def test_banks_keep_their_filters() -> None:
    bank = kernels.frei_chen()
    found = kernels.frequency_response(bank, [0.0, 0.2], ndim=2)
    assert len(found.frequencies) == 2
    assert found.response.shape == (2, 2, 9)
    alone = kernels.frequency_response(bank[..., 3], [0.0, 0.2])
    np.testing.assert_allclose(found.response[..., 3], alone.response)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kernels.frequency_response([1, np.inf]), KernelError, r"infinite or NaN"),
        (lambda: kernels.frequency_response(2.0), KernelError, r"has shape \(\)"),
        (
            lambda: kernels.frequency_response([1], [np.nan]),
            ArgumentError,
            r"has no finite numbers",
        ),
        (lambda: kernels.frequency_response([1], []), ArgumentError, r"has no finite numbers"),
        (lambda: kernels.frequency_response([1], 0.1), ArgumentError, r"has no finite numbers"),
        (lambda: kernels.frequency_response([1], ["a"]), ArgumentError, r"has no finite numbers"),
        (lambda: kernels.frequency_response([1], [[1], [1, 2]]), ArgumentError, r"in a row"),
        (lambda: kernels.frequency_response([1], ([0], [0])), ArgumentError, r"2 rows for 1"),
        (lambda: kernels.frequency_response([1], ndim=2), ArgumentError, r"ndim=2\)"),
        (
            lambda: kernels.frequency_response(np.ones((1, 1, 1)), np.zeros(600)),
            ArgumentError,
            r"is too large",
        ),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "Try: " in str(caught.value)

"""Orthonormal banks against SciPy's transform and PyWavelets."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import pywt
import scipy.fft

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize(("size", "ndim"), [(1, 2), (5, 1), (8, 2), (3, 3)])
def test_dct_of_a_window_is_scipys(size: int, ndim: int) -> None:
    window = np.random.default_rng(0).normal(size=(size,) * ndim)
    bank = kernels.dct_basis(size, ndim=ndim)
    answers = np.tensordot(window, bank, axes=ndim).reshape(window.shape)
    np.testing.assert_allclose(answers, scipy.fft.dctn(window, norm="ortho"), atol=1e-14)
    flat = bank.reshape(size**ndim, -1)
    np.testing.assert_allclose(flat.T @ flat, np.eye(size**ndim), atol=1e-14)


@pytest.mark.parametrize("moments", range(1, 21))
def test_daubechies_taps_are_pywavelets(moments: int) -> None:
    theirs = pywt.Wavelet(f"db{moments}")
    low = kernels.daubechies(moments, band="L", ndim=1)
    high = kernels.daubechies(moments, band="H", ndim=1)
    # Its reconstruction filters are convolved, the decomposition ones reversed: correlated.
    np.testing.assert_allclose(low, theirs.rec_lo, atol=1e-11)
    np.testing.assert_allclose(high, theirs.rec_hi, atol=1e-11)


@pytest.mark.parametrize("moments", [1, 2, 3, 7])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_strided_bank_is_pywavelets_transform(moments: int, ndim: int) -> None:
    taps = 2 * moments
    image = np.random.default_rng(1).normal(size=(2 * taps,) * ndim)
    bank = kernels.daubechies(moments, ndim=ndim)
    assert bank.shape == (taps,) * ndim + (2**ndim,)
    theirs = pywt.dwtn(image, f"db{moments}", mode="zero")
    for n, letters in enumerate(itertools.product("ad", repeat=ndim)):
        coefficients = theirs["".join(letters)]
        # Their first whole window begins where ours does, an even number of taps in.
        place = (moments - 1,) * ndim
        whole = (bank[..., n] * image[(slice(0, taps),) * ndim]).sum()
        assert coefficients[place] == pytest.approx(whole, abs=1e-12)
        nxt = (moments,) * ndim
        shifted = (bank[..., n] * image[(slice(2, taps + 2),) * ndim]).sum()
        assert coefficients[nxt] == pytest.approx(shifted, abs=1e-12)


@pytest.mark.parametrize("moments", [1, 2, 4, 10, 20])
def test_orthonormality_and_vanishing_moments(moments: int) -> None:
    low, high = kernels.daubechies(moments, ndim=1).T
    tolerance = 1e-13 if moments <= 10 else 1e-10
    for shift in range(moments):
        same = float(shift == 0)
        rest = 2 * moments - 2 * shift
        assert low[2 * shift :] @ low[:rest] == pytest.approx(same, abs=tolerance)
        assert high[2 * shift :] @ high[:rest] == pytest.approx(same, abs=tolerance)
        assert low[2 * shift :] @ high[:rest] == pytest.approx(0, abs=tolerance)
    assert low.sum() == pytest.approx(math.sqrt(2))
    t = np.arange(2 * moments) / (2 * moments)
    for degree in range(min(moments, 6)):
        assert high @ t**degree == pytest.approx(0, abs=1e-10)
    if moments <= 4:
        assert abs(high @ t**moments) > 1e-3


def test_haar_is_the_first_of_daubechies_and_bands_name_axes() -> None:
    np.testing.assert_allclose(kernels.haar(ndim=2), kernels.daubechies(1), atol=1e-16)
    bank = kernels.haar()
    for n, band in enumerate(("LL", "LH", "HL", "HH")):
        np.testing.assert_array_equal(kernels.haar(band), bank[..., n])
    y, x = np.indices((2, 2))
    np.testing.assert_allclose((bank * x[..., None]).sum((0, 1)), [1, -1, 0, 0], atol=1e-15)
    np.testing.assert_allclose((bank * y[..., None]).sum((0, 1)), [1, 0, -1, 0], atol=1e-15)
    assert kernels.haar("HLH", ndim=3).shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.dct_basis(0), r"dct_basis\(size=0\)"),
        (lambda: kernels.dct_basis((3, 3)), r"dct_basis\(size=\(3, 3\)\)"),  # type: ignore[arg-type]
        (lambda: kernels.dct_basis(1000), r"is too large"),
        (lambda: kernels.dct_basis(ndim=4), r"ndim=4: "),
        (lambda: kernels.haar("L"), r"haar\(band='L'\): .* with 2 axes; .* 'LL', 'LH', 'HL', 'HH'"),
        (lambda: kernels.haar(1), r"haar\(band=1\)"),  # type: ignore[arg-type]
        (lambda: kernels.haar(ndim=0), r"ndim=0: "),
        (lambda: kernels.daubechies(0), r"moments=0\): .* from 1 to 20"),
        (lambda: kernels.daubechies(21), r"moments=21"),
        (lambda: kernels.daubechies(2, band="lh"), r"daubechies\(band='lh'\)"),
        (lambda: kernels.daubechies(ndim=True), r"ndim=True: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

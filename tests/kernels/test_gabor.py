"""Waves under a bell against OpenCV, scikit-image and PyWavelets, and in the frequency domain."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import pywt
import scipy.linalg
import skimage.filters
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


@given(
    wavelength=st.floats(2, 12),
    angle=st.floats(-4, 4),
    phase=st.floats(-4, 4),
    sigma=st.floats(0.5, 6),
    aspect=st.floats(0.3, 2),
)
def test_gabor_is_opencvs(
    wavelength: float, angle: float, phase: float, sigma: float, aspect: float
) -> None:
    ours = kernels.gabor(
        wavelength,
        angle_radians=angle,
        phase_radians=phase,
        sigma=sigma,
        aspect_ratio=aspect,
        size=(13, 17),
    )
    # OpenCV stores it flipped, which turns the phase's sign.
    theirs = cv2.getGaborKernel((17, 13), sigma, angle, wavelength, aspect, -phase, cv2.CV_64F)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_gabor_is_scikit_images_times_the_bells_mass() -> None:
    theirs = skimage.filters.gabor_kernel(0.2, theta=0.7, sigma_x=3.0, sigma_y=2.0, offset=0.4)
    ours = kernels.gabor(
        5.0,
        angle_radians=0.7,
        phase_radians=0.4,
        sigma=3.0,
        aspect_ratio=1.5,
        component="quadrature",
        size=theirs.shape,
    )
    mass = 2 * math.pi * 3.0 * 2.0
    np.testing.assert_allclose(ours[..., 0], theirs.real * mass, atol=1e-12)
    np.testing.assert_allclose(ours[..., 1], theirs.imag * mass, atol=1e-12)


def test_the_default_sigma_makes_one_octave() -> None:
    kernel = kernels.gabor(8.0, size=201, ndim=1, component="quadrature")
    grid = np.linspace(0, 0.3, 3001)
    response = kernels.frequency_response(kernel, grid, ndim=1).response
    magnitude = np.abs(response[:, 0] - 1j * response[:, 1])
    half = grid[magnitude > magnitude.max() / 2]
    assert grid[magnitude.argmax()] == pytest.approx(1 / 8, abs=1e-3)
    assert half[-1] / half[0] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("name", ["gabor", "morlet", "log_gabor"])
def test_components(name: str) -> None:
    builder = getattr(kernels, name)
    even, odd = builder(component="even"), builder(component="odd")
    np.testing.assert_array_equal(builder(component="quadrature"), np.stack([even, odd], -1))
    np.testing.assert_allclose(even, np.flip(even), atol=1e-15)
    np.testing.assert_allclose(odd, -np.flip(odd), atol=1e-15)
    ramp = np.indices(odd.shape)[1] - odd.shape[1] // 2
    assert (odd * np.sign(ramp) * (np.abs(ramp) <= 1)).sum() > 0


@pytest.mark.parametrize("name", ["gabor", "morlet", "log_gabor"])
def test_a_quarter_turn_turns_columns_into_rows(name: str) -> None:
    builder = getattr(kernels, name)
    for component in ("even", "odd"):
        turned = builder(angle_radians=math.pi / 2, component=component, size=21)
        flat = builder(component=component, size=21)
        np.testing.assert_allclose(turned, np.rot90(flat, -1), atol=1e-14)
        slanted = builder(angle_radians=0.5, component=component, size=21)
        further = builder(angle_radians=0.5 + math.pi / 2, component=component, size=21)
        np.testing.assert_allclose(further, np.rot90(slanted, -1), atol=1e-12)


@given(wavelength=st.floats(2.5, 9), angle=st.floats(-4, 4))
def test_morlet_is_silent_on_constants_and_has_the_stated_magnitude(
    wavelength: float, angle: float
) -> None:
    bank = kernels.morlet(wavelength, angle_radians=angle, component="quadrature", sigma=6.0)
    np.testing.assert_allclose(bank.sum((0, 1)), 0, atol=1e-12)
    y, x = np.indices(bank.shape[:2]) - bank.shape[0] // 2
    wave = np.cos(2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle)) + 0.3)
    answer = np.linalg.norm((bank * wave[..., None]).sum((0, 1)))
    assert answer == pytest.approx(0.5, abs=0.01)


def test_morlet_is_pywavelets_on_its_grid() -> None:
    psi, t = pywt.ContinuousWavelet("morl").wavefun(10)
    step = t[1] - t[0]
    scale = 8.0  # pixels for one unit of PyWavelets' axis
    kernel = kernels.morlet(2 * math.pi / 5 * scale, sigma=scale, ndim=1, size=101)
    theirs = np.interp((np.arange(101) - 50) / scale, t, psi)
    assert step < 0.02
    np.testing.assert_allclose(kernel / kernel[50], theirs / theirs[50], atol=2e-3)


def test_log_gabor_has_its_spectrum() -> None:
    size, wavelength, angle = 41, 5.0, 0.6
    bank = kernels.log_gabor(
        wavelength, angle_radians=angle, component="quadrature", size=size, sigma_ratio=0.65
    )
    grid = np.arange(-20, 21) / size
    # Correlation with the complex kernel answers waves that run the other way.
    response = kernels.frequency_response(bank, -grid, ndim=2).response
    found = response[..., 0] + 1j * response[..., 1]
    fy, fx = np.meshgrid(grid, grid, indexing="ij")
    with np.errstate(divide="ignore"):
        radial = np.exp(-(np.log(np.hypot(fy, fx) * wavelength) ** 2) / (2 * np.log(0.65) ** 2))
    turn = np.angle(np.exp(1j * (np.arctan2(fy, fx) - angle)))
    expected = radial * np.exp(-(turn**2) / (2 * 0.5**2))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_log_gabor_of_signals_is_analytic() -> None:
    bank = kernels.log_gabor(8.0, component="quadrature", size=101, ndim=1)
    assert bank.shape == (101, 2)
    np.testing.assert_allclose(bank.sum(0), 0, atol=1e-14)
    spectrum = np.fft.fft(np.fft.ifftshift(bank[:, 0] + 1j * bank[:, 1]))
    np.testing.assert_allclose(spectrum[51:], 0, atol=1e-14)
    wave = np.cos(2 * math.pi / 8.0 * np.arange(-50, 51) + 1.0)
    assert np.linalg.norm(bank.T @ wave) == pytest.approx(0.5, abs=0.02)


ANGLES = {"angle_radians": 0.7, "elevation_radians": -0.4}
AHEAD = np.array([math.sin(-0.4), math.cos(0.4) * math.sin(0.7), math.cos(0.4) * math.cos(0.7)])
"""The direction of those, as (depth, row, column)."""


def test_a_round_gabor_in_a_volume_is_a_product_of_lines() -> None:
    lines = []
    for size, share in zip((7, 9, 11), AHEAD, strict=True):
        t = np.arange(size) - size // 2
        lines.append(np.exp(-(t**2) / (2 * 2.5**2) + 2j * math.pi / 5 * share * t))
    product = np.einsum("i,j,k->ijk", *lines)
    ours = kernels.gabor(5.0, sigma=2.5, size=(7, 9, 11), ndim=3, component="quadrature", **ANGLES)
    np.testing.assert_allclose(ours[..., 0], product.real, atol=1e-12)
    np.testing.assert_allclose(ours[..., 1], product.imag, atol=1e-12)


def test_a_long_gabor_in_a_volume_is_turned() -> None:
    across = scipy.linalg.null_space(AHEAD[None])
    places = np.stack(np.meshgrid(*[np.arange(-4.0, 5.0)] * 3, indexing="ij"), axis=-1)
    u, v = places @ AHEAD, places @ across
    bell = np.exp(-(u**2 + 0.5**2 * (v**2).sum(-1)) / (2 * 2.0**2))
    ours = kernels.gabor(
        4.0, sigma=2.0, aspect_ratio=0.5, phase_radians=0.3, size=9, ndim=3, **ANGLES
    )
    np.testing.assert_allclose(ours, bell * np.cos(2 * math.pi / 4 * u + 0.3), atol=1e-12)


@pytest.mark.parametrize("build", [kernels.gabor, kernels.morlet])
def test_the_middle_of_a_volume_is_the_plane(build: Any) -> None:
    flat = build(5.0, sigma=2.5, angle_radians=0.7, size=11)
    deep = build(5.0, sigma=2.5, angle_radians=0.7, size=11, ndim=3)[5]
    if build is kernels.gabor:
        np.testing.assert_allclose(deep, flat, atol=1e-12)
    upright = build(5.0, sigma=2.5, elevation_radians=math.pi / 2, size=11, ndim=3)
    level = build(5.0, sigma=2.5, size=11, ndim=3)
    np.testing.assert_allclose(upright, np.moveaxis(level, 2, 0), atol=1e-12)


@pytest.mark.parametrize("build", [kernels.morlet, kernels.log_gabor])
def test_waves_in_a_volume(build: Any) -> None:
    bank = build(6.0, ndim=3, component="quadrature", size=31, **ANGLES)
    np.testing.assert_allclose(bank.sum((0, 1, 2)), 0.0, atol=1e-12)
    waves = tuple(np.array([share / 6]) for share in AHEAD)
    complex_kernel = bank[..., 0] - 1j * bank[..., 1]
    ahead = kernels.frequency_response(complex_kernel, waves).response.item()
    behind = kernels.frequency_response(np.conj(complex_kernel), waves).response.item()
    assert abs(ahead) == pytest.approx(1.0, abs=0.03)
    assert abs(behind) < 0.02


def test_the_spectrum_of_a_log_gabor_in_a_volume() -> None:
    bank = kernels.log_gabor(
        5.0, sigma_ratio=0.6, angular_sigma_radians=0.4, size=(9, 11, 13), ndim=3,
        component="quadrature", **ANGLES,
    )  # fmt: skip
    spectrum = np.fft.fftn(np.fft.ifftshift(bank[..., 0] + 1j * bank[..., 1]))
    grids = np.meshgrid(*(np.fft.fftfreq(n) for n in (9, 11, 13)), indexing="ij")
    f = np.stack(grids, axis=-1)
    radius = np.linalg.norm(f, axis=-1)
    radius[0, 0, 0] = 1.0
    apart = np.arccos(np.clip(f @ AHEAD / radius, -1, 1))
    wanted = np.exp(-(np.log(radius * 5) ** 2) / (2 * math.log(0.6) ** 2) - apart**2 / (2 * 0.4**2))
    wanted[0, 0, 0] = 0.0
    np.testing.assert_allclose(spectrum, wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.gabor(1.0), r"gabor\(wavelength_pixels=1.0\): .* from 2 on"),
        (lambda: kernels.gabor(sigma=0), r"gabor\(sigma=0\)"),
        (lambda: kernels.gabor(sigma=float("nan")), r"gabor\(sigma=nan\)"),
        (lambda: kernels.gabor(aspect_ratio=-1), r"aspect_ratio=-1"),
        (lambda: kernels.gabor(angle_radians=float("nan")), r"angle_radians=nan"),
        (lambda: kernels.gabor(phase_radians=float("inf")), r"phase_radians=inf"),
        (lambda: kernels.gabor(angle_radians=0.1, ndim=1), r"has no plane to turn in"),
        (lambda: kernels.gabor(component="real"), r"component='real'"),  # type: ignore[arg-type]
        (lambda: kernels.gabor(size=-1), r"size=-1"),
        (lambda: kernels.gabor(ndim=4), r"gabor\(ndim=4\): .* expected 1, 2 or 3"),
        (lambda: kernels.gabor(elevation_radians=0.1), r"has no depth to rise to.*ndim=3"),
        (lambda: kernels.gabor(elevation_radians=float("nan"), ndim=3), r"elevation_radians=nan"),
        (lambda: kernels.gabor(1e6), r"is too large"),
        (lambda: kernels.morlet(1.9), r"morlet\(wavelength_pixels=1.9\)"),
        (lambda: kernels.morlet(ndim=0), r"morlet\(ndim=0\)"),
        (lambda: kernels.log_gabor(True), r"log_gabor\(wavelength_pixels=True\)"),
        (lambda: kernels.log_gabor(sigma_ratio=1.0), r"sigma_ratio=1.0"),
        (lambda: kernels.log_gabor(angular_sigma_radians=0), r"angular_sigma_radians=0"),
        (lambda: kernels.log_gabor(angle_radians=1.0, ndim=1), r"has no plane to turn in"),
        (lambda: kernels.log_gabor(angle_radians="0"), r"angle_radians='0'"),  # type: ignore[arg-type]
        (lambda: kernels.log_gabor(size=8), r"size=8\): is even"),
        (lambda: kernels.log_gabor(1e6), r"is too large"),
        (lambda: kernels.log_gabor(component=None), r"component=None"),  # type: ignore[arg-type]
        (lambda: kernels.log_gabor(ndim=4), r"log_gabor\(ndim=4\)"),
        (lambda: kernels.log_gabor(elevation_radians=1, ndim=2), r"has no depth to rise to"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

"""Waves under a bell: Gabor, Morlet and log-Gabor kernels.

Angles count from the column axis towards the row axis, clockwise on a screen, and elevations from
that plane towards the depth; u runs along the direction and v across it. In one dimension u is the
only axis; in three v is the distance from the line through the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convsmith.kernels.arguments import (
    check_entries,
    checked_choice,
    checked_number,
    checked_rank,
    checked_sizes,
)
from convsmith.kernels.blurs import checked_angles
from convsmith.kernels.grids import Float64Array, coordinates, heading

Component = Literal["even", "odd", "quadrature"]
COMPONENTS: tuple[Component, ...] = get_args(Component)

OCTAVE = math.sqrt(math.log(2) / 2) / math.pi * 3
"""Sigma over wavelength where the frequencies at half height are an octave apart: 0.562."""


def gabor(
    wavelength_pixels: float = 4.0,
    *,
    angle_radians: float = 0.0,
    elevation_radians: float = 0.0,
    phase_radians: float = 0.0,
    sigma: float | None = None,
    aspect_ratio: float = 1.0,
    component: Component = "even",
    size: int | Sequence[int] | None = None,
    ndim: int = 2,
) -> Float64Array:
    """Return a cosine wave under a Gaussian bell, its sine, or both.

    Equation: ``exp(-(u**2 + aspect_ratio**2 * v**2) / (2 sigma**2)) * cos(2 pi u / wavelength +
    phase)``, with ``u = x cos(angle) + y sin(angle)``, ``v = y cos(angle) - x sin(angle)``, x and y
    in pixels from the middle; in three dimensions ``u = (x cos(angle) + y sin(angle))
    cos(elevation) + z sin(elevation)`` and ``v**2 = x**2 + y**2 + z**2 - u**2``. The odd component
    has the sine in place of the cosine. It is a correlation kernel: the odd one is positive where
    values grow along u.

    Gain: the bell's peak is 1, nothing is normalised: a cosine of that wavelength and amplitude 1
    answers about ``pi * sigma**2 / aspect_ratio`` in two dimensions, and constants a little where
    sigma is small (`morlet` is silent there).

    Args:
        wavelength_pixels: the wave's length, at least 2.
        angle_radians: the direction in which the wave runs.
        elevation_radians: in three dimensions how far that rises towards the depth.
        phase_radians: added to the wave's phase.
        sigma: the bell's standard deviation along the wave in pixels; by default 0.562 times the
            wavelength, a bandwidth of one octave.
        aspect_ratio: sigma along the wave over sigma across it: below 1 for long stripes.
        component: ``"even"``, ``"odd"``, or ``"quadrature"`` for a bank of both.
        size: length of each axis; by default as far as 3 standard deviations either way.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array, axes (depth, row, column), with a last axis of length 2 for ``"quadrature"``.

    Raises:
        ArgumentError: `ndim` isn't 1 to 3; a wavelength below 2, a sigma or an aspect ratio that
            isn't a positive finite number, an angle or phase that isn't finite, an angle in one
            dimension, an unknown component, or a bad size.

    Example:
        >>> gabor(4.0, size=5, ndim=1, sigma=2.0).round(4).tolist()
        [-0.6065, 0.0, 1.0, 0.0, -0.6065]

    Source: Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
    orientation optimized by two-dimensional visual cortical filters", JOSA A, 1985.
    """
    phase = checked_number("gabor", "phase_radians", phase_radians, fix="0.0")
    wave, bell = _packet(
        "gabor", wavelength_pixels, (angle_radians, elevation_radians), sigma, aspect_ratio, size,
        ndim,
    )  # fmt: skip
    return _component("gabor", bell * wave * np.exp(1j * phase), component)


def morlet(
    wavelength_pixels: float = 4.0,
    *,
    angle_radians: float = 0.0,
    elevation_radians: float = 0.0,
    sigma: float | None = None,
    aspect_ratio: float = 1.0,
    component: Component = "even",
    size: int | Sequence[int] | None = None,
    ndim: int = 2,
) -> Float64Array:
    """Return a Morlet wavelet: a Gabor kernel that is silent on constants.

    Equation: ``g(u, v) * (exp(2 pi i u / wavelength) - c)``, g the bell of `gabor` divided by its
    sum and c such that the entries add up to 0; the even component is the real part, the odd one
    the imaginary part. It is a correlation kernel.

    Gain: 0 on constants, exactly; a wave of that length, direction and amplitude 1 has the
    magnitude 1/2 in the two components, up to what the correction changes.

    Args:
        wavelength_pixels: the wave's length, at least 2.
        angle_radians: the direction in which the wave runs.
        elevation_radians: in three dimensions how far that rises towards the depth.
        sigma: the bell's standard deviation along the wave in pixels; by default 0.562 times the
            wavelength, a bandwidth of one octave.
        aspect_ratio: sigma along the wave over sigma across it.
        component: ``"even"``, ``"odd"``, or ``"quadrature"`` for a bank of both.
        size: length of each axis; by default as far as 3 standard deviations either way.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array, axes (depth, row, column), with a last axis of length 2 for ``"quadrature"``.

    Raises:
        ArgumentError: as `gabor`.

    Example:
        >>> bool(abs(morlet(6.0).sum()) < 1e-12)
        True

    Source: Grossmann & Morlet, "Decomposition of Hardy functions into square integrable wavelets
    of constant shape", 1984; in two dimensions Bruna & Mallat, "Invariant scattering convolution
    networks", IEEE PAMI, 2013.
    """
    wave, bell = _packet(
        "morlet", wavelength_pixels, (angle_radians, elevation_radians), sigma, aspect_ratio, size,
        ndim,
    )  # fmt: skip
    bell = bell / bell.sum()
    return _component("morlet", bell * (wave - (bell * wave).sum()), component)


def log_gabor(
    wavelength_pixels: float = 6.0,
    *,
    angle_radians: float = 0.0,
    elevation_radians: float = 0.0,
    sigma_ratio: float = 0.55,
    angular_sigma_radians: float = 0.5,
    component: Component = "even",
    size: int | Sequence[int] | None = None,
    ndim: int = 2,
) -> Float64Array:
    """Return a log-Gabor kernel: its spectrum is a Gaussian of the logarithm of the frequency.

    Equation: the inverse discrete Fourier transform, on the kernel's own grid, of
    ``exp(-log(f * wavelength)**2 / (2 log(sigma_ratio)**2)) * exp(-d**2 / (2
    angular_sigma**2))``, f the frequency in cycles per pixel, d its angle from the direction, and 0
    at f = 0; in one dimension only positive frequencies. The even component is the real part, the
    odd one the imaginary part. It is a correlation kernel.

    Gain: 0 on constants; a wave of that length, direction and amplitude 1 has the magnitude 1/2 in
    the two components.

    Args:
        wavelength_pixels: the wave's length at the spectrum's peak, at least 2.
        angle_radians: the direction in which the wave runs.
        elevation_radians: in three dimensions how far that rises towards the depth.
        sigma_ratio: the spectrum's width over its peak frequency, between 0 and 1: 0.75, 0.55 and
            0.41 are about one, two and three octaves.
        angular_sigma_radians: the spectrum's width in direction, from 0.001 on.
        component: ``"even"``, ``"odd"``, or ``"quadrature"`` for a bank of both.
        size: odd length of each axis; by default 5 wavelengths.
        ndim: number of spatial axes, 1 to 3.

    Returns:
        float64 array, axes (depth, row, column), with a last axis of length 2 for ``"quadrature"``.

    Raises:
        ArgumentError: `ndim` isn't 1 to 3; a wavelength below 2, a ratio that isn't between 0 and
            1, an angular width that isn't from 0.001 on, an angle that isn't finite or in one
            dimension, an unknown component, or a size that isn't odd.

    Example:
        >>> log_gabor(6.0).shape
        (31, 31)

    Source: Field, "Relations between the statistics of natural images and the response properties
    of cortical cells", JOSA A, 1987; the spread in direction as in Kovesi, "Image features from
    phase congruency", Videre, 1999.
    """
    where = "log_gabor"
    rank = checked_rank(ndim, where)
    wavelength = _wavelength(where, wavelength_pixels)
    ahead = heading(*checked_angles(where, angle_radians, elevation_radians, rank), rank)
    ratio = checked_number(where, "sigma_ratio", sigma_ratio, least=0.001, most=0.999, fix="0.55")
    spread = checked_number(
        where, "angular_sigma_radians", angular_sigma_radians, least=1e-3, most=100, fix="0.5"
    )
    if size is None:
        shape = (2 * math.ceil(2.5 * wavelength) + 1,) * rank
        check_entries(where, shape)
    else:
        shape = checked_sizes(where, size, rank, odd=True)
    frequencies = np.meshgrid(*(np.fft.fftfreq(count) for count in shape), indexing="ij")
    radius = np.sqrt(sum(f**2 for f in frequencies))
    present = radius > 0
    logarithm = np.log(np.where(present, radius, 1.0) * wavelength)
    spectrum = np.where(present, np.exp(-((logarithm / math.log(ratio)) ** 2) / 2), 0.0)
    if rank == 1:
        spectrum = np.where(frequencies[0] > 0, spectrum, 0.0)
    else:
        along = sum(f * share for f, share in zip(frequencies, ahead, strict=True))
        across = np.sqrt(np.maximum(radius**2 - along**2, 0.0))
        apart = np.arctan2(across, along)
        spectrum = spectrum * np.exp(-((apart / spread) ** 2) / 2)
    return _component(where, np.fft.fftshift(np.fft.ifftn(spectrum)), component)


def _packet(
    where: str, wavelength: Any, angles: tuple[Any, Any], sigma: Any, aspect_ratio: Any, size: Any,
    ndim: Any,
) -> tuple[NDArray[np.complex128], Float64Array]:  # fmt: skip
    """Return the complex wave and the bell of peak 1."""
    rank = checked_rank(ndim, where)
    length = _wavelength(where, wavelength)
    ahead = heading(*checked_angles(where, *angles, rank), rank)
    if sigma is None:
        sigma = OCTAVE * length
    width = checked_number(where, "sigma", sigma, least=1e-3, most=1e9, fix="2.0")
    ratio = checked_number(where, "aspect_ratio", aspect_ratio, least=1e-3, most=1e3, fix="1.0")
    if size is None:
        widest = width if rank == 1 else max(width, width / ratio)
        shape = check_entries(where, (2 * int(3 * widest + 0.5) + 1,) * rank)
    else:
        shape = checked_sizes(where, size, rank)
    places = coordinates(shape)
    u = np.sum([x * share for x, share in zip(places, ahead, strict=True)], axis=0)
    squared = np.maximum(np.sum([x**2 for x in places], axis=0) - u**2, 0.0)
    bell = np.exp(-(u**2 + ratio**2 * squared) / (2 * width**2))
    return np.exp(2j * math.pi / length * u), bell


def _wavelength(where: str, value: Any) -> float:
    # Waves shorter than 2 pixels show up as longer ones.
    return checked_number(where, "wavelength_pixels", value, least=2, most=1e6, fix="4.0")


def _component(where: str, kernel: NDArray[np.complex128], component: Any) -> Float64Array:
    chosen = checked_choice(where, "component", component, COMPONENTS)
    if chosen == "quadrature":
        return np.stack([kernel.real, kernel.imag], axis=-1)
    return np.ascontiguousarray(kernel.real if chosen == "even" else kernel.imag)

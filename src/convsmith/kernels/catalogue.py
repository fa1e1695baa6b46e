"""The builders that have a name from the start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from convsmith.kernels.blurs import disk, motion
from convsmith.kernels.compass import frei_chen, kirsch, robinson
from convsmith.kernels.derivatives import DIAGONALS, farid, prewitt, roberts, scharr, sobel
from convsmith.kernels.forensic import srm
from convsmith.kernels.gabor import gabor, log_gabor, morlet
from convsmith.kernels.gaussians import gaussian
from convsmith.kernels.grids import AXIS_NAMES
from convsmith.kernels.laplacians import (
    difference_of_gaussians,
    laplacian,
    laplacian_of_gaussian,
)
from convsmith.kernels.polynomials import savitzky_golay
from convsmith.kernels.sharpening import edge_enhance, emboss, sharpen, unsharp
from convsmith.kernels.smoothing import binomial, box, identity
from convsmith.kernels.steerable import gaussian_derivative_pyramid, steerable
from convsmith.kernels.stencils import finite_difference
from convsmith.kernels.structuring import SHAPES, parabola, structuring_element
from convsmith.kernels.textures import leung_malik, mr8, schmid
from convsmith.kernels.wavelets import daubechies, dct_basis, haar

KernelBuilder = Callable[..., NDArray[Any]]

PLAIN: tuple[KernelBuilder, ...] = (
    binomial,
    box,
    daubechies,
    dct_basis,
    difference_of_gaussians,
    disk,
    edge_enhance,
    emboss,
    frei_chen,
    gabor,
    gaussian,
    gaussian_derivative_pyramid,
    haar,
    identity,
    kirsch,
    laplacian,
    laplacian_of_gaussian,
    leung_malik,
    log_gabor,
    morlet,
    motion,
    mr8,
    parabola,
    robinson,
    savitzky_golay,
    schmid,
    sharpen,
    srm,
    steerable,
    unsharp,
)
"""Registered under the function's own name."""

DIRECTIONAL: tuple[KernelBuilder, ...] = (sobel, scharr, prewitt, farid, finite_difference)
"""Registered once for each axis, as ``sobel_x``."""


def builders() -> dict[str, KernelBuilder]:
    """Return the builders by name."""
    found = {builder.__name__: builder for builder in PLAIN}
    for builder in DIRECTIONAL:
        for axis in AXIS_NAMES:
            found[f"{builder.__name__}_{axis}"] = _along(builder, axis)
    for diagonal in DIAGONALS:
        found[f"roberts_{diagonal}"] = functools.partial(roberts, diagonal)
    for shape in SHAPES:
        found[f"structuring_{shape}"] = functools.partial(structuring_element, shape)
    return found


def _along(builder: KernelBuilder, axis: str) -> KernelBuilder:
    if axis == "z":
        # Only volumes have that axis.
        return functools.partial(builder, axis, ndim=len(AXIS_NAMES))
    return functools.partial(builder, axis)

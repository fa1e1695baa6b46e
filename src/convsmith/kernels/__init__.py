"""Kernels as NumPy arrays: a bank of classical ones, names for them, operations, layouts.

Builders return float64 arrays with axes (depth, row, column); banks are stacked on a last axis. All
are correlation kernels, which is what layers compute: entry (i, j) multiplies the pixel i rows
below and j columns right of the window's first one, without a flip.
"""

from convsmith.kernels.blurs import disk, motion
from convsmith.kernels.compass import frei_chen, kirsch, robinson
from convsmith.kernels.derivatives import farid, prewitt, roberts, scharr, sobel
from convsmith.kernels.entries import Entry
from convsmith.kernels.factors import separate
from convsmith.kernels.forensic import srm
from convsmith.kernels.frequency import FrequencyResponse, frequency_response
from convsmith.kernels.gabor import gabor, log_gabor, morlet
from convsmith.kernels.gaussians import gaussian
from convsmith.kernels.laplacians import (
    difference_of_gaussians,
    laplacian,
    laplacian_of_gaussian,
)
from convsmith.kernels.layout import LAYOUTS, as_kernel
from convsmith.kernels.operations import compose, dilate, invert_layout, normalize
from convsmith.kernels.polynomials import savitzky_golay
from convsmith.kernels.registry import describe, get, names, register
from convsmith.kernels.rotation import rotate
from convsmith.kernels.sharpening import edge_enhance, emboss, sharpen, unsharp
from convsmith.kernels.smoothing import binomial, box, identity
from convsmith.kernels.steerable import (
    gaussian_derivative_pyramid,
    steerable,
    steering_weights,
)
from convsmith.kernels.stencils import finite_difference, fornberg_weights
from convsmith.kernels.structuring import parabola, structuring_element
from convsmith.kernels.textures import leung_malik, mr8, schmid
from convsmith.kernels.wavelets import daubechies, dct_basis, haar

__all__ = [
    "LAYOUTS",
    "Entry",
    "FrequencyResponse",
    "as_kernel",
    "binomial",
    "box",
    "compose",
    "daubechies",
    "dct_basis",
    "describe",
    "difference_of_gaussians",
    "dilate",
    "disk",
    "edge_enhance",
    "emboss",
    "farid",
    "finite_difference",
    "fornberg_weights",
    "frei_chen",
    "frequency_response",
    "gabor",
    "gaussian",
    "gaussian_derivative_pyramid",
    "get",
    "haar",
    "identity",
    "invert_layout",
    "kirsch",
    "laplacian",
    "laplacian_of_gaussian",
    "leung_malik",
    "log_gabor",
    "morlet",
    "motion",
    "mr8",
    "names",
    "normalize",
    "parabola",
    "prewitt",
    "register",
    "roberts",
    "robinson",
    "rotate",
    "savitzky_golay",
    "scharr",
    "schmid",
    "separate",
    "sharpen",
    "sobel",
    "srm",
    "steerable",
    "steering_weights",
    "structuring_element",
    "unsharp",
]

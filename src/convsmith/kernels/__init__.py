"""Kernels as NumPy arrays: the classical ones, a registry of names, layouts, and separation."""

from convsmith.kernels.classical import box, identity, laplacian, sobel
from convsmith.kernels.factors import separate
from convsmith.kernels.layout import LAYOUTS, as_kernel
from convsmith.kernels.registry import get, names, register

__all__ = [
    "LAYOUTS",
    "as_kernel",
    "box",
    "get",
    "identity",
    "laplacian",
    "names",
    "register",
    "separate",
    "sobel",
]

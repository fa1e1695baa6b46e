"""Kernel transforms: pure ``kernel -> kernel`` functions that a layer applies before use.

A layer's ``kernel_transform=`` takes a name (``"standardize"``), an object
(``Standardize(epsilon=1e-3)``), a function, or a list of these, applied in order.
"""

from convsmith.transforms.base import Compose, KernelTransform, Transform
from convsmith.transforms.difference import CentralDifference
from convsmith.transforms.filters import (
    Demodulate,
    ScaledStandardize,
    UnitNorm,
    UnitSum,
    ZeroMean,
)
from convsmith.transforms.mask import CausalMask, Mask
from convsmith.transforms.registry import TransformLike, get, names, register, serialize
from convsmith.transforms.standardization import Standardize, standardize
from convsmith.transforms.symmetry import Symmetric

__all__ = [
    "CausalMask",
    "CentralDifference",
    "Compose",
    "Demodulate",
    "KernelTransform",
    "Mask",
    "ScaledStandardize",
    "Standardize",
    "Symmetric",
    "Transform",
    "TransformLike",
    "UnitNorm",
    "UnitSum",
    "ZeroMean",
    "get",
    "names",
    "register",
    "serialize",
    "standardize",
]

"""Kernel transforms: pure ``kernel -> kernel`` functions that a layer applies before use.

A layer's ``kernel_transform=`` takes a name (``"standardize"``), an object
(``Standardize(epsilon=1e-3)``), a function, or a list of these, applied in order.
"""

from convsmith.transforms.base import Compose, KernelTransform
from convsmith.transforms.registry import TransformLike, get, names, register, serialize
from convsmith.transforms.standardization import Standardize, standardize

__all__ = [
    "Compose",
    "KernelTransform",
    "Standardize",
    "TransformLike",
    "get",
    "names",
    "register",
    "serialize",
    "standardize",
]

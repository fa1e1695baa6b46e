"""Kernel transforms: ``kernel -> kernel`` functions that a layer applies before use.

Most are pure; those with weights (`TrainedTransform`) are sublayers of the layer that uses them.

A layer's ``kernel_transform=`` takes a name (``"standardize"``), an object
(``Standardize(epsilon=1e-3)``), a function, or a list of these, applied in order.
"""

from convsmith.transforms import trained
from convsmith.transforms.base import Compose, KernelTransform, Transform
from convsmith.transforms.blur import Blur
from convsmith.transforms.difference import CentralDifference
from convsmith.transforms.factors import CP, Tucker
from convsmith.transforms.families import (
    Binomial,
    DifferenceOfGaussians,
    Family,
    Gabor,
    Gaussian,
    Sinc,
)
from convsmith.transforms.filters import (
    Demodulate,
    ScaledStandardize,
    UnitNorm,
    UnitSum,
    ZeroMean,
)
from convsmith.transforms.mask import CausalMask, Mask
from convsmith.transforms.norms import Gain, SpectralNorm, WeightNorm
from convsmith.transforms.registry import TransformLike, get, names, register, serialize
from convsmith.transforms.schedules import KernelAverage, KernelSchedule
from convsmith.transforms.standardization import Standardize, standardize
from convsmith.transforms.symmetry import Symmetric
from convsmith.transforms.trained import KernelSource, TrainedTransform

__all__ = [
    "CP",
    "Binomial",
    "Blur",
    "CausalMask",
    "CentralDifference",
    "Compose",
    "Demodulate",
    "DifferenceOfGaussians",
    "Family",
    "Gabor",
    "Gain",
    "Gaussian",
    "KernelAverage",
    "KernelSchedule",
    "KernelSource",
    "KernelTransform",
    "Mask",
    "ScaledStandardize",
    "Sinc",
    "SpectralNorm",
    "Standardize",
    "Symmetric",
    "TrainedTransform",
    "Transform",
    "TransformLike",
    "Tucker",
    "UnitNorm",
    "UnitSum",
    "WeightNorm",
    "ZeroMean",
    "get",
    "names",
    "register",
    "serialize",
    "standardize",
    "trained",
]

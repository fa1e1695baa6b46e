"""Keras layers: drop-ins for Keras's convolutions, and the ones that it lacks.

Its modules refer to `convsmith.engine`, `ops` and `transforms` as modules, and take no names from
them: `convsmith.registration` may import the layers while one of those is half imported.
"""

from convsmith.layers.blurpool import BlurPool1D, BlurPool2D, BlurPool3D
from convsmith.layers.conv import Conv1D, Conv2D, Conv3D, ConvND
from convsmith.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D
from convsmith.layers.dynamic import DynamicConv1D, DynamicConv2D, DynamicConv3D
from convsmith.layers.fixed import FixedConv1D, FixedConv2D, FixedConv3D
from convsmith.layers.folding import fold
from convsmith.layers.local import LocallyConnected1D, LocallyConnected2D, LocallyConnected3D
from convsmith.layers.masked import CentralDifferenceConv2D, MaskedConv2D
from convsmith.layers.normalized import (
    ScaledStandardizedConv2D,
    SpectralNormConv1D,
    SpectralNormConv2D,
    SpectralNormConv3D,
    WeightNormConv1D,
    WeightNormConv2D,
    WeightNormConv3D,
)
from convsmith.layers.parametric import GaborConv2D, SincConv1D
from convsmith.layers.pattern import PatternConv
from convsmith.layers.reparameterized import ACConv2D, DiverseBranchConv2D, RepVGGConv2D
from convsmith.layers.separable import SeparableConv1D, SeparableConv2D, SeparableConv3D
from convsmith.layers.standardized import (
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
)
from convsmith.layers.transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose

__all__ = [
    "ACConv2D",
    "BlurPool1D",
    "BlurPool2D",
    "BlurPool3D",
    "CentralDifferenceConv2D",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvND",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "DiverseBranchConv2D",
    "DynamicConv1D",
    "DynamicConv2D",
    "DynamicConv3D",
    "FixedConv1D",
    "FixedConv2D",
    "FixedConv3D",
    "GaborConv2D",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "LocallyConnected3D",
    "MaskedConv2D",
    "PatternConv",
    "RepVGGConv2D",
    "ScaledStandardizedConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "SincConv1D",
    "SpectralNormConv1D",
    "SpectralNormConv2D",
    "SpectralNormConv3D",
    "StandardizedConv1D",
    "StandardizedConv2D",
    "StandardizedConv3D",
    "WeightNormConv1D",
    "WeightNormConv2D",
    "WeightNormConv3D",
    "fold",
]

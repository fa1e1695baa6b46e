"""Keras layers: drop-ins for Keras's convolutions, and the ones that it lacks.

Its modules refer to `convsmith.engine`, `ops` and `transforms` as modules, and take no names from
them: `convsmith.registration` may import the layers while one of those is half imported.
"""

from convsmith.layers.conv import Conv1D, Conv2D, Conv3D
from convsmith.layers.fixed import FixedConv1D, FixedConv2D, FixedConv3D
from convsmith.layers.folding import fold
from convsmith.layers.standardized import (
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
)

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "FixedConv1D",
    "FixedConv2D",
    "FixedConv3D",
    "StandardizedConv1D",
    "StandardizedConv2D",
    "StandardizedConv3D",
    "fold",
]

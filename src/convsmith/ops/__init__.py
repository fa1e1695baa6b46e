"""Named shortcuts with the usual signatures; each is a pattern of the notation underneath."""

from __future__ import annotations

from convsmith.ops.convolution import conv, depthwise_conv, separable_conv
from convsmith.ops.transposed import conv_transpose
from convsmith.ops.windows import fold, pad, unfold

__all__ = ["conv", "conv_transpose", "depthwise_conv", "fold", "pad", "separable_conv", "unfold"]

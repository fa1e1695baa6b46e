"""The same convolution with another kernel: what standard Keras has a layer for."""

from __future__ import annotations

from math import prod

import numpy as np

from convsmith import geometry
from convsmith.models.convolution import Convolution


def without_idle_dilation(conv: Convolution) -> Convolution:
    """Return the same with dilation 1 where a single tap isn't spread."""
    spread = zip(conv.dilation, conv.taps, strict=True)
    return conv.but(dilation=tuple(d if taps > 1 else 1 for d, taps in spread))


def without_strides_and_dilation(conv: Convolution) -> tuple[Convolution, float]:
    """Return the same without dilation where Keras has none, and how much more that multiplies."""
    dilated = max(conv.dilation) > 1
    # TensorFlow has no dilated transposed convolution.
    if not dilated or (max(conv.strides) == 1 and conv.kind != "transposed"):
        return conv, 1.0
    reach = tuple(map(geometry.effective_kernel_size, conv.taps, conv.dilation))
    kernel = np.zeros((*reach, *conv.kernel.shape[conv.rank :]))
    kernel[tuple(slice(None, None, d) for d in conv.dilation)] = conv.kernel
    stuffed = conv.but(kernel=kernel, dilation=(1,) * conv.rank, lines=())
    return stuffed, prod(reach) / prod(conv.taps)


def grouped(conv: Convolution) -> Convolution:
    """Return a depthwise convolution as one in groups."""
    *taps, channels, multiplier = conv.kernel.shape
    return conv.but(
        kind="conv", kernel=conv.kernel.reshape(*taps, 1, channels * multiplier), groups=channels
    )


def merged(conv: Convolution) -> Convolution:
    """Return a separable convolution as a dense one."""
    assert conv.pointwise is not None
    channels, multiplier = conv.kernel.shape[-2:]
    pointwise = conv.pointwise.reshape(channels, multiplier, -1)
    kernel = np.einsum("...cm,cmo->...co", conv.kernel, pointwise)
    return conv.but(kind="conv", kernel=kernel, pointwise=None)


def ungrouped(conv: Convolution) -> Convolution:
    """Return a transposed convolution in groups as one with zeros between the groups."""
    if conv.groups == 1:
        return conv
    *taps, filters, channels = conv.kernel.shape
    kernel = np.zeros((*taps, conv.groups, filters, channels))
    each = channels // conv.groups
    for group in range(conv.groups):
        own = slice(group * each, (group + 1) * each)
        kernel[..., group, :, own] = conv.kernel[..., own]
    return conv.but(kernel=kernel.reshape(*taps, conv.groups * filters, channels), groups=1)

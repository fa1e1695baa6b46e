"""Convolutions of volumes as sums of convolutions of planes, one for each tap in depth.

XLA's convolution of volumes takes up to 15 times as long on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from keras import ops

from convsmith.lowerings.backend import current
from convsmith.lowerings.base import Tensor
from convsmith.lowerings.tensors import dtype_name, permute, reshape, size_product

if TYPE_CHECKING:
    from convsmith.lowerings.native import Form

Convolve = Callable[[Tensor, Tensor], Tensor]

MOST_PLANES = 9
"""Deeper kernels are convolved whole: a convolution for each plane takes long to compile."""


def in_planes(
    make: Callable[[Form, tuple[int, ...]], Convolve], form: Form, shape: tuple[int, ...]
) -> Convolve:
    """Return the convolution of volumes that `make` makes, by way of planes where that is faster.

    `shape` is the kernel's, [taps..., groups, depth, features].
    """
    whole = make(form, shape)
    first, *rest = form.windows
    if (
        form.rank != 3
        or form.transposed
        or shape[-3] != 1
        or not 1 < shape[0] <= MOST_PLANES
        or first.size is None
        or None in first.pads
    ):
        return whole
    low, high = first.pads
    assert low is not None
    assert high is not None
    count = (first.size + low + high - first.dilation * (shape[0] - 1) - 1) // first.stride + 1
    # Channels last: XLA then has no more to transpose than the convolution would.
    flat = make(replace(form, windows=tuple(rest), channels_first=False), shape[1:])

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        if dtype_name(x) not in ("float32", "float64"):
            return whole(x, kernel)  # Halves would be rounded after each plane.
        kernel = reshape(kernel, shape)
        if form.channels_first:
            x = permute(x, (0, 2, 3, 4, 1))
        if low or high:
            x = ops.pad(x, ((0, 0), (low, high), (0, 0), (0, 0), (0, 0)))
        batch = current().size(x, 0)

        def plane(tap: int) -> Tensor:
            start = tap * first.dilation
            planes = x[:, start : start + first.stride * (count - 1) + 1 : first.stride]
            merged = [size_product([batch, count]), *planes.shape[2:]]
            return flat(reshape(planes, merged), kernel[tap])

        total = reduce(ops.add, map(plane, range(shape[0])))
        y = reshape(total, [batch, count, *total.shape[1:]])
        return permute(y, (0, 4, 1, 2, 3)) if form.channels_first else y

    return call

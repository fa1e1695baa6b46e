"""The kernels that layers hold, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith.layers.conv import Convolution
from convsmith.layers.depthwise import DepthwiseConvolution
from convsmith.layers.fixed import FixedConvolution
from convsmith.layers.separable import SeparableConvolution
from convsmith.layers.windowed import OneKernel
from convsmith.models import counting
from convsmith.models.calls import Step

ops: Any = keras.ops

DENSE = (*counting.CONVOLUTIONS, Convolution)
EACH = (*counting.DEPTHWISE, DepthwiseConvolution)
APART = (*counting.SEPARABLE, SeparableConvolution)
WRITING = counting.TRANSPOSED


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel: `values` with the sizes of the window first, and which other axes are filters."""

    values: NDArray[Any]
    rank: int
    filter_axes: tuple[int, ...]

    def filters(self) -> NDArray[Any]:
        """Return it as (channels that a filter sums, filters, *sizes of the window)."""
        values = self.values
        summed = [a for a in range(self.rank, values.ndim) if a not in self.filter_axes]
        order = (*summed, *self.filter_axes, *range(self.rank))
        count = int(np.prod([values.shape[a] for a in summed], dtype=int))
        several = int(np.prod([values.shape[a] for a in self.filter_axes], dtype=int))
        return values.transpose(order).reshape(count, several, *values.shape[: self.rank])


def of_step(step: Step) -> Kernel | None:
    """Return the kernel that a layer convolves with, after its transforms, if it has one."""
    layer = step.operation
    if isinstance(layer, FixedConvolution):
        values = _array(layer.kernel)
        rank = layer.spatial_rank
        # One filter, a bank, or channels mixed.
        return Kernel(values, rank, (values.ndim - 1,) if values.ndim > rank else ())
    if not isinstance(layer, (*DENSE, *EACH, *APART, *WRITING)) or not layer.built:
        return None
    rank = len(layer.kernel_size)
    if isinstance(layer, APART):
        own = isinstance(layer, SeparableConvolution)
        values = layer.effective_depthwise_kernel if own else layer.depthwise_kernel
        return Kernel(_array(values), rank, (rank, rank + 1))
    values = layer.effective_kernel if isinstance(layer, OneKernel) else layer.kernel
    if isinstance(layer, EACH):
        return Kernel(_array(values), rank, (rank, rank + 1))
    return Kernel(_array(values), rank, (rank if isinstance(layer, WRITING) else rank + 1,))


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(ops.convert_to_numpy(ops.cast(values, "float32")))

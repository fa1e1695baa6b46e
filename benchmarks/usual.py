"""What a Keras user writes today for each kind of work; channels last unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


def _ops() -> Any:
    # Loaded when a candidate runs, so that listing the workloads needs no backend.
    import keras

    return keras.ops


def dense(**arguments: Any) -> Function:
    """Return `keras.ops.conv`."""
    return lambda x, k: _ops().conv(x, k, **{"padding": "same", **arguments})


def depthwise(**arguments: Any) -> Function:
    """Return `keras.ops.depthwise_conv`."""
    return lambda x, k: _ops().depthwise_conv(x, k, **{"padding": "same", **arguments})


def causal_depthwise(x: Any, kernel: Any) -> Any:
    """Pad the past by hand: the operation knows no causal padding."""
    ops = _ops()
    return ops.depthwise_conv(ops.pad(x, ((0, 0), (kernel.shape[0] - 1, 0), (0, 0))), kernel)


def grouped(x: Any, kernel: Any) -> Any:
    """Merge groups and features of the kernel; the operation finds the groups by itself."""
    ops = _ops()
    *taps, depth, groups, features = kernel.shape
    return ops.conv(x, ops.reshape(kernel, (*taps, depth, groups * features)), padding="same")


def separable(x: Any, kernel: Any, mixing: Any) -> Any:
    """Return `keras.ops.separable_conv`."""
    return _ops().separable_conv(x, kernel[..., None], mixing[None, None], padding="same")


def transposed(stride: int) -> Function:
    """Return `keras.ops.conv_transpose`, whose kernel has the output's channels first."""

    def run(x: Any, kernel: Any) -> Any:
        ops = _ops()
        turned = ops.transpose(kernel, (0, 1, 3, 2))
        return ops.conv_transpose(x, turned, strides=stride, padding="same")

    return run


def per_sample(x: Any, kernel: Any) -> Any:
    """Map a convolution over the batch."""
    ops = _ops()
    return ops.vectorized_map(lambda pair: ops.conv(pair[0][None], pair[1])[0], (x, kernel))


def mixture(x: Any, experts: Any, weights: Any) -> Any:
    """Mix the kernels, then map a convolution over the batch."""
    ops = _ops()
    low, high = (experts.shape[1] - 1) // 2, experts.shape[1] // 2
    x = ops.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    return per_sample(x, ops.einsum("be,ehwio->bhwio", weights, experts))


def per_pixel(x: Any, kernel: Any) -> Any:
    """Contract patches with the kernels."""
    ops = _ops()
    batch, height, width, channels = x.shape
    taps, groups = kernel.shape[3], kernel.shape[5]
    patches = ops.image.extract_patches(x, taps, 1, padding="same", data_format="channels_last")
    patches = ops.reshape(patches, (batch, height, width, taps, taps, groups, channels // groups))
    y = ops.einsum("bhwklgc,bhwklg->bhwgc", patches, kernel)
    return ops.reshape(y, (batch, height, width, channels))


def locally_connected(x: Any, kernel: Any) -> Any:
    """Contract patches with the kernels; Keras 3 has no such layer any more."""
    ops = _ops()
    height, width, taps, _, channels, features = kernel.shape
    patches = ops.image.extract_patches(x, taps, 1, padding="valid", data_format="channels_last")
    kernel = ops.reshape(kernel, (height, width, taps * taps * channels, features))
    return ops.einsum("bhwk,hwko->bhwo", patches, kernel)


def correlation(x: Any, other: Any) -> Any:
    """Multiply and sum shift by shift."""
    ops = _ops()
    height, width = x.shape[1:3]
    reach = other.shape[1] - height + 1
    rows = [
        ops.stack(
            [ops.sum(x * other[:, i : i + height, j : j + width], -1) for j in range(reach)], -1
        )
        for i in range(reach)
    ]
    return ops.stack(rows, -2)


def low_rank(x: Any, rows: Any, columns: Any, inner: Any, outer: Any) -> Any:
    """Chain two depthwise convolutions between two matrix products."""
    ops = _ops()
    y = ops.matmul(x, inner)
    y = ops.depthwise_conv(y, rows[:, None, :, None], padding="same")
    y = ops.depthwise_conv(y, columns[None, :, :, None], padding="same")
    return ops.matmul(y, ops.transpose(outer))


def padded_dense(mode: str) -> Function:
    """Pad by hand, then convolve."""

    def run(x: Any, kernel: Any) -> Any:
        ops = _ops()
        low, high = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
        if mode in ("reflect", "symmetric"):
            x = ops.pad(x, ((0, 0), (low, high), (low, high), (0, 0)), mode=mode)
            return ops.conv(x, kernel)
        for axis in (1, 2):  # The backends disagree on, or lack, the other modes.
            before = _part(x, axis, -low, None) if mode == "wrap" else _part(x, axis, 0, 1)
            after = _part(x, axis, 0, high) if mode == "wrap" else _part(x, axis, -1, None)
            if mode == "edge":
                before, after = (
                    ops.repeat(part, n, axis=axis) for part, n in ((before, low), (after, high))
                )
            x = ops.concatenate([before, x, after], axis=axis)
        return ops.conv(x, kernel)

    return run


def _part(x: Any, axis: int, start: int, stop: int | None) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]

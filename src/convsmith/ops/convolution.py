"""Convolutions with the usual signatures."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from convsmith import engine, geometry
from convsmith.errors import ShapeError, compose
from convsmith.ops.arguments import (
    Shape,
    axis_texts,
    channels_error,
    checked,
    conv_pattern,
    data_text,
    edge_arguments,
    is_channels_last,
    kernel_rank,
    shape_of,
)


def conv(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    groups: int = 1,
    data_format: str | None = None,
    *,
    lowering: str | None = None,
) -> Any:
    """Convolve (cross-correlate, as deep learning does) channels with a kernel, in any rank.

    ``out[b,h,w,o] = sum of x[b, s*h+d*kh, s*w+d*kw, i] * kernel[kh,kw,i,o]``

    Args:
        x: ``(batch, *spatial, channels)``, or ``(batch, channels, *spatial)``.
        kernel: ``(*kernel_size, channels // groups, filters)``.
        strides: an int, or one for each spatial axis.
        padding: a name, an int, or for each axis a name, an int or ``(low, high)``;
            `convsmith.conv` lists the names.
        padding_mode: a mode, or one for each axis.
        padding_value: fill of mode ``"constant"``, 0 unless given.
        dilation_rate: an int, or one for each spatial axis; goes together with strides.
        groups: into how many groups channels and filters are split.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras's setting unless given.
        lowering: forces one; None lets the planner choose.

    Returns:
        ``(batch, *output_size, filters)``, or channels first.

    Raises:
        ShapeError: ranks or channels that don't fit, or an empty output.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> tuple(conv(np.ones((1, 5, 5, 3), "float32"), np.ones((3, 3, 3, 8), "float32")).shape)
        (1, 3, 3, 8)
    """
    pattern, arguments = checked(
        _conv_call,
        shape_of(x),
        shape_of(kernel),
        strides,
        padding,
        padding_mode,
        padding_value,
        dilation_rate,
        groups,
        is_channels_last(data_format),
    )
    return engine.conv(pattern, x, kernel, lowering=lowering, **arguments)


@lru_cache(maxsize=4096, typed=True)
def _conv_call(
    shape: Shape,
    kernel_shape: Shape,
    strides: Any,
    padding: Any,
    padding_mode: Any,
    padding_value: float | None,
    dilation_rate: Any,
    groups: int,
    last: bool,
) -> tuple[str, dict[str, Any]]:
    rank = kernel_rank("conv", shape, kernel_shape, 2)
    channels = shape[-1 if last else 1]
    groups = geometry.integer(groups, "groups", minimum=1)
    depth, filters = kernel_shape[-2:]
    if channels is not None and depth is not None and channels != depth * groups:
        raise channels_error("conv", shape, kernel_shape, channels, depth, groups, last)
    if filters is not None and filters % groups:
        raise ShapeError(
            compose(
                f"conv: groups={groups}",
                f"doesn't divide the kernel's {filters} filters",
                expected="a multiple of groups",
                received=f"kernel {kernel_shape}",
                fix="groups=1",
            ),
            argument="groups",
            value=groups,
        )
    pattern = conv_pattern(
        rank,
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
        groups > 1,
        last,
    )
    sizes: dict[str, Any] = {"g": groups} if groups > 1 else {}
    return pattern, {**edge_arguments(rank, padding, padding_mode, padding_value), **sizes}


def depthwise_conv(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    data_format: str | None = None,
    *,
    lowering: str | None = None,
) -> Any:
    """Convolve each channel with filters of its own.

    ``out[b,h,w,c*M+m] = sum of x[b, s*h+d*kh, s*w+d*kw, c] * kernel[kh,kw,c,m]``

    Args:
        x: ``(batch, *spatial, channels)``, or channels first.
        kernel: ``(*kernel_size, channels, multiplier)``.
        strides: this and all others as in `conv`.

    Returns:
        ``(batch, *output_size, channels * multiplier)``, or channels first.

    Raises:
        ShapeError: ranks or channels that don't fit, or an empty output.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> x, kernel = np.ones((1, 5, 5, 3), "float32"), np.ones((3, 3, 3, 2), "float32")
        >>> tuple(depthwise_conv(x, kernel, padding="same").shape)
        (1, 5, 5, 6)

    Source: Howard et al., "MobileNets", 2017.
    """
    pattern, arguments = checked(
        _depthwise_call,
        shape_of(x),
        shape_of(kernel),
        strides,
        padding,
        padding_mode,
        padding_value,
        dilation_rate,
        is_channels_last(data_format),
    )
    return engine.conv(pattern, x, kernel, lowering=lowering, **arguments)


@lru_cache(maxsize=4096, typed=True)
def _depthwise_call(
    shape: Shape,
    kernel_shape: Shape,
    strides: Any,
    padding: Any,
    padding_mode: Any,
    padding_value: float | None,
    dilation_rate: Any,
    last: bool,
) -> tuple[str, dict[str, Any]]:
    rank = kernel_rank("depthwise_conv", shape, kernel_shape, 2)
    channels, depth = shape[-1 if last else 1], kernel_shape[-2]
    if channels is not None and depth is not None and channels != depth:
        raise channels_error("depthwise_conv", shape, kernel_shape, channels, depth, 1, last)
    spatial, taps, out = axis_texts(
        rank,
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
    )
    pattern = f"{data_text(spatial, 'c', last)}, {taps} c m -> {data_text(out, '(c m)', last)}"
    return pattern, edge_arguments(rank, padding, padding_mode, padding_value)


def separable_conv(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    data_format: str | None = None,
) -> Any:
    """Convolve each channel by itself, then mix channels with a 1x1 convolution.

    ``out[b,h,w,o] = sum of x[b,s*h+d*kh,s*w+d*kw,c] * depthwise[kh,kw,c,m] * pointwise[c*M+m,o]``

    Args:
        x: ``(batch, *spatial, channels)``, or channels first.
        depthwise_kernel: ``(*kernel_size, channels, multiplier)``.
        pointwise_kernel: ``(*ones, channels * multiplier, filters)``.
        strides: this and all others as in `conv`.

    Returns:
        ``(batch, *output_size, filters)``, or channels first.

    Raises:
        ShapeError: ranks or channels that don't fit, or an empty output.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> x, depthwise = np.ones((1, 5, 5, 3), "float32"), np.ones((3, 3, 3, 2), "float32")
        >>> tuple(separable_conv(x, depthwise, np.ones((1, 1, 6, 4), "float32")).shape)
        (1, 3, 3, 4)

    Source: Chollet, "Xception", 2017.
    """
    shape, kernel_shape = shape_of(x), shape_of(depthwise_kernel)
    rank = kernel_rank("separable_conv", shape, kernel_shape, 2)
    last = is_channels_last(data_format)
    channels, depth = shape[-1 if last else 1], kernel_shape[-2]
    if channels is not None and depth is not None and channels != depth:
        raise channels_error("separable_conv", shape, kernel_shape, channels, depth, 1, last)
    point = shape_of(pointwise_kernel)
    inner = (depth or 0) * (kernel_shape[-1] or 0)
    if len(point) != rank + 2 or any(n != 1 for n in point[:rank]) or point[rank] != inner:
        raise ShapeError(
            compose(
                "separable_conv: pointwise_kernel",
                f"has shape {point}",
                expected=f"{(1,) * rank + (inner, 'filters')} for depthwise_kernel {kernel_shape}",
                fix="a kernel with ones in front and channels * multiplier inputs",
            ),
            argument="pointwise_kernel",
            value=point,
        )
    spatial, taps, out = axis_texts(
        rank,
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
    )
    mixed = data_text(out, "o", last)
    pattern = f"{data_text(spatial, 'c', last)}, {taps} c m, {'1 ' * rank}(c m) o -> {mixed}"
    return engine.conv(
        pattern,
        x,
        depthwise_kernel,
        pointwise_kernel,
        **edge_arguments(rank, padding, padding_mode, padding_value),
    )

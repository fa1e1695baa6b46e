"""The kernels that layers convolve with, after LoRA and transforms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, UnsupportedError, compose
from convsmith.plots.bank import montage
from convsmith.plots.style import GAPS, INK, TINY, figure_or_new, new_figure, show_image

Array = NDArray[Any]

MOST = 64
"""Of more filters the first ones are drawn unless told."""

COLUMNS = 8

RGB = 3

SQUARE = 0.75
"""The side of a square in inches."""


def plot_effective_kernel(
    layer: Any,
    figure: Any = None,
    *,
    channel: int | None = None,
    columns: int = COLUMNS,
    most: int = MOST,
) -> Any:
    """Draw the kernel that a layer convolves with, a square for each filter.

    It is the kernel after LoRA and transforms; of a separable layer the product of both kernels.
    Filters of one channel are drawn in signed colours (red above zero, blue below, white zero),
    of three as RGB, of others as the mean over the channels; each on its own scale. Layers of one
    axis show (channels, taps), those of three all slices.

    Args:
        layer: a built convolution of convsmith's or Keras's: dense, depthwise, separable,
            transposed or fixed.
        figure: the Matplotlib Figure or SubFigure to draw into; a new one by default.
        channel: which input channel is drawn instead of all.
        columns: how many filters stand side by side.
        most: how many filters are drawn at most.

    Returns:
        The figure, with axes for each filter.

    Raises:
        UnsupportedError: a layer without a kernel that all places share; or one that isn't built;
            or Matplotlib isn't installed.
        ArgumentError: an input channel that isn't there, or a wrong number.

    Example:
        >>> import keras
        >>> layer = keras.layers.Conv2D(4, 3)
        >>> layer.build((None, 8, 8, 1))
        >>> len(plot_effective_kernel(layer).axes)
        4

    Source: none.
    """
    kernel = effective_kernel(layer)
    channels, count = kernel.shape[-2:]
    if channel is not None:
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < channels:
            raise ArgumentError(
                compose(
                    f"plot_effective_kernel(channel={channel!r})",
                    f"is not one of the {channels} channels that each filter reads",
                    expected=f"0 to {channels - 1}",
                    fix="channel=None for all",
                ),
                argument="channel",
                value=channel,
            )
        kernel = kernel[..., channel : channel + 1, :]
    for name, value in (("columns", columns), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(
                compose(
                    f"plot_effective_kernel({name}={value!r})",
                    "is no number of filters",
                    expected="1 or more",
                    fix=f"{name}=8",
                ),
                argument=name,
                value=value,
            )
    shown = kernel[..., :most]
    columns = min(columns, shown.shape[-1])
    rows = -(-shown.shape[-1] // columns)
    height, width = _extent(shown)
    side = SQUARE * np.sqrt(width / height)
    figure = figure_or_new(
        figure, figsize=(max(side * columns, 5.0) + 0.1, side * height / width * rows + 0.8)
    )
    _draw_filters(figure, shown, columns, rows)
    size = "x".join(map(str, kernel.shape[:-2]))
    part = f", the first {most}" if count > most else ""
    which = f", channel {channel}" if channel is not None else ""
    plural = "filter" if count == 1 else "filters"
    figure.suptitle(
        f"{layer.name}: {count} {plural} of {size}x{channels}{which}{part}",
        color=INK, fontweight="bold", fontsize=10,
    )  # fmt: skip
    rank = kernel.ndim - 2
    figure.supxlabel(_note(rank, kernel.shape[-2]), color=INK, fontsize=8)
    return figure


def effective_kernel(layer: Any) -> Array:
    """Return the kernel that a layer convolves with, (*size, channels, filters).

    Raises:
        UnsupportedError: a layer without one that all places share, or that isn't built.
    """
    import keras

    from convsmith.layers import transposed
    from convsmith.layers.depthwise import DepthwiseConvolution
    from convsmith.layers.local import LocalConvolution

    if not getattr(layer, "built", False):
        raise _no_kernel(layer, "has no weights yet", "layer.build(input_shape)")
    own: Any = keras.layers
    depthwise = (own.DepthwiseConv1D, own.DepthwiseConv2D, DepthwiseConvolution)
    turned = (
        own.Conv1DTranspose, own.Conv2DTranspose, own.Conv3DTranspose,
        transposed.TransposedConvolution,
    )  # fmt: skip
    if hasattr(layer, "depthwise_kernel") and hasattr(layer, "pointwise_kernel"):
        first, second = (_numbers(layer, f"{p}wise_kernel") for p in ("depth", "point"))
        second = second.reshape(*first.shape[-2:], -1)
        return np.einsum("...im,imo->...io", first, second)
    rank = getattr(layer, "spatial_rank", len(getattr(layer, "kernel_size", ())))
    if rank == 0 or isinstance(layer, LocalConvolution) or getattr(layer, "kernel", None) is None:
        raise _no_kernel(
            layer,
            "has no kernel that all places share",
            "plot_bank(array, ndim=2) for an array of yours",
        )
    kernel = _numbers(layer, "kernel")
    if kernel.ndim == rank:
        kernel = kernel[..., None]
    if kernel.ndim == rank + 1:  # A bank of fixed kernels, each on one channel.
        return kernel[..., None, :]
    if kernel.ndim != rank + 2:
        raise _no_kernel(layer, f"has a kernel of shape {kernel.shape}", "plot_bank(layer.kernel)")
    if isinstance(layer, depthwise):
        return kernel.reshape(*kernel.shape[:-2], 1, -1)
    return np.swapaxes(kernel, -1, -2) if isinstance(layer, turned) else kernel


def _numbers(layer: Any, name: str) -> Array:
    import keras

    ops: Any = keras.ops
    kernel = getattr(layer, f"effective_{name}", None)
    kernel = getattr(layer, name) if kernel is None else kernel
    return np.asarray(ops.convert_to_numpy(ops.cast(kernel, "float32")))


def _no_kernel(layer: Any, problem: str, fix: str) -> UnsupportedError:
    return UnsupportedError(
        compose(
            f"{type(layer).__name__} {getattr(layer, 'name', '')!r}",
            problem,
            expected="a built convolution: dense, depthwise, separable, transposed or fixed",
            fix=fix,
        ),
        argument="layer",
        value=layer,
    )


def save_kernels(path: Path, kernels: Mapping[str, Array], *, columns: int = 8) -> None:
    """Write a PNG of the filters of each kernel, (height, width, in, out), as small squares.

    One input channel: red is positive, blue negative, white zero, each filter on its own scale.
    Three: as RGB. Otherwise the mean over the input channels.

    Raises:
        UnsupportedError: no filter at all.
    """
    kernels = {name: kernel for name, kernel in kernels.items() if kernel.shape[-1]}
    if not kernels:
        raise UnsupportedError(compose("plots", "there is no kernel to draw"))
    rows = max(-(-kernel.shape[-1] // columns) for kernel in kernels.values())
    figure = new_figure(figsize=(0.52 * columns * len(kernels) + 0.3, 0.5 * rows + 0.7))
    panels = figure.subfigures(1, len(kernels), squeeze=False, wspace=0.05)[0]
    for panel, (name, kernel) in zip(panels, kernels.items(), strict=True):
        height, width, channels, count = kernel.shape
        panel.suptitle(
            f"{name}: {count} kernels of {height}x{width}x{channels}",
            color=INK,
            fontweight="bold",
            fontsize=11,
        )
        _draw_filters(panel, kernel, columns, rows)
        if channels != RGB:
            panel.supxlabel(_note(2, channels), color=INK, fontsize=8)
    figure.savefig(path, dpi=150)


def _note(rank: int, channels: int) -> str:
    """Return what the colours mean."""
    if rank == 2 and channels == RGB:
        return "as red, green and blue, each on its own scale"
    if rank == 1:
        what = "rows are input channels; " if channels > 1 else ""
    else:
        what = "mean over the input channels; " if channels > 1 else ""
    return f"{what}red above zero, blue below, each on its own scale"


def _draw_filters(figure: Any, kernel: Array, columns: int, rows: int) -> None:
    """Draw the filters of (*size, channels, filters) as squares."""
    grid = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index < kernel.shape[-1]:
            _draw_filter(axes, kernel[..., index])
        else:
            axes.remove()


def _extent(kernel: Array) -> tuple[int, int]:
    """Return how high and wide a square becomes, relative to each other."""
    *size, channels, _ = kernel.shape
    if len(size) == 1:
        return channels, size[0]
    height, width = montage(np.zeros((int(np.prod(size[:-2])), *size[-2:]))).shape
    return height, width


def _draw_filter(axes: Any, taps: Array) -> None:
    """Draw one filter, (*size, channels)."""
    rank = taps.ndim - 1
    if rank == 1:
        show_image(axes, taps.T, signed=True)
    elif taps.shape[-1] == RGB and rank == 2:
        low, high = float(taps.min()), float(taps.max())
        show_image(axes, (taps - low) / max(high - low, TINY))
    else:
        mean = taps.mean(axis=-1)
        show_image(axes, montage(mean.reshape(-1, *mean.shape[-2:])), signed=True)
        axes.set_facecolor(GAPS)

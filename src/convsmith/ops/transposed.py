"""Transposed convolution, with Keras's sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convsmith import engine, geometry
from convsmith.errors import ShapeError, compose
from convsmith.ops.arguments import (
    axis_texts,
    channels_error,
    data_text,
    is_channels_last,
    kernel_rank,
    shape_of,
    spatial_names,
)


def conv_transpose(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
    groups: int = 1,
    padding_mode: Any = "constant",
    *,
    lowering: str | None = None,
) -> Any:
    """Transpose of a convolution: each input entry writes a scaled kernel (Keras's sizes).

    ``out[b, s*h+d*kh-low, s*w+d*kw-low, o] += x[b,h,w,i] * kernel[kh,kw,o,i]``

    Args:
        x: ``(batch, *spatial, channels)``, or channels first.
        kernel: ``(*kernel_size, filters, channels)`` as in Keras; with groups
            ``(*kernel_size, filters // groups, channels)``.
        strides: an int, or one for each spatial axis.
        padding: what the output is cropped by: a name, an int, or per-axis amounts.
            ``"valid"`` writes ``strides*size + max(reach - strides, 0)`` and ``"same"``
            ``strides*size`` entries.
        output_padding: entries added to the high end; with it, sizes are
            ``strides*(size-1) + reach - 2*crop + output_padding``, where crop is reach // 2 for
            ``"same"``.
        data_format: this, `dilation_rate` and `lowering` as in `conv`.
        groups: into how many groups channels and filters are split.
        padding_mode: where writes beyond the edges go: dropped (``"constant"``), or folded back
            as the mode would have read them (``"wrap"`` for periodic axes).

    Returns:
        ``(batch, *output_size, filters)``, or channels first.

    Raises:
        ShapeError: ranks or channels that don't fit, or an empty output.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> x, kernel = np.ones((1, 5, 5, 3), "float32"), np.ones((3, 3, 8, 3), "float32")
        >>> tuple(conv_transpose(x, kernel, strides=2, padding="same").shape)
        (1, 10, 10, 8)

    Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    shape, kernel_shape = shape_of(x), shape_of(kernel)
    rank = kernel_rank("conv_transpose", shape, kernel_shape, 2)
    last = is_channels_last(data_format)
    groups = geometry.integer(groups, "groups", minimum=1)
    channels, depth = shape[-1 if last else 1], kernel_shape[-1]
    if channels is not None and depth is not None and channels != depth:
        raise channels_error("conv_transpose", shape, kernel_shape, channels, depth, 1, last)
    if channels is not None and channels % groups:
        raise ShapeError(
            compose(
                f"conv_transpose: groups={groups}",
                f"doesn't divide {channels} channels",
                expected="a multiple of groups",
                fix="groups=1",
            ),
            argument="groups",
            value=groups,
        )
    stride, dilation = (
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
    )
    windows, taps, plain = axis_texts(rank, stride, dilation)
    inner, outer = ("(g i)", "(g o)") if groups > 1 else ("i", "o")
    pattern = (
        f"{data_text(plain, inner, last)}, {taps} o {inner} -> {data_text(windows, outer, last)}"
    )
    crops = transposed_crops(padding, output_padding, kernel_shape[:rank], stride, dilation)
    names = spatial_names(rank)
    sizes: dict[str, Any] = {"g": groups} if groups > 1 else {}
    return engine.conv(
        pattern,
        x,
        kernel,
        padding=dict(zip(names, crops, strict=True)),
        padding_mode=dict(
            zip(names, geometry.normalize_padding_mode(padding_mode, rank), strict=True)
        ),
        lowering=lowering,
        **sizes,
    )


def transposed_crops(
    padding: Any,
    output_padding: Any,
    kernel_size: Sequence[int | None],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Return what each axis of a transposed convolution is cropped by, with Keras's sizes."""
    rank = len(strides)
    entries = geometry.normalize_padding(padding, rank)
    extra: tuple[int | None, ...] = (None,) * rank
    if output_padding is not None:
        extra = geometry.normalize_tuple(output_padding, rank, "output_padding", minimum=0)
    crops: list[tuple[int, int]] = []
    for entry, more, taps, stride, dilation in zip(
        entries, extra, kernel_size, strides, dilations, strict=True
    ):
        assert taps is not None
        reach = geometry.effective_kernel_size(taps, dilation)
        if more is None:
            low, high = geometry.resolve_transposed_padding(entry, taps, stride, dilation)
            assert low is not None
            assert high is not None
            if entry == "valid":
                high = min(reach - stride, 0)
        elif entry == "same":
            total = 2 * (reach // 2) - more
            low = max(total // 2, 0)
            high = total - low
        else:
            low, high = geometry.resolve_transposed_padding(entry, taps, stride, dilation)
            assert low is not None
            assert high is not None
            high -= more
        crops.append((low, high))
    return tuple(crops)

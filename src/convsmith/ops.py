"""Named shortcuts with the usual signatures; each is a pattern of the notation underneath."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np

from convsmith import engine, geometry
from convsmith.errors import ArgumentError, DtypeError, ShapeError, compose

DATA_FORMATS = ("channels_last", "channels_first")


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
    shape, kernel_shape = _shape(x), _shape(kernel)
    rank = _rank("conv", shape, kernel_shape, 2)
    last = _channels_last(data_format)
    channels = shape[-1 if last else 1]
    groups = geometry.integer(groups, "groups", minimum=1)
    depth, filters = kernel_shape[-2:]
    if channels is not None and depth is not None and channels != depth * groups:
        raise _channels_error("conv", shape, kernel_shape, channels, depth, groups, last)
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
    pattern = _conv_pattern(
        rank,
        _tuple(strides, rank, "strides"),
        _tuple(dilation_rate, rank, "dilation_rate"),
        groups > 1,
        last,
    )
    sizes: dict[str, Any] = {"g": groups} if groups > 1 else {}
    return engine.conv(
        pattern,
        x,
        kernel,
        lowering=lowering,
        **_edges(rank, padding, padding_mode, padding_value),
        **sizes,
    )


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
    shape, kernel_shape = _shape(x), _shape(kernel)
    rank = _rank("depthwise_conv", shape, kernel_shape, 2)
    last = _channels_last(data_format)
    channels, depth = shape[-1 if last else 1], kernel_shape[-2]
    if channels is not None and depth is not None and channels != depth:
        raise _channels_error("depthwise_conv", shape, kernel_shape, channels, depth, 1, last)
    spatial, taps, out = _axes(
        rank, _tuple(strides, rank, "strides"), _tuple(dilation_rate, rank, "dilation_rate")
    )
    pattern = f"{_data(spatial, 'c', last)}, {taps} c m -> {_data(out, '(c m)', last)}"
    return engine.conv(
        pattern, x, kernel, lowering=lowering, **_edges(rank, padding, padding_mode, padding_value)
    )


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
    shape, kernel_shape = _shape(x), _shape(depthwise_kernel)
    rank = _rank("separable_conv", shape, kernel_shape, 2)
    last = _channels_last(data_format)
    channels, depth = shape[-1 if last else 1], kernel_shape[-2]
    if channels is not None and depth is not None and channels != depth:
        raise _channels_error("separable_conv", shape, kernel_shape, channels, depth, 1, last)
    point = _shape(pointwise_kernel)
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
    spatial, taps, out = _axes(
        rank, _tuple(strides, rank, "strides"), _tuple(dilation_rate, rank, "dilation_rate")
    )
    pattern = (
        f"{_data(spatial, 'c', last)}, {taps} c m, {'1 ' * rank}(c m) o -> {_data(out, 'o', last)}"
    )
    return engine.conv(
        pattern,
        x,
        depthwise_kernel,
        pointwise_kernel,
        **_edges(rank, padding, padding_mode, padding_value),
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
    shape, kernel_shape = _shape(x), _shape(kernel)
    rank = _rank("conv_transpose", shape, kernel_shape, 2)
    last = _channels_last(data_format)
    groups = geometry.integer(groups, "groups", minimum=1)
    channels, depth = shape[-1 if last else 1], kernel_shape[-1]
    if channels is not None and depth is not None and channels != depth:
        raise _channels_error("conv_transpose", shape, kernel_shape, channels, depth, 1, last)
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
        _tuple(strides, rank, "strides"),
        _tuple(dilation_rate, rank, "dilation_rate"),
    )
    windows, taps, plain = _axes(rank, stride, dilation)
    inner, outer = ("(g i)", "(g o)") if groups > 1 else ("i", "o")
    pattern = f"{_data(plain, inner, last)}, {taps} o {inner} -> {_data(windows, outer, last)}"
    crops = transposed_crops(padding, output_padding, kernel_shape[:rank], stride, dilation)
    names = _names(rank)
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


def pad(
    x: Any,
    pad_width: Any,
    mode: Any = "constant",
    constant_values: float = 0.0,
) -> Any:
    """Pad every axis, as `numpy.pad`, with equal values on every backend; negative widths crop.

    Args:
        x: any shape.
        pad_width: an int, one pair ``(low, high)`` for all axes, or a pair for each axis.
        mode: ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``, or one for
            each axis.
        constant_values: fill of mode ``"constant"``.

    Returns:
        The padded tensor.

    Raises:
        ArgumentError: widths or modes of another form.
        ShapeError: a crop that leaves nothing.

    Example:
        >>> np.asarray(pad([0.0, 1.0, 2.0], 2, mode="reflect")).tolist()
        [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0]
    """
    rank = len(_shape(x))
    if rank == 0:
        raise ShapeError(
            compose("pad: x", "has rank 0", expected="at least one axis", fix="x[None]"),
            argument="x",
        )
    widths = _pad_widths(pad_width, rank)
    modes = geometry.normalize_padding_mode(mode, rank)
    names = [f"a{i}" for i in range(rank)]
    if any("renormalize" in pair for pair in modes):
        raise ArgumentError(
            compose(
                f"mode={mode!r}",
                "rescales sums, and padding has none",
                expected="'constant', 'edge', 'reflect', 'symmetric' or 'wrap'",
                fix='mode="constant"',
            ),
            argument="mode",
            value=mode,
        )
    used = [i for i in range(rank) if widths[i] != (0, 0)]
    if not used:
        return _in_own_dtype(x, engine.conv(f"{' '.join(names)} -> {' '.join(names)}", x))
    constant = any("constant" in modes[i] for i in used)
    inside = [f"({n}+k{i})" if i in used else n for i, n in enumerate(names)]
    pattern = f"{' '.join(inside)} -> {' '.join(names)}"
    taps: dict[str, Any] = {f"k{i}": 1 for i in used}
    result = engine.conv(
        pattern,
        x,
        padding={names[i]: widths[i] for i in used},
        padding_mode={names[i]: modes[i] for i in used},
        padding_value=constant_values if constant else None,
        **taps,
    )
    return _in_own_dtype(x, result, constant_values if constant else None)


def unfold(
    x: Any,
    kernel_size: Any,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    data_format: str | None = None,
) -> Any:
    """Return every window as axes of its own.

    ``out[b,h,w,kh,kw,c] = x[b, s*h+d*kh, s*w+d*kw, c]``

    Args:
        x: ``(batch, *spatial, channels)``, or channels first.
        kernel_size: an int, or one for each spatial axis.
        strides: this and all others as in `conv`.

    Returns:
        ``(batch, *output_size, *kernel_size, channels)``; channels first
        ``(batch, channels, *output_size, *kernel_size)``.

    Raises:
        ShapeError: another rank, or an empty output.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> tuple(unfold(np.ones((1, 5, 5, 3), "float32"), 3).shape)
        (1, 3, 3, 3, 3, 3)
    """
    rank = _data_rank("unfold", _shape(x))
    last = _channels_last(data_format)
    spatial, taps, out = _axes(
        rank, _tuple(strides, rank, "strides"), _tuple(dilation_rate, rank, "dilation_rate")
    )
    result = f"b {out} {taps} c" if last else f"b c {out} {taps}"
    counts = _tuple(kernel_size, rank, "kernel_size")
    sizes: dict[str, Any] = {f"k{n}": k for n, k in zip(_names(rank), counts, strict=True)}
    patches = engine.conv(
        f"{_data(spatial, 'c', last)} -> {result}",
        x,
        **_edges(rank, padding, padding_mode, padding_value),
        **sizes,
    )
    return _in_own_dtype(x, patches, padding_value)


def fold(
    patches: Any,
    output_size: Any,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    dilation_rate: Any = 1,
    data_format: str | None = None,
) -> Any:
    """Sum windows back to where `unfold` read them: its exact adjoint.

    ``out[b, s*h+d*kh, s*w+d*kw, c] += patches[b,h,w,kh,kw,c]``

    Args:
        patches: ``(batch, *positions, *kernel_size, channels)``, or channels first
            ``(batch, channels, *positions, *kernel_size)``.
        output_size: the spatial size that `unfold` read: an int, or one for each axis.
        strides: this and all others as given to `unfold`.

    Returns:
        ``(batch, *output_size, channels)``, or channels first.

    Raises:
        ShapeError: positions that `unfold` wouldn't make from `output_size`.
        ArgumentError: an argument with a value that no call accepts.

    Example:
        >>> tuple(fold(np.ones((1, 3, 3, 3, 3, 2), "float32"), 5).shape)
        (1, 5, 5, 2)
    """
    shape = _shape(patches)
    last = _channels_last(data_format)
    rank = (len(shape) - 2) // 2
    if len(shape) < 4 or len(shape) % 2:
        raise ShapeError(
            compose(
                "fold",
                f"patches have rank {len(shape)}",
                expected="(batch, *positions, *kernel_size, channels)",
                received=f"shape {shape}",
                fix="patches as unfold returns them",
            ),
            argument="patches",
            value=shape,
        )
    body = shape[1:-1] if last else shape[2:]
    positions, taps = body[:rank], body[rank:]
    sizes = _tuple(output_size, rank, "output_size")
    stride, dilation = (
        _tuple(strides, rank, "strides"),
        _tuple(dilation_rate, rank, "dilation_rate"),
    )
    pads: list[tuple[int, int]] = []
    for n, h, k, s, d, entry in zip(
        sizes,
        positions,
        taps,
        stride,
        dilation,
        geometry.normalize_padding(padding, rank),
        strict=True,
    ):
        low, high = geometry.resolve_padding(entry, n, k, s, d)
        made = geometry.output_size(n, k, s, d, geometry.Pads(low, high))
        if low is None or high is None or k is None or h is None or made != h:
            raise ShapeError(
                compose(
                    f"fold: output_size={output_size!r}",
                    f"would unfold to {made} positions",
                    expected=f"the {h} positions of the patches",
                    received=f"shape {shape}",
                    fix="the arguments that unfold was given",
                ),
                argument="output_size",
                value=output_size,
            )
        # Entries that no window reached are written too, so that the size comes out exactly.
        whole = s * (h - 1) + geometry.effective_kernel_size(k, d)
        pads.append((low, whole - low - n))
    windows, tap_names, plain = _axes(rank, stride, dilation)
    source = f"b {plain} {tap_names} c" if last else f"b c {plain} {tap_names}"
    names = _names(rank)
    modes = geometry.normalize_padding_mode(padding_mode, rank)
    return engine.conv(
        f"{source} -> {_data(windows, 'c', last)}",
        patches,
        padding=dict(zip(names, pads, strict=True)),
        padding_mode=dict(zip(names, modes, strict=True)),
    )


SMALL_INTEGERS = ("bool", "int8", "uint8", "int16", "uint16")
"""What `engine.conv` widens to int32."""

_SPATIAL = {1: ("w",), 2: ("h", "w"), 3: ("z", "h", "w")}


def _names(rank: int) -> tuple[str, ...]:
    return _SPATIAL.get(rank) or tuple(f"x{i}" for i in range(rank))


@lru_cache(maxsize=1024)
def _axes(rank: int, strides: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[str, str, str]:
    """Return the text of windows, of taps and of positions."""
    names = _names(rank)
    windows = [
        f"({s if s > 1 else ''}{n}+{d if d > 1 else ''}k{n})"
        for n, s, d in zip(names, strides, dilations, strict=True)
    ]
    return " ".join(windows), " ".join(f"k{n}" for n in names), " ".join(names)


def _data(spatial: str, channels: str, last: bool) -> str:
    return f"b {spatial} {channels}" if last else f"b {channels} {spatial}"


@lru_cache(maxsize=1024)
def _conv_pattern(
    rank: int, strides: tuple[int, ...], dilations: tuple[int, ...], grouped: bool, last: bool
) -> str:
    spatial, taps, out = _axes(rank, strides, dilations)
    inner, kernel, outer = ("(g i)", "i (g o)", "(g o)") if grouped else ("i", "i o", "o")
    return f"{_data(spatial, inner, last)}, {taps} {kernel} -> {_data(out, outer, last)}"


def _edges(rank: int, padding: Any, mode: Any, value: float | None) -> dict[str, Any]:
    """Return the padding arguments of `engine.conv`; one word for all axes stays one word."""
    names = _names(rank)
    edges: dict[str, Any] = {"padding": padding, "padding_mode": mode, "padding_value": value}
    if not isinstance(padding, str | int):
        entries = geometry.normalize_padding(padding, rank)
        edges["padding"] = dict(zip(names, entries, strict=True))
    if not isinstance(mode, str):
        modes = geometry.normalize_padding_mode(mode, rank)
        edges["padding_mode"] = dict(zip(names, modes, strict=True))
    return edges


def _in_own_dtype(x: Any, result: Any, value: float | None = None) -> Any:
    """Return what was only moved, not summed, in the integer dtype that it had before.

    Raises:
        DtypeError: the dtype of `x` doesn't hold the fill `value`.
    """
    if not hasattr(x, "dtype"):
        return result
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype not in SMALL_INTEGERS:
        return result
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if value is not None and not low <= value <= high:
        raise DtypeError(
            compose(
                f"constant_values={value!r}",
                f"doesn't fit in {dtype}",
                expected=f"a number from {low} to {high}",
                fix="a cast of x to int32 or float32",
            ),
            argument="constant_values",
            value=value,
        )
    return keras.ops.cast(result, dtype)


def _tuple(value: Any, rank: int, argument: str) -> tuple[int, ...]:
    return geometry.normalize_tuple(value, rank, argument)


def _shape(x: Any) -> tuple[int | None, ...]:
    shape = getattr(x, "shape", None)
    if shape is not None:
        try:
            return tuple(shape)
        except ValueError:
            raise ShapeError(
                compose(
                    "operand",
                    "its rank is unknown",
                    expected="a tensor whose number of axes is known",
                    fix="x.set_shape(...) or tf.ensure_shape",
                ),
                argument="x",
            ) from None
    try:
        return np.shape(x)
    except ValueError:
        from convsmith.dtypes import host_dtype

        host_dtype(x)
        raise


def _channels_last(data_format: str | None) -> bool:
    if data_format is None:
        data_format = keras.config.image_data_format()
    word = data_format.lower() if isinstance(data_format, str) else data_format
    if word not in DATA_FORMATS:
        raise ArgumentError(
            compose(
                f"data_format={data_format!r}",
                "is unknown",
                expected=f"one of {', '.join(map(repr, DATA_FORMATS))}",
                fix='data_format="channels_last"',
            ),
            argument="data_format",
            value=data_format,
        )
    return word == "channels_last"


def _data_rank(name: str, shape: tuple[int | None, ...]) -> int:
    rank = len(shape) - 2
    if rank < 1:
        raise ShapeError(
            compose(
                f"{name}: x",
                f"has rank {len(shape)}",
                expected="a batch axis, spatial axes and a channel axis",
                received=f"shape {shape}",
                fix="x[None, ..., None] for one image without channels",
            ),
            argument="x",
            value=shape,
        )
    return rank


def _rank(
    name: str, shape: tuple[int | None, ...], kernel_shape: tuple[int | None, ...], extra: int
) -> int:
    rank = len(kernel_shape) - extra
    if rank < 1 or len(shape) != rank + 2:
        fix = (
            "x[None] for a single example"
            if len(shape) == rank + 1
            else ("a kernel (*kernel_size, in, out) with one size for each spatial axis of x")
        )
        raise ShapeError(
            compose(
                f"{name}: x",
                f"has rank {len(shape)} and the kernel rank {len(kernel_shape)}",
                expected="equal ranks: (batch, *spatial, channels) and (*kernel_size, in, out)",
                received=f"x {shape}, kernel {kernel_shape}",
                fix=fix,
            ),
            argument="x",
            value=shape,
        )
    return rank


def _channels_error(
    name: str,
    shape: tuple[int | None, ...],
    kernel_shape: tuple[int | None, ...],
    channels: int,
    depth: int,
    groups: int,
    last: bool,
) -> ShapeError:
    other = shape[1 if last else -1]
    fix = f"a kernel for {channels} channels"
    rank = len(kernel_shape) - 2
    if other == depth * groups:
        fix = f'data_format="{"channels_first" if last else "channels_last"}"'
    elif kernel_shape[1] == channels and rank >= 2 and kernel_shape[0] != channels:
        order = (*range(2, rank + 2), 1, 0)
        fix = f"kernel.transpose({order}): the shape looks like (filters, in, *kernel_size)"
    elif kernel_shape[-1] == channels and name == "conv":
        fix = "numpy.swapaxes(kernel, -1, -2): the shape looks like (*kernel_size, filters, in)"
    whole = f"{depth} x groups={groups}" if groups > 1 else str(depth)
    return ShapeError(
        compose(
            f"{name}: x",
            f"has {channels} channels and the kernel is for {whole}",
            expected="channels = in * groups",
            received=f"x {shape}, kernel {kernel_shape}, "
            f"{'channels_last' if last else 'channels_first'}",
            fix=fix,
        ),
        argument="kernel",
        value=kernel_shape,
    )


def _pad_widths(pad_width: Any, rank: int) -> tuple[tuple[int, int], ...]:
    if not isinstance(pad_width, Sequence | np.ndarray):
        both = geometry.integer(pad_width, "pad_width")
        return ((both, both),) * rank
    entries = [e.tolist() if isinstance(e, np.ndarray) else e for e in pad_width]
    if len(entries) == 2 and not any(isinstance(e, Sequence) for e in entries):
        low, high = (geometry.integer(e, "pad_width") for e in entries)
        return ((low, high),) * rank
    pairs = [e for e in entries if isinstance(e, Sequence) and len(e) == 2]
    if len(entries) != rank or len(pairs) != rank:
        raise ArgumentError(
            compose(
                f"pad_width={pad_width!r}",
                "is not understood",
                expected=f"an int, a pair (low, high), or {rank} pairs",
                fix=f"pad_width={((1, 1),) * rank}",
            ),
            argument="pad_width",
            value=pad_width,
        )
    return tuple(
        (geometry.integer(a, "pad_width"), geometry.integer(b, "pad_width")) for a, b in pairs
    )

"""Padding, and windows as axes of their own: what is moved and not summed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convsmith import engine, geometry
from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.ops.arguments import (
    axis_texts,
    data_rank,
    data_text,
    edge_arguments,
    in_own_dtype,
    is_channels_last,
    shape_of,
    spatial_names,
)


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
    rank = len(shape_of(x))
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
        return in_own_dtype(x, engine.conv(f"{' '.join(names)} -> {' '.join(names)}", x))
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
    return in_own_dtype(x, result, constant_values if constant else None)


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
    rank = data_rank("unfold", shape_of(x))
    last = is_channels_last(data_format)
    spatial, taps, out = axis_texts(
        rank,
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
    )
    result = f"b {out} {taps} c" if last else f"b c {out} {taps}"
    counts = geometry.normalize_tuple(kernel_size, rank, "kernel_size")
    sizes: dict[str, Any] = {f"k{n}": k for n, k in zip(spatial_names(rank), counts, strict=True)}
    patches = engine.conv(
        f"{data_text(spatial, 'c', last)} -> {result}",
        x,
        **edge_arguments(rank, padding, padding_mode, padding_value),
        **sizes,
    )
    return in_own_dtype(x, patches, padding_value)


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
    shape = shape_of(patches)
    last = is_channels_last(data_format)
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
    sizes = geometry.normalize_tuple(output_size, rank, "output_size")
    stride, dilation = (
        geometry.normalize_tuple(strides, rank, "strides"),
        geometry.normalize_tuple(dilation_rate, rank, "dilation_rate"),
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
    windows, tap_names, plain = axis_texts(rank, stride, dilation)
    source = f"b {plain} {tap_names} c" if last else f"b c {plain} {tap_names}"
    names = spatial_names(rank)
    modes = geometry.normalize_padding_mode(padding_mode, rank)
    return engine.conv(
        f"{source} -> {data_text(windows, 'c', last)}",
        patches,
        padding=dict(zip(names, pads, strict=True)),
        padding_mode=dict(zip(names, modes, strict=True)),
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

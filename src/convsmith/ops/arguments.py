"""What the shortcuts share: the text of patterns, and checks of their arguments."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np

from convsmith import geometry
from convsmith.errors import ArgumentError, DtypeError, ShapeError, compose

DATA_FORMATS = ("channels_last", "channels_first")
SMALL_INTEGERS = ("bool", "int8", "uint8", "int16", "uint16")
"""What `engine.conv` widens to int32."""

_SPATIAL = {1: ("w",), 2: ("h", "w"), 3: ("z", "h", "w")}


Shape = tuple[int | None, ...]


def checked(call: Any, *arguments: Any) -> tuple[str, dict[str, Any]]:
    """Return what a cached `call` makes of its arguments: a pattern and `engine.conv`'s arguments.

    In eager mode checking the same arguments again would cost half of what the call itself does.
    """
    try:
        return call(*arguments)
    except TypeError:
        # Something that no cache takes, such as a list; or an error of ours, which comes again.
        return call.__wrapped__(*arguments)


def spatial_names(rank: int) -> tuple[str, ...]:
    return _SPATIAL.get(rank) or tuple(f"x{i}" for i in range(rank))


@lru_cache(maxsize=1024)
def axis_texts(
    rank: int, strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[str, str, str]:
    """Return the text of windows, of taps and of positions."""
    names = spatial_names(rank)
    windows = [
        f"({s if s > 1 else ''}{n}+{d if d > 1 else ''}k{n})"
        for n, s, d in zip(names, strides, dilations, strict=True)
    ]
    return " ".join(windows), " ".join(f"k{n}" for n in names), " ".join(names)


def data_text(spatial: str, channels: str, last: bool) -> str:
    return f"b {spatial} {channels}" if last else f"b {channels} {spatial}"


@lru_cache(maxsize=1024)
def conv_pattern(
    rank: int, strides: tuple[int, ...], dilations: tuple[int, ...], grouped: bool, last: bool
) -> str:
    spatial, taps, out = axis_texts(rank, strides, dilations)
    inner, kernel, outer = ("(g i)", "i (g o)", "(g o)") if grouped else ("i", "i o", "o")
    return f"{data_text(spatial, inner, last)}, {taps} {kernel} -> {data_text(out, outer, last)}"


def edge_arguments(rank: int, padding: Any, mode: Any, value: float | None) -> dict[str, Any]:
    """Return the padding arguments of `engine.conv`; one word for all axes stays one word."""
    names = spatial_names(rank)
    edges: dict[str, Any] = {"padding": padding, "padding_mode": mode, "padding_value": value}
    if not isinstance(padding, str | int):
        entries = geometry.normalize_padding(padding, rank)
        edges["padding"] = dict(zip(names, entries, strict=True))
    if not isinstance(mode, str):
        modes = geometry.normalize_padding_mode(mode, rank)
        edges["padding_mode"] = dict(zip(names, modes, strict=True))
    return edges


def in_own_dtype(x: Any, result: Any, value: float | None = None) -> Any:
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


def shape_of(x: Any) -> tuple[int | None, ...]:
    shape = getattr(x, "shape", None)
    if shape is not None:
        try:
            # TensorFlow's own shapes are slow to iterate over.
            return tuple(shape.as_list() if hasattr(shape, "as_list") else shape)
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


def is_channels_last(data_format: str | None) -> bool:
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


def data_rank(name: str, shape: tuple[int | None, ...]) -> int:
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


def kernel_rank(
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


def channels_error(
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

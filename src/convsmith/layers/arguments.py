"""Checks that all convolution layers share: their arguments, and the shape of their input.

They run before any backend sees a tensor: one backend aborts the whole process on an input of the
wrong rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras

from convsmith import geometry
from convsmith.errors import ArgumentError, DtypeError, ShapeError, compose
from convsmith.ops.transposed import transposed_crops

Size = int | None
Shape = tuple[Size, ...]
DataFormat = Literal["channels_last", "channels_first"]
SPATIAL_AXES = ("depth", "height", "width")
DATA_FORMATS: tuple[DataFormat, ...] = ("channels_last", "channels_first")

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


def spatial_axes(rank: int) -> tuple[str, ...]:
    """Return what the spatial axes are called in messages."""
    return SPATIAL_AXES[-rank:] if rank <= 3 else tuple(f"axis_{i}" for i in range(1, rank + 1))


def stored_padding(padding: Any, rank: int) -> Any:
    """Return the checked padding in the form that a layer keeps and saves.

    Words and whole numbers stay as they are, as in Keras; the rest becomes one entry per axis.
    """
    entries = geometry.normalize_padding(padding, rank)
    if isinstance(padding, str | int):
        return entries[0]
    return entries


def stored_padding_mode(mode: Any, rank: int) -> Any:
    """Return the checked padding mode in the form that a layer keeps and saves."""
    pairs = geometry.normalize_padding_mode(mode, rank)
    return pairs[0][0] if isinstance(mode, str) else pairs


def stored_padding_value(value: Any, mode: Any, rank: int) -> float | None:
    """Return the checked padding value.

    Raises:
        ArgumentError: it is neither None nor a number, or `mode` doesn't use it.
    """
    if value is None:
        return None
    return geometry.fill(value, geometry.normalize_padding_mode(mode, rank), 0.0)


def resolved_data_format(data_format: Any) -> DataFormat:
    """Return the data format, Keras's configured one for None.

    Raises:
        ArgumentError: another word.
    """
    if data_format is None:
        data_format = keras.config.image_data_format()
    word = data_format.lower() if isinstance(data_format, str) else data_format
    if word in DATA_FORMATS:
        return word
    raise ArgumentError(
        compose(
            f"data_format={data_format!r}",
            "is not a data format",
            expected="'channels_last' or 'channels_first'",
            fix='data_format="channels_last"',
        ),
        argument="data_format",
        value=data_format,
    )


def input_shape_of(inputs: Any) -> Shape | None:
    """Return the static shape of a tensor, or None where its rank isn't known yet.

    Sizes that a tracing compiler holds as symbols are None.
    """
    shape = getattr(inputs, "shape", None)
    if shape is None or callable(shape):
        return None
    try:
        return tuple(n if isinstance(n, int) else None for n in shape)
    except ValueError:  # a graph tensor of unknown rank
        return None


def check_input_shape(
    where: str,
    shape: Sequence[Size],
    rank: int,
    data_format: DataFormat,
    channels: int | None = None,
) -> None:
    """Check rank and channels of a layer's input; `channels` is what it was built for.

    Raises:
        ShapeError: another rank, an unknown number of channels, or another number than before.
    """
    shape = tuple(shape)
    spatial = spatial_axes(rank)
    last = data_format == "channels_last"
    axes = ("batch", *spatial, "channels") if last else ("batch", "channels", *spatial)
    expected = f"{rank + 2} axes ({', '.join(axes)}), data_format={data_format!r}"
    if len(shape) != rank + 2:
        axis = -1 if last else 1
        fix = "an input with these axes"
        if len(shape) == rank + 1:
            fix = (
                "x[None] for a single sample without batch axis, or "
                f"keras.ops.expand_dims(x, {axis}) for samples without channel axis"
            )
        raise ShapeError(
            compose(
                where,
                f"the input has {len(shape)} axes",
                expected=expected,
                received=f"shape {shape}",
                fix=fix,
            ),
            argument="inputs",
            value=shape,
        )
    found = shape[-1] if last else shape[1]
    if found is None:
        raise ShapeError(
            compose(
                where,
                "the number of channels is unknown, so the kernel can't be shaped",
                expected=expected,
                received=f"shape {shape}",
                fix="keras.Input with the channels given; batch and sizes may be None",
            ),
            argument="inputs",
            value=shape,
        )
    if channels is None or found == channels:
        return
    other = shape[1] if last else shape[-1]
    swapped = DATA_FORMATS[1] if last else DATA_FORMATS[0]
    raise ShapeError(
        compose(
            where,
            f"the input has {found} channels",
            expected=f"{channels}, which the kernel reads, in {expected}",
            received=f"shape {shape}",
            fix=f'data_format="{swapped}"' if other == channels else f"{channels} channels",
        ),
        argument="inputs",
        value=shape,
    )


def check_groups(where: str, channels: int, groups: int, shape: Sequence[Size]) -> None:
    """Check that the channels of an input can be split.

    Raises:
        ShapeError: they can't.
    """
    if channels % groups:
        raise ShapeError(
            compose(
                where,
                f"{channels} input channels can't be split into groups={groups}",
                expected="a multiple of groups",
                received=f"shape {tuple(shape)}",
                fix="groups=1",
            ),
            argument="groups",
            value=groups,
        )


def check_filters(where: str, filters: int, groups: int) -> None:
    """Check that the filters can be split.

    Raises:
        ArgumentError: they can't.
    """
    if filters % groups:
        raise ArgumentError(
            compose(
                f"{where}: filters={filters}",
                f"can't be split into groups={groups}",
                expected="a multiple of groups",
                fix=f"filters={-(-filters // groups) * groups}",
            ),
            argument="filters",
            value=filters,
        )


def output_sizes(
    sizes: Sequence[Size],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Any,
    dilation_rate: Sequence[int],
) -> Shape:
    """Return the spatial sizes of a convolution's output; None stays None.

    Raises:
        ShapeError: the kernel reaches beyond the padded input.
    """
    rank = len(kernel_size)
    names = spatial_axes(rank)
    paddings = geometry.normalize_padding(padding, rank)
    result = []
    for axis, size in enumerate(sizes):
        kernel, stride, dilation = kernel_size[axis], strides[axis], dilation_rate[axis]
        pads = geometry.resolve_padding(paddings[axis], size, kernel, stride, dilation)
        result.append(geometry.output_size(size, kernel, stride, dilation, pads, axis=names[axis]))
    return tuple(result)


def transposed_sizes(
    sizes: Sequence[Size],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Any,
    dilation_rate: Sequence[int],
    output_padding: Any,
) -> Shape:
    """Return the spatial sizes of a transposed convolution's output; None stays None.

    Raises:
        ShapeError: the crop leaves nothing.
    """
    names = spatial_axes(len(kernel_size))
    crops = transposed_crops(padding, output_padding, kernel_size, strides, dilation_rate)
    axes = zip(sizes, kernel_size, strides, dilation_rate, crops, names, strict=True)
    return tuple(
        geometry.transposed_size(size, taps, stride, dilation, geometry.Pads(*crop), axis=name)
        for size, taps, stride, dilation, crop, name in axes
    )


def plain_integers(value: Any, argument: str) -> Any:
    """Return a tensor's numbers as ints; anything else as it is.

    Raises:
        ArgumentError: the numbers aren't known while the call is traced.
    """
    if isinstance(value, int | str | tuple | list) or not hasattr(value, "shape"):
        return value
    try:
        if isinstance(value, keras.KerasTensor):
            raise TypeError("a symbolic tensor has no numbers yet")
        numbers = ops.convert_to_numpy(value).tolist()
    except Exception as error:
        raise ArgumentError(
            compose(
                f"{argument}: a tensor",
                "its numbers aren't known while the call is traced, and the output's shape "
                "depends on them",
                expected="an int, or one for each spatial axis; tensors in eager calls only",
                received=f"{type(value).__name__} of shape {tuple(value.shape)}",
                fix=f"{argument}=2 as a Python int (another int traces the call again)",
            ),
            argument=argument,
            value=value,
        ) from error
    return tuple(numbers) if isinstance(numbers, list) else numbers


def as_floating(inputs: Any, dtype: str) -> Any:
    """Return the inputs with whole numbers (a uint8 image) cast to the layer's dtype.

    Keras leaves them whole, and then the kernel would be truncated or the call refused.

    Raises:
        DtypeError: the inputs are text.
    """
    given = keras.backend.standardize_dtype(inputs.dtype)
    if given == "string":
        raise DtypeError(
            compose(
                "inputs of dtype string",
                "are not numbers",
                expected="an array of numbers",
                fix="x.astype('float32')",
            ),
            argument="inputs",
            value=given,
        )
    whole = given == "bool" or "int" in given
    return ops.cast(inputs, dtype) if whole else inputs

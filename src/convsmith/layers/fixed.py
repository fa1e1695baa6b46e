"""Convolutions with a given kernel: an array or the name of a filter."""

from __future__ import annotations

from functools import reduce
from math import isfinite
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith import engine, geometry, kernels
from convsmith.dtypes import HALVES
from convsmith.errors import ArgumentError, DtypeError, KernelError, ShapeError, compose
from convsmith.kernels.factors import ROUNDINGS
from convsmith.kernels.layout import numeric_array
from convsmith.layers.arguments import (
    SPATIAL_AXES,
    DataFormat,
    Shape,
    as_floating,
    check_input_shape,
    output_sizes,
    resolved_data_format,
)
from convsmith.layers.windowed import Windowed
from convsmith.separation import Separation, separation

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

WORTH_SEPARATING = 4
"""How many times fewer multiplications make up for the passes that lines take."""


class FixedConvolution(Windowed):
    """What the three ranks share."""

    def __init__(
        self,
        kernel: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        *,
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        channel_axis: str | None = "auto",
        layout: str | None = None,
        trainable: bool = False,
        separable: bool | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, **kwargs)
        rank = self.spatial_rank
        self.strides = geometry.normalize_tuple(strides, rank, "strides")
        self.data_format: DataFormat = resolved_data_format(data_format)
        self._set_edges(padding, padding_mode, padding_value, dilation_rate)
        self.channel_axis = _checked_channel_axis(channel_axis)
        self.kernel_name = kernel if isinstance(kernel, str) else None
        self._named_layout = layout
        array = fixed_kernel(kernel, rank, layout)
        if self.channel_axis is None and array.ndim == rank + 2 and array.shape[-2] != 1:
            raise KernelError(
                compose(
                    f"kernel of shape {array.shape}",
                    f"mixes {array.shape[-2]} channels",
                    expected="a kernel for one channel, since channel_axis=None",
                    fix='channel_axis="auto"',
                ),
                argument="kernel",
                value=array.shape,
            )
        self._array = array
        terms = _terms(separation(self._pattern), array, separable, trainable, self.variable_dtype)
        # A file must find the weights that were saved, whatever is automatic by then.
        self.separable = separable if separable is not None else terms is not None
        arrays = {"kernel": array}
        if terms is not None:
            names = (f"kernel_{axis}" for axis in SPATIAL_AXES[-rank:])
            arrays = dict(zip(names, map(np.stack, zip(*terms, strict=True)), strict=True))
        # A weight that is created fixed stays so when all layers are made trainable.
        self._kernels = [
            self.add_weight(
                name=name, shape=one.shape, initializer=_Exactly(one), trainable=trainable
            )
            for name, one in arrays.items()
        ]

    def build(self, input_shape: Any) -> None:
        """Check that the kernel fits the input."""
        self._check_input(input_shape)

    @property
    def kernel(self) -> Any:
        """The kernel: the weight itself, or what the lines of a separated kernel add up to."""
        if len(self._kernels) == 1:
            return self._kernels[0]
        *first, last = self._kernels
        whole = ops.convert_to_tensor(last)
        for line in reversed(first):
            outer = ops.reshape(line, (*line.shape, *[1] * (len(whole.shape) - 1)))
            whole = outer * ops.expand_dims(whole, 1)
        return ops.reshape(ops.sum(whole, axis=0), self._array.shape)

    def call(
        self, inputs: Any, strides: Any = None, dilation_rate: Any = None, padding: Any = None
    ) -> Any:
        """Return the filtered inputs.

        `strides`, `dilation_rate` and `padding` stand for the constructor's in this call.
        """
        with self._geometry_of_call(strides, dilation_rate, padding):
            return self._filtered(as_floating(inputs, self.compute_dtype))

    def _filtered(self, inputs: Any) -> Any:
        names, pattern = self._positions(), self._pattern
        paddings = geometry.normalize_padding(self.geometry.padding, len(names))
        modes = geometry.normalize_padding_mode(self.padding_mode, len(names))
        edges = {
            "padding": dict(zip(names, paddings, strict=True)),
            "padding_mode": dict(zip(names, modes, strict=True)),
            "padding_value": self.padding_value,
        }
        weights = [ops.cast(kernel, inputs.dtype) for kernel in self._kernels]
        if len(weights) == 1:
            return engine.conv(pattern, inputs, weights[0], **edges)
        form = separation(pattern)
        assert form is not None
        # What half precision rounds between the lines would be lost twice.
        sums = "float32" if self.compute_dtype in HALVES else None
        results = [
            engine.conv(
                form.pattern,
                *form.operands((inputs, None), tuple(w[term] for w in weights)),
                accumulate_dtype=sums,
                **edges,
            )
            for term in range(weights[0].shape[0])
        ]
        return reduce(ops.add, results)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the output for an input shape, None where it isn't known."""
        self._check_input(input_shape)
        rank, array = self.spatial_rank, self._array
        last = self.data_format == "channels_last"
        start = 1 if last or self.channel_axis is None else 2
        sizes = output_sizes(
            input_shape[start : start + rank],
            array.shape[:rank],
            *self.geometry,
        )
        channels = 1 if self.channel_axis is None else input_shape[-1 if last else 1]
        if array.ndim > rank:
            each = array.ndim == rank + 1
            channels = array.shape[-1] * (channels if each else 1)
        elif self.channel_axis is None:
            return (input_shape[0], *sizes)
        return (input_shape[0], *sizes, channels) if last else (input_shape[0], channels, *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the kernel as a name or as nested lists."""
        rank = self.spatial_rank
        letters = kernels.LAYOUTS[rank][0]
        layouts = {rank: letters[:rank], rank + 1: letters[:rank] + "O", rank + 2: letters}
        kernel: Any = self.kernel_name
        if kernel is None:
            # Every floating dtype's values are exact in float64, and so in JSON.
            values = self._array.astype(np.float64).tolist()
            kernel = {"values": values, "dtype": self._array.dtype.name}
        return {
            **super().get_config(),
            "kernel": kernel,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "channel_axis": self.channel_axis,
            "layout": self._named_layout if self.kernel_name else layouts[self._array.ndim],
            "separable": self.separable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the layer that `get_config` described."""
        kernel = config["kernel"]
        if isinstance(kernel, dict):
            kernel = np.asarray(kernel["values"], dtype=_dtype_named(kernel["dtype"]))
        return super().from_config({**config, "kernel": kernel})

    def _positions(self) -> tuple[str, ...]:
        return ("d", "h", "w")[3 - self.spatial_rank :]

    @property
    def _pattern(self) -> str:
        """The pattern of the call that runs."""
        rank, now = self.spatial_rank, self.geometry
        names = self._positions()
        windows = " ".join(
            f"({stride}{name}+{dilation}k{name})"
            for name, stride, dilation in zip(names, now.strides, now.dilation_rate, strict=True)
        )
        # Axes after the taps: none (one filter), n (a bank), or i n (channels mixed).
        extra = ("", "n", "i n")[self._array.ndim - rank]
        channel, result = (("c", "c"), ("c", "(c n)"), ("i", "n"))[self._array.ndim - rank]
        if self.channel_axis is None:
            extra, channel = extra.replace("i", "1"), ""
            result = "n" if extra else ""
        kernel = f"{' '.join(f'k{name}' for name in names)} {extra}"
        outputs = " ".join(names)
        if self.data_format == "channels_last":
            pattern = f"b {windows} {channel}, {kernel} -> b {outputs} {result}"
        else:
            pattern = f"b {channel} {windows}, {kernel} -> b {result} {outputs}"
        return " ".join(pattern.split()).replace(" ,", ",")

    def _channels(self) -> None:
        return None  # A kernel that mixes channels says how many, built or not.

    def _check_input(self, shape: Any, channels: int | None = None) -> None:
        where, shape = f"{type(self).__name__} {self.name!r}", tuple(shape)
        rank = self.spatial_rank
        if self.channel_axis is None:
            if len(shape) != rank + 1:
                raise ShapeError(
                    compose(
                        where,
                        f"the input has {len(shape)} axes",
                        expected=f"{rank + 1} axes (batch, {', '.join(SPATIAL_AXES[-rank:])}), "
                        "since channel_axis=None",
                        received=f"shape {shape}",
                        fix="x[None] for a single sample"
                        if len(shape) == rank
                        else 'channel_axis="auto" for inputs with channels',
                    ),
                    argument="inputs",
                    value=shape,
                )
            return
        check_input_shape(where, shape, rank, self.data_format)
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        if self._array.ndim == rank + 2 and self._array.shape[-2] != channels:
            kernels.as_kernel(self._array, rank, channels)  # refuses, and says what would fit


def _terms(
    form: Separation | None,
    kernel: NDArray[Any],
    separable: bool | float | None,
    trainable: bool,
    dtype: str,
) -> list[Any] | None:
    """Return the lines of a kernel that is to be taken apart: asked for, or much faster."""
    if isinstance(separable, bool) or separable is None:
        tolerance = None
    else:
        tolerance = float(separable)
        if not (isfinite(tolerance) and tolerance >= 0):
            raise ArgumentError(
                compose(
                    f"separable={separable!r}",
                    "is no share of the kernel's norm",
                    expected="None, True, False, or how much may be lost: a number from 0 on",
                    fix="separable=1e-3",
                ),
                argument="separable",
                value=separable,
            )
    if form is None or separable is False or kernel.size == 0:
        return None
    # The pattern doesn't name the single channel that `channel_axis=None` reads.
    own = len(form.names) - len(form.taps)
    flat = kernel.reshape(kernel.shape[: len(form.taps)] + kernel.shape[kernel.ndim - own :])
    if tolerance is not None:
        return form.terms(flat, tolerance)
    rounding = float(np.finfo(np.float64 if dtype == "float64" else np.float32).eps)
    if separable:
        return form.terms(flat, ROUNDINGS * rounding)
    if trainable or dtype not in ("float32", "float64"):
        return None
    terms = form.exact_terms(flat, rounding)
    if terms is None:
        return None
    multiplied = sum(line.size for lines in terms for line in lines)
    return terms if WORTH_SEPARATING * multiplied <= flat.size else None


class _Exactly:
    """An initializer that returns an array, and never broadcasts it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return ops.convert_to_tensor(self.array, dtype=dtype)


def fixed_kernel(kernel: Any, rank: int, layout: str | None) -> NDArray[Any]:
    """Return the checked array: one filter, a bank (..., n), or one that mixes channels.

    Raises:
        ArgumentError: an unknown name or layout.
        DtypeError: complex entries.
        KernelError: what `kernels.as_kernel` refuses, or axes that fit none of the three.
    """
    array = kernels.get(kernel, ndim=rank) if isinstance(kernel, str) else numeric_array(kernel)
    letters = kernels.LAYOUTS[rank][0]
    layouts = {rank: letters[:rank], rank + 1: letters[:rank] + "O", rank + 2: letters}
    if array.ndim not in layouts:
        raise KernelError(
            compose(
                f"kernel={kernel!r}" if isinstance(kernel, str) else f"kernel of {array.shape}",
                f"has {array.ndim} axes",
                expected=f"{rank} (one filter for every channel), {rank + 1} (a bank, stacked on "
                f"the last axis) or {rank + 2} ({letters}, mixing channels)",
                fix=f"FixedConv{array.ndim}D" if array.ndim in (1, 2, 3) else "numpy.squeeze",
            ),
            argument="kernel",
            value=array.shape,
        )
    if array.dtype.kind == "c":
        raise DtypeError(
            compose(
                f"kernel of dtype {array.dtype}",
                "is complex, and the layer's weights are real",
                expected="real numbers",
                fix="two layers, for kernel.real and kernel.imag",
            ),
            argument="kernel",
            value=array.dtype,
        )
    # Who states the layout has settled which axis counts the filters.
    stated = layout.upper() if isinstance(layout, str) else layout
    filters = None
    if isinstance(stated, str) and len(stated) == array.ndim:
        filters = array.shape[stated.index("O")] if "O" in stated else 1
    checked = kernels.as_kernel(array, rank, filters=filters, layout=stated or layouts[array.ndim])
    kept = [*checked.shape[:rank], *checked.shape[len(checked.shape) - array.ndim + rank :]]
    return checked.reshape(kept)


def _checked_channel_axis(channel_axis: Any) -> str | None:
    if channel_axis is None or channel_axis == "auto":
        return channel_axis
    raise ArgumentError(
        compose(
            f"channel_axis={channel_axis!r}",
            "is not a choice",
            expected='"auto" (where data_format says), or None for inputs without channel axis',
            fix='data_format="channels_first" or "channels_last"',
        ),
        argument="channel_axis",
        value=channel_axis,
    )


def _dtype_named(name: str) -> Any:
    # NumPy knows bfloat16 by its type only, not by its name.
    return np.float32 if name.startswith("bfloat") else np.dtype(name)


@keras.saving.register_keras_serializable(package="convsmith")
class FixedConv1D(FixedConvolution):
    """Filter signals with a given kernel, which isn't trained unless asked.

    Equation: as `FixedConv2D` with the width as the only spatial axis.

    Args and Raises: as `FixedConv2D`; the kernel is ``(width,)``, ``(width, n)`` or
    ``(width, in, out)``.

    Shapes: input ``(batch, width, channels)``, or as `data_format` and `channel_axis` say.

    Example:
        >>> tuple(FixedConv1D([-1.0, 1.0])(keras.ops.ones((2, 8, 3))).shape)
        (2, 7, 3)

    Source: none.
    """

    spatial_rank = 1


@keras.saving.register_keras_serializable(package="convsmith")
class FixedConv2D(FixedConvolution):
    """Filter images with a given kernel, which isn't trained unless asked.

    Equation: with the taps ``p = (S*h + D*kh - top, S*w + D*kw - left)``

    - one filter ``(kh, kw)``: ``y[b, h, w, c] = sum over kh, kw of x[b, p, c] * k[kh, kw]``;
    - a bank ``(kh, kw, n)``: ``y[b, h, w, c*N + n] = sum over kh, kw of
      x[b, p, c] * k[kh, kw, n]``;
    - mixing channels ``(kh, kw, i, o)``: ``y[b, h, w, o] = sum over kh, kw, i of
      x[b, p, i] * k[kh, kw, i, o]``.

    Gradients flow through it to earlier layers.

    Args:
        kernel: an array-like (list, NumPy array, any backend's tensor) of one of these shapes,
            or a name of `convsmith.kernels.names()`, also with arguments that are literals:
            ``"gaussian(sigma=2)"``.
        strides: an int, or one for each spatial axis.
        padding: ``"valid"`` (the default, as in Keras), ``"same"``, ``"same_lower"``,
            ``"full"``, ``"causal"``, an int, or for each axis an int or ``(low, high)``.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras's setting by default.
        dilation_rate: an int, or one for each spatial axis.
        padding_mode: as in `convsmith.layers.Conv2D`.
        padding_value: what ``"constant"`` fills with, 0 by default.
        channel_axis: ``"auto"``, or None for images without channel axis,
            ``(batch, height, width)``; one filter then gives the same axes, and a bank or a
            ``(kh, kw, 1, o)`` kernel adds a channel axis.
        layout: the letters of the kernel's axes if they aren't ``"HW"``, ``"HWO"`` or
            ``"HWIO"``, such as ``"OHW"`` or ``"OIHW"``.
        trainable: whether training moves the kernel. A kernel that was made fixed stays fixed,
            also when ``layer.trainable = True`` is set later.
        separable: whether the weights are lines, one for each spatial axis, whose outer products
            add up to the kernel: 31 + 31 multiplications instead of 31 * 31. By default where
            that loses no more than rounding and takes at most a quarter of the multiplications,
            unless the kernel is trained. True always does it, also for training such kernels;
            a number is how much may be lost, as a share of the kernel's 2-norm; False never does.
            ``layer.kernel`` is the whole kernel in any case.

    Shapes: input ``(batch, height, width, channels)``, or as `data_format` and `channel_axis`
    say. Floating dtypes; whole numbers (uint8 images) are cast to the compute dtype.

    Raises:
        ArgumentError: an argument that no input could make right, or an unknown name.
        DtypeError: a complex kernel.
        KernelError: a kernel that isn't finite numbers of 2, 3 or 4 axes, whose shape looks
            like another layout, or whose channels aren't the input's.
        ShapeError: another number of axes, or a kernel larger than the padded input.

    Example:
        >>> layer = FixedConv2D("sobel_x", padding="same", padding_mode="edge")
        >>> tuple(layer(np.ones((1, 8, 8, 3), "uint8")).shape)
        (1, 8, 8, 3)

    Source: none.
    """

    spatial_rank = 2


@keras.saving.register_keras_serializable(package="convsmith")
class FixedConv3D(FixedConvolution):
    """Filter volumes with a given kernel, which isn't trained unless asked.

    Equation: as `FixedConv2D` with the depth as the first spatial axis.

    Args and Raises: as `FixedConv2D`; the kernel is ``(depth, height, width)``, with ``n`` after
    them for a bank, or ``(depth, height, width, in, out)``.

    Shapes: input ``(batch, depth, height, width, channels)``, or as `data_format` and
    `channel_axis` say.

    Example:
        >>> tuple(FixedConv3D("laplacian")(keras.ops.ones((1, 5, 5, 5, 2))).shape)
        (1, 3, 3, 3, 2)

    Source: none.
    """

    spatial_rank = 3

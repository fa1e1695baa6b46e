"""JAX: `lax.conv_general_dilated` does any rank, group, pad and dilation in one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import keras
from jax import lax
from jax.core import Tracer
from jax.sharding import get_abstract_mesh

from convsmith.lowerings.base import YES, Support, Target
from convsmith.lowerings.borders import Border, pad_each
from convsmith.lowerings.jax_direct import direct as direct
from convsmith.lowerings.jax_product import bilinear as bilinear
from convsmith.lowerings.planes import in_planes
from convsmith.lowerings.tensors import reshape

if TYPE_CHECKING:
    from convsmith.lowerings.native import Form

NAME = "jax"
Tensor = Any


def is_tensor(x: Any) -> bool:
    """Whether `x` is a JAX array or tracer."""
    return isinstance(x, jax.Array)


def mode(operands: tuple[Any, ...]) -> str:
    """Return "jit": what is called eagerly is compiled as a whole, too."""
    return "jit"


def shapes(operands: tuple[Any, ...]) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes of tensors, None for what a graph leaves open."""
    return tuple([x.shape for x in operands])


def known_shapes(operands: tuple[Any, ...]) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes of tensors with every size that can be fixed now: no more than those."""
    return shapes(operands)


def opaque(function: Any) -> Any:
    """Return `function` such that compilers don't rewrite its Python: JAX never does."""
    return function


@cache
def device() -> str:
    """Return the kind of the default device."""
    return jax.default_backend()


def spread() -> bool:
    """Return whether XLA splits calls over several devices: by Keras's or by JAX's own mesh."""
    distribution = keras.distribution.distribution()
    if distribution is not None and distribution.device_mesh.devices.size > 1:
        return True
    return get_abstract_mesh().size > 1


def size(x: Tensor, axis: int) -> int:
    """Return the size of an axis."""
    return x.shape[axis]


def at_least(size: Any, minimum: int) -> Any:
    """Return a size, or `minimum` if it is smaller."""
    return max(size, minimum)


def held_dtype(dtype: str) -> str:
    """Return the dtype that a tensor made as `dtype` has: float32 for float64 unless x64 is on."""
    return str(jax.dtypes.canonicalize_dtype(dtype))


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, in the dtype of both."""
    return jnp.matmul(a, b)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger entries, in the dtype of both."""
    return jnp.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller entries, in the dtype of both."""
    return jnp.minimum(a, b)


def pad(x: Tensor, widths: list[tuple[int, int]], value: float) -> Tensor:
    """Return `x` with constant padding."""
    return lax.pad(x, jnp.asarray(value, x.dtype), [(low, high, 0) for low, high in widths])


def rfft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum of real numbers along the last axis, filled with zeros to `points`."""
    return jnp.fft.rfft(x, points)


def irfft(x: Tensor, points: int) -> Tensor:
    """Return the `points` real numbers whose spectrum lies along the last axis."""
    return jnp.fft.irfft(x, points)


def fft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum along the last axis, filled with zeros to `points`."""
    return jnp.fft.fft(x, points)


def ifft(x: Tensor) -> Tensor:
    """Return what the last axis is the spectrum of."""
    return jnp.fft.ifft(x)


def take_block(x: Tensor, axis: int, start: Any, count: int) -> Tensor:
    """Return `count` entries of an axis from a computed place on."""
    return lax.dynamic_slice_in_dim(x, start, count, axis)


def loop(rounds: int, body: Any, start: Tensor) -> Tensor:
    """Return what `body(round, state)` makes of a tensor in so many rounds."""
    return lax.fori_loop(0, rounds, body, start)


def pad_reading(x: Tensor, borders: tuple[Border, ...], value: float) -> Tensor:
    """Return `x` with borders that read other entries; the compiler fuses what this writes."""
    return pad_each(x, borders, value)


def linear_gradient(function: Any, shape: tuple[int, ...], output_gradient: Tensor) -> Tensor:
    """Return the gradient of a linear function of one tensor."""
    argument = jax.ShapeDtypeStruct(shape, output_gradient.dtype)
    return jax.linear_transpose(function, argument)(output_gradient)[0]


def map_entries(function: Any, one: Tensor, other: Tensor) -> Tensor:
    """Return what a function makes of each entry of two tensors, stacked."""
    return lax.map(lambda pair: function(*pair), (one, other))


def compiled(function: Any) -> Any:
    """Return the function, compiled as a whole: eager JAX would run and differentiate op by op."""
    return jax.jit(function)


def settled(tensors: Sequence[Any]) -> bool:
    """Whether tensors are values now, and no gradient of them is recorded."""
    return not any(isinstance(t, Tracer) for t in tensors)


def set_shape(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Shapes are always known here."""
    return x


def check_open_size(found: Any, minimum: int, message: str) -> Any:
    """Return an open size; a graph that could be stopped doesn't exist here."""
    return found


def conv_support(form: Form, target: Target) -> Support:
    """XLA's convolution is general; integers have no gradient rule that we could keep exact."""
    if target.dtype.startswith("int"):
        return Support(False, "XLA's integer convolutions aren't differentiable or fast")
    return YES


SAMPLES_FIRST = False
"""Where a kernel per sample is fastest: with the samples among the channels, innermost."""


def conv(form: Form, shape: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the convolution of a canonical form, whatever its layout."""
    if device() == "cpu":
        return in_planes(partial(partial, _conv), form, shape)
    return partial(_conv, form, shape)


def _conv(form: Form, shape: tuple[int, ...], x: Tensor, kernel: Tensor) -> Tensor:
    *taps, groups, depth, features = shape
    rank = form.rank
    if groups > 1 and depth > 1:
        kernel = jnp.swapaxes(reshape(kernel, shape), rank, rank + 1)
    kernel = reshape(kernel, (*taps, depth, groups * features))
    if form.transposed:
        kernel = jnp.flip(kernel, axis=tuple(range(rank)))
        pads = [(w.dilation * ((w.taps or 1) - 1),) * 2 for w in form.windows]
        strides, spread = [1] * rank, [w.stride for w in form.windows]
    else:
        pads = [tuple(w.pads) for w in form.windows]
        strides, spread = [w.stride for w in form.windows], [1] * rank
    dilations = [w.dilation for w in form.windows]
    return _convolved(x, kernel, strides, pads, spread, dilations, groups, form.channels_first)


def _convolved(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    pads: list[Any],
    spread: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    channels_first: bool,
) -> Tensor:
    """Return XLA's convolution, on a CPU by way of what is fast there."""
    rank = len(strides)
    spatial = tuple(range(2, rank + 2)) if channels_first else tuple(range(1, rank + 1))
    channel = 1 if channels_first else rank + 1
    data_spec = (0, channel, *spatial)
    size = None
    if rank == 2 and groups == 1 and device() == "cpu" and x.dtype.name == "float32":
        extra = _missing_channels(*kernel.shape[-2:]) if max(spread) == 1 else 0
        if extra:
            zero = jnp.zeros((), x.dtype)
            x = lax.pad(x, zero, [(0, extra if i == channel else 0, 0) for i in range(4)])
            kernel = lax.pad(kernel, zero, [(0, extra if i == 2 else 0, 0) for i in range(4)])
        if max(spread) == 1 and _unpadded_is_slow(x, kernel, pads):
            length, reach = x.shape[spatial[-1]], dilations[-1] * (kernel.shape[1] - 1)
            size = (length - reach - 1) // strides[-1] + 1
            pads = [pads[0], (0, 1)]
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=pads,  # type: ignore[arg-type]
        lhs_dilation=spread,
        rhs_dilation=dilations,
        dimension_numbers=lax.ConvDimensionNumbers(
            data_spec, (rank + 1, rank, *range(rank)), data_spec
        ),
        feature_group_count=groups,
    )
    return y if size is None else lax.slice_in_dim(y, 0, size, axis=spatial[-1])


LEAST_SLOW_CHANNELS = 16
"""Input channels from which on XLA's CPU convolution without any pad is the slower one."""

LEAST_SLOW_PATCHES = 1_000_000
"""Entries of all patches from which on that is worth a pad."""


def _unpadded_is_slow(x: Tensor, kernel: Tensor, pads: list[Any]) -> bool:
    """Whether one pad, and dropping what it adds, makes XLA's convolution up to 20 times faster.

    docs/decisions/0014-detours-around-slow-convolutions.md has the measurements.
    """
    taps = kernel.shape[:2]
    return (
        max(taps) > 1
        and kernel.shape[2] >= LEAST_SLOW_CHANNELS
        and x.size * math.prod(taps) >= LEAST_SLOW_PATCHES
        and all(tuple(p) == (0, 0) for p in pads)
    )


def _missing_channels(depth: int, features: int) -> int:
    """Return how many channels of zeros make XLA's CPU convolution up to 10 times faster.

    An odd number of them, such as the 3 of colours, misses its fast kernel for few features.
    """
    return -depth % 4 if depth % 2 and 1 < depth < 18 and 24 <= features < 64 else 0


def crops(form: Form, shape: tuple[int, ...]) -> bool:
    """Whether a transposed convolution leaves away what lies beyond the edges by itself: never."""
    return False


def sums_halves_wide(target: Target) -> bool:
    """Whether the native convolutions sum half precision in float32."""
    return True

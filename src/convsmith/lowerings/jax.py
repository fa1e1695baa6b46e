"""JAX: `lax.conv_general_dilated` does any rank, group, pad and dilation in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from convsmith.lowerings.base import YES, Support, Target
from convsmith.lowerings.borders import Border, pad_each
from convsmith.lowerings.jax_product import bilinear as bilinear
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


PLANES = False
"""Grouped convolutions are fastest with all channels innermost."""


def conv(form: Form, shape: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the convolution of a canonical form, whatever its layout."""
    return partial(_conv, form, shape)


def _conv(form: Form, shape: tuple[int, ...], x: Tensor, kernel: Tensor) -> Tensor:
    *taps, groups, depth, features = shape
    rank = form.rank
    if groups > 1 and depth > 1:
        kernel = jnp.swapaxes(reshape(kernel, shape), rank, rank + 1)
    kernel = reshape(kernel, (*taps, depth, groups * features))
    spatial = tuple(range(2, rank + 2)) if form.channels_first else tuple(range(1, rank + 1))
    channel = 1 if form.channels_first else rank + 1
    data_spec = (0, channel, *spatial)
    numbers = lax.ConvDimensionNumbers(data_spec, (rank + 1, rank, *range(rank)), data_spec)
    if form.transposed:
        kernel = jnp.flip(kernel, axis=tuple(range(rank)))
        pads = [(w.dilation * ((w.taps or 1) - 1),) * 2 for w in form.windows]
        strides, spread = [1] * rank, [w.stride for w in form.windows]
    else:
        pads = [tuple(w.pads) for w in form.windows]
        strides, spread = [w.stride for w in form.windows], [1] * rank
    detour = _unpadded_is_slow(form, x.dtype.name, shape, pads)
    if detour:
        pads[-1] = (0, 1)
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=pads,  # type: ignore[arg-type]
        lhs_dilation=spread,
        rhs_dilation=[w.dilation for w in form.windows],
        dimension_numbers=numbers,
        feature_group_count=groups,
    )
    if detour:
        axis = spatial[-1]
        y = lax.slice_in_dim(y, 0, y.shape[axis] - 1, axis=axis)
    return y


LEAST_SLOW_CHANNELS = 32
"""In and out, from which on XLA's CPU convolution without any pad is the slower one."""


def _unpadded_is_slow(form: Form, dtype: str, shape: tuple[int, ...], pads: list[Any]) -> bool:
    """Whether one pad, and dropping what it adds, makes XLA's CPU convolution up to 4 times faster.

    docs/decisions/0010-padding-modes-in-one-pass.md has the measurements.
    """
    *taps, groups, depth, features = shape
    return (
        device() == "cpu"
        and dtype == "float32"
        and len(taps) == 2
        and max(taps) > 1
        and not (form.transposed or form.channels_first)
        and groups == 1
        and min(depth, features) >= LEAST_SLOW_CHANNELS
        and all(w.stride == 1 for w in form.windows)
        and all(tuple(p) == (0, 0) for p in pads)
    )


def sums_halves_wide(target: Target) -> bool:
    """Whether the native convolutions sum half precision in float32."""
    return True

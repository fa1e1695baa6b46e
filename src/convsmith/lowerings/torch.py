"""PyTorch: `torch.nn.functional` convolutions, channels-last data as a view."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

from convsmith.geometry import Segment
from convsmith.lowerings.base import YES, Product, Support, Target
from convsmith.lowerings.borders import Border, pad_each
from convsmith.lowerings.torch_direct import direct as direct

if TYPE_CHECKING:
    from convsmith.lowerings.native import Form

NAME = "torch"
Tensor = Any

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor."""
    return isinstance(x, torch.Tensor)


def mode(operands: tuple[Any, ...]) -> str:
    """Return "compiled" while `torch.compile` traces, else "eager"."""
    return "compiled" if torch.compiler.is_compiling() else "eager"


def shapes(operands: tuple[Any, ...]) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes of tensors, None for what `torch.compile` leaves open."""
    return tuple([tuple([n if type(n) is int else None for n in x.shape]) for x in operands])


def known_shapes(operands: tuple[Any, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of tensors, fixing what `torch.compile` left open to this call's sizes."""
    return tuple([tuple([int(n) for n in x.shape]) for x in operands])


_NONE = "<none>"
"""Stands for None in calls of opaque functions, which don't take it."""


def opaque(function: Any) -> Any:
    """Return `function` such that `torch.compile` follows its tensors, not its Python."""

    @torch._dynamo.nonstrict_trace  # type: ignore[attr-defined]
    def traced(*arguments: Any) -> Any:
        return function(*(_swapped(a, _NONE, None) for a in arguments))

    def call(*arguments: Any) -> Any:
        return traced(*[_swapped(a, None, _NONE) for a in arguments])

    return call


def _swapped(value: Any, old: Any, new: Any) -> Any:
    if isinstance(value, dict):
        return {k: _swapped(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [_swapped(v, old, new) for v in value]
    if isinstance(value, tuple):
        return tuple([_swapped(v, old, new) for v in value])
    same = value is None if old is None else isinstance(value, str) and value == old
    return new if same else value


@cache
def device() -> str:
    """Return the kind of device that Keras puts tensors on."""
    return "gpu" if torch.cuda.is_available() else "cpu"


def spread() -> bool:
    """Return whether the compiler splits calls over devices: never, each process has its part."""
    return False


def size(x: Tensor, axis: int) -> int:
    """Return the size of an axis."""
    return x.shape[axis]


def at_least(size: Any, minimum: int) -> Any:
    """Return a size, or `minimum` if it is smaller."""
    return torch.sym_max(size, minimum)


def held_dtype(dtype: str) -> str:
    """Return the dtype that a tensor made as `dtype` has: itself."""
    return dtype


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, in the dtype of both."""
    if a.is_cuda and not (a.is_floating_point() or a.is_complex()):
        # The GPU multiplies no integer matrices; doubles hold every product of int32 exactly.
        return torch.matmul(a.double(), b.double()).to(a.dtype)
    return torch.matmul(a, b)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger entries, in the dtype of both."""
    return torch.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller entries, in the dtype of both."""
    return torch.minimum(a, b)


def pad(x: Tensor, widths: list[tuple[int, int]], value: float) -> Tensor:
    """Return `x` with constant padding."""
    flat = [amount for pair in reversed(widths) for amount in pair]
    while flat and flat[-1] == 0 and flat[-2] == 0:
        flat = flat[:-2]
    return F.pad(x, flat, value=value) if flat else x


def rfft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum of real numbers along the last axis, filled with zeros to `points`."""
    return torch.fft.rfft(x, points)


def irfft(x: Tensor, points: int) -> Tensor:
    """Return the `points` real numbers whose spectrum lies along the last axis."""
    return torch.fft.irfft(x, points)


def fft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum along the last axis, filled with zeros to `points`."""
    return torch.fft.fft(x, points)


def ifft(x: Tensor) -> Tensor:
    """Return what the last axis is the spectrum of."""
    return torch.fft.ifft(x)


def take_block(x: Tensor, axis: int, start: Any, count: int) -> Tensor:
    """Return `count` entries of an axis from a computed place on."""
    return x.narrow(axis, start, count)


def loop(rounds: int, body: Any, start: Tensor) -> Tensor:
    """Return what `body(round, state)` makes of a tensor in so many rounds."""
    for index in range(rounds):
        start = body(index, start)
    return start


def pad_reading(x: Tensor, borders: tuple[Border, ...], value: float) -> Tensor:
    """Return `x` with borders that read other entries, each entry written once."""
    if torch.compiler.is_compiling():
        return pad_each(x, borders, value)  # The compiler fuses what this writes.
    return _Padded.apply(x, borders, value)


class _Padded(torch.autograd.Function):
    """Autograd would walk over the whole tensor once for every border."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, borders: tuple[Border, ...], value: float) -> Tensor:
        return _pad_in_place(x, borders, value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.borders = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return _unpad(gradient, ctx.borders), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # type: ignore[override]
        return _pad_in_place(tangent, ctx.borders, 0.0)


def _pad_in_place(x: Tensor, borders: tuple[Border, ...], value: float) -> Tensor:
    shape = list(x.shape)
    for border in borders:
        shape[border.axis] += sum(border.pads)  # type: ignore[arg-type]
    result = x.new_empty(shape)
    rows = [result]  # Padded along fewer and fewer axes; each border is read from the next one.
    for axis, size, (low, _), _ in reversed(borders):
        rows.append(rows[-1].narrow(axis, low, size))  # type: ignore[arg-type]
    rows[-1].copy_(x)
    for border, whole, inside in zip(borders, rows[-2::-1], rows[:0:-1], strict=True):
        for place, segment in _outside(border):
            target = whole.narrow(border.axis, place, segment.length)
            if segment.start is None:
                target.fill_(value)
            else:
                target.copy_(_read(inside, border.axis, segment))
    return result


def _unpad(gradient: Tensor, borders: tuple[Border, ...]) -> Tensor:
    if not borders:
        return gradient.clone(memory_format=torch.contiguous_format)
    *others, border = borders
    axis, size, (low, _), _ = border
    inner = tuple(others)
    result = _unpad(gradient.narrow(axis, low, size), inner)  # type: ignore[arg-type]
    for place, segment in _outside(border):
        if segment.start is not None:
            piece = _unpad(gradient.narrow(axis, place, segment.length), inner)
            if segment.step == 0:
                piece = piece.sum(axis, keepdim=True)
            elif segment.step == -1:
                piece = piece.flip(axis)
            length = piece.shape[axis]
            begin = segment.start - (length - 1 if segment.step == -1 else 0)
            result.narrow(axis, begin, length).add_(piece)
    return result


def _outside(border: Border) -> Iterator[tuple[int, Segment]]:
    """Yield the runs beyond the edges, and where they begin."""
    offset = 0
    for segment in border.segments:
        if offset != border.pads.low:
            yield offset, segment
        offset += segment.length


def _read(x: Tensor, axis: int, segment: Segment) -> Tensor:
    assert segment.start is not None
    if segment.step == -1:
        return x.narrow(axis, segment.start - segment.length + 1, segment.length).flip(axis)
    length = segment.length if segment.step else 1
    return x.narrow(axis, segment.start, length)


def linear_gradient(function: Any, shape: tuple[int, ...], output_gradient: Tensor) -> Tensor:
    """Return the gradient of a linear function of one tensor."""
    argument = torch.zeros(shape, dtype=output_gradient.dtype, device=output_gradient.device)
    pull = torch.func.vjp(function, argument)[1]
    return pull(output_gradient)[0]


def map_entries(function: Any, one: Tensor, other: Tensor) -> Tensor:
    """Return what a function makes of each entry of two tensors, stacked."""
    return torch.stack([function(a, b) for a, b in zip(one, other, strict=True)])


def compiled(function: Any) -> Any:
    """Return the function: only the user decides what is compiled."""
    return function


class _Bilinear(torch.autograd.Function):
    """A product with the gradients that it states."""

    generate_vmap_rule = True

    @staticmethod
    def forward(product: Product, one: Tensor, other: Tensor) -> Tensor:  # type: ignore[override]
        return product(one, other)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.product, one, other = inputs
        ctx.save_for_backward(one, other)
        ctx.save_for_forward(one, other)

    @staticmethod
    def backward(ctx: Any, output_gradient: Tensor) -> Any:  # type: ignore[override]
        one, other = ctx.saved_tensors
        _, wants_one, wants_other = ctx.needs_input_grad
        return (
            None,
            ctx.product.gradient(0, output_gradient, other) if wants_one else None,
            ctx.product.gradient(1, output_gradient, one) if wants_other else None,
        )

    @staticmethod
    def jvp(ctx: Any, _: Any, one_tangent: Any, other_tangent: Any) -> Tensor:  # type: ignore[override]
        one, other = ctx.saved_tensors
        terms = []
        if one_tangent is not None:
            terms.append(ctx.product(one_tangent, other))
        if other_tangent is not None:
            terms.append(ctx.product(one, other_tangent))
        return sum(terms[1:], terms[0])


def _has_tangent(x: Tensor) -> bool:
    """Whether forward mode differentiates by a tensor."""
    return forward_ad.unpack_dual(x).tangent is not None


def bilinear(product: Product, one: Tensor, other: Tensor) -> Tensor:
    """Return the product of two tensors, with the gradients that it states."""
    wanted = torch.is_grad_enabled() and (one.requires_grad or other.requires_grad)
    if torch.compiler.is_compiling() or not (wanted or _has_tangent(one) or _has_tangent(other)):
        return product(one, other)  # A compiler fuses what autograd makes of it.
    return _Bilinear.apply(product, one, other)


def settled(tensors: Sequence[Any]) -> bool:
    """Whether tensors are values now, and no gradient of them is recorded."""
    watched = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return not watched and not torch.compiler.is_compiling()


def set_shape(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Shapes are always known here."""
    return x


def check_open_size(found: Any, minimum: int, message: str) -> Any:
    """Return an open size; a graph that could be stopped doesn't exist here."""
    return found


def conv_support(form: Form, target: Target) -> Support:
    """PyTorch's convolutions go up to 3-D and have no integers."""
    if form.rank > 3:
        return Support(False, "PyTorch has no convolution of rank 4 or more")
    if target.dtype.startswith("int"):
        return Support(False, f"PyTorch has no convolution for {target.dtype}")
    return YES


SAMPLES_FIRST = True
"""Where a kernel per sample is fastest: with the samples in front, channels first."""

MOST_TAPS_OF_CHANNELS_FIRST = 64
"""Beyond, the CPU's depthwise kernels take up to 30 times as long unless channels are innermost."""


def conv(form: Form, shape: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the convolution of a canonical form; channels-last data is a view.

    Channels last in 1-D are 2-D with one row: PyTorch has kernels for that layout in 2-D, and
    copies in 1-D, which takes up to 30 times as long.
    """
    strides = [w.stride for w in form.windows]
    dilations = [w.dilation for w in form.windows]
    pads = [(0, 0) if form.transposed else tuple(w.pads) for w in form.windows]
    rank = form.rank
    row = rank == 1 and not form.channels_first
    if row:
        rank, shape = 2, (1, *shape)
        strides, dilations, pads = [1, *strides], [1, *dilations], [(0, 0), *pads]
    *taps, groups, depth, features = shape
    even = all(low == high for low, high in pads)
    inside = [low if even else 0 for low, _ in pads]
    widths = None if even else [(0, 0), (0, 0), *pads]
    # What torch wants: [groups * depth, features, taps] or [groups * features, depth, taps].
    three = (rank, rank + 1, rank + 2) if form.transposed else (rank, rank + 2, rank + 1)
    order = (*three, *range(rank))
    outer, inner = (depth, features) if form.transposed else (features, depth)
    merged = (groups * outer, inner, *taps)
    dense = (*taps, depth, features)
    # One group: a permutation of the kernel as it usually comes, and no reshape.
    dense_order = (rank, rank + 1) if form.transposed else (rank + 1, rank)
    dense_order = (*dense_order, *range(rank))
    spread_out = form.channels_first and form.depthwise and rank == 2
    spread_out = spread_out and math.prod(taps) > MOST_TAPS_OF_CHANNELS_FIRST
    last = None if form.channels_first else (0, rank + 1, *range(1, rank + 1))
    back = (0, *range(2, rank + 2), 1)
    one_channel = groups * depth == 1

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        if groups == 1:
            weight = (kernel if kernel.shape == dense else kernel.reshape(dense)).permute(
                dense_order
            )
            if outer == 1:
                # Otherwise PyTorch's gradient refuses it: "grad_weight must be contiguous".
                weight = weight.contiguous()
        else:
            weight = kernel.reshape(shape).permute(order).reshape(merged)
        if row:
            x = x.unsqueeze(1)
        if last is not None:
            x = x.permute(last)
        if one_channel:
            # As a view channels first: taken for channels last, PyTorch's result may be wrong.
            x = x.squeeze(1).unsqueeze(1)
        if form.transposed:
            y = _TRANSPOSED[rank](x, weight, stride=strides, groups=groups, dilation=dilations)
        else:
            if widths is not None:
                x = pad(x, widths, 0.0)  # type: ignore[arg-type]
            if spread_out and not x.is_cuda:
                x = x.contiguous(memory_format=torch.channels_last)
            y = _CONV[rank](x, weight, None, strides, inside, dilations, groups)  # type: ignore[arg-type]
        y = y if last is None else y.permute(back)
        return y.squeeze(1) if row else y

    return call


def crops(form: Form, shape: tuple[int, ...]) -> bool:
    """Whether a transposed convolution leaves away what lies beyond the edges by itself: never."""
    return False


def sums_halves_wide(target: Target) -> bool:
    """Whether the native convolutions sum half precision in float32."""
    return True

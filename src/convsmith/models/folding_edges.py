"""Padding as the fewest standard operations: a word, a layer of Keras, or a few of its ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import keras

from convsmith import geometry
from convsmith.models.convolution import Convolution

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Size = int | None
Pair = tuple[int, int]


class Inexpressible(Exception):
    """Why standard Keras layers can't compute what a layer of convsmith does."""


def padding(conv: Convolution, sizes: Sequence[Size]) -> tuple[str, list[Any]]:
    """Return Keras's word for a convolution's padding, and the layers that go before it.

    Raises:
        Inexpressible: no standard operations do it, or amounts depend on sizes that aren't known.
    """
    if any("renormalize" in mode for mode in conv.modes):
        raise Inexpressible("padding_mode='renormalize' rescales every window by its place")
    zeros = all(m == ("constant", "constant") for m in conv.modes) and not conv.value
    if zeros and all(entry == "same" for entry in conv.padding):
        return "same", []
    if zeros and conv.kind == "conv" and conv.padding == ("causal",):
        return "causal", []
    windows = list(zip(sizes, conv.taps, conv.strides, conv.dilation, strict=True))
    amounts = [
        geometry.resolve_padding(entry, *window)
        for entry, window in zip(conv.padding, windows, strict=True)
    ]
    if zeros and amounts == [geometry.resolve_padding("same", *window) for window in windows]:
        known = None not in (n for pair in amounts for n in pair)
        if known and any(pair != (0, 0) for pair in amounts):
            return "same", []
    known_amounts: list[Pair] = []
    for entry, (low, high) in zip(conv.padding, amounts, strict=True):
        if low is None or high is None:
            raise Inexpressible(
                f"padding={entry!r} with strides depends on a size that isn't known"
            )
        known_amounts.append((low, high))
    return "valid", edges(conv, known_amounts, sizes)


def edges(conv: Convolution, amounts: Sequence[Pair], sizes: Sequence[Size]) -> list[Any]:
    """Return the layers that pad and crop by known amounts; none where there is nothing to do."""
    added = [(max(low, 0), max(high, 0)) for low, high in amounts]
    taken = [(max(-low, 0), max(-high, 0)) for low, high in amounts]
    zeros = not conv.value and all(
        n == 0 or mode == "constant"
        for pair, modes in zip(added, conv.modes, strict=True)
        for n, mode in zip(pair, modes, strict=True)
    )
    if not zeros:
        _check_room(conv, added, sizes)
        return [operations(lambda x: _sliced(conv, _padded(conv, x, added), taken))]
    found: list[Any] = []
    if _any(added):
        found.append(_layer("ZeroPadding", "padding", conv, added))
    if _any(taken):
        found.append(cropping(conv, taken))
    return found


def cropping(conv: Convolution, taken: Sequence[Pair]) -> Any:
    """Return the layer that crops."""
    if conv.rank == 1 and conv.data_format == "channels_first":  # Keras's has no data_format
        return operations(lambda x: _sliced(conv, x, taken))
    return _layer("Cropping", "cropping", conv, taken)


def _layer(kind: str, argument: str, conv: Convolution, amounts: Sequence[Pair]) -> Any:
    made: Any = getattr(keras.layers, f"{kind}{conv.rank}D")
    arguments: dict[str, Any] = {argument: amounts[0] if conv.rank == 1 else tuple(amounts)}
    if kind != "Cropping" or conv.rank > 1:
        arguments["data_format"] = conv.data_format
    return lambda name, _: made(name=name, dtype=conv.policy, **arguments)


def operations(function: Callable[[Any], Any]) -> Any:
    """Return a maker of a model of a few operations, for the tensor that it will be given."""

    def make(name: str, tensor: Any) -> Any:
        inputs = keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=tensor.dtype)
        return keras.Model(inputs, function(inputs), name=name)

    return make


def _any(amounts: Sequence[Pair]) -> bool:
    return any(pair != (0, 0) for pair in amounts)


def _check_room(conv: Convolution, added: Sequence[Pair], sizes: Sequence[Size]) -> None:
    """Raise where a mode would go on periodically, because the axis is shorter than its pad."""
    for pair, modes, size in zip(added, conv.modes, sizes, strict=True):
        for amount, mode in zip(pair, modes, strict=True):
            if mode in ("constant", "edge") or size is None:
                continue
            if amount > size - (mode == "reflect"):
                raise Inexpressible(f"padding_mode={mode!r} by {amount} repeats an axis of {size}")


def _start(conv: Convolution) -> int:
    return 2 if conv.data_format == "channels_first" else 1


def _padded(conv: Convolution, x: Any, added: Sequence[Pair]) -> Any:
    sides = zip(chain(*added), chain(*conv.modes), strict=True)
    words = {mode for amount, mode in sides if amount}
    start = _start(conv)
    # `keras.ops.pad`'s backends agree for these only, PyTorch's reflects no three axes.
    if words == {"constant"} or (words == {"reflect"} and conv.rank < 3):
        widths = [(0, 0)] * len(x.shape)
        widths[start : start + conv.rank] = list(added)
        if words == {"reflect"}:
            return ops.pad(x, widths, mode="reflect")
        return ops.pad(x, widths, constant_values=conv.value or 0.0)
    for axis, (pair, modes) in enumerate(zip(added, conv.modes, strict=True), start):
        low, high = (
            [_beyond(x, axis, amount, mode, side, conv.value or 0.0)] if amount else []
            for amount, mode, side in zip(pair, modes, ("low", "high"), strict=True)
        )
        if low or high:
            x = ops.concatenate([*low, x, *high], axis=axis)
    return x


def _beyond(x: Any, axis: int, amount: int, mode: str, side: str, value: float) -> Any:
    """Return what lies beyond one end of an axis."""
    low = side == "low"

    def part(start: int | None, stop: int | None) -> Any:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    if mode in ("constant", "edge"):
        last = ops.repeat(part(0, 1) if low else part(-1, None), amount, axis=axis)
        return last if mode == "edge" else ops.full_like(last, value)
    if mode == "wrap":
        return part(-amount, None) if low else part(0, amount)
    skipped = int(mode == "reflect")  # the last entry itself, which isn't repeated
    if low:
        return ops.flip(part(skipped, amount + skipped), axis=axis)
    return ops.flip(part(-amount - skipped, -skipped or None), axis=axis)


def _sliced(conv: Convolution, x: Any, taken: Sequence[Pair]) -> Any:
    if not _any(taken):
        return x
    start = (slice(None),) * _start(conv)
    return x[(*start, *(slice(low, -high or None) for low, high in taken))]

"""Reading windows as strided slices, and writing them back: shared by `shift` and `unfold`."""

from __future__ import annotations

from typing import Any

from keras import ops

from convsmith.lowerings.base import Sizes, Tensor
from convsmith.lowerings.contract import plus
from convsmith.lowerings.tensors import (
    MOST_PADDED_AXES,
    SEMIRING_FILL,
    at,
    crop_or_extend,
    dtype_name,
    fill_value,
    pad_zeros,
    reshape,
    strided,
)
from convsmith.problem import Place, SizedWindow


def semiring_fill(x: Tensor, semiring: str) -> float | int:
    """Return the zero of the semiring as the dtype of `x` holds it."""
    return fill_value(SEMIRING_FILL[semiring], dtype_name(x))


def pad_windows(
    x: Tensor, places: list[Place], windows: tuple[SizedWindow, ...], semiring: str
) -> Tensor:
    """Return `x` with the zero pads of the windows made real, all axes in one pass."""
    from convsmith.lowerings.backend import current

    widths: list[tuple[Any, Any]] = [(0, 0)] * len(places)
    for axis, place in enumerate(places):
        if isinstance(place, SizedWindow) and place in windows and any(place.pads):
            widths[axis] = (place.pads.low, place.pads.high)
    if not any(low or high for low, high in widths):
        return x
    fill = semiring_fill(x, semiring)
    if len(places) > MOST_PADDED_AXES:
        for axis, (low, high) in enumerate(widths):
            x = pad_zeros(x, axis, low, high, fill)
        return x
    return current().pad(x, widths, fill)


def tap_offset(window: SizedWindow, tap: int) -> int:
    """Return where a tap reads relative to its position, in entries."""
    assert window.taps is not None
    return window.dilation * (window.taps - 1 - tap if window.flipped else tap)


def read_tap(x: Tensor, axis: int, window: SizedWindow, tap: int, sizes: Sizes) -> Tensor:
    """Return what one tap reads at every position, from an axis whose pads are real."""
    positions = sizes.positions(window)
    return strided(x, axis, tap_offset(window, tap), positions, window.stride)


def unfold_axis(x: Tensor, axis: int, window: SizedWindow, at_axis: int, sizes: Sizes) -> Tensor:
    """Return `x` with the window's axis as positions and a new axis of taps at `at_axis`."""
    assert window.taps is not None
    slices = [read_tap(x, axis, window, tap, sizes) for tap in range(window.taps)]
    return ops.stack(slices, axis=at_axis)


def spread(x: Tensor, axis: int, stride: int, positions: Any, fill: float | int) -> Tensor:
    """Return `x` with ``stride - 1`` fills between the entries of an axis."""
    if stride == 1:
        return x
    x = pad_zeros(ops.expand_dims(x, axis + 1), axis + 1, 0, stride - 1, fill)
    shape = list(x.shape)
    from convsmith.lowerings.backend import current

    sizes = [n if isinstance(n, int) else current().size(x, i) for i, n in enumerate(shape)]
    merged = [*sizes[:axis], positions * stride, *sizes[axis + 2 :]]
    return strided(reshape(x, merged), axis, 0, stride * (positions - 1) + 1, 1)


def fold_axis(
    x: Tensor, position_axis: int, tap_axis: int, window: SizedWindow, sizes: Sizes, semiring: str
) -> Tensor:
    """Return `x` with positions and taps summed into the axis that the window writes."""
    assert window.taps is not None
    positions = sizes.positions(window)
    fill = semiring_fill(x, semiring)
    reach = window.dilation * (window.taps - 1)
    axis = position_axis - (tap_axis < position_axis)
    total: Tensor = None
    for tap in range(window.taps):
        offset = tap_offset(window, tap)
        piece = spread(at(x, tap_axis, tap), axis, window.stride, positions, fill)
        piece = pad_zeros(piece, axis, offset, reach - offset, fill)
        total = piece if total is None else plus(semiring, total, piece)
    return crop_or_extend(total, axis, window.pads.low, window.pads.high, fill)

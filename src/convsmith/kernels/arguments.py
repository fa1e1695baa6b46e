"""Checks of the builders' arguments: one wording, and nothing odd slips through to the arrays."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from convsmith.errors import ArgumentError, compose

T = TypeVar("T")

MOST_ENTRIES = 2**27
"""A kernel of 1 GiB: what asks for more has a wrong size or sigma."""


def checked_rank(ndim: Any, where: str = "", allowed: tuple[int, ...] = (1, 2, 3)) -> int:
    """Return the number of spatial axes.

    Raises:
        ArgumentError: it isn't one of those `allowed`.
    """
    if is_whole(ndim) and ndim in allowed:
        return int(ndim)
    *first, last = map(str, allowed)
    problem = f"{where} has no form with" if where else "is not a number of"
    raise ArgumentError(
        compose(
            f"{where}(ndim={shown(ndim)})" if where else f"ndim={shown(ndim)}",
            f"{problem} that many spatial axes" if where else f"{problem} axes that kernels have",
            expected=f"{', '.join(first)} or {last}" if first else last,
            fix=f"ndim={2 if 2 in allowed else allowed[0]}",
        ),
        argument="ndim",
        value=ndim,
    )


def checked_sizes(where: str, size: Any, rank: int, *, odd: bool = False) -> tuple[int, ...]:
    """Return a length for each axis.

    Raises:
        ArgumentError: a size isn't a positive whole number (an odd one, if so asked), or all
            together are too large for any memory.
    """
    sizes = _each(size, rank)
    if len(sizes) != rank or not all(is_whole(s) and s >= 1 for s in sizes):
        kind = "positive odd" if odd else "positive"
        raise ArgumentError(
            compose(
                f"{where}(size={shown(size)})",
                "is not a kernel size",
                expected=f"a {kind} whole number" + (f", or {rank} of them" if rank > 1 else ""),
                fix="size=3",
            ),
            argument="size",
            value=size,
        )
    if odd and any(s % 2 == 0 for s in sizes):
        raise ArgumentError(
            compose(
                f"{where}(size={shown(size)})",
                "is even, so that no entry is the centre",
                expected="odd sizes",
                fix=f"size={shown(int(max(sizes)) | 1)}",
            ),
            argument="size",
            value=size,
        )
    return check_entries(where, tuple(int(s) for s in sizes))


def check_entries(where: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape.

    Raises:
        ArgumentError: an array of that shape would be too large for any memory.
    """
    if math.prod(shape) <= MOST_ENTRIES:
        return shape
    raise ArgumentError(
        compose(
            f"{where}: a kernel of shape {shown(shape)}",
            "is too large",
            expected=f"at most {MOST_ENTRIES} entries",
            fix="a smaller size, radius or width",
        ),
        argument="size",
        value=shape,
    )


def checked_number(
    where: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    fix: str,
) -> float:
    """Return a finite real number within the bounds.

    Raises:
        ArgumentError: it isn't one.
    """
    number = _as_float(value)
    good = (
        math.isfinite(number)
        and (above is None or number > above)
        and (least is None or number >= least)
        and (most is None or number <= most)
    )
    if good:
        return number
    bounds = [
        f"above {above:g}" if above is not None else "",
        f"from {least:g} on" if least is not None else "",
        f"up to {most:g}" if most is not None else "",
    ]
    raise ArgumentError(
        compose(
            f"{where}({name}={shown(value)})",
            "is out of range" if math.isfinite(number) else "is not a finite number",
            expected=" ".join(["a finite number", *filter(None, bounds)]),
            fix=f"{name}={fix}",
        ),
        argument=name,
        value=value,
    )


def checked_count(
    where: str, name: str, value: Any, *, least: int = 0, most: int | None = None, fix: str
) -> int:
    """Return a whole number within the bounds.

    Raises:
        ArgumentError: it isn't one.
    """
    if is_whole(value) and value >= least and (most is None or value <= most):
        return int(value)
    reach = f"from {least} to {most}" if most is not None else f"from {least} on"
    raise ArgumentError(
        compose(
            f"{where}({name}={shown(value)})",
            "is out of range" if is_whole(value) else "is not a whole number",
            expected=f"a whole number {reach}",
            fix=f"{name}={fix}",
        ),
        argument=name,
        value=value,
    )


def checked_choice(where: str, name: str, value: Any, choices: Sequence[T]) -> T:
    """Return the value.

    Raises:
        ArgumentError: it isn't one of the choices.
    """
    for choice in choices:
        if _is_same(value, choice):
            return choice
    raise ArgumentError(
        compose(
            f"{where}({name}={shown(value)})",
            "is not a choice",
            expected=f"one of {', '.join(map(repr, choices))}",
            fix=f"{name}={choices[0]!r}",
        ),
        argument=name,
        value=value,
    )


def per_axis(
    where: str, name: str, value: Any, rank: int, check: Callable[[Any], T]
) -> tuple[T, ...]:
    """Return what `check` makes of each axis's value: one was given for all, or one for each.

    Raises:
        ArgumentError: another number of values than axes, or what `check` refuses.
    """
    values = _each(value, rank)
    if len(values) != rank:
        raise ArgumentError(
            compose(
                f"{where}({name}={shown(value)})",
                f"has {len(values)} values for {rank} spatial axes",
                expected=f"one for all, or {rank}, in the order (depth, row, column)",
                fix=f"ndim={len(values)}" if len(values) in (1, 2, 3) else "one value",
            ),
            argument=name,
            value=value,
        )
    return tuple(check(each) for each in values)


def window_sizes(
    where: str,
    size: Any,
    radius: Any,
    rank: int,
    reach: Sequence[float],
    truncate: Any,
    *,
    odd: bool = False,
) -> tuple[int, ...]:
    """Return the lengths of a window: stated, or up to `truncate` times the reach of each axis.

    Raises:
        ArgumentError: both `size` and `radius` are given, or one of them or `truncate` is bad.
    """
    factor = checked_number(where, "truncate", truncate, above=0, fix="4.0")
    if size is not None and radius is not None:
        raise ArgumentError(
            compose(
                f"{where}(size={shown(size)}, radius={shown(radius)})",
                "states the size twice",
                expected="one of the two",
                fix="radius=None",
            ),
            argument="radius",
            value=radius,
        )
    if size is not None:
        return checked_sizes(where, size, rank, odd=odd)
    if radius is not None:

        def whole(each: Any) -> int:
            return checked_count(where, "radius", each, fix="3")

        radii = per_axis(where, "radius", radius, rank, whole)
    else:
        radii = tuple(int(factor * each + 0.5) for each in reach)
    return check_entries(where, tuple(2 * r + 1 for r in radii))


def _each(value: Any, rank: int) -> tuple[Any, ...]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(value)
    return (value,) * rank


def is_whole(value: Any) -> bool:
    """Return whether it is a whole number, which booleans only pretend to be."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_same(value: Any, choice: Any) -> bool:
    # Arrays compare entry by entry, and 1 equals True: kinds are compared first.
    if isinstance(choice, bool):
        return isinstance(value, bool | np.bool_) and bool(value) == choice
    if isinstance(choice, int):
        return is_whole(value) and value == choice
    return isinstance(value, str) and value == choice


def _as_float(value: Any) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def shown(value: Any) -> str:
    """Return a repr that fits into a message."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no numbers of thousands of digits.
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."

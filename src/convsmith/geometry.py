"""Sizes, pads and receptive fields: the arithmetic of windows, once, without any framework.

A window along one axis of `size` n has `kernel` K taps, a `stride` S and a `dilation` D. With
`low` and `high` entries padded at the two ends (negative amounts crop)

    reach  = D*(K-1) + 1
    output = floor((n + low + high - reach) / S) + 1

and a transposed window, the exact adjoint, has

    output = S*(n-1) + reach - low - high.

Unknown sizes are None and flow through.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from convsmith.errors import ArgumentError, ShapeError, compose

PaddingName = Literal["valid", "same", "same_lower", "full", "causal"]
PADDING_NAMES: tuple[PaddingName, ...] = get_args(PaddingName)

PaddingMode = Literal["constant", "edge", "reflect", "symmetric", "wrap", "renormalize"]
PADDING_MODES: tuple[PaddingMode, ...] = get_args(PaddingMode)
MODE_ALIASES: dict[str, PaddingMode] = {
    "zeros": "constant",
    "replicate": "edge",
    "circular": "wrap",
}
"""PyTorch's words. SciPy's and OpenCV's clash with NumPy's, so they aren't accepted here."""


class Pads(NamedTuple):
    """How much lies beyond the two ends of an axis; None where it depends on an unknown size."""

    low: int | None
    high: int | None


AxisPadding = PaddingName | int | tuple[int, int]
AxisMode = tuple[PaddingMode, PaddingMode]


def integer(value: Any, argument: str, *, minimum: int | None = None) -> int:
    """Return `value` as an int; NumPy integers pass, bools, floats and text do not.

    Raises:
        ArgumentError: it isn't a whole number, or it is below `minimum`.
    """
    rule = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(
            compose(
                f"{argument}={value!r}",
                "is not a whole number",
                expected=rule,
                fix=f"{argument}={1 if minimum is None else max(minimum, 1)}",
            ),
            argument=argument,
            value=value,
        ) from None
    if minimum is not None and number < minimum:
        raise ArgumentError(
            compose(
                f"{argument}={value!r}", "is too small", expected=rule, fix=f"{argument}={minimum}"
            ),
            argument=argument,
            value=value,
        )
    return number


def effective_kernel_size(kernel: int, dilation: int = 1) -> int:
    """Return how many entries a kernel spans: ``dilation*(kernel-1) + 1``."""
    return dilation * (kernel - 1) + 1


def axis_padding(padding: Any, argument: str = "padding") -> AxisPadding:
    """Return the checked padding of one axis: a name, an int (both sides) or ``(low, high)``.

    Raises:
        ArgumentError: an unknown word, or anything that is neither an int nor a pair of ints.
    """
    if isinstance(padding, str):
        name = padding.lower()
        if name in PADDING_NAMES:
            return name  # type: ignore[return-value]
        raise ArgumentError(
            compose(
                f"{argument}={padding!r}",
                "is not a known padding",
                expected=f"one of {', '.join(map(repr, PADDING_NAMES))}, an int, or (low, high)",
                fix=f'{argument}="same"',
            ),
            argument=argument,
            value=padding,
        )
    pair = isinstance(padding, Sequence) and not isinstance(padding, bytes | bytearray)
    if pair and len(padding) == 2:
        return (integer(padding[0], argument), integer(padding[1], argument))
    try:
        return integer(padding, argument)
    except ArgumentError:
        raise ArgumentError(
            compose(
                f"{argument}={padding!r}",
                "is not a padding",
                expected=f"one of {', '.join(map(repr, PADDING_NAMES))}, an int, or (low, high)",
                fix=f"{argument}=1, or {argument}=(1, 2)",
            ),
            argument=argument,
            value=padding,
        ) from None


def axis_mode(mode: Any, argument: str = "padding_mode") -> AxisMode:
    """Return the checked padding mode of one axis as ``(low_mode, high_mode)``.

    Raises:
        ArgumentError: an unknown mode, or ``renormalize`` beside another mode.
    """
    sides = (mode, mode) if isinstance(mode, str) else mode
    if not (
        isinstance(sides, Sequence) and len(sides) == 2 and all(isinstance(m, str) for m in sides)
    ):
        raise ArgumentError(
            compose(
                f"{argument}={mode!r}",
                "is not a padding mode",
                expected="a mode, or a pair of modes for the two sides",
                fix=f'{argument}="reflect"',
            ),
            argument=argument,
            value=mode,
        )
    low, high = _mode_name(sides[0], argument), _mode_name(sides[1], argument)
    if (low == "renormalize") != (high == "renormalize"):
        raise ArgumentError(
            compose(
                f"{argument}={mode!r}",
                "mixes 'renormalize' with another mode on one axis",
                expected="'renormalize' on both sides, since it rescales the whole window",
                fix=f'{argument}="renormalize"',
            ),
            argument=argument,
            value=mode,
        )
    return low, high


def _mode_name(mode: str, argument: str) -> PaddingMode:
    name = MODE_ALIASES.get(mode, mode)
    if name in PADDING_MODES:
        return name  # type: ignore[return-value]
    known = ", ".join(map(repr, PADDING_MODES))
    hints = {"mirror": "reflect", "nearest": "edge", "grid-wrap": "wrap", "same": "constant"}
    raise ArgumentError(
        compose(
            f"{argument}={mode!r}",
            "is not a known padding mode",
            expected=f"one of {known} (NumPy's words)",
            fix=f'{argument}="{hints.get(mode, "reflect")}"',
        ),
        argument=argument,
        value=mode,
    )


def resolve_padding(
    padding: AxisPadding, size: int | None, kernel: int | None, stride: int, dilation: int
) -> Pads:
    """Return the pads of one axis; with `size` or `kernel` unknown, None where they matter.

    ``same`` is TensorFlow's: the output has ceil(size/stride) entries and the odd pad goes to
    the high end; ``same_lower`` puts it at the low end (ONNX's SAME_LOWER); ``causal`` pads the
    low end only, ``full`` both ends by all but one entry of the kernel's reach.
    """
    if isinstance(padding, int):
        return Pads(padding, padding)
    if isinstance(padding, tuple):
        return Pads(*padding)
    if padding == "valid":
        return Pads(0, 0)
    if kernel is None:
        return Pads(None, None)
    reach = effective_kernel_size(kernel, dilation)
    if padding == "full":
        return Pads(reach - 1, reach - 1)
    if padding == "causal":
        return Pads(reach - 1, 0)
    if stride == 1:
        total = reach - 1
    elif size is None:
        return Pads(None, None)
    else:
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    small, large = total // 2, total - total // 2
    return Pads(small, large) if padding == "same" else Pads(large, small)


def resolve_transposed_padding(
    padding: AxisPadding, kernel: int | None, stride: int, dilation: int
) -> Pads:
    """Return what a transposed window crops; negative amounts add entries (output padding).

    ``same`` gives ``stride*size`` entries: the adjoint of the ``same`` convolution that reads
    an axis of that size.
    """
    if isinstance(padding, str) and padding in ("same", "same_lower") and kernel is not None:
        reach = effective_kernel_size(kernel, dilation)
        total = max(reach - stride, 0)
        low = total // 2 if padding == "same" else total - total // 2
        return Pads(low, reach - stride - low)
    return resolve_padding(padding, None, kernel, stride, dilation)


def output_size(
    size: int | None,
    kernel: int | None,
    stride: int = 1,
    dilation: int = 1,
    pads: Pads = Pads(0, 0),
    *,
    axis: str = "",
) -> int | None:
    """Return the number of window positions, ``floor((size+low+high-reach)/stride) + 1``.

    Raises:
        ShapeError: the kernel reaches beyond the padded axis, so that no position is left.

    Example:
        >>> output_size(28, kernel=3, stride=2, pads=Pads(0, 1))
        14
    """
    low, high = pads
    if size is None or kernel is None or low is None or high is None:
        return None
    reach = effective_kernel_size(kernel, dilation)
    result = (size + low + high - reach) // stride + 1
    if result < 1:
        where = f"axis '{axis}'" if axis else "output size"
        raise ShapeError(
            compose(
                where,
                "the kernel is larger than the padded input: floor((size + low + high - "
                f"(dilation*(kernel-1)+1)) / stride) + 1 = floor(({size} + {low} + {high} - "
                f"({dilation}*({kernel}-1)+1)) / {stride}) + 1 = {result}",
                expected="an output of at least 1",
                fix=f"padding of {max(reach - size - low - high, 1)} more, or a smaller kernel",
            ),
            argument="padding",
            value=(low, high),
        )
    return result


def transposed_size(
    size: int | None,
    kernel: int | None,
    stride: int = 1,
    dilation: int = 1,
    pads: Pads = Pads(0, 0),
    *,
    axis: str = "",
) -> int | None:
    """Return the size that a transposed window writes, ``stride*(size-1)+reach-low-high``.

    Raises:
        ShapeError: the crop leaves nothing.

    Example:
        >>> transposed_size(14, kernel=3, stride=2)
        29
    """
    low, high = pads
    if size is None or kernel is None or low is None or high is None:
        return None
    reach = effective_kernel_size(kernel, dilation)
    result = stride * (size - 1) + reach - low - high
    if result < 1:
        where = f"axis '{axis}'" if axis else "output size"
        raise ShapeError(
            compose(
                where,
                "the crop leaves nothing: stride*(size-1) + dilation*(kernel-1) + 1 - low - high "
                f"= {stride}*({size}-1) + {dilation}*({kernel}-1) + 1 - {low} - {high} = {result}",
                expected="an output of at least 1",
                fix="less padding",
            ),
            argument="padding",
            value=(low, high),
        )
    return result


def kernel_size_from(
    size: int, positions: int, stride: int, dilation: int, pads: Pads
) -> int | None:
    """Return the most taps with which `positions` windows still fit, or None if pads aren't known.

    The inverse of `output_size`, for patterns where the kernel is what is computed (the
    weight gradient ``b (h+kh) i, b h o -> kh i o``).
    """
    low, high = pads
    if low is None or high is None:
        return None
    return (size + low + high - stride * (positions - 1) - 1) // dilation + 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of a padded axis: `length` entries read from `start` on by `step` (1, -1 or 0).

    `start` is None for a run of the fill value.
    """

    start: int | None
    length: int
    step: int = 1


def source_index(index: int, size: int, mode: str) -> int | None:
    """Return which entry of an axis a place beyond its edges shows; None is the fill value.

    edge 1234 -> 1111|1234|4444, reflect -> 5432|1234.., symmetric 4321|1234|4321,
    wrap 1234|1234|1234. Pads longer than the axis go on periodically, as in `numpy.pad`.
    """
    if 0 <= index < size:
        return index
    if mode in ("constant", "renormalize"):
        return None
    if mode == "edge":
        return 0 if index < 0 else size - 1
    if mode == "wrap":
        return index % size
    if mode == "symmetric":
        folded = index % (2 * size)
        return folded if folded < size else 2 * size - 1 - folded
    if size == 1:
        return 0
    folded = index % (2 * size - 2)
    return folded if folded < size else 2 * size - 2 - folded


def pad_segments(size: int, pads: Pads, mode: AxisMode) -> tuple[Segment, ...]:
    """Return the runs that make up the padded axis, in order.

    The same runs read forwards pad an axis, and summed back are the exact adjoint.

    Raises:
        ShapeError: entries beyond the edges of an empty axis have no source.

    Example:
        >>> pad_segments(4, Pads(2, 0), ("reflect", "reflect"))
        (Segment(start=2, length=2, step=-1), Segment(start=0, length=4, step=1))
    """
    low, high = pads
    if low is None or high is None:
        raise ValueError("pad_segments needs known pads")
    begin, end = -low, size + high
    unread = [
        m
        for m, amount in zip(mode, pads, strict=True)
        if amount and amount > 0 and m not in ("constant", "renormalize")
    ]
    if size == 0 and end > begin and unread:
        raise ShapeError(
            compose(
                f"padding_mode={unread[0]!r}",
                "has nothing to read on an axis of size 0",
                expected="at least one entry",
                fix='padding_mode="constant"',
            ),
            argument="padding_mode",
            value=mode,
        )
    outside_low = [source_index(i, size, mode[0]) for i in range(begin, min(0, end))]
    first, last = max(begin, 0), min(end, size)
    outside_high = [source_index(i, size, mode[1]) for i in range(max(size, begin), end)]
    middle = (Segment(first, last - first),) if last > first else ()
    return (*_runs(outside_low), *middle, *_runs(outside_high))


def _runs(indices: list[int | None]) -> Iterable[Segment]:
    position = 0
    while position < len(indices):
        start = indices[position]
        length, step = 1, 0
        if position + 1 < len(indices):
            following = indices[position + 1]
            if start is None or following is None:
                step = 0 if start is following else 2
            else:
                step = following - start
        if step in (-1, 0, 1):
            while position + length < len(indices):
                now, before = indices[position + length], indices[position + length - 1]
                if start is None or now is None or before is None:
                    if now is not start:
                        break
                elif now - before != step:
                    break
                length += 1
        else:
            step = 0
        yield Segment(start, length, 1 if length == 1 and start is not None else step)
        position += length


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What one output of a chain sees along an axis, in input entries.

    `size` entries wide; neighbours are `stride` apart; the first output's window starts at
    `start` (negative: in the padding), so output i sees start + i*stride ... + size - 1.
    """

    size: int
    stride: int
    start: int

    @property
    def center(self) -> float:
        """The middle of the first output's window."""
        return self.start + (self.size - 1) / 2


def receptive_field(chain: Iterable[tuple[int, int, int, int]]) -> ReceptiveField:
    """Return the receptive field of layers given as ``(kernel, stride, dilation, low_pad)``.

    size = 1 + sum of D*(K-1)*(product of the strides before); source: Araujo, Norris & Sim,
    "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019.

    Example:
        >>> receptive_field([(3, 2, 1, 1), (3, 1, 1, 1)])
        ReceptiveField(size=7, stride=2, start=-3)
    """
    size, jump, start = 1, 1, 0
    for kernel, stride, dilation, low in chain:
        size += (effective_kernel_size(kernel, dilation) - 1) * jump
        start -= low * jump
        jump *= stride
    return ReceptiveField(size, jump, start)


def per_axis(value: Any, axes: Sequence[str], argument: str, what: str) -> tuple[Any, ...]:
    """Return one entry for each axis: a dict is looked up by name, missing names give None.

    Raises:
        ArgumentError: the dict names an axis that isn't a window position.
    """
    if not isinstance(value, Mapping):
        return (value,) * len(axes)
    unknown = [name for name in value if name not in axes]
    if unknown:
        raise ArgumentError(
            compose(
                f"{argument}={value!r}",
                f"names {unknown[0]!r}, which is no window position",
                expected=f"keys among {', '.join(map(repr, axes)) or 'none (no windows)'}",
                fix=f"a {what} for one of these",
            ),
            argument=argument,
            value=value,
        )
    return tuple(value.get(name) for name in axes)


def normalize_tuple(value: Any, rank: int, argument: str, *, minimum: int = 1) -> tuple[int, ...]:
    """Return `rank` ints from an int or a sequence of `rank` ints.

    Raises:
        ArgumentError: another length, a value that isn't whole, or one below `minimum`.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != rank:
            raise ArgumentError(
                compose(
                    f"{argument}={value!r}",
                    f"has {len(value)} entries",
                    expected=f"an int or {rank} of them, one for each spatial axis",
                    fix=f"{argument}={tuple(value)[:1] * rank}",
                ),
                argument=argument,
                value=value,
            )
        return tuple(integer(v, argument, minimum=minimum) for v in value)
    return (integer(value, argument, minimum=minimum),) * rank


def fill(value: Any, modes: Iterable[AxisMode], zero: float) -> float:
    """Return the checked ``padding_value``: `zero` if None.

    Raises:
        ArgumentError: it isn't a real number, or no side of any of the `modes` would use it.
    """
    if value is None:
        return zero
    try:
        number = float("nan") if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if number != number:
        raise ArgumentError(
            compose(
                f"padding_value={value!r}",
                "is not a number",
                expected="a real number, or None for zero",
                fix="padding_value=0.0",
            ),
            argument="padding_value",
            value=value,
        )
    named = list(modes)
    if named and not any("constant" in pair for pair in named):
        raise ArgumentError(
            compose(
                f"padding_value={value!r}",
                f"would be ignored by padding_mode={named[0][0]!r}",
                expected="no padding_value, or a mode 'constant' on some side",
                fix="padding_value=None",
            ),
            argument="padding_value",
            value=value,
        )
    return number


def normalize_padding(padding: Any, rank: int) -> tuple[AxisPadding, ...]:
    """Return the padding of each of `rank` axes from every form that layers and ops accept.

    A name or an int holds for all axes. A sequence has one entry (a name, an int or
    ``(low, high)``) for each axis; with one axis a plain pair of ints is ``(low, high)``.

    Raises:
        ArgumentError: an unknown form.

    Example:
        >>> normalize_padding(((1, 2), "same"), 2)
        ((1, 2), 'same')
    """
    if hasattr(padding, "tolist"):
        padding = padding.tolist()
    if isinstance(padding, str) or not isinstance(padding, Sequence):
        return (axis_padding(padding),) * rank
    entries = list(padding)
    if rank == 1 and len(entries) == 2:
        return (axis_padding(tuple(entries)),)
    if len(entries) != rank:
        raise ArgumentError(
            compose(
                f"padding={padding!r}",
                f"has {len(entries)} entries",
                expected=f"one for each of the {rank} spatial axes, each an int or (low, high)",
                fix=f"padding={((1, 1),) * rank}",
            ),
            argument="padding",
            value=padding,
        )
    return tuple(axis_padding(tuple(e) if isinstance(e, list) else e) for e in entries)


def normalize_padding_mode(mode: Any, rank: int) -> tuple[AxisMode, ...]:
    """Return ``(low_mode, high_mode)`` of each of `rank` axes.

    A mode holds for all axes. A sequence has one entry, a mode or a pair of modes, for each
    axis; with one axis a pair of modes is for its two sides.

    Raises:
        ArgumentError: an unknown mode or form.
    """
    if isinstance(mode, str) or not isinstance(mode, Sequence):
        return (axis_mode(mode),) * rank
    if rank == 1 and len(mode) == 2:
        return (axis_mode(tuple(mode)),)
    if len(mode) != rank:
        raise ArgumentError(
            compose(
                f"padding_mode={mode!r}",
                f"has {len(mode)} entries",
                expected=f"a mode, or one for each of the {rank} spatial axes",
                fix=f"padding_mode={('reflect',) * rank}",
            ),
            argument="padding_mode",
            value=mode,
        )
    return tuple(axis_mode(m) for m in mode)

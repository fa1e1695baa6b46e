"""Random realistic convolutions, the same for the same seed: what the cost model is fitted to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

MOST_ENTRIES = 4_000_000
"""Entries of the largest operand or result."""

LARGE = (1_000_000, 16_000_000)
"""The same for large work, which no cache holds, and the least."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """One problem: a pattern with shapes and arguments, and the family it was drawn from."""

    family: str
    pattern: str
    shapes: tuple[Shape, ...]
    arguments: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the work as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Work:
        """Return the work that plain data describe."""
        shapes = tuple(map(tuple, data["shapes"]))
        return cls(data["family"], data["pattern"], shapes, data["arguments"])


class _Draw:
    """The random numbers of one case, and what most families share."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    def of(self, *values: Any) -> Any:
        return self.source.choice(values)

    def log(self, low: int, high: int) -> int:
        """Return an int, as likely in each octave."""
        return round(low * (high / low) ** self.source.random())

    def channels(self, most: int = 256) -> int:
        if self.source.random() < 0.2:
            return self.of(1, 2, 3, 4)
        return self.of(*[c for c in (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384) if c <= most])

    def windows(
        self, rank: int, taps: int, *, stride: int = 1, dilation: int = 1, size: int
    ) -> tuple[str, str, str, Shape, Shape]:
        """Return the texts of windows, taps and positions, the sizes and the taps."""
        names = ("h", "w", "z")[:rank] if rank > 1 else ("t",)
        first, second = (f"{n if n > 1 else ''}" for n in (stride, dilation))
        windows = " ".join(f"({first}{n}+{second}k{n})" for n in names)
        return (
            windows,
            " ".join(f"k{n}" for n in names),
            " ".join(names),
            (size,) * rank,
            (taps,) * rank,
        )


def _size(draw: _Draw, rank: int) -> int:
    return {1: draw.log(64, 20_000), 2: draw.log(6, 160), 3: draw.log(6, 40)}[rank]


def _taps(draw: _Draw, rank: int) -> int:
    return draw.of(1, 3, 3, 3, 5) if rank > 1 else draw.of(1, 3, 4, 5, 9, 15)


def _padding(draw: _Draw) -> dict[str, Any]:
    return {"padding": draw.of("same", "same", "valid")}


def _dense(draw: _Draw) -> Work:
    rank = draw.of(1, 2, 2, 2, 2, 3, 3)
    stride = draw.of(1, 1, 1, 2)
    dilation = draw.of(1, 1, 1, 2)
    taps = _taps(draw, rank)
    windows, k, out, sizes, counts = draw.windows(
        rank, taps, stride=stride, dilation=dilation, size=_size(draw, rank) + dilation * taps
    )
    i, o, b = draw.channels(), draw.channels(), draw.of(1, 1, 2, 4, 8, 16)
    if draw.of(True, False, False):
        pattern = f"b i {windows}, {k} i o -> b o {out}"
        shape = (b, i, *sizes)
    else:
        pattern = f"b {windows} i, {k} i o -> b {out} o"
        shape = (b, *sizes, i)
    return Work("dense", pattern, (shape, (*counts, i, o)), _padding(draw))


def _depthwise(draw: _Draw) -> Work:
    rank = draw.of(1, 2, 2, 2, 2, 3)
    stride = draw.of(1, 1, 1, 2)
    dilation = draw.of(1, 1, 1, 2)
    taps = draw.of(3, 3, 5, 7, 7, 9, 15, 31) if rank < 3 else draw.of(3, 3, 5)
    windows, k, out, sizes, counts = draw.windows(
        rank, taps, stride=stride, dilation=dilation, size=_size(draw, rank) + dilation * taps
    )
    c, b, m = draw.of(3, 16, 32, 48, 64, 96, 144, 256), draw.of(1, 2, 4, 8), draw.of(1, 1, 1, 2)
    if draw.of(True, False, False):
        pattern = f"b c {windows}, {k} c m -> b (c m) {out}"
        shape = (b, c, *sizes)
    else:
        pattern = f"b {windows} c, {k} c m -> b {out} (c m)"
        shape = (b, *sizes, c)
    return Work("depthwise", pattern, (shape, (*counts, c, m)), _padding(draw))


def _filter(draw: _Draw) -> Work:
    """One kernel for all channels: image filters."""
    taps = draw.of(3, 3, 5, 7, 9, 15, 31)
    windows, k, out, sizes, counts = draw.windows(2, taps, size=draw.log(32, 700) + taps)
    shape = (draw.of(1, 1, 4), *sizes, draw.of(1, 3))
    return Work("filter", f"b {windows} c, {k} -> b {out} c", (shape, counts), _padding(draw))


def _grouped(draw: _Draw) -> Work:
    rank = draw.of(1, 2, 2, 2)
    stride, dilation = draw.of(1, 1, 2), draw.of(1, 1, 1, 2)
    taps = draw.of(1, 3, 3, 5)
    windows, k, out, sizes, counts = draw.windows(
        rank, taps, stride=stride, dilation=dilation, size=min(_size(draw, rank), 4000) + taps * 2
    )
    g, i, o = draw.of(2, 4, 8, 16, 32, 64), draw.of(2, 4, 8, 16, 32), draw.of(2, 4, 8, 16, 32)
    b = draw.of(1, 2, 4, 8)
    if draw.of(True, False, False):
        pattern = f"b (g i) {windows}, {k} i g o -> b (g o) {out}"
        shape = (b, g * i, *sizes)
    else:
        pattern = f"b {windows} (g i), {k} i g o -> b {out} (g o)"
        shape = (b, *sizes, g * i)
    return Work("grouped", pattern, (shape, (*counts, i, g, o)), _padding(draw))


def _transposed(draw: _Draw) -> Work:
    rank = draw.of(1, 2, 2, 2, 3)
    stride, taps = draw.of(1, 2, 2, 3), draw.of(2, 3, 4, 5)
    windows, k, position, sizes, counts = draw.windows(
        rank, taps, stride=stride, size=max(_size(draw, rank) // 2, 4)
    )
    b, i, o = draw.of(1, 2, 4, 8), draw.channels(128), draw.channels(128)
    pattern = f"b {position} i, {k} i o -> b {windows} o"
    return Work("transposed", pattern, ((b, *sizes, i), (*counts, i, o)), _padding(draw))


def _per_sample(draw: _Draw) -> Work:
    rank = draw.of(1, 2, 2, 2)
    taps = draw.of(1, 3, 3, 5)
    windows, k, out, sizes, counts = draw.windows(
        rank, taps, stride=draw.of(1, 1, 2), size=min(_size(draw, rank), 2000) + taps
    )
    b, i, o = draw.of(2, 4, 8, 16, 32), draw.channels(64), draw.channels(64)
    pattern = f"b {windows} i, b {k} i o -> b {out} o"
    return Work("per sample", pattern, ((b, *sizes, i), (b, *counts, i, o)), _padding(draw))


def _per_sample_depthwise(draw: _Draw) -> Work:
    taps = draw.of(3, 5, 7)
    windows, k, out, sizes, counts = draw.windows(2, taps, size=draw.log(8, 64) + taps)
    b, c = draw.of(2, 4, 8, 16), draw.channels(128)
    pattern = f"b {windows} c, b {k} c -> b {out} c"
    shapes = ((b, *sizes, c), (b, *counts, c))
    return Work("per sample depthwise", pattern, shapes, _padding(draw))


def _per_pixel(draw: _Draw) -> Work:
    taps = draw.of(3, 3, 5, 7)
    windows, k, out, sizes, counts = draw.windows(2, taps, size=draw.log(8, 56))
    b, g, c = draw.of(1, 2, 4), draw.of(1, 4, 8, 16), draw.of(1, 4, 8, 16, 32)
    pattern = f"b {windows} (g c), b {out} {k} g -> b {out} (g c)"
    shapes = ((b, *sizes, g * c), (b, *sizes, *counts, g))
    return Work("per pixel", pattern, shapes, {"padding": "same"})


def _locally_connected(draw: _Draw) -> Work:
    taps = draw.of(1, 3, 3, 5)
    positions = draw.log(4, 40)
    windows, k, out, sizes, counts = draw.windows(2, taps, size=positions + taps - 1)
    b, i, o = draw.of(1, 4, 16, 32), draw.of(1, 4, 8, 16), draw.of(4, 8, 16)
    pattern = f"b {windows} i, {out} {k} i o -> b {out} o"
    shapes = ((b, *sizes, i), (positions, positions, *counts, i, o))
    return Work("locally connected", pattern, shapes)


def _correlation(draw: _Draw) -> Work:
    reach, n = draw.of(3, 5, 7, 9), draw.log(8, 48)
    b, c = draw.of(1, 2, 4), draw.of(8, 32, 64)
    pattern = "b h w c, b (h+dh) (w+dw) c -> b h w dh dw"
    shapes = ((b, n, n, c), (b, n + reach - 1, n + reach - 1, c))
    return Work("correlation", pattern, shapes)


def _kernel_gradient(draw: _Draw) -> Work:
    """The step that training plans for a kernel: taps are kept, positions summed."""
    taps = draw.of(3, 3, 5, 7, 15)
    stride = draw.of(1, 1, 1, 2)
    windows, k, out, sizes, counts = draw.windows(
        2, taps, stride=stride, size=draw.log(8, 100) + taps
    )
    positions = tuple((n - t) // stride + 1 for n, t in zip(sizes, counts, strict=True))
    b, i, o = draw.of(1, 2, 4, 8), draw.channels(), draw.channels(128)
    if draw.of(True, False):
        pattern = f"b {windows} c, b {out} c -> {k} c"
        return Work("kernel gradient", pattern, ((b, *sizes, i), (b, *positions, i)))
    pattern = f"b {windows} i, b {out} o -> {k} i o"
    return Work("kernel gradient", pattern, ((b, *sizes, i), (b, *positions, o)))


def _data_gradient(draw: _Draw) -> Work:
    """The step that training plans for the data of a depthwise convolution."""
    taps = draw.of(3, 3, 5, 7, 15, 31)
    stride = draw.of(1, 1, 1, 2)
    windows, k, position, sizes, counts = draw.windows(
        2, taps, stride=stride, size=draw.log(8, 100)
    )
    b, c = draw.of(1, 2, 4, 8), draw.channels()
    pattern = f"b {position} c, {k} c -> b {windows} c"
    return Work("data gradient", pattern, ((b, *sizes, c), (*counts, c)), _padding(draw))


STAGES = {
    "dense": ((112, 32), (56, 64), (56, 96), (28, 128), (28, 192), (14, 256), (14, 384), (7, 512)),
    "depthwise": (
        (112, 32),
        (56, 96),
        (56, 144),
        (28, 192),
        (28, 240),
        (14, 384),
        (14, 480),
        (7, 960),
    ),
    "grouped": ((56, 128), (28, 256), (14, 512), (7, 1024)),
}
"""Sides and channels of the stages of networks that are in wide use."""


def _stage(draw: _Draw) -> Work:
    """A layer of a network for images, or the gradient of one of its operands."""
    kind = draw.of("dense", "depthwise", "depthwise", "grouped", "grouped")
    side, channels = draw.of(*STAGES[kind])
    batch = draw.of(1, 1, 4, 8, 16)
    taps, stride = draw.of(3, 3, 5, 7) if kind == "depthwise" else draw.of(1, 3, 3), 1
    if kind != "dense" and draw.of(True, False, False, False):
        stride = 2
    windows, k, out, _, counts = draw.windows(2, taps, stride=stride, size=side)
    padded = (side + taps - 1,) * 2
    positions = tuple((n - taps) // stride + 1 for n in padded)
    groups = {"dense": 1, "depthwise": channels, "grouped": 32}[kind]
    each = channels // groups
    data, made, kernel, sizes = {
        "dense": ("i", "o", "i o", (channels, channels)),
        "depthwise": ("c", "c", "c", (channels,)),
        "grouped": ("(g i)", "(g o)", "i g o", (each, groups, each)),
    }[kind]
    x, w = f"b {windows} {data}", f"{k} {kernel}"
    y = f"b {out} {made}"
    x_shape = (batch, *padded, channels)
    y_shape = (batch, *positions, channels)
    same_shape = (batch, side, side, channels)
    same = {"padding": "same"}
    return draw.of(
        Work(f"{kind} stage", f"{x}, {w} -> {y}", (x_shape, (*counts, *sizes))),
        Work(f"{kind} stage", f"{x}, {w} -> {y}", (same_shape, (*counts, *sizes)), same),
        Work(f"{kind} stage", f"{y}, {w} -> {x}", (y_shape, (*counts, *sizes)), same),
        Work(f"{kind} stage", f"{x}, {y} -> {w}", (x_shape, y_shape)),
    )


def _sequence(draw: _Draw) -> Work:
    """A layer of a network for sequences, or the gradient of one of its operands."""
    length, taps = draw.log(512, 65_536), draw.of(3, 4, 7, 15, 31, 63)
    batch, channels = draw.of(1, 1, 4, 16), draw.of(16, 32, 64, 128, 256)
    data, made, kernel, sizes = draw.of(
        ("i", "o", "i o", (channels, channels)), ("c", "c", "c", (channels,))
    )
    x, w, y = f"b (t+kt) {data}", f"kt {kernel}", f"b t {made}"
    x_shape, y_shape = (batch, length + taps - 1, channels), (batch, length, channels)
    return draw.of(
        Work("sequence", f"{x}, {w} -> {y}", (x_shape, (taps, *sizes))),
        Work("sequence", f"{y}, {w} -> {x}", (y_shape, (taps, *sizes))),
        Work("sequence", f"{x}, {y} -> {w}", (x_shape, y_shape)),
    )


USUAL: tuple[tuple[Callable[[_Draw], Work], float, float], ...] = (
    (_stage, 4, 2e9),
    (_sequence, 1, 1e9),
)
"""The same for layers of networks in wide use."""

FAMILIES: tuple[tuple[Callable[[_Draw], Work], float, float], ...] = (
    (_dense, 5, 6e8),
    (_depthwise, 5, 6e7),
    (_filter, 1, 3e7),
    (_grouped, 3, 8e7),
    (_transposed, 2, 2e8),
    (_per_sample, 2, 8e7),
    (_per_sample_depthwise, 1, 2e7),
    (_per_pixel, 2, 4e7),
    (_locally_connected, 1, 4e7),
    (_correlation, 1, 4e7),
    (_kernel_gradient, 2, 1e8),
    (_data_gradient, 2, 4e7),
)
"""How to draw, the weight of the family, and the most multiply-adds of a case."""


def draw(seed: int, number: int, *, size: str = "") -> Work:
    """Return case `number` of a seed.

    Those of size "large" go beyond the processor's caches; "usual" ones are layers of networks.
    """
    import convsmith as cs
    from convsmith.errors import ConvsmithError

    source = random.Random(f"{seed}/{number}/{size}" if size else f"{seed}/{number}")
    least_entries, most_entries = {"": (0, MOST_ENTRIES), "large": LARGE, "usual": (0, LARGE[1])}[
        size
    ]
    families = USUAL if size == "usual" else FAMILIES
    make, _, most = source.choices(families, [weight for _, weight, _ in families])[0]
    while True:
        work = make(_Draw(source))
        if not least_entries <= max(prod(s) for s in work.shapes) <= most_entries:
            continue
        try:
            plan = cs.plan(work.pattern, *work.shapes, **work.arguments)
        except ConvsmithError:
            continue
        sized = prod(n or 1 for n in plan.output_shape)
        if plan.macs <= most * (5 if size == "large" else 1) and sized <= most_entries:
            return work

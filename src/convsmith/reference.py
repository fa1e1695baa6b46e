"""The definition of every convolution: float64, by enumerating each index, obviously right.

It is slow and shares no code with the rest of convsmith, so that the two can be held against each
other. Every name of a pattern is a loop; each point of the loops reads one entry of each operand,
multiplies, and adds to one entry of the output. Places beyond the edges are looked up by index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

ALIASES = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}
MODES = {"constant", "edge", "reflect", "symmetric", "wrap", "renormalize"}
ZEROS = {"sum_product": 0.0, "max_plus": -np.inf, "min_plus": np.inf}


@dataclass
class _Window:
    position: str
    tap: str
    stride: int
    dilation: int
    flipped: bool
    size: int = 0
    low: int = 0
    high: int = 0


def conv(
    pattern: str,
    *operands: Any,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    semiring: str = "sum_product",
    **sizes: int,
) -> np.ndarray:
    """Return the convolution that a well-formed pattern defines, in float64 or complex128.

    The arguments are those of `convsmith.conv`.

    Example:
        >>> conv("(h+k), k -> h", [1.0, 2.0, 3.0], [1.0, 1.0]).tolist()
        [3.0, 5.0]
    """
    loops = _Loops(pattern, operands, padding, padding_mode, padding_value, semiring, sizes)
    return loops.forward()


def gradients(
    pattern: str,
    *operands: Any,
    cotangent: Any,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    **sizes: int,
) -> tuple[np.ndarray, ...]:
    """Return the gradient of ``sum(cotangent * conv(...))`` for each operand (sum_product).

    Example:
        >>> dx, dk = gradients("(h+k), k -> h", [1.0, 2.0], [3.0], cotangent=[1.0, 1.0])
        >>> dx.tolist(), dk.tolist()
        ([3.0, 3.0], [3.0])
    """
    loops = _Loops(pattern, operands, padding, padding_mode, padding_value, "sum_product", sizes)
    return loops.backward(np.asarray(cotangent, dtype="float64"))


class _Loops:
    def __init__(
        self,
        pattern: str,
        operands: tuple[Any, ...],
        padding: Any,
        padding_mode: Any,
        padding_value: float | None,
        semiring: str,
        sizes: Mapping[str, int],
    ) -> None:
        left, right = pattern.split("->")
        self.arrays = [_widen(np.asarray(x)) for x in operands]
        self.semiring = semiring
        self.fill = ZEROS[semiring] if padding_value is None else padding_value
        self.padding, self.mode = padding, padding_mode
        self.sizes: dict[str, int] = dict(sizes)
        self.sides = [_items(t, sizes) for t in left.split(",")]
        self.output = _items(right, sizes)
        for side, array in zip(self.sides, self.arrays, strict=True):
            self._expand_dots(side, array.ndim)
        self._match_sizes()
        self._size_windows()
        names = [n for side in (*self.sides, self.output) for item in side for n in _names(item)]
        self.names = list(dict.fromkeys(names))
        self.points = {
            n: np.arange(self.sizes[n]).reshape([-1 if m == n else 1 for m in self.names])
            for n in self.names
        }
        self.space = tuple(self.sizes[n] for n in self.names)

    # Sizes -----------------------------------------------------------------------------------

    def _expand_dots(self, side: list[Any], rank: int) -> None:
        if "..." in side:
            count = rank - (len(side) - 1)
            dots = [f".{i}" for i in range(count)]
            at = side.index("...")
            side[at : at + 1] = dots
            if "..." in self.output:
                at = self.output.index("...")
                self.output[at : at + 1] = dots

    def _match_sizes(self) -> None:
        for _ in range(3):
            for side, array in zip(self.sides, self.arrays, strict=True):
                for item, size in zip(side, array.shape, strict=True):
                    if isinstance(item, str) and item != "1":
                        self.sizes.setdefault(item, size)
                    elif isinstance(item, list):
                        unknown = [n for n in item if n not in self.sizes]
                        if len(unknown) == 1:
                            known = int(np.prod([self.sizes[n] for n in item if n in self.sizes]))
                            self.sizes[unknown[0]] = size // max(known, 1)

    def _size_windows(self) -> None:
        for side, array in zip(self.sides, self.arrays, strict=True):
            for item, size in zip(side, array.shape, strict=True):
                if isinstance(item, _Window):
                    self._size_read(item, size)
        for item in self.output:
            if isinstance(item, _Window):
                self._size_written(item)

    def _entry(self, value: Any, window: _Window, default: Any) -> Any:
        return value.get(window.position, default) if isinstance(value, Mapping) else value

    def _size_read(self, w: _Window, n: int) -> None:
        padding = self._entry(self.padding, w, "valid")
        s, d = w.stride, w.dilation
        if w.tap not in self.sizes:
            low, high = _amounts(padding)
            self.sizes[w.tap] = (n + low + high - s * (self.sizes[w.position] - 1) - 1) // d + 1
        reach = d * (self.sizes[w.tap] - 1) + 1
        if padding in ("same", "same_lower"):
            total = max((-(-n // s) - 1) * s + reach - n, 0)
            half = (total // 2, total - total // 2)
            w.low, w.high = half if padding == "same" else half[::-1]
        elif padding == "full":
            w.low = w.high = reach - 1
        elif padding == "causal":
            w.low, w.high = reach - 1, 0
        else:
            w.low, w.high = _amounts(padding)
        w.size = n
        count = (n + w.low + w.high - reach) // s + 1
        if count < 1:
            raise ValueError(f"axis {w.position} has {count} outputs")
        if self.sizes.setdefault(w.position, count) != count:
            raise ValueError(f"axis {w.position} has two sizes")

    def _size_written(self, w: _Window) -> None:
        padding = self._entry(self.padding, w, "valid")
        s = w.stride
        reach = w.dilation * (self.sizes[w.tap] - 1) + 1
        if padding in ("same", "same_lower"):
            total = max(reach - s, 0)
            w.low = total // 2 if padding == "same" else total - total // 2
            w.high = reach - s - w.low
        elif padding == "full":
            w.low = w.high = reach - 1
        elif padding == "causal":
            w.low, w.high = reach - 1, 0
        else:
            w.low, w.high = _amounts(padding)
        w.size = s * (self.sizes[w.position] - 1) + reach - w.low - w.high
        if w.size < 1:
            raise ValueError(f"axis {w.position} writes {w.size} entries")

    # Indices ---------------------------------------------------------------------------------

    def _modes(self, w: _Window) -> tuple[str, str]:
        mode = self._entry(self.mode, w, "constant")
        low, high = (mode, mode) if isinstance(mode, str) else mode
        low, high = ALIASES.get(low, low), ALIASES.get(high, high)
        if not {low, high} <= MODES:
            raise ValueError(f"unknown padding mode {mode!r}")
        return low, high

    def _place(self, w: _Window) -> tuple[np.ndarray, np.ndarray]:
        """Return which entry every point touches, and whether there is one."""
        tap = self.points[w.tap]
        if w.flipped:
            tap = self.sizes[w.tap] - 1 - tap
        index = w.stride * self.points[w.position] + w.dilation * tap - w.low
        low, high = self._modes(w)
        source = (
            np.vectorize(lambda i: _source(int(i), w.size, low if i < 0 else high), otypes=[int])(
                index
            )
            if index.size
            else index
        )
        return np.maximum(source, 0), source >= 0

    def _index(self, side: list[Any], shape: tuple[int, ...]) -> tuple[Any, np.ndarray]:
        """Return the index arrays of one operand over all points, and where they're inside."""
        inside = np.ones((1,) * len(self.names), bool)
        index: list[np.ndarray] = []
        for item in side:
            if isinstance(item, _Window):
                place, ok = self._place(item)
                index.append(place)
                inside = inside & ok
            elif isinstance(item, list):
                place = np.zeros((1,) * len(self.names), int)
                for n in item:
                    place = place * self.sizes[n] + self.points[n]
                index.append(place)
            elif item == "1":
                index.append(np.zeros((1,) * len(self.names), int))
            else:
                index.append(self.points[item])
        full = tuple(np.broadcast_to(i, self.space) for i in index)
        return full, np.broadcast_to(inside, self.space)

    def _scale(self) -> np.ndarray:
        """Return taps over taps in bounds for the axes that are renormalised."""
        scale = np.ones((1,) * len(self.names))
        seen: set[tuple[Any, ...]] = set()
        for item in (i for side in (*self.sides, self.output) for i in side):
            if not isinstance(item, _Window) or self._modes(item)[0] != "renormalize":
                continue
            key = (item.position, item.tap, item.size, item.low, item.stride, item.dilation)
            if (key, item in self.output) in seen:
                continue
            seen.add((key, item in self.output))
            _, inside = self._place(item)
            axis = self.names.index(item.tap)
            count = inside.sum(axis=axis, keepdims=True)
            taps = self.sizes[item.tap]
            scale = scale * np.where(count > 0, taps / np.maximum(count, 1), 0.0)
        return scale

    # The loops -------------------------------------------------------------------------------

    def _output_shape(self) -> tuple[int, ...]:
        shape: list[int] = []
        for item in self.output:
            if isinstance(item, _Window):
                shape.append(item.size)
            elif isinstance(item, list):
                shape.append(int(np.prod([self.sizes[n] for n in item])))
            else:
                shape.append(1 if item == "1" else self.sizes[item])
        return tuple(shape)

    def _read(self) -> list[np.ndarray]:
        values: list[np.ndarray] = []
        for side, array in zip(self.sides, self.arrays, strict=True):
            index, inside = self._index(side, array.shape)
            if array.size == 0 or 0 in self.space:
                values.append(np.full(self.space, self.fill, array.dtype))
                continue
            values.append(np.where(inside, array[index] if index else array, self.fill))
        return values

    def forward(self) -> np.ndarray:
        shape = self._output_shape()
        kind = np.result_type(*[a.dtype for a in self.arrays])
        result = np.full(shape, ZEROS[self.semiring], kind)
        index, inside = self._index(self.output, shape)
        values = self._read()
        if self.semiring == "sum_product":
            product = np.broadcast_to(self._scale(), self.space).astype(kind)
            for v in values:
                product = product * v
            if not index:
                return np.asarray(product.sum())
            np.add.at(result, tuple(i[inside] for i in index), product[inside])
            return result
        total = np.zeros(self.space)
        for v in values:
            total = total + v
        ufunc = np.maximum if self.semiring == "max_plus" else np.minimum
        if not index:
            return np.asarray(ufunc.reduce(total.ravel(), initial=ZEROS[self.semiring]))
        ufunc.at(result, tuple(i[inside] for i in index), total[inside])
        return result

    def backward(self, cotangent: np.ndarray) -> tuple[np.ndarray, ...]:
        index, inside = self._index(self.output, self._output_shape())
        values = self._read()
        scale = np.broadcast_to(self._scale(), self.space)
        seed = np.zeros(self.space)
        seed[inside] = cotangent[tuple(i[inside] for i in index)]
        seed = seed * scale
        results: list[np.ndarray] = []
        for number, (side, array) in enumerate(zip(self.sides, self.arrays, strict=True)):
            product = seed.copy()
            for other, v in enumerate(values):
                if other != number:
                    product = product * v
            gradient = np.zeros(array.shape)
            where, ok = self._index(side, array.shape)
            np.add.at(gradient, tuple(i[ok] for i in where), product[ok])
            results.append(gradient)
        return tuple(results)


def _widen(array: np.ndarray) -> np.ndarray:
    return array.astype("complex128" if array.dtype.kind == "c" else "float64")


def _amounts(padding: Any) -> tuple[int, int]:
    if isinstance(padding, str):
        if padding != "valid":
            raise ValueError(f"unknown padding {padding!r}")
        return 0, 0
    return (padding, padding) if isinstance(padding, int) else tuple(padding)  # type: ignore[return-value]


def _items(text: str, sizes: Mapping[str, int]) -> list[Any]:
    """Read one side: names and "1" as text, groups as lists, windows as `_Window`."""
    items: list[Any] = []
    for piece in re.findall(r"\([^)]*\)|\S+", text):
        if not piece.startswith("("):
            items.append(piece)
            continue
        inside = piece[1:-1]
        if "+" not in inside and "-" not in inside:
            names = inside.split()
            items.append(names if len(names) > 1 else names[0])
            continue
        sign = "+" if "+" in inside else "-"
        (s, h), (d, k) = (_term(t, sizes) for t in inside.split(sign))
        items.append(_Window(h, k, s, d, sign == "-"))
    return items


def _term(text: str, sizes: Mapping[str, int]) -> tuple[int, str]:
    match = re.fullmatch(
        r"\s*(?:([0-9]+)\s*\*?|([a-z][a-z0-9_]*)\s*\*)?\s*([a-z][a-z0-9_]*)\s*", text
    )
    assert match is not None, text
    number, symbol, name = match.groups()
    return (int(number) if number else sizes[symbol] if symbol else 1), name


def _names(item: Any) -> list[str]:
    if isinstance(item, _Window):
        return [item.position, item.tap]
    if isinstance(item, list):
        return item
    return [] if item == "1" else [item]


def _source(index: int, size: int, mode: str) -> int:
    """Return the entry that a place shows, -1 for the fill: walk back in, one edge at a time."""
    while not 0 <= index < size:
        if mode in ("constant", "renormalize"):
            return -1
        if mode == "edge":
            index = 0 if index < 0 else size - 1
        elif mode == "wrap":
            index += size if index < 0 else -size
        elif mode == "symmetric":
            index = -1 - index if index < 0 else 2 * size - 1 - index
        elif size == 1:
            index = 0
        else:
            index = -index if index < 0 else 2 * size - 2 - index
    return index

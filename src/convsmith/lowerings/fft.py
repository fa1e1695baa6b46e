"""`fft`: products of spectra, whose cost doesn't grow with the kernel; long axes in tiles.

Every window is a whole convolution of ``size + reach`` entries, ``reach = dilation * (taps - 1)``,
of which the step wants some: those from `Line.first` on. Reading windows is correlation, so the
kernel is flipped; writing them is convolution of data with zeros in between. A transform may be
as short as leaves the wanted entries untouched: what wraps around falls on unwanted ones.

Axes much longer than the kernel are cut into tiles that overlap by `reach` (overlap-save), so
that a transform fits into the cache and one small spectrum of the kernel serves all tiles.

**Accuracy.** With ``N`` points per transform (all axes), ``depth`` summed channels and
``eps = numpy.finfo(dtype).eps``, every output is off by at most about

    eps * log2(N) * sqrt(N * depth) * max|x| * sum|k|

where ``max|x|`` is taken over *the whole tile*, not the window: a transform spreads its rounding
evenly over all it computes. Direct summation of ``n = taps * depth`` terms is off by at most
``n * eps * max|x| * sum|k|`` with ``max|x|`` over the window. The planner chooses `fft` by itself
only where the first factor is no larger than the second, which is where kernels are large; what
remains is that small outputs near much larger ones lose digits, and that one NaN or infinity
reaches its whole tile. ``lowering="fft"`` and ``lowering="native"`` overrule it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import ceil, log2, prod, sqrt
from typing import Any

import numpy as np
from keras import ops

from convsmith.lowerings import native
from convsmith.lowerings.amounts import Features, item_size, operand_bytes, output_bytes
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import YES, Sizes, Support, Target, Tensor
from convsmith.lowerings.tensors import (
    at,
    crop_or_extend,
    dtype_name,
    pad_zeros,
    permute,
    reshape,
    size_product,
    strided,
)
from convsmith.lowerings.windows import spread
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step, assumed

name = "fft"

DTYPES = ("float32", "float64", "complex64", "complex128")

MOST_WINDOWS = 3
"""TensorFlow transposes and slices tensors of eight axes: two, and a tile and a place each."""

CACHED_POINTS = 1 << 17
"""A transform of more points leaves the second-level cache, which makes each point dearer."""

MOST_TILE_SIZES = 6


@dataclass(frozen=True)
class Line:
    """One axis as a convolution of two lines: sizes, and which part of the whole is wanted.

    Entries ``first, first + step, ...`` of the whole, `count` of them before steps are taken;
    `size` counts the data's entries with its `gap - 1` zeros between neighbours.
    """

    size: int
    gap: int
    reach: int
    first: int
    count: int
    step: int

    @property
    def begin(self) -> int:
        """The first wanted entry that exists."""
        return min(max(self.first, 0), self.size + self.reach)

    @property
    def end(self) -> int:
        """One past the last wanted entry that exists."""
        return max(min(self.first + self.count, self.size + self.reach), self.begin)

    @property
    def shortest(self) -> int:
        """The least transform whose wrapped entries are all unwanted."""
        return max(self.size, self.reach + 1, self.end, self.size + self.reach - self.begin)


@dataclass(frozen=True)
class Tiling:
    """How an axis is transformed: the points of one transform, and how many tiles there are."""

    points: int
    tiles: int


@dataclass(frozen=True)
class Work:
    """What the cost model wants to know: real numbers transformed, and what spectra cost.

    `butterflies` counts points times log2 of them, `spectrum` the complex entries that are
    multiplied, `products` the complex multiply-adds, `moved` the numbers that are moved around.
    """

    butterflies: float
    spectrum: float
    products: float
    moved: float


def supports(step: Step, target: Target) -> Support:
    """One data operand with every window, one kernel with every tap, and known sizes."""
    if step.semiring != "sum_product":
        return Support(False, f"there is no transform for {step.semiring}")
    if target.dtype not in DTYPES:
        return Support(False, f"there is no transform for {target.dtype}")
    form = native.analyze(step)
    if isinstance(form, str):
        return Support(False, form)
    if form.rank > MOST_WINDOWS:
        return Support(False, f"{form.rank} windows are more than {MOST_WINDOWS}")
    for window in form.windows:
        if window.size is None or window.positions is None:
            return Support(False, f"the number of positions '{window.position}' is open")
    channels = [*form.group, *form.depth, *form.features]
    if any(step.size(p) is None for p in channels if p not in form.shared):
        return Support(False, "the number of channels is open")
    if target.spread:
        return Support(True, "XLA gathers on each device what it transforms")
    if not within_direct_error(step):
        return Support(True, "its error may exceed that of adding up all terms")
    return YES


def line(window: SizedWindow, transposed: bool) -> Line:
    """Return a window as a convolution of lines."""
    assert window.size is not None
    assert window.positions is not None
    assert window.taps is not None
    assert window.pads.low is not None
    reach = window.dilation * (window.taps - 1)
    if transposed:
        size = window.stride * (window.positions - 1) + 1
        return Line(size, window.stride, reach, window.pads.low, window.size, 1)
    count = window.stride * (window.positions - 1) + 1
    return Line(window.size, 1, reach, reach - window.pads.low, count, window.stride)


@cache
def good_size(least: int, even: bool = False) -> int:
    """Return the smallest product of 2, 3, 5 and at most one 7 that is no less than `least`.

    Example:
        >>> [good_size(n) for n in (1, 11, 13, 97, 1025)]
        [1, 12, 14, 100, 1050]
        >>> good_size(43, even=True)
        48
    """
    size = max(least, 1)
    while True:
        rest = size // 7 if size % 7 == 0 else size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and not (even and size % 2):
            return size
        size += 1


def tilings(axis: Line, even: bool) -> list[Tiling]:
    """Return the ways to transform an axis: at once, or in tiles of some sizes."""
    whole = good_size(axis.shortest, even)
    result = [Tiling(whole, 1)]
    wanted = axis.end - axis.begin
    points = good_size(max(2 * axis.reach + 1, 16), even)
    for _ in range(MOST_TILE_SIZES):
        if points >= whole:
            break
        tiles = ceil(wanted / (points - axis.reach))
        if tiles > 1:
            result.append(Tiling(points, tiles))
        points = good_size(ceil(points * 1.5), even)
    return result


def ways(step: Step) -> list[tuple[Tiling, ...]]:
    """Return all ways to transform the axes, the one without tiles first."""
    form = native.analyze(step)
    assert isinstance(form, native.Form)
    lines = [line(w, form.transposed) for w in form.windows]
    last = len(lines) - 1
    return list(product(*(tilings(axis, i == last) for i, axis in enumerate(lines))))


def plan_axes(step: Step) -> tuple[Tiling, ...]:
    """Return the cheapest tiling of every axis among those that are accurate, if any is."""
    found = step.notes.get("fft tilings")
    if found is not None:
        return found

    def cost(way: tuple[Tiling, ...]) -> tuple[bool, float]:
        done = work(step, way)
        traffic = 2 * done.moved + 4 * done.spectrum
        return not _accurate(step, way), done.butterflies + traffic + 2 * done.products

    best = min(ways(step), key=cost)
    step.notes["fft tilings"] = best
    return best


def work(step: Step, way: tuple[Tiling, ...]) -> Work:
    """Return what a tiling costs, in numbers."""
    form = native.analyze(step)
    assert isinstance(form, native.Form)
    batch = prod(assumed(step.size(p)) for p in (*form.batch, *form.shared))
    group, depth, features = _channels(step, form)
    points = prod(t.points for t in way)
    tiles = prod(t.tiles for t in way)
    data = batch * tiles * group * (depth + features) * points
    kernel = group * depth * features * points
    each = sum(log2(max(t.points, 2)) for t in way)
    far = 1.0 + max(0.0, log2(points / CACHED_POINTS)) / 4
    # Lines of the kernel that are all zeros aren't transformed in every direction.
    return Work(
        butterflies=(data + 0.7 * kernel) * each * far,
        spectrum=(data + kernel) / 2,
        products=batch * tiles * group * depth * features * points / 2,
        moved=float(data + kernel),
    )


def _channels(step: Step, form: native.Form) -> tuple[int, int, int]:
    def count(places: tuple[Place, ...]) -> int:
        return prod(assumed(step.size(p)) for p in places if p not in form.shared)

    return count(form.group), count(form.depth), count(form.features)


def error_factor(step: Step, way: tuple[Tiling, ...]) -> float:
    """Return the error in units of ``eps * max|x| * sum|k|``, ``max`` over a whole tile."""
    form = native.analyze(step)
    assert isinstance(form, native.Form)
    points = prod(t.points for t in way)
    return max(log2(points), 1.0) * sqrt(points * _channels(step, form)[1])


def error_bound(step: Step, dtype: str) -> float:
    """Return the largest error of any output as a share of ``max|x| * sum|k|``.

    ``max|x|`` is over everything that shares a transform with the output. The bound takes a
    transform to be off by ``log2(N) * eps`` in the 2-norm; the proven constant (Higham 2002,
    theorem 24.2, three transforms) is ten times that, measured errors are 300 times below it.
    """
    return float(np.finfo(dtype).eps) * error_factor(step, plan_axes(step))


def within_direct_error(step: Step) -> bool:
    """Whether the bound is no larger than that of adding up all terms in the same dtype."""
    return _accurate(step, plan_axes(step))


def _accurate(step: Step, way: tuple[Tiling, ...]) -> bool:
    form = native.analyze(step)
    assert isinstance(form, native.Form)
    terms = prod(w.taps or 1 for w in form.windows) * _channels(step, form)[1]
    return error_factor(step, way) <= terms


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Transform tiles of the data and the kernel, multiply, transform back, put tiles together."""
    form = native.analyze(step)
    assert isinstance(form, native.Form)
    x, kernel = operands[form.data], operands[1 - form.data]
    way = plan_axes(step)
    lines = [line(w, form.transposed) for w in form.windows]
    group, depth, features = _channels(step, form)
    batch = [*form.batch, *form.shared]
    batch_size = size_product(sizes.of(p) for p in batch)

    x = _arranged_data(x, step, form, sizes, [batch_size, group * depth])
    x = _cut(x, lines, way)
    spectrum = _transformed(x, [t.points for t in way])
    kernel = _arranged_kernel(kernel, step, form, [group, depth, features])
    factor = _transformed(kernel, [t.points for t in way])

    shape = [group, depth, features, prod(t.tiles for t in way)]
    result = _multiplied(spectrum, factor, batch_size, shape, len(way))
    y = _inverse(result, lines, way, real=not dtype_name(x).startswith("complex"))
    y = _joined(y, lines, way)

    written: list[Place] = [w if form.transposed else w.position for w in form.windows]
    own_group = [p for p in form.group if p not in form.shared]
    natural = [*batch, *own_group, *form.features, *written]
    y = reshape(y, [sizes.of(p) for p in natural])
    return permute(y, [natural.index(p) for p in step.output])


def _arranged_data(
    x: Tensor, step: Step, form: native.Form, sizes: Sizes, front: list[Any]
) -> Tensor:
    """Return the data as [batch, channels, lines...], with its zeros in between."""
    places = list(step.operands[form.data])
    own_group = [p for p in form.group if p not in form.shared]
    axes: list[Place] = [w.position if form.transposed else w for w in form.windows]
    order = [*form.batch, *form.shared, *own_group, *form.depth, *axes]
    extra = tuple(i for i, p in enumerate(places) if p not in order)
    if extra:
        x, places = ops.sum(x, axis=extra), [p for p in places if p in order]
    x = permute(x, [places.index(p) for p in order])
    lengths = [sizes.of(p) for p in axes]
    x = reshape(x, [*front, *lengths])
    for i, window in enumerate(form.windows):
        if form.transposed:
            x = spread(x, i + 2, window.stride, lengths[i], 0.0)
    return x


def _arranged_kernel(kernel: Tensor, step: Step, form: native.Form, channels: list[int]) -> Tensor:
    """Return the kernel as [group, depth, features, lines...], flipped for correlation."""
    places = list(step.operands[1 - form.data])
    own_group = [p for p in form.group if p not in form.shared]
    order = [*own_group, *form.depth, *form.features, *(w.tap for w in form.windows)]
    extra = tuple(i for i, p in enumerate(places) if p not in order)
    if extra:
        kernel, places = ops.sum(kernel, axis=extra), [p for p in places if p in order]
    kernel = permute(kernel, [places.index(p) for p in order])
    kernel = reshape(kernel, [*channels, *(w.taps for w in form.windows)])
    flipped = tuple(
        i + 3 for i, w in enumerate(form.windows) if w.flipped == form.transposed and w.taps != 1
    )
    if flipped:
        kernel = ops.flip(kernel, axis=flipped)
    for i, window in enumerate(form.windows):
        kernel = spread(kernel, i + 3, window.dilation, window.taps, 0.0)
    return kernel


def _cut(x: Tensor, lines: list[Line], way: tuple[Tiling, ...]) -> Tensor:
    """Return [batch, channels, tiles, lines...]: axes of one tile as they are, others overlapping.

    A tile that keeps ``points - reach`` entries reads `reach` more, the first ones of the next.
    """
    rank = len(lines)
    axis = 2
    for one, tiling in zip(lines, way, strict=True):
        if tiling.tiles == 1:
            x = ops.expand_dims(x, axis)
            axis += 2
            continue
        kept = tiling.points - one.reach
        start = one.begin - one.reach
        total = (tiling.tiles + 1) * kept
        x = crop_or_extend(x, axis, start, one.size - start - total, 0.0)
        before = _lengths(x)
        x = reshape(x, [*before[:axis], tiling.tiles + 1, kept, *before[axis + 1 :]])
        now = at(x, axis, slice(0, tiling.tiles))
        following = at(x, axis, slice(1, tiling.tiles + 1))
        following = at(following, axis + 1, slice(0, one.reach))
        x = ops.concatenate([now, following], axis=axis + 1) if one.reach else now
        axis += 2
    places = list(range(2, 2 + 2 * rank))
    x = permute(x, [0, 1, *places[::2], *places[1::2]])
    lengths = _lengths(x)
    return reshape(x, [*lengths[:2], prod(t.tiles for t in way), *lengths[2 + rank :]])


def _lengths(x: Tensor) -> list[Any]:
    return [current().size(x, i) for i in range(len(x.shape))]


def _transformed(x: Tensor, points: list[int]) -> Tensor:
    """Return the spectrum over the last axes, which come out in reverse order.

    Always along the last axis, the only one that every backend has: transpositions between.
    """
    backend = current()
    real = not dtype_name(x).startswith("complex")
    rank, axes = len(points), len(x.shape)
    x = backend.rfft(x, points[-1]) if real else backend.fft(x, points[-1])
    front = list(range(axes - rank))
    for done in range(1, rank):
        first = axes - rank
        # [..., waiting, next, spectra...] -> [..., waiting, spectra..., next]
        here = axes - 1 - done
        order = [*front, *range(first, here), *range(here + 1, axes), here]
        x = backend.fft(permute(x, order), points[rank - 1 - done])
    return x


def _inverse(y: Tensor, lines: list[Line], way: tuple[Tiling, ...], real: bool) -> Tensor:
    """Return what the spectrum is of, cropped to what is wanted as each axis comes out."""
    backend = current()
    rank, axes = len(lines), len(y.shape)
    front = axes - rank
    for i in range(rank - 1):
        y = _wanted(backend.ifft(y), axes - 1, lines[i], way[i])
        # [..., done, spectra..., new] -> [..., done, new, spectra...]
        order = [*range(front + i), axes - 1, *range(front + i, axes - 1)]
        y = permute(y, order)
    y = backend.irfft(y, way[-1].points) if real else backend.ifft(y)
    return _wanted(y, axes - 1, lines[-1], way[-1])


def _wanted(y: Tensor, axis: int, one: Line, tiling: Tiling) -> Tensor:
    if tiling.tiles > 1:
        return at(y, axis, slice(one.reach, tiling.points))
    return _stepped(at(y, axis, slice(one.begin, one.end)), axis, one)


def _stepped(y: Tensor, axis: int, one: Line) -> Tensor:
    """Return every `step`-th wanted entry, with zeros for those beyond the whole convolution."""
    low = min(max(one.begin - one.first, 0), one.count)
    y = pad_zeros(y, axis, low, one.count - low - (one.end - one.begin))
    return strided(y, axis, 0, (one.count - 1) // one.step + 1, one.step)


def _joined(y: Tensor, lines: list[Line], way: tuple[Tiling, ...]) -> Tensor:
    """Return [batch, channels, places...] of [batch, channels, tiles, places of a tile...]."""
    rank = len(lines)
    if all(t.tiles == 1 for t in way):
        lengths = _lengths(y)
        return reshape(y, [*lengths[:2], *lengths[3:]])
    lengths = _lengths(y)
    y = reshape(y, [*lengths[:2], *(t.tiles for t in way), *lengths[3:]])
    pairs = [axis for i in range(rank) for axis in (2 + i, 2 + rank + i)]
    y = permute(y, [0, 1, *pairs])
    merged = [t.tiles * n for t, n in zip(way, lengths[3:], strict=True)]
    y = reshape(y, [*lengths[:2], *merged])
    for i, (one, tiling) in enumerate(zip(lines, way, strict=True)):
        if tiling.tiles > 1:
            y = _stepped(at(y, i + 2, slice(0, one.end - one.begin)), i + 2, one)
    return y


def _multiplied(x: Tensor, kernel: Tensor, batch: Any, shape: list[int], rank: int) -> Tensor:
    """Return [batch, group * features, tiles, spectrum...], summed over depth."""
    group, depth, features, tiles = shape
    spectrum = list(kernel.shape[3:])
    if depth == 1:
        x = reshape(x, [batch, group, 1, tiles, *spectrum])
        kernel = reshape(kernel, [group, features, 1, *spectrum])
        return reshape(x * kernel, [batch, group * features, tiles, *spectrum])
    frequencies = prod(spectrum)
    x = reshape(x, [batch, group, depth, tiles, frequencies])
    x = permute(x, [4, 1, 0, 3, 2])
    x = reshape(x, [frequencies, group, batch * tiles, depth])
    kernel = reshape(kernel, [group, depth, features, frequencies])
    y = current().matmul(x, permute(kernel, [3, 0, 1, 2]))
    y = reshape(y, [frequencies, group, batch, tiles, features])
    y = permute(y, [2, 1, 4, 3, 0])
    return reshape(y, [batch, group * features, tiles, *spectrum])


def features(step: Step, target: Target) -> Features:
    """Transforms of data, kernel and result, and the products of their spectra."""
    way = plan_axes(step)
    done = work(step, way)
    size = item_size(target.dtype)
    return {
        "calls": 1.0,
        "calls.transforms": float(3 * len(way)),
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.moved": size * done.moved,
        "macs.butterflies": done.butterflies * size / 4,
        "macs.spectra": 4 * done.products,
    }


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of what is transformed, and of all spectra with one more order of each."""
    spectra = 2 * item_size(target.dtype) * work(step, plan_axes(step)).spectrum
    return int(operand_bytes(step, target) + 2.5 * spectra)

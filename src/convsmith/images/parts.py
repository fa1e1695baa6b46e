"""Any part of a filtered image from the entries that it needs, with the numbers of the whole.

What is decided once for the whole image is a `Recipe`: it says which places each part reads, far
ones too where edges wrap around or reflect, and computes the part from just those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images import fourier
from convsmith.images.conventions import convention
from convsmith.images.engine import arranged
from convsmith.images.filtering import Plans, planned, results_of
from convsmith.images.plane import OUTSIDE, index_map
from convsmith.images.planning import KernelPlan
from convsmith.images.region import Region
from convsmith.images.requests import Request, checked_image, placeholder, request

Array = NDArray[Any]
Places = NDArray[np.int64]
Bounds = tuple[int, int]


def stand_in(shape: Sequence[int], dtype: Any, convention_name: Any = None) -> Array:
    """Return an array that takes no memory, for an image of which only shape and dtype matter."""
    checked = checked_image(placeholder((1,) * len(shape), dtype), convention(convention_name))
    return placeholder(shape, checked.dtype)


@dataclass(frozen=True)
class Recipe:
    """What is done to an image, decided for all of its parts."""

    wanted: Request
    """Without the image."""
    plans: Plans
    shape: tuple[int, ...]
    source: str
    """The dtype of the image as it is given."""

    @property
    def axes(self) -> tuple[int, ...]:
        """The filtered axes, ascending."""
        return self.wanted.axes

    @property
    def dtype(self) -> np.dtype[Any]:
        """The result's."""
        target = np.dtype(self.plans[0][0].target)
        return target if len(self.plans[0]) == 1 else np.result_type(target, np.complex64)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The image's, and an axis of kernels for a bank."""
        return (*self.shape, len(self.plans)) if self.wanted.bank else self.shape

    def places(self, axis: int, bounds: Bounds) -> Places:
        """Return which places of a filtered axis some of its outputs need, ascending."""
        first, last = bounds
        if first == last:
            return np.zeros(0, np.int64)
        index = self.axes.index(axis)
        sizes, mode = tuple(self.shape[a] for a in self.axes), self.wanted.edges.modes[index]
        reaches = {self._reach(plan, sizes, index, first, last) for p in self.plans for plan in p}
        needed = [np.unique(index_map(*reach, sizes[index], mode)) for reach in reaches]
        merged = np.unique(np.concatenate(needed))
        return merged[merged != OUTSIDE]

    @staticmethod
    def _reach(plan: KernelPlan, sizes: Sequence[int], index: int, first: int, last: int) -> Bounds:
        """Return which places outputs read, those beyond the edges too."""
        if plan.method != "fourier":
            return first - plan.before[index], last + plan.after[index]
        return fourier.reach(plan, sizes, index, first, last)

    def part(self, block: Array, bounds: Sequence[Bounds], workers: int | None = None) -> Array:
        """Return some outputs.

        Args:
            block: all `places` of the filtered axes, one after the other, in order; and any
                part of the other axes.
            bounds: for each filtered axis, from where to before where outputs are wanted.
            workers: threads.
        """
        if any(first == last for first, last in bounds) or not block.size:
            return np.zeros(self._extent(block, bounds), self.dtype)
        source = arranged(checked_image(block, self.wanted.convention), self.axes)
        held = [self.places(axis, pair) for axis, pair in zip(self.axes, bounds, strict=True)]
        first, last = zip(*bounds, strict=True)
        sizes = tuple(self.shape[axis] for axis in self.axes)
        region = Region(sizes, first, last, tuple(map(_in_short, held)))
        return results_of(replace(self.wanted, workers=workers), self.plans, source, region)

    def _extent(self, block: Array, bounds: Sequence[Bounds]) -> tuple[int, ...]:
        shape = list(block.shape)
        for axis, (first, last) in zip(self.axes, bounds, strict=True):
            shape[axis] = last - first
        return (*shape, len(self.plans)) if self.wanted.bank else tuple(shape)


def _in_short(places: Places) -> int | Places:
    """Return where places that follow each other begin; other places as they are."""
    return int(places[0]) if places[-1] - places[0] == len(places) - 1 else places


def recipe(shape: Sequence[int], dtype: Any, kernel: Any, /, **options: Any) -> Recipe:
    """Return how all parts of an image of some shape and dtype are filtered.

    Args:
        shape: the image's.
        dtype: the image's.
        kernel: as in `convsmith.images.filter`.
        **options: the other arguments of `convsmith.images.filter`.

    Raises:
        ConvsmithError: as `convsmith.images.filter`.
    """
    name = options.pop("convention", None) or options.pop("convention_name", None)
    options["convention_name"] = name
    wanted = request(stand_in(shape, dtype, name), kernel, **options)
    plans = planned(wanted)
    # Of an image that takes no memory, a copy in another process would take all of it.
    nothing = replace(wanted, image=np.zeros((0,) * len(shape), wanted.image.dtype))
    return Recipe(nothing, plans, tuple(shape), np.dtype(dtype).name)


def runs(places: Places) -> list[tuple[int, int, int]]:
    """Return stretches of neighbours: from, to before, and how many places came before."""
    if not len(places):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(places) != 1) + 1])
    ends = np.concatenate([starts[1:], [len(places)]])
    return [
        (int(places[a]), int(places[b - 1]) + 1, int(a)) for a, b in zip(starts, ends, strict=True)
    ]


Read = Callable[[tuple[slice, ...]], Array]


def gathered(read: Read, needed: Sequence[Places | slice], shape: Sequence[int]) -> Array:
    """Return some places of an image, read as few blocks.

    Args:
        read: gives a block of the image.
        needed: for each axis the places, ascending, or a slice with both ends.
        shape: of the image.
    """
    stretches = [
        [(*entry.indices(size)[:2], 0)] if isinstance(entry, slice) else runs(entry)
        for entry, size in zip(needed, shape, strict=True)
    ]
    if all(len(each) == 1 for each in stretches):
        return np.asarray(read(tuple(slice(a, b) for ((a, b, _),) in stretches)))
    lengths = [sum(b - a for a, b, _ in each) for each in stretches]
    result: Array | None = None
    for index in np.ndindex(*(len(each) for each in stretches)):
        chosen = [each[i] for each, i in zip(stretches, index, strict=True)]
        block = np.asarray(read(tuple(slice(a, b) for a, b, _ in chosen)))
        if result is None:
            result = np.empty(lengths, block.dtype)
        result[tuple(slice(at, at + b - a) for a, b, at in chosen)] = block
    return np.empty(lengths) if result is None else result

"""Dask arrays: a task for each chunk of the result, which takes of its neighbours what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.images.filtering import Plans
from convsmith.images.parts import Bounds, Places, Recipe
from convsmith.images.requests import Request

Array = NDArray[Any]


def applied(wanted: Request, plans: Plans) -> Any:
    """Return a Dask array of the image's chunks, filtered when it is computed.

    Each task runs on one thread, since Dask runs several; and gives the numbers of the whole image.

    Args:
        wanted: the call, whose image is a Dask array.
        plans: as of `convsmith.images.filtering.planned`.
    """
    from dask.array.core import Array as DaskArray
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    image = wanted.image
    nothing = replace(wanted, image=np.zeros((0,) * image.ndim, image.dtype))
    how = Recipe(nothing, plans, image.shape, image.dtype.name)
    token = tokenize(image.name, how)
    graph: dict[Any, Any] = {f"recipe-{token}": how}
    name, pieces = f"filtered-{token}", f"piece-{token}"
    needed = [_needs(how, axis, image.chunks[axis]) for axis in range(image.ndim)]
    bank = (0,) if how.wanted.bank else ()
    for index in product(*(range(len(c)) for c in image.chunks)):
        needs = [needed[axis][i] for axis, i in enumerate(index)]
        keys, places = [], []
        for chosen in product(*(need.items() for need in needs)):
            chunk = tuple(i for i, _ in chosen)
            key: Any = (image.name, *chunk)
            inside = tuple(p.inside for _, p in chosen)
            if any(each is not None for each in inside):
                # A piece of its own, so that the chunk itself needn't wait, or travel.
                whole, key = key, (pieces, *index, *chunk)
                graph[key] = (partial(taken, inside), whole)
            keys.append(key)
            places.append(tuple(p.at for _, p in chosen))
        bounds = [_bounds(image.chunks[axis], index[axis]) for axis in how.axes]
        make = partial(chunk_of, places, bounds)
        graph[(name, *index, *bank)] = (make, f"recipe-{token}", keys)
    chunks = (*image.chunks, (len(how.plans),)) if bank else image.chunks
    before: Any = [image]
    layers = HighLevelGraph.from_collections(name, graph, dependencies=before)
    return DaskArray(layers, name, chunks, dtype=how.dtype)


@dataclass(frozen=True)
class _Need:
    """Which places of a chunk of an axis are needed, None for all, and where the first goes."""

    inside: Places | None
    at: int


def _bounds(sizes: Sequence[int], index: int) -> Bounds:
    first = int(sum(sizes[:index]))
    return first, first + int(sizes[index])


def _needs(how: Recipe, axis: int, sizes: Sequence[int]) -> list[dict[int, _Need]]:
    """Return what each chunk of the result needs of which chunks of the image, along an axis."""
    if axis not in how.axes:
        return [{i: _Need(None, 0)} for i in range(len(sizes))]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    for i in range(len(sizes)):
        places = how.places(axis, (int(edges[i]), int(edges[i + 1])))
        need: dict[int, _Need] = {}
        if not len(places):
            need[i] = _Need(None, 0)  # An empty chunk.
        owners = np.searchsorted(edges, places, side="right") - 1
        for owner in np.unique(owners):
            at = np.flatnonzero(owners == owner)
            inside = places[at] - edges[owner]
            need[int(owner)] = _Need(None if len(inside) == sizes[owner] else inside, int(at[0]))
        found.append(need)
    return found


def taken(inside: Sequence[Places | None], chunk: Array) -> Array:
    """Return a copy of some places of a chunk, which doesn't keep the rest alive."""
    chunk = np.asarray(chunk)
    for axis, places in enumerate(inside):
        if places is not None:
            chunk = np.take(chunk, places, axis)
    return chunk


def chunk_of(
    at: Sequence[Sequence[int]], bounds: Sequence[Bounds], how: Recipe, pieces: Sequence[Array]
) -> Array:
    """Return a chunk of the result from pieces of the image, each with where it goes."""
    if len(pieces) == 1:
        return how.part(np.asarray(pieces[0]), bounds, workers=1)
    shape = np.max([np.add(a, p.shape) for a, p in zip(at, pieces, strict=True)], axis=0)
    block = np.empty(shape, pieces[0].dtype)
    for corner, piece in zip(at, pieces, strict=True):
        block[tuple(slice(a, a + n) for a, n in zip(corner, piece.shape, strict=True))] = piece
    return how.part(block, bounds, workers=1)

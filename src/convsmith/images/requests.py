"""What the caller asked for, checked, with everything that depends on defaults filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import (
    ArgumentError,
    DtypeError,
    KernelError,
    ShapeError,
    UnsupportedError,
    compose,
)
from convsmith.geometry import AxisMode, fill, normalize_padding_mode
from convsmith.images.conventions import OURS, Convention, convention, in_numpys_words
from convsmith.images.program import BYTES, LIMITS

Array = NDArray[Any]

TAKEN = {np.dtype(name) for name in BYTES}
"""What images are made of, in the processor's own order of bytes."""

METHODS = ("direct", "separable", "running", "fourier")

MOST_AXES = 3


@dataclass(frozen=True)
class Edges:
    """What lies beyond the edges, for each filtered axis."""

    modes: tuple[AxisMode, ...]
    value: float


@dataclass(frozen=True)
class Request:
    """A checked call."""

    image: Any
    """NumPy's array, or Dask's."""
    axes: tuple[int, ...]
    """The filtered axes, ascending."""
    kernels: tuple[Array, ...]
    """Correlation kernels, float64 or complex128, axes as in `axes`."""
    bank: bool
    """Whether the result has an axis of kernels."""
    anchors: tuple[tuple[int, ...], ...]
    """For each kernel, which of its entries lies on the output."""
    edges: Edges
    target: str
    convention: Convention
    method: str | None
    workers: int | None
    tolerances: tuple[float | None, ...]
    """How much of each kernel separation may lose; None for what its own dtype loses."""


def placeholder(shape: Sequence[int], dtype: Any) -> Array:
    """Return an array that takes no memory, where only shape and dtype matter."""
    return np.broadcast_to(np.zeros((1,) * len(shape), dtype), tuple(shape))


def is_lazy(image: Any) -> bool:
    """Whether an image is Dask's, which is told without importing Dask."""
    return type(image).__module__.partition(".")[0] == "dask"


def checked_image(image: Any, chosen: Convention = OURS) -> Any:
    """Return an array that can be filtered: NumPy's, or Dask's as it is.

    Raises:
        DtypeError: a dtype that no filter takes.
        ShapeError: a single number, or a Dask array of unknown chunks.
        UnsupportedError: another object of Dask's than an array.
    """
    array = checked_lazy(image) if is_lazy(image) else np.asarray(image)
    if array.dtype in TAKEN and array.ndim and chosen is OURS:
        return array
    name = array.dtype.name
    if name not in BYTES:
        wide = {"int64": "float64", "uint64": "float64", "longdouble": "float64"}
        raise DtypeError(
            compose(
                f"image of dtype {array.dtype}",
                "can't be filtered without losing values"
                if name in wide
                else "is not of numbers that images have",
                expected=f"one of {', '.join(BYTES)}",
                fix=f'image.astype("{wide.get(name, "float32")}")'
                if array.dtype.kind != "c"
                else "image.real and image.imag",
            ),
            argument="image",
            value=array.dtype,
        )
    if array.ndim == 0:
        raise ShapeError(
            compose(
                "image",
                "is a single number",
                expected="an array with at least one axis",
                received=f"shape {array.shape}",
                fix="image[None, :]",
            ),
            argument="image",
            value=array.shape,
        )
    if chosen.floating and array.dtype.kind != "f":
        raise DtypeError(
            compose(
                f"image of dtype {array.dtype}",
                "is not floating, which this convention asks for",
                expected="float32 or float64",
                fix='image.astype("float32") / 255',
            ),
            argument="image",
            value=array.dtype,
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if chosen.unit and name in LIMITS and name != "bool":
        return array.astype(np.float64) / LIMITS[name][1]
    return array.astype(np.float64) if chosen.unit and name == "bool" else array


def checked_lazy(image: Any) -> Any:
    """Return a Dask array of known chunks.

    Raises:
        ShapeError: chunks of unknown sizes.
        UnsupportedError: another object of Dask's than an array.
    """
    from dask.array.core import Array as DaskArray

    if not isinstance(image, DaskArray):
        raise UnsupportedError(
            compose(
                f"image of type {type(image).__name__}",
                "is not an array of Dask's",
                expected="dask.array.Array",
                fix="dask.array.from_delayed(image, shape, dtype)",
            ),
            argument="image",
        )
    if any(np.isnan(n) for axis in image.chunks for n in axis):
        raise ShapeError(
            compose(
                "image",
                "has chunks whose sizes are not known",
                expected="known chunks",
                fix="image.compute_chunk_sizes()",
            ),
            argument="image",
            value=image.chunks,
        )
    return image


def checked_axes(axes: Any, ndim: int, wanted: int | None = None) -> tuple[int, ...]:
    """Return the filtered axes as the caller ordered them, counted from the front.

    By default the first two, or the only one; the first three for a kernel of three axes.
    """
    if axes is None:
        count = wanted if wanted is not None else min(ndim, 2)
        if ndim > count + 1:
            raise ArgumentError(
                compose(
                    f"image with {ndim} axes",
                    f"leaves open which {count} of them are filtered",
                    expected=f"axes=, or {count} axes and at most one of channels after them",
                    fix=f"axes={tuple(range(-count - 1, -1))} if the last axis is of channels",
                ),
                argument="axes",
                value=None,
            )
        axes = tuple(range(min(count, ndim)))
    given: tuple[Any, ...] = (axes,) if isinstance(axes, int | np.integer) else tuple(axes)
    whole = all(isinstance(a, int | np.integer) and not isinstance(a, bool) for a in given)
    found = tuple(int(a) + ndim * (a < 0) for a in given) if whole else ()
    if (
        not whole
        or not 1 <= len(found) <= MOST_AXES
        or len(set(found)) != len(found)
        or not all(0 <= a < ndim for a in found)
    ):
        raise ArgumentError(
            compose(
                f"axes={axes!r}",
                f"are not axes of an image with {ndim}",
                expected=f"1 to {MOST_AXES} different ones from {-ndim} to {ndim - 1}",
                fix="axes=(0, 1)",
            ),
            argument="axes",
            value=axes,
        )
    return found


def checked_kernel(kernel: Any, rank: int) -> Array:
    """Return a kernel of `rank` axes, or a bank with one more, from a name or numbers.

    Raises:
        KernelError: numbers that aren't finite, or of another number of axes.
    """
    if isinstance(kernel, str):
        array = np.asarray(kernels.get(kernel, ndim=rank))
    else:
        array = np.asarray(kernel)
    if array.dtype.kind not in "fiubc" and array.dtype.name != "bfloat16":
        raise KernelError(
            compose(
                f"kernel of dtype {array.dtype}",
                "is not made of numbers",
                expected="an array-like of real or complex numbers, or a name",
                fix=f"kernels.names() lists the names: {', '.join(kernels.names()[:4])}, ...",
            ),
            argument="kernel",
            value=array.dtype,
        )
    if array.ndim not in (rank, rank + 1) or array.size == 0:
        raise KernelError(
            compose(
                f"kernel of shape {array.shape}",
                f"doesn't fit the {rank} filtered axes",
                expected=f"{rank} axes, or {rank + 1} for a bank stacked on the last one",
                fix=f"axes={tuple(range(array.ndim))}" if array.ndim else "kernels.box(3)",
            ),
            argument="kernel",
            value=array.shape,
        )
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not np.isfinite(wide).all():
        raise KernelError(
            compose(
                "kernel",
                "has entries that are infinite or NaN",
                expected="finite numbers",
                fix="numpy.nan_to_num(kernel)",
            ),
            argument="kernel",
            value=array.shape,
        )
    return wide


def tolerance_of(kernel: Any) -> float | None:
    """Return how much of a kernel is rounding of the dtype that it was given in."""
    dtype = getattr(kernel, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return 4.0 * float(np.finfo(dtype).eps)
    return None


def checked_anchor(anchor: Any, shape: Sequence[int], flip: bool) -> tuple[int, ...]:
    """Return which entry of the (flipped) kernel lies on the output, for each axis."""
    if anchor is None:
        chosen = tuple(n // 2 for n in shape)
    else:
        given = (anchor,) * len(shape) if isinstance(anchor, int | np.integer) else tuple(anchor)
        whole = all(isinstance(a, int | np.integer) and not isinstance(a, bool) for a in given)
        if (
            not whole
            or len(given) != len(shape)
            or any(not 0 <= a < n for a, n in zip(given, shape, strict=True))
        ):
            raise ArgumentError(
                compose(
                    f"anchor={anchor!r}",
                    f"is not an entry of a kernel of shape {tuple(shape)}",
                    expected="an index for each axis, counted from 0",
                    fix=f"anchor={tuple(n // 2 for n in shape)}, the default",
                ),
                argument="anchor",
                value=anchor,
            )
        chosen = tuple(int(a) for a in given)
    return tuple(n - 1 - a for a, n in zip(chosen, shape, strict=True)) if flip else chosen


def checked_target(dtype: Any, image: Array) -> str:
    """Return the dtype of the result: the image's unless told."""
    if dtype is None:
        return image.dtype.name
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in BYTES:
        raise DtypeError(
            compose(
                f"dtype={dtype!r}",
                "is not one that results can have",
                expected=f"one of {', '.join(BYTES)}",
                fix='dtype="float32"',
            ),
            argument="dtype",
            value=dtype,
        )
    return name


def request(
    image: Any, kernel: Any, *, axes: Any = None, padding_mode: Any = None,
    padding_value: Any = None, dtype: Any = None, anchor: Any = None, flip: bool = False,
    convention_name: Any = None, method: Any = None, workers: Any = None,
) -> Request:  # fmt: skip
    """Return the checked call; see `convsmith.images.filter`."""
    chosen = convention(convention_name)
    array = checked_image(image, chosen)
    several = isinstance(kernel, list | tuple) and any(
        isinstance(k, str) or getattr(k, "ndim", 0) for k in kernel
    )
    given = list(kernel) if several else [kernel]
    rank = _rank_of(given[0])
    ordered = checked_axes(axes, array.ndim, rank)
    stacks = [checked_kernel(k, len(ordered)) for k in given]
    single: list[Array] = []
    tolerances: list[float | None] = []
    bank = several
    for stack, origin in zip(stacks, given, strict=True):
        parts = [stack] if stack.ndim == len(ordered) else list(np.moveaxis(stack, -1, 0))
        bank = bank or stack.ndim > len(ordered)
        single += parts
        tolerances += [tolerance_of(origin)] * len(parts)
    order = np.argsort(ordered)
    turned = [_turned(k, order, flip) for k in single]
    anchors = [checked_anchor(anchor, k.shape, flip) for k in single]
    modes = normalize_padding_mode(
        in_numpys_words(padding_mode, chosen, convention_name), len(ordered)
    )
    if method is not None and method not in METHODS:
        raise ArgumentError(
            compose(
                f"method={method!r}",
                "is not a way to filter",
                expected=f"one of {', '.join(map(repr, METHODS))}, or None to choose",
                fix="method=None",
            ),
            argument="method",
            value=method,
        )
    if workers is not None and (
        isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 1
    ):
        raise ArgumentError(
            compose(
                f"workers={workers!r}",
                "is not a number of threads",
                expected="a whole number from 1 on, or None for all processors",
                fix="workers=None",
            ),
            argument="workers",
            value=workers,
        )
    return Request(
        image=array,
        axes=tuple(ordered[i] for i in order),
        kernels=tuple(turned),
        bank=bank,
        anchors=tuple(tuple(a[i] for i in order) for a in anchors),
        edges=Edges(tuple(modes[i] for i in order), fill(padding_value, modes, 0.0)),
        target=checked_target(dtype, array),
        convention=chosen,
        method=method,
        workers=None if workers is None else int(workers),
        tolerances=tuple(tolerances),
    )


def _rank_of(kernel: Any) -> int | None:
    """Return how many axes a kernel asks for: none in particular unless it has one."""
    return 1 if not isinstance(kernel, str) and np.ndim(kernel) == 1 else None


def _turned(kernel: Array, order: Any, flip: bool) -> Array:
    kernel = np.transpose(kernel, order)
    return np.ascontiguousarray(np.flip(kernel) if flip else kernel)

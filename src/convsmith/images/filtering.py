"""One function for all of it: any image, any kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.images.conventions import ConventionName
from convsmith.images.conventions import convention as known_convention
from convsmith.images.engine import Arranged, Kept, apply, arranged
from convsmith.images.memory import empty
from convsmith.images.planning import KernelPlan, plan_kernel
from convsmith.images.region import Region, whole
from convsmith.images.remembering import remembered
from convsmith.images.requests import Request, checked_image, is_lazy, placeholder, request

Array = NDArray[Any]


def filter(
    image: Any,
    kernel: Any,
    *,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    dtype: Any = None,
    anchor: int | Sequence[int] | None = None,
    flip: bool = False,
    convention: ConventionName | None = None,
    method: str | None = None,
    workers: int | None = None,
) -> Array:
    """Return an image, a stack of images or a volume filtered by a kernel, of the same size.

    Equation: ``y[p] = sum over k of kernel[k] * x[p + k - anchor]``, a correlation; with
    ``flip=True`` a convolution, ``y[p] = sum over k of kernel[k] * x[p - k + anchor]``. Integer
    results are rounded to the nearest (halves to even) and saturated.

    Args:
        image: array-like of bool, 8- to 32-bit integers or floats: ``(height, width)``,
            ``(height, width, channels)``, or anything else with `axes`. Channels are filtered
            one by one. A Dask array gives a Dask array of the same chunks and the same
            numbers, which is computed when it is asked for.
        kernel: an array-like with as many axes as are filtered, in their order; a bank with one
            more, or a list of kernels; or a name such as ``"sobel_x"`` or
            ``"gaussian(sigma=2)"`` of `convsmith.kernels.names()`. Complex kernels give complex
            results.
        axes: which axes are filtered, 1 to 3 of them; the first two by default.
        padding_mode: what lies beyond the edges: ``"reflect"`` (the default), ``"symmetric"``,
            ``"edge"``, ``"wrap"``, ``"constant"`` or ``"renormalize"`` (zeros, then rescaled by
            the share of the window that is inside); or one for each axis, each of which may be
            a pair for the two sides. With a `convention`, that library's words.
        padding_value: what ``"constant"`` fills with, 0 by default.
        dtype: of the result, the image's by default. Derivatives of unsigned images need
            ``"float32"`` or ``"int16"``: negative numbers are saturated to 0 otherwise.
        anchor: which entry of the kernel lies on the output, ``size // 2`` by default.
        flip: whether the kernel is turned around first, a convolution.
        convention: ``"opencv"``, ``"scipy"``, ``"skimage"`` or ``"kornia"``: their edges, words,
            rounding and order of sums.
        method: ``"direct"``, ``"separable"``, ``"running"`` (boxes over bytes) or ``"fourier"``
            instead of the fastest; `convsmith.images.plan` shows them.
        workers: threads, as many as there are processors by default.

    Returns:
        An array of the image's shape; with an axis of kernels at the end for a bank.

    Raises:
        ArgumentError: an argument that no image could make right, or an unknown name.
        DtypeError: an image or a `dtype` that isn't of numbers that images have.
        KernelError: a kernel that isn't finite numbers, or of another number of axes.
        ShapeError: a single number instead of an image, or a Dask array of unknown chunks.
        UnsupportedError: an object of Dask's that isn't an array.

    Example:
        >>> image = np.arange(12, dtype="uint8").reshape(3, 4)
        >>> filter(image, "sobel_x", dtype="int16")[1].tolist()
        [0, 8, 8, 0]

    Source: none.
    """
    options: dict[str, Any] = {
        "axes": axes, "padding_mode": padding_mode, "padding_value": padding_value,
        "dtype": dtype, "anchor": anchor, "flip": flip, "convention_name": convention,
        "method": method, "workers": workers,
    }  # fmt: skip
    checked = checked_image(image, known_convention(convention))
    wanted, plans, kept = _prepared(checked.shape, checked.dtype, kernel, options)
    return run(wanted, plans, checked, kept)


def run(wanted: Request, plans: Plans, image: Any, kept: Kept | None = None) -> Any:
    """Return the result of a checked call by some plans: of a Dask array another one.

    Args:
        wanted: the call.
        plans: how each kernel is applied.
        image: checked.
        kept: what calls with other images of this shape and dtype share.
    """
    if is_lazy(image):
        from convsmith.images import lazy

        return lazy.applied(replace(wanted, image=image), plans)
    source = arranged(image, wanted.axes)
    return results_of(wanted, plans, source, whole(source.array.shape[1:-1]), kept)


@remembered
def _prepared(
    shape: tuple[int, ...], dtype: np.dtype[Any], kernel: Any, options: dict[str, Any]
) -> tuple[Request, Plans, Kept]:
    wanted = request(placeholder(shape, dtype), kernel, **options)
    return wanted, planned(wanted), Kept()


Plans = tuple[tuple[KernelPlan, ...], ...]
"""For each kernel one plan; or two, for the real and the imaginary parts."""


def planned(wanted: Request) -> Plans:
    """Return how each kernel is applied.

    Raises:
        ArgumentError: complex kernels whose results could not be complex.
    """
    if not any(kernel.dtype.kind == "c" for kernel in wanted.kernels):
        return tuple((plan_kernel(wanted, i, k),) for i, k in enumerate(wanted.kernels))
    if wanted.target not in ("float32", "float64"):
        raise ArgumentError(
            compose(
                "kernel",
                f"is complex, and results of dtype {wanted.target} can't be",
                expected='dtype="float32" or "float64", for complex64 or complex128',
                fix='dtype="float32"',
            ),
            argument="dtype",
            value=wanted.target,
        )
    return tuple(
        tuple(
            plan_kernel(wanted, i, np.ascontiguousarray(part))
            for part in (np.real(kernel), np.imag(kernel))
        )
        for i, kernel in enumerate(wanted.kernels)
    )


def results_of(
    wanted: Request, plans: Plans, source: Arranged, region: Region, kept: Kept | None = None
) -> Array:
    """Return the outputs of a region, with the image's axes."""
    if len(plans[0]) == 1:
        results = computed(wanted, [plan for (plan,) in plans], source.array, region, kept)
        return joined(wanted, source, results)
    pairs = []
    for parts in plans:
        real, imaginary = computed(wanted, parts, source.array, region)
        pairs.append(real + 1j * imaginary)
    return joined(wanted, source, pairs)


def computed(
    wanted: Request,
    plans: Sequence[KernelPlan],
    source: Array,
    region: Region,
    kept: Kept | None = None,
) -> list[Array]:
    """Return the results of all kernels over a region, arranged as the source."""
    extent = [b - a for a, b in zip(region.first, region.last, strict=True)]
    shape = (source.shape[0], *extent, source.shape[-1])
    if wanted.target == "float16" and any(plan.work == "float64" for plan in plans):
        # Processors turn doubles into half precision by a function that machine code can't call.
        wide = [replace(plan, target="float64") for plan in plans]
        doubles = computed(replace(wanted, target="float64"), wide, source, region, kept)
        with np.errstate(over="ignore"):
            return [result.astype(np.float16) for result in doubles]
    results = [empty(shape, plan.target) for plan in plans]
    if results[0].size:
        apply(plans, wanted.edges, source, results, region, wanted.workers, kept)
    return results


def joined(wanted: Request, source: Arranged, results: Sequence[Array]) -> Array:
    """Return the results as one array with the image's axes."""
    if not wanted.bank:
        return source.restored(results[0])
    stacked = np.stack([source.restored(r) for r in results])
    return np.moveaxis(stacked, 0, -1)


class Plan(tuple[KernelPlan, ...]):
    """How an image would be filtered, one `KernelPlan` for each kernel; print it."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def plan(image: Any, kernel: Any, **options: Any) -> Plan:
    """Return how `filter` would do it: the methods that there are, their cost, and the choice.

    Args:
        image: as in `filter`; only its shape and dtype matter.
        kernel: as in `filter`.
        **options: the other arguments of `filter`.

    Returns:
        One plan for each (real) kernel; printed, a line for each method.

    Raises:
        ConvsmithError: as `filter`.

    Example:
        >>> print(plan(np.zeros((64, 64), "float32"), np.ones((9, 9))))
        kernel 9 x 9, anchor (4, 4); float32 in, summed in float32, float32 out
           direct     81 multiplications an output     every entry of the kernel
        -> separable  22 multiplications an output     1 product of lines
           running    -                                only for uint8 in and out
           fourier    100 multiplications an output    two tiles at a time

    Source: none.
    """
    options["convention_name"] = options.pop("convention", None)
    wanted = request(image, kernel, **options)
    parts = [
        (i, np.ascontiguousarray(part))
        for i, k in enumerate(wanted.kernels)
        for part in ((np.real(k), np.imag(k)) if k.dtype.kind == "c" else (k,))
    ]
    return Plan(plan_kernel(wanted, i, part) for i, part in parts)

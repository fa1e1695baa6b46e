"""The largest and the smallest around each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import KernelError, compose
from convsmith.images.engine import Kept
from convsmith.images.filtering import run
from convsmith.images.planning import KernelPlan, plain_plan
from convsmith.images.program import nothing
from convsmith.images.remembering import remembered
from convsmith.images.requests import Request, checked_axes, checked_image, placeholder, request
from convsmith.images.results import rounded

Array = NDArray[Any]

MOST_PATTERN = 200
"""Shapes of more entries, other than boxes, take longer to make machine code for than to use."""


def dilate(
    image: Any,
    structure: Any = 3,
    *,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = "reflect",
    flip: bool = False,
    anchor: int | Sequence[int] | None = None,
    dtype: Any = None,
    workers: int | None = None,
) -> Array:
    """Return the largest entry around each pixel: a max-plus correlation.

    Equation: ``y[p] = max over k of x[p + k - anchor] + structure[k]``; NaN where one is read.

    Args:
        image: as in `convsmith.images.filter`.
        structure: the size of a box, for all axes or one for each; or an array of what is added
            to each entry, -inf for those that don't count (0 and -inf make a shape); or one of
            bools for a shape; or a name such as ``"structuring_disk(radius=3)"``.
        axes, padding_mode, anchor, dtype, workers: as in `convsmith.images.filter`; a padding
            mode ``"constant"`` adds what is never the largest.
        flip: whether the structure is turned around first, as SciPy's dilation does.

    Returns:
        An array of the image's shape.

    Raises:
        KernelError: a structure that holds NaN or infinity, or another number of axes.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> dilate(np.array([0, 0, 5, 0, 0], "uint8")).tolist()
        [0, 5, 5, 5, 0]

    Source: Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    return _extreme(image, structure, "max_plus", axes, padding_mode, flip, anchor, dtype, workers)


def erode(
    image: Any,
    structure: Any = 3,
    *,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = "reflect",
    flip: bool = False,
    anchor: int | Sequence[int] | None = None,
    dtype: Any = None,
    workers: int | None = None,
) -> Array:
    """Return the smallest entry around each pixel: a min-plus correlation.

    Equation: ``y[p] = min over k of x[p + k - anchor] - structure[k]``; NaN where one is read.

    Args:
        image, structure, axes, padding_mode, flip, anchor, dtype, workers: as in `dilate`.

    Returns:
        An array of the image's shape.

    Raises:
        ConvsmithError: as `dilate`.

    Example:
        >>> erode(np.array([9, 9, 5, 9, 9], "uint8")).tolist()
        [9, 5, 5, 5, 9]

    Source: Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    return _extreme(image, structure, "min_plus", axes, padding_mode, flip, anchor, dtype, workers)


def _extreme(
    image: Any, structure: Any, semiring: str, axes: Any, padding_mode: Any, flip: bool,
    anchor: Any, dtype: Any, workers: Any,
) -> Array:  # fmt: skip
    array = checked_image(image)
    options = {
        "axes": axes, "padding_mode": padding_mode, "flip": flip, "anchor": anchor, "dtype": dtype,
        "workers": workers, "semiring": semiring,
    }  # fmt: skip
    wanted, mask, plan, kept = _prepared(array.shape, array.dtype, structure, options)
    if plan is None:
        return _one_by_one(replace(wanted, image=array), mask, semiring.split("_")[0])
    if plan.semiring == semiring:
        return run(wanted, ((plan,),), array, kept)
    return _flat(wanted, plan, array, kept)


@remembered
def _prepared(
    shape: tuple[int, ...], dtype: Any, structure: Any, options: dict[str, Any]
) -> tuple[Request, Array, KernelPlan | None, Kept]:
    """Return the checked call, which entries count, and the plan; none for boxes in volumes."""
    options = dict(options)
    semiring, axes = options.pop("semiring"), options.pop("axes")
    filtered_axes = checked_axes(axes, len(shape), _rank_of(structure))
    added = _added(structure, len(filtered_axes))
    counts = np.isfinite(added)
    sign = 1.0 if semiring == "max_plus" else -1.0
    # Checked as a kernel of finite numbers; what doesn't count is taken out afterwards.
    wanted = request(
        placeholder(shape, dtype), np.where(counts, sign * added, 0.0), axes=filtered_axes,
        **options,
    )  # fmt: skip
    mask = np.transpose(np.flip(counts) if options["flip"] else counts, np.argsort(filtered_axes))
    few = mask.ndim < 3 and np.count_nonzero(mask) <= MOST_PATTERN
    if not added[counts].any() and (mask.all() or few):
        short = semiring.split("_")[0]
        if mask.ndim == 3:
            return wanted, mask, None, Kept()
        plan = _flat_plan(wanted, mask, short)
        return _beyond_nothing(wanted, plan), mask, plan, Kept()
    unread = -sign * np.inf
    plan = replace(
        plain_plan(wanted, 0, wanted.kernels[0]), semiring=semiring, method="direct",
        bounded=False, kernel=np.where(mask, wanted.kernels[0], unread),
    )  # fmt: skip
    return replace(wanted, edges=replace(wanted.edges, value=unread)), mask, plan, Kept()


def _compared(dtype: Any) -> str:
    """Return the dtype in which numbers are compared as they are."""
    name = str(np.dtype(dtype).name)
    return {"bool": "uint8", "float16": "float32"}.get(name, name)


def _flat_plan(wanted: Request, mask: Array, semiring: str) -> KernelPlan:
    """Return how the extremes of a shape are found, by comparisons of the image's own numbers."""
    name = _compared(wanted.image.dtype)
    part = replace(
        wanted, image=placeholder(wanted.image.shape, name), target=name, method=None
    )  # fmt: skip
    work: str = {"float32": "int32", "float64": "int64"}.get(name, name)
    plan = replace(
        plain_plan(part, 0, wanted.kernels[0]), semiring=semiring, work=work, bounded=False,
        method="direct", kernel=np.where(mask, 0.0, -np.inf),
    )  # fmt: skip
    if mask.ndim == 2 and mask.all():
        lines = tuple(np.zeros((n, 1)) for n in plan.shape)
        plan = replace(plan, method="separable", lines=lines)
    return plan


def _beyond_nothing(wanted: Request, plan: KernelPlan) -> Request:
    """Return a call with nothing that counts beyond its edges."""
    beyond = nothing(plan.semiring, plan.work, ordered=plan.work != plan.source)
    return replace(wanted, edges=replace(wanted.edges, value=beyond))


def _flat(wanted: Request, plan: KernelPlan, image: Any, kept: Kept | None = None) -> Array:
    """Return the extreme of a shape."""
    was_bool = image.dtype == bool
    if was_bool:
        image = image.view(np.uint8)
    elif image.dtype == np.float16:
        image = image.astype(np.float32)
    result = run(wanted, ((plan,),), image, kept)
    if wanted.target == "bool":
        return result.view(bool) if was_bool else result != 0
    return result if wanted.target == plan.target else rounded(result, wanted.target)


def _one_by_one(wanted: Request, mask: Array, semiring: str) -> Array:
    """Return the extreme of a box in a volume, along one axis after the other."""
    result, target = wanted.image, wanted.target
    for i, axis in enumerate(wanted.axes):
        line = np.zeros(mask.shape[i])
        part = replace(
            wanted, image=result, axes=(axis,), kernels=(line,), target=result.dtype.name,
            anchors=((wanted.anchors[0][i],),),
            edges=replace(wanted.edges, modes=(wanted.edges.modes[i],)),
        )  # fmt: skip
        plan = _flat_plan(part, np.ones(len(line), bool), semiring)
        result = _flat(_beyond_nothing(part, plan), plan, result)
    if target == "bool":
        return result != 0
    return result if target == result.dtype.name else rounded(result, target)


def _rank_of(structure: Any) -> int | None:
    array = np.asarray(structure) if not isinstance(structure, str) else None
    if array is None or array.ndim == 0:
        return None
    return int(array.size) if array.ndim == 1 and array.dtype.kind in "iu" else int(array.ndim)


def _added(structure: Any, rank: int) -> Array:
    if isinstance(structure, str):
        return np.asarray(kernels.get(structure, ndim=rank), np.float64)
    array = np.asarray(structure)
    if array.dtype.kind in "iu" and (array.ndim == 0 or (array.ndim == 1 and array.size == rank)):
        sizes = (array.tolist(),) * rank if array.ndim == 0 else tuple(array.tolist())
        return np.zeros(kernels.box(sizes, ndim=rank).shape)
    if array.dtype.kind == "b":
        array = np.where(array, 0.0, -np.inf)
    known = array.dtype.kind in "fiu" and array.ndim == rank and array.size > 0
    if not known or np.isnan(array).any() or (array == np.inf).any() or np.isneginf(array).all():
        raise KernelError(
            compose(
                f"structure of shape {array.shape}",
                f"is not a structuring element for {rank} filtered axes",
                expected="a size, or an array of numbers (-inf where entries don't count), or of"
                " bools, with at least one entry that counts",
                fix="structure=3",
            ),
            argument="structure",
            value=array.shape,
        )
    return array.astype(np.float64)

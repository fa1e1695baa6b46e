"""The largest and the smallest around each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith import kernels
from convsmith.errors import KernelError, compose
from convsmith.images.engine import arranged
from convsmith.images.filtering import computed
from convsmith.images.planning import KernelPlan, plan_kernel
from convsmith.images.region import whole
from convsmith.images.requests import checked_axes, checked_image, request

Array = NDArray[Any]


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
    filtered_axes = checked_axes(axes, array.ndim, _rank_of(structure))
    added = _added(structure, len(filtered_axes))
    counts = np.isfinite(added)
    sign = 1.0 if semiring == "max_plus" else -1.0
    # Checked as a kernel of finite numbers; what doesn't count is taken out afterwards.
    wanted = request(
        array, np.where(counts, sign * added, 0.0), axes=filtered_axes, padding_mode=padding_mode,
        anchor=anchor, flip=flip, dtype=dtype, workers=workers,
    )  # fmt: skip
    order = np.argsort(filtered_axes)
    mask = np.transpose(np.flip(counts) if flip else counts, order)
    nothing = -sign * np.inf
    plan = plan_kernel(replace(wanted, method=None), 0, wanted.kernels[0])
    plan = replace(
        plan, semiring=semiring, method="direct", bounded=False,
        kernel=np.where(mask, wanted.kernels[0], nothing),
    )  # fmt: skip
    if plan.kernel.ndim > 1 and not plan.kernel.any():
        plan = _by_lines(plan)
    source = arranged(wanted.image, wanted.axes)
    region = whole(source.array.shape[1:-1])
    edges = replace(wanted.edges, value=nothing)
    results = computed(replace(wanted, edges=edges), [plan], source.array, region)
    return source.restored(results[0])


def _by_lines(plan: KernelPlan) -> KernelPlan:
    """Return the plan of a box, whose extreme is that of its rows' extremes."""
    if len(plan.shape) > 2:
        return plan
    lines = tuple(np.zeros((n, 1)) for n in plan.shape)
    return replace(plan, method="separable", lines=lines)


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

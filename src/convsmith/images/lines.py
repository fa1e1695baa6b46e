"""One line of numbers for each axis, applied one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import KernelError, compose
from convsmith.images.conventions import ConventionName
from convsmith.images.conventions import convention as known_convention
from convsmith.images.engine import Kept
from convsmith.images.filtering import run
from convsmith.images.planning import KernelPlan, plain_plan, refined, symmetry
from convsmith.images.program import NARROW
from convsmith.images.remembering import remembered
from convsmith.images.requests import Request, checked_image, placeholder, request

Array = NDArray[Any]


def filter_lines(
    image: Any,
    lines: Sequence[Any],
    *,
    axes: int | Sequence[int] | None = None,
    padding_mode: Any = None,
    padding_value: float | None = None,
    dtype: Any = None,
    anchor: int | Sequence[int] | None = None,
    convention: ConventionName | None = None,
    workers: int | None = None,
) -> Array:
    """Return an image filtered by a line along each axis: a kernel that is their outer product.

    Equation: ``y[p] = sum over k of lines[0][k0] * lines[1][k1] * ... * x[p + k - anchor]``.

    With ``convention="opencv"`` it is ``cv2.sepFilter2D``; SciPy's and scikit-image's go over the
    axes one by one and round in between, as their functions do.

    Args:
        image: as in `convsmith.images.filter`.
        lines: one array-like for each filtered axis, in their order: rows first.
        axes, padding_mode, padding_value, dtype, anchor, convention, workers: as in
            `convsmith.images.filter`.

    Returns:
        An array of the image's shape.

    Raises:
        KernelError: what isn't one line of numbers for each axis.
        ConvsmithError: as `convsmith.images.filter`.

    Example:
        >>> image = np.eye(3, dtype="uint8") * 16
        >>> filter_lines(image, [[1, 2, 1], [0, 1, 0]], padding_mode="constant")[:, 0].tolist()
        [32, 16, 0]

    Source: none.
    """
    checked = [np.asarray(line) for line in lines]
    if not checked or any(line.ndim != 1 or line.dtype.kind not in "fiub" for line in checked):
        raise KernelError(
            compose(
                f"lines of shapes {[line.shape for line in checked]}",
                "aren't one line of real numbers for each axis",
                expected="a list of arrays of one axis",
                fix="convsmith.kernels.separate(kernel) gives the lines of a kernel",
            ),
            argument="lines",
            value=lines,
        )
    return apply_lines(
        image, checked, axes=axes, padding_mode=padding_mode, padding_value=padding_value,
        dtype=dtype, anchor=anchor, convention=convention, workers=workers,
    )  # fmt: skip


def apply_lines(
    image: Any,
    lines: Sequence[Array],
    *,
    convention: Any = None,
    rounding: str | None = None,
    **options: Any,
) -> Array:
    """Return what `filter_lines` does; `rounding` instead of the convention's."""
    checked = checked_image(image, known_convention(convention))
    options |= {"convention": convention, "rounding": rounding}
    wanted, plan, kept = _prepared(checked.shape, checked.dtype, list(lines), options)
    if plan is None:
        return _one_by_one(replace(wanted, image=checked), lines, options.get("axes"))
    return run(wanted, ((plan,),), checked, kept)


@remembered
def _prepared(
    shape: tuple[int, ...], dtype: Any, lines: list[Array], options: dict[str, Any]
) -> tuple[Request, KernelPlan | None, Kept]:
    """Return the checked call and its plan; none where each axis is rounded on its own."""
    options = dict(options)
    name, rounding = options.pop("convention"), options.pop("rounding")
    outer = np.asarray(lines[0], np.float64)
    for line in lines[1:]:
        outer = np.multiply.outer(outer, np.asarray(line, np.float64))
    options["axes"] = _given(options.get("axes"), len(lines), len(shape))
    wanted = request(placeholder(shape, dtype), outer, convention_name=name, **options)
    if wanted.convention.work == "float64":
        return wanted, None, Kept()
    plan = plain_plan(wanted, 0, wanted.kernels[0])
    order = np.argsort(np.argsort(_ordered(options["axes"], wanted)))
    turned = [np.asarray(lines[i], np.float64) for i in np.argsort(order)]
    if plan.method != "running":
        # Two passes take longer than all of a few products of floats; bytes are converted once.
        few = plan.method == "direct" and not wanted.convention.plain and rounding is None
        few = few and len(lines) == 2 and plan.source.startswith("float")
        plan = refined(plan if few else _by_lines(plan, turned, rounding), wanted)
    if name == "opencv" and len(lines) == 2 and plan.work not in NARROW:
        # Where a column is symmetric, OpenCV adds pairs of rows first.
        plan = replace(plan, mirrored=(symmetry(turned[0]), 0))
    return wanted, plan, Kept()


def _given(axes: Any, rank: int, of: int) -> Any:
    """Return the axes that lines go along: the first ones unless told."""
    if axes is not None:
        return axes
    return tuple(range(rank)) if of >= rank else None


def _ordered(axes: Any, wanted: Request) -> list[int]:
    given = [axes] if isinstance(axes, int | np.integer) else list(axes)
    return [int(a) % wanted.image.ndim for a in given]


def _by_lines(plan: KernelPlan, lines: Sequence[Array], rounding: str | None) -> KernelPlan:
    plan = replace(plan, rounding=rounding or plan.rounding)
    if len(lines) == 1:
        return replace(plan, kernel=lines[0], method="direct")
    return replace(plan, lines=tuple(line[:, None] for line in lines), method="separable")


def _one_by_one(wanted: Request, lines: Sequence[Array], axes: Any) -> Array:
    """Return the result of one axis after the other, each rounded to the dtype of the result."""
    result = wanted.image
    given = _ordered(_given(axes, len(lines), result.ndim), wanted)
    for axis, mode, anchor in zip(wanted.axes, wanted.edges.modes, wanted.anchors[0], strict=True):
        line = np.asarray(lines[given.index(axis)], np.float64)
        part = replace(
            wanted, image=result, axes=(axis,), kernels=(line,), anchors=((anchor,),),
            edges=replace(wanted.edges, modes=(mode,)),
        )  # fmt: skip
        plan = replace(plain_plan(part, 0, line), mirrored=(symmetry(line),))
        result = run(part, ((plan,),), result)
    return result

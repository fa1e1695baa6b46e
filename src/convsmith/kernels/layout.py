"""Any array-like in any layout -> the checked kernel (spatial..., in, out).

Two kinds of mistakes are caught here, because nothing later can: sizes that contradict what is
known (channels, filters), and shapes that only make sense in another library's layout.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.kernels.arguments import is_whole, shown

SPATIAL_LETTERS = {1: "W", 2: "HW", 3: "DHW"}

# In the order in which a guess is tried; S stands for the spatial letters.
_ORIGINS: dict[str, str] = {
    "SIO": "Keras, TensorFlow",
    "OIS": "PyTorch",
    "OSI": "LiteRT",
    "ISO": "channels first, filters last",
    "SOI": "Keras transposed",
    "IOS": "PyTorch transposed",
    "SO": "a bank",
    "OS": "a bank, filters first",
    "S": "one filter",
}

LAYOUTS: dict[int, tuple[str, ...]] = {
    rank: tuple(form.replace("S", letters) for form in _ORIGINS)
    for rank, letters in SPATIAL_LETTERS.items()
}
"""The accepted layouts for each number of spatial axes; the first is the result's."""


def as_kernel(
    kernel: Any,
    ndim: int = 2,
    in_channels: int | None = None,
    filters: int | None = None,
    layout: str | None = None,
) -> NDArray[Any]:
    """Return a checked NumPy kernel with axes (spatial..., in, out) from anything array-like.

    Equation: ``result[h, w, i, o] = kernel[...]`` with the indices in the order of `layout`;
    axes that the layout lacks (a single filter ``"HW"``, a bank ``"HWO"``) get length 1.

    Args:
        kernel: nested lists, a NumPy array, or a tensor or variable of any backend.
        ndim: number of spatial axes, 1 to 3.
        in_channels: the channels that each filter reads (of one group); checked if given.
        filters: the number of filters; checked if given.
        layout: one letter for each axis of `kernel`: ``"HWIO"`` (Keras, the default; ``"WIO"``
            and ``"DHWIO"`` in 1-D and 3-D), ``"OIHW"`` (PyTorch), ``"OHWI"`` (LiteRT),
            ``"IHWO"``, ``"HWOI"``, ``"IOHW"``, ``"HW"``, ``"HWO"``, ``"OHW"``.

    Returns:
        Array of shape ``(*kernel_size, in, out)``. Floating and complex dtypes are kept,
        integers and booleans become float64.

    Raises:
        ArgumentError: `ndim` or `layout` is unknown.
        KernelError: text or ragged rows instead of numbers, wrong rank, an empty axis,
            non-finite entries, sizes other than `in_channels` and `filters`, or a shape that
            looks like another layout. A kernel whose axes are all of one length can't be told
            apart: state its layout.

    Example:
        >>> as_kernel(np.zeros((64, 3, 5, 5)), in_channels=3, layout="OIHW").shape
        (5, 5, 3, 64)

    Source: the layouts are those of `keras.ops.conv`, `torch.nn.functional.conv2d` and LiteRT's
    CONV_2D.
    """
    if not is_whole(ndim) or ndim not in SPATIAL_LETTERS:
        raise ArgumentError(
            compose(
                f"as_kernel(ndim={shown(ndim)})",
                "is not a number of spatial axes",
                expected="1, 2 or 3",
                fix="ndim=2",
            ),
            argument="ndim",
            value=ndim,
        )
    stated = _checked_layout(layout, ndim)
    array = numeric_array(kernel)
    _check_rank(array, stated, ndim)
    _check_entries(array)
    _check_sizes(array.shape, stated, ndim, in_channels, filters)
    target = LAYOUTS[ndim][0]
    present = [letter for letter in target if letter in stated]
    moved = array.transpose([stated.index(letter) for letter in present])
    shape = [moved.shape[present.index(c)] if c in present else 1 for c in target]
    return np.ascontiguousarray(moved.reshape(shape))


def numeric_array(kernel: Any) -> NDArray[Any]:
    """Return the entries of anything array-like as a floating (or complex) NumPy array.

    Raises:
        KernelError: it holds text, objects or rows of different lengths, or can't be read.
    """
    if isinstance(kernel, str | bytes | dict | set) or kernel is None:
        raise _not_numbers(kernel, f"is {type(kernel).__name__}, not an array of numbers")
    try:
        array = np.asarray(_host(kernel))
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise _not_numbers(kernel, "has rows of different lengths") from None
        raise _not_numbers(kernel, f"can't be read as an array ({error})") from None
    except (TypeError, RuntimeError) as error:
        raise _not_numbers(kernel, f"can't be read as an array ({error})") from None
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    # ml_dtypes' bfloat16 and friends report kind "V" but are floating.
    if array.dtype.kind in "fc" or array.dtype.name.startswith(("bfloat", "float")):
        return array
    raise _not_numbers(kernel, f"has dtype {array.dtype}, which is not a number")


def _host(kernel: Any) -> Any:
    """Return `kernel` without gradient tracking and on the host, where NumPy can read it."""
    value = getattr(kernel, "value", kernel)
    if callable(value):  # TensorFlow's variables have a method of that name
        value = kernel
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    # NumPy has no bfloat16 of its own, so that tensors of it refuse to convert.
    return value.float() if "bfloat16" in str(value.dtype) else value


def _not_numbers(kernel: Any, problem: str) -> KernelError:
    return KernelError(
        compose(
            f"kernel of type {type(kernel).__name__}",
            problem,
            expected="numbers in rows of equal length",
            fix="numpy.asarray(rows, dtype='float32')",
        ),
        argument="kernel",
        value=kernel,
    )


def _checked_layout(layout: str | None, ndim: int) -> str:
    known = LAYOUTS[ndim]
    if layout is None:
        return known[0]
    if isinstance(layout, str) and layout.upper() in known:
        return layout.upper()
    raise ArgumentError(
        compose(
            f"as_kernel(layout={layout!r})",
            f"is not a layout of a kernel with {ndim} spatial axes",
            expected=f"one of {', '.join(map(repr, known))}",
            fix=f"layout={known[0]!r}",
        ),
        argument="layout",
        value=layout,
    )


def _check_rank(array: NDArray[Any], layout: str, ndim: int) -> None:
    if array.ndim == len(layout):
        return
    fitting = [known for known in LAYOUTS[ndim] if len(known) == array.ndim]
    raise KernelError(
        compose(
            f"kernel of shape {array.shape}",
            f"has {array.ndim} axes",
            expected=f"{len(layout)} axes for layout {layout!r}",
            fix=f"layout={fitting[0]!r}" if fitting else f"a kernel with axes {tuple(layout)}",
        ),
        argument="kernel",
        value=array.shape,
    )


def _check_entries(array: NDArray[Any]) -> None:
    if array.size == 0:
        raise KernelError(
            compose(
                f"kernel of shape {array.shape}",
                "is empty",
                expected="at least one entry along every axis",
                fix="check the slice or file that it came from",
            ),
            argument="kernel",
            value=array.shape,
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise KernelError(
            compose(
                f"kernel of shape {array.shape}",
                f"has {len(bad)} entries that aren't finite, the first at {place}",
                expected="finite numbers",
                fix="numpy.nan_to_num(kernel), or see where they come from",
            ),
            argument="kernel",
            value=array.shape,
        )


def _check_sizes(
    shape: tuple[int, ...],
    layout: str,
    ndim: int,
    in_channels: int | None,
    filters: int | None,
) -> None:
    sizes = dict(zip(layout, shape, strict=True))
    known = {"I": in_channels, "O": filters}
    wanted = {k: v for k, v in known.items() if v is not None}
    wrong = {k: v for k, v in wanted.items() if sizes.get(k, 1) != v}
    guesses = _other_layouts(shape, layout, ndim, wanted)
    if wrong:
        words = {"I": "in_channels", "O": "filters"}
        differences = " and ".join(
            f"{words[k]}={v} where the kernel has {sizes.get(k, 1)}" for k, v in wrong.items()
        )
        raise _misfit(shape, layout, f"doesn't fit {differences}", guesses, wanted)
    spatial = [sizes[letter] for letter in SPATIAL_LETTERS[ndim]]
    if len(set(spatial)) == 1 or filters is not None:
        return
    # An oblong kernel is fine unless another layout makes it a smaller square one; stating
    # the number of filters settles it.
    square = [
        guess
        for guess in guesses
        if len(side := {shape[guess.index(c)] for c in SPATIAL_LETTERS[ndim]}) == 1
        and 1 < side.pop() < max(spatial)
    ]
    if square:
        size = "x".join(map(str, spatial))
        raise _misfit(shape, layout, f"would be an oblong kernel of {size}", square, wanted)


def _other_layouts(
    shape: tuple[int, ...], layout: str, ndim: int, wanted: dict[str, int]
) -> list[str]:
    """Return the layouts of that rank which agree with all that is known, likeliest first."""
    fitting = [
        other
        for other in LAYOUTS[ndim]
        if len(other) == len(layout)
        and other != layout
        and all(c in other and shape[other.index(c)] == n for c, n in wanted.items())
    ]

    def spread(other: str) -> int:
        spatial = [shape[other.index(c)] for c in SPATIAL_LETTERS[ndim]]
        return max(spatial) - min(spatial)

    return sorted(fitting, key=spread)


def _misfit(
    shape: tuple[int, ...],
    layout: str,
    problem: str,
    guesses: list[str],
    wanted: dict[str, int],
) -> KernelError:
    origins = _origins()
    names = dict(zip(layout, shape, strict=True))
    described = ", ".join(f"{letter}={size}" for letter, size in names.items())
    where = f"kernel of shape {shape} read as {layout} ({described})"
    if not guesses:
        expected = ", ".join(
            f"{'in_channels' if k == 'I' else 'filters'}={v}" for k, v in wanted.items()
        )
        return KernelError(
            compose(
                where,
                problem,
                expected=f"a kernel with {expected}",
                fix="check which layer or file it came from",
            ),
            argument="kernel",
            value=shape,
        )
    best = guesses[0]
    # Layouts that fit equally well, such as OIHW and OHWI for (64, 3, 3, 3), are all named.
    equal = [g for g in guesses[:2] if _spatial(g, shape) == _spatial(best, shape)]
    looks = " or ".join(f"{guess} ({origins[guess]})" for guess in equal)
    permutation = tuple(best.index(letter) for letter in layout)
    return KernelError(
        compose(
            where,
            f"{problem}; the shape looks like {looks}",
            fix=f"kernel.transpose{permutation}, or layout={best!r}"
            + ("" if wanted.get("O") else f"; filters={names.get('O', 1)} if it is meant so"),
        ),
        argument="kernel",
        value=shape,
    )


def _spatial(layout: str, shape: tuple[int, ...]) -> list[int]:
    return [size for letter, size in zip(layout, shape, strict=True) if letter in "DHW"]


def _origins() -> dict[str, str]:
    return {
        form.replace("S", letters): origin
        for (form, origin), letters in itertools.product(_ORIGINS.items(), SPATIAL_LETTERS.values())
    }

"""Names for kernels: `get("sobel_x")` builds the array that the name stands for."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.classical import box, identity, laplacian, sobel

KernelBuilder = Callable[..., NDArray[Any]]

_BUILDERS: dict[str, KernelBuilder] = {
    "sobel_x": functools.partial(sobel, "x"),
    "sobel_y": functools.partial(sobel, "y"),
    "laplacian": laplacian,
    "identity": identity,
    "box": box,
}


def names() -> tuple[str, ...]:
    """Return the registered names, sorted.

    Example:
        >>> "sobel_x" in names()
        True
    """
    return tuple(sorted(_BUILDERS))


def get(name: str, *, ndim: int | None = None, **parameters: Any) -> NDArray[Any]:
    """Return a new array of the kernel that is registered under a name.

    Args:
        name: one of `names()`.
        ndim: number of spatial axes; handed to builders that take it.
        **parameters: the builder's own, such as ``size`` of ``"box"``.

    Returns:
        The builder's array, float64 for all that convsmith registers.

    Raises:
        ArgumentError: the name is unknown, or the builder doesn't take a parameter.

    Example:
        >>> get("box", ndim=1, size=4).tolist()
        [0.25, 0.25, 0.25, 0.25]

    Source: each builder's own docstring.
    """
    builder = _BUILDERS.get(name) if isinstance(name, str) else None
    if builder is None:
        close = difflib.get_close_matches(str(name), _BUILDERS, n=1, cutoff=0.4)
        raise ArgumentError(
            compose(
                f"kernels.get({name!r})",
                "is not a registered kernel",
                expected=f"one of {', '.join(map(repr, names()))}",
                fix=repr(close[0]) if close else "kernels.register(name, builder) first",
            ),
            argument="name",
            value=name,
        )
    accepted = inspect.signature(builder).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    if ndim is not None and (takes_any or "ndim" in accepted):
        parameters["ndim"] = ndim
    unknown = [key for key in parameters if not takes_any and key not in accepted]
    if unknown:
        raise ArgumentError(
            compose(
                f"kernels.get({name!r}, {unknown[0]}={parameters[unknown[0]]!r})",
                "is not a parameter of this kernel",
                expected=f"any of {', '.join(accepted) or 'none'}",
                fix="leave it out",
            ),
            argument=unknown[0],
            value=parameters[unknown[0]],
        )
    return np.array(builder(**parameters))


def register(name: str, builder: KernelBuilder, *, overwrite: bool = False) -> None:
    """Give a kernel a name, by which layers and `get` know it from then on.

    Args:
        name: letters, digits and underscores, beginning with a letter.
        builder: called with keyword parameters, returns the array. One that takes ``ndim`` is
            told the number of spatial axes.
        overwrite: replace an existing name.

    Raises:
        ArgumentError: the name isn't an identifier or is taken, or the builder isn't callable.

    Example:
        >>> register("blur_2x2", lambda: np.full((2, 2), 0.25), overwrite=True)
        >>> get("blur_2x2").shape
        (2, 2)

    Source: none.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ArgumentError(
            compose(
                f"kernels.register({name!r})",
                "is not a name",
                expected="letters, digits and underscores, beginning with a letter",
                fix='name="my_filter"',
            ),
            argument="name",
            value=name,
        )
    if not callable(builder):
        raise ArgumentError(
            compose(
                f"kernels.register({name!r}, builder={builder!r})",
                "can't be called",
                expected="a function that returns the array",
                fix="lambda: array",
            ),
            argument="builder",
            value=builder,
        )
    if name in _BUILDERS and not overwrite:
        raise ArgumentError(
            compose(
                f"kernels.register({name!r})",
                "is taken",
                expected="a new name",
                fix="another name, or overwrite=True",
            ),
            argument="name",
            value=name,
        )
    _BUILDERS[name] = builder

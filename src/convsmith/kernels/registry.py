"""Names for kernels: `get("sobel_x")` builds the array that the name stands for."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.kernels.arguments import shown
from convsmith.kernels.calls import Call, parse
from convsmith.kernels.catalogue import KernelBuilder, builders
from convsmith.kernels.entries import Entry, entry

Builder = TypeVar("Builder", bound=KernelBuilder)

_BUILDERS: dict[str, KernelBuilder] = builders()


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
        name: one of `names()`, also with arguments: ``"gaussian(sigma=2)"``. These are literals
            (numbers, strings, tuples, True, False, None), by keyword or by position.
        ndim: number of spatial axes; handed to builders that take it.
        **parameters: the builder's own, such as ``size`` of ``"box"``.

    Returns:
        The builder's array, float64 for all that convsmith registers.

    Raises:
        ArgumentError: the name is unknown, or has arguments that aren't literals; the builder
            doesn't take a parameter, needs one that is missing, or gets one twice.

    Example:
        >>> get("box", ndim=1, size=4).tolist()
        [0.25, 0.25, 0.25, 0.25]
        >>> get("binomial(3, ndim=1)").tolist()
        [0.25, 0.5, 0.25]

    Source: each builder's own docstring.
    """
    call = _parsed(name)
    builder = _found("get", call.name)
    accepted = _parameters(builder)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    given = {**_by_keyword(name, call, accepted), **parameters}
    twice = [key for key in parameters if key in call.keywords]
    if ndim is not None and (takes_any or "ndim" in accepted):
        if given.get("ndim", ndim) != ndim:
            raise ArgumentError(
                compose(
                    f"kernels.get({shown(name)}, ndim={shown(ndim)})",
                    f"says ndim={shown(given['ndim'])} in the name",
                    expected="one number of spatial axes",
                    fix="leave it out of the name",
                ),
                argument="ndim",
                value=ndim,
            )
        given["ndim"] = ndim
    if twice:
        raise _unfit(name, twice[0], parameters[twice[0]], "is in the name as well", accepted)
    unknown = [key for key in given if not takes_any and key not in accepted]
    if unknown:
        key = unknown[0]
        raise _unfit(name, key, given[key], "is not a parameter of this kernel", accepted)
    missing = [key for key, p in accepted.items() if _is_needed(p) and key not in given]
    if missing:
        raise ArgumentError(
            compose(
                f"kernels.get({shown(name)})",
                f"lacks {', '.join(missing)}, which this kernel has no default for",
                expected="a value for each",
                fix=f"kernels.get({call.name!r}, {missing[0]}=...)",
            ),
            argument=missing[0],
        )
    return np.array(builder(**given))


def describe(name: str) -> Entry:
    """Return what is known of a registered kernel: its first sentence, gain, source and more.

    Args:
        name: one of `names()`; arguments, as `get` takes them, don't matter.

    Returns:
        An `Entry`, read from the builder's docstring and signature.

    Raises:
        ArgumentError: the name is unknown.

    Example:
        >>> found = describe("srm")
        >>> found.bank, found.ndims
        (True, (2,))
        >>> found.summary
        'Return the 30 linear filters of the spatial rich model, in windows of 5x5.'

    Source: none.
    """
    plain = _parsed(name).name
    return entry(plain, _found("describe", plain))


@overload
def register(
    name: str, builder: None = None, *, overwrite: bool = False
) -> Callable[[Builder], Builder]: ...


@overload
def register(name: str, builder: Builder, *, overwrite: bool = False) -> Builder: ...


def register(name: str, builder: Any = None, *, overwrite: bool = False) -> Any:
    """Give a kernel a name, by which layers and `get` know it from then on.

    Without `builder` it is a decorator: ``@register("my_filter")``.

    Args:
        name: letters, digits and underscores, beginning with a letter.
        builder: called with keyword parameters, returns the array. One that takes ``ndim`` is
            told the number of spatial axes.
        overwrite: replace an existing name.

    Returns:
        The builder as it is.

    Raises:
        ArgumentError: the name isn't an identifier or is taken, or the builder isn't callable.

    Example:
        >>> @register("blur_2x2", overwrite=True)
        ... def blur():
        ...     return np.full((2, 2), 0.25)
        >>> get("blur_2x2").shape
        (2, 2)

    Source: none.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ArgumentError(
            compose(
                f"kernels.register({shown(name)})",
                "is not a name",
                expected="letters, digits and underscores, beginning with a letter",
                fix='name="my_filter"',
            ),
            argument="name",
            value=name,
        )
    if name in _BUILDERS and not overwrite:
        raise ArgumentError(
            compose(
                f"kernels.register({shown(name)})",
                "is taken",
                expected="a new name",
                fix="another name, or overwrite=True",
            ),
            argument="name",
            value=name,
        )
    if builder is None:
        return functools.partial(register, name, overwrite=overwrite)
    if not callable(builder):
        raise ArgumentError(
            compose(
                f"kernels.register({shown(name)}, builder={shown(builder)})",
                "can't be called",
                expected="a function that returns the array",
                fix="lambda: array",
            ),
            argument="builder",
            value=builder,
        )
    _BUILDERS[name] = cast("KernelBuilder", builder)
    return builder


def _parsed(name: Any) -> Call:
    if isinstance(name, str) and name not in _BUILDERS and "(" in name:
        return parse(name)
    return Call(name, (), {})


def _found(where: str, name: Any) -> KernelBuilder:
    builder = _BUILDERS.get(name) if isinstance(name, str) else None
    if builder is not None:
        return builder
    fix = _closest(str(name))
    raise ArgumentError(
        compose(
            f"kernels.{where}({shown(name)})",
            "is not a registered kernel",
            expected="one of convsmith.kernels.names()",
            fix=repr(fix) if fix else "kernels.register(name, builder) first",
        ),
        argument="name",
        value=name,
    )


def _closest(name: str) -> str | None:
    """Return the name that looks most like it, of equal ones the first in the alphabet."""

    def likeness(known: str) -> float:
        return difflib.SequenceMatcher(None, known, name).ratio()

    best = max(names(), key=likeness)
    return best if likeness(best) >= 0.4 else None


def _parameters(builder: KernelBuilder) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(builder).parameters
    except (ValueError, TypeError):  # Functions in C may have none that Python knows.
        return {"parameters": inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)}


def _by_keyword(name: str, call: Call, accepted: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return all arguments of a call by keyword."""
    places = [
        key for key, p in accepted.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    if len(call.positional) > len(places):
        raise ArgumentError(
            compose(
                f"kernels.get({shown(name)})",
                f"has {len(call.positional)} arguments without a keyword",
                expected=f"at most {len(places)}" + (f": {', '.join(places)}" if places else ""),
                fix="write keyword=value",
            ),
            argument="name",
            value=name,
        )
    given = dict(zip(places, call.positional, strict=False))
    for key, value in call.keywords.items():
        if key in given:
            raise _unfit(name, key, value, "is given without keyword as well", accepted)
        given[key] = value
    return given


def _is_needed(parameter: inspect.Parameter) -> bool:
    optional = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in optional


def _unfit(
    name: str, key: str, value: Any, problem: str, accepted: Mapping[str, inspect.Parameter]
) -> ArgumentError:
    return ArgumentError(
        compose(
            f"kernels.get({shown(name)}, {key}={shown(value)})",
            problem,
            expected=f"any of {', '.join(accepted) or 'none'}",
            fix="leave it out",
        ),
        argument=key,
        value=value,
    )

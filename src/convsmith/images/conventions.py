"""What other libraries take for granted: edges, words, rounding, sums; so that results agree.

| | edges | integers become | sums in |
|---|---|---|---|
| OpenCV | reflect | rounded, halves to even, saturated | float32 |
| SciPy | symmetric | cut off and wrapped | float64 |
| scikit-image | symmetric | floats of 0 to 1 | float64 |
| kornia | reflect | refused | the image's dtype |
| convsmith | reflect | rounded, halves to even, saturated | float32, float64 where needed |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from convsmith.errors import ArgumentError, compose
from convsmith.geometry import MODE_ALIASES, PADDING_MODES, PaddingMode

ConventionName = Literal["opencv", "scipy", "skimage", "kornia"]
CONVENTION_NAMES: tuple[ConventionName, ...] = get_args(ConventionName)

_NUMPY: dict[str, PaddingMode] = {mode: mode for mode in PADDING_MODES}


@dataclass(frozen=True)
class Convention:
    """How a library filters."""

    padding_mode: PaddingMode = "reflect"
    """What it takes beyond the edges unless told."""
    modes: Mapping[str, PaddingMode] = field(default_factory=lambda: _NUMPY | MODE_ALIASES)
    """Its words for that, in NumPy's."""
    rounding: str = "even"
    work: str | None = None
    """The dtype of sums, where it is always the same."""
    fused: bool = True
    unit: bool = False
    """Whether integers are scaled to floats of 0 to 1 first."""
    plain: bool = False
    """Whether every output must be summed tap by tap, so that it is rounded as there."""
    floating: bool = False
    """Whether it takes floats only."""


OURS = Convention()

_SCIPY: dict[str, PaddingMode] = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "constant": "constant",
    "grid-constant": "constant",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}

CONVENTIONS: dict[ConventionName, Convention] = {
    "opencv": Convention(
        modes={
            "reflect101": "reflect",
            "reflect_101": "reflect",
            "default": "reflect",
            "reflect": "symmetric",
            "replicate": "edge",
            "constant": "constant",
            "wrap": "wrap",
        },
        plain=True,
    ),
    "scipy": Convention(
        padding_mode="symmetric",
        modes=_SCIPY,
        rounding="wrap",
        work="float64",
        fused=False,
        plain=True,
    ),
    "skimage": Convention(
        padding_mode="symmetric", modes=_SCIPY, work="float64", fused=False, unit=True
    ),
    "kornia": Convention(
        modes={
            "reflect": "reflect",
            "replicate": "edge",
            "constant": "constant",
            "circular": "wrap",
        },
        floating=True,
    ),
}


def convention(name: Any) -> Convention:
    """Return a library's convention; convsmith's own for None.

    Raises:
        ArgumentError: an unknown library.
    """
    if name is None:
        return OURS
    if name not in CONVENTIONS:
        raise ArgumentError(
            compose(
                f"convention={name!r}",
                "is not a library whose conventions are known",
                expected=f"one of {', '.join(map(repr, CONVENTIONS))}, or None",
                fix='convention="opencv"',
            ),
            argument="convention",
            value=name,
        )
    return CONVENTIONS[name]


def in_numpys_words(mode: Any, chosen: Convention, name: Any) -> Any:
    """Return a padding mode, or a nest of them, in NumPy's words.

    Raises:
        ArgumentError: a word that the library doesn't know.
    """
    if mode is None:
        return chosen.padding_mode
    if name is None:
        return mode
    if isinstance(mode, list | tuple):
        return tuple(in_numpys_words(m, chosen, name) for m in mode)
    word = mode.lower().removeprefix("border_") if isinstance(mode, str) else mode
    if word not in chosen.modes:
        raise ArgumentError(
            compose(
                f"padding_mode={mode!r}",
                f"is not one of {name}'s words",
                expected=f"one of {', '.join(map(repr, chosen.modes))}",
                fix=f'padding_mode="{next(iter(chosen.modes))}", or leave convention out',
            ),
            argument="padding_mode",
            value=mode,
        )
    return chosen.modes[word]

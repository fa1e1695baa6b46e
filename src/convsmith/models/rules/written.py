"""Rules as words, such as the options of a command have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convsmith.errors import ArgumentError, compose
from convsmith.models.rules.base import Rule
from convsmith.models.rules.blur_pool import BlurPool
from convsmith.models.rules.drop_in import DropIn, Padding
from convsmith.models.rules.group_norm import StandardizedGroupNorm
from convsmith.models.rules.low_rank import LowRank

_BY_NAME: dict[str, type[Any]] = {
    rule.__name__: rule for rule in (BlurPool, DropIn, StandardizedGroupNorm)
}
"""The rules that need no argument."""


def written_rules(
    pairs: Sequence[str] = (),
    *,
    padding_mode: str | None = None,
    blur_pool: int | None = None,
    low_rank: str | None = None,
    group_norm: int | None = None,
) -> list[Any]:
    """Return what `convert` takes for rules that are written as words.

    Args:
        pairs: of a key and what its layers become, ``"Conv2D=StandardizedConv2D"``: the name of a
            layer, or ``DropIn``, ``BlurPool`` or ``StandardizedGroupNorm``.
        padding_mode: of all convolutions that pad.
        blur_pool: taps of the blur behind what was strided.
        low_rank: ``"tucker:8"``, ``"tucker:8,16"`` or ``"cp:16"``.
        group_norm: groups that take the place of batch normalisation.

    Raises:
        ArgumentError: words that say nothing, or none at all.

    Example:
        >>> written_rules(["Conv2D=StandardizedConv2D"], low_rank="cp:16")
        [{'Conv2D': 'StandardizedConv2D'}, LowRank('cp', rank=16)]
    """
    rules: list[Any] = [dict(map(_pair, pairs))] if pairs else []
    if group_norm is not None:
        rules.append(StandardizedGroupNorm(group_norm))
    if padding_mode is not None:
        rules.append(Padding(padding_mode))
    if blur_pool is not None:
        rules.append(BlurPool(blur_pool))
    if low_rank is not None:
        rules.append(_low_rank(low_rank))
    if not rules:
        raise ArgumentError(
            compose(
                "convert",
                "has nothing to do",
                expected="at least one rule",
                fix="--rule Conv2D=StandardizedConv2D",
            ),
            argument="rules",
        )
    return rules


def _pair(text: str) -> tuple[str, str | Rule]:
    key, sign, value = (part.strip() for part in text.partition("="))
    if not (key and sign and value):
        raise ArgumentError(
            compose(
                f"rule {text!r}",
                "is no pair",
                expected="WHICH=WHAT, a class or pattern of names and a layer's name",
                fix="Conv2D=StandardizedConv2D",
            ),
            argument="rules",
            value=text,
        )
    return key, _BY_NAME[value]() if value in _BY_NAME else value


def _low_rank(text: str) -> LowRank:
    method, _, rank = text.partition(":")
    try:
        numbers = [int(number) for number in rank.split(",")]
    except ValueError as error:
        raise ArgumentError(
            compose(
                f"low rank {text!r}",
                "has no rank",
                expected="METHOD:RANK, with tucker or cp and one number or two",
                fix="tucker:8",
            ),
            argument="low_rank",
            value=text,
        ) from error
    one_or_two: Any = numbers[0] if len(numbers) == 1 else tuple(numbers)
    chosen: Any = method
    return LowRank(chosen, rank=one_or_two)

"""What is known of a registered kernel, read from its builder's docstring and signature."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass

import numpy as np

from convsmith.errors import ArgumentError
from convsmith.kernels.catalogue import KernelBuilder

SECTION = re.compile(r"^(Equation|Gain|Args|Returns|Raises|Example|Source):", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One registered kernel; texts are in one line, and empty where the docstring has none."""

    name: str
    builder: KernelBuilder
    summary: str
    """The docstring's first sentence."""

    parameters: str
    """The parameters with their defaults, as in a call."""

    gain: str
    source: str
    ndims: tuple[int, ...]
    """The numbers of spatial axes that it can be built for; of builders without ``ndim``, none."""

    bank: bool
    """Whether filters are stacked on the last axis, with default arguments."""


def entry(name: str, builder: KernelBuilder) -> Entry:
    """Return what a builder says of itself, and does by default."""
    documented = builder
    while isinstance(documented, functools.partial):
        documented = documented.func
    text = inspect.getdoc(documented) or ""
    parts = SECTION.split(text)
    sections = dict(zip(parts[1::2], map(_in_line, parts[2::2]), strict=True))
    try:
        signature = inspect.signature(builder)
    except (ValueError, TypeError):
        signature = inspect.Signature()
    ranks: dict[int, int] = {}
    if "ndim" in signature.parameters:
        for ndim in (1, 2, 3):
            try:
                ranks[ndim] = np.ndim(builder(ndim=ndim))
            except (ArgumentError, TypeError):
                continue
    return Entry(
        name=name,
        builder=builder,
        summary=_in_line(parts[0].split("\n\n")[0]),
        parameters=_call(signature),
        gain=sections.get("Gain", ""),
        source=sections.get("Source", ""),
        ndims=tuple(ranks),
        bank=any(rank > ndim for ndim, rank in ranks.items()),
    )


def _in_line(text: str) -> str:
    return " ".join(text.split())


def _call(signature: inspect.Signature) -> str:
    """Return the parameters without annotations, which would fill a line of their own."""
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))

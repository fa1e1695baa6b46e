"""What a rule says of a layer: what takes its place, or why it stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith.models.sites import Site

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Part:
    """A new layer, not built, with the weights that it starts with, by their names."""

    layer: Any
    weights: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Swap:
    """The layers, called one after the other, that take the place of one; itself is a copy of it.

    Attributes:
        site: where.
        parts: what takes the place of the layer there.
        note: what the report says of it.
    """

    site: Site
    parts: tuple[Part, ...]
    note: str = ""


@dataclass(frozen=True)
class Kept:
    """The reason why a layer that a rule is about stays as it is."""

    reason: str


Outcome = Sequence[Swap] | Kept | None


class Rule(ABC):
    """What is done with the layers of a model.

    A subclass defines `outcome`, which gets a layer with its place in the model and returns what
    takes its place there (and in the place of layers that belong to it, such as the batch
    normalisation behind it), why it stays, or None for a layer that the rule isn't about.

    Example:
        >>> class Wider(Rule):
        ...     def outcome(self, site):
        ...         if not isinstance(site.layer, keras.layers.Conv2D):
        ...             return None
        ...         config = {**site.layer.get_config(), "kernel_size": 5}
        ...         return [Swap(site, (Part(keras.layers.Conv2D.from_config(config)),))]
        >>> layer = keras.layers.Conv2D(4, 3)
        >>> Wider().outcome(Site(layer, "stem"))[0].parts[0].layer.kernel_size
        (5, 5)
    """

    @abstractmethod
    def outcome(self, site: Site) -> Outcome:
        """Return the swaps that begin at a place, a reason to keep it, or None."""


def weights_of(layer: Any) -> dict[str, Array]:
    """Return copies of a layer's weights by name."""
    return {v.name: as_numpy(v) for v in layer.weights}


def as_numpy(variable: Any) -> Array:
    """Return a copy of a variable's or a tensor's numbers."""
    ops: Any = keras.ops
    return np.array(ops.convert_to_numpy(ops.convert_to_tensor(variable)))


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like one that isn't known, if any is."""
    found = get_close_matches(word, list(known), n=1)
    return found[0] if found else None

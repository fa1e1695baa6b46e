"""The layers of a whole model, nested ones too, each with its place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import keras

from convsmith.models.graph import calls

Shape = tuple[int | None, ...]


@dataclass(eq=False)
class Site:
    """A layer and where it is.

    Attributes:
        layer: the layer.
        path: the names of the models and wrappers around it and its own, joined by ``/``.
        input_shapes: those of its calls; a list of shapes where a call takes several tensors.
        following: the place of the one layer that reads its outputs, and that reads nothing else;
            None where there is no such layer.
        models: the identities of the models that call it.
    """

    layer: Any
    path: str
    input_shapes: list[Any] = field(default_factory=list)
    following: Site | None = None
    models: set[int] = field(default_factory=set, repr=False)

    @property
    def input_shape(self) -> Any:
        """The shape of the input of its first call."""
        return self.input_shapes[0]


def sites(model: Any) -> list[Site]:
    """Return every layer of a model once, in an order in which they can run.

    Layers of nested models and of wrappers such as `TimeDistributed` are there too; those inside
    composite layers of other classes aren't, as nobody knows how they are called.

    Raises:
        ArgumentError, UnsupportedError: as `convsmith.models.graph.calls`.
    """
    found: dict[int, Site] = {}
    _collect(model, "", found, set())
    for site in found.values():
        if len(site.models) > 1:  # What follows it differs from model to model.
            site.following = None
    return list(found.values())


def _collect(model: Any, prefix: str, found: dict[int, Site], seen: set[int]) -> None:
    if id(model) in seen:
        return
    seen.add(id(model))
    made = calls(model)
    here: dict[int, Site] = {}
    for call in made:
        layer = call.operation
        if not isinstance(layer, keras.layers.Layer):
            continue
        path = f"{prefix}{layer.name}"
        shapes = [tuple(t.shape) for t in call.inputs]
        site = found.setdefault(id(layer), Site(layer, path))
        site.input_shapes.append(shapes[0] if len(shapes) == 1 else shapes)
        site.models.add(id(model))
        here[id(layer)] = site
        if isinstance(layer, keras.Model):
            _collect(layer, f"{path}/", found, seen)
        else:
            _unwrap(layer, path, found, seen)
    _link(model, made, here)


def _unwrap(layer: Any, path: str, found: dict[int, Site], seen: set[int]) -> None:
    """Add the layer that a wrapper applies, or the layers of the model that it applies."""
    inner = getattr(layer, "layer", None)
    if not isinstance(layer, keras.layers.Wrapper) or inner is None or id(inner) in seen:
        return
    inside = f"{path}/{inner.name}"
    if isinstance(inner, keras.Model):
        _collect(inner, f"{inside}/", found, seen)
        return
    seen.add(id(inner))
    shape = (inner.get_build_config() or {}).get("input_shape")
    found.setdefault(id(inner), Site(inner, inside, [shape]))


def _link(model: Any, made: list[Any], here: dict[int, Site]) -> None:
    """Say which layers are read by a single one that reads nothing else."""
    readers: dict[int, set[int]] = defaultdict(set)
    given: dict[int, set[int]] = defaultdict(set)
    taken: dict[int, set[int]] = defaultdict(set)
    for call in made:
        given[id(call.operation)] |= {id(t) for t in call.outputs}
        taken[id(call.operation)] |= {id(t) for t in call.inputs}
        for tensor in call.inputs:
            readers[id(tensor)].add(id(call.operation))
    for tensor in model.outputs:
        readers[id(tensor)].add(id(None))
    for key, site in here.items():
        reading = {reader for tensor in given[key] for reader in readers[tensor]}
        if len(reading) == 1:
            (reader,) = reading
            if reader in here and taken[reader] == given[key]:
                site.following = here[reader]

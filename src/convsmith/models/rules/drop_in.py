"""Rules that put one layer with the same weights in the place of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from convsmith import geometry, layers
from convsmith.errors import ArgumentError, compose
from convsmith.models.drop_ins import TRANSPOSED, family, own_class, remade
from convsmith.models.rules.base import Kept, Outcome, Part, Rule, Swap, closest, weights_of
from convsmith.models.sites import Site


class DropIn(Rule):
    """Convsmith's layer in the place of Keras's: the same outputs, and room for its arguments.

    Args:
        **arguments: what each new layer is made with besides the old one's settings, such as
            ``kernel_transform="standardize"`` or ``padding_mode="reflect"``.

    A layer of ours keeps its class and takes the arguments; a class that somebody made from one of
    Keras's stays, as it may compute anything.

    Example:
        >>> from convsmith.models.rules import DROP_INS
        >>> for theirs, ours in DROP_INS.items():
        ...     print(f"keras.layers.{theirs.__name__} -> cs.layers.{ours.__name__}")
        keras.layers.Conv1D -> cs.layers.Conv1D
        keras.layers.Conv2D -> cs.layers.Conv2D
        keras.layers.Conv3D -> cs.layers.Conv3D
        keras.layers.DepthwiseConv1D -> cs.layers.DepthwiseConv1D
        keras.layers.DepthwiseConv2D -> cs.layers.DepthwiseConv2D
        keras.layers.SeparableConv1D -> cs.layers.SeparableConv1D
        keras.layers.SeparableConv2D -> cs.layers.SeparableConv2D
        keras.layers.Conv1DTranspose -> cs.layers.Conv1DTranspose
        keras.layers.Conv2DTranspose -> cs.layers.Conv2DTranspose
        keras.layers.Conv3DTranspose -> cs.layers.Conv3DTranspose

    Source: none.
    """

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments

    def outcome(self, site: Site) -> Outcome:
        """Return the drop-in, if there is one."""
        layer, target = site.layer, own_class(site.layer)
        if target is None:
            if family(type(layer)) is None:
                return None
            return Kept(f"{type(layer).__name__} is a class of its own, made from Keras's")
        new = remade(layer, target, **self.arguments)
        if target is type(layer) and new.get_config() == layer.get_config():
            return Kept("is such a layer already")
        return [Swap(site, (Part(new, weights_of(layer)),), self._told())]

    def _told(self) -> str:
        return ", ".join(f"{n}={v!r}" for n, v in self.arguments.items() if v is not None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._told()})"


class Padding(DropIn):
    """Another padding mode in all convolutions that pad: what lies beyond the edges.

    Args:
        mode: what `padding_mode` of `cs.layers.Conv2D` takes, such as ``"reflect"``.
        value: what ``"constant"`` fills with.

    Convolutions without padding stay, and so do transposed ones, which write over the edges and
    don't read beyond them.

    Raises:
        ArgumentError: a word that is no mode.

    Example:
        >>> Padding("reflect")
        Padding(padding_mode='reflect')

    Source: none.
    """

    def __init__(self, mode: Any, value: float | None = None) -> None:
        if isinstance(mode, str):  # others depend on the number of axes
            geometry.axis_mode(mode)
        super().__init__(padding_mode=mode, padding_value=value)

    def outcome(self, site: Site) -> Outcome:
        """Return the drop-in with the mode, where there is padding."""
        known = family(type(site.layer))
        if known is None or known in TRANSPOSED:
            return None
        if site.layer.padding in ("valid", 0):
            return Kept("pads nothing")
        return super().outcome(site)


class ToClass(Rule):
    """Another class for all layers that are of its kind, with their settings and weights."""

    def __init__(self, target: type[Any] | str) -> None:
        self.target = target if isinstance(target, type) else _class_named(target)

    def outcome(self, site: Site) -> Outcome:
        """Return the layer of the class, where it's of the same kind."""
        layer = site.layer
        if type(layer) is self.target:
            return Kept(f"is a {self.target.__name__} already")
        kind = family(self.target)
        if (kind is not None and family(type(layer)) is not kind) or isinstance(layer, keras.Model):
            return None
        return [Swap(site, (Part(remade(layer, self.target), weights_of(layer)),))]


class ByFunction(Rule):
    """What a function of the layer returns: a layer, a list of them, or None to keep it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def outcome(self, site: Site) -> Outcome:
        """Return what the function makes of the layer."""
        layer = site.layer
        result = self.function(layer)
        if result is None or result is layer:
            return None
        made = list(result) if isinstance(result, list | tuple) else [result]
        if not made or not all(isinstance(one, keras.layers.Layer) for one in made):
            raise ArgumentError(
                compose(
                    f"rules: the function for {layer.name!r}",
                    "returned no layer",
                    expected="a layer, a list of layers called one after the other, or None",
                    received=f"{type(result).__name__}",
                    fix="lambda layer: None for layers that stay",
                ),
                argument="rules",
                value=result,
            )
        if not made[0].built and made[0] is not layer:
            made[0].name = layer.name
        parts = [Part(one) for one in made[1:]]
        return [Swap(site, (Part(made[0], weights_of(layer)), *parts))]


def _class_named(name: str) -> type[Any]:
    """Return the layer class of a name: ours, else Keras's."""
    for module in (layers, keras.layers):
        found = getattr(module, name, None)
        if isinstance(found, type) and issubclass(found, keras.layers.Layer):
            return found
    raise ArgumentError(
        compose(
            f"rules: {name!r}",
            "is no layer of convsmith or Keras",
            expected="the name of a layer class",
            fix=closest(name, layers.__all__) or "StandardizedConv2D",
        ),
        argument="rules",
        value=name,
    )

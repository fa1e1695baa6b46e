"""A model rebuilt layer by layer, with standard layers in place of convsmith's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from convsmith.errors import UnsupportedError, compose
from convsmith.layers import folding
from convsmith.models.convolution import Convolution, read
from convsmith.models.folding_edges import Inexpressible
from convsmith.models.folding_norms import (
    is_batch_norm,
    reason_against,
    with_norm_before,
    with_norm_behind,
)
from convsmith.models.folding_plain import Part, kept, plain
from convsmith.models.folding_report import Fold, classes, multiplications, positions
from convsmith.models.graph import Call, Graph, graph_of, is_graph

_WHY_KEPT = {
    "LocallyConnected": "its kernel differs from position to position",
    "DynamicConv": "its kernel is an input",
    "PatternConv": "it computes a pattern of its own",
}


@dataclass
class Replacement:
    """What stands for one layer: the parts, made when they are called, and the layers made."""

    parts: list[Part]
    name: str
    fold: Fold
    made: list[Any] = field(default_factory=list)

    def __call__(self, tensor: Any, names: set[str]) -> Any:
        """Return the result for a tensor, of the layers that the first call makes."""
        first = not self.made
        for number, part in enumerate(self.parts):
            if first:
                name = _unused(self.name + part.suffix, names) if part.suffix else self.name
                self.made.append(part.make(name, tensor))
            tensor = self.made[number](tensor)
        if first:
            for layer, part in zip(self.made, self.parts, strict=True):
                if part.weights:
                    layer.set_weights(
                        [w.astype("float32") if _narrow(layer) else w for w in part.weights]
                    )
            self._complete()
        return tensor

    def _complete(self) -> None:
        self.fold.result = classes(self.made)
        self.fold.parameters_after = sum(layer.count_params() for layer in self.made)


def rewritten(model: Any, folds: list[Fold], path: str = "") -> Any:
    """Return a copy of a Sequential or functional model, folded; `folds` gets a line per layer."""
    return _Rewriting(model, folds, path).model()


class _Rewriting:
    def __init__(self, model: Any, folds: list[Fold], path: str) -> None:
        self.source, self.folds, self.path = model, folds, path
        self.graph: Graph = graph_of(model)
        self.names = {layer.name for layer in model.layers}
        self.convolutions = self._convolutions()
        self.absorbed: dict[int, str] = {}
        self.copies: dict[int, Any] = {}
        self._absorb()

    # ---------------------------------------------------------------------------- analysis

    def _convolutions(self) -> dict[int, Convolution]:
        found: dict[int, Convolution] = {}
        for call in self.graph.calls:
            layer = call.operation
            if id(layer) in found or not isinstance(layer, keras.layers.Layer):
                continue
            if all(other.plain for other in self.graph.calls_of(layer)):
                conv = read(layer, call.args[0].shape)
                if conv is not None:
                    found[id(layer)] = conv
        return found

    def _absorb(self) -> None:
        """Let convolutions take the normalisations beside them."""
        self.reasons: dict[int, str] = {}
        for behind in (True, False):
            for call in self.graph.calls:
                norm = call.operation
                if id(norm) in self.absorbed or not is_batch_norm(norm):
                    continue
                reason = reason_against(call, self.graph, self.convolutions, behind=behind)
                if reason is None:
                    self._take(call, behind=behind)
                elif behind:
                    self.reasons[id(norm)] = reason

    def _take(self, call: Call, *, behind: bool) -> None:
        norm = call.operation
        neighbour = (
            self.graph.source(call.args[0]) if behind else self.graph.only_use(call.outputs[0])
        )
        assert neighbour is not None
        layer = neighbour.operation
        take = with_norm_behind if behind else with_norm_before
        self.convolutions[id(layer)] = take(self.convolutions[id(layer)], norm)
        self.absorbed[id(norm)] = layer.name
        if behind:
            self.graph.join(call, neighbour)

    # ---------------------------------------------------------------------------- rebuilding

    def model(self) -> Any:
        """Return the copy."""
        sequential = isinstance(self.source, keras.Sequential)
        made = self._sequential() if sequential else self._functional()
        if not self.source.trainable:
            made.trainable = False
        return made

    def _functional(self) -> Any:
        tensors: dict[int, Any] = {}
        for tensor in self.source.inputs:
            tensors[id(tensor)] = _input_like(tensor)

        def now(value: Any) -> Any:
            return tensors[id(value)] if isinstance(value, keras.KerasTensor) else value

        inputs = keras.tree.map_structure(now, self.source.input)
        for call in self.graph.calls:
            given: Any = keras.tree.map_structure(now, (call.args, dict(call.kwargs)))
            results = self._called(call, *given)
            for old, new in zip(call.outputs, keras.tree.flatten(results), strict=True):
                tensors[id(old)] = new
        outputs = keras.tree.map_structure(now, self.source.output)
        return keras.Model(inputs, outputs, name=self.source.name)

    def _sequential(self) -> Any:
        [start] = self.source.inputs
        inputs = tensor = _input_like(start)
        sequence: list[Any] = []
        for call in self.graph.calls:
            tensor = self._called(call, (tensor,), dict(call.kwargs))
            stand_in = self.copies.get(id(call.operation))
            if isinstance(stand_in, Replacement):
                sequence += stand_in.made
            elif stand_in is not None:
                sequence.append(stand_in)
        return keras.Sequential([inputs, *sequence], name=self.source.name)

    def _called(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the results of a call in the copy."""
        operation = call.operation
        if id(operation) in self.absorbed:
            self._note_absorbed(call)
            return args[0]
        stand_in = self.copies.get(id(operation))
        if stand_in is None:
            stand_in = self.copies[id(operation)] = self._stand_in(call)
        if isinstance(stand_in, Replacement):
            return stand_in(args[0], self.names)
        fresh = isinstance(stand_in, keras.layers.Layer) and not isinstance(stand_in, keras.Model)
        results = stand_in(*args, **kwargs)
        if fresh:
            copy_weights(operation, stand_in)
        return results

    def _stand_in(self, call: Call) -> Any:
        operation = call.operation
        if is_graph(operation):
            return rewritten(operation, self.folds, f"{self.path}{operation.name}/")
        if not isinstance(operation, keras.layers.Layer):
            return _copy(operation)
        conv = self.convolutions.get(id(operation))
        if conv is None:
            self._note_kept(call)
            return _copy(operation)
        return self._replacement(call, conv)

    def _replacement(self, call: Call, conv: Convolution) -> Any:
        layer = call.operation
        fold = self._line(call)
        shapes = {tuple(other.args[0].shape) for other in self.graph.calls_of(layer)}
        shape = _common(list(shapes))
        own = _is_own(layer)
        if not own and not self._changed(layer):
            return _copy(layer)
        try:
            parts = plain(conv, shape, str(call.args[0].dtype))
        except Inexpressible as reason:
            fold.kept = str(reason)
            parts = [kept(conv)]
        self.folds.append(fold)
        count = positions(call.outputs[0].shape, conv.channel_axis(len(call.outputs[0].shape)))
        if conv.without_channels:
            count = positions(call.args[0].shape, None)
        if conv.kind == "transposed":
            count = positions(call.args[0].shape, conv.channel_axis(len(call.args[0].shape)))
        uses = len(self.graph.calls_of(layer))
        before = multiplications([w.shape for w in layer.weights], count)
        after = multiplications([w.shape for part in parts for w in part.weights], count)
        fold.macs_before = None if before is None else before * uses
        fold.macs_after = None if after is None else after * uses
        return Replacement(parts, layer.name, fold)

    def _changed(self, layer: Any) -> bool:
        """Whether a layer of Keras computes with other numbers than its own weights."""
        return layer.name in self.absorbed.values() or getattr(layer, "lora_enabled", False)

    # ---------------------------------------------------------------------------- the report

    def _line(self, call: Call) -> Fold:
        layer = call.operation
        count = layer.count_params()
        return Fold(
            self.path + layer.name,
            type(layer).__name__,
            type(layer).__name__,
            parameters_before=count,
            parameters_after=count,
        )

    def _note_absorbed(self, call: Call) -> None:
        fold = self._line(call)
        fold.result, fold.parameters_after = f"in {self.absorbed[id(call.operation)]}", 0
        self.folds.append(fold)

    def _note_kept(self, call: Call) -> None:
        layer = call.operation
        if is_batch_norm(layer):
            reason = self.reasons.get(id(layer), "")
            if reason == "has no convolution beside it":
                return
        else:
            reason = why_kept(
                layer, called_plainly=all(c.plain for c in self.graph.calls_of(layer))
            )
        if reason:
            fold = self._line(call)
            fold.kept = reason
            self.folds.append(fold)


def why_kept(layer: Any, *, called_plainly: bool = True) -> str:
    """Return why a layer is copied as it is, empty where it's a standard one."""
    if _is_own(layer):
        if not called_plainly:
            return "it's called with arguments of its own"
        name = type(layer).__name__
        known = next((why for start, why in _WHY_KEPT.items() if name.startswith(start)), None)
        return known or folding.why_not(layer)
    inside = [one for one in layer._flatten_layers(include_self=False) if _is_own(one)]
    return f"{type(inside[0]).__name__} is inside of it" if inside else ""


def _is_own(layer: Any) -> bool:
    """Whether a layer needs convsmith (or a subclass of its layers) to be loaded."""
    return any(base.__module__.partition(".")[0] == "convsmith" for base in type(layer).__mro__)


def _copy(operation: Any) -> Any:
    try:
        return type(operation).from_config(operation.get_config())
    except Exception as error:  # whatever a class of someone else's raises
        raise UnsupportedError(
            compose(
                f"fold: {type(operation).__name__} {operation.name!r}",
                f"can't be copied from its config ({error})",
                expected="layers whose get_config returns all their arguments",
                fix="get_config and from_config in that class",
            ),
            argument="model",
            value=operation,
        ) from error


def copy_weights(source: Any, copy: Any) -> None:
    """Give a built copy of a layer the weights of the layer."""
    if source.weights:
        copy.set_weights(source.get_weights())
    if hasattr(copy, "finalize_state"):  # preprocessing layers derive numbers from theirs
        copy.finalize_state()


def _input_like(tensor: Any) -> Any:
    operation = tensor._keras_history.operation
    if isinstance(operation, keras.layers.InputLayer):
        return keras.layers.InputLayer.from_config(operation.get_config()).output
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _common(shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """Return the sizes that all shapes share, None where they differ."""
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True))


def _unused(name: str, names: set[str]) -> str:
    found, number = name, 1
    while found in names:
        number += 1
        found = f"{name}_{number}"
    names.add(found)
    return found


def _narrow(layer: Any) -> bool:
    return layer.variable_dtype != "float64"

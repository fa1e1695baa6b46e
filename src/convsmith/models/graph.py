"""The calls that a model is made of, and what uses their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras


@dataclass(frozen=True)
class Call:
    """One use of a layer, or of another operation, in a model."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def plain(self) -> bool:
        """Whether it's given one tensor and nothing else that matters."""
        extra = [value for value in self.kwargs.values() if value is not None]
        return len(self.args) == 1 and isinstance(self.args[0], keras.KerasTensor) and not extra


@dataclass
class Graph:
    """The calls of a model in an order in which they can be made."""

    calls: list[Call]
    outputs: set[int]
    _by_operation: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    _by_input: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    _by_output: dict[int, Call] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for call in self.calls:
            self._by_operation[id(call.operation)].append(call)
            for tensor in {id(t): t for t in call.inputs}.values():
                self._by_input[id(tensor)].append(call)
            for tensor in call.outputs:
                self._by_output[id(tensor)] = call

    def calls_of(self, operation: Any) -> list[Call]:
        """Return the calls of a layer or operation."""
        return self._by_operation.get(id(operation), [])

    def only_use(self, tensor: Any) -> Call | None:
        """Return the call that alone reads a tensor, None where that isn't all of its use."""
        uses = self._by_input.get(id(tensor), [])
        return uses[0] if len(uses) == 1 and id(tensor) not in self.outputs else None

    def source(self, tensor: Any) -> Call | None:
        """Return the call that a tensor comes from, None for an input of the model."""
        return self._by_output.get(id(tensor))

    def join(self, call: Call, source: Call) -> None:
        """Let a call that is part of its source now stand for it."""
        for tensor in call.outputs:
            self._by_output[id(tensor)] = source


def is_graph(model: Any) -> bool:
    """Whether a model's call is nothing but the calls of its layers, as far as they are known."""
    if isinstance(model, keras.Sequential):
        return bool(model.built) and getattr(model, "_functional", None) is not None
    if not (isinstance(model, keras.Model) and isinstance(model, keras.Function)):
        return False
    bases = type(model).__mro__
    functional = bases[bases.index(keras.Function) - 1]
    return type(model).call is functional.call


def graph_of(model: Any) -> Graph:
    """Return the graph of a functional model, or of a Sequential with known input."""
    # Keras has no public way to walk a model's calls; these attributes are what its own
    # `clone_model` and `plot_model` read.
    function = getattr(model, "_functional", None) or model
    return Graph(list(_calls(function)), {id(t) for t in function.outputs})


def _calls(function: Any) -> Iterator[Call]:
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input:
                continue
            yield Call(
                node.operation,
                tuple(node.arguments.args),
                dict(node.arguments.kwargs),
                tuple(node.arguments.keras_tensors),
                tuple(node.outputs),
            )

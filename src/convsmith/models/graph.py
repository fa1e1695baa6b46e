"""The calls that a functional or Sequential model is made of, and what uses their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from convsmith.errors import ArgumentError, ConvsmithError, UnsupportedError, compose


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


def calls(model: Any) -> list[Call]:
    """Return the calls of a model in an order in which they can run; nested models are one each.

    Raises:
        ArgumentError: it isn't a Keras model.
        UnsupportedError: it is a subclassed model, or wasn't built yet.
    """
    check_graph(model)
    # Keras has no public way to walk a model's calls; these attributes are what its own
    # `clone_model` and `plot_model` read.
    nodes = _functional(model)._nodes_by_depth
    return [
        Call(
            node.operation,
            tuple(node.arguments.args),
            dict(node.arguments.kwargs),
            tuple(node.input_tensors),
            tuple(node.outputs),
        )
        for depth in sorted(nodes, reverse=True)
        for node in nodes[depth]
        if not node.is_input
    ]


def graph_of(model: Any) -> Graph:
    """Return the graph of a functional or Sequential model.

    Raises:
        ArgumentError, UnsupportedError: as `calls`.
    """
    return Graph(calls(model), {id(tensor) for tensor in model.outputs})


def is_graph(model: Any) -> bool:
    """Whether the layers of a model say all that it does."""
    try:
        check_graph(model)
    except ConvsmithError:
        return False
    return True


def input_layers(model: Any) -> dict[int, Any]:
    """Return the input layers of a model by the identities of their tensors."""
    operations = _functional(model).operations
    return {id(o.output): o for o in operations if isinstance(o, keras.layers.InputLayer)}


def input_tensors(model: Any) -> Any:
    """Return the symbolic inputs of a model in the structure that it takes."""
    return model.input if isinstance(model, keras.Function) else model.inputs[0]


def keras_class(model: Any) -> type[Any]:
    """Return the class of Keras that a model's class is or extends."""
    return next(c for c in type(model).__mro__ if c.__module__.partition(".")[0] == "keras")


def check_graph(model: Any) -> None:
    """Check that the layers of a model say all that it does.

    Raises:
        ArgumentError: it isn't a Keras model.
        UnsupportedError: it is a subclassed model, or wasn't built yet.
    """
    if not isinstance(model, keras.Model):
        raise ArgumentError(
            compose(
                f"model={model!r}",
                "is not a Keras model",
                expected="a functional or Sequential keras.Model",
                received=f"{type(model).__name__}",
                fix="keras.Sequential([layer]) for a single layer",
            ),
            argument="model",
            value=model,
        )
    sequential = isinstance(model, keras.Sequential)
    if not sequential and not isinstance(model, keras.Function):
        raise _subclassed(model, "its layers are called in Python code, which can't be read")
    if type(model).call is not keras_class(model).call:
        raise _subclassed(model, "it overrides 'call', so that its layers don't say what it does")
    if sequential and not _is_built(model):
        raise UnsupportedError(
            compose(
                f"Sequential {model.name!r}",
                "has no weights yet",
                expected="a model that was built",
                fix="model.build(input_shape), or keras.Input as the first of its layers",
            ),
            argument="model",
            value=model,
        )


def _subclassed(model: Any, reason: str) -> UnsupportedError:
    return UnsupportedError(
        compose(
            f"{type(model).__name__} {model.name!r}",
            f"is a subclassed model: {reason}",
            expected="a functional or Sequential model, also nested",
            fix="keras.Model(inputs, outputs) of the same layers, or another class for them in "
            "its source",
        ),
        argument="model",
        value=model,
    )


def _is_built(model: Any) -> bool:
    try:
        return bool(model.inputs) and bool(model.layers)
    except AttributeError:
        return False


def _functional(model: Any) -> Any:
    """Return a model whose graph can be read; a Sequential keeps its own to itself."""
    return model if isinstance(model, keras.Function) else keras.Model(model.inputs, model.outputs)

"""A model as the list of its operations, those of nested models among them, with all shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

Tensor = Any
"""A symbolic tensor."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer, or of an operation without weights.

    `own` is the output in the model's own graph; None within nested models, whose names are then
    part of `name`.
    """

    name: str
    operation: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    args: tuple[Any, ...]
    own: Tensor = None

    @property
    def input_shapes(self) -> list[tuple[Any, ...]]:
        """The shapes of what goes in."""
        return [tuple(x.shape) for x in self.inputs]

    @property
    def output_shapes(self) -> list[tuple[Any, ...]]:
        """The shapes of what comes out."""
        return [tuple(x.shape) for x in self.outputs]


def steps(model: Any, inputs: Sequence[Tensor]) -> list[Step]:
    """Return the calls that a model makes, in order; later ones of a layer are marked ``#2``, ...

    Args:
        model: a functional or sequential model.
        inputs: a symbolic tensor for each of its inputs.
    """
    return _steps(model, inputs, "", {})[0]


def _steps(
    model: Any, inputs: Sequence[Tensor], within: str, calls: dict[int, int]
) -> tuple[list[Step], dict[int, Tensor]]:
    """Return the calls, and the tensors that stand for those of the model's own graph.

    `within` is the name of the model around it, `calls` how often each layer was called before.
    """
    known: dict[int, Tensor] = {id(x): y for x, y in zip(model.inputs, inputs, strict=True)}
    found: list[Step] = []
    for node in _nodes(model):
        args, kwargs = node.arguments.fill_in(known)
        given = tuple(known[id(x)] for x in node.input_tensors)
        operation = node.operation
        number = calls[id(operation)] = calls.get(id(operation), 0) + 1
        name = within + operation.name + (f"#{number}" if number > 1 else "")
        if _is_graph(operation):
            parts, made = _steps(operation, given, f"{name}/", calls)
            found += parts
            outputs = tuple(made[id(x)] for x in operation.outputs)
        else:
            outputs = _outputs(node, given, args, kwargs)
            found.append(
                Step(name, operation, given, outputs, args, None if within else node.outputs[0])
            )
        known.update((id(x), y) for x, y in zip(node.outputs, outputs, strict=True))
    return found, known


def _outputs(
    node: Any, given: Sequence[Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """Return new tensors for what a node makes of tensors whose shapes may differ from its own."""
    before = [tuple(x.shape) for x in node.input_tensors]
    if [tuple(x.shape) for x in given] == before:
        made = node.outputs
    else:
        made = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
    return tuple(keras.KerasTensor(tuple(x.shape), dtype=x.dtype) for x in made)


def _is_graph(operation: Any) -> bool:
    """Whether an operation is a model of which the graph is known."""
    if not isinstance(operation, keras.Model):
        return False
    return bool(getattr(operation, "inputs", None) and getattr(operation, "outputs", None))


def _nodes(model: Any) -> Iterator[Any]:
    """Yield the calls that lead from a model's inputs to its outputs, each after what it needs."""
    done: set[int] = set()
    ends = {id(x) for x in model.inputs}
    waiting = [_maker(x) for x in reversed(model.outputs) if id(x) not in ends]
    while waiting:
        node = waiting[-1]
        if id(node) in done:
            waiting.pop()
            continue
        before = [_maker(x) for x in node.input_tensors if id(x) not in ends]
        missing = [one for one in before if id(one) not in done]
        if missing:
            waiting.extend(reversed(missing))
            continue
        done.add(id(waiting.pop()))
        yield node


def _maker(tensor: Any) -> Any:
    """Return the call that made a tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]

"""A model built again, with copies of its layers or others in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any

import keras
from numpy.typing import NDArray

from convsmith.errors import UnsupportedError, compose
from convsmith.models.graph import calls, check_graph, input_layers, keras_class
from convsmith.models.rules.base import Part, Swap, as_numpy

Array = NDArray[Any]

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops
tree: Any = keras.tree


class Rebuilding:
    """Builds a model again, each layer once, however many models and calls share it.

    Attributes:
        missing: for each place, the weights that the new layers had no use for.
        notes: what else the new model doesn't have.
    """

    def __init__(self, swaps: Sequence[Swap]) -> None:
        self._swaps = {id(swap.site.layer): swap for swap in swaps}
        self._chains: dict[int, tuple[Any, ...]] = {}
        self._copies: list[tuple[Any, Any]] = []
        self.missing: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def model(self, model: Any) -> Any:
        """Return the new model, with the weights of the old one, uncompiled."""
        check_graph(model)
        if isinstance(model, keras.Sequential):
            new = self._sequential(model)
        else:
            new = self._functional(model)
        return new

    def copy_weights(self) -> None:
        """Give every copied layer the weights of its original; the models must be built."""
        for old, new in self._copies:
            _copy_variables(old, new)

    # ------------------------------------------------------------------------------- models

    def _functional(self, model: Any) -> Any:
        inputs = input_layers(model)
        tensors = {key: _copied(layer).output for key, layer in inputs.items()}

        def new_of(value: Any) -> Any:
            return tensors[id(value)] if isinstance(value, keras.KerasTensor) else value

        for call in calls(model):
            args, kwargs = tree.map_structure(new_of, (call.args, dict(call.kwargs)))
            first, *others = self.chain(call.operation)
            if id(call.operation) in self._swaps:
                kwargs = _taken_by(first, kwargs)
            result = first(*args, **kwargs)
            for layer in others:
                result = layer(result)
            for old, new in zip(call.outputs, tree.flatten(result), strict=True):
                tensors[id(old)] = new
        return self._class_of(model)(
            tree.map_structure(new_of, model.input),
            tree.map_structure(new_of, model.output),
            name=model.name,
            trainable=model.trainable,
        )

    def _sequential(self, model: Any) -> Any:
        layers = [layer for old in model.layers for layer in self.chain(old)]
        (start,) = input_layers(model).values()
        return self._class_of(model)(
            [_copied(start), *layers], name=model.name, trainable=model.trainable
        )

    def _class_of(self, model: Any) -> type[Any]:
        """Return the model's class, or Keras's where only the class knows how it is made."""
        plain = keras_class(model)
        if type(model).__init__ is plain.__init__:
            return type(model)
        self.notes.append(
            f"{model.name!r} is a plain {plain.__name__} model now, no {type(model).__name__}"
        )
        return plain

    # ------------------------------------------------------------------------------- layers

    def chain(self, layer: Any) -> tuple[Any, ...]:
        """Return the new layers that are called, in order, instead of a layer."""
        if id(layer) not in self._chains:
            self._chains[id(layer)] = self._made(layer)
        return self._chains[id(layer)]

    def _made(self, layer: Any) -> tuple[Any, ...]:
        swap = self._swaps.get(id(layer))
        if swap is not None:
            return self._swapped(swap)
        if isinstance(layer, keras.Model):
            return (self.model(layer),)
        if isinstance(layer, keras.layers.Wrapper) and self._reaches_into(layer):
            return (self._rewrapped(layer),)
        return (self._copy(layer),)

    def _copy(self, layer: Any) -> Any:
        new = _copied(layer)
        if isinstance(layer, keras.layers.Layer):
            self._copies.append((layer, new))
        return new

    def _swapped(self, swap: Swap) -> tuple[Any, ...]:
        old, shape, made = swap.site.layer, swap.site.input_shape, []
        for part in swap.parts:
            if part.layer is old:
                made.append(self._copy(old))
                shape = old.compute_output_shape(shape)
                continue
            if not old.trainable:
                part.layer.trainable = False
            if not part.layer.built:
                unused = build_part(part, shape)
                if unused:
                    self.missing.setdefault(swap.site.path, []).extend(unused)
                _freeze_alike(old, part.layer)
            made.append(part.layer)
            if part is not swap.parts[-1]:
                shape = part.layer.compute_output_shape(shape)
        return tuple(made)

    def _reaches_into(self, wrapper: Any) -> bool:
        """Whether something inside of a wrapper is replaced."""
        inner = getattr(wrapper, "layer", None)
        return inner is not None and self._touches(inner)

    def _touches(self, layer: Any) -> bool:
        if id(layer) in self._swaps:
            return True
        if isinstance(layer, keras.Model):
            return any(self._touches(call.operation) for call in calls(layer))
        return isinstance(layer, keras.layers.Wrapper) and self._reaches_into(layer)

    def _rewrapped(self, wrapper: Any) -> Any:
        inner = wrapper.layer
        if len(wrapper.variables) > len(inner.variables):
            raise UnsupportedError(
                compose(
                    f"{type(wrapper).__name__} {wrapper.name!r}",
                    f"has weights that belong to {inner.name!r}, which is to be replaced",
                    expected="a wrapper without weights of its own, such as TimeDistributed",
                    fix="except for its name in the rules, or the wrapper's job as a "
                    "kernel_transform",
                ),
                argument="rules",
                value=wrapper,
            )
        chain = self.chain(inner)
        new = chain[0] if len(chain) == 1 else keras.Sequential(list(chain), name=inner.name)
        return type(wrapper)(**{**wrapper.get_config(), "layer": new})


def build_part(part: Part, input_shape: Any) -> list[str]:
    """Build a new layer with its weights; return the names of those that it has no use for.

    The kernel is there while the layer makes its weights, so that those that start from it, such
    as the gain of a weight normalisation, start from the right one.
    """
    layer = part.layer
    with _starting_from(layer, part.weights):
        layer.build(input_shape)
    unused = dict(part.weights)
    for variable in layer.weights:
        value = unused.get(variable.name)
        if value is not None and tuple(value.shape) == tuple(variable.shape):
            variable.assign(unused.pop(variable.name))
    return list(unused)


def _freeze_alike(old: Any, new: Any) -> None:
    """Freeze the weights of a new layer whose namesakes were frozen one by one."""
    frozen = {v.name for v in old.weights if not v.trainable}
    for variable in new.trainable_variables:
        if variable.name in frozen:
            variable.trainable = False


@contextmanager
def _starting_from(layer: Any, weights: Mapping[str, Array]) -> Iterator[None]:
    names = {f"{name}_initializer": value for name, value in weights.items()}
    if "kernel" in weights:
        names["depthwise_initializer"] = weights["kernel"]
    for part in ("depthwise", "pointwise"):
        if f"{part}_kernel" in weights:
            names[f"{part}_initializer"] = weights[f"{part}_kernel"]
    before = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    for name, initializer in before.items():
        setattr(layer, name, _First(names[name], initializer))
    try:
        yield
    finally:
        for name, initializer in before.items():
            setattr(layer, name, initializer)


class _First:
    """An initialiser that gives an array where the shape is the array's."""

    def __init__(self, array: Array, otherwise: Any) -> None:
        self._array, self._otherwise = array, otherwise

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        if tuple(shape) == tuple(self._array.shape):
            return ops.convert_to_tensor(self._array, dtype=dtype)
        return self._otherwise(shape, dtype=dtype)


def _copied(layer: Any) -> Any:
    """Return a layer or operation of the same configuration, without weights."""
    try:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Lambda):
            # The model is here, and so its code runs already.
            return type(layer).from_config(config, safe_mode=False)
        return type(layer).from_config(config)
    except Exception as error:
        raise UnsupportedError(
            compose(
                f"{type(layer).__name__} {layer.name!r}",
                f"can't be made again from its configuration ({str(error).strip()[:200]})",
                expected="a layer whose get_config and from_config work, as saving needs too",
                fix="get_config with every argument of its constructor",
            ),
            argument="model",
            value=layer,
        ) from error


def _copy_variables(old: Any, new: Any) -> None:
    pairs = list(zip(old.variables, new.variables, strict=False))
    fits = len(old.variables) == len(new.variables) and all(
        tuple(a.shape) == tuple(b.shape) for a, b in pairs
    )
    if not fits:
        raise UnsupportedError(
            compose(
                f"{type(old).__name__} {old.name!r}",
                "has other weights when it's made again from its configuration",
                expected=", ".join(f"{v.name} {tuple(v.shape)}" for v in old.variables) or "none",
                received=", ".join(f"{v.name} {tuple(v.shape)}" for v in new.variables) or "none",
                fix="get_config with every argument of its constructor",
            ),
            argument="model",
            value=old,
        )
    for source, target in pairs:
        # NumPy's copy: JAX gives away the arrays of the variables that it trains.
        target.assign(as_numpy(source))
        if target.trainable != source.trainable:
            target.trainable = source.trainable


def _taken_by(layer: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call that the new layer's call has too."""
    parameters = signature(layer.call).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return dict(kwargs)
    names = {p.name for p in parameters}
    return {name: value for name, value in kwargs.items() if name in names}

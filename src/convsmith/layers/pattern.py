"""Any pattern of the notation as a layer with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import keras

from convsmith import engine, geometry, notation
from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.layers.arguments import Shape, Size, as_floating, input_shape_of
from convsmith.layers.initializers import OfShape, with_fans
from convsmith.notation import Axis, Group, One, Window, names_of

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


@keras.saving.register_keras_serializable(package="convsmith")
class PatternConv(keras.layers.Layer):
    """A layer that computes a pattern: its first operands are inputs, the others its weights.

    Equation: ``y = activation(convsmith.conv(pattern, *inputs, *weights) + bias)``.

    Args:
        pattern: what `convsmith.conv` takes.
        inputs: how many operands are inputs of the layer, counted from the left; operands behind
            them are weights.
        names: what the weights are called, ``"kernel"`` or ``"kernel_0"``, ``"kernel_1"``, ...
            unless given.
        bias: names of output axes along which a bias is learned, such as ``"o"`` or ``"h w o"``;
            None for no bias.
        activation: what `keras.activations.get` takes.
        padding: this, `padding_mode`, `padding_value` and `semiring` as in `convsmith.conv`.
        kernel_initializer: for all weights, or a dict by name. Its fans follow from the pattern:
            each summed axis counts once over all weights, so that outputs have the variance of
            the inputs times the initialiser's scale, however many weights there are.
        bias_initializer: what `keras.initializers.get` takes.
        kernel_regularizer: for all weights, or a dict by name; `kernel_constraint` likewise.
        bias_regularizer, bias_constraint: as in Keras.
        **sizes: sizes of axes that the inputs don't have, such as ``kh=3, o=64``, and values of
            named coefficients; others are arguments of `keras.layers.Layer`.

    Shapes: one input, or a list of `inputs` of them, of the shapes that the pattern says; output
    likewise. Sizes that no weight has may be unknown. Floating dtypes; whole numbers are cast to
    the layer's compute dtype.

    Raises:
        PatternError: the pattern isn't one.
        ArgumentError: an argument that no input could make right.
        ShapeError: inputs that don't fit, or a weight whose size isn't known.

    Example:
        >>> layer = PatternConv("b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)", kh=3, kw=3, m=2,
        ...                     bias="c m", padding="same", activation="relu")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape), tuple(layer.kernel.shape)
        ((2, 8, 8, 6), (3, 3, 3, 2))

    Source: the notation is that of `convsmith.conv`; He et al., "Delving Deep into Rectifiers",
    2015, for variances that sums keep.
    """

    def __init__(
        self,
        pattern: str,
        *,
        inputs: int = 1,
        names: Sequence[str] | None = None,
        bias: str | None = None,
        activation: Any = None,
        padding: Any = "valid",
        padding_mode: Any = "constant",
        padding_value: float | None = None,
        semiring: str = "sum_product",
        kernel_initializer: Any = "lecun_normal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        sizes: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        spec = notation.parse(pattern)
        known = {*spec.names, *spec.symbols}
        given = {**(sizes or {}), **{n: kwargs.pop(n) for n in list(kwargs) if n in known}}
        super().__init__(**kwargs)
        self.pattern, self._spec = pattern, spec
        self.sizes = {n: geometry.integer(size, n, minimum=1) for n, size in given.items()}
        self.inputs = self._checked_inputs(inputs)
        self.names = self._checked_names(names)
        self.bias_axes = self._checked_bias(bias)
        self.activation = keras.activations.get(activation)
        self.padding, self.padding_mode, self.padding_value = padding, padding_mode, padding_value
        self.semiring = semiring
        self.kernel_initializer = self._by_name(kernel_initializer, keras.initializers.get)
        self.kernel_regularizer = self._by_name(kernel_regularizer, keras.regularizers.get)
        self.kernel_constraint = self._by_name(kernel_constraint, keras.constraints.get)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.bias: Any = None
        self._weights_of_pattern: list[Any] = []

    # ---------------------------------------------------------------------------- arguments

    def _checked_inputs(self, inputs: int) -> int:
        count = len(self._spec.operands)
        inputs = geometry.integer(inputs, "inputs", minimum=1)
        if inputs >= count:
            raise ArgumentError(
                compose(
                    f"inputs={inputs}",
                    f"leaves no weight of the {count} operands of '{self.pattern}'",
                    expected=f"less than {count}",
                    fix="convsmith.conv in a keras.layers.Lambda, or one more operand",
                ),
                argument="inputs",
                value=inputs,
            )
        return inputs

    def _checked_names(self, names: Sequence[str] | None) -> tuple[str, ...]:
        count = len(self._spec.operands) - self.inputs
        if names is None:
            return ("kernel",) if count == 1 else tuple(f"kernel_{i}" for i in range(count))
        found = (names,) if isinstance(names, str) else tuple(names)
        if len(found) != count or len(set(found)) != count:
            raise ArgumentError(
                compose(
                    f"names={names!r}",
                    f"doesn't name {count} weights",
                    expected=f"{count} different names",
                    fix="names=None",
                ),
                argument="names",
                value=names,
            )
        return found

    def _checked_bias(self, bias: str | None) -> tuple[str, ...]:
        axes = () if bias is None else tuple(bias.split())
        plain = [n for i in self._spec.output if isinstance(i, Axis | Group) for n in names_of(i)]
        groups = [set(names_of(i)) for i in self._spec.output if isinstance(i, Group)]
        problem = ""
        if any(n not in plain for n in axes):
            problem = f"'{next(n for n in axes if n not in plain)}' is no axis of the output"
        elif len(set(axes)) != len(axes):
            problem = "names an axis twice"
        elif any(group & {*axes} and not group <= {*axes} for group in groups):
            problem = "has a part of a group only"
        if problem:
            raise ArgumentError(
                compose(
                    f"bias={bias!r}",
                    problem,
                    expected=f"some of {' '.join(plain)!r}",
                    fix=f"bias={plain[-1]!r}" if plain else "bias=None",
                ),
                argument="bias",
                value=bias,
            )
        return tuple(n for n in plain if n in axes)

    def _by_name(self, value: Any, get: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not set(value) <= set(self.names):
            # A dict with other keys is what Keras saved an object as.
            return {name: get(value) for name in self.names}
        return {name: get(value.get(name)) for name in self.names}

    # -------------------------------------------------------------------------------- build

    def build(self, input_shape: Any) -> None:
        """Make one weight for each operand behind the inputs, and the bias."""
        shapes = self._shapes(input_shape)
        known = self._known_sizes(shapes)
        for index, name in enumerate(self.names, start=self.inputs):
            shape = tuple(self._extent(item, known, name) for item in self._spec.operands[index])
            fans = self._fans(index)
            initializer = self.kernel_initializer[name] or keras.initializers.get("lecun_normal")
            self._weights_of_pattern.append(
                self.add_weight(
                    name=name,
                    shape=shape,
                    initializer=_WithFans(initializer, *fans, self._flat(index, known)),
                    regularizer=self.kernel_regularizer[name],
                    constraint=self.kernel_constraint[name],
                )
            )
        if self.bias_axes:
            self.bias = self.add_weight(
                name="bias",
                shape=tuple(self._size(n, known, "bias") for n in self.bias_axes),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _known_sizes(self, shapes: Sequence[Shape]) -> Mapping[str, Size]:
        open_shapes = [
            tuple(
                self.sizes.get(item.name) if isinstance(item, Axis) else _open(item, self.sizes)
                for item in side
            )
            for side in self._spec.operands[self.inputs :]
        ]
        return engine.plan(self.pattern, *shapes, *open_shapes, **self._arguments()).sizes

    def _extent(self, item: Any, known: Mapping[str, Size], weight: str) -> int:
        if isinstance(item, One):
            return 1
        if not isinstance(item, Axis | Group):
            raise ArgumentError(
                compose(
                    f"PatternConv: weight {weight!r}",
                    f"has '{item}', which isn't a plain axis",
                    expected="names and groups of names in operands that are weights",
                    received=f"pattern '{self.pattern}'",
                    fix="inputs=2 if that operand is an input",
                ),
                argument="pattern",
                value=self.pattern,
            )
        return prod(self._size(n, known, weight) for n in names_of(item))

    def _size(self, name: str, known: Mapping[str, Size], weight: str) -> int:
        size = known.get(name)
        if size is None:
            raise ShapeError(
                compose(
                    f"PatternConv: weight {weight!r}",
                    f"the size of '{name}' is unknown",
                    expected="sizes that follow from the inputs, or are given",
                    received=f"pattern '{self.pattern}'",
                    fix=f"{name}=3 as an argument of the layer, or keras.Input with that size",
                ),
                argument=name,
            )
        return size

    def _flat(self, index: int, known: Mapping[str, Size]) -> tuple[int, ...]:
        """Return the sizes of all names of a weight, groups taken apart."""
        weight = self.names[index - self.inputs]
        names = [n for item in self._spec.operands[index] for n in names_of(item)]
        return tuple(self._size(n, known, weight) for n in names)

    def _fans(self, index: int) -> tuple[list[int], list[int]]:
        """Return which names of a weight, by number, count as its inputs and as its outputs.

        What is summed counts for the last weight that has it; what the gradient of the inputs
        sums counts for the first.
        """
        spec = self._spec
        weights = spec.operands[self.inputs :]
        names = [n for item in spec.operands[index] for n in names_of(item)]
        plain = {
            n
            for side in spec.operands[: self.inputs]
            for item in side
            if not isinstance(item, Window)
            for n in names_of(item)
        }
        positions = {i.position for i in (*spec.input_windows, *spec.output_windows)}

        def belongs(name: str, order: Sequence[int]) -> bool:
            holders = [i for i in order if name in {n for it in weights[i] for n in names_of(it)}]
            return holders[0] == index - self.inputs

        numbers = range(len(weights))
        summed = [
            i
            for i, n in enumerate(names)
            if n not in spec.output_names and belongs(n, numbers[::-1])
        ]
        spread = [
            i
            for i, n in enumerate(names)
            if n not in plain and n not in positions and belongs(n, numbers)
        ]
        return summed, spread

    # -------------------------------------------------------------------------------- calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check how many inputs there are, then call the layer."""
        given = args[0] if args else kwargs.get("inputs")
        count = len(given) if isinstance(given, list | tuple) else 1
        if count != self.inputs:
            raise ShapeError(
                compose(
                    f"PatternConv {self.name!r}",
                    f"it is given {count} inputs",
                    expected=f"{self.inputs}, the first operands of '{self.pattern}'",
                    fix="layer([x, y])" if self.inputs > 1 else "layer(x)",
                ),
                argument="inputs",
                value=count,
            )
        several = list(given) if isinstance(given, list | tuple) else [given]
        shapes = [s for s in map(input_shape_of, several) if s is not None]
        if self.built and len(shapes) == count:
            self._output_shape(shapes)
        return super().__call__(*args, **kwargs)

    @property
    def kernel(self) -> Any:
        """The weight, if there is one only."""
        if len(self._weights_of_pattern) != 1:
            raise AttributeError(f"the weights are {', '.join(self.names)}: see `kernels`")
        return self._weights_of_pattern[0]

    @property
    def kernels(self) -> dict[str, Any]:
        """The weights by name."""
        return dict(zip(self.names, self._weights_of_pattern, strict=True))

    def call(self, inputs: Any) -> Any:
        """Return ``activation(convsmith.conv(pattern, *inputs, *weights) + bias)``."""
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        operands = [as_floating(x, self.compute_dtype) for x in given]
        dtype = operands[0].dtype
        weights = [ops.cast(w, dtype) for w in self._weights_of_pattern]
        outputs = engine.conv(self.pattern, *operands, *weights, **self._arguments())
        if self.bias is not None:
            outputs = outputs + ops.cast(self._shaped_bias(), outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def _shaped_bias(self) -> Any:
        """Return the bias with an axis for each axis of the output."""
        sizes = dict(zip(self.bias_axes, self.bias.shape, strict=True))
        shape = [prod(sizes.get(n, 1) for n in names_of(item)) for item in self._spec.output]
        return ops.reshape(self.bias, shape)

    # ------------------------------------------------------------------------------- shapes

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the output for that of the input, or a list of them."""
        return self._output_shape(self._shapes(input_shape))

    def compute_output_spec(self, inputs: Any, **_: Any) -> Any:
        """Return what a call gives, by shape and dtype."""
        given = inputs if isinstance(inputs, list | tuple) else [inputs]
        shape = self._output_shape([tuple(x.shape) for x in given])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _output_shape(self, shapes: Sequence[Shape]) -> Shape:
        known = self._known_sizes(shapes)
        weights = [
            tuple(self._extent(item, known, name) for item in side)
            for side, name in zip(self._spec.operands[self.inputs :], self.names, strict=True)
        ]
        for weight, shape in zip(self._weights_of_pattern, weights, strict=False):
            if tuple(weight.shape) != shape:
                raise ShapeError(
                    compose(
                        f"PatternConv {self.name!r}",
                        f"inputs of shape {shapes} need weights of shape {shape}",
                        expected=f"inputs for weights of shape {tuple(weight.shape)}",
                        received=f"pattern '{self.pattern}'",
                        fix="a new layer for inputs of other sizes",
                    ),
                    argument="inputs",
                    value=shapes,
                )
        return tuple(engine.plan(self.pattern, *shapes, *weights, **self._arguments()).output_shape)

    def _shapes(self, input_shape: Any) -> list[Shape]:
        # A saved shape is a list; only shapes of several inputs have shapes inside.
        several = any(isinstance(size, list | tuple) for size in input_shape)
        return [tuple(s) for s in input_shape] if several else [tuple(input_shape)]

    def _arguments(self) -> dict[str, Any]:
        return {
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "padding_value": self.padding_value,
            "semiring": self.semiring,
            **self.sizes,
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""

        def saved(values: Mapping[str, Any], module: Any) -> dict[str, Any]:
            return {name: module.serialize(value) for name, value in values.items()}

        return {
            **super().get_config(),
            "pattern": self.pattern,
            "inputs": self.inputs,
            "names": self.names,
            "bias": " ".join(self.bias_axes) or None,
            "activation": keras.activations.serialize(self.activation),
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "padding_value": self.padding_value,
            "semiring": self.semiring,
            "kernel_initializer": saved(self.kernel_initializer, keras.initializers),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": saved(self.kernel_regularizer, keras.regularizers),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": saved(self.kernel_constraint, keras.constraints),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "sizes": dict(self.sizes),
        }


class _WithFans:
    """An initialiser that draws a weight with its groups taken apart, then joins them."""

    def __init__(
        self, initializer: Any, summed: list[int], spread: list[int], flat: tuple[int, ...]
    ) -> None:
        self._inner, self._flat = OfShape(with_fans(initializer, summed, spread)), flat

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return ops.reshape(self._inner(self._flat, dtype=dtype), shape)


def _open(item: Any, sizes: Mapping[str, int]) -> Size:
    """Return the size of a group whose names are all given, else None; 1 for `1`."""
    if isinstance(item, One):
        return 1
    known = [sizes.get(n) for n in names_of(item)]
    return None if None in known or not isinstance(item, Group) else prod(n or 1 for n in known)

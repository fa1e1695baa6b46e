"""Receptive fields through the layers of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from convsmith.models.calls import Step
from convsmith.models.receptive import ALL, Field
from convsmith.notation import Group, Leading, One
from convsmith.problem import Problem, SizedWindow

_layers: Any = keras.layers

Fields = dict[tuple[int, int], Field | None]
"""By input of the model and its axis; None where nothing is known."""

_POINTWISE = (
    _layers.Activation,
    _layers.ActivityRegularization,
    _layers.AlphaDropout,
    _layers.BatchNormalization,
    _layers.Dropout,
    _layers.ELU,
    _layers.GaussianDropout,
    _layers.GaussianNoise,
    _layers.Identity,
    _layers.InputLayer,
    _layers.LeakyReLU,
    _layers.Masking,
    _layers.Normalization,
    _layers.PReLU,
    _layers.ReLU,
    _layers.Rescaling,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.SpatialDropout3D,
    _layers.Add,
    _layers.Average,
    _layers.Maximum,
    _layers.Minimum,
    _layers.Multiply,
    _layers.Subtract,
)
_GLOBAL = tuple(
    getattr(_layers, f"Global{kind}Pooling{rank}D")
    for kind in ("Average", "Max")
    for rank in (1, 2, 3)
)
_PADDING = (_layers.ZeroPadding1D, _layers.ZeroPadding2D, _layers.ZeroPadding3D)
_CROPPING = (_layers.Cropping1D, _layers.Cropping2D, _layers.Cropping3D)
_UPSAMPLING = (_layers.UpSampling1D, _layers.UpSampling2D, _layers.UpSampling3D)
_POINTWISE_OPERATIONS = """
    Absolute Add Cast Clip Divide Elu Exp Gelu HardSigmoid HardSilu HardSwish LeakyRelu Log
    Maximum Minimum Multiply Negative Power Relu Relu6 Rsqrt Selu Sigmoid Silu Softplus Softsign
    Sqrt Square Subtract Swish Tanh TrueDivide
"""
_POINTWISE_NAMES = frozenset(_POINTWISE_OPERATIONS.split())
_OF_APPLICATIONS = ("LayerScale", "StochasticDepth")
"""Layers of `keras.applications` that are nowhere else."""
_REDUCTIONS = ("Amax", "Amin", "Any", "All", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var")


def of_inputs(shapes: Sequence[tuple[Any, ...]]) -> list[Fields]:
    """Return the fields of a model's inputs themselves: each entry sees itself."""
    return [
        {(number, axis): Field(axis) for axis in range(1, len(shape))}
        for number, shape in enumerate(shapes)
    ]


def through(step: Step, problems: Sequence[Problem], given: Sequence[Fields]) -> list[Fields]:
    """Return the fields of a step's outputs from those of its inputs.

    Args:
        step: the step.
        problems: the convolutions that compute it, if it is one.
        given: for each of its inputs.
    """
    if problems:
        made = _union([_convolved(problem, given) for problem in problems])
    else:
        made = _other(step, given)
    return [made] * len(step.outputs)


def _convolved(problem: Problem, given: Sequence[Fields]) -> Fields:
    spec, output = problem.spec, _places(problem.spec.output, problem.output, problem.output_shape)
    made: list[Fields] = []
    for number, fields in enumerate(given):
        side = _places(spec.operands[number], problem.operands[number], problem.shapes[number])
        made.append(_moved(fields, _read(side, output)))
    return _union(made)


def _places(items: Sequence[Any], side: Sequence[Any], shape: Sequence[Any]) -> dict[int, Any]:
    """Return the place of each axis that has one to itself."""
    found: dict[int, Any] = {}
    axis = start = 0
    for item in items:
        if isinstance(item, Leading):
            several = len(shape) - len(items) + 1
            found.update((axis + i, side[start + i]) for i in range(several))
            axis, start = axis + several, start + several
            continue
        count = 0 if isinstance(item, One) else len(item.names) if isinstance(item, Group) else 1
        if count == 1:
            found[axis] = side[start]
        axis, start = axis + 1, start + count
    return found


def _read(places: dict[int, Any], output: dict[int, Any]) -> Callable[[Field], Field]:
    """Return what becomes of the fields along the axes of one operand."""
    written = {
        p.position if isinstance(p, SizedWindow) else p: (axis, p) for axis, p in output.items()
    }

    def move(field: Field) -> Field:
        place = places.get(field.axis) if field.axis is not None else None
        if place is None:
            return ALL
        name = place.position if isinstance(place, SizedWindow) else place
        if name not in written:
            return ALL
        axis, end = written[name]
        if isinstance(place, SizedWindow):
            if place.taps is None:
                return replace(field, axis=axis, intervals=())
            field = field.read(place.taps, place.stride, place.dilation, place.pads.low)
        if isinstance(end, SizedWindow):
            if end.taps is None:
                return replace(field, axis=axis, intervals=())
            field = field.written(end.taps, end.stride, end.dilation, end.pads.low)
        return replace(field, axis=axis)

    return move


def _moved(fields: Fields, move: Callable[[Field], Field | None]) -> Fields:
    return {
        key: field if field is None or field.sees_all else move(field)
        for key, field in fields.items()
    }


def _union(several: Sequence[Fields]) -> Fields:
    """Return what is seen by what sees all of these."""
    made: Fields = {}
    for fields in several:
        for key, field in fields.items():
            before = made.get(key, field)
            made[key] = None if field is None or before is None else before.union(field)
    return made


def _other(step: Step, given: Sequence[Fields]) -> Fields:
    layer = step.operation
    name = type(layer).__name__
    operation = not isinstance(layer, _layers.Layer)
    known = type(layer).__module__.startswith("keras.") and name in _OF_APPLICATIONS
    if known or isinstance(layer, _POINTWISE) or (operation and name in _POINTWISE_NAMES):
        return _pointwise(step, given)
    if isinstance(layer, _layers.Concatenate) or (operation and name == "Concatenate"):
        rank = len(step.output_shapes[0])
        return _moved(_union(given), _mixing({layer.axis % rank}))
    if len(given) > 1:
        # Attention and the like: everything may see everything.
        mixes = isinstance(layer, _layers.MultiHeadAttention | _layers.Attention)
        return {key: ALL if mixes else None for fields in given for key in fields}
    if not given:
        return {}
    move = _single(layer, step) or (_operation(layer, step) if operation else None)
    return dict.fromkeys(given[0]) if move is None else _moved(given[0], move)


def _pointwise(step: Step, given: Sequence[Fields]) -> Fields:
    """Return the union of inputs, of which some are as one entry for a whole axis."""
    result = step.output_shapes[0]
    fitted: list[Fields] = []
    for shape, fields in zip(step.input_shapes, given, strict=True):
        missing = len(result) - len(shape)

        def move(field: Field, shape: Any = shape, missing: int = missing) -> Field | None:
            axis = field.axis or 0
            if shape[axis] == 1 and result[axis + missing] != 1:
                return None  # One window for all positions: no stride describes it.
            return replace(field, axis=axis + missing)

        fitted.append(_moved(fields, move))
    return _union(fitted)


def _mixing(axes: set[int]) -> Callable[[Field], Field]:
    """Return the move of layers that combine all entries along some axes."""
    return lambda field: ALL if field.axis in axes else field


def _reduced(axes: set[int], keep: bool) -> Callable[[Field], Field]:
    """Return the move of layers that leave out axes, or make them one entry."""

    def move(field: Field) -> Field:
        assert field.axis is not None
        if field.axis in axes:
            return ALL
        return (
            field if keep else replace(field, axis=field.axis - sum(a < field.axis for a in axes))
        )

    return move


def _single(layer: Any, step: Step) -> Callable[[Field], Field | None] | None:
    """Return the move of one of Keras's layers of one input, None where it isn't known."""
    shape, result = step.input_shapes[0], step.output_shapes[0]
    rank = len(shape)
    if isinstance(layer, _layers.Dense):
        return _mixing({rank - 1})
    if isinstance(layer, _layers.LayerNormalization | _layers.UnitNormalization | _layers.Softmax):
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        return _mixing({a % rank for a in axes})
    if isinstance(layer, _layers.GroupNormalization):
        return _mixing({*range(1, rank)})
    if isinstance(layer, _GLOBAL):
        return _reduced(set(_spatial(layer, rank)), layer.keepdims)
    if isinstance(layer, _layers.Permute):
        return lambda field: replace(field, axis=1 + layer.dims.index(field.axis))
    if isinstance(layer, _layers.Flatten | _layers.Reshape):
        return lambda field: _reshaped(field, shape, result)
    if isinstance(layer, _PADDING):
        return _shifted(layer, layer.padding, rank, 1)
    if isinstance(layer, _CROPPING):
        return _shifted(layer, layer.cropping, rank, -1)
    if isinstance(layer, _UPSAMPLING):
        return _upsampled(layer, rank)
    return None


def _operation(layer: Any, step: Step) -> Callable[[Field], Field | None] | None:
    """Return the move of an operation of one input, None where it isn't known."""
    shape, result = step.input_shapes[0], step.output_shapes[0]
    name = type(layer).__name__
    if name in _REDUCTIONS:
        axis = layer.axis
        axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        return _reduced({a % len(shape) for a in axes}, layer.keepdims)
    if name == "Reshape":
        return lambda field: _reshaped(field, shape, result)
    return None


def _reshaped(field: Field, shape: Any, result: Any) -> Field | None:
    """Return the field along an axis that a reshape leaves where it was, from either end."""
    axis = field.axis
    assert axis is not None
    if tuple(shape[: axis + 1]) == tuple(result[: axis + 1]) and None not in shape[1 : axis + 1]:
        return field
    behind = len(shape) - axis
    if tuple(shape[axis:]) == tuple(result[-behind:]) and None not in shape[axis:]:
        return replace(field, axis=len(result) - behind)
    # Entries lie in other places now, each seeing what it saw before. A layer that combines them
    # all, as what comes behind a Flatten mostly does, sees all.
    return replace(field, axis=len(result) - 1, intervals=())


def _spatial(layer: Any, rank: int) -> range:
    return range(1, rank - 1) if _last(layer) else range(2, rank)


def _last(layer: Any) -> bool:
    return getattr(layer, "data_format", None) != "channels_first"


def _shifted(layer: Any, amounts: Any, rank: int, sign: int) -> Callable[[Field], Field]:
    pairs = [amounts] if rank == 3 and not isinstance(amounts[0], tuple) else amounts
    low = dict(zip(_spatial(layer, rank), (pair[0] for pair in pairs), strict=True))

    def move(field: Field) -> Field:
        return field.read(1, 1, 1, sign * low.get(field.axis or 0, 0))

    return move


def _upsampled(layer: Any, rank: int) -> Callable[[Field], Field | None]:
    size = layer.size if isinstance(layer.size, tuple) else (layer.size,)
    factors = dict(zip(_spatial(layer, rank), size, strict=True))
    kind = getattr(layer, "interpolation", "nearest")

    def move(field: Field) -> Field | None:
        factor = factors.get(field.axis or 0, 1)
        if kind == "nearest":
            return field.written(factor, factor, 1, 0)
        if kind != "bilinear":
            return None

        def sources(j: int) -> tuple[int, ...]:
            # The middle of entry j lies at (j + 1/2) / factor - 1/2, between two entries.
            place, rest = divmod(2 * j + 1 - factor, 2 * factor)
            return (place, place + 1) if rest else (place,)

        return field.remapped(factor, 1, sources)

    return move

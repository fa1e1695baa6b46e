"""Receptive fields, against the support of gradients and against one another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import geometry
from convsmith.models.receptive import ALL, Field, hull
from convsmith.testing.autodiff import layer_gradients

L: Any = keras.layers
C = cs.layers
ops: Any = keras.ops


def positive(model: Any) -> Any:
    """Make all weights positive, so that no gradient vanishes by chance."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.0, w.shape) for w in model.get_weights()])
    return model


def sequence(shape: tuple[int, ...], *layers: Any) -> Any:
    return positive(keras.Sequential([keras.Input(shape), *layers]))


def residual() -> Any:
    x = keras.Input((40, 36, 2))
    y = L.Conv2D(3, 3, strides=2, padding="same")(x)
    y = L.Add()([L.Conv2D(3, 5, padding="same", dilation_rate=2)(y), L.Conv2D(3, 1)(y)])
    return positive(keras.Model(x, y))


def joined() -> Any:
    x = keras.Input((24, 20, 2))
    y = L.Concatenate()(
        [L.Conv2D(2, (3, 1), padding="same")(x), L.Conv2D(1, (1, 4), padding="same")(x)]
    )
    return positive(keras.Model(x, L.AveragePooling2D(2)(y)))


def nested() -> Any:
    inner = keras.Sequential([keras.Input((12, 10, 3)), L.DepthwiseConv2D(3)], name="inner")
    x = keras.Input((24, 20, 2))
    return positive(keras.Model(x, inner(L.Conv2D(3, 2, strides=2)(x))))


def shared() -> Any:
    x = keras.Input((24, 2))
    twice = L.Conv1D(2, 3, dilation_rate=2)
    return positive(keras.Model(x, twice(twice(x))))


GROWING = "b (2h+kh) (3w+kw) i, kh i r, kw r o -> b h w o"

MODELS: dict[str, Callable[[], Any]] = {
    "chain": lambda: sequence(
        (30, 26, 2),
        L.Conv2D(2, 3, strides=2, padding="same"),
        L.Conv2D(2, (3, 2)),
        L.AveragePooling2D(2),
    ),
    "dilated": lambda: sequence(
        (24, 1), L.Conv1D(2, 3, dilation_rate=3), L.Conv1D(1, 3, padding="causal")
    ),
    "transposed": lambda: sequence((8, 7, 2), L.Conv2D(2, 3), L.Conv2DTranspose(2, 4, strides=2)),
    "uneven": lambda: sequence((9, 2), L.Conv1DTranspose(2, 3, 2, padding="same"), L.Conv1D(1, 3)),
    "nearest": lambda: sequence((9, 2), L.UpSampling1D(2), L.Conv1D(1, 3, padding="same")),
    "bilinear": lambda: sequence(
        (9, 8, 2), L.UpSampling2D(3, interpolation="bilinear"), L.Conv2D(1, 2)
    ),
    "padded": lambda: sequence(
        (16, 14, 2), L.ZeroPadding2D(((1, 0), (2, 1))), L.Conv2D(1, 3), L.Cropping2D(1)
    ),
    "separable": lambda: sequence((16, 14, 2), L.SeparableConv2D(3, 3), L.BatchNormalization()),
    "volume": lambda: sequence((9, 8, 10, 1), L.Conv3D(2, (2, 3, 2), strides=(1, 2, 1))),
    "grouped": lambda: sequence((16, 4), C.Conv1D(4, 3, groups=2)),
    "ours": lambda: sequence(
        (28, 24, 2),
        C.Conv2D(2, 3, strides=(3, 2), padding=((1, 2), (0, 1))),
        C.FixedConv2D(np.ones((2, 3)), padding="full"),
    ),
    "local": lambda: sequence((28, 2), C.Conv1D(2, 4, strides=2), C.LocallyConnected1D(2, 3)),
    "ours transposed": lambda: sequence((9, 2), C.Conv1DTranspose(2, 3, strides=3, groups=2)),
    "pattern": lambda: sequence((16, 14, 2), C.PatternConv(GROWING, kh=3, kw=2, r=2, o=3)),
    "flipped": lambda: sequence(
        (16, 2), C.PatternConv("b (h-kh) i, kh i o -> b h o", kh=3, o=2, padding=(2, 1))
    ),
    "residual": residual,
    "joined": joined,
    "nested": nested,
    "shared": shared,
}


def supports(model: Any, positions: list[tuple[int, ...]]) -> list[list[tuple[int, int]]]:
    """Return the first and last entry along each axis that each output depends on, by autodiff."""
    count = len(positions)
    rng = np.random.default_rng(1)
    x = rng.uniform(0.5, 1.5, (count, *model.input_shape[1:])).astype("float32")
    cotangent = np.zeros((count, *model.output_shape[1:]), "float32")
    for sample, position in enumerate(positions):
        cotangent[(sample, *position)] = 1.0
    slopes = np.abs(layer_gradients(model, x, cotangent)[0]).sum(axis=-1)
    found: list[list[tuple[int, int]]] = []
    for slope in slopes:
        used = [np.unique(places) for places in np.nonzero(slope)]
        found.append([(int(places[0]), int(places[-1])) for places in used])
    return found


@pytest.mark.parametrize("name", MODELS)
def test_fields_are_the_support_of_a_gradient(name: str) -> None:
    model = MODELS[name]()
    fields = cs.explain(model).layers[-1].receptive_field
    shape = model.output_shape[1:-1]
    assert [f.axis for f in fields] == list(range(1, 1 + len(shape)))
    assert [f.extent for f in fields] == list(model.input_shape[1:-1])
    middle = [size // 2 for size in shape]
    steps = 4
    positions = [
        tuple(m + (step if a == axis else 0) for a, m in enumerate(middle))
        for axis in range(len(shape))
        for step in range(steps if (fields[axis].stride or 1) < 1 else 2)
    ]
    found = supports(model, positions)
    for axis, field in enumerate(fields):
        assert field.size is not None
        assert field.stride is not None
        assert field.offset is not None
        count = steps if field.stride < 1 else 2
        own = [found.pop(0)[axis] for _ in range(count)]
        assert max(high - low + 1 for low, high in own) == field.size
        moved = own[-1][0] - own[0][0]
        if field.stride >= 1:
            assert moved == field.stride
            assert own[0][0] == field.offset + middle[axis] * field.stride
        else:
            assert abs(moved - (count - 1) * field.stride) < 1


def test_channels_may_stand_first() -> None:
    layer = C.Conv2D(2, 3, strides=2, padding="same", data_format="channels_first")
    fields = cs.explain(layer, (1, 2, 30, 26)).layers[0].receptive_field
    assert [(f.axis, f.size, f.stride, f.offset) for f in fields] == [(2, 3, 2, 0), (3, 3, 2, 0)]


@pytest.mark.backend_free
def test_chains_are_those_of_geometry() -> None:
    draw = random.Random(0)
    for _ in range(100):
        chain = [
            (draw.randint(1, 5), draw.randint(1, 3), draw.randint(1, 3), draw.randint(0, 3))
            for _ in range(draw.randint(1, 5))
        ]
        field = Field(1)
        for window in chain:
            field = field.read(*window)
        expected = geometry.receptive_field(chain)
        assert (field.size, field.stride, field.offset) == (
            expected.size,
            expected.stride,
            expected.start,
        )


@pytest.mark.backend_free
def test_transposed_fields_by_enumeration() -> None:
    draw = random.Random(1)
    for _ in range(200):
        field, seen_by = Field(1), {j: {j} for j in range(-300, 300)}
        for _ in range(draw.randint(1, 3)):
            taps, stride, dilation, low = (draw.randint(1, n) for n in (4, 3, 2, 3))
            reads = draw.random() < 0.5
            made: dict[int, set[int]] = {j: set() for j in range(-100, 100)}
            for j, found in made.items():
                for k in range(taps):
                    place = j * stride - low + dilation * k if reads else j + low - dilation * k
                    if reads:
                        found |= seen_by.get(place, set())
                    elif place % stride == 0:
                        found |= seen_by.get(place // stride, set())
            seen_by = made
            move = field.read if reads else field.written
            field = move(taps, stride, dilation, low)
        for j in range(-2, 3):
            expected = hull((i, i) for i in seen_by[j])
            assert field.at(j) == expected


@pytest.mark.backend_free
def test_unions() -> None:
    wide, narrow = Field(1).read(5, 2, 1, 2), Field(1).read(1, 2, 1, 0)
    assert wide.union(narrow) == wide
    assert wide.union(ALL) is not None
    assert (wide.union(ALL) or wide).sees_all
    assert wide.union(Field(1)) is None  # Neighbours of one are further apart.
    unplaced = Field(1).read(3, 2, 1, None)
    assert (unplaced.size, unplaced.offset) == (3, None)
    assert unplaced.union(narrow) is None


def test_what_mixes_all_sees_all_and_what_is_unknown_says_so() -> None:
    class Own(L.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    x = keras.Input((16, 12, 3))
    y = L.Conv2D(4, 3, name="conv")(x)
    z = L.GlobalAveragePooling2D(keepdims=True)(y)
    z = L.Multiply(name="scaled")([y, L.Conv2D(4, 1)(z)])
    z = L.Dense(2, name="flat")(L.Flatten()(z))
    own = L.Conv2D(2, 3, name="behind")(Own()(y))
    explanation = cs.explain(keras.Model(x, [z, own]))
    assert [f.size for f in explanation["conv"].receptive_field] == [3, 3]
    for name in ("scaled", "flat"):
        assert [f.sees_all for f in explanation[name].receptive_field] == [True, True]
    assert [f.size for f in explanation["behind"].receptive_field] == [None, None]


def test_effective_fields_are_within_theirs() -> None:
    model = sequence((33, 31, 1), *(L.Conv2D(1, 3) for _ in range(6)))
    explanation = cs.explain(model, effective_field=True)
    for depth, report in enumerate(explanation.layers, start=1):
        for field in report.receptive_field:
            assert field.size == 2 * depth + 1
            assert field.effective is not None
            assert field.effective <= field.size
    # Sums of many uniform windows are a bell curve: narrower than its support.
    last = explanation.layers[-1].receptive_field[0]
    assert (last.effective or 0) < (last.size or 0)
    ones = keras.Sequential([keras.Input((15, 1)), L.Conv1D(1, 5, kernel_initializer="ones")])
    whole = cs.explain(ones, effective_field=True)
    assert whole.layers[0].receptive_field[0].effective == 5

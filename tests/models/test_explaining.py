"""`explain`: what it says of layers and models, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import ArgumentError, ShapeError
from convsmith.models.explaining import explained_pattern
from convsmith.models.report import Explanation

L: Any = keras.layers
C = cs.layers
ops: Any = keras.ops


def test_a_pattern_is_printed_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    pattern, shapes = "b (h+kh) i, kh i o -> b h o", ((2, 8, 3), (3, 3, 4))
    assert cs.explain(pattern, *shapes, padding="same") is None
    assert capsys.readouterr().out == f"{cs.plan(pattern, *shapes, padding='same')}\n"


def test_all_of_one_layer() -> None:
    layer = C.Conv2D(8, 3, strides=2, padding="same", name="first")
    report = cs.explain(layer, (4, 32, 30, 3))["first"]
    assert not layer.built  # What is explained stays as it was.
    assert report.kind == "Conv2D"
    assert report.input_shapes == ((4, 32, 30, 3),)
    assert report.output_shapes == ((4, 16, 15, 8),)
    assert report.patterns == ("b (2h+kh) (2w+kw) i, kh kw i o -> b h w o",)
    assert report.arithmetic[0] == (
        "h: floor((32 + 0 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 16   (pads 0, 1 constant)"
    )
    assert report.parameters == 3 * 3 * 3 * 8 + 8
    assert report.macs == 4 * 16 * 15 * 27 * 8
    moved = 4 * (4 * 32 * 30 * 3 + 4 * 16 * 15 * 8 + 224)
    assert report.bytes == moved
    assert report.intensity == 2 * report.macs / moved
    assert report.share == 1.0
    assert [(f.size, f.stride, f.offset) for f in report.receptive_field] == [(3, 2, 0), (3, 2, 0)]
    chosen = cs.plan(
        report.patterns[0], (4, 32, 30, 3), (3, 3, 3, 8), padding="same", mode=mode()
    ).lowering
    assert report.lowering == chosen
    assert any(line.startswith(f"{chosen}: chosen, estimated") for line in report.why)
    assert any("can't, " in line for line in report.why)


def mode() -> str:
    return {"tensorflow": "graph", "jax": "jit", "torch": "eager"}[keras.backend.backend()]


LAYERS: dict[str, tuple[Any, Any]] = {
    "conv": (lambda: L.Conv2D(4, 3, groups=2), (2, 9, 8, 4)),
    "conv 1d": (lambda: L.Conv1D(4, 3, padding="causal"), (2, 9, 4)),
    "conv 3d": (lambda: L.Conv3D(2, 2), (1, 4, 5, 6, 2)),
    "depthwise": (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), (2, 9, 8, 4)),
    "separable": (lambda: L.SeparableConv2D(5, 3), (2, 9, 8, 4)),
    "transposed": (lambda: L.Conv2DTranspose(5, 4, 2, padding="same"), (2, 9, 8, 4)),
    "output padding": (lambda: L.Conv2DTranspose(5, 4, 2, output_padding=1), (2, 9, 8, 4)),
    "max": (lambda: L.MaxPooling2D(2), (2, 9, 8, 4)),
    "average": (lambda: L.AveragePooling1D(3, 2, padding="same"), (2, 9, 4)),
    "ours": (lambda: C.Conv2D(4, 3, padding_mode="reflect", padding=(1, 1)), (2, 9, 8, 4)),
    "ours nd": (lambda: C.ConvND(2, 3, 2), (2, 9, 8, 4)),
    "ours depthwise": (lambda: C.DepthwiseConv3D(2), (1, 4, 5, 6, 2)),
    "ours separable": (lambda: C.SeparableConv1D(5, 3), (2, 9, 4)),
    "ours transposed": (lambda: C.Conv1DTranspose(4, 4, 2, groups=2), (2, 9, 4)),
    "fixed": (lambda: C.FixedConv2D("sobel_x"), (2, 9, 8, 4)),
    "bank": (lambda: C.FixedConv2D("kirsch", padding="same"), (2, 9, 8, 4)),
    "lines": (lambda: C.FixedConv2D("gaussian(sigma=2)", separable=True), (1, 30, 28, 2)),
    "dynamic": (lambda: C.DynamicConv2D(padding="same"), [(2, 9, 8, 4), (2, 3, 3, 4, 5)]),
    "local": (lambda: C.LocallyConnected2D(3, 3), (2, 6, 5, 4)),
    "blur": (lambda: C.BlurPool2D(), (2, 9, 8, 4)),
    "masked": (lambda: C.MaskedConv2D(4, 3, padding="same"), (2, 9, 8, 4)),
    "gabor": (lambda: C.GaborConv2D(4, 5), (2, 9, 8, 3)),
    "spectral": (lambda: C.SpectralNormConv2D(4, 3), (2, 9, 8, 3)),
    "pattern": (lambda: C.PatternConv("b (h+kh) i, kh i o -> b h o", kh=3, o=5), (2, 9, 4)),
}  # fmt: skip
WITHOUT_PRODUCTS = ("max", "average")


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_all_kinds(name: str) -> None:
    make, shape = LAYERS[name]
    report = cs.explain(make(), shape).layers[0]
    assert len(report.patterns) == 1
    assert report.arithmetic
    assert report.output_shapes == (tuple(int(n) for n in report.output_shapes[0]),)
    assert (report.macs or 0) > 0 or name in WITHOUT_PRODUCTS
    assert (report.bytes or 0) > 0
    assert all((f.size or 0) > 1 for f in report.receptive_field)
    rank = len(report.output_shapes[0]) - 2
    of_data = [f for f in report.receptive_field if f.input == 0]
    assert len(of_data) == rank
    # The pattern's own sizes are those of the layer.
    for text, size in zip(report.arithmetic, report.output_shapes[0][1:-1], strict=False):
        assert f"= {size} " in text or name == "lines"


def test_models_within_models_shared_layers_and_several_inputs() -> None:
    shared = L.Dense(3, name="shared")
    inner_in = keras.Input((8, 8, 3))
    inner = keras.Model(inner_in, C.Conv2D(2, 3, name="conv")(inner_in), name="inner")
    image, numbers = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="numbers")
    x = L.GlobalAveragePooling2D(name="pool")(inner(image))
    x = L.Concatenate(name="both")([shared(L.Dense(2)(numbers)), shared(x), ops.relu(x)])
    x = inner_twice(inner, image, x)
    explanation = cs.explain(keras.Model([image, numbers], x, name="whole"))
    assert explanation.name == "whole"
    assert explanation.inputs == ((None, 8, 8, 3), (None, 4))
    names = [report.name for report in explanation.layers]
    assert "inner/conv" in names
    assert "inner#2/conv#2" in names
    assert {"shared", "shared#2"} <= set(names)
    first, second = (explanation[n] for n in ("inner/conv", "inner#2/conv#2"))
    assert (first.parameters, second.parameters) == (56, 0)
    assert first.macs == second.macs == 6 * 6 * 27 * 2
    expected = keras.Model([image, numbers], x).count_params()
    assert explanation.parameters == expected
    assert explanation.macs == sum(r.macs or 0 for r in explanation.layers)
    assert sum(r.share or 0 for r in explanation.layers) == pytest.approx(1.0)
    assert [f.input for f in explanation["pool"].receptive_field] == [0, 0]


def inner_twice(inner: Any, image: Any, x: Any) -> Any:
    again = L.Flatten()(inner(image))
    return L.Concatenate()([x, again])


def test_sizes_that_are_open() -> None:
    x = keras.Input((None, None, 3))
    y = L.Conv2D(4, 3, strides=2, padding="same", name="first")(x)
    y = L.GlobalAveragePooling2D()(C.Conv2D(4, 3, name="second")(y))
    model = keras.Model(x, L.Dense(2, name="last")(y))
    open_ = cs.explain(model)
    assert open_["second"].macs is None
    assert open_["second"].bytes is None
    assert open_["last"].macs == 8
    assert open_["first"].arithmetic[0].startswith("h: floor((? + ? + ? - 1*(3 - 1) - 1) / 2)")
    field = open_["second"].receptive_field[0]
    assert (field.size, field.stride, field.offset, field.extent) == (7, 2, None, None)
    assert "?" in str(open_)
    json.loads(open_.to_json())
    given = cs.explain(model, (2, 20, 16, 3))
    assert given["second"].macs == 2 * 8 * 6 * 9 * 4 * 4
    assert given["second"].receptive_field[0].offset == 0
    assert given["last"].macs == 2 * 8


def test_a_sequential_model_without_input_stays_unbuilt() -> None:
    model = keras.Sequential([L.Conv2D(4, 3, name="conv"), L.Flatten(), L.Dense(2)])
    explanation = cs.explain(model, (None, 8, 8, 1))
    assert explanation.layers[0].name == "conv"
    assert explanation.parameters == 40 + 36 * 4 * 2 + 2
    assert not model.built


def test_a_built_layer_needs_no_shape_and_gets_no_node() -> None:
    layer = L.Conv2D(4, 3)
    layer.build((None, 8, 8, 3))
    assert cs.explain(layer).layers[0].macs == 36 * 27 * 4
    with pytest.raises(AttributeError):
        _ = layer.output  # It was never called on a symbolic tensor.


def test_patterns_in_functional_models_are_layers_too() -> None:
    x = keras.Input((9, 8, 3))
    y = cs.conv("b (h+kh) (w+kw) i, kh kw i o -> b h w o", x, np.ones((3, 3, 3, 2), "float32"))
    report = cs.explain(keras.Model(x, y)).layers[0]
    assert report.macs == 7 * 6 * 27 * 2
    assert [f.size for f in report.receptive_field] == [3, 3]


def test_what_is_not_known_is_passed_through() -> None:
    class Own(L.Layer):
        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],))

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale

    x = keras.Input((8, 3))
    explanation = cs.explain(keras.Model(x, Own(name="own")(x)))
    report = explanation["own"]
    assert (report.parameters, report.macs, report.lowering) == (3, None, "")
    assert explanation.uncounted == ("own",)
    assert "multiply-adds unknown: own" in str(explanation)
    with pytest.raises(ArgumentError, match="names no layer; expected one of 'own'"):
        explanation["other"]


def test_json_has_everything() -> None:
    explanation = cs.explain(C.Conv1D(2, 3, name="conv"), (1, 8, 3))
    found = json.loads(explanation.to_json())
    assert found["backend"] == keras.backend.backend()
    assert found["total"] == {"parameters": 20, "macs": 108, "bytes": 224, "uncounted": []}
    (layer,) = found["layers"]
    assert layer["macs"] == 108
    assert layer["receptive_field"][0]["size"] == 3
    assert {*layer} >= {"patterns", "arithmetic", "flops_per_byte", "share", "lowering", "why"}


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_the_table_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    model = keras.Sequential([keras.Input((8, 8, 3)), C.Conv2D(2, 3), L.ReLU(), L.Conv2D(2, 1)])
    text = str(cs.explain(model))
    table = text.split("\n\n")[0].splitlines()[1:]
    assert max(map(len, table)) <= columns
    assert ("lowering" in text) == (columns == 200)
    assert repr(cs.explain(model)) == text


def test_the_mode_decides() -> None:
    explanation = cs.explain(C.Conv1D(2, 3), (1, 8, 3), mode=mode())
    assert explanation.mode == mode()
    with pytest.raises(ArgumentError, match="mode='fast': is no execution mode of"):
        cs.explain(C.Conv1D(2, 3), (1, 8, 3), mode="fast")


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="explain: int: is no layer, model or pattern"):
        cs.explain(3)
    with pytest.raises(ShapeError, match="without the shape of its input nothing is known"):
        cs.explain(L.Conv2D(4, 3))
    with pytest.raises(ShapeError, match="input_shape=3: is no shape"):
        cs.explain(L.Conv2D(4, 3), 3)
    with pytest.raises(ShapeError, match="it can't be called on"):
        cs.explain(L.Conv2D(4, 3), (1, 8))
    with pytest.raises(ShapeError, match="the input has 2 axes"):
        cs.explain(C.Conv2D(4, 3), (1, 8))
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3)])
    with pytest.raises(ShapeError, match=r"isn't what the model takes; expected \(None, 8, 8, 3\)"):
        cs.explain(model, (1, 9, 9, 3))
    two = keras.Model([keras.Input((8,)), (x := keras.Input((8,)))], L.Dense(2)(x))
    with pytest.raises(ArgumentError, match="it has 2 inputs"):
        cs.explain(two, effective_field=True)
    with pytest.raises(ShapeError, match="expected sizes that are known"):
        cs.explain(L.Conv1D(4, 3), (1, None, 3), effective_field=True)


def test_a_pattern_as_an_explanation() -> None:
    explanation = explained_pattern(
        "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o", (8, 32, 32, 3), (1, 3, 3, 16)
    )
    assert isinstance(explanation, Explanation)
    (report,) = explanation.layers
    assert report.output_shapes == ((8, 16, 15, 16),)
    assert report.macs == 8 * 16 * 15 * 9 * 16
    assert [f.size for f in report.receptive_field] == [1, 3]
    assert [w.kind for w in report.warnings] == ["skipped inputs"]
    assert "along h a stride" in report.warnings[0].problem


def test_operations_that_take_no_symbolic_tensors_are_passed_through() -> None:
    class Own(C.Conv2D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return ops.convert_to_tensor(ops.convert_to_numpy(inputs)[..., :1])

    layer = Own(1, 3, padding="same")
    layer.build((None, 8, 8, 3))
    report = cs.explain(layer).layers[0]
    assert (report.patterns, report.macs, report.parameters) == ((), None, 28)


def test_effective_fields_of_an_unbuilt_layer_and_of_shared_ones() -> None:
    layer = L.Conv1D(1, 5, kernel_initializer="ones", name="conv")
    (field,) = cs.explain(layer, (1, 15, 1), effective_field=True)["conv"].receptive_field
    assert field.effective == 5
    shared = L.Conv1D(1, 3, kernel_initializer="ones", name="shared")
    shared(keras.Input((9, 1)))  # A call in another graph comes first.
    x = keras.Input((15, 1))
    explanation = cs.explain(keras.Model(x, shared(shared(x))), effective_field=True)
    assert [r.receptive_field[0].size for r in explanation.layers] == [3, 5]
    assert [r.receptive_field[0].effective for r in explanation.layers] == [3, 5]


def test_models_without_a_graph_are_as_layers() -> None:
    class Free(keras.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = L.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    report = cs.explain(Free(name="free"), (1, 3))["free"]
    assert (report.kind, report.parameters, report.macs) == ("Free", 8, None)

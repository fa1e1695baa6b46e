"""Whole models: folded, they compute the same, keep their shape and need convsmith no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import ArgumentError, ConvsmithError, UnsupportedError
from convsmith.models import verification
from convsmith.models.folding import fold
from engine_runs import as_numpy
from folding_models import chain, data, folded, names_of, of_convsmith, randomized

L, C = keras.layers, cs.layers
SHAPE = (8, 8, 4)


def block(x: Any, name: str, filters: int = 4, **arguments: Any) -> Any:
    arguments = {"padding": "same", "use_bias": False, **arguments}
    x = C.StandardizedConv2D(filters, 3, name=f"{name}_conv", **arguments)(x)
    return L.ReLU(name=f"{name}_relu")(L.BatchNormalization(name=f"{name}_norm")(x))


def residual() -> Any:
    """Skips, two inputs and outputs, a nested model that is called twice, operations, dropout."""
    image = keras.Input(SHAPE, name="image")
    other = keras.Input((4,), name="other")
    inner_input = keras.Input(SHAPE)
    inner = keras.Model(inner_input, block(inner_input, "inner"), name="inner")
    x = block(image, "first", padding_mode="reflect")
    x = L.Add(name="sum")([inner(x), inner(image)]) * 0.5
    x = L.Dropout(0.5)(keras.ops.relu(x))
    pooled = L.GlobalAveragePooling2D(name="pooled")(x)
    dense = L.BatchNormalization(name="dense_norm")(L.Dense(4, name="dense")(other))
    return randomized(
        keras.Model([image, other], {"map": x, "sum": L.Add()([pooled, dense])}, name="residual")
    )


def test_a_functional_model() -> None:
    model = residual()
    result, report = folded(model)
    assert of_convsmith(result) == []
    assert "BatchNormalization" not in names_of(result) + names_of(result.get_layer("inner"))
    assert result.name == "residual"
    assert result.input_names == ["image", "other"]
    assert result.output.keys() == {"map", "sum"}
    kept = ("first_conv", "first_relu", "inner", "sum", "pooled", "dense")
    assert {layer.name for layer in result.layers} >= set(kept)
    assert sum(layer.name == "inner" for layer in result.layers) == 1
    lines = {fold.path: fold for fold in report.folds}
    assert lines["inner/inner_norm"].result == "in inner_conv"
    assert lines["first_conv"].result == "operations, Conv2D"
    assert lines["first_conv"].macs_before == lines["first_conv"].macs_after == 64 * 9 * 16
    assert report.parameters_before == model.count_params()
    assert report.parameters_after == result.count_params() < model.count_params()
    assert report.kept == {}


def test_the_original_stays_as_it_was() -> None:
    x = data(2, *SHAPE)
    model = chain(SHAPE, C.RepVGGConv2D(4, 3, padding="same"), L.BatchNormalization())
    before, weights = as_numpy(model(x)), model.get_weights()
    result, _ = folded(model)
    for variable in result.weights:
        variable.assign(0 * variable)
    np.testing.assert_array_equal(as_numpy(model(x)), before)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_normalisation_stays_where_folding_it_would_change_something() -> None:
    """Shared convolutions, outputs used twice, activations, other axes, zeros beyond the edges."""
    inputs = keras.Input(SHAPE)
    shared = L.Conv2D(4, 3, padding="same", name="shared")
    a = L.BatchNormalization(name="of_shared")(shared(inputs))
    used = L.Conv2D(4, 3, padding="same", name="used")(shared(a))
    b = L.Add()([L.BatchNormalization(name="of_used")(used), used])
    c = L.Conv2D(4, 3, padding="same", activation="tanh", name="active")(b)
    c = L.BatchNormalization(name="of_active")(c)
    d = L.Conv2D(4, 3, padding="same", name="plain")(L.ReLU()(c))
    d = L.BatchNormalization(axis=1, name="of_rows")(d)
    twice = L.BatchNormalization(name="twice")
    e = twice(L.Conv2D(4, 1, name="point")(d))
    e = L.BatchNormalization(name="unbatched")(L.Conv2D(4, 1)(twice(e)), training=True)
    model = randomized(keras.Model(inputs, e))
    result, report = fold(model, return_report=True)
    norms = [n for n in names_of(result) if n == "BatchNormalization"]
    assert len(norms) == 6
    reasons = {
        "of_shared": "'shared' is used more than once",
        "of_used": "what goes in is used elsewhere too",
        "of_active": "'active' has an activation before it",
        "of_rows": "normalises axis 1",
        "twice": "is used more than once",
        "unbatched": "is called with arguments of its own",
    }
    assert report.kept.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in report.kept[name]


def test_a_normalisation_before_a_convolution_that_pads_zeros_stays() -> None:
    norm = L.BatchNormalization()
    padded = chain(SHAPE, norm, C.Conv2D(3, 3, padding="same"))
    assert names_of(folded(padded)[0]) == ["BatchNormalization", "Conv2D"]
    cropped = chain(SHAPE, L.BatchNormalization(), C.Conv2D(3, 3, padding=-1, groups=1))
    assert names_of(folded(cropped)[0]) == ["Cropping2D", "Conv2D"]
    copied = C.Conv2D(3, 3, padding=1, padding_mode="wrap")
    assert names_of(folded(chain(SHAPE, L.BatchNormalization(), copied))[0]) == ["Model", "Conv2D"]


def test_two_normalisations_in_a_row_are_both_folded() -> None:
    model = chain(SHAPE, C.Conv2D(3, 3), L.BatchNormalization(), L.BatchNormalization())
    assert names_of(folded(model)[0]) == ["Conv2D"]


def test_lora_is_merged() -> None:
    layers = [C.StandardizedConv2D(4, 3), L.Conv2D(4, 3, name="keras"), L.Dense(3)]
    model = chain(SHAPE, *layers)
    for layer in layers:
        layer.enable_lora(2)
    randomized(model)
    result, _ = folded(model)
    assert len(result.weights) == 6
    assert not any(getattr(layer, "lora_enabled", False) for layer in result.layers)


def test_frozen_layers_stay_frozen() -> None:
    layers = [C.Conv2D(4, 3, trainable=False), C.FixedConv2D("box"), C.Conv2D(2, 3)]
    result, _ = folded(chain(SHAPE, *layers))
    assert [layer.trainable for layer in result.layers] == [False, False, True]
    frozen = chain(SHAPE, C.Conv2D(2, 3))
    frozen.trainable = False
    assert folded(frozen)[0].trainable_weights == []


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy: str) -> None:
    layers = [
        C.StandardizedConv2D(4, 3, padding=1, padding_mode="symmetric", dtype=policy),
        L.BatchNormalization(dtype=policy),
    ]
    model = chain(SHAPE, *layers)
    result, report = fold(model, return_report=True)
    assert report.tolerance == {"mixed_float16": 2e-2, "mixed_bfloat16": 1e-1}[policy]
    assert result.layers[-1].dtype_policy.name == policy
    assert result.layers[-1].compute_dtype == model.layers[0].compute_dtype
    assert str(result.layers[-1].kernel.dtype) == "float32"


def test_whole_numbers_are_cast_first() -> None:
    model = chain(SHAPE, C.StandardizedConv2D(4, 3), dtype="uint8")
    result, report = fold(model, return_report=True)
    assert names_of(result) == ["Model", "Conv2D"]
    assert report.shapes == [(4, *SHAPE)]
    x = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("uint8")
    expected = as_numpy(model(x))
    np.testing.assert_allclose(as_numpy(result(x)), expected, atol=1e-5 * np.abs(expected).max())


def test_open_sizes() -> None:
    layers = [
        C.Conv2D(3, 3, 2, "same", name="same"),
        C.Conv2D(3, 3, padding=2, padding_mode="edge"),
        C.Conv2D(3, 3, padding=(3, 2), padding_mode="wrap"),
        L.BatchNormalization(),
    ]
    model = chain((None, None, 4), *layers)
    result, report = folded(model, data(2, 12, 9, 4))
    assert of_convsmith(result) == []
    assert report.shapes == [(4, 32, 32, 4)]
    assert report.macs == (None, None)
    assert "multiply-adds of listed layers ? -> ?" in str(report)


def test_a_layer_inside_of_another_is_named() -> None:
    model = chain((3, 8, 8, 2), L.TimeDistributed(C.StandardizedConv2D(2, 3), name="frames"))
    result, report = folded(model)
    assert report.kept == {"frames": "StandardizedConv2D is inside of it"}
    assert names_of(result) == ["TimeDistributed"]


def test_preprocessing_layers_keep_what_they_learned() -> None:
    norm = L.Normalization()
    norm.adapt(data(20, *SHAPE) * 3 + 1)
    model = keras.Sequential([keras.Input(SHAPE), norm, C.StandardizedConv2D(3, 3)])
    assert names_of(folded(model)[0]) == ["Normalization", "Conv2D"]


def test_calls_with_arguments_of_their_own_are_kept() -> None:
    inputs = keras.Input(SHAPE)
    layer = C.Conv2D(3, 3, padding="same", name="both")
    model = randomized(keras.Model(inputs, L.Add()([layer(inputs), layer(inputs, strides=1)])))
    result, report = folded(model)
    assert report.kept == {"both": "it's called with arguments of its own"}
    assert of_convsmith(result) == ["Conv2D"]


# ------------------------------------------------------------------------- without convsmith

ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "convsmith":
            raise ImportError("convsmith is not here")
sys.meta_path.insert(0, Blocked())
import keras, numpy
for number in range(int(sys.argv[2])):
    model = keras.saving.load_model(f"{sys.argv[1]}/{number}.keras")
    given = numpy.load(f"{sys.argv[1]}/{number}.npz")
    found = keras.tree.flatten(model([given[k] for k in given.files if k.startswith("x")]))
    expected = [given[k] for k in given.files if k.startswith("y")]
    for one, other in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(keras.ops.convert_to_numpy(one), other, atol=1e-4)
assert "convsmith" not in sys.modules
print("same")
"""


@pytest.mark.one_backend
def test_folded_models_load_where_convsmith_is_not(tmp_path: Path) -> None:
    edges = [
        C.Conv2D(3, 3, padding=2, padding_mode="edge", activation="relu"),
        C.Conv2D(3, 3, 2, padding=((2, -1), 1), padding_mode="wrap", dilation_rate=2),
        C.Conv2DTranspose(4, 3, 2, padding=1, output_padding=1),
        C.FixedConv2D("sobel_x", padding="same", padding_mode="symmetric"),
        C.BlurPool2D(),
    ]
    models = [residual(), chain(SHAPE, *edges)]
    for number, model in enumerate(models):
        result = fold(model)
        result.save(tmp_path / f"{number}.keras")
        inputs = [data(2, *t.shape[1:], seed=i) for i, t in enumerate(model.inputs)]
        found = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0]))
        arrays = {f"x{i}": x for i, x in enumerate(inputs)}
        arrays |= {f"y{i}": as_numpy(y) for i, y in enumerate(found)}
        np.savez(tmp_path / f"{number}.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path, str(len(models))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "same"


# ------------------------------------------------------------------------------- refusals


class Subclassed(keras.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


class Overriding(keras.Model):
    """A functional model whose call does more."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return 2 * super().call(inputs)


def test_models_that_can_not_be_folded() -> None:
    inputs = keras.Input((4,))
    overriding = Overriding(inputs, L.Dense(2)(inputs))
    for model in (Subclassed(), overriding, L.Dense(2), "model"):
        with pytest.raises(UnsupportedError, match="is no graph of layers .*cs.layers.fold"):
            fold(model)
    with pytest.raises(UnsupportedError, match="isn't built.*keras.Input as its first entry"):
        fold(keras.Sequential([L.Dense(2)]))
    with pytest.raises(ArgumentError, match="samples=0 is too small"):
        fold(keras.Model(inputs, L.Dense(2)(inputs)), samples=0)


class Forgetful(L.Layer):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return self.factor * inputs

    def get_config(self) -> dict[str, Any]:
        return super().get_config()


def test_a_layer_that_can_not_be_copied() -> None:
    with pytest.raises(UnsupportedError, match="'Forgetful'|Forgetful.*can't be copied"):
        fold(chain((4,), Forgetful(2.0), L.Dense(2)))


def test_a_difference_above_the_tolerance_is_refused() -> None:
    model = chain(SHAPE, C.StandardizedConv2D(3, 3), L.BatchNormalization())
    with pytest.raises(ConvsmithError, match="outputs differ by .* expected at most 0"):
        fold(model, tolerance=0.0)


def test_a_wrong_fold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from convsmith.models import folding_norms

    monkeypatch.setattr(folding_norms, "scale_and_shift", lambda norm: (np.ones(3), np.zeros(3)))
    model = chain(SHAPE, C.StandardizedConv2D(3, 3), L.BatchNormalization())
    with pytest.raises(ConvsmithError, match="the folded model's outputs differ by"):
        fold(model)


def test_inputs_that_can_not_be_drawn() -> None:
    table = keras.Input((1,), dtype="int32")
    model = keras.Model(table, L.Embedding(2, 3)(table) * np.nan)
    # Numbers that aren't finite are compared too: the same ones in the same places.
    assert fold(model).count_params() == 6
    words = keras.Input((1,), dtype="string")
    spoken = keras.Model(words, L.Identity()(words))
    with pytest.raises(UnsupportedError, match="can't run on random inputs.*your own data"):
        fold(spoken)


def test_data_of_ones_own() -> None:
    model = chain(SHAPE, C.StandardizedConv2D(3, 3))
    _, report = fold(model, inputs=data(1, *SHAPE), return_report=True)
    assert report.shapes == [(1, *SHAPE)]


def test_difference() -> None:
    one = np.array([1.0, -2.0, 4.0])
    assert verification.difference([one], [one]) == 0
    assert verification.difference([one + np.array([0, 0, 1])], [one]) == 0.25
    assert verification.difference([one], [0 * one]) == 4.0
    for other in (one[:2], np.array([1.0, -2.0, np.nan])):
        assert verification.difference([one], [other]) == np.inf
        assert verification.difference([other], [one]) == np.inf
    holes = np.array([1.0, np.nan, np.inf])
    assert verification.difference([holes], [holes]) == 0
    assert verification.difference([np.array([1.0, np.nan, -np.inf])], [holes]) == np.inf

"""Conversion keeps everything but what the rules say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.models.rules import DROP_INS, BlurPool, DropIn, LowRank
from engine_runs import as_numpy
from model_cases import (
    assert_equal_outputs,
    data,
    differ,
    encoder,
    inputs_for,
    outputs,
    randomized,
    sequential,
    two_streams,
    walk,
)

layers: Any = keras.layers
MODELS: dict[str, Callable[[], Any]] = {"functional": two_streams, "sequential": sequential}
OF_EACH: dict[str, dict[str, Any]] = {
    "Conv{}D": {"filters": 4, "dilation_rate": 2, "padding": "same", "groups": 2},
    "DepthwiseConv{}D": {"depth_multiplier": 2, "strides": 2},
    "SeparableConv{}D": {"filters": 3, "depth_multiplier": 2, "padding": "same"},
    "Conv{}DTranspose": {"filters": 3, "strides": 2, "output_padding": 1},
}


def values(model: Any) -> list[Any]:
    return [as_numpy(v) for v in model.weights]


def assert_equal_weights(one: Any, other: Any) -> None:
    for a, b in zip(values(one), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", MODELS)
def test_drop_ins_change_nothing(kind: str) -> None:
    model = MODELS[kind]()
    before, config = values(model), model.get_config()
    new, report = cs.models.convert(model, DropIn())
    assert_equal_outputs(model, new)
    assert_equal_weights(model, new)
    old_layers, new_layers = walk(model), walk(new)
    assert list(new_layers) == list(old_layers)
    for path, layer in old_layers.items():
        expected = DROP_INS.get(type(layer), type(layer))
        assert type(new_layers[path]) is expected, path
        assert new_layers[path] is not layer
    assert {c.name for c in report.changes} == {
        p for p, layer in old_layers.items() if type(layer) in DROP_INS
    }
    assert report.max_difference == pytest.approx(0, abs=1e-5)
    assert report.output_scale is not None
    assert report.output_scale > 1e-3
    assert report.parameters == (model.count_params(), model.count_params())
    assert report.macs[0] == report.macs[1] != 0
    # The old model is what it was.
    assert model.get_config() == config
    for a, b in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (new.name, type(new)) == (model.name, type(model))


@pytest.mark.one_backend
@pytest.mark.parametrize("theirs", DROP_INS, ids=lambda c: c.__name__)
def test_every_drop_in_of_the_table(theirs: type[Any]) -> None:
    rank = int(re.findall(r"\d", theirs.__name__)[0])
    settings = OF_EACH[re.sub(r"\d", "{}", theirs.__name__)]
    layer = theirs(kernel_size=3, activation="tanh", name="only", **settings)
    model = randomized(keras.Sequential([keras.Input((*(7,) * rank, 4)), layer]))
    new, _ = cs.models.convert(model, {theirs: DROP_INS[theirs]})
    assert type(new.layers[0]) is DROP_INS[theirs]
    assert_equal_outputs(model, new)
    assert_equal_weights(model, new)


def test_a_named_class_and_its_weights() -> None:
    model = two_streams()
    new, report = cs.models.convert(model, {"Conv2D": "StandardizedConv2D"})
    assert_equal_weights(model, new)
    found = walk(new)
    for path in ("encoder/down", "shared", "body"):
        assert type(found[path]) is cs.layers.StandardizedConv2D
        kernel = as_numpy(found[path].effective_kernel)
        np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-5)
    assert type(found["encoder/depthwise"]) is layers.DepthwiseConv2D
    assert differ(model, new)
    assert report.max_difference == pytest.approx(
        max(np.abs(a - b).max() for a, b in zip(outputs(model), outputs(new), strict=True)), rel=2
    )


def test_weights_that_start_from_the_kernel() -> None:
    """A weight normalisation's gain is the norm of the kernel that was carried over."""
    model = sequential()
    new, report = cs.models.convert(model, {"stem": cs.layers.WeightNormConv2D})
    assert_equal_outputs(model, new)
    assert report.changes[0].parameters[1] == report.changes[0].parameters[0] + 4


@pytest.mark.one_backend
def test_the_first_convolution_stays() -> None:
    for kind, stem in (("functional", "encoder/down"), ("sequential", "stem")):
        model = MODELS[kind]()
        new, report = cs.models.convert(model, DropIn(), except_first=True)
        kept = {p for p, layer in walk(new).items() if type(layer) in DROP_INS}
        assert kept == {stem}
        assert (stem, "is the model's first convolution (except_first)") in report.kept


@pytest.mark.one_backend
def test_converting_twice_is_converting_once() -> None:
    rules: list[Any] = [
        DropIn(),
        {"Conv2D": cs.layers.StandardizedConv2D},
        {layers.Conv2D: DropIn(padding_mode="edge")},
        {"body": "StandardizedConv2D"},
    ]
    for rule in rules:
        once, _ = cs.models.convert(two_streams(), rule)
        twice, report = cs.models.convert(once, rule)
        assert report.changes == ()
        assert twice.get_config() == once.get_config()
        assert_equal_weights(once, twice)


def test_what_is_shared_stays_shared() -> None:
    model = two_streams()
    new, _ = cs.models.convert(model, {"Conv2D": cs.layers.StandardizedConv2D})
    assert len(new.weights) == len(model.weights)
    for name in ("shared", "encoder"):
        reads = [n for n in new.get_layer(name)._inbound_nodes if n.input_tensors]
        assert len(reads) >= 2, name
    # A layer of both a nested model and the model around it.
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inner_input = keras.Input((6, 6, 3))
    inner = keras.Model(inner_input, layers.ReLU()(shared(inner_input)), name="inner")
    inputs = keras.Input((6, 6, 3))
    model = randomized(keras.Model(inputs, shared(inner(inner(inputs)))))
    new, report = cs.models.convert(model, DropIn())
    assert len(report.changes) == 1
    assert new.get_layer("inner").get_layer("shared") is new.get_layer("shared")
    assert_equal_outputs(model, new)


def test_what_is_frozen_stays_frozen() -> None:
    model = two_streams()
    walk(model)["encoder"].trainable = False
    model.get_layer("body").trainable = False
    walk(model)["encoder/norm"].trainable = True
    walk(model)["shared"].bias.trainable = False
    walk(model)["head"].bias.trainable = False
    new, _ = cs.models.convert(model, DropIn())
    for path, layer in walk(model).items():
        copy = walk(new)[path]
        if not isinstance(layer, layers.InputLayer):
            assert copy.trainable == layer.trainable, path
        assert [v.trainable for v in copy.variables] == [v.trainable for v in layer.variables]
    names = [[v.path for v in m.trainable_variables] for m in (model, new)]
    assert names[0] == names[1] != []
    model.trainable = False
    new, _ = cs.models.convert(model, DropIn())
    assert not new.trainable
    assert new.trainable_variables == []


@pytest.mark.one_backend
def test_adapters_stay_adapters() -> None:
    model = sequential()
    stem = model.get_layer("stem")
    stem.enable_lora(2)
    stem.lora_kernel_b.assign(data(*stem.lora_kernel_b.shape))
    new, _ = cs.models.convert(model, DropIn())
    copy = new.get_layer("stem")
    assert [v.name for v in copy.trainable_variables] == [v.name for v in stem.trainable_variables]
    assert_equal_outputs(model, new)


@pytest.mark.one_backend
def test_dtype_policies_and_arguments_stay() -> None:
    inputs = keras.Input((8, 8, 2))
    half = layers.Conv2D(3, 3, dtype="mixed_float16", kernel_regularizer="l2", name="half")
    other = layers.Conv2D(3, 3, dtype="bfloat16", bias_constraint="non_neg", name="other")
    model = randomized(keras.Model(inputs, other(half(inputs))))
    new, _ = cs.models.convert(model, DropIn())
    for name in ("half", "other"):
        old, made = model.get_layer(name), new.get_layer(name)
        assert made.dtype_policy.name == old.dtype_policy.name
        common = old.get_config()
        assert {k: v for k, v in made.get_config().items() if k in common} == common
    assert_equal_outputs(model, new)


def test_a_training_step_moves_the_copy_only() -> None:
    model = sequential()
    model.compile("sgd", "mse")
    new, report = cs.models.convert(model, {"Conv2D": cs.layers.StandardizedConv2D})
    assert not new.compiled
    assert "not compiled: optimizer, loss and metrics stay with the old model" in report.notes
    before = values(model)
    new.compile("sgd", "mse")
    x = inputs_for(model)
    new.fit(x, np.zeros_like(outputs(model)[0]), verbose=0)
    assert all(np.any(a != b) for a, b in zip(values(new), before, strict=True))
    for a, b in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_are_copied_too() -> None:
    """Of random numbers, and of batch normalisation."""
    model = sequential()
    new, _ = cs.models.convert(model, DropIn())
    states = [[as_numpy(v) for v in m.get_layer("dropout").variables] for m in (model, new)]
    assert len(states[0]) == 1
    np.testing.assert_array_equal(states[0], states[1])
    inner, _ = cs.models.convert(randomized(encoder()), DropIn())
    assert as_numpy(inner.get_layer("norm").moving_variance).min() >= 0.5


@pytest.mark.parametrize("kind", MODELS)
def test_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    new, _ = cs.models.convert(MODELS[kind](), {"Conv2D": "StandardizedConv2D"})
    new.save(tmp_path / "new.keras")
    assert_equal_outputs(new, keras.saving.load_model(tmp_path / "new.keras"))


@pytest.mark.one_backend
def test_loaded_in_a_fresh_process(tmp_path: Path) -> None:
    rules = [{"Conv2D": "StandardizedConv2D"}, BlurPool(), {"body": LowRank("cp", rank=2)}]
    new, _ = cs.models.convert(two_streams(), rules)
    x = inputs_for(new)
    new.save(tmp_path / "new.keras")
    np.savez(tmp_path / "new.npz", *outputs(new, x), **x)
    code = f"""
import numpy as np, keras, convsmith
data = np.load({str(tmp_path / "new.npz")!r})
model = keras.saving.load_model({str(tmp_path / "new.keras")!r})
made = model({{name: data[name] for name in ("first", "second")}}, training=False)
for index, y in enumerate(keras.tree.flatten(made)):
    wanted = data[f"arr_{{index}}"]
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
print("as before")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "as before\n", done.stderr


@pytest.mark.one_backend
def test_layers_in_wrappers() -> None:
    inputs = keras.Input((4, 8, 8, 2))
    x = layers.TimeDistributed(layers.Conv2D(3, 3, name="inside"), name="each")(inputs)
    frames = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(2, 3, name="deep")])
    x = layers.TimeDistributed(frames, name="all")(x)
    model = randomized(keras.Model(inputs, x))
    new, report = cs.models.convert(model, DropIn())
    assert {c.name for c in report.changes} == {"each/inside", f"all/{frames.name}/deep"}
    assert type(new.get_layer("each").layer) is cs.layers.Conv2D
    assert_equal_outputs(model, new)
    assert report.macs == (4 * (36 * 9 * 2 * 3 + 16 * 9 * 3 * 2),) * 2


@pytest.mark.one_backend
def test_python_code_in_layers() -> None:
    scale = 3.0
    inputs = keras.Input((6, 6, 2))
    x = layers.Lambda(lambda t: scale * t, name="scale")(inputs)
    model = randomized(keras.Model(inputs, layers.Conv2D(2, 3)(x)))
    assert_equal_outputs(model, cs.models.convert(model, DropIn())[0])


@pytest.mark.one_backend
def test_sizes_that_are_open() -> None:
    inputs = keras.Input((None, None, 2))
    model = randomized(keras.Model(inputs, layers.Conv2D(2, 3, name="open")(inputs)))
    new, report = cs.models.convert(model, DropIn())
    assert report.input_shapes == ((1, 64, 64, 2),)
    assert report.max_difference == pytest.approx(0, abs=1e-5)
    x = data(1, 9, 7, 2)
    np.testing.assert_allclose(as_numpy(new(x)), as_numpy(model(x)), atol=1e-5)
    _, report = cs.models.convert(model, DropIn(), inputs=x)
    assert report.input_shapes == ((1, 9, 7, 2),)
    assert report.macs == (7 * 5 * 9 * 2 * 2,) * 2


@pytest.mark.one_backend
def test_models_with_a_class_of_their_own() -> None:
    class Trainer(keras.Model):
        pass

    class Made(keras.Model):
        def __init__(self, size: int) -> None:
            inputs = keras.Input((size, size, 2))
            super().__init__(inputs, layers.Conv2D(2, 3)(inputs))

    inputs = keras.Input((6, 6, 2))
    model: Any = randomized(Trainer(inputs, layers.Conv2D(2, 3)(inputs)))
    new, report = cs.models.convert(model, DropIn())
    assert type(new) is Trainer
    assert report.notes == ()
    model = randomized(Made(6))
    new, report = cs.models.convert(model, DropIn())
    assert report.notes == (f"'{model.name}' is a plain Functional model now, no Made",)
    assert_equal_outputs(model, new)

"""What each rule puts in the place of a layer, held against its definition in NumPy or Keras."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.models.rules import (
    BlurPool,
    DropIn,
    Kept,
    LowRank,
    Padding,
    Part,
    Rule,
    Site,
    StandardizedGroupNorm,
    Swap,
)
from engine_runs import as_numpy
from model_cases import (
    assert_equal_outputs,
    data,
    differ,
    outputs,
    randomized,
    sequential,
    two_streams,
    walk,
)

layers: Any = keras.layers
MOTIFS = [
    {"strides": 2, "padding": "same"},
    {"strides": 2, "padding": "valid"},
    {"strides": 3, "padding": "same"},
]


def chain(*stack: Any, size: int = 9, channels: int = 3) -> Any:
    return randomized(keras.Sequential([keras.Input((size, size, channels)), *stack]))


def test_padding_reads_what_lies_beyond_the_edges() -> None:
    model = chain(
        layers.Conv2D(4, 3, padding="same", name="padded"),
        layers.Conv2D(4, 3, name="unpadded"),
        layers.Conv2DTranspose(2, 3, padding="same", name="up"),
    )
    new, report = cs.models.convert(model, Padding("reflect"))
    assert [c.name for c in report.changes] == ["padded"]
    assert report.kept == (("unpadded", "pads nothing"),)
    x = data(2, 9, 9, 3)
    bare = keras.Sequential([layers.Conv2D(4, 3)])
    bare.build((None, 11, 11, 3))
    bare.set_weights(model.get_layer("padded").get_weights())
    reflected = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    np.testing.assert_allclose(
        as_numpy(new.get_layer("padded")(x)), as_numpy(bare(reflected)), atol=1e-5
    )


@pytest.mark.one_backend
def test_arguments_of_drop_ins() -> None:
    model = sequential()
    rule = {"body/*": DropIn(padding_mode="edge"), re.compile("^st"): DropIn(padding_value=2.0)}
    new, report = cs.models.convert(model, rule)
    found = walk(new)
    assert found["body/inner"].padding_mode == "edge"
    assert found["body/separable"].padding_mode == "edge"
    assert found["stem"].padding_value == 2.0
    assert type(found["up"]) is layers.Conv2DTranspose
    assert {c.name: c.note for c in report.changes} == {
        "stem": "padding_value=2.0",
        "body/inner": "padding_mode='edge'",
        "body/separable": "padding_mode='edge'",
    }


@pytest.mark.one_backend
@pytest.mark.parametrize("settings", MOTIFS, ids=str)
@pytest.mark.parametrize("size", [8, 9])
def test_a_blur_of_one_tap_changes_nothing(size: int, settings: dict[str, Any]) -> None:
    """The dense convolution has its outputs where the strided one had them."""
    model = chain(
        layers.Conv2D(4, 3, name="dense", **settings),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        size=size,
    )
    new, report = cs.models.convert(model, BlurPool(kernel_size=1))
    assert_equal_outputs(model, new)
    assert [layer.name for layer in new.layers] == ["dense", "norm", "relu", "dense_blur"]
    assert new.get_layer("dense").strides == (1, 1)
    assert [c.after for c in report.changes] == ["cs.Conv2D", "ReLU + BlurPool2D"]


def test_a_blur_is_behind_the_activation() -> None:
    model = chain(
        layers.DepthwiseConv2D(3, strides=2, padding="same", name="deep"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(6.0, name="relu"),
    )
    x = data(2, 9, 9, 3)
    weights = model.get_layer("deep").get_weights()
    dense = layers.DepthwiseConv2D(3)
    dense.build((None, 11, 11, 3))
    dense.set_weights(weights)
    # An odd size: "same" pads one on each side whatever the stride.
    y = dense(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    y = as_numpy(layers.ReLU(6.0)(model.get_layer("norm")(y)))
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    wide = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    expected = np.einsum("bhwckl,kl->bhwc", windows, taps)[:, ::2, ::2]
    new, _ = cs.models.convert(model, BlurPool())
    np.testing.assert_allclose(as_numpy(new(x)), expected, atol=1e-5)
    behind, _ = cs.models.convert(model, BlurPool(after="convolution"))
    assert [layer.name for layer in behind.layers] == ["deep", "deep_blur", "norm", "relu"]
    assert differ(behind, new)


@pytest.mark.one_backend
def test_where_a_blur_goes() -> None:
    inputs = keras.Input((8, 8, 3))
    own = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="own")(inputs)
    forked = layers.Conv2D(4, 3, strides=2, padding="same", name="forked")(inputs)
    point = layers.Conv2D(4, 1, strides=2, name="point")(inputs)
    after = layers.ReLU(name="relu")(forked)
    model = randomized(keras.Model(inputs, own + forked + after + point))
    new, report = cs.models.convert(model, BlurPool(kernel_size=1))
    assert_equal_outputs(model, new)
    assert {c.name: c.after for c in report.changes} == {
        "own": "cs.Conv2D + BlurPool2D",
        "forked": "cs.Conv2D + BlurPool2D",  # Two layers read it: none is its activation.
        "point": "BlurPool2D + cs.Conv2D",
    }
    assert report.macs[1] is not None
    # The 1x1 convolution reads the small map still.
    change = next(c for c in report.changes if c.name == "point")
    assert change.macs == (4 * 4 * 3 * 4, 4 * 4 * 3 * 4 + 4 * 4 * 3)


@pytest.mark.one_backend
def test_a_blur_where_sizes_are_open() -> None:
    inputs = keras.Input((None, None, 3))
    strided = layers.Conv2D(4, 3, strides=2, padding="same", name="strided")(inputs)
    model = randomized(keras.Model(inputs, strided))
    new, _ = cs.models.convert(model, BlurPool())
    for size in (7, 8):
        x = data(1, size, size, 3)
        assert as_numpy(new(x)).shape == as_numpy(model(x)).shape


def low_rank_kernel(shape: tuple[int, ...], rank: int, method: str) -> Any:
    rng = np.random.default_rng(3)
    if method == "cp":
        lines = [rng.normal(size=(n, rank)) for n in shape]
        letters = "hwdio"[: len(shape) - 2] + "io"
        return np.einsum(",".join(f"{n}r" for n in letters) + "->" + letters, *lines)
    core = rng.normal(size=(*shape[:-2], rank, rank))
    sides = [rng.normal(size=(n, rank)) for n in shape[-2:]]
    return np.einsum("...pq,ip,oq->...io", core, *sides)


@pytest.mark.one_backend
@pytest.mark.parametrize("method", ["tucker", "cp"])
@pytest.mark.parametrize(
    ("rank", "data_format"),
    [(1, "channels_last"), (2, "channels_last"), (2, "channels_first"), (3, "channels_last")],
)
def test_a_kernel_of_low_rank_is_kept_exactly(method: Any, rank: int, data_format: str) -> None:
    # Ours computes channels first on every device.
    module: Any = layers if data_format == "channels_last" else cs.layers
    layer = getattr(module, f"Conv{rank}D")(
        16, 3, strides=2, padding="same", activation="tanh", name="dense", data_format=data_format
    )
    shape = (*(7,) * rank, 16) if data_format == "channels_last" else (16, *(7,) * rank)
    model = randomized(keras.Sequential([keras.Input(shape), layer]))
    kernel = low_rank_kernel(layer.kernel.shape, 2, method)
    layer.kernel.assign(0.3 * kernel / kernel.std())
    new, report = cs.models.convert(model, LowRank(method, rank=2))
    assert_equal_outputs(model, new, 1e-4)
    axes = {1: ["width"], 2: ["height", "width"], 3: ["depth", "height", "width"]}[rank]
    middle = ["dense_core"] if method == "tucker" else [f"dense_{axis}" for axis in axes]
    assert [one.name for one in new.layers] == ["dense_in", *middle, "dense"]
    (change,) = report.changes
    assert change.parameters[1] < change.parameters[0]
    assert re.fullmatch(r"kernel off by 0\.0\d% of its norm", change.note)


@pytest.mark.one_backend
@pytest.mark.parametrize("method", ["tucker", "cp"])
def test_a_larger_rank_is_nearer(method: Any) -> None:
    """The report has the error of the kernel, which falls with the rank, and of the outputs."""
    inputs = keras.Input((8, 8, 12))
    layer = cs.layers.Conv2D(
        12, 3, padding=((2, 1), "same"), strides=(1, 2), padding_mode="reflect", name="ours"
    )
    model = randomized(keras.Model(inputs, layer(inputs)))
    lost, apart = [], []
    for rank in (1, 3, 6):
        new, report = cs.models.convert(model, LowRank(method, rank=rank))
        (change,) = report.changes
        lost.append(float(re.findall(r"([\d.]+)%", change.note)[0]))
        apart.append(report.max_difference)
        assert [y.shape for y in outputs(new)] == [y.shape for y in outputs(model)]
    assert lost[0] > lost[1] > lost[2] > 1
    assert apart[0] > apart[2]


@pytest.mark.one_backend
def test_what_has_no_low_rank() -> None:
    model = chain(
        layers.Conv2D(6, 1, name="point"),
        layers.Conv2D(6, 3, groups=2, name="grouped"),
        layers.Conv2D(6, 3, kernel_constraint="max_norm", name="bounded"),
        cs.layers.Conv2D(6, 3, padding=1, padding_value=1.0, name="filled"),
        layers.Conv2D(2, 3, name="small"),
        layers.DepthwiseConv2D(2, name="deep"),
    )
    _, report = cs.models.convert(model, LowRank("tucker", rank=2))
    assert {c.name for c in report.changes} == {"small"}
    assert dict(report.kept) == {
        "point": "its kernel has one tap",
        "grouped": "its kernel has 2 groups",
        "bounded": "has a kernel_constraint, which its factors can't keep",
        "filled": "pads with 1.0, which the first of the chain would change",
    }
    _, report = cs.models.convert(model, LowRank("tucker", rank=6))
    assert dict(report.kept)["small"] == "would have 148 kernel entries instead of 108"


@pytest.mark.one_backend
def test_a_transformed_kernel_is_decomposed_as_it_is_used() -> None:
    model = chain(cs.layers.StandardizedConv2D(12, 3, name="standard"), channels=12)
    full, _ = cs.models.convert(model, LowRank("tucker", rank=(6, 12)))
    kernel = as_numpy(model.get_layer("standard").effective_kernel)
    parts = [as_numpy(one.kernel) for one in full.layers]
    made = np.einsum("ip,hwpq,qo->hwio", parts[0][0, 0], parts[1], parts[2][0, 0])
    modes = np.linalg.svd(np.moveaxis(kernel, 2, 0).reshape(12, -1), compute_uv=False)
    # With all of one mode, the best that the other can do is known.
    np.testing.assert_allclose(
        np.linalg.norm(made - kernel), np.sqrt(np.sum(modes[6:] ** 2)), rtol=1e-4
    )


@pytest.mark.one_backend
def test_group_norm_behind_standardised_kernels() -> None:
    model = chain(
        layers.Conv2D(6, 3, name="pair"),
        layers.BatchNormalization(name="norm", epsilon=1e-4),
        layers.DepthwiseConv2D(3, name="deep"),
        layers.BatchNormalization(name="second", scale=False),
        layers.Conv2D(4, 3, activation="relu", name="active"),
        layers.BatchNormalization(name="third"),
        layers.Conv2D(4, 1, name="alone"),
    )
    new, report = cs.models.convert(model, StandardizedGroupNorm(groups=4))
    found = {layer.name: layer for layer in new.layers}
    assert type(found["pair"]) is cs.layers.StandardizedConv2D
    assert type(found["norm"]) is layers.GroupNormalization
    assert (found["norm"].groups, found["norm"].epsilon) == (2, 1e-4)
    assert type(found["deep"]) is cs.layers.DepthwiseConv2D
    assert not found["second"].scale
    assert type(found["third"]) is layers.BatchNormalization
    assert dict(report.kept) == {
        "active": "has an activation in front of its batch normalisation",
        "alone": "has no batch normalisation of its own behind it",
    }
    x = data(2, 9, 9, 3)
    kernel, bias = (as_numpy(w) for w in model.get_layer("pair").weights)
    kernel = (kernel - kernel.mean((0, 1, 2))) / np.sqrt(kernel.var((0, 1, 2)) + 1e-5)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    y = np.einsum("bhwikl,klio->bhwo", windows, kernel) + bias
    groups = y.reshape(2, 7, 7, 2, 3)
    centred = groups - groups.mean((1, 2, 4), keepdims=True)
    y = (centred / np.sqrt(groups.var((1, 2, 4), keepdims=True) + 1e-4)).reshape(y.shape)
    gamma, beta = (as_numpy(w) for w in model.get_layer("norm").weights[:2])
    np.testing.assert_allclose(
        as_numpy(found["norm"](found["pair"](x))), y * gamma + beta, atol=2e-4
    )


@pytest.mark.one_backend
def test_rules_one_after_the_other() -> None:
    model = two_streams()
    new, report = cs.models.convert(
        model, [DropIn(), {"encoder/*": BlurPool(kernel_size=1)}, {"body": LowRank(rank=4)}]
    )
    found = walk(new)
    assert type(found["shared"]) is cs.layers.Conv2D
    assert "encoder/down_blur" in found
    assert "body_core" in found
    assert [c.name for c in report.changes] == [
        *("encoder/down", "encoder/depthwise", "shared", "body"),
        *("encoder/down", "encoder/relu"),
        "body",
    ]
    assert report.parameters[1] == new.count_params() < report.parameters[0]


@pytest.mark.one_backend
def test_a_function_of_the_layer() -> None:
    def wider(layer: Any) -> Any:
        if layer.name == "inner":
            return [layer, layers.Activation("tanh", name="added")]
        if layer.name == "stem":
            return layers.Conv2D(4, 3, activation="relu")
        return None

    model = sequential()
    new, report = cs.models.convert(model, wider)
    found = walk(new)
    assert list(found)[:1] == ["stem"]
    assert found["stem"].activation is keras.activations.relu
    np.testing.assert_array_equal(
        as_numpy(found["stem"].kernel), as_numpy(model.get_layer("stem").kernel)
    )
    assert found["body/inner"] is not walk(model)["body/inner"]
    assert list(found)[3:5] == ["body/inner", "body/added"]
    assert {c.name for c in report.changes} == {"stem", "body/inner"}


@pytest.mark.one_backend
def test_weights_that_have_no_place_are_reported() -> None:
    model = chain(layers.Conv2D(4, 3, name="only"))
    _, report = cs.models.convert(
        model, lambda layer: layers.Conv2D(4, 5, use_bias=False, padding="same")
    )
    assert report.changes[0].note == "kernel, bias not carried over"
    assert report.max_difference is None
    assert report.notes[0].startswith("the models couldn't be compared on these inputs: ")


@pytest.mark.one_backend
def test_a_rule_of_ones_own() -> None:
    class Halved(Rule):
        def outcome(self, site: Site) -> Any:
            if not isinstance(site.layer, layers.Conv2D):
                return None
            if max(site.layer.kernel_size) == 1:
                return Kept("has one tap")
            new = cs.layers.Conv2D.from_config(site.layer.get_config())
            return [Swap(site, (Part(new, {"kernel": as_numpy(site.layer.kernel) / 2}),), "half")]

    model = chain(layers.Conv2D(4, 3, use_bias=False, name="a"), layers.Conv2D(4, 1, name="b"))
    new, report = cs.models.convert(model, Halved())
    np.testing.assert_array_equal(
        2 * as_numpy(new.get_layer("a").kernel), as_numpy(model.get_layer("a").kernel)
    )
    assert (report.changes[0].note, report.kept) == ("half", (("b", "has one tap"),))


@pytest.mark.one_backend
def test_names_that_are_taken() -> None:
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(2, 3, strides=2, name="c")(inputs)
    model = randomized(keras.Model(inputs, layers.Conv2D(2, 2, name="c_blur")(x)))
    new, _ = cs.models.convert(model, BlurPool())
    assert [layer.name for layer in new.layers[1:]] == ["c", "c_blur_1", "c_blur"]


@pytest.mark.one_backend
def test_the_report_as_text() -> None:
    model = chain(layers.Conv2D(4, 3, name="only"), layers.Conv2D(4, 1, name="point"))
    _, report = cs.models.convert(model, {"only": DropIn(), "point": LowRank("cp", rank=2)})
    lines = str(report).splitlines()
    assert lines[0].split() == ["layer", "before", "after", "parameters", "multiply-adds"]
    assert lines[1].split() == ["only", "keras.Conv2D", "cs.Conv2D", "112", "5,292"]
    assert "1 layer replaced" in lines
    assert "parameters: 132" in lines
    assert "multiply-adds: 6,076 for (1, 9, 9, 3)" in lines
    assert "kept point: its kernel has one tap" in lines
    assert any(line.startswith("largest difference on random inputs: ") for line in lines)

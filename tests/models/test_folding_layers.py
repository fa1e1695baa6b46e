"""Each kind of layer becomes the fewest standard layers, and computes what it did."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import convsmith as cs
from convsmith import transforms
from folding_models import chain, folded, names_of, of_convsmith

L, C = keras.layers, cs.layers
PLANE, FIRST = (8, 7, 4), (4, 8, 7)
SCHEDULE = keras.optimizers.schedules.PolynomialDecay(2.0, 10, 0.0)
BLUR = transforms.KernelSchedule(transforms.Blur(), "sigma", SCHEDULE, 0.7)

# What is folded, the input without batch, and the standard layers.
CASES: dict[str, tuple[list[Any], tuple[int, ...], str]] = {
    "standardized": ([C.StandardizedConv2D(3, 3, padding="same")], PLANE, "Conv2D"),
    "weight norm": ([C.WeightNormConv2D(3, 3)], PLANE, "Conv2D"),
    "schedule": ([C.Conv2D(3, 3, kernel_transform=BLUR)], PLANE, "Conv2D"),
    "low rank": ([C.Conv2D(3, 3, kernel_transform=transforms.CP(2))], PLANE, "Conv2D"),
    "as same": ([C.Conv2D(3, 3, padding=1)], PLANE, "Conv2D"),
    "causal": ([C.Conv1D(3, 3, padding="causal", dilation_rate=2)], (8, 4), "Conv1D"),
    "zeros": ([C.Conv2D(3, 3, padding=((2, 0), 1), groups=1)], PLANE, "ZeroPadding2D Conv2D"),
    "zeros in time": ([C.Conv1D(3, 4, padding="full")], (8, 4), "ZeroPadding1D Conv1D"),
    "crop": ([C.Conv2D(3, 3, padding=((-1, 0), -1))], PLANE, "Cropping2D Conv2D"),
    "value": ([C.Conv2D(3, 3, padding=1, padding_value=2.0)], PLANE, "Model Conv2D"),
    "edge": ([C.Conv2D(3, 3, padding=1, padding_mode="edge")], PLANE, "Model Conv2D"),
    "wrap": ([C.Conv1D(3, 4, padding=(3, -1), padding_mode="wrap")], (8, 4), "Model Conv1D"),
    "reflect": ([C.Conv2D(3, 3, padding=(2, 1), padding_mode="reflect")], PLANE, "Model Conv2D"),
    "reflect volumes": (
        [C.Conv3D(2, 2, padding=((1, 0), 1, 2), padding_mode="reflect")],
        (4, 4, 5, 2),
        "Model Conv3D",
    ),
    "symmetric": (
        [C.Conv2D(3, 3, padding=(3, (0, 2)), padding_mode="symmetric")],
        PLANE,
        "Model Conv2D",
    ),
    "mixed modes": (
        [C.Conv2D(3, 3, padding=2, padding_mode=(("reflect", "edge"), "constant"))],
        PLANE,
        "Model Conv2D",
    ),
    "strides and dilation": (
        [C.Conv2D(3, 3, 2, "same", dilation_rate=(2, 1), activation="softmax")],
        PLANE,
        "Conv2D",
    ),
    "depthwise": ([C.DepthwiseConv2D(3, 2, "same", 2)], PLANE, "DepthwiseConv2D"),
    "depthwise, strides differ": ([C.DepthwiseConv2D(3, (2, 1))], PLANE, "Conv2D"),
    "depthwise volumes": ([C.DepthwiseConv3D(2)], (4, 4, 4, 2), "Conv3D"),
    "separable": ([C.SeparableConv2D(9, 3, padding="same")], PLANE, "SeparableConv2D"),
    "separable, cheaper merged": ([C.SeparableConv2D(1, 3)], PLANE, "Conv2D"),
    "separable, strides differ": (
        [C.SeparableConv2D(9, 3, (2, 1), activation="relu")],
        PLANE,
        "Conv2D Conv2D",
    ),
    "transposed": ([C.Conv2DTranspose(3, 3, 2, "same")], PLANE, "Conv2DTranspose"),
    "transposed in groups": ([C.Conv2DTranspose(4, 3, 2, groups=2)], PLANE, "Conv2DTranspose"),
    "transposed, cropped": (
        [C.Conv2DTranspose(3, 3, 2, (1, (0, 2)), activation="softmax")],
        PLANE,
        "Conv2DTranspose Cropping2D Activation",
    ),
    "transposed, more": (
        [C.Conv1DTranspose(3, 2, 3, padding=(-1, -2), output_padding=1)],
        (6, 4),
        "ZeroPadding1D Conv1DTranspose Cropping1D",
    ),
    "fixed": ([C.FixedConv2D("sobel_x", padding="same")], PLANE, "DepthwiseConv2D"),
    "fixed bank": ([C.FixedConv1D([[1.0, 2.0], [0.5, -1.0]])], (8, 4), "DepthwiseConv1D"),
    "fixed mixing": ([C.FixedConv2D([[[[1.0, 2.0]] * 4]])], PLANE, "Conv2D"),
    "fixed lines": (
        [C.FixedConv2D("gaussian(sigma=1)", separable=True)],
        (15, 14, 2),
        "DepthwiseConv2D DepthwiseConv2D",
    ),
    "blur pool": ([C.BlurPool2D()], PLANE, "Model DepthwiseConv2D"),
    "without channels": (
        [C.FixedConv2D("box", channel_axis=None)],
        (8, 7),
        "Model DepthwiseConv2D Model",
    ),
    "repvgg": ([C.RepVGGConv2D(4, 3, padding="same")], PLANE, "Conv2D"),
    "ac": ([C.ACConv2D(4, 3, 2)], PLANE, "Conv2D"),
    "diverse branch": ([C.DiverseBranchConv2D(4, 3, padding=1)], PLANE, "Conv2D"),
    "keras": ([L.Conv2D(3, 3), L.BatchNormalization(), L.ReLU()], PLANE, "Conv2D ReLU"),
    "dense": ([L.Dense(3, use_bias=False), L.BatchNormalization()], (4,), "Dense"),
}


@pytest.mark.parametrize("name", CASES)
def test_standard_layers(name: str) -> None:
    layers, shape, expected = CASES[name]
    model = chain(shape, *layers)
    result, report = folded(model)
    assert names_of(result) == expected.split()
    assert of_convsmith(result) == []
    assert report.kept == {}
    assert report.difference <= 1e-5
    assert isinstance(result, keras.Sequential)
    # What stands for one layer keeps its name.
    assert layers[0].name in [layer.name for layer in result.layers]


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="runs where TensorFlow has oneDNN only"
)
def test_a_dilated_transposed_convolution_has_zeros_in_its_kernel() -> None:
    model = chain(PLANE, C.Conv2DTranspose(3, 3, 2, dilation_rate=(1, 2)))
    result, report = folded(model)
    assert names_of(result) == ["Conv2DTranspose"]
    assert result.layers[0].kernel_size == (3, 5)
    assert report.kept == {}


NORMED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "conv": (C.Conv2D(4, 3, padding=1, padding_mode="edge", groups=2), PLANE),
    "conv without bias": (C.StandardizedConv1D(3, 3, use_bias=False), (8, 4)),
    "depthwise": (C.DepthwiseConv2D(3, depth_multiplier=2), PLANE),
    "separable": (C.SeparableConv2D(5, 3), PLANE),
    "transposed": (C.Conv2DTranspose(6, 3, 2, groups=2), PLANE),
    "fixed": (C.FixedConv2D("box"), PLANE),
    "diverse branch": (C.DiverseBranchConv2D(4, 3), PLANE),
    "volumes": (C.Conv3D(3, 2), (4, 4, 4, 2)),
    "keras transposed": (L.Conv1DTranspose(3, 3), (8, 4)),
    "keras depthwise": (L.DepthwiseConv1D(3), (8, 4)),
    "keras separable": (L.SeparableConv2D(5, 3), PLANE),
}


@pytest.mark.one_backend  # NumPy computes it
@pytest.mark.parametrize("name", NORMED)
def test_batch_normalisation_on_both_sides(name: str) -> None:
    layer, shape = NORMED[name]
    norms = [L.BatchNormalization(scale=False), L.BatchNormalization(center=False)]
    if name in ("transposed", "keras transposed"):
        norms = norms[1:]
    model = chain(shape, *norms[:-1], layer, norms[-1])
    result, report = folded(model)
    assert "BatchNormalization" not in names_of(result)
    assert of_convsmith(result) == []
    absorbed = [fold.result for fold in report.folds if fold.layer == "BatchNormalization"]
    assert absorbed == [f"in {layer.name}"] * len(norms)


@pytest.mark.parametrize(
    "layer",
    [
        C.Conv2D(6, 3, 2, padding=2, padding_mode="wrap", groups=2, data_format="channels_first"),
        C.DepthwiseConv2D(3, padding="same", data_format="channels_first"),
        C.SeparableConv2D(9, 3, data_format="channels_first", activation=None),
        C.Conv2DTranspose(3, 3, 2, "same", data_format="channels_first"),
        C.FixedConv2D("box", data_format="channels_first"),
        C.RepVGGConv2D(4, 3, padding="same", data_format="channels_first"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_channels_first(layer: Any) -> None:
    model = chain(FIRST, layer, L.BatchNormalization(axis=1), L.ReLU())
    result, _ = folded(model)
    assert "BatchNormalization" not in names_of(result)
    assert of_convsmith(result) == []


def test_an_activation_over_the_last_axis_of_channels_first() -> None:
    layer = C.Conv2D(3, 3, data_format="channels_first", activation="softmax")
    result, _ = folded(chain(FIRST, layer))
    assert of_convsmith(result) == []


KEPT: dict[str, tuple[Any, tuple[int | None, ...], str]] = {
    "local": (C.LocallyConnected1D(3, 3), (6, 2), "differs from position to position"),
    "pattern": (
        C.PatternConv("b (w+kw) i, kw i o -> b w o", kw=3, o=2),
        (6, 2),
        "computes a pattern of its own",
    ),
    "renormalize": (
        C.StandardizedConv2D(3, 3, padding=1, padding_mode="renormalize"),
        PLANE,
        "rescales every window",
    ),
    "four axes": (
        C.ConvND(4, 2, 2, kernel_transform="unit_norm"),
        (3, 3, 3, 3, 2),
        "no convolution of more than three spatial axes",
    ),
    "many zeros": (
        C.Conv2D(3, 3, 2, dilation_rate=4),
        (12, 12, 2),
        "would multiply 9 times as much",
    ),
    "many groups": (C.Conv1DTranspose(6, 3, groups=6), (6, 6), "would multiply 6 times as much"),
    "wrapped writes": (
        C.Conv1DTranspose(3, 3, padding=1, padding_mode="wrap"),
        (6, 2),
        "adds up what lies beyond the edges",
    ),
    "long pads": (
        C.Conv1D(3, 3, padding=7, padding_mode="wrap"),
        (6, 2),
        "padding_mode='wrap' by 7 repeats an axis of 6",
    ),
    "open size": (
        C.SeparableConv1D(9, 3, 2, padding="same_lower"),
        (None, 2),
        "depends on a size that isn't known",
    ),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", KEPT)
def test_what_standard_layers_can_not_express(name: str) -> None:
    layer, shape, reason = KEPT[name]
    result, report = folded(chain(shape, layer))
    assert reason in report.kept[layer.name]
    assert f"(kept: {report.kept[layer.name]})" in str(report)
    found = result.get_layer(layer.name)
    assert type(found).__module__.startswith("convsmith")
    # Its kernel is constant at least.
    assert getattr(found, "kernel_transform", None) is None


def test_a_layer_that_is_kept_takes_its_normalisation() -> None:
    layer = C.Conv2DTranspose(6, 3, padding=1, padding_mode="wrap", groups=2)
    result, _ = folded(chain(PLANE, layer, L.BatchNormalization()))
    assert names_of(result) == ["Conv2DTranspose"]


class Louder(C.Conv2D):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return 2 * self.convolve(inputs, kernel)


def test_an_operation_of_ones_own_is_copied() -> None:
    result, report = folded(chain(PLANE, Louder(3, 3, name="loud"), L.BatchNormalization()))
    assert names_of(result) == ["Louder", "BatchNormalization"]
    assert "overrides 'convolution_op'" in report.kept["loud"]

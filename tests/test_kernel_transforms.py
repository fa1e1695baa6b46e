"""Transforms of the kernel, each against its formula in NumPy, its identity, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convsmith import layers, transforms
from convsmith.errors import ArgumentError, DtypeError, KernelError
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import LayerCase, as_numpy, assert_close, check_reference
from engine_runs import wide
from layer_cases import central_difference, definition

Array = NDArray[Any]


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def axes(kernel: Array) -> tuple[int, ...]:
    return tuple(range(kernel.ndim - 1))


def scaled(kernel: Array, gain: float, epsilon: float, formula: str) -> Array:
    n = kernel[..., 0].size
    centred, variance = kernel - kernel.mean(axes(kernel)), kernel.var(axes(kernel))
    inside = np.maximum(n * variance, epsilon) if formula == "max" else n * variance + epsilon
    return gain * centred / np.sqrt(inside)


MASK = np.triu(np.ones((3, 3)))
CAUSAL = np.zeros((3, 3, 2, 4))
CAUSAL[0] = CAUSAL[1, 0] = 1
CAUSAL[1, 1, 0, 2:] = 1
FORMULAS: dict[str, tuple[Any, Callable[[Array], Array]]] = {
    "zero mean": (transforms.ZeroMean(), lambda k: k - k.mean(axes(k))),
    "unit sum": (transforms.UnitSum(), lambda k: k / k.sum(axes(k))),
    "unit norm": (transforms.UnitNorm(), lambda k: k / np.sqrt((k**2).sum(axes(k)))),
    "demodulate": (
        transforms.Demodulate(1e-3),
        lambda k: k / np.sqrt((k**2).sum(axes(k)) + 1e-3),
    ),
    "scaled": (transforms.ScaledStandardize(1.5), lambda k: scaled(k, 1.5, 1e-4, "max")),
    "scaled sum": (
        transforms.ScaledStandardize(epsilon=0.1, formula="sum"),
        lambda k: scaled(k, 1.0, 0.1, "sum"),
    ),
    "mask": (transforms.Mask(MASK), lambda k: k * MASK[..., None, None]),
    "causal": (transforms.CausalMask("A", groups=2), lambda k: k * CAUSAL),
    "central": (transforms.CentralDifference(0.7), lambda k: central_difference(k, 0.7)),
    "flips": (
        transforms.Symmetric((0, 1)),
        lambda k: (k + k[::-1] + k[:, ::-1] + k[::-1, ::-1]) / 4,
    ),
    "flip": (transforms.Symmetric((1,)), lambda k: (k + k[:, ::-1]) / 2),
    "turns": (
        transforms.Symmetric("rot90"),
        lambda k: sum(np.rot90(k, i) for i in range(4)) / 4,  # type: ignore[arg-type]
    ),
    "half turn": (transforms.Symmetric("rot180"), lambda k: (k + np.rot90(k, 2)) / 2),
    "turns and flips": (
        transforms.Symmetric("all"),
        lambda k: (
            sum(np.rot90(one, i) for one in (k, k[::-1]) for i in range(4)) / 8  # type: ignore[arg-type]
        ),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_it_is_the_formula(name: str) -> None:
    transform, formula = FORMULAS[name]
    kernel = random((3, 3, 2, 4)) + 0.5
    expected = formula(kernel.astype("float64"))
    assert_close(as_numpy(transform(kernel)), expected, 2e-6, name)


@pytest.mark.parametrize("name", ["flips", "turns", "half turn", "turns and flips"])
def test_symmetries_of_kernels_too_large_to_have_them_all(name: str) -> None:
    """Turned and averaged, 3x3 taps are mirrored too; 4x4 aren't."""
    transform, formula = FORMULAS[name]
    kernel = random((4, 4, 2, 3))
    expected = formula(kernel.astype("float64"))
    assert_close(as_numpy(transform(kernel)), expected, 2e-6, name)
    mirrored = np.abs(expected - expected[::-1]).max() < 1e-6
    assert mirrored == ("flips" in name)


@pytest.mark.parametrize("name", FORMULAS)
def test_float64_kernels_are_computed_in_float64(name: str) -> None:
    transform, formula = FORMULAS[name]
    kernel = random((3, 3, 2, 4)) + 0.5
    with wide():
        result = transform(keras.ops.convert_to_tensor(kernel, "float64"))
        assert "float64" in str(result.dtype)
        assert_close(as_numpy(result), formula(kernel.astype("float64")), 1e-14, name)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_layer_with_it_has_right_values_and_gradients_and_reads_back(name: str) -> None:
    transform, formula = FORMULAS[name]
    arguments = {"filters": 4, "kernel_size": 3, "kernel_transform": transform}
    case = LayerCase(layers.Conv2D, arguments, (2, 6, 7, 2), definition(2, transform=formula))
    check_reference(case)
    layer = case.built()
    again = layers.Conv2D.from_config(json.loads(json.dumps(layer.get_config())))
    again.build(case.input_shape)
    again.set_weights(layer.get_weights())
    outputs = as_numpy(layer(case.inputs()))
    assert_close(as_numpy(again(case.inputs())), outputs, 1e-6, "read back")
    folded = layers.fold(layer)
    assert_close(as_numpy(folded(case.inputs())), outputs, 1e-5, "folded")


@pytest.mark.parametrize("name", FORMULAS)
def test_half_precision_kernels_are_computed_in_float32(name: str) -> None:
    transform, formula = FORMULAS[name]
    kernel = keras.ops.cast(random((3, 3, 2, 4)) + 0.5, "float16")
    result = transform(kernel)
    assert "float16" in str(result.dtype)
    expected = formula(as_numpy(kernel).astype("float64"))
    assert_close(as_numpy(result), expected, 1e-3, name)


@pytest.mark.parametrize(
    "transform",
    [transforms.UnitNorm(), transforms.Demodulate(), transforms.ScaledStandardize()],
)
def test_squares_that_overflow_half_precision(transform: Any) -> None:
    kernel = (300 * random((3, 3, 2, 4))).astype("float16")
    wide = as_numpy(transform(kernel.astype("float32")))
    assert_close(as_numpy(transform(kernel)), wide, 2e-3, "values")


def test_mixed_precision_trains_with_each() -> None:
    for name, (transform, _) in FORMULAS.items():
        layer = layers.Conv2D(4, 3, kernel_transform=transform, dtype="mixed_float16")
        x = random((2, 6, 6, 2))
        outputs = layer(x)
        gradients = layer_gradients(layer, x, np.ones(tuple(outputs.shape), "float32"))
        assert all(np.isfinite(g).all() for g in gradients), name
        assert any(np.abs(g).max() > 0 for g in gradients), name


@pytest.mark.parametrize(
    ("transform", "kernel"),
    [
        (transforms.Mask(np.ones((3, 3))), random((3, 3, 2, 4))),
        (transforms.CentralDifference(0.0), random((3, 3, 2, 4))),
        (transforms.ZeroMean(), transforms.ZeroMean()(random((3, 3, 2, 4)))),
        (transforms.UnitSum(), transforms.UnitSum()(random((3, 3, 2, 4)) + 2)),
        (transforms.UnitNorm(), transforms.UnitNorm()(random((3, 3, 2, 4)))),
        (transforms.Demodulate(), transforms.UnitNorm()(random((3, 3, 2, 4)))),
        (transforms.Symmetric("all"), transforms.Symmetric("all")(random((3, 3, 2, 4)))),
    ],
)
def test_degenerate_cases_change_nothing(transform: Any, kernel: Any) -> None:
    kernel = keras.ops.convert_to_tensor(kernel)
    assert_close(as_numpy(transform(kernel)), as_numpy(kernel), 1e-6, repr(transform))


def test_empty_filters_stay_finite() -> None:
    zeros = np.zeros((3, 3, 2, 4), "float32")
    for name, (transform, _) in FORMULAS.items():
        assert_close(as_numpy(transform(zeros)), zeros, 0.0, name)


# --------------------------------------------------------------------------------------- PixelCNN


def test_causal_masks_are_the_paper_s() -> None:
    red_green_blue = transforms.CausalMask("A", groups=3).array((3, 3, 3, 3))
    assert red_green_blue[0].all()
    assert red_green_blue[1, 0].all()
    assert not red_green_blue[1, 2].any()
    assert not red_green_blue[2].any()
    # At the centre green reads red, blue reads red and green; with B each reads itself too.
    assert red_green_blue[1, 1].tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    second = transforms.CausalMask("B", groups=3).array((3, 3, 6, 3))
    assert second[1, 1, ::2].tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_no_pixel_sees_itself_or_a_later_one() -> None:
    """Changing one pixel changes nothing before it, through a stack of masked layers."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((7, 7, 1)),
            layers.MaskedConv2D(4, 5, mask="A", padding="same", activation="relu"),
            layers.MaskedConv2D(4, 3, mask="B", padding="same", activation="relu"),
            layers.MaskedConv2D(1, 3, mask="B", padding="same"),
        ]
    )
    x = random((1, 7, 7, 1))
    before = as_numpy(model(x)).reshape(49)
    for place in (0, 17, 24, 48):
        changed = x.reshape(49).copy()
        changed[place] += 3.0
        after = as_numpy(model(changed.reshape(1, 7, 7, 1))).reshape(49)
        assert (after[: place + 1] == before[: place + 1]).all()
        assert place == 48 or (after[place + 1 :] != before[place + 1 :]).any()


def test_central_difference_is_the_published_sum() -> None:
    """conv(x, k) - theta * x * sum(k), as its authors compute it."""
    x = random((2, 6, 7, 3))
    layer = layers.CentralDifferenceConv2D(4, 3, padding="same", theta=0.4, use_bias=False)
    outputs = as_numpy(layer(x))
    kernel = as_numpy(layer.kernel)
    plain = layers.Conv2D(4, 3, padding="same", use_bias=False)
    plain.build(x.shape)
    plain.set_weights([kernel])
    expected = as_numpy(plain(x)) - 0.4 * x @ kernel.sum((0, 1))
    assert_close(outputs, expected, 1e-5, "values")
    assert layer.get_config()["theta"] == 0.4


def test_what_the_user_adds_comes_before_the_layer_s_own() -> None:
    mask = transforms.CausalMask("B").array((3, 3, 2, 4))
    for make, own in (
        (layers.MaskedConv2D, lambda k: k * mask),
        (layers.CentralDifferenceConv2D, lambda k: central_difference(k, 0.7)),
    ):
        layer = make(4, 3, kernel_transform=transforms.UnitNorm())
        layer.build((2, 6, 7, 2))
        kernel = as_numpy(layer.kernel).astype("float64")
        expected = own(kernel / np.sqrt((kernel**2).sum(axes(kernel))))
        assert_close(as_numpy(layer.effective_kernel), expected, 1e-6, make.__name__)


def test_a_negative_sum_becomes_one() -> None:
    kernel = random((3, 3, 2, 4)) - 1
    assert (kernel.sum(axes(kernel)) < 0).all()
    sums = as_numpy(transforms.UnitSum()(kernel)).sum(axes(kernel))
    assert_close(sums, np.ones(4), 1e-5, "sums")


def test_small_kernels_get_norm_one_and_smaller_than_epsilon_less() -> None:
    kernel = random((3, 3, 2, 4))
    kernel /= np.sqrt((kernel**2).sum(axes(kernel)))
    for scale, wanted in ((1e-5, 1.0), (1e-8, 0.1)):
        found = as_numpy(transforms.UnitNorm(epsilon=1e-7)((scale * kernel).astype("float32")))
        norms = np.sqrt((found**2).sum(axes(found)))
        assert_close(norms, np.full(4, wanted), 1e-5, f"norms at {scale}")


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: transforms.UnitSum(0), "epsilon=0: is not a positive finite number"),
        (lambda: transforms.UnitNorm(True), "epsilon=True"),
        (lambda: transforms.Demodulate(float("nan")), "epsilon=nan"),
        (lambda: transforms.ScaledStandardize(formula="mean"), "formula='mean': is unknown"),
        (lambda: transforms.Mask("triangle"), "is no array of finite numbers"),
        (lambda: transforms.Mask([[1, float("inf")]]), "is no array of finite numbers"),
        (lambda: transforms.CausalMask("C"), "kind='C', groups=1: is no such mask"),
        (lambda: transforms.CausalMask("A", groups=0), "groups=0"),
        (lambda: transforms.Symmetric("rot45"), "symmetry='rot45': is no symmetry"),
        (lambda: transforms.Symmetric((0, 0)), "is no symmetry"),
        (lambda: transforms.CentralDifference("much"), "theta='much': is not a finite number"),
    ],
)
def test_arguments(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


@pytest.mark.parametrize(
    ("transform", "shape", "words"),
    [
        (transforms.Mask(np.ones((2, 3))), (3, 3, 2, 4), r"mask of shape \(2, 3\): doesn't fit"),
        (transforms.Mask(np.ones((3, 3, 3, 1))), (3, 3, 2, 4), "doesn't fit a kernel"),
        (transforms.CausalMask("A"), (2, 3, 1, 1), "has no centre"),
        (transforms.CausalMask("A", 3), (3, 3, 2, 3), "don't split into 3 groups"),
        (transforms.CentralDifference(), (2, 2, 1, 1), "has no centre"),
        (transforms.Symmetric("rot90"), (3, 5, 1, 1), "has no symmetry 'rot90'"),
        (transforms.Symmetric((1,)), (3, 2, 2), "has no symmetry"),
    ],
)
def test_kernels_that_do_not_fit(transform: Any, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(KernelError, match=words):
        transform(random(shape))


def test_groups_go_with_a_causal_mask_only() -> None:
    with pytest.raises(ArgumentError, match="mask_groups=2: goes with mask 'A' or 'B' only"):
        layers.MaskedConv2D(4, 3, mask=np.ones((3, 3)), mask_groups=2)


def test_complex_kernels_are_refused() -> None:
    kernel = keras.ops.convert_to_tensor(np.ones((3, 3, 1, 1), "complex64"))
    for transform in (transforms.ZeroMean(), transforms.UnitNorm(), transforms.Symmetric()):
        with pytest.raises(DtypeError, match="is complex"):
            transform(kernel)


@pytest.mark.parametrize("name", FORMULAS)
def test_lora_changes_the_kernel_before_it(name: str) -> None:
    transform, formula = FORMULAS[name]
    layer = layers.Conv2D(4, 3, kernel_transform=transform)
    layer.build((2, 6, 7, 2))
    layer.kernel.assign(random((3, 3, 2, 4)) + 0.5)
    kernel = as_numpy(layer.kernel).astype("float64")
    layer.enable_lora(2)
    a, b = random((3, 3, 2, 2), 1), random((2, 4), 2)
    layer.lora_kernel_a.assign(a)
    layer.lora_kernel_b.assign(b)
    expected = formula(kernel + a.astype("float64") @ b)
    assert_close(as_numpy(layer.effective_kernel), expected, 1e-5, name)
    assert_close(as_numpy(layers.fold(layer).kernel), expected, 1e-5, "folded")


def test_mixed_precision_learns_with_each() -> None:
    x, y = random((16, 6, 6, 2)), random((16, 4 * 4 * 4), 1) * 0.1 + 0.5
    for name, (transform, _) in FORMULAS.items():
        keras.utils.set_random_seed(1)
        layer = layers.Conv2D(4, 3, kernel_transform=transform, dtype="mixed_float16")
        model: Any = keras.Sequential([keras.Input((6, 6, 2)), layer, keras.layers.Flatten()])
        model.compile(keras.optimizers.Adam(0.02), "mse")
        losses = model.fit(x, y, epochs=8, batch_size=16, verbose=0).history["loss"]
        assert np.isfinite(losses).all(), name
        assert losses[-1] < 0.95 * losses[0], name

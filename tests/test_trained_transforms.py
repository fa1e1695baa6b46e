"""Transforms with weights, each against its formula, independent code, its identity, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convsmith import layers, reference, transforms
from convsmith.errors import ArgumentError, KernelError, UnsupportedError
from convsmith.testing.autodiff import layer_gradients
from convsmith.testing.contract import LayerCase, as_numpy, assert_close, check_reference
from layer_cases import definition

Array = NDArray[Any]
Formula = Callable[[list[Array]], Array]
TAPS = (3, 5)


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def axes(kernel: Array) -> tuple[int, ...]:
    return tuple(range(kernel.ndim - 1))


def middle(count: int) -> Array:
    return np.arange(count) - (count - 1) / 2


def bell(sigmas: Array) -> Array:
    """Gaussians [height, width, in, out] with sum 1 for sigmas [2, in, out]."""
    y, x = (middle(n) for n in TAPS)
    down = np.exp(-((y[:, None, None] / sigmas[0]) ** 2) / 2)
    right = np.exp(-((x[:, None, None] / sigmas[1]) ** 2) / 2)
    return np.einsum("hio,wio->hwio", down / down.sum(0), right / right.sum(0))


def gabor(frequency: Array, theta: Array, psi: Array, sigma: Array, gamma: Array) -> Array:
    kernel = np.zeros((*TAPS, *theta.shape))
    for y, down in enumerate(middle(TAPS[0])):
        for x, right in enumerate(middle(TAPS[1])):
            along = right * np.cos(theta) + down * np.sin(theta)
            across = -right * np.sin(theta) + down * np.cos(theta)
            envelope = np.exp(-(along**2 + (gamma * across) ** 2) / (2 * sigma**2))
            kernel[y, x] = envelope * np.cos(frequency * along + psi)
    return kernel


def binomial(logit: Array) -> Array:
    from scipy.stats import binom

    p = 1 / (1 + np.exp(-logit))
    down = np.stack([binom.pmf(t, TAPS[0] - 1, p[0]) for t in range(TAPS[0])])
    right = np.stack([binom.pmf(t, TAPS[1] - 1, p[1]) for t in range(TAPS[1])])
    return np.einsum("hio,wio->hwio", down, right)


def spectral(weights: list[Array]) -> Array:
    kernel, vector = weights[0], weights[-1]
    norm = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]).T @ vector)
    return kernel / norm


def spectral_of_convolution(weights: list[Array]) -> Array:
    kernel, vector = weights[0], weights[-1]
    pattern = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
    image = reference.conv(pattern, vector, kernel, padding="same", padding_mode="wrap")
    return kernel / np.linalg.norm(image)


def scaled(weights: list[Array]) -> Array:
    kernel, _, gain = weights
    count = kernel[..., 0].size
    centred = kernel - kernel.mean(axes(kernel))
    return gain * 1.5 * centred / np.sqrt(np.maximum(count * kernel.var(axes(kernel)), 1e-4))


# Weights are [kernel, bias, ...], or [bias, ...] where the transform makes the kernel.
FORMULAS: dict[str, tuple[Callable[[], Any], Formula]] = {
    "gain": (transforms.Gain, lambda w: w[0] * w[2]),
    "weight norm": (
        transforms.WeightNorm,
        lambda w: w[2] * w[0] / np.sqrt((w[0] ** 2).sum(axes(w[0]))),
    ),
    "spectral norm": (transforms.SpectralNorm, spectral),
    "spectral norm of the convolution": (
        lambda: transforms.SpectralNorm(2, (6, 7)),
        spectral_of_convolution,
    ),
    "scaled, with a gain": (
        lambda: transforms.Compose([transforms.ScaledStandardize(1.5), transforms.Gain()]),
        scaled,
    ),
    "low rank": (
        lambda: transforms.CP(3),
        lambda w: np.einsum("hr,wr,ir,or->hwio", *w[1:]),
    ),
    "tucker": (
        lambda: transforms.Tucker((2, 3)),
        lambda w: np.einsum("hwpq,ip,oq->hwio", *w[1:]),
    ),
    "gaussian": (
        lambda: transforms.Gaussian(1.2),
        lambda w: w[2] * bell(np.repeat(w[1], 2, axis=0)),
    ),
    "gaussian, anisotropic": (
        lambda: transforms.Gaussian(anisotropic=True),
        lambda w: w[2] * bell(w[1]),
    ),
    "gaussian, no amplitude": (
        lambda: transforms.Gaussian(1.2, amplitude=False),
        lambda w: bell(np.repeat(w[1], 2, axis=0)),
    ),
    "difference of gaussians": (
        transforms.DifferenceOfGaussians,
        lambda w: w[3] * (bell(np.stack([w[1]] * 2)) - bell(np.stack([w[2]] * 2))),
    ),
    "gabor": (transforms.Gabor, lambda w: w[-1] * gabor(*w[1:-1])),
    "binomial": (transforms.Binomial, lambda w: w[2] * binomial(w[1])),
    "average": (lambda: transforms.KernelAverage(0.5), lambda w: w[-1]),
    "schedule": (
        lambda: transforms.KernelSchedule(
            transforms.CentralDifference(),
            "theta",
            keras.optimizers.schedules.PiecewiseConstantDecay([10], [0.25, 1.0]),
        ),
        lambda w: (
            w[0]
            - 0.25
            * w[0].sum((0, 1))
            * np.eye(5)[2][None, :, None, None]
            * [[[[0]]], [[[1]]], [[[0]]]]
        ),
    ),
}
NOT_TRAINED = ("average",)
"""Whose kernel has no gradient outside of training."""


def case_of(name: str, **more: Any) -> LayerCase:
    make, formula = FORMULAS[name]

    def expected(inputs: Array, weights: list[Array]) -> Array:
        source = transforms.trained.source_of(make()) is not None
        bias = weights[0 if source else 1]
        return definition(2)(inputs, [formula(weights), bias])

    def layer() -> Any:
        return layers.Conv2D(4, TAPS, kernel_transform=make(), **more)

    return LayerCase(layers.Conv2D, {}, (2, 7, 8, 3), expected, factory=layer)


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_gradients_are_the_formula_s(name: str) -> None:
    case = case_of(name)
    if name in NOT_TRAINED:
        layer = case.built()
        weights = [w.astype("float64") for w in layer.get_weights()]
        assert case.reference is not None
        expected = case.reference(case.inputs().astype("float64"), weights)
        assert_close(as_numpy(layer(case.inputs())), expected, 2e-5, name)
    else:
        check_reference(case)


@pytest.mark.parametrize("name", FORMULAS)
def test_it_is_saved_with_its_layer(name: str, tmp_path: Any) -> None:
    case = case_of(name)
    symbolic = keras.Input(case.input_shape[1:])
    layer = case.make()
    model: Any = keras.Model(symbolic, layer(symbolic))
    generator = np.random.default_rng(3)
    for weight in layer.weights:
        if "float" in str(weight.dtype):
            weight.assign(generator.uniform(0.5, 1, tuple(weight.shape)))
    model.save(tmp_path / "model.keras")
    again: Any = keras.models.load_model(tmp_path / "model.keras")
    expected = as_numpy(model(case.inputs()))
    assert_close(as_numpy(again(case.inputs())), expected, 1e-6, "loaded")
    copied = layers.Conv2D.from_config(json.loads(json.dumps(layer.get_config())))
    copied.build(case.input_shape)
    copied.set_weights(layer.get_weights())
    assert_close(as_numpy(copied(case.inputs())), expected, 1e-6, "read back")
    folded = layers.fold(layer)
    assert folded.kernel_transform is None
    assert_close(as_numpy(folded(case.inputs())), expected, 1e-5, "folded")


@pytest.mark.parametrize("name", FORMULAS)
def test_mixed_precision_trains(name: str) -> None:
    """The loss falls, stays finite, and the transform computes in float32."""
    keras.utils.set_random_seed(1)
    layer = case_of(name, dtype="mixed_float16").make()
    model: Any = keras.Sequential([keras.Input((7, 8, 3)), layer, keras.layers.Flatten()])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = random((16, 7, 8, 3))
    y = random((16, 5 * 4 * 4), 1) * 0.1 + 0.7
    losses = model.fit(x, y, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.95 * losses[0]
    assert {str(w.dtype) for t in layer._trained_transforms for w in t.weights} <= {
        "float32",
        "int32",
    }


@pytest.mark.parametrize("name", FORMULAS)
def test_lora_adapts_it(name: str) -> None:
    """Nothing changes at first; then only the factors of LoRA are trained, and saving keeps it."""
    case = case_of(name)
    layer = case.built()
    before = as_numpy(layer(case.inputs()))
    layer.enable_lora(2)
    assert_close(as_numpy(layer(case.inputs())), before, 1e-5, "at first")
    names = {weight.name for weight in layer.trainable_weights}
    assert {"lora_kernel_a", "lora_kernel_b"} <= names
    assert "kernel" not in names
    if transforms.trained.source_of(layer.kernel_transform) is not None:
        assert names == {"bias", "lora_kernel_a", "lora_kernel_b"}
    layer.lora_kernel_b.assign(random((2, 4)))
    after = as_numpy(layer(case.inputs()))
    # The average that is evaluated doesn't move at once.
    assert name in NOT_TRAINED or np.abs(after - before).max() > 1e-3


def test_a_global_policy_of_half_precision_leaves_them_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = layers.SpectralNormConv2D(4, 3)
        outputs = layer(random((2, 7, 8, 3)))
    finally:
        keras.config.set_dtype_policy("float32")
    assert "float16" in str(outputs.dtype)
    assert [t.compute_dtype for t in layer._trained_transforms] == ["float32"]


def test_lora_beside_a_made_kernel_is_saved(tmp_path: Any) -> None:
    layer = layers.GaborConv2D(4, 5)
    model: Any = keras.Sequential([keras.Input((7, 8, 3)), layer])
    layer.enable_lora(2)
    layer.lora_kernel_a.assign(random((5, 5, 3, 2)))
    layer.lora_kernel_b.assign(random((2, 4), 1))
    model.save(tmp_path / "model.keras")
    again: Any = keras.models.load_model(tmp_path / "model.keras")
    x = random((2, 7, 8, 3))
    assert_close(as_numpy(again(x)), as_numpy(model(x)), 1e-5, "loaded")
    assert len(again.trainable_weights) == 3


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 by default")
def test_float64_layers_have_float64_transforms() -> None:
    for name, (make, _) in FORMULAS.items():
        layer = layers.Conv2D(4, TAPS, kernel_transform=make(), dtype="float64")
        layer.build((2, 7, 8, 3))
        assert "float64" in str(layer.effective_kernel.dtype), name
        kinds = {str(w.dtype) for t in layer._trained_transforms for w in t.weights}
        assert kinds <= {"float64", "int32"}, name


# ------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize(
    "make",
    [
        transforms.Gain,
        transforms.WeightNorm,
        lambda: transforms.KernelAverage(),
        lambda: [transforms.Standardize(), transforms.WeightNorm()],
    ],
)
def test_layers_start_as_without_it(make: Callable[[], Any]) -> None:
    """With a pure transform in front, as with that one alone."""
    keras.utils.set_random_seed(2)
    layer = layers.Conv2D(4, 3, kernel_transform=make(), bias_initializer="normal")
    x = random((2, 7, 8, 3))
    outputs = as_numpy(layer(x))
    front = "standardize" if isinstance(make(), list) else None
    plain = layers.Conv2D(4, 3, kernel_transform=front)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights()[:2])
    assert_close(outputs, as_numpy(plain(x)), 1e-5, "first outputs")


@pytest.mark.parametrize(
    ("shape", "make"),
    [
        ((3, 2, 4, 5), lambda: transforms.CP(3 * 2 * 4)),
        ((3, 2, 7), lambda: transforms.CP(6)),
        ((3, 2, 4, 5), lambda: transforms.CP(40)),
        ((3, 3, 4, 5), lambda: transforms.Tucker((4, 5))),
        ((3, 4, 5), lambda: transforms.Tucker(9)),
        ((2, 2, 2, 3, 4), lambda: transforms.Tucker((3, 4))),
    ],
)
def test_full_rank_is_the_initial_kernel(shape: tuple[int, ...], make: Callable[[], Any]) -> None:
    kernel = random(shape)
    source = make()
    source.build_for(shape, lambda: keras.ops.convert_to_tensor(kernel), "float32")
    assert_close(as_numpy(source.kernel()), kernel, 1e-5, "kernel")


def test_low_ranks_of_zeros_are_zeros_that_learn() -> None:
    for make in (lambda: transforms.CP(2), lambda: transforms.Tucker(2)):
        layer = layers.Conv2D(
            4, 3, kernel_transform=make(), kernel_initializer="zeros", use_bias=False
        )
        x = random((1, 5, 5, 3))
        assert not as_numpy(layer(x)).any()
        gradients = layer_gradients(layer, x, np.ones((1, 3, 3, 4), "float32"))
        assert any(np.abs(g).max() > 0 for g in gradients[1:])


def test_low_ranks_are_near_the_initial_kernel() -> None:
    """A kernel of rank 2 is found again; Tucker's is the best projection of its ranks."""
    factors = [random((n, 2), seed) for seed, n in enumerate((3, 3, 4, 6))]
    kernel = np.einsum("hr,wr,ir,or->hwio", *factors)
    source = transforms.CP(4)
    source.build_for(kernel.shape, lambda: keras.ops.convert_to_tensor(kernel), "float32")
    error = np.linalg.norm(as_numpy(source.kernel()) - kernel) / np.linalg.norm(kernel)
    assert error < 0.02
    tucker = transforms.Tucker(2)
    tucker.build_for(kernel.shape, lambda: keras.ops.convert_to_tensor(kernel), "float32")
    assert_close(as_numpy(tucker.kernel()), kernel, 1e-4, "rank 2 in both")


def test_layers_with_few_numbers_start_with_the_initialiser_s_variance() -> None:
    for make in (transforms.Gaussian, transforms.Gabor, transforms.Binomial):
        layer = layers.Conv2D(64, 5, kernel_transform=make())
        layer.build((1, 9, 9, 32))
        plain = layers.Conv2D(64, 5)
        plain.build((1, 9, 9, 32))
        ratio = as_numpy(layer.kernel).std() / as_numpy(plain.kernel).std()
        assert 0.8 < ratio < 1.25, make


def test_a_wide_gaussian_is_a_box_and_a_narrow_one_a_tap() -> None:
    wide = layers.DepthwiseConv2D(3, kernel_transform=transforms.Gaussian(1e4, amplitude=False))
    wide.build((1, 5, 5, 2))
    assert_close(as_numpy(wide.kernel), np.full((3, 3, 2, 1), 1 / 9), 1e-6, "box")
    narrow = layers.DepthwiseConv2D(3, kernel_transform=transforms.Gaussian(0.01, amplitude=False))
    narrow.build((1, 5, 5, 2))
    expected = np.zeros((3, 3, 2, 1))
    expected[1, 1] = 1
    assert_close(as_numpy(narrow.kernel), expected, 1e-6, "tap")


# ------------------------------------------------------------------------------- independent truth


def test_spectral_norm_is_the_largest_singular_value() -> None:
    kernel = random((3, 3, 4, 6))
    layer = layers.SpectralNormConv2D(6, 3)
    layer.build((1, 8, 8, 4))
    layer.kernel.assign(kernel)
    for _ in range(100):
        layer(np.zeros((1, 8, 8, 4), "float32"), training=True)
    normed = as_numpy(layer.effective_kernel).reshape(-1, 6)
    assert_close(np.linalg.svd(normed)[1][0], 1.0, 1e-4, "largest singular value")


@pytest.mark.parametrize("input_size", [None, 8])
def test_spectral_norm_finds_its_way_from_a_kernel_of_zeros(input_size: Any) -> None:
    layer = layers.SpectralNormConv2D(6, 3, input_size=input_size, kernel_initializer="zeros")
    x = np.zeros((1, 8, 8, 4), "float32")
    layer(x, training=True)
    assert not as_numpy(layer.effective_kernel).any()
    layer.kernel.assign(random((3, 3, 4, 6)))
    for _ in range(200):
        layer(x, training=True)
    other = layers.SpectralNormConv2D(6, 3, input_size=input_size, iterations=200)
    other.build(x.shape)
    other.kernel.assign(random((3, 3, 4, 6)))
    other(x, training=True)
    expected = as_numpy(other.effective_kernel)
    assert_close(as_numpy(layer.effective_kernel), expected, 1e-3, "kernel")


def test_spectral_norm_of_the_convolution_is_that_of_its_transfer_function() -> None:
    """By FFT: the singular values of a circular convolution are those at each frequency."""
    kernel = random((3, 3, 4, 6))
    layer = layers.SpectralNormConv2D(6, 3, input_size=(8, 7))
    layer.build((1, 8, 7, 4))
    layer.kernel.assign(kernel)
    for _ in range(300):
        layer(np.zeros((1, 8, 7, 4), "float32"), training=True)
    normed = as_numpy(layer.effective_kernel)
    transfer = np.fft.fft2(normed, (8, 7), axes=(0, 1))
    largest = np.linalg.svd(transfer, compute_uv=False).max()
    assert_close(largest, 1.0, 1e-3, "largest singular value")


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="compares with PyTorch's own")
def test_norms_are_pytorch_s() -> None:
    import torch
    from torch.nn.utils import parametrizations

    kernel = random((3, 3, 4, 6))
    plain: Any = torch.nn.Conv2d(4, 6, 3)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1)))
    normed: Any = parametrizations.weight_norm(plain, dim=0)
    length = np.array([0.5, 1, 2, 3, 0.1, 4], "float32")
    with torch.no_grad():
        normed.parametrizations.weight.original0.copy_(torch.tensor(length.reshape(-1, 1, 1, 1)))
    layer = layers.WeightNormConv2D(6, 3)
    layer.build((1, 8, 8, 4))
    layer.set_weights([kernel, np.zeros(6), length])
    expected = normed.weight.detach().numpy().transpose(2, 3, 1, 0)
    assert_close(as_numpy(layer.effective_kernel), expected, 1e-5, "weight norm")

    plain: Any = torch.nn.Conv2d(4, 6, 3)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1)))
    bounded: Any = parametrizations.spectral_norm(plain, n_power_iterations=200)
    expected = bounded.weight.detach().numpy().transpose(2, 3, 1, 0)
    other = layers.SpectralNormConv2D(6, 3, iterations=200)
    other.build((1, 8, 8, 4))
    other.kernel.assign(kernel)
    other(np.zeros((1, 8, 8, 4), "float32"), training=True)
    assert_close(as_numpy(other.effective_kernel), expected, 1e-4, "spectral norm")


def test_sinc_is_the_published_formula_and_passes_its_band() -> None:
    low, band, count, rate = 300.0, 500.0, 101, 8000
    layer = layers.SincConv1D(1, count, sample_rate=rate, use_bias=False)
    layer.build((1, 400, 1))
    layer.set_weights([np.full((1, 1), (f - 50) / rate, "float32") for f in (low, band)])
    t = middle(count) / rate
    f1, f2 = low, low + band
    expected = 2 * f2 * np.sinc(2 * f2 * t) - 2 * f1 * np.sinc(2 * f1 * t)
    expected = expected * np.hamming(count) / (2 * (f2 - f1))
    kernel = as_numpy(layer.kernel)[:, 0, 0]
    assert_close(kernel, expected, 1e-5, "kernel")
    gain = np.abs(np.fft.rfft(kernel, rate))
    assert gain[550] > 20 * max(gain[60], gain[1200])


def test_sinc_bands_follow_each_other() -> None:
    layer = layers.SincConv1D(20, 251, sample_rate=16_000)
    layer.build((1, 400, 1))
    gain = np.abs(np.fft.rfft(as_numpy(layer.kernel)[:, 0], 16_000, axis=0))
    peaks = gain.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    assert peaks[0] < 250
    assert peaks[-1] > 5000


def test_bands_stay_below_half_the_rate() -> None:
    layer = layers.SincConv1D(1, 51, sample_rate=8000, use_bias=False)
    layer.build((1, 400, 1))
    layer.set_weights([np.full((1, 1), 0.7, "float32"), np.full((1, 1), 0.3, "float32")])
    gain = np.abs(np.fft.rfft(as_numpy(layer.kernel)[:, 0, 0], 8000))
    assert gain.argmax() > 3900


def test_more_transforms_come_behind_a_made_kernel_and_before_a_norm() -> None:
    gabor_layer = layers.GaborConv2D(4, 5, kernel_transform="unit_norm")
    gabor_layer.build((1, 9, 9, 2))
    norms = np.linalg.norm(as_numpy(gabor_layer.effective_kernel).reshape(-1, 4), axis=0)
    assert_close(norms, np.ones(4), 1e-5, "unit norm")
    normed = layers.WeightNormConv2D(4, 3, kernel_transform="zero_mean")
    normed.build((1, 9, 9, 2))
    normed.weights[-1].assign(np.full(4, 2.0))
    norms = np.linalg.norm(as_numpy(normed.effective_kernel).reshape(-1, 4), axis=0)
    assert_close(norms, np.full(4, 2.0), 1e-5, "trained length")


def test_gradients_of_sinc_reach_its_numbers() -> None:
    layer = layers.SincConv1D(4, 31, sample_rate=8000)
    x = random((2, 60, 1))
    outputs = layer(x)
    gradients = layer_gradients(layer, x, random(tuple(outputs.shape), 1))
    assert all(np.isfinite(g).all() for g in gradients)
    assert all(np.abs(g).max() > 0 for g in gradients)


def test_blur_is_scipy_s_in_the_middle_and_nothing_at_zero() -> None:
    from scipy.ndimage import gaussian_filter

    kernel = np.zeros((41, 41, 1, 1), "float32")
    kernel[18:23, 18:23] = random((5, 5, 1, 1))
    blurred = as_numpy(transforms.Blur(1.5)(kernel))[..., 0, 0]
    expected = gaussian_filter(kernel[..., 0, 0].astype("float64"), 1.5, truncate=12)
    assert_close(blurred, expected, 1e-5, "blur")
    assert_close(as_numpy(transforms.Blur(0)(kernel)), kernel, 1e-7, "sigma 0")
    even = np.ones((3, 5, 1, 1), "float32")
    assert_close(as_numpy(transforms.Blur(1.5)(even)), even, 1e-6, "nothing to blur")
    assert transforms.Blur(0.5).get_config() == {"sigma": 0.5}


# ------------------------------------------------------------------------------------------- state


def test_state_moves_in_training_only() -> None:
    x = random((4, 7, 8, 3))
    for layer in (
        layers.SpectralNormConv2D(4, 3),
        layers.Conv2D(4, 3, kernel_transform=transforms.KernelAverage(0.5)),
    ):
        model: Any = keras.Sequential([keras.Input(x.shape[1:]), layer])
        layer.kernel.assign(random((3, 3, 3, 4), 5))
        state = layer.non_trainable_variables[0]
        before = as_numpy(state.value).copy()
        model.predict(x, verbose=0)
        layer(x)
        model(x, training=False)
        assert (as_numpy(state.value) == before).all(), layer.name
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((4, 5, 6, 4), "float32"), verbose=0)
        assert np.abs(as_numpy(state.value) - before).max() > 1e-4, layer.name


def test_averages_are_of_the_kernels_that_there_were() -> None:
    layer = layers.Conv2D(4, 3, kernel_transform=transforms.KernelAverage(0.75))
    x = random((1, 5, 5, 2))
    layer.build(x.shape)
    average = as_numpy(layer.kernel.value).astype("float64")
    for step in range(3):
        kernel = random((3, 3, 2, 4), step)
        layer.kernel.assign(kernel)
        layer(x, training=True)
        average = 0.75 * average + 0.25 * kernel
    assert_close(as_numpy(layer.effective_kernel), average, 1e-5, "average")


def test_schedules_count_training_steps_and_end_as_said() -> None:
    fading = keras.optimizers.schedules.PolynomialDecay(2.0, 4, 0.0)
    schedule = transforms.KernelSchedule(transforms.Blur(), "sigma", fading, evaluation=0.0)
    layer = layers.Conv2D(4, 5, kernel_transform=schedule, use_bias=False)
    x = random((1, 9, 9, 2))
    layer.build(x.shape)
    plain = layers.Conv2D(4, 5, use_bias=False)
    plain.build(x.shape)
    for step in range(6):
        sigma = 2.0 * max(1 - step / 4, 0)
        plain.set_weights([as_numpy(transforms.Blur(sigma)(layer.kernel))])
        outputs = as_numpy(layer(x, training=True))
        assert_close(outputs, as_numpy(plain(x)), 1e-5, f"step {step}")
    plain.set_weights([as_numpy(layer.kernel.value)])
    assert_close(as_numpy(layer(x)), as_numpy(plain(x)), 1e-5, "evaluation")
    assert int(as_numpy(schedule.step.value)) == 6
    again = layers.Conv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_made_kernels_are_kept_while_nothing_changes() -> None:
    calls: list[int] = []

    class Counted(transforms.Gaussian):
        def make(self) -> Any:
            calls.append(1)
            return super().make()

    layer = layers.Conv2D(4, 3, kernel_transform=Counted())
    x = random((1, 5, 5, 2))
    layer.build(x.shape)
    transform: Any = layer.kernel_transform
    sigma = transform.numbers["sigma"]

    def run() -> Array:
        if keras.backend.backend() == "torch":
            import torch

            with torch.no_grad():
                return as_numpy(layer(x))
        return as_numpy(layer(x))

    first = run()
    made = len(calls)
    assert (run() == first).all()
    assert len(calls) == made
    sigma.assign(sigma + 1.0)
    assert np.abs(run() - first).max() > 1e-4
    assert len(calls) == made + 1
    gradients = layer_gradients(layer, x, np.ones((1, 3, 3, 4), "float32"))
    assert any(np.abs(g).max() > 0 for g in gradients[1:])


# --------------------------------------------------------------------------------------- refusals


def test_one_object_serves_one_layer() -> None:
    shared = transforms.WeightNorm()
    layers.Conv2D(4, 3, kernel_transform=shared).build((1, 5, 5, 2))
    kept = layers.Conv2D(4, 3, kernel_transform=shared)
    with pytest.raises(ArgumentError, match="another layer uses it"):
        kept.build((1, 5, 5, 2))


def test_sources_come_first_and_leave_nothing_to_regularise() -> None:
    with pytest.raises(ArgumentError, match="behind another transform"):
        layers.Conv2D(4, 3, kernel_transform=["unit_norm", "gaussian"])
    for argument, word in (("kernel_regularizer", "l2"), ("kernel_constraint", "non_neg")):
        more: Any = {argument: word}
        with pytest.raises(ArgumentError, match=f"{argument}=.* has no weight to act on"):
            layers.Conv2D(4, 3, kernel_transform="gaussian", **more)
    with pytest.raises(ArgumentError, match="depthwise_regularizer=.* has no weight"):
        layers.DepthwiseConv2D(3, kernel_transform="gaussian", depthwise_regularizer="l2")


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2DTranspose(4, 3, kernel_transform="gaussian"),
        lambda: layers.SeparableConv2D(4, 3, depthwise_transform="gaussian"),
        lambda: layers.SeparableConv2D(4, 3, pointwise_transform=transforms.CP(2)),
    ],
)
def test_layers_that_keep_a_kernel_refuse_sources(make: Callable[[], Any]) -> None:
    with pytest.raises(UnsupportedError, match="makes the whole kernel"):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: transforms.SpectralNorm(0), "iterations=0"),
        (lambda: transforms.SpectralNorm(input_size="large"), "input_size='large': is no size"),
        (lambda: transforms.SpectralNorm(input_size=()), "is no size"),
        (lambda: transforms.CP(0), "rank=0"),
        (lambda: transforms.Tucker((1, 2, 3)), "ranks"),
        (lambda: transforms.Gaussian(-1.0), "sigma=-1.0: is not a positive finite number"),
        (lambda: transforms.DifferenceOfGaussians(ratio=1), "two equal bells"),
        (lambda: transforms.Sinc(100), "leaves no band"),
        (lambda: transforms.Sinc(lowest_hertz=0), "lowest_hertz=0"),
        (lambda: transforms.Blur(-1), "sigma=-1: is not a finite number from 0"),
        (lambda: transforms.KernelAverage(1.0), "momentum=1.0"),
        (
            lambda: transforms.KernelSchedule("standardize", "sigma", None),
            "argument='sigma': is no number of Standardize",
        ),
        (
            lambda: transforms.KernelSchedule(transforms.Blur(), "sigma", 0.5),
            "schedule=0.5: is no schedule",
        ),
        (
            lambda: transforms.KernelSchedule(transforms.Gaussian(), "sigma", None),
            "is no number of",
        ),
    ],
)
def test_arguments(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


def test_kernels_that_do_not_fit() -> None:
    with pytest.raises(KernelError, match="Gabor: kernel of size"):
        layers.Conv1D(4, 3, kernel_transform="gabor").build((1, 8, 2))
    with pytest.raises(KernelError, match="Sinc: kernel of size"):
        layers.Conv2D(4, 3, kernel_transform="sinc").build((1, 8, 8, 2))
    with pytest.raises(KernelError, match="input_size=\\(8, 8, 8\\): doesn't fit"):
        layers.SpectralNormConv2D(4, 3, input_size=(8, 8, 8)).build((1, 8, 8, 2))


def test_depthwise_and_transposed_layers_take_trained_transforms() -> None:
    x = random((2, 7, 8, 3))
    for layer in (
        layers.DepthwiseConv2D(3, depth_multiplier=2, kernel_transform="weight_norm"),
        layers.Conv2DTranspose(4, 3, kernel_transform="weight_norm"),
        layers.SeparableConv2D(
            4, 3, depthwise_transform="weight_norm", pointwise_transform="spectral_norm"
        ),
    ):
        outputs = layer(x)
        plain_config = layer.get_config()
        for key in ("kernel_transform", "depthwise_transform", "pointwise_transform"):
            if key in plain_config and "spectral" not in json.dumps(plain_config[key]).lower():
                plain_config[key] = None
        plain = type(layer).from_config(plain_config)
        plain.build(x.shape)
        trained = [t for t in layer._trained_transforms if isinstance(t, transforms.WeightNorm)]
        lengths = {id(w) for t in trained for w in t.weights}
        plain.set_weights([as_numpy(w.value) for w in layer.weights if id(w) not in lengths])
        assert_close(as_numpy(outputs), as_numpy(plain(x)), 1e-5, layer.name)
        trained[0].length.assign(2 * trained[0].length)
        assert np.abs(as_numpy(layer(x)) - as_numpy(outputs)).max() > 1e-3

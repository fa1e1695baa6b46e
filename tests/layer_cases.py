"""The layers that the contract is run on, each with its definition as the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from convsmith import geometry, layers, reference, transforms
from convsmith.testing.contract import Array, LayerCase, Reference

POSITIONS = ("t", "d", "h", "w")


def definition(
    rank: int,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    groups: int = 1,
    data_format: str = "channels_last",
    transform: Callable[[Array], Array] = lambda kernel: kernel,
    activation: Callable[[Array], Array] = lambda outputs: outputs,
) -> Reference:
    """Return a convolution layer's outputs as a function of inputs and [kernel, bias]."""
    names = POSITIONS[-rank:]
    stride = geometry.normalize_tuple(strides, rank, "strides")
    dilation = geometry.normalize_tuple(dilation_rate, rank, "dilation_rate")
    windows = " ".join(f"({s}{n}+{d}k{n})" for n, s, d in zip(names, stride, dilation, strict=True))
    taps, outputs = " ".join(f"k{n}" for n in names), " ".join(names)
    pattern = f"b {windows} (g i), {taps} i g o -> b {outputs} (g o)"
    if data_format == "channels_first":
        pattern = f"b (g i) {windows}, {taps} i g o -> b (g o) {outputs}"
    pads = dict(zip(names, geometry.normalize_padding(padding, rank), strict=True))
    modes = dict(zip(names, geometry.normalize_padding_mode(padding_mode, rank), strict=True))

    def compute(inputs: Array, weights: list[Array]) -> Array:
        kernel = transform(weights[0])
        kernel = kernel.reshape(*kernel.shape[:-1], groups, -1)
        result = reference.conv(
            pattern,
            inputs,
            kernel,
            padding=pads,
            padding_mode=modes,
            padding_value=padding_value,
            g=groups,
        )
        if len(weights) > 1:
            tail = (1,) * (rank if data_format == "channels_first" else 0)
            result = result + weights[1].reshape(-1, *tail)
        return activation(result)

    return compute


def _texts(rank: int, strides: Any, dilation_rate: Any) -> tuple[str, str, str]:
    """Return the text of windows, taps and positions."""
    names = POSITIONS[-rank:]
    stride = geometry.normalize_tuple(strides, rank, "strides")
    dilation = geometry.normalize_tuple(dilation_rate, rank, "dilation_rate")
    windows = " ".join(f"({s}{n}+{d}k{n})" for n, s, d in zip(names, stride, dilation, strict=True))
    return windows, " ".join(f"k{n}" for n in names), " ".join(names)


def _edges(rank: int, padding: Any, padding_mode: Any) -> dict[str, Any]:
    names = POSITIONS[-rank:]
    pads = geometry.normalize_padding(padding, rank)
    modes = geometry.normalize_padding_mode(padding_mode, rank)
    return {
        "padding": dict(zip(names, pads, strict=True)),
        "padding_mode": dict(zip(names, modes, strict=True)),
    }


def depthwise_definition(
    rank: int,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    dilation_rate: Any = 1,
    transform: Callable[[Array], Array] = lambda kernel: kernel,
) -> Reference:
    """Return a depthwise or separable layer's outputs from its inputs and weights."""
    windows, taps, outputs = _texts(rank, strides, dilation_rate)
    edges = _edges(rank, padding, padding_mode)

    def compute(inputs: Array, weights: list[Array]) -> Array:
        kernel, *rest = weights
        filters = kernel.reshape(*kernel.shape[:-2], 1, -1)
        result = reference.conv(
            f"b {windows} c, {taps} c m -> b {outputs} (c m)",
            inputs,
            transform(filters).reshape(kernel.shape),
            padding_value=padding_value,
            **edges,
        )
        if rest and rest[0].ndim > 1:
            pointwise = rest.pop(0)
            result = result @ pointwise.reshape(pointwise.shape[-2:])
        return result + rest[0] if rest else result

    return compute


def transposed_definition(
    rank: int,
    *,
    crop: Any,
    strides: Any = 1,
    padding_mode: Any = "constant",
    dilation_rate: Any = 1,
    groups: int = 1,
) -> Reference:
    """Return a transposed layer's outputs; `crop` is what each side loses, given by the test."""
    windows, taps, outputs = _texts(rank, strides, dilation_rate)
    edges = _edges(rank, crop, padding_mode)

    def compute(inputs: Array, weights: list[Array]) -> Array:
        kernel = weights[0].reshape(*weights[0].shape[:-1], groups, -1)
        pattern = f"b {outputs} (g i), {taps} o g i -> b {windows} (g o)"
        result = reference.conv(pattern, inputs, kernel, g=groups, **edges)
        return result + weights[1] if len(weights) > 1 else result

    return compute


def local_definition(
    rank: int,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    dilation_rate: Any = 1,
    groups: int = 1,
) -> Reference:
    """Return a locally connected layer's outputs."""
    windows, taps, outputs = _texts(rank, strides, dilation_rate)
    edges = _edges(rank, padding, padding_mode)

    def compute(inputs: Array, weights: list[Array]) -> Array:
        kernel = weights[0].reshape(*weights[0].shape[:-1], groups, -1)
        pattern = f"b {windows} (g i), {outputs} {taps} i g o -> b {outputs} (g o)"
        result = reference.conv(pattern, inputs, kernel, g=groups, **edges)
        return result + weights[1] if len(weights) > 1 else result

    return compute


def dynamic_definition(pattern: str, **options: Any) -> Reference:
    """Return the outputs for inputs [x, kernel], and a bias as the only weight."""
    return lambda inputs, weights: (
        reference.conv(pattern, *inputs, **options) + (weights[0] if weights else 0.0)
    )


def from_weights(
    rank: int, made: Callable[[list[Array]], tuple[Array, ...]], **options: Any
) -> Reference:
    """Return a layer's outputs where kernel and bias follow from all of its weights."""
    compute = definition(rank, **options)
    return lambda inputs, weights: compute(inputs, list(made(weights)))


def standardized(kernel: Array, epsilon: float = 1e-5) -> Array:
    """The formula, in NumPy."""
    axes = tuple(range(kernel.ndim - 1))
    return (kernel - kernel.mean(axes)) / np.sqrt(kernel.var(axes) + epsilon)


def weight_normed(kernel: Array, length: Array) -> Array:
    """The formula, in NumPy."""
    return length * kernel / np.sqrt((kernel**2).sum(tuple(range(kernel.ndim - 1))))


def spectral_normed(kernel: Array, vector: Array, *, circular: bool = False) -> Array:
    """The formula, in NumPy: of the matrix, or of the 2-D convolution whose edges meet."""
    image = kernel.reshape(-1, kernel.shape[-1]).T @ vector.reshape(-1) if not circular else None
    if circular:
        pattern = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
        image = reference.conv(pattern, vector, kernel, padding="same", padding_mode="wrap")
    return kernel / np.linalg.norm(image)


def central_difference(kernel: Array, theta: float) -> Array:
    """The formula, in NumPy."""
    result = kernel.copy()
    centre = tuple(n // 2 for n in kernel.shape[:-2])
    result[centre] -= theta * kernel.sum(tuple(range(kernel.ndim - 2)))
    return result


def batch_normed(inputs: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> Array:
    """The formula, in NumPy, with the statistics that were kept."""
    return gamma * (inputs - mean) / np.sqrt(variance + 1e-3) + beta


def branches_reference(
    pads: list[Any], *, strides: int = 1, groups: int = 1, inputs_too: bool = False
) -> Reference:
    """Return the sum of normalised convolutions, each padded by amounts of its own."""

    def compute(inputs: Array, weights: list[Array]) -> Array:
        kernels, rest = weights[: len(pads)], weights[len(pads) :]
        norms = [rest[i : i + 4] for i in range(0, len(rest), 4)]
        branches = [
            definition(2, padding=pad, strides=strides, groups=groups)(inputs, [kernel])
            for kernel, pad in zip(kernels, pads, strict=True)
        ]
        branches += [inputs] if inputs_too else []
        return sum(batch_normed(b, *norm) for b, norm in zip(branches, norms, strict=True))

    return compute


def diverse_branches(inputs: Array, weights: list[Array]) -> Array:
    """The diverse branch block, "same": zeros around the image come first."""
    full, point, deep_point, deep_full, mean_point, *rest = weights
    of_full, of_point, of_deep, of_mean = rest[:4], rest[4:8], rest[11:15], rest[17:]
    (gamma, *inner), inner_of_mean = rest[8:11], rest[15:17]
    valid, same = definition(2), definition(2, padding="same")
    around = np.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    one, zero = np.ones(1), np.zeros(1)
    deep = valid(batch_normed(valid(around, [deep_point]), gamma, zero, *inner), [deep_full])
    means = batch_normed(valid(around, [mean_point]), one, zero, *inner_of_mean)
    averaged = np.lib.stride_tricks.sliding_window_view(means, (3, 3), (1, 2)).mean((-1, -2))
    branches = [same(inputs, [full]), valid(inputs, [point]), deep, averaged]
    behind = [of_full, of_point, of_deep, of_mean]
    return sum(batch_normed(b, *norm) for b, norm in zip(branches, behind, strict=True))


def pattern_reference(pattern: str, kernel: Any, **options: Any) -> Reference:
    """Return a fixed layer's outputs: its kernel is the array, not the layer's weight."""
    array = np.asarray(kernel, "float64")
    return lambda inputs, weights: reference.conv(pattern, inputs, array, **options)


def conv_case(layer_class: type[Any], shape: tuple[int, ...], **kwargs: Any) -> LayerCase:
    """Return a case whose reference follows from the same arguments."""
    rank = len(shape) - 2
    options = {k: v for k, v in kwargs.items() if k not in ("activation", "kernel_transform")}
    options.pop("use_bias", None)
    if kwargs.get("activation") == "tanh":
        options["activation"] = np.tanh
    if "kernel_transform" in kwargs or "Standardized" in layer_class.__name__:
        options["transform"] = standardized
    return LayerCase(
        layer_class,
        {"filters": 4, "kernel_size": 3, **kwargs},
        shape,
        reference=definition(rank, **{k: v for k, v in options.items() if k not in _SHAPED}),
    )


_SHAPED = ("filters", "kernel_size")

_FILTER = [[1.0, 2.0, 0.5], [-1.0, 0.25, 3.0]]
_OUTER = np.outer([1.0, 2.0, -1.0], [0.5, 1.0])
_BANK = np.arange(12.0).reshape(2, 3, 2) / 7 - 1
_MIXING = np.arange(36.0).reshape(2, 3, 3, 2) / 9 - 2

CASES: dict[str, LayerCase] = {
    "conv1d": conv_case(layers.Conv1D, (2, 9, 3), activation="tanh"),
    "conv1d causal dilated": conv_case(layers.Conv1D, (2, 9, 3), padding="causal", dilation_rate=2),
    "conv1d pair": conv_case(
        layers.Conv1D, (2, 9, 3), padding=(3, 1), padding_mode=("reflect", "edge"), strides=2
    ),
    "conv2d": conv_case(layers.Conv2D, (2, 7, 6, 3), padding="same"),
    "conv2d strides with dilation": conv_case(
        layers.Conv2D,
        (2, 9, 8, 3),
        strides=(2, 3),
        dilation_rate=(1, 2),
        padding="same_lower",
        padding_mode="symmetric",
        use_bias=False,
    ),
    "conv2d groups": conv_case(layers.Conv2D, (2, 6, 7, 6), groups=2, padding="full"),
    "conv2d per axis": conv_case(
        layers.Conv2D,
        (2, 6, 7, 3),
        kernel_size=(2, 3),
        padding=((1, 2), "same"),
        padding_mode=("wrap", ("edge", "constant")),
    ),
    "conv2d renormalize": conv_case(
        layers.Conv2D, (2, 6, 7, 3), padding=1, padding_mode="renormalize"
    ),
    "conv2d padding value": conv_case(layers.Conv2D, (2, 6, 7, 3), padding=1, padding_value=2.5),
    "conv2d transformed": conv_case(
        layers.Conv2D, (2, 6, 7, 3), kernel_transform=transforms.Standardize(1e-5)
    ),
    "conv2d channels first": conv_case(
        layers.Conv2D, (2, 3, 7, 6), data_format="channels_first", padding="same"
    ),
    "conv3d": conv_case(layers.Conv3D, (1, 4, 5, 6, 2), kernel_size=(2, 3, 1), padding="same"),
    "conv3d reflect": conv_case(
        layers.Conv3D, (1, 4, 5, 6, 2), padding=(1, (2, 0), 1), padding_mode="reflect", strides=2
    ),
    "standardized conv1d": conv_case(layers.StandardizedConv1D, (2, 9, 3)),
    "standardized conv2d": conv_case(layers.StandardizedConv2D, (2, 6, 7, 3), padding="same"),
    "standardized conv3d": conv_case(layers.StandardizedConv3D, (1, 4, 5, 6, 2)),
    "depthwise conv1d": LayerCase(
        layers.DepthwiseConv1D,
        {"kernel_size": 3, "padding": "causal", "dilation_rate": 2, "strides": 2},
        (2, 9, 3),
        depthwise_definition(1, padding="causal", dilation_rate=2, strides=2),
    ),
    "depthwise conv2d": LayerCase(
        layers.DepthwiseConv2D,
        {
            "kernel_size": (3, 2),
            "strides": (2, 1),
            "depth_multiplier": 2,
            "padding": 1,
            "padding_mode": ("reflect", "wrap"),
        },
        (2, 7, 6, 3),
        depthwise_definition(2, strides=(2, 1), padding=1, padding_mode=("reflect", "wrap")),
    ),
    "depthwise conv2d transformed": LayerCase(
        layers.DepthwiseConv2D,
        {"kernel_size": 3, "depth_multiplier": 2, "kernel_transform": "standardize"},
        (2, 7, 6, 3),
        depthwise_definition(2, transform=standardized),
    ),
    "depthwise conv3d": LayerCase(
        layers.DepthwiseConv3D,
        {"kernel_size": (2, 3, 1), "padding": "same", "use_bias": False},
        (1, 4, 5, 6, 2),
        depthwise_definition(3, padding="same"),
    ),
    "separable conv1d": LayerCase(
        layers.SeparableConv1D,
        {"filters": 4, "kernel_size": 3, "padding": "causal", "padding_value": 1.5},
        (2, 9, 3),
        depthwise_definition(1, padding="causal", padding_value=1.5),
    ),
    "separable conv2d": LayerCase(
        layers.SeparableConv2D,
        {
            "filters": 4,
            "kernel_size": 3,
            "strides": 2,
            "dilation_rate": (1, 2),
            "depth_multiplier": 2,
            "padding": "same",
            "padding_mode": "symmetric",
            "depthwise_transform": "standardize",
        },
        (2, 9, 8, 3),
        depthwise_definition(
            2,
            strides=2,
            dilation_rate=(1, 2),
            padding="same",
            padding_mode="symmetric",
            transform=standardized,
        ),
    ),
    "separable conv3d": LayerCase(
        layers.SeparableConv3D,
        {"filters": 3, "kernel_size": 2, "padding": "full", "use_bias": False},
        (1, 4, 5, 6, 2),
        depthwise_definition(3, padding="full"),
    ),
    "conv1d transpose": LayerCase(
        layers.Conv1DTranspose,
        {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": (2, 1)},
        (2, 6, 3),
        transposed_definition(1, strides=2, dilation_rate=2, crop=((2, 1),)),
    ),
    "conv2d transpose": LayerCase(
        layers.Conv2DTranspose,
        {
            "filters": 4,
            "kernel_size": (3, 2),
            "strides": 2,
            "padding": 1,
            "padding_mode": ("wrap", "constant"),
            "groups": 2,
        },
        (2, 5, 4, 6),
        transposed_definition(2, strides=2, crop=1, padding_mode=("wrap", "constant"), groups=2),
    ),
    "conv2d transpose output padding": LayerCase(
        layers.Conv2DTranspose,
        {
            "filters": 4,
            "kernel_size": 3,
            "strides": (3, 2),
            "padding": 1,
            "output_padding": (2, 1),
            "use_bias": False,
        },
        (2, 4, 5, 3),
        transposed_definition(2, strides=(3, 2), crop=((1, -1), (1, 0))),
    ),
    "conv3d transpose": LayerCase(
        layers.Conv3DTranspose,
        {"filters": 2, "kernel_size": (1, 3, 2), "strides": (1, 2, 1), "padding": (0, 1, 0)},
        (1, 3, 4, 3, 2),
        transposed_definition(3, strides=(1, 2, 1), crop=(0, 1, 0)),
    ),
    "conv4d": LayerCase(
        layers.ConvND,
        {"rank": 4, "filters": 2, "kernel_size": (1, 2, 3, 2), "padding": "same", "strides": 2},
        (1, 2, 3, 4, 3, 2),
        definition(4, padding="same", strides=2),
    ),
    "locally connected 1d": LayerCase(
        layers.LocallyConnected1D,
        {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "groups": 2},
        (2, 6, 4),
        local_definition(1, padding="causal", dilation_rate=2, groups=2),
        spatial_axes=(),
    ),
    "locally connected 2d": LayerCase(
        layers.LocallyConnected2D,
        {"filters": 2, "kernel_size": (2, 3), "strides": 2, "padding": 1, "padding_mode": "edge"},
        (2, 5, 6, 3),
        local_definition(2, strides=2, padding=1, padding_mode="edge"),
        spatial_axes=(),
    ),
    "locally connected 3d": LayerCase(
        layers.LocallyConnected3D,
        {"filters": 2, "kernel_size": 2, "use_bias": False},
        (1, 3, 4, 3, 2),
        local_definition(3),
        spatial_axes=(),
    ),
    "masked conv2d": LayerCase(
        layers.MaskedConv2D,
        {"filters": 4, "kernel_size": 3, "mask": "A", "mask_groups": 2, "padding": "same"},
        (2, 6, 7, 2),
        definition(
            2,
            padding="same",
            transform=lambda kernel: kernel * transforms.CausalMask("A", 2).array(kernel.shape),
        ),
    ),
    "masked conv2d array": LayerCase(
        layers.MaskedConv2D,
        {"filters": 4, "kernel_size": 2, "mask": [[1, 0], [1, 1]]},
        (2, 6, 7, 3),
        definition(
            2, transform=lambda kernel: kernel * np.array([[1, 0], [1, 1]])[..., None, None]
        ),
    ),
    "central difference conv2d": LayerCase(
        layers.CentralDifferenceConv2D,
        {"filters": 4, "kernel_size": 3, "theta": 0.4, "padding": "same"},
        (2, 6, 7, 3),
        definition(2, padding="same", transform=lambda kernel: central_difference(kernel, 0.4)),
    ),
    "pattern": LayerCase(
        layers.PatternConv,
        {
            "pattern": "b (2h+kh) (w+kw) c, kh c, kw c, c o -> b h w o",
            "kh": 3,
            "kw": 2,
            "o": 4,
            "bias": "o",
            "padding": "same",
            "padding_mode": "edge",
        },
        (2, 6, 7, 3),
        lambda inputs, weights: (
            weights[-1]
            + reference.conv(
                "b (2h+kh) (w+kw) c, kh c, kw c, c o -> b h w o",
                inputs,
                *weights[:-1],
                padding="same",
                padding_mode="edge",
            )
        ),
    ),
    "weight norm conv2d": LayerCase(
        layers.WeightNormConv2D,
        {"filters": 4, "kernel_size": 3, "padding": "same"},
        (2, 6, 7, 3),
        from_weights(2, lambda w: (weight_normed(w[0], w[2]), w[1]), padding="same"),
    ),
    "weight norm conv1d standardized": LayerCase(
        layers.WeightNormConv1D,
        {"filters": 4, "kernel_size": 3, "kernel_transform": "standardize"},
        (2, 9, 3),
        from_weights(1, lambda w: (weight_normed(standardized(w[0]), w[2]), w[1])),
    ),
    "weight norm conv3d": LayerCase(
        layers.WeightNormConv3D,
        {"filters": 3, "kernel_size": 2},
        (1, 3, 4, 5, 2),
        from_weights(3, lambda w: (weight_normed(w[0], w[2]), w[1])),
    ),
    "spectral norm conv3d": LayerCase(
        layers.SpectralNormConv3D,
        {"filters": 3, "kernel_size": 2},
        (1, 3, 4, 5, 2),
        from_weights(3, lambda w: (spectral_normed(w[0], w[2]), w[1])),
        state=("vector",),
    ),
    "spectral norm conv1d": LayerCase(
        layers.SpectralNormConv1D,
        {"filters": 4, "kernel_size": 3, "strides": 2},
        (2, 9, 3),
        from_weights(1, lambda w: (spectral_normed(w[0], w[2]), w[1]), strides=2),
        state=("vector",),
    ),
    "spectral norm conv2d of the convolution": LayerCase(
        layers.SpectralNormConv2D,
        {"filters": 4, "kernel_size": 3, "input_size": (5, 6), "use_bias": False},
        (2, 6, 7, 3),
        from_weights(2, lambda w: (spectral_normed(w[0], w[1], circular=True),)),
        state=("vector",),
    ),
    "scaled standardized conv2d": LayerCase(
        layers.ScaledStandardizedConv2D,
        {"filters": 4, "kernel_size": 3, "gain": 1.7, "padding": "same"},
        (2, 6, 7, 3),
        from_weights(
            2, lambda w: (w[2] * 1.7 / 27**0.5 * standardized(w[0], 0.0), w[1]), padding="same"
        ),
    ),
    "gabor conv2d": LayerCase(
        layers.GaborConv2D,
        {"filters": 4, "kernel_size": 5, "padding": "same", "padding_mode": "reflect"},
        (2, 6, 7, 2),
    ),
    "sinc conv1d": LayerCase(
        layers.SincConv1D,
        {"filters": 4, "kernel_size": 9, "sample_rate": 8000, "padding": "same"},
        (2, 15, 1),
    ),
    "low rank conv2d": LayerCase(
        layers.Conv2D,
        {
            "filters": 4,
            "kernel_size": 3,
            "kernel_transform": transforms.serialize(transforms.CP(5)),
            "groups": 2,
        },
        (2, 6, 7, 4),
        from_weights(2, lambda w: (np.einsum("hr,wr,ir,or->hwio", *w[1:]), w[0]), groups=2),
    ),
    "blur pool 1d": LayerCase(
        layers.BlurPool1D,
        {"pool_size": 3, "kernel_size": 4},
        (2, 11, 3),
        pattern_reference(
            "b (3w+kw) c, kw -> b w c",
            [1 / 8, 3 / 8, 3 / 8, 1 / 8],
            padding={"w": (1, 2)},
            padding_mode="reflect",
        ),
    ),
    "blur pool 2d": LayerCase(
        layers.BlurPool2D,
        {"pool_size": (2, 1), "padding_mode": "edge"},
        (2, 6, 7, 3),
        pattern_reference(
            "b (2h+kh) (w+kw) c, kh kw -> b h w c",
            np.outer([1, 2, 1], [1, 2, 1]) / 16,
            padding=1,
            padding_mode="edge",
        ),
    ),
    "blur pool 3d": LayerCase(
        layers.BlurPool3D,
        {"kernel_size": (1, 3, 3)},
        (1, 4, 5, 6, 2),
        pattern_reference(
            "b (2d+kd) (2h+kh) (2w+kw) c, kd kh kw -> b d h w c",
            np.outer([1, 2, 1], [1, 2, 1])[None] / 16,
            padding={"d": 0, "h": 1, "w": 1},
            padding_mode="reflect",
        ),
    ),
    "repvgg conv2d": LayerCase(
        layers.RepVGGConv2D,
        {"filters": 3, "kernel_size": 3, "padding": "same"},
        (2, 6, 7, 3),
        branches_reference([1, 0], inputs_too=True),
        state=("moving_mean", "moving_variance"),
    ),
    "ac conv2d": LayerCase(
        layers.ACConv2D,
        {"filters": 4, "kernel_size": 3, "padding": 1, "strides": 2},
        (2, 6, 7, 3),
        branches_reference([1, (1, 0), (0, 1)], strides=2),
        state=("moving_mean", "moving_variance"),
    ),
    "diverse branch conv2d": LayerCase(
        layers.DiverseBranchConv2D,
        {"filters": 6, "kernel_size": 3, "padding": "same"},
        (2, 6, 7, 4),
        diverse_branches,
        state=("moving_mean", "moving_variance"),
    ),
    "fixed conv1d": LayerCase(
        layers.FixedConv1D,
        {"kernel": [1.0, -2.0, 0.5], "padding": "same"},
        (2, 7, 3),
        pattern_reference("b (w+kw) c, kw -> b w c", [1.0, -2.0, 0.5], padding="same"),
    ),
    "fixed conv2d name": LayerCase(
        layers.FixedConv2D,
        {"kernel": "sobel_x", "padding": "same", "padding_mode": "edge"},
        (2, 6, 7, 3),
        pattern_reference(
            "b (h+kh) (w+kw) c, kh kw -> b h w c",
            [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
            padding="same",
            padding_mode="edge",
        ),
    ),
    "fixed conv2d filter": LayerCase(
        layers.FixedConv2D,
        {
            "kernel": _FILTER,
            "strides": 2,
            "dilation_rate": (2, 1),
            "padding": "full",
            "padding_value": 1.5,
        },
        (2, 6, 7, 3),
        pattern_reference(
            "b (2h+2kh) (2w+kw) c, kh kw -> b h w c", _FILTER, padding="full", padding_value=1.5
        ),
    ),
    "fixed conv2d bank": LayerCase(
        layers.FixedConv2D,
        {"kernel": _BANK},
        (2, 6, 7, 3),
        pattern_reference("b (h+kh) (w+kw) c, kh kw n -> b h w (c n)", _BANK),
    ),
    "fixed conv2d mixing": LayerCase(
        layers.FixedConv2D,
        {"kernel": _MIXING, "padding": ((1, 0), (0, 2)), "padding_mode": "wrap"},
        (2, 6, 7, 3),
        pattern_reference(
            "b (h+kh) (w+kw) i, kh kw i o -> b h w o",
            _MIXING,
            padding={"h": (1, 0), "w": (0, 2)},
            padding_mode="wrap",
        ),
    ),
    "fixed conv2d trainable": LayerCase(
        layers.FixedConv2D, {"kernel": _FILTER, "trainable": True}, (2, 6, 7, 3)
    ),
    "fixed conv2d separated": LayerCase(
        layers.FixedConv2D,
        {"kernel": _OUTER, "separable": True, "padding": 1, "padding_mode": "reflect"},
        (2, 6, 7, 3),
        pattern_reference(
            "b (h+kh) (w+kw) c, kh kw -> b h w c", _OUTER, padding=1, padding_mode="reflect"
        ),
    ),
    "fixed conv2d no channels": LayerCase(
        layers.FixedConv2D,
        {"kernel": _FILTER, "channel_axis": None},
        (2, 6, 7),
        pattern_reference("b (h+kh) (w+kw), kh kw -> b h w", _FILTER),
        channel_axis=None,
    ),
    "fixed conv2d bank no channels": LayerCase(
        layers.FixedConv2D,
        {"kernel": _BANK, "channel_axis": None},
        (2, 6, 7),
        pattern_reference("b (h+kh) (w+kw), kh kw n -> b h w n", _BANK),
        channel_axis=None,
    ),
    "fixed conv2d one to many no channels": LayerCase(
        layers.FixedConv2D,
        {"kernel": _BANK[:, :, None], "channel_axis": None, "data_format": "channels_first"},
        (2, 6, 7),
        pattern_reference("b (h+kh) (w+kw), kh kw n -> b n h w", _BANK),
        channel_axis=None,
    ),
    "fixed conv3d": LayerCase(
        layers.FixedConv3D,
        {"kernel": "box", "padding": "same", "padding_mode": "symmetric"},
        (1, 4, 5, 6, 2),
        pattern_reference(
            "b (d+kd) (h+kh) (w+kw) c, kd kh kw -> b d h w c",
            np.full((3, 3, 3), 1 / 27),
            padding="same",
            padding_mode="symmetric",
        ),
    ),
    "dynamic conv1d": LayerCase(
        layers.DynamicConv1D,
        {"padding": "causal", "groups": 2},
        [(2, 9, 4), (2, 3, 2, 6)],
        dynamic_definition("b (w+kw) (g i), b kw i (g o) -> b w (g o)", padding="causal", g=2),
        channel_axis=[-1, None],
        spatial_axes=[None, ()],
    ),
    "dynamic conv2d": LayerCase(
        layers.DynamicConv2D,
        {"strides": 2, "padding": "same", "padding_mode": "reflect", "use_bias": True},
        [(2, 7, 6, 3), (2, 3, 2, 3, 4)],
        dynamic_definition(
            "b (2h+kh) (2w+kw) i, b kh kw i o -> b h w o", padding="same", padding_mode="reflect"
        ),
        channel_axis=[-1, None],
        spatial_axes=[None, ()],
    ),
    "dynamic conv3d": LayerCase(
        layers.DynamicConv3D,
        {"depthwise": True},
        [(2, 4, 5, 4, 2), (2, 2, 1, 3, 2, 2)],
        dynamic_definition("b (d+kd) (h+kh) (w+kw) c, b kd kh kw c m -> b d h w (c m)"),
        channel_axis=[-1, None],
        spatial_axes=[None, ()],
    ),
}

ONE_OF_EACH = {case.layer_class.__name__: case for case in CASES.values()}
"""The last case of each layer, for what takes long."""


def starting_at_zero(case: LayerCase) -> LayerCase:
    """Leave the initialisers out: weights are drawn anyway, and JAX compiles each for a second."""
    if case.state:
        return case  # What moves beside the weights starts from their initial values.
    config = case.make().get_config()
    zeros = {name: "zeros" for name in config if name.endswith("_initializer")}
    return replace(case, init_kwargs={**case.init_kwargs, **zeros})

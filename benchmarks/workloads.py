"""The work that is measured, as data: a pattern with shapes, and what others write for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

ops: Any = keras.ops  # Keras's inferred types are too vague to check against.

DENSE = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)"


@dataclass(frozen=True)
class Workload:
    """One piece of work.

    `keras` is what a Keras user writes today, as a function of the operands; None where Keras has
    nothing. `peer` names a function of `benchmarks.peers`: the backend's own best.
    """

    name: str
    pattern: str
    shapes: tuple[tuple[int, ...], ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    keras: Callable[..., Any] | None = None
    peer: str | None = None
    quick: bool = True


def _dense(**arguments: Any) -> Callable[..., Any]:
    return lambda x, k: ops.conv(x, k, **arguments)


def _depthwise(**arguments: Any) -> Callable[..., Any]:
    return lambda x, k: ops.depthwise_conv(x, k, **arguments)


def _per_sample(x: Any, kernel: Any) -> Any:
    return ops.vectorized_map(lambda pair: ops.conv(pair[0][None], pair[1])[0], (x, kernel))


def _per_pixel(x: Any, kernel: Any) -> Any:
    batch, height, width, channels = x.shape
    taps, groups = kernel.shape[3], kernel.shape[5]
    patches = ops.image.extract_patches(x, taps, 1, padding="same", data_format="channels_last")
    patches = ops.reshape(patches, (batch, height, width, taps, taps, groups, channels // groups))
    y = ops.einsum("bhwklgc,bhwklg->bhwgc", patches, kernel)
    return ops.reshape(y, (batch, height, width, channels))


def _reflect(x: Any, kernel: Any) -> Any:
    low, high = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
    x = ops.pad(x, ((0, 0), (low, high), (low, high), (0, 0)), mode="reflect")
    return ops.conv(x, kernel)


def _grouped(x: Any, kernel: Any) -> Any:
    *taps, depth, groups, features = kernel.shape
    return ops.conv(x, ops.reshape(kernel, (*taps, depth, groups * features)), padding="same")


def _separable(x: Any, kernel: Any, mixing: Any) -> Any:
    return ops.separable_conv(x, kernel[..., None], mixing[None, None], padding="same")


def _transposed(x: Any, kernel: Any) -> Any:
    turned = ops.transpose(kernel, (0, 1, 3, 2))
    return ops.conv_transpose(x, turned, strides=2, padding="same")


def _mixture(x: Any, experts: Any, weights: Any) -> Any:
    return _per_sample(
        ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
        ops.einsum("be,ehwio->bhwio", weights, experts),
    )


def _low_rank(x: Any, rows: Any, columns: Any, inner: Any, outer: Any) -> Any:
    y = ops.matmul(x, inner)
    y = ops.depthwise_conv(y, rows[:, None, :, None], padding="same")
    y = ops.depthwise_conv(y, columns[None, :, :, None], padding="same")
    return ops.matmul(y, ops.transpose(outer))


def _correlation(x: Any, other: Any) -> Any:
    reach = other.shape[1] - x.shape[1] + 1
    height, width = x.shape[1:3]
    rows = [
        ops.stack(
            [ops.sum(x * other[:, i : i + height, j : j + width], -1) for j in range(reach)], -1
        )
        for i in range(reach)
    ]
    return ops.stack(rows, -2)


SAME = {"padding": "same"}


def _depthwise_case(name: str, shape: tuple[int, ...], taps: int, quick: bool = True) -> Workload:
    return Workload(
        f"depthwise {taps}x{taps} {name}",
        DEPTHWISE,
        (shape, (taps, taps, shape[-1], 1)),
        SAME,
        _depthwise(**SAME),
        "depthwise",
        quick,
    )


WORKLOADS: tuple[Workload, ...] = (
    Workload(
        "dense 3x3, 56x56x64",
        DENSE,
        ((8, 56, 56, 64), (3, 3, 64, 64)),
        SAME,
        _dense(**SAME),
        "conv",
    ),
    Workload(
        "dense 3x3, 14x14x256",
        DENSE,
        ((8, 14, 14, 256), (3, 3, 256, 256)),
        SAME,
        _dense(**SAME),
        "conv",
        quick=False,
    ),
    Workload(
        "dense 3x3 channels first",
        "b i (h+kh) (w+kw), kh kw i o -> b o h w",
        ((8, 64, 56, 56), (3, 3, 64, 64)),
        SAME,
        _dense(**SAME, data_format="channels_first"),
        quick=False,
    ),
    Workload(
        "dense 3x3 stride 2",
        "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o",
        ((8, 56, 56, 64), (3, 3, 64, 128)),
        SAME,
        _dense(**SAME, strides=2),
    ),
    Workload(
        "dense 3x3 stride 2 dilation 2",
        "b (2h+2kh) (2w+2kw) i, kh kw i o -> b h w o",
        ((8, 56, 56, 64), (3, 3, 64, 64)),
        SAME,
        quick=False,
    ),
    Workload(
        "dense 3x3 reflect",
        DENSE,
        ((8, 56, 56, 64), (3, 3, 64, 64)),
        {"padding": "same", "padding_mode": "reflect"},
        _reflect,
    ),
    Workload(
        "grouped 3x3, 32 groups",
        "b (h+kh) (w+kw) (g i), kh kw i g o -> b h w (g o)",
        ((8, 28, 28, 256), (3, 3, 8, 32, 8)),
        SAME,
        _grouped,
    ),
    _depthwise_case("MobileNet", (16, 112, 112, 32), 3),
    _depthwise_case("ConvNeXt", (8, 56, 56, 96), 7),
    _depthwise_case("large", (4, 56, 56, 96), 15, quick=False),
    _depthwise_case("RepLKNet", (2, 56, 56, 48), 31),
    Workload(
        "depthwise causal 4, 1-D",
        "b (t+k) c, k c -> b t c",
        ((4, 4096, 256), (4, 256)),
        {"padding": "causal"},
        lambda x, k: ops.depthwise_conv(ops.pad(x, ((0, 0), (3, 0), (0, 0))), k[..., None]),
    ),
    Workload(
        "separable 3x3",
        "b (h+kh) (w+kw) c, kh kw c, c o -> b h w o",
        ((8, 56, 56, 64), (3, 3, 64), (64, 128)),
        SAME,
        _separable,
    ),
    Workload(
        "transposed 4x4 stride 2",
        "b h w i, kh kw i o -> b (2h+kh) (2w+kw) o",
        ((8, 28, 28, 64), (4, 4, 64, 32)),
        SAME,
        _transposed,
    ),
    Workload(
        "per sample 3x3",
        "b (h+kh) (w+kw) i, b kh kw i o -> b h w o",
        ((32, 64, 64, 16), (32, 3, 3, 16, 16)),
        {},
        _per_sample,
    ),
    Workload(
        "per pixel 7x7 (involution)",
        "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)",
        ((4, 56, 56, 128), (4, 56, 56, 7, 7, 8)),
        SAME,
        _per_pixel,
    ),
    Workload(
        "locally connected 3x3",
        "b (h+kh) (w+kw) i, h w kh kw i o -> b h w o",
        ((16, 30, 30, 16), (28, 28, 3, 3, 16, 16)),
        quick=False,
    ),
    Workload(
        "mixture of 4 kernels",
        "b (h+kh) (w+kw) i, e kh kw i o, b e -> b h w o",
        ((16, 28, 28, 64), (4, 3, 3, 64, 64), (16, 4)),
        SAME,
        _mixture,
    ),
    Workload(
        "correlation 9x9",
        "b h w c, b (h+dh) (w+dw) c -> b h w dh dw",
        ((2, 40, 40, 64), (2, 48, 48, 64)),
        {},
        _correlation,
    ),
    Workload(
        "low rank 5x5, rank 16",
        "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o",
        ((8, 56, 56, 64), (5, 16), (5, 16), (64, 16), (64, 16)),
        SAME,
        _low_rank,
    ),
    Workload(
        "dense 3x3x3",
        "b (z+kz) (h+kh) (w+kw) i, kz kh kw i o -> b z h w o",
        ((1, 32, 48, 48, 16), (3, 3, 3, 16, 16)),
        SAME,
        _dense(**SAME),
        quick=False,
    ),
    Workload(
        "dense 3x3, batch 1, 14x14x128",
        DENSE,
        ((1, 14, 14, 128), (3, 3, 128, 128)),
        SAME,
        _dense(**SAME),
        "conv",
    ),
)

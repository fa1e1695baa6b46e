"""The work that is measured, as data: a pattern with shapes, and what others write for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import peers, usual
from benchmarks.candidates import Candidate

DENSE = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
FIRST = "b i (h+kh) (w+kw), kh kw i o -> b o h w"
GROUPED = "b (h+kh) (w+kw) (g i), kh kw i g o -> b h w (g o)"
DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)"
SEQUENCE = "b (t+k) i, k i o -> b t o"
DEPTHWISE_SEQUENCE = "b (t+k) c, k c m -> b t (c m)"
PER_SAMPLE = "b (h+kh) (w+kw) i, b kh kw i o -> b h w o"
PER_PIXEL = "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)"
SAME = {"padding": "same"}
OURS = "convsmith"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """One piece of work.

    `keras` is what a Keras user writes today, as a function of the operands; None where Keras has
    nothing. `others` are the bare backends' ways. `beside` are calls of convsmith to compare
    with, by name: arguments that replace `arguments`, such as zero padding beside mirroring.
    `quick` puts it into the quick run; `every_mode` runs it under `torch.compile` too, which takes
    half a minute for each candidate, and in JAX without `jit`, which Keras never does.
    """

    name: str
    pattern: str
    shapes: tuple[Shape, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    keras: Callable[..., Any] | None = None
    others: tuple[Candidate, ...] = ()
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    quick: bool = False
    every_mode: bool = False
    directions: tuple[str, ...] = ("forward", "backward")

    def candidates(self, backend: str) -> list[Candidate]:
        """Return the ways to do it on a backend, convsmith first."""
        found = [Candidate(OURS, self.call())]
        if self.keras is not None:
            found.append(Candidate("keras", self.keras))
        found += [c for c in self.others if backend in c.backends]
        for name, arguments in self.beside.items():
            found.append(Candidate(name, self.call(**arguments), comparable=False))
        return found

    def call(self, **changes: Any) -> Callable[..., Any]:
        """Return the work as a call of `cs.conv`, with some arguments replaced."""
        arguments = {**self.arguments, **changes}

        def run(*operands: Any) -> Any:
            import convsmith as cs

            return cs.conv(self.pattern, *operands, **arguments)

        return run


def _dense(name: str, shape: Shape, taps: int, features: int, **options: Any) -> Workload:
    shapes = (shape, (taps, taps, shape[-1], features))
    return Workload(name, DENSE, shapes, SAME, usual.dense(), peers.dense(), **options)


def _dense_first(name: str, shape: Shape, taps: int, features: int, **options: Any) -> Workload:
    return Workload(
        name,
        FIRST,
        (shape, (taps, taps, shape[1], features)),
        SAME,
        usual.dense(data_format="channels_first"),
        peers.dense(channels_first=True),
        **options,
    )


def _spaced(
    name: str, pattern: str, features: int, s: int, d: int, batch: int = 8, **options: Any
) -> Workload:
    return Workload(
        name,
        pattern,
        ((batch, 56, 56, 64), (3, 3, 64, features)),
        SAME,
        usual.dense(strides=s, dilation_rate=d),
        peers.dense(strides=s, dilation=d),
        **options,
    )


def depthwise(name: str, shape: Shape, taps: int, **options: Any) -> Workload:
    """Return a "same" depthwise convolution, one output for each channel."""
    shapes = (shape, (taps, taps, shape[-1], 1))
    own = usual.depthwise()
    return Workload(name, DEPTHWISE, shapes, SAME, own, peers.depthwise(), **options)


def _padded(mode: str, taps: int, channels: int, **options: Any) -> Workload:
    return Workload(
        f"{mode} padding, dense {taps}x{taps}, {channels} channels",
        DENSE,
        ((8, 56, 56, channels), (taps, taps, channels, channels)),
        {"padding": "same", "padding_mode": mode},
        usual.padded_dense(mode),
        beside={"zero padding": {"padding_mode": "constant"}},
        **options,
    )


def _length(length: int, **options: Any) -> Workload:
    return Workload(
        f"1-D dense 15, length {length}",
        SEQUENCE,
        ((1, length, 8), (15, 8, 8)),
        SAME,
        usual.dense(),
        peers.dense(1),
        **options,
    )


def _causal(name: str, shape: Shape, taps: int, **options: Any) -> Workload:
    return Workload(
        name,
        DEPTHWISE_SEQUENCE,
        (shape, (taps, shape[-1], 1)),
        {"padding": "causal"},
        usual.causal_depthwise,
        peers.depthwise(1, padding="causal"),
        **options,
    )


def _volume(name: str, shape: Shape, **options: Any) -> Workload:
    return Workload(
        name,
        "b (z+kz) (h+kh) (w+kw) i, kz kh kw i o -> b z h w o",
        (shape, (3, 3, 3, shape[-1], shape[-1])),
        SAME,
        usual.dense(),
        peers.dense(3),
        **options,
    )


DENSE_WORK = (
    _dense("dense 3x3, 56x56x64", (8, 56, 56, 64), 3, 64, quick=True, every_mode=True),
    _dense("dense 3x3, 28x28x128", (8, 28, 28, 128), 3, 128),
    _dense("dense 3x3, 14x14x256", (8, 14, 14, 256), 3, 256),
    _dense("dense 3x3, 7x7x512", (8, 7, 7, 512), 3, 512),
    _dense_first("dense 3x3, channels first, 64x56x56", (8, 64, 56, 56), 3, 64, quick=True),
    _dense_first("dense 3x3, channels first, 128x28x28", (8, 128, 28, 28), 3, 128),
    _dense_first("dense 3x3, channels first, 256x14x14", (8, 256, 14, 14), 3, 256),
    _dense_first("dense 3x3, channels first, 512x7x7", (8, 512, 7, 7), 3, 512),
    _spaced(
        "dense 3x3, stride 2", "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o", 128, 2, 1, quick=True
    ),
    _spaced("dense 3x3, dilation 2", "b (h+2kh) (w+2kw) i, kh kw i o -> b h w o", 64, 1, 2),
    _spaced(
        "dense 3x3, stride 2, dilation 2", "b (2h+2kh) (2w+2kw) i, kh kw i o -> b h w o", 64, 2, 2
    ),
    Workload(
        "grouped 3x3, 32 groups (ResNeXt)",
        GROUPED,
        ((8, 28, 28, 256), (3, 3, 8, 32, 8)),
        SAME,
        usual.grouped,
        peers.dense(grouped=True),
        quick=True,
        every_mode=True,
    ),
    Workload(
        "grouped 3x3, 32 groups of 4, 56x56",
        GROUPED,
        ((8, 56, 56, 128), (3, 3, 4, 32, 4)),
        SAME,
        usual.grouped,
        peers.dense(grouped=True),
    ),
    Workload(
        "transposed 4x4, stride 2",
        "b h w i, kh kw i o -> b (2h+kh) (2w+kw) o",
        ((8, 28, 28, 64), (4, 4, 64, 32)),
        SAME,
        usual.transposed(2),
        peers.transposed(2),
        quick=True,
    ),
)

DEPTHWISE_WORK = (
    depthwise("depthwise 3x3 (MobileNet)", (16, 112, 112, 32), 3, quick=True, every_mode=True),
    depthwise("depthwise 7x7 (ConvNeXt)", (8, 56, 56, 96), 7, quick=True, every_mode=True),
    depthwise("depthwise 15x15", (4, 56, 56, 96), 15),
    depthwise("depthwise 31x31 (RepLKNet), 48 channels", (2, 56, 56, 48), 31, quick=True),
    depthwise("depthwise 31x31 (RepLKNet), 96 channels", (4, 56, 56, 96), 31),
    _causal("1-D depthwise causal 4", (4, 4096, 256), 4, quick=True, every_mode=True),
    _causal("1-D depthwise causal 3, length 65536", (1, 65536, 128), 3),
    Workload(
        "separable 3x3",
        "b (h+kh) (w+kw) c, kh kw c, c o -> b h w o",
        ((8, 56, 56, 64), (3, 3, 64), (64, 128)),
        SAME,
        usual.separable,
        peers.separable(),
        quick=True,
    ),
)

DYNAMIC_WORK = (
    Workload(
        "per sample 3x3",
        PER_SAMPLE,
        ((32, 64, 64, 16), (32, 3, 3, 16, 16)),
        {},
        usual.per_sample,
        peers.per_sample(),
        quick=True,
        every_mode=True,
    ),
    Workload(
        "per pixel 7x7 (involution)",
        PER_PIXEL,
        ((4, 56, 56, 128), (4, 56, 56, 7, 7, 8)),
        SAME,
        usual.per_pixel,
        peers.per_pixel(),
        quick=True,
        every_mode=True,
    ),
    Workload(
        "per pixel 7x7 (involution), 8x56x56x256",
        PER_PIXEL,
        ((8, 56, 56, 256), (8, 56, 56, 7, 7, 16)),
        SAME,
        usual.per_pixel,
        peers.per_pixel(),
    ),
    Workload(
        "locally connected 3x3",
        "b (h+kh) (w+kw) i, h w kh kw i o -> b h w o",
        ((16, 30, 30, 16), (28, 28, 3, 3, 16, 16)),
        {},
        usual.locally_connected,
        quick=True,
    ),
    Workload(
        "mixture of 4 kernels (CondConv)",
        "b (h+kh) (w+kw) i, e kh kw i o, b e -> b h w o",
        ((16, 28, 28, 64), (4, 3, 3, 64, 64), (16, 4)),
        SAME,
        usual.mixture,
        peers.per_sample(mixed=True, padding="same"),
    ),
    Workload(
        "correlation volume 9x9",
        "b h w c, b (h+dh) (w+dw) c -> b h w dh dw",
        ((2, 40, 40, 64), (2, 48, 48, 64)),
        {},
        usual.correlation,
        peers.correlation(),
        quick=True,
    ),
    Workload(
        "low rank 5x5 (CP), rank 16",
        "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o",
        ((8, 56, 56, 64), (5, 16), (5, 16), (64, 16), (64, 16)),
        SAME,
        usual.low_rank,
        peers.low_rank(),
        quick=True,
    ),
)

PADDING_WORK = (
    _padded("reflect", 3, 64, quick=True),
    _padded("wrap", 3, 64),
    _padded("edge", 3, 64),
    _padded("symmetric", 3, 64),
    _padded("reflect", 3, 32),
    _padded("reflect", 7, 32),
    _padded("wrap", 7, 32),
)

SIZE_WORK = (
    *(
        depthwise(
            f"kernel sweep, depthwise {k}x{k}",
            (1, 128, 128, 16),
            k,
            directions=("forward", "backward") if k <= 31 else ("forward",),
        )
        for k in (3, 5, 9, 13, 17, 25, 31, 47, 63, 95, 127)
    ),
    *(_length(n, quick=n == 65536) for n in (4096, 16384, 65536, 262144, 1048576)),
    _volume("3-D dense 3x3x3 (medical), 32x48x48x16", (1, 32, 48, 48, 16), quick=True),
    _volume("3-D dense 3x3x3 (medical), 64x64x64x32", (1, 64, 64, 64, 32)),
    _dense("batch 1, dense 3x3, 14x14x128", (1, 14, 14, 128), 3, 128, quick=True),
    _spaced(
        "batch 1, dense 3x3, stride 2", "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o", 128, 2, 1, 1
    ),
    depthwise("batch 1, depthwise 5x5, 28x28x240", (1, 28, 28, 240), 5),
)

WORKLOADS = (*DENSE_WORK, *DEPTHWISE_WORK, *DYNAMIC_WORK, *PADDING_WORK, *SIZE_WORK)

"""The definition, against PyTorch, JAX, SciPy and NumPy, which share no code with it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax

from convsmith import reference

pytestmark = pytest.mark.backend_free

MANY = settings(max_examples=100)
SPATIAL = {1: "w", 2: "h w", 3: "z h w"}
CONVS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
# NumPy's words, which convsmith uses, in SciPy's and PyTorch's.
SCIPY = {"reflect": "mirror", "symmetric": "reflect", "edge": "nearest", "wrap": "grid-wrap"}
TORCH = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
ALL = ["constant", "edge", "reflect", "symmetric", "wrap"]


def close(found: Any, expected: Any, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: {found.shape}, expected {expected.shape}"
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, err_msg=what)


def names(rank: int) -> list[str]:
    return SPATIAL[rank].split()


class Geometry:
    """One drawn convolution, channels first as PyTorch has them."""

    def __init__(self, draw: Any, rank: int) -> None:
        def each(low: int, high: int) -> list[int]:
            return [draw(st.integers(low, high)) for _ in range(rank)]

        self.rank = rank
        self.sizes, self.taps = each(1, 8 if rank < 3 else 5), each(1, 4 if rank < 3 else 3)
        self.strides, self.dilations, self.pads = each(1, 4), each(1, 3), each(0, 3)
        self.groups = draw(st.sampled_from([1, 1, 2]))
        self.depth, self.filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        seed = draw(st.integers(0, 99))
        self.random = np.random.default_rng(seed)

    def windows(self) -> str:
        each = zip(self.strides, names(self.rank), self.dilations, strict=True)
        return " ".join(f"({s}{n}+{d}k{n})" for s, n, d in each)

    def fits(self) -> bool:
        each = zip(self.sizes, self.taps, self.dilations, self.pads, strict=True)
        return all(n + 2 * p > d * (k - 1) for n, k, d, p in each)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    return Geometry(draw, draw(st.sampled_from([1, 2, 2, 3])))


def pads_of(g: Geometry) -> dict[str, int]:
    return dict(zip(names(g.rank), g.pads, strict=True))


@MANY
@given(geometries())
def test_pytorchs_convolutions_and_their_gradients(g: Geometry) -> None:
    assume(g.fits())
    x = g.random.normal(size=(2, g.groups * g.depth, *g.sizes))
    weight = g.random.normal(size=(g.groups * g.filters, g.depth, *g.taps))
    data = torch.tensor(x, requires_grad=True)
    kernel = torch.tensor(weight, requires_grad=True)
    y = CONVS[g.rank](data, kernel, None, g.strides, g.pads, g.dilations, g.groups)
    taps = " ".join(f"k{n}" for n in names(g.rank))
    pattern = f"b (g i) {g.windows()}, (g o) i {taps} -> b (g o) {SPATIAL[g.rank]}"
    found = reference.conv(pattern, x, weight, padding=pads_of(g), g=g.groups)
    close(found, y.detach(), pattern)
    cotangent = g.random.normal(size=found.shape)
    y.backward(torch.tensor(cotangent))
    gradients = reference.gradients(
        pattern, x, weight, cotangent=cotangent, padding=pads_of(g), g=g.groups
    )
    close(gradients[0], data.grad, f"{pattern}: data")
    close(gradients[1], kernel.grad, f"{pattern}: kernel")


@MANY
@given(geometries())
def test_pytorchs_transposed_convolutions_and_their_gradients(g: Geometry) -> None:
    each = zip(g.sizes, g.taps, g.strides, g.dilations, g.pads, strict=True)
    assume(all(s * (n - 1) + d * (k - 1) + 1 - 2 * p > 0 for n, k, s, d, p in each))
    x = g.random.normal(size=(2, g.groups * g.depth, *g.sizes))
    weight = g.random.normal(size=(g.groups * g.depth, g.filters, *g.taps))
    data = torch.tensor(x, requires_grad=True)
    kernel = torch.tensor(weight, requires_grad=True)
    y = TRANSPOSED[g.rank](data, kernel, None, g.strides, g.pads, 0, g.groups, g.dilations)
    taps = " ".join(f"k{n}" for n in names(g.rank))
    pattern = f"b (g i) {SPATIAL[g.rank]}, (g i) o {taps} -> b (g o) {g.windows()}"
    found = reference.conv(pattern, x, weight, padding=pads_of(g), g=g.groups)
    close(found, y.detach(), pattern)
    cotangent = g.random.normal(size=found.shape)
    y.backward(torch.tensor(cotangent))
    gradients = reference.gradients(
        pattern, x, weight, cotangent=cotangent, padding=pads_of(g), g=g.groups
    )
    close(gradients[0], data.grad, f"{pattern}: data")
    close(gradients[1], kernel.grad, f"{pattern}: kernel")


@MANY
@given(geometries(), st.sampled_from(list(TORCH)))
def test_pytorchs_padding_modes_and_their_gradients(g: Geometry, mode: str) -> None:
    limit = 1 if mode == "reflect" else 0
    assume(all(p + limit <= n for p, n in zip(g.pads, g.sizes, strict=True)))
    assume(g.fits())
    x = g.random.normal(size=(1, g.depth, *g.sizes))
    weight = g.random.normal(size=(g.filters, g.depth, *g.taps))
    data = torch.tensor(x, requires_grad=True)
    flat = [p for p in reversed(g.pads) for _ in range(2)]
    padded = F.pad(data, flat, mode=TORCH[mode]) if any(flat) else data
    kernel = torch.tensor(weight, requires_grad=True)
    y = CONVS[g.rank](padded, kernel, None, g.strides, 0, g.dilations)
    taps = " ".join(f"k{n}" for n in names(g.rank))
    pattern = f"b i {g.windows()}, o i {taps} -> b o {SPATIAL[g.rank]}"
    found = reference.conv(pattern, x, weight, padding=pads_of(g), padding_mode=mode)
    close(found, y.detach(), f"{pattern} {mode}")
    cotangent = g.random.normal(size=found.shape)
    y.backward(torch.tensor(cotangent))
    gradients = reference.gradients(
        pattern, x, weight, cotangent=cotangent, padding=pads_of(g), padding_mode=mode
    )
    close(gradients[0], data.grad, f"{pattern} {mode}: data")
    close(gradients[1], kernel.grad, f"{pattern} {mode}: kernel")


def held_against_torch(
    pattern: str, theirs: Any, shapes: list[tuple[int, ...]], seed: int = 0, **arguments: Any
) -> None:
    """Compare the value and every operand's gradient with a PyTorch function's."""
    random = np.random.default_rng(seed)
    arrays = [random.normal(size=shape) for shape in shapes]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(*tensors)
    close(reference.conv(pattern, *arrays, **arguments), y.detach(), pattern)
    cotangent = random.normal(size=tuple(y.shape))
    y.backward(torch.tensor(cotangent))
    found = reference.gradients(pattern, *arrays, cotangent=cotangent, **arguments)
    for number, (gradient, tensor) in enumerate(zip(found, tensors, strict=True), start=1):
        close(gradient, tensor.grad, f"{pattern}: operand {number}")


def patches(x: torch.Tensor, taps: tuple[int, int], **options: Any) -> torch.Tensor:
    """Return the patches (batch, channel, tap, tap, position) of channels-first images."""
    return F.unfold(x, taps, **options).unflatten(1, (x.shape[1], *taps))


OTHERS: list[tuple[str, Any, list[tuple[int, ...]], dict[str, Any]]] = [
    (
        "b c (h+kh) (w+kw), kh c, kw c, o c -> b o h w",  # separable
        lambda x, a, b, o: F.conv2d(x, torch.einsum("hc,wc,oc->ochw", a, b, o)),
        [(2, 3, 5, 6), (3, 3), (2, 3), (4, 3)],
        {},
    ),
    (
        "b i (h+kh) (w+kw), kh r, kw r, i r, o r -> b o h w",  # low rank
        lambda x, a, b, i, o: F.conv2d(x, torch.einsum("hr,wr,ir,or->oihw", a, b, i, o)),
        [(2, 3, 5, 6), (3, 2), (2, 2), (3, 2), (4, 2)],
        {},
    ),
    (
        "b i (2h+kh) (2w+kw), b o i kh kw -> b o h w",  # per sample
        lambda x, k: torch.cat(
            [F.conv2d(x[n : n + 1], k[n], stride=2, padding=1) for n in range(2)]
        ),
        [(2, 3, 5, 6), (2, 4, 3, 3, 2)],
        {"padding": 1},
    ),
    (
        "b i (h+kh) (w+kw), e o i kh kw, b e -> b o h w",  # mixture
        lambda x, k, e: torch.cat(
            [F.conv2d(x[n : n + 1], torch.einsum("eoihw,e->oihw", k, e[n])) for n in range(2)]
        ),
        [(2, 3, 4, 5), (3, 2, 3, 3, 2), (2, 3)],
        {},
    ),
    (
        "b (g c) (h+kh) (w+kw), b h w kh kw g -> b (g c) h w",  # per pixel
        lambda x, k: torch.einsum(
            "bgcxyp,bpxyg->bgcp",
            patches(x, (3, 2)).unflatten(1, (2, 2)),
            k.flatten(1, 2),
        ).reshape(2, 4, 3, 4),
        [(2, 4, 5, 5), (2, 3, 4, 3, 2, 2)],
        {},
    ),
    (
        "b i (h+2kh) (w+2kw), h w kh kw i o -> b o h w",  # locally connected
        lambda x, k: torch.einsum(
            "bixyp,pxyio->bop", patches(x, (2, 2), dilation=2), k.flatten(0, 1)
        ).reshape(2, 3, 3, 4),
        [(2, 2, 5, 6), (3, 4, 2, 2, 2, 3)],
        {},
    ),
    (
        "b c (h+kh) (2w+kw) -> b c kh kw h w",  # unfold
        lambda x: patches(x, (3, 2), padding=1, stride=(1, 2)).unflatten(-1, (4, 3)),
        [(2, 3, 4, 5)],
        {"padding": 1, "kh": 3, "kw": 2},
    ),
    (
        "b c kh kw h w -> b c (h+kh) (2w+kw)",  # fold
        lambda x: F.fold(x.flatten(-2).flatten(1, 3), (4, 5), (3, 2), padding=1, stride=(1, 2)),
        [(2, 3, 3, 2, 4, 3)],
        {"padding": {"h": 1, "w": (1, 0)}},
    ),
    (
        "b c (2h+kh) (2w+kw) -> b c h w",  # sum pooling
        lambda x: 6 * F.avg_pool2d(x, (3, 2), stride=2),
        [(2, 3, 7, 6)],
        {"kh": 3, "kw": 2},
    ),
    (
        "b c h w, b c (h+dh) (w+dw) -> b dh dw h w",  # correlation of two images
        lambda x, y: torch.einsum(
            "bchw,bcxyhw->bxyhw",
            x,
            patches(y, (3, 3), padding=1).unflatten(-1, (4, 5)),
        ),
        [(2, 3, 4, 5), (2, 3, 4, 5)],
        {"padding": 1, "dh": 3, "dw": 3},
    ),
    (
        "b i (h-kh) (w-kw), o i kh kw -> b o h w",  # true convolution
        lambda x, k: F.conv2d(x, k.flip(2, 3), padding=(1, 0)),
        [(2, 3, 5, 6), (4, 3, 3, 2)],
        {"padding": {"h": 1}},
    ),
    (
        "b i h w, i o kh kw -> b o (s*h-d*kh) (w-kw)",  # the same, written
        lambda x, k: F.conv_transpose2d(x, k.flip(2, 3), stride=(3, 1), dilation=(2, 1)),
        [(2, 3, 3, 4), (3, 4, 3, 2)],
        {"s": 3, "d": 2},
    ),
    (
        "b i (h+kh), o i kh -> b o h",  # causal
        lambda x, k: F.conv1d(F.pad(x, (2, 0)), k),
        [(2, 3, 6), (4, 3, 3)],
        {"padding": "causal"},
    ),
    (
        "b i (h+2kh), o i kh -> b o h",  # every overlap
        lambda x, k: F.conv1d(F.pad(x, (4, 4)), k, dilation=2),
        [(2, 3, 4), (4, 3, 3)],
        {"padding": "full"},
    ),
    (
        "b i (h+kh), o i kh -> b o h",  # a fill other than zero
        lambda x, k: F.conv1d(F.pad(x, (2, 1), value=0.75), k),
        [(2, 3, 5), (4, 3, 3)],
        {"padding": (2, 1), "padding_value": 0.75},
    ),
    (
        "b i (h+kh), o i kh -> b o h",  # each side its own mode
        lambda x, k: F.conv1d(
            F.pad(F.pad(x, (2, 0), mode="circular"), (0, 3), mode="replicate"), k
        ),
        [(2, 3, 5), (4, 3, 3)],
        {"padding": (2, 3), "padding_mode": ("wrap", "edge")},
    ),
    (
        "... i, i o -> ... o",  # leading axes
        lambda x, k: x @ k,
        [(2, 3, 4, 5), (5, 2)],
        {},
    ),
    (
        "b 1 (h+k), k -> h 1",  # summed over the batch
        lambda x, k: F.conv1d(x, k[None, None]).sum((0, 1))[:, None],
        [(3, 1, 6), (2,)],
        {},
    ),
]


@pytest.mark.parametrize(
    ("pattern", "theirs", "shapes", "arguments"), OTHERS, ids=[o[0] for o in OTHERS]
)
def test_pytorch_agrees_on_other_patterns_and_their_gradients(
    pattern: str, theirs: Any, shapes: list[tuple[int, ...]], arguments: dict[str, Any]
) -> None:
    held_against_torch(pattern, theirs, shapes, **arguments)


@pytest.mark.parametrize("seed", range(20))
def test_pytorchs_weight_gradient_finds_the_kernels_size(seed: int) -> None:
    """The kernel is what is computed, so its size follows from the operands'."""
    random = np.random.default_rng(seed)
    size, taps, stride, dilation, pad = (int(v) for v in random.integers(1, 5, 5))
    size += dilation * (taps - 1)
    positions = (size + 2 * pad - dilation * (taps - 1) - 1) // stride + 1
    largest = (size + 2 * pad - stride * (positions - 1) - 1) // dilation + 1
    kernel = torch.zeros(3, 2, largest, dtype=torch.float64, requires_grad=True)
    x, cotangent = random.normal(size=(2, 2, size)), random.normal(size=(2, 3, positions))
    y = F.conv1d(torch.tensor(x), kernel, None, stride, pad, dilation)
    y.backward(torch.tensor(cotangent))
    pattern = f"b i ({stride}h+{dilation}k), b o h -> o i k"
    close(reference.conv(pattern, x, cotangent, padding=pad), kernel.grad, pattern)


@pytest.mark.parametrize("mode", [*ALL, "renormalize"])
@pytest.mark.parametrize(
    "padding", ["valid", "same", "same_lower", "full", "causal", 1, (2, 0), (-1, 3)]
)
def test_a_written_window_is_the_adjoint_of_the_one_that_reads(padding: Any, mode: str) -> None:
    for positions, taps, stride, dilation in itertools.product(
        (1, 2, 4), (1, 2, 3), (1, 3), (1, 2)
    ):
        random = np.random.default_rng(0)
        cotangent, kernel = random.normal(size=positions), random.normal(size=taps)
        window = f"({stride}h+{dilation}k)"
        same = {"padding": padding, "padding_mode": mode}
        try:
            written = reference.conv(f"h, k -> {window}", cotangent, kernel, **same)
        except ValueError:  # The crop leaves nothing.
            assert padding not in ("valid", "same", "same_lower")
            continue
        x = random.normal(size=written.shape)
        gradients = reference.gradients(f"{window}, k -> h", x, kernel, cotangent=cotangent, **same)
        close(written, gradients[0], f"{window} {positions} {taps} {padding} {mode}")


@pytest.mark.parametrize("seed", range(20))
def test_pytorchs_output_padding(seed: int) -> None:
    random = np.random.default_rng(seed)
    stride, dilation = random.integers(2, 5, 2).tolist(), random.integers(1, 4, 2).tolist()
    pad, extra = random.integers(0, 2, 2).tolist(), [int(random.integers(0, s)) for s in stride]
    held_against_torch(
        f"b i h w, i o kh kw -> b o ({stride[0]}h+{dilation[0]}kh) ({stride[1]}w+{dilation[1]}kw)",
        lambda x, k: F.conv_transpose2d(
            x, k, stride=stride, padding=pad, output_padding=extra, dilation=dilation
        ),
        [(2, 3, 3, 4), (3, 2, 3, 2)],
        seed,
        padding={n: (p, p - e) for n, p, e in zip("hw", pad, extra, strict=True)},
    )


@pytest.mark.parametrize("seed", range(20))
def test_pytorch_agrees_on_partial_convolution_and_its_gradients(seed: int) -> None:
    """Each sum over its share of taps inside, which a convolution of ones counts."""
    random = np.random.default_rng(seed)
    stride, dilation = random.integers(1, 3, 2).tolist(), random.integers(1, 3, 2).tolist()
    pad = random.integers(0, 3, 2).tolist()
    options = {"stride": stride, "padding": pad, "dilation": dilation}

    def theirs(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        one = torch.ones_like
        inside = F.conv2d(one(x[:1, :1]), one(k[:1, :1]), **options)
        share = torch.where(inside > 0, 6 / inside, 0.0)
        return F.conv2d(x, k, **options) * share

    held_against_torch(
        f"b i ({stride[0]}h+{dilation[0]}kh) ({stride[1]}w+{dilation[1]}kw), o i kh kw -> b o h w",
        theirs,
        [(2, 3, 5, 6), (4, 3, 3, 2)],
        seed,
        padding=dict(zip("hw", pad, strict=True)),
        padding_mode="renormalize",
    )


@settings(max_examples=60)
@given(geometries(), st.data())
def test_lax_with_a_pad_for_each_side(g: Geometry, data: st.DataObject) -> None:
    """Any pads, negative ones too, `SAME` and `SAME_LOWER`."""
    sides = [(data.draw(st.integers(-2, 3)), data.draw(st.integers(-2, 3))) for _ in g.sizes]
    each = zip(g.sizes, g.taps, g.dilations, sides, strict=True)
    assume(all(n + low + high > d * (k - 1) for n, k, d, (low, high) in each))
    assume(all(n + min(a, 0) + min(b, 0) > 0 for n, (a, b) in zip(g.sizes, sides, strict=True)))
    x = g.random.normal(size=(2, *g.sizes, g.groups * g.depth)).astype("float32")
    kernel = g.random.normal(size=(*g.taps, g.depth, g.groups * g.filters)).astype("float32")
    letters = "DHW"[3 - g.rank :]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    taps = " ".join(f"k{n}" for n in names(g.rank))
    pattern = f"b {g.windows()} (g i), {taps} i (g o) -> b {SPATIAL[g.rank]} (g o)"
    for padding, theirs in (
        (dict(zip(names(g.rank), sides, strict=True)), sides),
        ("same", "SAME"),
        ("same_lower", "SAME_LOWER"),
    ):
        expected = lax.conv_general_dilated(
            x,
            kernel,
            g.strides,
            theirs,
            rhs_dilation=g.dilations,
            dimension_numbers=layout,
            feature_group_count=g.groups,
            precision="highest",
        )
        found = reference.conv(pattern, x, kernel, padding=padding, g=g.groups)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=60)
@given(geometries(), st.data())
def test_lax_on_spread_inputs(g: Geometry, data: st.DataObject) -> None:
    """A transposed convolution spreads its input by the strides and turns the kernel around."""
    reaches = [d * (k - 1) + 1 for k, d in zip(g.taps, g.dilations, strict=True)]
    crops = [(data.draw(st.integers(-2, 3)), data.draw(st.integers(-2, 3))) for _ in g.sizes]
    each = zip(g.sizes, g.strides, reaches, crops, strict=True)
    assume(all(s * (n - 1) + r - low - high > 0 for n, s, r, (low, high) in each))
    x = g.random.normal(size=(2, *g.sizes, g.groups * g.depth)).astype("float32")
    kernel = g.random.normal(size=(*g.taps, g.depth, g.groups * g.filters)).astype("float32")
    letters = "DHW"[3 - g.rank :]
    taps = " ".join(f"k{n}" for n in names(g.rank))
    found = reference.conv(
        f"b {SPATIAL[g.rank]} (g i), {taps} i (g o) -> b {g.windows()} (g o)",
        x,
        kernel,
        padding=dict(zip(names(g.rank), crops, strict=True)),
        g=g.groups,
    )
    expected = lax.conv_general_dilated(
        x,
        np.flip(kernel, tuple(range(g.rank))),
        (1,) * g.rank,
        [(r - 1 - low, r - 1 - high) for r, (low, high) in zip(reaches, crops, strict=True)],
        lhs_dilation=g.strides,
        rhs_dilation=g.dilations,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=g.groups,
        precision="highest",
    )
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_lax_in_four_dimensions(seed: int) -> None:
    """Strides, dilations, groups and uneven pads, read and written."""
    random = np.random.default_rng(seed)
    sizes, taps = random.integers(3, 6, 4), random.integers(1, 4, 4)
    strides, dilations = random.integers(1, 4, 4).tolist(), random.integers(1, 3, 4).tolist()
    reaches = [d * (k - 1) + 1 for k, d in zip(taps, dilations, strict=True)]
    sides = [tuple(int(v) for v in random.integers(0, 3, 2)) for _ in range(4)]
    assert any(low != high for low, high in sides)
    x = random.normal(size=(1, *sizes, 4)).astype("float32")
    kernel = random.normal(size=(*taps, 2, 6)).astype("float32")
    axes = ["t", "z", "h", "w"]
    each = zip(strides, axes, dilations, strict=True)
    windows = " ".join(f"({s}{n}+{d}k{n})" for s, n, d in each)
    numbers = lax.ConvDimensionNumbers((0, 5, 1, 2, 3, 4), (5, 4, 0, 1, 2, 3), (0, 5, 1, 2, 3, 4))
    shared = {"dimension_numbers": numbers, "feature_group_count": 2, "precision": "highest"}
    padding = dict(zip(axes, sides, strict=True))
    # Enough on each axis for one window at least.
    padding = {
        n: (low, high + max(0, r - size - low - high))
        for (n, (low, high)), r, size in zip(padding.items(), reaches, sizes.tolist(), strict=True)
    }
    read = reference.conv(
        f"b {windows} (g i), kt kz kh kw i (g o) -> b t z h w (g o)",
        x,
        kernel,
        padding=padding,
        g=2,
    )
    expected = lax.conv_general_dilated(
        x, kernel, strides, list(padding.values()), rhs_dilation=dilations, **shared
    )
    assert read.shape == expected.shape
    np.testing.assert_allclose(read, expected, rtol=1e-4, atol=1e-4)
    written = reference.conv(
        f"b t z h w (g i), kt kz kh kw i (g o) -> b {windows} (g o)", x, kernel, g=2
    )
    expected = lax.conv_general_dilated(
        x,
        np.flip(kernel, (0, 1, 2, 3)),
        (1,) * 4,
        [(r - 1, r - 1) for r in reaches],
        lhs_dilation=strides,
        rhs_dilation=dilations,
        **shared,
    )
    assert written.shape == expected.shape
    np.testing.assert_allclose(written, expected, rtol=1e-4, atol=1e-4)


def test_lax_in_five_dimensions() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(1, 2, 3, 3, 2, 3, 2)).astype("float32")
    kernel = random.normal(size=(2, 2, 1, 2, 2, 2, 3)).astype("float32")
    numbers = lax.ConvDimensionNumbers(
        (0, 6, 1, 2, 3, 4, 5), (6, 5, 0, 1, 2, 3, 4), (0, 6, 1, 2, 3, 4, 5)
    )
    expected = lax.conv_general_dilated(
        x, kernel, (1,) * 5, "VALID", dimension_numbers=numbers, precision="highest"
    )
    found = reference.conv(
        "b (p+kp) (q+kq) (r+kr) (s+ks) (t+kt) i, kp kq kr ks kt i o -> b p q r s t o", x, kernel
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@MANY
@given(
    st.integers(1, 3),
    st.sampled_from([*SCIPY, "constant"]),
    st.booleans(),
    st.integers(0, 99),
    st.data(),
)
def test_scipys_filters(
    rank: int, mode: str, flipped: bool, seed: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    sizes = [data.draw(st.integers(1, 7)) for _ in range(rank)]
    taps = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    image, kernel = random.normal(size=sizes), random.normal(size=taps)
    theirs = scipy.ndimage.convolve if flipped else scipy.ndimage.correlate
    expected = theirs(image, kernel, mode=SCIPY.get(mode, mode), cval=0.5)
    sign = "-" if flipped else "+"
    inside = " ".join(f"({n}{sign}k{n})" for n in names(rank))
    kernels = " ".join(f"k{n}" for n in names(rank))
    # SciPy's centre is tap k // 2; turned around, it is the other of the middle two.
    low = [(k - 1) // 2 if flipped else k // 2 for k in taps]
    sides = [(p, k - 1 - p) for p, k in zip(low, taps, strict=True)]
    found = reference.conv(
        f"{inside}, {kernels} -> {SPATIAL[rank]}",
        image,
        kernel,
        padding=dict(zip(names(rank), sides, strict=True)),
        padding_mode=mode,
        padding_value=0.5 if mode == "constant" else None,
    )
    close(found, expected, f"{sizes} {taps} {mode} flipped={flipped}")


@settings(max_examples=80)
@given(st.integers(1, 2), st.sampled_from([*SCIPY, "constant"]), st.integers(0, 99), st.data())
def test_scipys_morphology(rank: int, mode: str, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    sizes = [data.draw(st.integers(1, 7)) for _ in range(rank)]
    taps = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    image, structure = random.normal(size=sizes), random.normal(size=taps)
    inside = " ".join(f"({n}+k{n})" for n in names(rank))
    pattern = f"{inside}, {' '.join(f'k{n}' for n in names(rank))} -> {SPATIAL[rank]}"
    # SciPy's centre is tap k // 2; turned around, it is the other of the middle two.
    low = {n: (k // 2, (k - 1) // 2) for n, k in zip(names(rank), taps, strict=True)}
    high = {n: pair[::-1] for n, pair in low.items()}
    fill = 0.5 if mode == "constant" else None
    wide = {"structure": structure, "mode": SCIPY.get(mode, mode), "cval": 0.5}
    # Erosion subtracts the structure, dilation reads it turned around.
    same = {"padding_mode": mode, "padding_value": fill}
    found = reference.conv(pattern, image, -structure, padding=low, semiring="min_plus", **same)
    close(found, scipy.ndimage.grey_erosion(image, **wide), f"erosion {mode} {taps}")
    turned = np.flip(structure).copy()
    found = reference.conv(pattern, image, turned, padding=high, semiring="max_plus", **same)
    close(found, scipy.ndimage.grey_dilation(image, **wide), f"dilation {mode} {taps}")


@pytest.mark.parametrize("mode", ALL)
def test_one_tap_pads_as_numpy(mode: Any) -> None:
    random = np.random.default_rng(0)
    for size in range(1, 5):
        for low in range(6):
            for high in range(6):
                x = random.normal(size=size)
                found = reference.conv("(h+k) -> h", x, padding=(low, high), padding_mode=mode, k=1)
                close(found, np.pad(x, (low, high), mode=mode), f"{size} {low} {high} {mode}")


@MANY
@given(st.integers(1, 3), st.integers(0, 99), st.data())
def test_one_tap_pads_every_axis_as_numpy(rank: int, seed: int, data: st.DataObject) -> None:
    """Each axis has its own pads and mode, which NumPy gets one axis after the other."""
    random = np.random.default_rng(seed)
    axes = names(rank)
    x = random.normal(size=[data.draw(st.integers(1, 4)) for _ in axes])
    sides = {n: (data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))) for n in axes}
    modes = {n: data.draw(st.sampled_from(ALL)) for n in axes}
    # A place beyond two edges is the fill if either axis fills: so that axis is padded last.
    expected = x
    for n in sorted(axes, key=lambda n: modes[n] == "constant"):
        widths = [sides[n] if m == n else (0, 0) for m in axes]
        fill = {"constant_values": 0.25} if modes[n] == "constant" else {}
        expected = np.pad(expected, widths, mode=modes[n], **fill)
    found = reference.conv(
        f"{' '.join(f'({n}+k{n})' for n in axes)} -> {SPATIAL[rank]}",
        x,
        padding=sides,
        padding_mode=modes,
        padding_value=0.25,
        **{f"k{n}": 1 for n in axes},
    )
    close(found, expected, f"{sides} {modes}")


@pytest.mark.parametrize("mode", ALL)
def test_strides_and_crops_are_slices(mode: Any) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=7)
    for low, high, stride in itertools.product(range(-3, 3), range(-3, 3), range(1, 4)):
        padded = np.pad(x, (max(low, 0), max(high, 0)), mode=mode)
        expected = padded[max(-low, 0) : padded.size - max(-high, 0) : stride]
        found = reference.conv(
            "(s*h+k) -> h", x, padding=(low, high), padding_mode=mode, s=stride, k=1
        )
        close(found, expected, f"{low} {high} {stride}")


@pytest.mark.parametrize(("size", "taps"), list(itertools.product(range(1, 6), repeat=2)))
def test_numpys_convolve_and_correlate(size: int, taps: int) -> None:
    random = np.random.default_rng(size * 7 + taps)
    a, v = random.normal(size=size), random.normal(size=taps)
    z = a + 1j * random.normal(size=size)
    full = reference.conv("(h-k), k -> h", a, v, padding="full")
    close(full, np.convolve(a, v, "full"), "full")
    close(reference.conv("h, k -> (h+k)", a, v), full, "the same, written")
    complex_full = reference.conv("(h-k), k -> h", z, v, padding="full")
    close(complex_full, np.convolve(z, v, "full"), "complex")
    assert complex_full.dtype == np.complex128
    read = reference.conv("(h+k), k -> h", a, v, padding="full")
    close(read, np.correlate(a, v, "full"), "correlate")
    causal = reference.conv("(h-k), k -> h", a, v, padding="causal")
    close(causal, np.convolve(a, v, "full")[:size], "causal")
    if taps <= size:
        valid = reference.conv("(h-k), k -> h", a, v)
        close(valid, np.convolve(a, v, "valid"), "valid")
        same = reference.conv("(h-k), k -> h", a, v, padding="same_lower")
        close(same, np.convolve(a, v, "same")[:size], "same")


@pytest.mark.parametrize("seed", range(20))
def test_beyond_the_edges_lies_the_semirings_zero(seed: int) -> None:
    random = np.random.default_rng(seed)
    image = random.normal(size=random.integers(1, 6, 2))
    structure = random.normal(size=random.integers(1, 5, 2))
    pads = random.integers(0, 3, (2, 2)) + np.array([0, 4])
    pattern = "(h+kh) (w+kw), kh kw -> h w"
    padding = {"h": tuple(pads[0].tolist()), "w": tuple(pads[1].tolist())}
    for semiring, zero, best in (("max_plus", -np.inf, np.max), ("min_plus", np.inf, np.min)):
        grown = np.pad(image, pads, constant_values=zero)
        views = np.lib.stride_tricks.sliding_window_view(grown, structure.shape)
        found = reference.conv(pattern, image, structure, padding=padding, semiring=semiring)
        close(found, best(views + structure, axis=(2, 3)), semiring)


def test_renormalisation_is_partial_convolution() -> None:
    """Liu et al., 2018: the sum over what is inside, times taps / taps inside."""
    x, kernel = np.ones(5), np.array([1.0, 2.0, 4.0])
    found = reference.conv("(h+k), k -> h", x, kernel, padding=1, padding_mode="renormalize")
    close(found, [6 * 1.5, 7, 7, 7, 3 * 1.5], "renormalised")


def test_a_window_that_two_operands_share_is_rescaled_once() -> None:
    x, y, z = np.arange(1.0, 6.0), np.arange(2.0, 7.0), np.arange(4.0)
    share = np.array([1.5, 1, 1, 1, 1.5])
    same = {"padding": 1, "padding_mode": "renormalize", "k": 3}
    inside = np.pad(x * y, 1)
    sums = inside[:-2] + inside[1:-1] + inside[2:]
    close(reference.conv("(h+k), (h+k) -> h", x, y, **same), sums * share, "shared")
    # Two windows, one read and one written, are rescaled each by itself.
    found = reference.conv("(h+k), w -> h (w+m)", x, z, m=3, **same)
    read = np.pad(x, 1)[:-2] + x + np.pad(x, 1)[2:]
    ends = np.array([1.5, 1, 1, 1.5]) * z
    folded = np.pad(ends, 1)[:-2] + ends + np.pad(ends, 1)[2:]
    close(found, np.outer(read * share, folded), "read and written")


@pytest.mark.parametrize("rank", range(4))
def test_any_number_of_leading_axes(rank: int) -> None:
    random = np.random.default_rng(rank)
    front = (2, 3, 2)[:rank]
    x, y = random.normal(size=(*front, 4, 5)), random.normal(size=(*front, 5))
    found = reference.conv("... h i, ... i -> ... h", x, y)
    close(found, np.einsum("...hi,...i->...h", x, y), "two operands")
    found = reference.conv("... (h+k) i -> ... i h", x, k=2)
    close(found, np.swapaxes(x[..., 1:, :] + x[..., :-1, :], -1, -2), "a window")


def test_einsum_without_windows() -> None:
    random = np.random.default_rng(0)
    a, b, c = random.normal(size=(2, 3, 4)), random.normal(size=(4, 5)), random.normal(size=(2, 5))
    found = reference.conv("b h i, i o, b o -> h o", a, b, c)
    close(found, np.einsum("bhi,io,bo->ho", a, b, c), "einsum")


@settings(max_examples=40)
@given(geometries())
def test_gradients_are_finite_differences(g: Geometry) -> None:
    assume(g.rank < 3)
    assume(g.fits())
    x = g.random.normal(size=(1, *g.sizes, g.depth))
    kernel = g.random.normal(size=(*g.taps, g.depth, g.filters))
    taps = " ".join(f"k{n}" for n in names(g.rank))
    pattern = f"b {g.windows()} i, {taps} i o -> b {SPATIAL[g.rank]} o"
    shape = reference.conv(pattern, x, kernel, padding=pads_of(g)).shape
    cotangent = g.random.normal(size=shape)
    found = reference.gradients(pattern, x, kernel, cotangent=cotangent, padding=pads_of(g))
    step = 1e-5
    for which, array in enumerate((x, kernel)):
        place = tuple(g.random.integers(0, n) for n in array.shape)
        moved = []
        for sign in (1, -1):
            other = array.copy()
            other[place] += sign * step
            pair = (other, kernel) if which == 0 else (x, other)
            moved.append((reference.conv(pattern, *pair, padding=pads_of(g)) * cotangent).sum())
        np.testing.assert_allclose(
            found[which][place], (moved[0] - moved[1]) / (2 * step), rtol=1e-5, atol=1e-6
        )


def test_half_precision_and_integers_are_widened() -> None:
    x = np.full(4096, 0.1, "float16")
    assert reference.conv("h ->", x).dtype == np.float64
    found = reference.conv(
        "(h+k), k -> h", np.array([200, 200], "uint8"), np.array([2, 2], "uint8")
    )
    assert found.tolist() == [800]


def test_a_scalar_output() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(3, 4)), random.normal(size=(3, 4))
    close(reference.conv("h i, h i ->", a, b), np.asarray((a * b).sum()), "dot")
    found = reference.conv("h i ->", a, semiring="max_plus")
    close(found, np.asarray(a.max()), "largest")
    gradient = reference.gradients("h i, h i ->", a, b, cotangent=np.asarray(2.0))[0]
    close(gradient, 2 * b, "gradient")


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": "sane"},
        {"padding": 1, "padding_mode": "mirrored"},
        {"semiring": "plus_times"},
        {"padding": -2},
        {"h": 4},
    ],
)
def test_what_it_does_not_define_is_refused(arguments: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        reference.conv("(h+k), k -> h", np.ones(4), np.ones(2), **arguments)


def test_a_transposed_output_that_is_lost_is_refused() -> None:
    with pytest.raises(ValueError, match="axis h writes 0 entries"):
        reference.conv("h, k -> (h+k)", np.ones(2), np.ones(3), padding=2)
    assert reference.conv("h, k -> (h+k)", np.ones(2), np.ones(2), padding=1).tolist() == [2.0]

"""The definition, against PyTorch, JAX, SciPy and NumPy, which share no code with it."""

from __future__ import annotations

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

MANY = settings(max_examples=150)
SPATIAL = {1: "w", 2: "h w", 3: "z h w"}
CONVS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
# NumPy's words, which convsmith uses, in SciPy's and PyTorch's.
SCIPY = {"reflect": "mirror", "symmetric": "reflect", "edge": "nearest", "wrap": "grid-wrap"}
TORCH = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


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
    y = CONVS[g.rank](padded, torch.tensor(weight), None, g.strides, 0, g.dilations)
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


@settings(max_examples=60)
@given(geometries(), st.data())
def test_lax_with_a_pad_for_each_side(g: Geometry, data: st.DataObject) -> None:
    """Any pads, negative ones too, `SAME`, and strides of the output (a spread input)."""
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


@settings(max_examples=60)
@given(st.integers(1, 2), st.sampled_from(list(SCIPY)), st.integers(0, 99), st.data())
def test_scipys_morphology(rank: int, mode: str, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    sizes = [data.draw(st.integers(1, 7)) for _ in range(rank)]
    taps = [data.draw(st.sampled_from([1, 3, 5])) for _ in range(rank)]
    image, structure = random.normal(size=sizes), random.normal(size=taps)
    inside = " ".join(f"({n}+k{n})" for n in names(rank))
    pattern = f"{inside}, {' '.join(f'k{n}' for n in names(rank))} -> {SPATIAL[rank]}"
    pads = {n: (k // 2, k // 2) for n, k in zip(names(rank), taps, strict=True)}
    wide = {"size": taps, "structure": structure, "mode": SCIPY[mode]}
    # Erosion subtracts the structure, dilation reads it turned around.
    found = reference.conv(
        pattern, image, -structure, padding=pads, padding_mode=mode, semiring="min_plus"
    )
    close(found, scipy.ndimage.grey_erosion(image, **wide), f"erosion {mode}")
    turned = np.flip(structure).copy()
    found = reference.conv(
        pattern, image, turned, padding=pads, padding_mode=mode, semiring="max_plus"
    )
    close(found, scipy.ndimage.grey_dilation(image, **wide), f"dilation {mode}")


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_one_tap_pads_as_numpy(mode: Any) -> None:
    random = np.random.default_rng(0)
    for size in range(1, 5):
        for low in range(6):
            for high in range(6):
                x = random.normal(size=size)
                found = reference.conv("(h+k) -> h", x, padding=(low, high), padding_mode=mode, k=1)
                close(found, np.pad(x, (low, high), mode=mode), f"{size} {low} {high} {mode}")


def test_renormalisation_is_partial_convolution() -> None:
    """Liu et al., 2018: the sum over what is inside, times taps / taps inside."""
    x, kernel = np.ones(5), np.array([1.0, 2.0, 4.0])
    found = reference.conv("(h+k), k -> h", x, kernel, padding=1, padding_mode="renormalize")
    close(found, [6 * 1.5, 7, 7, 7, 3 * 1.5], "renormalised")


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
    ],
)
def test_what_it_does_not_define_is_refused(arguments: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        reference.conv("(h+k), k -> h", np.ones(4), np.ones(2), **arguments)

"""Operations on kernels, each against what it stands for: filtering an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from convsmith import kernels, reference
from convsmith.errors import ArgumentError, KernelError

pytestmark = pytest.mark.backend_free


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the whole windows of an image, correlated with a kernel."""
    return scipy.signal.correlate(image, kernel, mode="valid", method="direct")


@given(
    first=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_compose_is_one_after_the_other(first: list[int], data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=first)]
    for _ in range(data.draw(st.integers(0, 2))):
        sizes = [data.draw(st.integers(1, 4)) for _ in first]
        arrays.append(rng.normal(size=sizes))
    image = rng.normal(size=(12,) * len(first))
    expected = image
    for array in arrays:
        expected = correlate(expected, array)
    np.testing.assert_allclose(correlate(image, kernels.compose(*arrays)), expected, atol=1e-11)


def test_compose_is_scipys_full_convolution_also_of_complex_kernels() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    second = rng.normal(size=(2, 5))
    ours = kernels.compose(first, second)
    assert ours.dtype == np.complex128
    np.testing.assert_allclose(ours, scipy.signal.convolve(first, second))
    assert kernels.compose([[1, 2]], [[1], [1]]).tolist() == [[1, 2], [1, 2]]


def test_sobel_is_composed_of_differences_and_sums() -> None:
    ours = kernels.compose([[-1, 1]], [[1, 1]], [[1], [1]], [[1], [1]])
    np.testing.assert_array_equal(ours, kernels.sobel("x"))


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    rates=st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_dilate_is_a_dilation_rate(sizes: list[int], rates: list[int]) -> None:
    rates = rates[: len(sizes)]
    rng = np.random.default_rng(0)
    kernel, image = rng.normal(size=sizes), rng.normal(size=(10,) * len(sizes))
    letters = "uvw"[: len(sizes)]
    windows = " ".join(f"({c}+{r}k{c})" for c, r in zip(letters, rates, strict=True))
    taps = " ".join(f"k{c}" for c in letters)
    expected = reference.conv(f"{windows}, {taps} -> {' '.join(letters)}", image, kernel)
    found = correlate(image, kernels.dilate(kernel, rates))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_dilate_keeps_banks_and_1_changes_nothing() -> None:
    bank = np.random.default_rng(0).normal(size=(3, 2, 5))
    spread = kernels.dilate(bank, (2, 3), ndim=2)
    assert spread.shape == (5, 4, 5)
    np.testing.assert_array_equal(spread[::2, ::3], bank)
    assert np.count_nonzero(spread) == bank.size
    np.testing.assert_array_equal(kernels.dilate(bank, 1), bank)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize("bank", [False, True])
def test_normalize(scale: float, bank: bool) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 4, 2)) * scale
    axes = (0, 1) if bank else (0, 1, 2)
    ndim = 2 if bank else None

    def normal(by: Any) -> np.ndarray:
        return kernels.normalize(kernel, by, ndim=ndim)

    np.testing.assert_allclose(normal("sum").sum(axes), 1)
    np.testing.assert_allclose(np.abs(normal("l1")).sum(axes), 1)
    np.testing.assert_allclose((normal("l2") ** 2).sum(axes), 1)
    np.testing.assert_allclose(np.abs(normal("max")).max(axes), 1)
    np.testing.assert_allclose(normal("zero_mean").sum(axes) / scale, 0, atol=1e-14)
    np.testing.assert_allclose(
        normal("zero_mean") / scale, (kernel / scale) - (kernel / scale).mean(axes)
    )
    for by in ("l1", "l2", "max"):
        ratio = normal(by) / (kernel / scale)
        assert (ratio > 0).all()
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0, 0], ratio.shape))


LAYOUTS = [(ndim, layout) for ndim, known in kernels.LAYOUTS.items() for layout in known]


@pytest.mark.parametrize(("ndim", "layout"), LAYOUTS)
def test_invert_layout_is_the_inverse_of_as_kernel(ndim: int, layout: str) -> None:
    sizes = {"D": 2, "H": 3, "W": 5, "I": 7, "O": 11}
    offered = np.random.default_rng(0).normal(size=[sizes[c] for c in layout]).astype("float32")
    filters = sizes["O"] if "O" in layout else 1
    kernel = kernels.as_kernel(offered, ndim, filters=filters, layout=layout)
    back = kernels.invert_layout(kernel, layout.lower(), ndim)
    assert back.dtype == np.float32
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, offered)


def test_invert_layout_takes_kernels_whose_shape_looks_like_another() -> None:
    kernel = np.random.default_rng(0).normal(size=(64, 3, 3, 3))
    np.testing.assert_array_equal(
        kernels.invert_layout(kernel, "OIHW"), kernel.transpose(3, 2, 0, 1)
    )


NAN = [[1.0, float("nan")]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kernels.compose([1], [[1]]), KernelError, r"have 1, 2 axes; expected as many"),
        (lambda: kernels.compose(3), KernelError, r"compose\(kernel\): has shape \(\)"),
        (lambda: kernels.compose([1], []), KernelError, r"has shape \(0,\)"),
        (lambda: kernels.compose(NAN), KernelError, r"infinite or NaN"),
        (lambda: kernels.compose("ab"), KernelError, r"is str, not an array"),
        (
            lambda: kernels.compose(np.ones((9000, 2)), np.ones((2, 20000))),
            ArgumentError,
            r"is too large",
        ),
        (lambda: kernels.dilate([1, 2], 0), ArgumentError, r"rate=0"),
        (lambda: kernels.dilate([1, 2], 1.5), ArgumentError, r"rate=1.5"),
        (lambda: kernels.dilate([1, 2], (1, 2)), ArgumentError, r"has 2 values for 1 spatial"),
        (lambda: kernels.dilate([1, 2], 2, ndim=2), ArgumentError, r"ndim=2\): .* from 1 to 1"),
        (lambda: kernels.dilate([1, 2], 10**9), ArgumentError, r"is too large"),
        (lambda: kernels.dilate(NAN, 2), KernelError, r"infinite or NaN"),
        (lambda: kernels.dilate([], 2), KernelError, r"has shape \(0,\)"),
        (lambda: kernels.normalize([1, -1]), KernelError, r"nothing to divide by.* by=\"l1\""),
        (lambda: kernels.normalize([0.1, 0.2, -0.3]), KernelError, r"as good as 0"),
        (lambda: kernels.normalize([0, 0], "l2"), KernelError, r"nothing to divide by"),
        (lambda: kernels.normalize([0, 0], "max"), KernelError, r"nothing to divide by"),
        (
            lambda: kernels.normalize([[0, 1], [0, 1]], "l1", ndim=1),
            KernelError,
            r"nothing to divide by",
        ),
        (lambda: kernels.normalize([1], "l0"), ArgumentError, r"by='l0'\): is not a choice"),  # type: ignore[arg-type]
        (lambda: kernels.normalize([1], ndim=0), ArgumentError, r"ndim=0"),
        (lambda: kernels.normalize(NAN), KernelError, r"infinite or NaN"),
        (
            lambda: kernels.invert_layout(np.ones((3, 3, 2, 4)), "HWO"),
            KernelError,
            r"has 2 channels, and layout 'HWO' has no axis 'I' .* Try: layout='OIHW'",
        ),
        (
            lambda: kernels.invert_layout(np.ones((3, 3, 1, 4)), "HW"),
            KernelError,
            r"has 4 filters, and layout 'HW' has no axis 'O'",
        ),
        (
            lambda: kernels.invert_layout(np.ones((3, 3, 1, 4)), "NCHW"),
            ArgumentError,
            r"layout='NCHW'\): is not a layout",
        ),
        (lambda: kernels.invert_layout(np.ones((3, 3)), "HW"), KernelError, r"has 2 axes"),
        (
            lambda: kernels.invert_layout(np.ones((3, 3, 1, 1)), "HW", 4),
            ArgumentError,
            r"ndim=4\): is not a number of spatial axes",
        ),
    ],
)
def test_refusals(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "Try: " in str(caught.value)


def test_filtering_with_an_image_library_agrees() -> None:
    """The word correlation means the same here and there."""
    image = np.random.default_rng(0).normal(size=(9, 9))
    ours = reference.conv("(h+kh) (w+kw), kh kw -> h w", image, kernels.sobel("y"))
    np.testing.assert_allclose(ours, scipy.ndimage.sobel(image, axis=0)[1:-1, 1:-1])

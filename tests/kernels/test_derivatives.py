"""Small derivatives against OpenCV, scikit-image and their published numbers."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.filters

from convsmith import kernels
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free

IMAGE = np.random.default_rng(0).normal(size=(12, 13))


def correlate(kernel: np.ndarray, image: np.ndarray) -> float:
    """One output of a correlation: the window as large as the image."""
    return float((kernel * image).sum())


def correlated(kernel: np.ndarray) -> np.ndarray:
    """Return the inside of the image filtered by OpenCV, which correlates."""
    return cv2.filter2D(IMAGE, cv2.CV_64F, kernel)[3:-3, 3:-3]


@pytest.mark.parametrize(
    ("name", "gain"), [("sobel", 2 * 4**2), ("scharr", 2 * 16**2), ("prewitt", 2 * 3**2)]
)
@pytest.mark.parametrize(("axis", "position"), [("x", 2), ("y", 1), ("z", 0)])
def test_they_measure_slope_along_their_axis_only(
    name: str, gain: int, axis: Any, position: int
) -> None:
    ramps = np.indices((3, 3, 3)).astype(float)
    kernel = getattr(kernels, name)(axis, ndim=3)
    expected = [0.0, 0.0, 0.0]
    expected[position] = gain
    assert [correlate(kernel, ramp) for ramp in ramps] == expected


def test_sobel_is_the_textbook_array() -> None:
    assert kernels.sobel("x").tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert kernels.sobel("y").tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert kernels.sobel("x", ndim=1).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (2, 1)])
def test_sobel_of_any_size_and_order_is_opencvs(size: int, dx: int, dy: int) -> None:
    columns, rows = cv2.getDerivKernels(dx, dy, size, ktype=cv2.CV_64F)
    kernel = kernels.sobel(order=(dy, dx), size=size)
    np.testing.assert_array_equal(kernel, np.outer(rows, columns))
    if dy == 0:
        np.testing.assert_array_equal(kernels.sobel("x", order=dx, size=size), kernel)
    if dx == 0:
        np.testing.assert_array_equal(kernels.sobel("y", order=dy, size=size), kernel)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_stated_gain_of_sobel(order: int) -> None:
    y, _ = np.indices((7, 7)) - 3.0
    answer = correlate(kernels.sobel("y", order=order, size=7), y**order / math.factorial(order))
    assert answer == 2 ** ((7 - 1) * 2 - order)


def test_scharr_is_opencvs() -> None:
    for axis, (dx, dy) in {"x": (1, 0), "y": (0, 1)}.items():
        columns, rows = cv2.getDerivKernels(dx, dy, cv2.FILTER_SCHARR, ktype=cv2.CV_64F)
        np.testing.assert_array_equal(kernels.scharr(axis), np.outer(rows, columns))  # type: ignore[arg-type]


def test_prewitt_is_scikit_images() -> None:
    ours = correlated(kernels.prewitt("y")) / 3
    np.testing.assert_allclose(ours, skimage.filters.prewitt_h(IMAGE)[3:-3, 3:-3])
    ours = correlated(kernels.prewitt("x")) / 3
    np.testing.assert_allclose(ours, skimage.filters.prewitt_v(IMAGE)[3:-3, 3:-3])


def test_roberts_is_scikit_images() -> None:
    ours = cv2.filter2D(IMAGE, cv2.CV_64F, kernels.roberts("main"), anchor=(0, 0))
    theirs = skimage.filters.roberts_pos_diag(IMAGE)
    np.testing.assert_allclose(ours[3:-3, 3:-3], theirs[3:-3, 3:-3])
    ours = cv2.filter2D(IMAGE, cv2.CV_64F, kernels.roberts("anti"), anchor=(0, 0))
    theirs = skimage.filters.roberts_neg_diag(IMAGE)
    np.testing.assert_allclose(ours[3:-3, 3:-3], theirs[3:-3, 3:-3])


def test_roberts_is_positive_where_values_grow_downwards() -> None:
    down = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert [correlate(kernels.roberts(d), down) for d in ("main", "anti")] == [1, 1]
    assert not np.signbit(kernels.roberts("anti")[kernels.roberts("anti") == 0]).any()


def test_farid_is_scikit_images() -> None:
    np.testing.assert_allclose(
        correlated(kernels.farid("y")), skimage.filters.farid_h(IMAGE)[3:-3, 3:-3], rtol=1e-9
    )
    np.testing.assert_allclose(
        correlated(kernels.farid("x")), skimage.filters.farid_v(IMAGE)[3:-3, 3:-3], rtol=1e-9
    )


@pytest.mark.parametrize(("size", "gain"), [(3, 0.85), (5, 0.992), (7, 1.0)])
def test_farid_smooths_to_one_and_has_the_stated_gain(size: int, gain: float) -> None:
    kernel = kernels.farid("y", size=size)
    y, x = np.indices((size, size)) - size // 2
    assert correlate(kernel, y.astype(float)) == pytest.approx(gain, abs=1e-3)
    assert correlate(kernel, x.astype(float)) == pytest.approx(0, abs=1e-15)
    assert kernel.sum() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("size", "times"), [(3, 1.3), (5, 3), (7, 3)])
def test_farid_finds_directions_better_than_sobel(size: int, times: float) -> None:
    """Its purpose: the ratio of both slopes is the wave's direction."""
    angle = math.radians(22.5)
    frequency = 2 * math.pi / 5
    y, x = np.indices((size, size)) - size // 2
    wave = np.sin(frequency * (x * math.cos(angle) + y * math.sin(angle)))

    def error(rows: np.ndarray, columns: np.ndarray) -> float:
        return abs(math.atan2(correlate(rows, wave), correlate(columns, wave)) - angle)

    ours = error(kernels.farid("y", size=size), kernels.farid("x", size=size))
    assert ours < error(kernels.sobel("y", size=size), kernels.sobel("x", size=size)) / times


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.sobel("z"), r"sobel\(axis='z'\): is not an axis .* Try: .*axis=\"x\""),
        (lambda: kernels.sobel("x", ndim=4), r"ndim=4: .* expected 1, 2 or 3"),
        (lambda: kernels.sobel(["x"]), r"sobel\(axis=\['x'\]\): is not an axis"),  # type: ignore[arg-type]
        (lambda: kernels.sobel(size=4), r"sobel\(size=4\): is even"),
        (lambda: kernels.sobel(size=1), r"sobel\(size=1\): is out of range"),
        (lambda: kernels.sobel(size=33), r"from 3 to 31"),
        (lambda: kernels.sobel(order=3), r"sobel\(order=3\): .* from 0 to 2"),
        (lambda: kernels.sobel(order=(1, 0, 0)), r"has 3 values for 2 spatial axes"),
        (lambda: kernels.sobel(order=True), r"order=True\): is not a whole number"),
        (lambda: kernels.scharr("w"), r"scharr\(axis='w'\): is not an axis"),  # type: ignore[arg-type]
        (lambda: kernels.scharr(ndim=0), r"ndim=0: "),
        (lambda: kernels.prewitt("y", ndim=1), r"prewitt\(axis='y'\): is not an axis"),
        (lambda: kernels.prewitt(ndim=0), r"ndim=0: "),
        (lambda: kernels.farid(size=9), r"farid\(size=9\): is not a choice; .*5, 3, 7"),
        (lambda: kernels.farid("z"), r"farid\(axis='z'\)"),
        (lambda: kernels.farid(ndim=0), r"ndim=0: "),
        (lambda: kernels.roberts(ndim=3), r"roberts\(ndim=3\): roberts has no form .*expected 2"),
        (lambda: kernels.roberts("up"), r"diagonal='up'\): is not a choice"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

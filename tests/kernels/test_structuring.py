"""Structuring elements against scikit-image's, OpenCV's and SciPy's morphology."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.morphology

from convsmith import kernels, reference
from convsmith.errors import ArgumentError

pytestmark = pytest.mark.backend_free


def inside(kernel: np.ndarray) -> np.ndarray:
    """Return the mask, of a kernel that is 0 and -inf only."""
    assert ((kernel == 0) | (kernel == -np.inf)).all()
    return (kernel == 0).astype("uint8")


@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_shapes_are_scikit_images_and_opencvs(radius: int) -> None:
    size = (2 * radius + 1, 2 * radius + 1)
    found = {s: inside(kernels.structuring_element(s, radius)) for s in ("disk", "diamond")}
    np.testing.assert_array_equal(found["disk"], skimage.morphology.disk(radius))
    np.testing.assert_array_equal(found["diamond"], skimage.morphology.diamond(radius))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, size)
    np.testing.assert_array_equal(inside(kernels.structuring_element("cross", radius)), cross)
    assert inside(kernels.structuring_element("square", radius)).sum() == size[0] ** 2


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_volumes_are_scikit_images(radius: int) -> None:
    ball = kernels.structuring_element("disk", radius, ndim=3)
    np.testing.assert_array_equal(inside(ball), skimage.morphology.ball(radius))
    octahedron = kernels.structuring_element("diamond", radius, ndim=3)
    np.testing.assert_array_equal(inside(octahedron), skimage.morphology.octahedron(radius))
    cross = kernels.structuring_element("cross", radius, ndim=3)
    assert inside(cross).sum() == 6 * radius + 1


@pytest.mark.parametrize("name", ["square", "cross", "disk", "diamond"])
def test_max_plus_convolutions_are_scipys_dilations(name: Any) -> None:
    image = np.random.default_rng(0).normal(size=(11, 12))
    kernel = kernels.structuring_element(name, 2)
    ours = reference.conv("(h+kh) (w+kw), kh kw -> h w", image, kernel, semiring="max_plus")
    theirs = scipy.ndimage.grey_dilation(image, footprint=kernel == 0)
    np.testing.assert_array_equal(ours, theirs[2:-2, 2:-2])


def test_parabolas_dilate_like_scipys() -> None:
    image = np.random.default_rng(0).normal(size=(11, 12))
    kernel = kernels.parabola((0.5, 2.0), radius=(2, 3))
    assert kernel.shape == (5, 7)
    ours = reference.conv("(h+kh) (w+kw), kh kw -> h w", image, kernel, semiring="max_plus")
    theirs = scipy.ndimage.grey_dilation(image, structure=kernel)
    np.testing.assert_allclose(ours, theirs[2:-2, 3:-3])


def test_parabolas_separate_and_make_up_a_wider_one() -> None:
    rows, columns = kernels.parabola(0.7, ndim=1), kernels.parabola(2.0, ndim=1)
    np.testing.assert_allclose(kernels.parabola((0.7, 2.0)), np.add.outer(rows, columns))
    # On a fine grid the maximum over the shift is the one over all real shifts.
    step, t = 20, np.arange(-200, 201)
    first, second = (kernels.parabola(s * step**2, radius=200, ndim=1) for s in (0.5, 1.5))
    both = [
        max(first[200 + i] + second[200 + k - i] for i in range(-200, 201) if abs(k - i) <= 200)
        for k in t[100:301]
    ]
    expected = kernels.parabola(2.0 * step**2, radius=200, ndim=1)[100:301]
    np.testing.assert_allclose(both, expected, atol=1 / step**2)
    assert not np.signbit(kernels.parabola()[3, 3])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.structuring_element("circle"), r"shape='circle'\): is not a choice"),  # type: ignore[arg-type]
        (lambda: kernels.structuring_element(radius=-1), r"radius=-1"),
        (lambda: kernels.structuring_element(radius=1.5), r"radius=1.5"),  # type: ignore[arg-type]
        (lambda: kernels.structuring_element(radius=10**5), r"is too large"),
        (lambda: kernels.structuring_element(ndim=4), r"ndim=4: "),
        (lambda: kernels.parabola(0), r"parabola\(scale=0\)"),
        (lambda: kernels.parabola((1, 1, 1)), r"has 3 values for 2 spatial axes"),
        (lambda: kernels.parabola(radius=-2), r"parabola\(radius=-2\)"),
        (lambda: kernels.parabola(ndim=0), r"ndim=0: "),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()

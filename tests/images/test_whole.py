"""Sums of whole numbers in 16 bits: exact, whatever the kernel, its edges and the path taken."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith import images
from convsmith.images import engine
from convsmith.images.program import NARROW
from convsmith.images.whole import doubled, lines_of, whole

pytestmark = pytest.mark.backend_free


def exact(image: np.ndarray, kernel: np.ndarray, target: str) -> np.ndarray:
    """Return the correlation with edges repeated, by whole numbers, halves to even."""
    rows, columns = kernel.shape
    pads = [(n // 2, n - 1 - n // 2) for n in kernel.shape]
    padded = np.pad(image.astype(np.int64), pads, mode="edge")
    scale = 2**12
    large = np.rint(kernel * scale).astype(np.int64)
    assert (large == kernel * scale).all()
    total = np.zeros(image.shape, np.int64)
    for i in range(rows):
        for j in range(columns):
            total += large[i, j] * padded[i : i + image.shape[0], j : j + image.shape[1]]
    low, high = np.iinfo(target).min, np.iinfo(target).max
    rounded = [min(max(round(Fraction(int(v), scale)), low), high) for v in total.ravel()]
    return np.array(rounded, target).reshape(image.shape)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, str]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    source = draw(st.sampled_from(["uint8", "int8"]))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 90)))
    limits = np.iinfo(source)
    image = rng.integers(limits.min, limits.max, shape, source, endpoint=True)
    sizes = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    halvings = draw(st.integers(0, 4))
    low = draw(st.sampled_from([0, -3]))
    if draw(st.booleans()):
        lines = [rng.integers(low, 4, n) for n in sizes]
        if draw(st.booleans()):
            lines[0] = lines[0] + lines[0][::-1]
            lines[1] = lines[1] + (1 if low == 0 else -1) * lines[1][::-1]
        kernel = np.outer(*lines)
    else:
        kernel = rng.integers(low, 4, sizes)
    return (
        image,
        kernel / 2.0**halvings,
        draw(st.sampled_from(["uint8", "int8", "int16", "uint16"])),
    )


@settings(max_examples=40)
@given(case=cases(), method=st.sampled_from([None, "direct", "separable"]), portable=st.booleans())
def test_sums_are_exact(
    case: tuple[np.ndarray, np.ndarray, str], method: str | None, portable: bool
) -> None:
    image, kernel, target = case
    if method == "separable" and np.linalg.matrix_rank(kernel) != 1:
        method = "direct"
    options = {"dtype": target, "padding_mode": "edge", "method": method}
    assume(images.plan(image, kernel, **options)[0].work in NARROW)
    with pytest.MonkeyPatch.context() as patch:
        if portable:
            patch.setattr(engine, "compiled", None)
        actual = images.filter(image, kernel, **options)
    np.testing.assert_array_equal(actual, exact(image, kernel, target))


def test_the_plan_says_so() -> None:
    image = np.zeros((8, 8), "uint8")

    def work(kernel: object, **options: object) -> str:
        return images.plan(image, kernel, **options)[0].work

    line = np.array([1, 2, 1]) / 4
    assert work(np.outer(line, line)) == "uint16"
    assert work("sobel_x", dtype="int16") == "int16"
    assert work(np.full((3, 3), 1 / 9), method="direct") == "float32"
    assert work(np.outer(line, line), dtype="float32") == "float32"
    assert work(np.outer(line, line), padding_mode="constant", padding_value=0.5) == "float32"
    assert work(np.outer(line, line), padding_mode="constant", padding_value=300) == "float32"
    assert work(np.outer(line, line), padding_mode="renormalize") == "float32"
    assert work(np.full((4, 4), 17.0), method="direct") == "float32"  # 4 * 4 * 17 * 255 > 65535
    assert work(np.full((4, 4), 16.0), method="direct") == "uint16"
    assert images.plan(image.astype("uint16"), np.outer(line, line))[0].work == "float32"


def test_kernels_as_whole_numbers() -> None:
    found = doubled(np.array([0.25, 0.5]))
    assert found is not None
    np.testing.assert_array_equal(found[0], [1, 2])
    assert found[1] == 2
    assert doubled(np.array([1 / 3])) is None
    kernel = np.outer([2, 0, -4], [3, 6])
    lines = lines_of(kernel.astype(float))
    assert lines is not None
    np.testing.assert_array_equal(np.outer(*lines), kernel)
    assert lines_of(np.eye(2)) is None
    assert lines_of(np.zeros((2, 2))) is None
    assert whole(np.eye(2), "uint8", "uint8", "even", by_lines=True) is None
    assert whole(np.eye(2), "uint8", "uint8", "truncate", by_lines=False) is None

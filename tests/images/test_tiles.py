"""Images wider than the tiles at their edges: equal to sums over padded copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convsmith import images
from convsmith.images import plan

pytestmark = pytest.mark.backend_free

MODES = ("reflect", "symmetric", "edge", "wrap", "constant", "renormalize")
SIZES: list[tuple[int, int]] = [(1, 3), (3, 1), (2, 4), (3, 3), (5, 5), (9, 2), (10, 9)]


def reference(image: np.ndarray, kernel: np.ndarray, mode: str, fill: float) -> np.ndarray:
    """Return the correlation in float64, over padded copies."""
    pads = [(n // 2, n - 1 - n // 2) for n in kernel.shape]
    pads += [(0, 0)] * (image.ndim - 2)
    wide = image.astype(np.float64)
    if mode == "constant":
        padded = np.pad(wide, pads, constant_values=fill)
    else:
        padded = np.pad(wide, pads, mode="constant" if mode == "renormalize" else mode)  # type: ignore[call-overload]
    inside = np.pad(np.ones(image.shape), pads)
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    rows, columns = image.shape[:2]
    for (i, j), weight in np.ndenumerate(kernel):
        window = np.s_[i : i + rows, j : j + columns]
        total += weight * padded[window]
        count += inside[window]
    return total * kernel.size / count if mode == "renormalize" else total


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("dtype", "channels", "width"),
    [("float32", 1, 333), ("float32", 3, 130), ("float64", 1, 256), ("uint8", 3, 301),
     ("uint8", 1, 64), ("int16", 1, 200)],
)  # fmt: skip
def test_wide_images(
    dtype: str, channels: int, width: int, size: tuple[int, int], mode: str
) -> None:
    rng = np.random.default_rng([*size, width])
    image: Any = rng.integers(0, 200, (23, width, channels)).astype(dtype)
    if channels == 1:
        image = image[..., 0]
    lines = [rng.normal(size=n) for n in size]
    lines = [line / np.abs(line).sum() for line in lines]
    kernel = rng.normal(size=size)
    kernel /= np.abs(kernel).sum()
    fill = 7.0 if mode == "constant" else None
    options: dict[str, Any] = {"padding_mode": mode, "padding_value": fill}
    target = "float64" if dtype == "float64" else "float32"
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for found, of in (
        (images.filter(image, kernel, dtype=target, **options), kernel),
        (images.filter_lines(image, lines, dtype=target, **options), np.outer(*lines)),
    ):
        expected = reference(image, of, mode, 7.0)
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    if dtype == "uint8" and mode != "renormalize":
        # Whole numbers, halves to even, saturated.
        whole = [rng.integers(0, 5, n).astype(float) for n in size]
        exact = np.clip(np.rint(reference(image, np.outer(*whole), mode, 7.0) / 8), 0, 255)
        found = images.filter_lines(image, [whole[0] / 8, whole[1]], **options)
        np.testing.assert_array_equal(found, exact)


def test_a_fill_that_bytes_do_not_hold() -> None:
    """Half a number beyond the edges: no tile of bytes can hold it."""
    image = np.zeros((9, 200), "uint8")
    lines = [np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.4, 0.3])]
    found = images.filter_lines(
        image, lines, padding_mode="constant", padding_value=0.5, dtype="float32"
    )
    expected = reference(image, np.outer(*lines), "constant", 0.5)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[0, 0] > 0.2


def test_strided_and_odd_places_give_the_same_bits() -> None:
    """Images of which rows don't begin at multiples of anything."""
    rng = np.random.default_rng(0)
    held = rng.random((40, 401), dtype="float32")
    lines = [np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.4, 0.1, 0.1, 0.1])]
    for image in (held[:, 1:], held[1::2, ::2], held[::-1, 7:300]):
        for call in (
            lambda x: images.filter_lines(x, lines),
            lambda x: images.filter(x, np.outer([1, 2, 3], [1, 5]) + np.eye(3, 2)),
        ):
            np.testing.assert_array_equal(call(image), call(image.copy()))


def test_the_plan_of_lines_is_by_lines() -> None:
    kernel = np.outer([1.0, 2.5, 1.0], [1.0, 3.3, 1.0, 0.2, 0.7])
    (chosen,) = plan(np.zeros((64, 300), "uint8"), kernel, dtype="float32")
    assert chosen.method == "separable"

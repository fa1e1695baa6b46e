"""Named functions on Dask arrays: at every chunking the numbers of the image in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convsmith import images
from convsmith.errors import ArgumentError, ShapeError, UnsupportedError
from convsmith.images import engine

pytestmark = pytest.mark.backend_free

MODES = ("reflect", "symmetric", "edge", "wrap", "constant", "renormalize")
DTYPES = ("float32", "float64", "uint8", "int16", "uint16", "float16", "bool", "int32")
FEW = settings(
    max_examples=max(8, settings().max_examples // 8),
    # The fixture is the same for all examples.
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture],
)
DISK = np.hypot(*np.mgrid[-2:3, -2:3]) < 2.3


def line(*numbers: float) -> np.ndarray:
    return np.array(numbers)


TWO_AXES: dict[str, Callable[..., Any]] = {
    "gaussian_blur": lambda x, **o: images.gaussian_blur(x, (0.7, 2.1), **o),
    "gaussian_blur to uint8": lambda x, **o: images.gaussian_blur(x, 1.3, dtype="uint8", **o),
    "gaussian_blur opencv": lambda x, **o: images.gaussian_blur(x, 1.1, convention="opencv"),
    "gaussian_blur scipy": lambda x, **o: images.gaussian_blur(x, 1.1, convention="scipy"),
    "gaussian_blur skimage": lambda x, **o: images.gaussian_blur(x, 1.1, convention="skimage"),
    "box_blur": lambda x, **o: images.box_blur(x, (3, 8), **o),
    "filter_lines": lambda x, **o: images.filter_lines(
        x, [line(1, -2, 3, 0.5), line(0.3, 0.7)], anchor=(3, 0), **o
    ),
    "sobel": lambda x, **o: images.sobel(x, "y", size=5, **o),
    "sobel scipy": lambda x, **o: images.sobel(x, convention="scipy"),
    "sobel skimage": lambda x, **o: images.sobel(x, convention="skimage"),
    "laplacian": images.laplacian,
    "laplacian scipy": lambda x, **o: images.laplacian(x, convention="scipy"),
    "gradient": lambda x, **o: images.gradient(x, operator="scharr", **o),
    "gradient_magnitude": images.gradient_magnitude,
    "gradient_magnitude skimage": lambda x, **o: images.gradient_magnitude(
        x, operator="farid", convention="skimage"
    ),
    "gradient_orientation": images.gradient_orientation,
    "unsharp_mask": lambda x, **o: images.unsharp_mask(x, 1.2, 0.8, **o),
    "unsharp_mask skimage": lambda x, **o: images.unsharp_mask(x, 1.2, convention="skimage"),
    "local_normalize": lambda x, **o: images.local_normalize(x, 1.5, **o),
}
FLAT: dict[str, Callable[..., Any]] = {
    "dilate": lambda x, **o: images.dilate(x, (2, 7), **o),
    "erode": lambda x, **o: images.erode(x, 4, anchor=3, **o),
    "dilate a disk": lambda x, **o: images.dilate(x, DISK, flip=True, **o),
    "dilate a parabola": lambda x, **o: images.dilate(x, "parabola(scale=1.5)", **o),
    "erode to float": lambda x, **o: images.erode(x, DISK[:, 1:], dtype="float32", **o),
}


def chunks_of(draw: Any, size: int) -> tuple[int, ...]:
    """Return chunks of one entry, all in one, or any, empty ones too."""
    kind = draw(st.sampled_from(["one", "ones", "any", "any"]))
    if kind == "one" or size == 0:
        return (size,)
    if kind == "ones" and size <= 12:
        return (1,) * size
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=3)))
    return tuple(b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True))


@st.composite
def pairs(draw: Any, most: int = 30, rank: int = 2) -> tuple[np.ndarray, Any]:
    """Draw an image, and the same as a Dask array of any chunks."""
    shape = [draw(st.integers(1, most)) for _ in range(rank)]
    shape += [2] if draw(st.booleans()) else []
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.uniform(0, 120, shape).astype(draw(st.sampled_from(DTYPES)))
    chunks = tuple(chunks_of(draw, n) for n in shape)
    return image, da.from_array(image, chunks=chunks)


def check(function: Callable[..., Any], image: np.ndarray, lazy: Any, **options: Any) -> None:
    expected = function(image, **options)
    found = function(lazy, **options)
    assert isinstance(found, da.Array)
    assert found.chunks[: image.ndim] == lazy.chunks
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    actual = found.compute(scheduler="synchronous")
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave machine code out: making it for every dtype takes longer than all the rest."""
    monkeypatch.setattr(engine, "compiled", None)


@pytest.mark.usefixtures("portable")
@pytest.mark.parametrize("name", [*TWO_AXES, *FLAT])
@FEW
@given(pairs(), st.data())
def test_every_chunking(name: str, pair: Any, data: Any) -> None:
    allowed = MODES if name in TWO_AXES else MODES[:-1]
    modes = tuple(data.draw(st.sampled_from(allowed)) for _ in range(2))
    check((TWO_AXES | FLAT)[name], *pair, axes=(0, 1), padding_mode=modes)


@pytest.mark.parametrize(("dtype", "mode"), [("float32", "wrap"), ("uint8", "reflect")])
@pytest.mark.parametrize("name", [*TWO_AXES, *FLAT])
def test_machine_code(name: str, dtype: str, mode: str) -> None:
    image = np.random.default_rng(4).uniform(0, 120, (31, 23)).astype(dtype)
    lazy = da.from_array(image, chunks=((1, 2, 13, 15), (4, 19)))
    check((TWO_AXES | FLAT)[name], image, lazy, axes=(0, 1), padding_mode=mode)


@pytest.mark.usefixtures("portable")
@FEW
@given(pairs(most=9, rank=3), st.sampled_from(MODES[:-1]))
def test_volumes(pair: Any, mode: str) -> None:
    options = {"axes": (0, 1, 2), "padding_mode": mode}
    check(lambda x, **o: images.gaussian_blur(x, 0.8, **o), *pair, **options)
    check(lambda x, **o: images.dilate(x, (3, 2, 1), **o), *pair, **options)
    check(images.gradient_magnitude, *pair, **options)


@pytest.mark.usefixtures("portable")
@FEW
@given(pairs(), st.data())
def test_missing_pixels(pair: Any, data: Any) -> None:
    image, lazy = pair
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mode = data.draw(st.sampled_from(MODES))
    mask = rng.uniform(size=image.shape[:2]) > 0.4
    form = data.draw(st.sampled_from(["none", "array", "dask"]))
    if image.dtype.kind == "f":
        image = np.where(rng.uniform(size=image.shape) > 0.7, np.nan, image)
        lazy = da.from_array(image, chunks=lazy.chunks)
    given_mask = {"none": None, "array": mask, "dask": da.from_array(mask, chunks=7)}[form]
    kernel = np.outer([1, 2, 1, 0.5], [1, 3, 1])
    options = {"padding_mode": mode, "axes": (0, 1), "least": 0.1}
    expected = images.masked(image, kernel, None if form == "none" else mask, **options)
    found = images.masked(lazy, kernel, given_mask, **options)
    assert found.chunks == lazy.chunks
    np.testing.assert_array_equal(found.compute(scheduler="synchronous"), expected)


def test_a_library_for_missing_pixels() -> None:
    image = np.array([[1.0, np.nan, 3.0, 3.0]] * 3)
    for convention in (None, "opencv", "scipy", "kornia"):
        found = images.masked(image, np.ones((1, 3)) / 3, convention=convention)
        np.testing.assert_allclose(found[1], [1.0, 2.0, 3.0, 3.0], rtol=1e-6)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    def refuse(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    image = da.zeros((64, 64), chunks=16, dtype="float32")
    image = image.map_blocks(refuse, dtype="float32", meta=np.zeros((0, 0), "float32"))
    for function in (*TWO_AXES.values(), *FLAT.values()):
        function(image, axes=(0, 1))
    images.masked(image, np.ones((3, 3)))
    with pytest.raises(AssertionError, match="computed"):
        images.local_normalize(image).compute()


def test_a_part_needs_only_its_neighbours() -> None:
    loaded = []

    def noted(block: np.ndarray, block_id: Any = None) -> np.ndarray:
        loaded.append(block_id)
        return block

    image = da.zeros((80, 80), chunks=10).map_blocks(noted, dtype=float, meta=np.zeros((0, 0)))
    images.dilate(image, 3)[40:50, 40:50].compute()
    assert sorted(loaded) == [(i, j) for i in (3, 4, 5) for j in (3, 4, 5)]
    loaded.clear()
    images.unsharp_mask(image, 2.0)[40:50, 40:50].compute()
    assert set(loaded) == {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}


def test_nothing_is_warned_of() -> None:
    image = np.full((12, 12), np.nan)
    image[0, 0] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = images.masked(da.from_array(image, chunks=5), np.ones((3, 3))).compute()
    assert found[1, 1] == 9.0  # What is there, for the whole of the kernel.
    assert np.isnan(found[5, 5])


@pytest.mark.parametrize(
    "function", [images.gaussian_blur, images.dilate, images.gradient, images.masked]
)
def test_what_is_no_image(function: Callable[..., Any]) -> None:
    more = {images.gaussian_blur: [2.0], images.masked: [np.ones(3)]}.get(function, [])
    line = da.from_array(np.arange(20.0), chunks=5)
    with pytest.raises(ShapeError, match="compute_chunk_sizes"):
        function(line[line > 3], *more)
    with pytest.raises(UnsupportedError, match="is not an array of Dask's"):
        function(dask.delayed(np.ones)((4, 4)), *more)


def test_errors_come_at_once() -> None:
    image = da.zeros((20, 20), dtype="uint8")
    with pytest.raises(ArgumentError, match="padding_mode"):
        images.gaussian_blur(image, 2.0, padding_mode="mirror")
    with pytest.raises(ShapeError, match="doesn't fit the image"):
        images.masked(image, np.ones((3, 3)), np.ones((3, 3)))

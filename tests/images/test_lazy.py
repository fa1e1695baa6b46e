"""Dask arrays: at every chunking the numbers of the image in memory, to the bit."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith import images
from convsmith.errors import ArgumentError, ShapeError, UnsupportedError
from convsmith.images import engine

pytestmark = pytest.mark.backend_free

MODES = ("reflect", "symmetric", "edge", "wrap", "constant", "renormalize")
DTYPES = ("float32", "float64", "uint8", "int16", "uint16", "float16", "bool", "int32")


def chunks_of(draw: Any, size: int) -> tuple[int, ...]:
    """Return chunks of one entry, even, uneven, or all in one."""
    kind = draw(st.sampled_from(["one", "ones", "even", "any"]))
    if kind == "one":
        return (size,)
    if kind == "ones" and size <= 12:
        return (1,) * size
    if kind == "even":
        step = draw(st.integers(max(size // 4, 1), size))
        return (*(step,) * (size // step), *((size % step,) if size % step else ()))
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=3)))
    return tuple(b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True))


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    ndim = draw(st.integers(rank, min(rank + 2, 4)))
    shape = [draw(st.integers(1, 3)) for _ in range(ndim)]
    axes = tuple(draw(st.permutations(range(ndim)))[:rank])
    for axis in axes:
        shape[axis] = draw(st.integers(1, {1: 90, 2: 45, 3: 9}[rank]))
    taps = [draw(st.integers(1, {1: 30, 2: 12, 3: 4}[rank])) for _ in axes]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = rng.uniform(-1, 1, taps)
    lines = draw(st.sampled_from([0, 1, 2]))
    if lines:  # one, or a sum of two products of lines
        kernel = np.zeros(taps)
        for _ in range(lines):
            product = np.ones(())
            for n in taps:
                product = np.multiply.outer(product, rng.uniform(-1, 1, n))
            kernel = kernel + product
    dtype = draw(st.sampled_from(DTYPES))
    target = draw(st.sampled_from([None, "float32", "float64", "uint8"]))
    form = draw(st.sampled_from(["one", "one", "bank", "complex"]))
    if form == "bank":
        kernel = np.stack([kernel, kernel[::-1]], -1)
    if form == "complex":
        kernel, target = kernel + 1j * kernel[::-1], "float32"
    modes = tuple(draw(st.sampled_from(MODES)) for _ in axes)
    options = {
        "axes": axes,
        "padding_mode": modes,
        "padding_value": 2.5 if "constant" in modes and draw(st.booleans()) else None,
        "anchor": tuple(draw(st.integers(0, n - 1)) for n in taps),
        "flip": draw(st.booleans()),
        "dtype": target,
    }
    image = rng.uniform(0, 120, shape).astype(dtype)
    return {
        "image": image,
        "kernel": kernel,
        "chunks": tuple(chunks_of(draw, n) for n in shape),
        "options": options,
    }


def check(case: dict[str, Any], **more: Any) -> None:
    image, options = case["image"], case["options"] | more
    expected = images.filter(image, case["kernel"], **options)
    lazy = images.filter(da.from_array(image, chunks=case["chunks"]), case["kernel"], **options)
    assert lazy.chunks[: image.ndim] == case["chunks"]
    assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
    actual = lazy.compute(scheduler="synchronous")
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@given(cases())
def test_every_chunking(case: dict[str, Any]) -> None:
    check(case)


@given(cases(), st.sampled_from(["direct", "separable", "fourier"]))
def test_every_method(case: dict[str, Any], method: str) -> None:
    plans = images.plan(case["image"], case["kernel"], **case["options"])
    if all(method in {m for m, cost, _ in p.considered if cost < float("inf")} for p in plans):
        check(case, method=method)


@given(cases())
def test_every_chunking_without_machine_code(case: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compiled", None)
        check(case)


@pytest.mark.parametrize("convention", ["opencv", "scipy", "skimage"])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float64"])
def test_conventions_and_byte_orders(convention: Any, dtype: str) -> None:
    image = np.random.default_rng(1).uniform(0, 200, (40, 31, 3)).astype(dtype)
    expected = images.filter(image, "gaussian(sigma=2)", convention=convention)
    lazy = images.filter(
        da.from_array(image, chunks=(9, 31, 2)), "gaussian(sigma=2)", convention=convention
    )
    assert lazy.dtype == expected.dtype
    np.testing.assert_array_equal(lazy.compute(), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("method", ["direct", "separable", "fourier"])
def test_entries_that_are_not_finite(bad: float, method: str) -> None:
    """Where sums overflow, or one NaN would spread, the parts agree with the whole too."""
    image = np.random.default_rng(2).random((300, 200), dtype="float32")
    image[150:160, 90:100] = bad
    kernel = np.outer(np.hanning(23), np.hanning(21))
    expected = images.filter(image, kernel, method=method)
    lazy = images.filter(da.from_array(image, chunks=(70, 33)), kernel, method=method)
    np.testing.assert_array_equal(lazy.compute(), expected)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    def refuse(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    image = da.zeros((64, 64), chunks=16, dtype="float32")
    images.filter(image.map_blocks(refuse, dtype="float32", meta=np.zeros((0, 0))), "sobel_x")
    one = images.filter(image, "sobel_x")
    assert one.name == images.filter(image, "sobel_x").name
    assert one.name != images.filter(image, "sobel_y").name
    assert "-> direct" in str(images.plan(image, "sobel_x"))


def test_a_part_needs_only_its_neighbours() -> None:
    """What lies farther away than the kernel reaches isn't even loaded."""
    loaded = []

    def noted(block: np.ndarray, block_id: Any = None) -> np.ndarray:
        loaded.append(block_id)
        return block

    image = da.zeros((80, 80), chunks=10).map_blocks(noted, dtype=float, meta=np.zeros((0, 0)))
    images.filter(image, np.ones((3, 3)))[40:50, 40:50].compute()
    assert sorted(loaded) == [(i, j) for i in (3, 4, 5) for j in (3, 4, 5)]
    loaded.clear()
    images.filter(image, np.ones((3, 3)), padding_mode="wrap")[:10, 40:50].compute()
    assert sorted(loaded) == [(i, j) for i in (0, 1, 7) for j in (3, 4, 5)]


def test_unknown_chunks_and_other_objects() -> None:
    image = da.from_array(np.arange(20.0), chunks=5)
    with pytest.raises(ShapeError, match="compute_chunk_sizes"):
        images.filter(image[image > 3], np.ones(3))
    with pytest.raises(UnsupportedError, match="is not an array of Dask's"):
        images.filter(dask.delayed(np.ones)((4, 4)), "sobel_x")


def test_errors_come_at_once() -> None:
    image = da.zeros((20, 20), dtype="uint8")
    with pytest.raises(ArgumentError, match="is complex"):
        images.filter(image, np.full((3, 3), 1j))


def test_dask_is_not_imported_for_arrays() -> None:
    code = "import sys, numpy as np; from convsmith import images\n"
    code += "images.filter(np.zeros((4, 4)), 'sobel_x'); assert 'dask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.one_backend
def test_on_a_cluster_of_two_processes() -> None:
    from distributed import Client, LocalCluster

    image = np.random.default_rng(3).random((240, 200), dtype="float32")
    with (
        LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        for kernel, method in (("gaussian(sigma=2)", "separable"), ("disk(7)", "fourier")):
            lazy = images.filter(da.from_array(image, chunks=(50, 70)), kernel, method=method)
            np.testing.assert_array_equal(
                lazy.compute(), images.filter(image, kernel, method=method)
            )

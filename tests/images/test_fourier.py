"""Large kernels: the transforms themselves, the tiles, and results against SciPy's sums."""

from __future__ import annotations

import ctypes
from typing import Any

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given
from hypothesis import strategies as st

from convsmith import images
from convsmith.images import compiled, engine, transform_code
from convsmith.images.fourier_grid import TOGETHER, grid
from convsmith.images.transform_code import FACTORS, PAD, TRANSFORM, Transform

pytestmark = pytest.mark.backend_free

RNG = np.random.default_rng(0)
PAIRS = [(a, b, "float32") for a, b in zip(FACTORS, reversed(FACTORS), strict=True)]
MODES = {"reflect": "mirror", "symmetric": "reflect", "edge": "nearest", "wrap": "grid-wrap"}


@pytest.mark.parametrize(("rows", "columns", "work"), [*PAIRS, (64, 96, "float64")])
def test_transforms_of_every_size(rows: int, columns: int, work: str) -> None:
    """Each size along both axes, against NumPy's transforms of the complex tile."""
    wanted = Transform(rows, columns, work)
    address = compiled.address_of(
        transform_code.name_of(wanted), lambda: transform_code.written(wanted)
    )
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int64}
    function = ctypes.CFUNCTYPE(None, *(kinds[letter] for letter in TRANSFORM))(address)
    tiles = np.zeros((2, rows, columns + PAD), work)
    tiles[:, :, :columns] = RNG.normal(size=(2, rows, columns))
    spectrum = RNG.normal(size=(rows, columns)) + 1j * RNG.normal(size=(rows, columns))
    both = tiles[0, :, :columns] + 1j * tiles[1, :, :columns].astype(float)
    expected = np.fft.ifft2(np.fft.fft2(both) * spectrum)
    arrays = (
        tiles, np.zeros(wanted.scratch, work),
        transform_code.spectrum(wanted, spectrum / spectrum.size),
        transform_code.turns(rows, work), transform_code.turns(columns, work),
    )  # fmt: skip
    function(*(array.ctypes.data for array in arrays), columns)
    actual = tiles[0, :, :columns] + 1j * tiles[1, :, :columns]
    error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    assert error < (3e-7 if work == "float32" else 6e-16)


@given(
    st.tuples(st.integers(1, 1500), st.integers(1, 1500)),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_grids(taps: tuple[int, int], sizes: tuple[int, int]) -> None:
    """Tiles hold all that their outputs read, cover the image, and begin within it."""
    found = grid(taps, sizes)
    for axis, (k, n) in enumerate(zip(taps, sizes, strict=True)):
        step, unit = found.step[axis], found.unit[axis]
        assert step >= 1
        assert step + k - 1 <= found.size[axis]
        assert unit == step * TOGETHER[axis]
        begin, end = found.reach(axis, n - 1, n)
        assert begin <= n - 1 < end
        assert end - begin == unit
        assert begin % unit == 0


@pytest.mark.parametrize("machine_code", [True, False])
@pytest.mark.parametrize("channels", [None, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_scipy_s_sums(dtype: str, channels: int | None, machine_code: bool) -> None:
    shape = (150, 211) if channels is None else (150, 211, channels)
    image = RNG.uniform(0, 250, shape).astype(dtype)
    kernel = RNG.normal(size=(20, 33))
    kernel /= np.abs(kernel).sum()
    with pytest.MonkeyPatch.context() as patch:
        if not machine_code:
            patch.setattr(engine, "compiled", None)
        for mode, name in MODES.items():
            target = "float64" if dtype == "float64" else "float32"
            actual = images.filter(image, kernel, padding_mode=mode, method="fourier", dtype=target)
            weights = kernel if channels is None else kernel[..., None]
            expected = ndi.correlate(image.astype(float), weights, mode=name)
            tolerance = 1e-12 if dtype == "float64" else 1e-4
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(1300, 9), (9, 1300)])
def test_kernels_that_machine_code_is_not_made_for(shape: tuple[int, int]) -> None:
    image = RNG.normal(size=shape).astype(np.float32)
    kernel = RNG.normal(size=tuple(1100 if n > 9 else 2 for n in shape))
    actual = images.filter(image, kernel, method="fourier", padding_mode="edge")
    expected = ndi.correlate(image.astype(float), kernel, mode="nearest")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * np.abs(expected).max() * 10)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("machine_code", [True, False])
def test_whole_sums_are_whole_in_floating_results(dtype: str, machine_code: bool) -> None:
    image = RNG.integers(0, 2**15 if dtype != "uint8" else 256, (90, 140, 3)).astype(dtype)
    kernel = RNG.integers(-9, 10, (11, 14))
    with pytest.MonkeyPatch.context() as patch:
        if not machine_code:
            patch.setattr(engine, "compiled", None)
        actual = images.filter(image, kernel, method="fourier", dtype="float64")
    expected = ndi.correlate(image.astype(np.int64), kernel[..., None], mode="mirror")
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("machine_code", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_parts_channels_and_threads_give_the_bits_of_the_whole(
    dtype: str, machine_code: bool
) -> None:
    image = RNG.uniform(0, 250, (230, 310, 3)).astype(dtype)
    kernel = RNG.normal(size=(23, 17))
    options: Any = {"method": "fourier", "padding_mode": ("wrap", "renormalize")}
    with pytest.MonkeyPatch.context() as patch:
        if not machine_code:
            patch.setattr(engine, "compiled", None)
        whole = images.filter(image, kernel, workers=1, **options)
        np.testing.assert_array_equal(images.filter(image, kernel, workers=3, **options), whole)
        alone = images.filter(image[:, :, 1], kernel, **options)
        np.testing.assert_array_equal(alone, whole[:, :, 1])
        every: Any = ((100, 61, 1), (37, 310, 2))
        for chunks in every:
            lazy: Any = images.filter(da.from_array(image, chunks=chunks), kernel, **options)
            np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), whole)


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e38])
def test_a_tile_beside_one_that_is_not_finite_has_direct_sums(bad: float) -> None:
    """Transforms would spread it, and those of what is too large would overflow."""
    image = RNG.normal(size=(60, 200)).astype(np.float32)
    kernel = RNG.normal(size=(9, 9))
    step = grid((9, 9), image.shape).step[1]
    image[20, step // 2] = bad  # In the first tile of a pair, for none of the second's outputs.
    actual = images.filter(image, kernel, method="fourier")
    second = (slice(30), slice(step + 4, 2 * step - 4))
    direct = images.filter(image, kernel, method="direct")
    assert np.isfinite(direct[second]).all()
    np.testing.assert_array_equal(actual[second], direct[second])


def test_plans_of_whole_kernels_count_transforms_twice() -> None:
    image = np.zeros((50, 50), np.uint8)
    costs = [
        {method: cost for method, cost, _ in images.plan(image, kernel)[0].considered}["fourier"]
        for kernel in (RNG.normal(size=(5, 5)), RNG.integers(1, 9, (5, 5)))
    ]
    assert costs[1] == 2 * costs[0]

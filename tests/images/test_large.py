"""Images from disk to disk: the numbers of the image in memory, little memory, stop and resume."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from convsmith import images
from convsmith.errors import ArgumentError, DataError, UnsupportedError
from convsmith.images import large
from convsmith.images.treatment import Treatment

pytestmark = pytest.mark.backend_free

INPUTS = ("c.npy", "fortran.npy", "big_endian.npy", "a.zarr", "tiled.tif", "plain.tif")
OUTPUTS = ("out.npy", "out.zarr", "out.tif")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SMALLEST", 30000)
    monkeypatch.setattr(large, "LARGEST", 30000)
    monkeypatch.setattr(large, "CHUNK_SIDES", {1: 900, 2: 60, 3: 20})


def write(path: Path, image: np.ndarray) -> Path:
    if path.suffix == ".zarr":
        chunks = tuple(min(n, 50) for n in image.shape)
        zarr.create_array(str(path), shape=image.shape, chunks=chunks, dtype=image.dtype)[:] = image
    elif path.name == "tiled.tif":
        tifffile.imwrite(path, image, tile=(48, 32), compression="zlib")
    elif path.suffix == ".tif":
        tifffile.imwrite(path, image)
    else:
        turned = np.asfortranarray(image) if "fortran" in path.name else image
        np.save(path, turned.astype(">f4") if "big_endian" in path.name else turned)
    return path


def read(path: Path) -> np.ndarray:
    if path.suffix == ".zarr":
        return np.asarray(zarr.open_array(str(path), mode="r")[...])
    return np.load(path) if path.suffix == ".npy" else tifffile.imread(path)


@pytest.mark.parametrize("out", OUTPUTS)
@pytest.mark.parametrize("name", INPUTS)
def test_the_numbers_are_those_in_memory(tmp_path: Path, name: str, out: str) -> None:
    image = np.random.default_rng(0).random((210, 170), dtype="float32")
    source = write(tmp_path / name, image)
    for kernel, mode in (("gaussian(sigma=3)", "wrap"), ("disk(12)", "reflect")):
        tiles: list[tuple[int, int]] = []
        large.filter_file(
            source,
            tmp_path / out,
            Treatment(kernel, {"padding_mode": mode}),
            overwrite=True,
            progress=lambda *now, seen=tiles: seen.append(now),
        )
        found = read(tmp_path / out)
        expected = images.filter(image, kernel, padding_mode=mode)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        count = tiles[0][1]
        assert count > 3
        assert tiles == [(done, count) for done in range(count + 1)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, out])


@pytest.mark.parametrize("mode", ["symmetric", "edge", "constant", "renormalize"])
@pytest.mark.parametrize(
    ("shape", "axes", "kernel"),
    [
        ((5000,), None, np.hanning(41)),
        ((90, 80, 3), None, "laplacian_of_gaussian"),
        ((4, 60, 50, 2), (1, 2), np.ones((3, 5, 2))),
        ((40, 30, 20), (0, 1, 2), "gaussian(sigma=1.5)"),
        ((60, 50, 7), (2, 0), np.arange(15.0).reshape(5, 3)),
        ((70, 60), None, np.full((3, 3), 1 + 1j)),
    ],
    ids=["line", "colours", "bank", "volume", "any axes", "complex"],
)
def test_any_axes_and_edges(
    tmp_path: Path, shape: Any, axes: Any, kernel: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(1).random(shape, dtype="float32")
    expected = images.filter(image, kernel, axes=axes, padding_mode=mode)
    source = write(tmp_path / "in.zarr", image)
    for out in ("out.npy", "out.zarr"):
        large.filter_file(
            source, tmp_path / out, Treatment(kernel, {"padding_mode": mode}), axes=axes
        )
        found = read(tmp_path / out)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_stacks_of_pages_and_colours_say_their_axes(tmp_path: Path) -> None:
    stack = np.random.default_rng(2).integers(0, 2**16, (5, 70, 60), "uint16")
    source = write(tmp_path / "stack.tif", stack)
    large.filter_file(source, tmp_path / "out.tif", "box(5)")
    expected = images.filter(stack, "box(5)", axes=(1, 2))
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), expected)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("gray", [False, True])
def test_alpha_is_kept(tmp_path: Path, planar: Any, gray: bool) -> None:
    image = np.random.default_rng(3).integers(0, 256, (80, 70, 4), "uint8")
    moved = image if planar == "contig" else np.moveaxis(image, -1, 0)
    options: Any = {"photometric": "rgb", "planarconfig": planar, "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "in.tif", moved, **options)
    large.filter_file(tmp_path / "in.tif", tmp_path / "out.npy", Treatment("box", gray=gray))
    found = np.load(tmp_path / "out.npy")
    found = found if planar == "contig" else np.moveaxis(found, 0, -1)
    np.testing.assert_array_equal(found[..., -1], image[..., 3])
    colours = image[..., :3]
    if gray:
        weights = np.array([0.299, 0.587, 0.114], "float32")
        colours = np.rint((colours * weights).sum(-1, keepdims=True)).astype("uint8")
    close = np.abs(found[..., :-1].astype(int) - images.filter(colours, "box")) <= gray
    assert close.all()


def test_magnitudes_and_absolute_values(tmp_path: Path) -> None:
    image = np.random.default_rng(4).integers(0, 256, (120, 90), "uint8")
    np.save(tmp_path / "in.npy", image)
    both = ["sobel_x", "sobel_y"]
    x, y = np.moveaxis(images.filter(image, both, dtype="float32"), -1, 0)
    for treatment, expected in (
        (Treatment(both, magnitude=True), np.rint(np.hypot(x, y)).clip(0, 255)),
        (Treatment(both, magnitude=True, dtype="float32"), np.hypot(x, y)),
        (Treatment("sobel_x", absolute=True), np.abs(x).clip(0, 255)),
        (
            Treatment("sobel_x", {"convention": "skimage"}),
            images.filter(image, "sobel_x", padding_mode="symmetric"),
        ),
    ):
        large.filter_file(tmp_path / "in.npy", tmp_path / "out.npy", treatment, overwrite=True)
        found = np.load(tmp_path / "out.npy")
        assert found.dtype == (treatment.dtype or "uint8")
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_array_equal(found, treatment.applied(image))
        if treatment.options:
            continue
        assert not treatment.loses_signs("uint8")
    assert Treatment("sobel_x").loses_signs("uint8")
    assert not Treatment("sobel_x").loses_signs("float32")
    assert not Treatment("gaussian").loses_signs("uint8")


class Stopped(Exception):
    pass


def stop_after(count: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise Stopped

    return progress


@pytest.mark.parametrize("out", OUTPUTS)
def test_stop_and_resume(tmp_path: Path, out: str) -> None:
    image = np.random.default_rng(5).random((210, 170), dtype="float32")
    source, target = write(tmp_path / "in.npy", image), tmp_path / out
    with pytest.raises(Stopped):
        large.filter_file(source, target, "gaussian", progress=stop_after(2), jobs=1)
    assert not target.exists()
    with pytest.raises(ArgumentError, match="half done by a run that was stopped.*--resume"):
        large.filter_file(source, target, "gaussian")
    with pytest.raises(ArgumentError, match="of another request: kernel changed"):
        large.filter_file(source, target, "gaussian(2)", resume=True)
    with pytest.raises(ArgumentError, match="request: padding changed"):
        large.filter_file(
            source, target, Treatment("gaussian", {"padding_mode": "wrap"}), resume=True
        )
    tiles: list[tuple[int, int]] = []
    large.filter_file(
        source, target, "gaussian", resume=True, progress=lambda *now: tiles.append(now), jobs=3
    )
    assert 2 <= tiles[0][0] < tiles[0][1]
    np.testing.assert_array_equal(read(target), images.filter(image, "gaussian"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.npy", out])


def test_another_input_is_noticed(tmp_path: Path) -> None:
    source = write(tmp_path / "in.npy", np.zeros((210, 170), "float32"))
    with pytest.raises(Stopped):
        large.filter_file(source, tmp_path / "out.npy", "gaussian", progress=stop_after(1), jobs=1)
    write(source, np.ones((210, 170), "float32"))
    with pytest.raises(ArgumentError, match="the input changed"):
        large.filter_file(source, tmp_path / "out.npy", "gaussian", resume=True)
    large.filter_file(source, tmp_path / "out.npy", "gaussian", overwrite=True)
    np.testing.assert_allclose(read(tmp_path / "out.npy"), 1.0, rtol=1e-6)


def test_a_run_that_was_stopped_while_it_began_left_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.npy", np.ones((21, 17), "float32"))
    (tmp_path / "out.npy.partial").mkdir()
    (tmp_path / "out.npy.partial" / "data.npy").write_bytes(b"half")
    large.filter_file(source, tmp_path / "out.npy", "gaussian")
    assert read(tmp_path / "out.npy").shape == (21, 17)


def test_a_line_of_the_record_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    image = np.random.default_rng(6).random((210, 170), dtype="float32")
    source = write(tmp_path / "in.npy", image)
    with pytest.raises(Stopped):
        large.filter_file(source, tmp_path / "out.npy", "box", progress=stop_after(0), jobs=1)
    folder = tmp_path / "out.npy.partial"
    (folder / "done").write_text("2")  # of 2, or of 23
    large.filter_file(source, tmp_path / "out.npy", "box", resume=True)
    np.testing.assert_array_equal(read(tmp_path / "out.npy"), images.filter(image, "box"))


def test_what_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.npy", np.ones((21, 17), "float32"))
    (tmp_path / "out.npy").touch()
    with pytest.raises(ArgumentError, match="is there already.*--overwrite"):
        large.filter_file(source, tmp_path / "out.npy", "box")
    with pytest.raises(DataError, match="is not there"):
        large.filter_file(tmp_path / "none.npy", tmp_path / "a.npy", "box")
    with pytest.raises(DataError, match="is not an array file"):
        large.filter_file(tmp_path / "out.npy", tmp_path / "a.npy", "box")
    with pytest.raises(DataError, match="holds no Zarr array"):
        large.filter_file(tmp_path, tmp_path / "a.npy", "box")
    (tmp_path / "no.tif").write_text("nothing")
    with pytest.raises(DataError, match="is not a TIFF file"):
        large.filter_file(tmp_path / "no.tif", tmp_path / "a.npy", "box")
    with pytest.raises(UnsupportedError, match="can't be written part by part"):
        large.filter_file(source, tmp_path / "a.png", "box")
    with pytest.raises(UnsupportedError, match="not one that viewers open"):
        large.filter_file(source, tmp_path / "a.tif", np.full((3, 3), 1j))
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((9, 9, 2)), planarconfig="contig")
    with pytest.raises(ArgumentError, match="gray: needs red, green and blue"):
        large.filter_file(tmp_path / "two.tif", tmp_path / "a.npy", Treatment("box", gray=True))
    assert not list(tmp_path.glob("*.partial"))


def test_tiff_that_can_not_be_read_part_by_part(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((90, 90), "uint8"), compression="zlib")
    damaged = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(damaged[:-40] + bytes(40))
    with pytest.raises(DataError, match="a.tif: can't be decoded"):
        large.filter_file(tmp_path / "a.tif", tmp_path / "a.npy", "box")
    assert not list(tmp_path.glob("*.partial"))
    turned = [(274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((90, 90), "uint8"), extratags=turned)
    with pytest.raises(UnsupportedError, match=r"is stored turned \(orientation 6\)"):
        large.filter_file(tmp_path / "b.tif", tmp_path / "b.npy", "box")
    with pytest.raises(UnsupportedError, match="can't hold the 2 filters of a bank.*out.zarr"):
        large.filter_file(
            write(tmp_path / "in.npy", np.zeros((9, 9))), tmp_path / "out.tif", ["box", "box"]
        )


def test_a_missing_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    (tmp_path / "in.zarr").mkdir()
    with pytest.raises(UnsupportedError, match=r"zarr: is not installed.*convsmith\[large\]"):
        large.filter_file(tmp_path / "in.zarr", tmp_path / "out.npy", "box")


MEASURED = """
import json, sys
from convsmith.images import large
import zarr, tifffile

def peak():  # of this program; what its parent took would count in getrusage
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10

large.filter_file(sys.argv[1], sys.argv[3], "gaussian(sigma=3)", jobs=2)
before = peak()
large.filter_file(sys.argv[2], sys.argv[4], "gaussian(sigma=3)", jobs=2)
print(json.dumps([before, peak()]))
"""


def measured(folder: Path, side: int, out: str) -> tuple[int, int]:
    """Return the most memory that a process took, before and after it filtered an image."""
    shape = (side, side)
    image = np.lib.format.open_memmap(folder / "in.npy", "w+", "float32", shape)
    for row in range(0, side, 500):
        image[row : row + 500] = np.random.default_rng(row).random((500, side), "float32")
    del image
    np.save(folder / "small.npy", np.zeros((20, 20), "float32"))
    arguments = [str(folder / n) for n in ("small.npy", "in.npy", f"small_{out}", out)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=True
    )
    before, after = json.loads(done.stdout)
    return before, after


LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is Linux's")


@LINUX
@pytest.mark.parametrize("out", ["out.npy", "out.zarr"])
def test_memory_stays_small(tmp_path: Path, out: str) -> None:
    """An image of 400 MB, which is twice that with its result."""
    before, after = measured(tmp_path, 10000, out)
    assert after - before < 250 << 20
    shutil.rmtree(tmp_path)


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("out", ["out.npy", "out.zarr"])
def test_a_large_image_in_less_than_a_gigabyte(tmp_path: Path, out: str) -> None:
    _, after = measured(tmp_path, 20000, out)
    assert after < 1 << 30
    found = np.load(tmp_path / out, mmap_mode="r") if out.endswith("npy") else None
    if found is not None:
        image = np.load(tmp_path / "in.npy", mmap_mode="r")
        expected = images.filter(image[9000:9400], "gaussian(sigma=3)")
        np.testing.assert_array_equal(found[9100:9300], expected[100:300])
    shutil.rmtree(tmp_path)

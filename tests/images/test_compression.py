"""Compressed TIFF files: read and written part by part, to the bit; stopped and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from convsmith import images
from convsmith.errors import ArgumentError, UnsupportedError
from convsmith.images import compression, large

pytestmark = pytest.mark.backend_free

KINDS = compression.COMPRESSIONS


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SMALLEST", 30000)
    monkeypatch.setattr(large, "LARGEST", 30000)


def number(path: Path) -> int:
    with tifffile.TiffFile(path) as file:
        return int(file.series[0].keyframe.compression)


def picture(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 250, shape).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_written_and_read(tmp_path: Path, kind: str) -> None:
    image = picture((300, 290), "uint16")
    np.save(tmp_path / "in.npy", image)
    expected = images.filter(image, "gaussian")
    large.filter_file(tmp_path / "in.npy", tmp_path / "out.tif", "gaussian", compression=kind)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), expected)
    assert compression.WRITTEN[number(tmp_path / "out.tif")] == kind
    large.filter_file(tmp_path / "out.tif", tmp_path / "again.npy", "identity")
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npy", "in.npy", "out.tif"]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((300, 280, 3), "uint8"),
        ((300, 280, 4), "uint16"),
        ((5, 130, 70), "float32"),
        ((2, 3, 40, 50), "int16"),
        ((40, 50, 7), "float64"),
    ],
)
def test_colours_pages_and_lines(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    image = picture(shape, dtype)
    np.save(tmp_path / "in.npy", image)
    axes = (0, 1) if shape[-1] < 8 else (len(shape) - 2, len(shape) - 1)
    for kind in ("none", "zlib"):
        large.filter_file(
            tmp_path / "in.npy", tmp_path / f"{kind}.tif", np.ones((3, 3)) / 9,
            axes=axes, compression=kind,
        )  # fmt: skip
    with (
        tifffile.TiffFile(tmp_path / "none.tif") as first,
        tifffile.TiffFile(tmp_path / "zlib.tif") as second,
    ):
        pages = [file.series[0].keyframe for file in (first, second)]
        assert first.series[0].shape == second.series[0].shape
        assert [p.photometric for p in pages] == [pages[0].photometric] * 2
        assert pages[0].extrasamples == pages[1].extrasamples
        np.testing.assert_array_equal(second.asarray(), first.asarray())
        assert first.asarray().shape == shape


def test_the_input_decides_unless_told(tmp_path: Path) -> None:
    image = picture((90, 80), "uint8")
    for kind in ("none", "lzw", "zstd", "zlib"):
        options: dict[str, Any] = {} if kind == "none" else {"compression": kind}
        tifffile.imwrite(tmp_path / f"{kind}.tif", image, **options)
        large.filter_file(tmp_path / f"{kind}.tif", tmp_path / f"{kind}-out.tif", "box")
        assert compression.WRITTEN[number(tmp_path / f"{kind}-out.tif")] == kind
    large.filter_file(tmp_path / "lzw.tif", tmp_path / "plain.tif", "box", compression="none")
    assert number(tmp_path / "plain.tif") == 1


def test_others_are_written_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [compression.of_number(n) for n in (1, 5, 7, 8)] == ["none", "lzw", "zlib", "zlib"]
    monkeypatch.setattr(compression, "has_codecs", lambda: False)
    assert [compression.of_number(n) for n in (1, 5, 34925)] == ["none", "zlib", "lzma"]


class Stopped(Exception):
    pass


def test_stop_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture((210, 170), "float32")
    source, out = tmp_path / "in.npy", tmp_path / "out.tif"
    np.save(source, image)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Stopped

    options: dict[str, Any] = {"compression": "zlib", "jobs": 1}
    with pytest.raises(Stopped):
        large.filter_file(source, out, "gaussian", progress=stop, **options)
    with pytest.raises(ArgumentError, match="of another request: compression changed"):
        large.filter_file(source, out, "gaussian", resume=True)
    # Stopped again while it is compressed: what was filtered is there still.
    with monkeypatch.context() as patch:
        patch.setattr(compression, "_tiles", lambda *a: (_ for _ in ()).throw(Stopped()))
        with pytest.raises(Stopped):
            large.filter_file(source, out, "gaussian", resume=True, **options)
    assert not out.exists()
    tiles: list[tuple[int, int]] = []
    large.filter_file(
        source, out, "gaussian", resume=True, progress=lambda *now: tiles.append(now), **options
    )
    assert len(tiles) == 1
    np.testing.assert_array_equal(tifffile.imread(out), images.filter(image, "gaussian"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.npy", "out.tif"]


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "in.npy", np.zeros((9, 9)))
    with pytest.raises(ArgumentError, match="compression='jpeg': is not one that is written"):
        large.filter_file(tmp_path / "in.npy", tmp_path / "a.tif", "box", compression="jpeg")
    with pytest.raises(ArgumentError, match=r"is of TIFF files, and a.npy is none.*a\.tif"):
        large.filter_file(tmp_path / "in.npy", tmp_path / "a.npy", "box", compression="zlib")
    monkeypatch.setattr(compression, "has_codecs", lambda: False)
    with pytest.raises(UnsupportedError, match=r"needs imagecodecs.*convsmith\[large\]"):
        large.filter_file(tmp_path / "in.npy", tmp_path / "a.tif", "box", compression="lzw")
    np.save(tmp_path / "in.npy", np.zeros(9))
    with pytest.raises(UnsupportedError, match="expected real numbers, rows and columns"):
        large.filter_file(tmp_path / "in.npy", tmp_path / "a.tif", np.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["in.npy"]


def test_a_file_that_needs_what_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convsmith.errors import DataError
    from convsmith.images import sources

    error = sources._unreadable(tmp_path / "a.tif", ValueError("requires the imagecodecs package"))
    assert isinstance(error, DataError)
    assert "Try: pip install 'convsmith[large]'" in str(error)

"""Files that are no images, broken, or too large to be true: said clearly, nothing half-written."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from convsmith import images
from convsmith.images import pictures, png16, sinks
from convsmith.kernels import registry

pytestmark = pytest.mark.backend_free
Command = Callable[..., Any]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(path: Path, side: int, depth: int) -> None:
    """Write a PNG of a few bytes that says it is huge."""
    header = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("side", [14_000, 60_000])
def test_a_decompression_bomb(
    refused: Callable[..., str], tmp_path: Path, side: int, depth: int
) -> None:
    bomb(tmp_path / "a.png", side, depth)
    words = refused("filter", tmp_path / "a.png", "-k", "box", "-o", tmp_path / "out.png")
    assert "a.png: says that it has" in words
    assert "millions of pixels, more than a picture is believed to have" in words
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_tiff_file_that_says_it_is_huge(refused: Callable[..., str], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), "uint8"), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[name].overwrite(60_000)
    words = refused("filter", tmp_path / "a.tif", "-k", "box", "-o", tmp_path / "out.png")
    assert "a.tif: says that it has" in words
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy"])
def test_what_is_truncated_or_no_image(
    refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90), "uint8")
    if name == "a.npy":
        np.save(tmp_path / name, pixels)
    else:
        Image.fromarray(pixels).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for part in (whole[: len(whole) // 2], b"no image at all", b""):
        (tmp_path / name).write_bytes(part)
        words = refused("filter", tmp_path / name, "-k", "box", "-o", tmp_path / f"out{name[1:]}")
        assert name in words
        assert (tmp_path / name).read_bytes() == part
        assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("out", ["out.png", "out.tif", "out.npy"])
def test_a_full_disk(
    convsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(tifffile, "imwrite", full)
    monkeypatch.setattr(png16, "write", full)
    monkeypatch.setattr(np, "save", full)
    (tmp_path / "in.pgm").write_bytes(b"P5 30 20 255\n" + bytes(600))
    done = convsmith("filter", tmp_path / "in.pgm", "-k", "box", "-o", tmp_path / out)
    assert done.code != 0
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["in.pgm"]


def test_a_disk_that_fills_up_while_tiles_are_written(
    convsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done stays, under another name, for --resume when there is room again."""
    np.save(tmp_path / "in.npy", np.ones((40, 50), "float32"))
    arguments = ("filter", tmp_path / "in.npy", "-k", "box", "-o", tmp_path / "out.npy")
    with monkeypatch.context() as patch:
        patch.setattr(
            sinks, "_write_raw", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
        done = convsmith(*arguments)
    assert done.code != 0
    assert "full" in done.err
    assert not (tmp_path / "out.npy").exists()
    assert convsmith(*arguments, "--resume").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.ones((40, 50)))


def test_kernels_larger_than_the_image_and_nan(
    convsmith: Command, refused: Callable[..., str], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9), "uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    out = tmp_path / "out.png"
    assert convsmith("filter", tmp_path / "a.png", "-k", "disk(20)", "-o", out).code == 0
    with Image.open(out) as found:
        np.testing.assert_array_equal(np.asarray(found), images.filter(pixels, "disk(20)"))
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.nan))
    words = refused("filter", tmp_path / "a.png", "-k", tmp_path / "nan.npy", "-o", "x.png")
    assert "has entries that are infinite or NaN" in words


def test_kernels_of_the_users(
    convsmith: Command,
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my_own_kernels.py").write_text(
        "import numpy as np\n"
        "from convsmith import kernels\n"
        "def only_the_middle(gain=2.0, *, ndim=2):\n"
        "    '''Return twice the middle.'''\n"
        "    return np.full((1,) * ndim, gain)\n"
        "if 'only_the_middle' not in kernels.names():\n"
        "    kernels.register('only_the_middle', only_the_middle)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    Image.new("L", (30, 20), 21).save("a.png")
    more = ("--import", "my_own_kernels")
    assert convsmith("filter", "a.png", "-k", "only_the_middle(3)", "-o", "b.png", *more).code == 0
    with Image.open("b.png") as found:
        assert np.unique(np.asarray(found)).tolist() == [63]
    shown = convsmith("kernels", "show", "only_the_middle", *more).out
    assert "Twice the middle" in shown
    assert "only_the_middle" in convsmith("kernels", *more).out
    words = refused("filter", "a.png", "-k", "box", "-o", "c.png", "--import", "not_there_at_all")
    assert "--import not_there_at_all: can't be imported: ModuleNotFoundError" in words
    assert not Path("c.png").exists()


def test_the_limit_is_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who raises Pillow's limit reads larger pictures."""
    assert pictures.most_pixels() == 2 * 89_478_485
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert pictures.most_pixels() is None

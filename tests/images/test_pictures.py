"""Picture files: what is read is what is seen, and what is written keeps what there was."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from convsmith import images
from convsmith.errors import ArgumentError, DataError, DtypeError, UnsupportedError
from convsmith.images import orientation, pictures, png16, tiff
from convsmith.images.batch import Settings, filter_picture
from convsmith.images.compare import save
from convsmith.images.naming import Pair
from convsmith.images.pictures import Picture
from convsmith.images.treatment import Treatment

pytestmark = pytest.mark.backend_free

HEIGHT, WIDTH = 40, 52


def smooth(samples: int, dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = rng.random((HEIGHT, WIDTH, samples)).cumsum(0).cumsum(1)
    scaled = noise / noise.max() * np.iinfo(dtype).max
    return scaled.astype(dtype) if samples > 1 else scaled.astype(dtype)[..., 0]


def run(source: Path, out: Path, kernel: Any = "box", **options: Any) -> None:
    more = {name: options.pop(name) for name in ("quality", "compare") if name in options}
    filter_picture(Pair(source, out), Settings(Treatment(kernel, **options), **more))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_bit_depth_and_alpha_stay(tmp_path: Path, mode: str) -> None:
    pixels = smooth(len(mode), "uint8") if mode != "I;16" else smooth(1, "uint16")
    if mode == "L":
        pixels = smooth(1)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    run(tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == mode
        found = np.asarray(image)
    if mode.endswith("A"):
        np.testing.assert_array_equal(found[..., -1], pixels[..., -1])
        found, pixels = found[..., :-1].squeeze(), pixels[..., :-1].squeeze()
    np.testing.assert_array_equal(found, images.filter(pixels, "box"))


@pytest.mark.parametrize("samples", [3, 4])
def test_sixteen_bits_and_colours(tmp_path: Path, samples: int) -> None:
    """Pillow alone would cut them down to eight bits."""
    pixels = smooth(samples, "uint16")
    cv2.imwrite(str(tmp_path / "in.png"), pixels[..., [2, 1, 0, 3][:samples]])
    np.testing.assert_array_equal(png16.read(tmp_path / "in.png"), pixels)
    run(tmp_path / "in.png", tmp_path / "out.png")
    found = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert found is not None
    found = found[..., [2, 1, 0, 3][:samples]]
    expected = images.filter(pixels[..., :3], "box")
    np.testing.assert_array_equal(found[..., :3], expected)
    np.testing.assert_array_equal(found[..., 3:], pixels[..., 3:])


def filtered_line(kind: int, line: np.ndarray, above: np.ndarray, bpp: int) -> bytes:
    """Return a row of a PNG by the definition of its filters, byte by byte."""
    result = []
    for i, byte in enumerate(line):
        a = int(line[i - bpp]) if i >= bpp else 0
        b, c = int(above[i]), int(above[i - bpp]) if i >= bpp else 0
        p = a + b - c
        near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        result.append((int(byte) - [0, a, b, (a + b) // 2, near][kind]) % 256)
    return bytes([kind, *result])


def test_every_filter_of_png(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 2**16, (11, 7, 3), "uint16")
    rows = np.ascontiguousarray(pixels, ">u2").view("uint8").reshape(11, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    lines = b"".join(filtered_line(i % 5, rows[i], above[i], 6) for i in range(11))
    png16.write(tmp_path / "a.png", pixels)
    data = (tmp_path / "a.png").read_bytes()
    packed = zlib.compress(lines)
    chunk = struct.pack(">I", len(packed)) + b"IDAT" + packed
    chunk += struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    at, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    (tmp_path / "b.png").write_bytes(data[:at] + chunk + data[end:])
    np.testing.assert_array_equal(png16.read(tmp_path / "b.png"), pixels)
    assert cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED) is not None


def test_damaged_and_interlaced_files_of_sixteen_bits(tmp_path: Path) -> None:
    png16.write(tmp_path / "a.png", smooth(3, "uint16"))
    data = bytearray((tmp_path / "a.png").read_bytes())
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cut.png"):
        pictures.read(tmp_path / "cut.png")
    data[28] = 1
    (tmp_path / "interlaced.png").write_bytes(data)
    with pytest.raises(UnsupportedError, match="is interlaced"):
        png16.read(tmp_path / "interlaced.png")


@pytest.mark.parametrize("turned", range(1, 9))
def test_pictures_are_filtered_as_they_are_seen(tmp_path: Path, turned: int) -> None:
    exif = Image.Exif()
    exif[orientation.TAG], exif[0x010F] = turned, "a camera"
    stored = smooth(3)
    Image.fromarray(stored).save(tmp_path / "in.png", exif=exif, dpi=(300, 300))
    for kernel in ("sobel_x", "sobel_y"):
        run(tmp_path / "in.png", tmp_path / "out.png", kernel, absolute=True)
        with Image.open(tmp_path / "in.png") as before, Image.open(tmp_path / "out.png") as after:
            assert dict(after.getexif()) == dict(before.getexif())
            assert after.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert after.size == before.size
            seen = np.asarray(ImageOps.exif_transpose(before))
            found = np.asarray(ImageOps.exif_transpose(after))
        slopes = np.abs(images.filter(seen, kernel, dtype="float32"))
        np.testing.assert_array_equal(found, slopes.clip(0, 255))
    run(tmp_path / "in.png", tmp_path / "upright.npy", "identity")
    np.testing.assert_array_equal(np.load(tmp_path / "upright.npy"), seen)
    np.testing.assert_array_equal(orientation.as_stored(seen, turned), stored)


def test_unknown_orientations() -> None:
    with pytest.raises(ArgumentError, match="is not one of EXIF's"):
        orientation.upright(np.zeros((2, 2)), 9)


def test_jpeg_keeps_what_it_has(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[orientation.TAG] = 6
    for sampling in (0, 2):
        Image.fromarray(smooth(3)).save(
            tmp_path / "in.jpg", exif=exif, icc_profile=b"a profile", subsampling=sampling
        )
        run(tmp_path / "in.jpg", tmp_path / "out.jpg", "identity")
        run(tmp_path / "in.jpg", tmp_path / "small.jpg", "identity", quality=30)
        with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
            assert after.getexif()[orientation.TAG] == 6
            assert after.info["icc_profile"] == b"a profile"
            assert after.layer == before.layer  # type: ignore[attr-defined]
            difference = np.abs(np.asarray(before).astype(int) - np.asarray(after))
        assert difference.mean() < 1.5
        sizes = [(tmp_path / n).stat().st_size for n in ("out.jpg", "small.jpg")]
        assert sizes[1] < sizes[0]


def test_names_of_colours_become_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth(3))
    picture.quantize(16).save(tmp_path / "palette.png")
    picture.quantize(16).save(tmp_path / "clear.png", transparency=3)
    picture.convert("1").save(tmp_path / "bits.png")
    picture.convert("CMYK").save(tmp_path / "print.jpg")
    for name, mode in (("palette", "RGB"), ("clear", "RGBA"), ("bits", "L")):
        run(tmp_path / f"{name}.png", tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as image:
            assert image.mode == mode
    run(tmp_path / "print.jpg", tmp_path / "out.jpg", "identity")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.mode == "CMYK"


TIFFS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((HEIGHT, WIDTH), {}),
    ((HEIGHT, WIDTH), {"photometric": "miniswhite"}),
    ((HEIGHT, WIDTH, 3), {"photometric": "rgb"}),
    ((HEIGHT, WIDTH, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    ((3, HEIGHT, WIDTH), {"photometric": "rgb", "planarconfig": "separate"}),
    ((5, HEIGHT, WIDTH), {"photometric": "minisblack"}),
    ((2, HEIGHT, WIDTH, 3), {"photometric": "rgb"}),
]
LAYOUTS: list[dict[str, Any]] = [
    {},
    {"tile": (32, 16), "compression": "zlib", "predictor": 2},
    {"bigtiff": True, "byteorder": ">", "resolution": (300, 200), "iccprofile": b"a profile"},
    {"extratags": [(orientation.TAG, 3, 1, 6, True)], "compression": "lzma"},
]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int16"])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize(("shape", "options"), TIFFS)
def test_tiff_keeps_its_form(
    tmp_path: Path, shape: Any, options: Any, layout: int, dtype: str
) -> None:
    more = dict(LAYOUTS[layout])
    if dtype == "float32":
        more.pop("predictor", None)
    pixels = np.random.default_rng(2).uniform(0, 100, shape).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", pixels, **options, **more)
    run(tmp_path / "in.tif", tmp_path / "out.tif", "identity")
    with (
        tifffile.TiffFile(tmp_path / "in.tif") as before,
        tifffile.TiffFile(tmp_path / "out.tif") as after,
    ):
        first, second = before.series[0], after.series[0]
        np.testing.assert_array_equal(second.asarray(), first.asarray())
        assert (second.axes, second.dtype) == (first.axes, first.dtype)
        assert (after.is_bigtiff, after.byteorder) == (before.is_bigtiff, before.byteorder)
        for name in ("photometric", "planarconfig", "compression", "predictor", "extrasamples"):
            assert getattr(second.keyframe, name) == getattr(first.keyframe, name), name
        for name in (orientation.TAG, tiff.ICC, tiff.XRES, tiff.YRES):
            tags = [page.keyframe.tags.get(name) for page in (first, second)]
            assert tags[0] is None or tags[1].value == tags[0].value


def test_tiff_is_filtered_as_it_is_seen(tmp_path: Path) -> None:
    stored = smooth(1)
    turned = [(orientation.TAG, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "in.tif", stored, extratags=turned)
    run(tmp_path / "in.tif", tmp_path / "out.tif", "sobel_x", dtype="int16")
    seen = orientation.upright(stored, 6)
    expected = orientation.as_stored(images.filter(seen, "sobel_x", dtype="int16"), 6)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), expected)


def test_compressions_that_only_pillow_knows(tmp_path: Path) -> None:
    Image.fromarray(smooth(3)).save(tmp_path / "in.tif", compression="tiff_lzw")
    run(tmp_path / "in.tif", tmp_path / "out.tif", "box")
    found = tifffile.imread(tmp_path / "out.tif")
    np.testing.assert_array_equal(found, images.filter(smooth(3), "box"))


def test_banks_become_pages_and_arrays(tmp_path: Path) -> None:
    pixels = smooth(1)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    expected = images.filter(pixels, ["box", "sobel_x"])
    for name in ("out.tif", "out.npy", "out.zarr"):
        run(tmp_path / "in.png", tmp_path / name, ["box", "sobel_x"])
    pages = np.moveaxis(tifffile.imread(tmp_path / "out.tif"), 0, -1)
    np.testing.assert_array_equal(pages, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    with pytest.raises(UnsupportedError, match="can't hold a result of shape.*--magnitude"):
        run(tmp_path / "in.png", tmp_path / "out.png", ["box", "sobel_x"])
    run(tmp_path / "out.npy", tmp_path / "again.tif", "identity")


def test_grey_levels_are_pillows(tmp_path: Path) -> None:
    Image.fromarray(smooth(4)).save(tmp_path / "in.png")
    run(tmp_path / "in.png", tmp_path / "out.png", "identity", gray=True)
    with Image.open(tmp_path / "out.png") as after, Image.open(tmp_path / "in.png") as before:
        assert after.mode == "LA"
        close = np.abs(np.asarray(after).astype(int) - np.asarray(before.convert("LA"))) <= 1
    assert close.all()
    Image.fromarray(smooth(3)).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(UnsupportedError, match="which --gray can't turn to grey"):
        run(tmp_path / "print.jpg", tmp_path / "out.jpg", gray=True)


def test_what_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"nothing")
    (tmp_path / "no.tif").write_bytes(b"nothing")
    png = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (90, 90), "uint8")).save(png)
    (tmp_path / "cut.png").write_bytes(png.read_bytes()[:2000])
    tifffile.imwrite(tmp_path / "whole.tif", smooth(3), compression="zlib")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:500])
    frames = [Image.new("L", (9, 9), shade) for shade in (0, 99)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name, problem in (
        ("none.png", "is not there"),
        ("none.tif", "is not there"),
        ("no.png", "is not a picture that Pillow knows"),
        ("no.tif", "can't be read"),
        ("cut.png", "can't be read"),
        ("cut.tif", "can't be read"),
    ):
        with pytest.raises(DataError, match=problem):
            run(tmp_path / name, tmp_path / "out.png")
    with pytest.raises(UnsupportedError, match="has 2 frames"):
        run(tmp_path / "moving.gif", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_what_can_not_be_written(tmp_path: Path) -> None:
    colours = Picture(smooth(3), smooth(1))
    with pytest.raises(UnsupportedError, match="JPEG files have no alpha"):
        pictures.write(tmp_path / "out.jpg", colours)
    with pytest.raises(UnsupportedError, match="has no suffix of a format"):
        pictures.write(tmp_path / "out.xyz", colours)
    with pytest.raises(DtypeError, match="PNG files can't hold such numbers.*--dtype uint16"):
        pictures.write(tmp_path / "out.png", Picture(smooth(1).astype("float32")))
    with pytest.raises(DtypeError, match="JPEG files can't hold such numbers"):
        pictures.write(tmp_path / "out.jpg", Picture(smooth(1, "uint16")))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["webp", "bmp", "gif"])
def test_other_formats(tmp_path: Path, form: str) -> None:
    Image.fromarray(smooth(1)).save(tmp_path / "in.png")
    run(tmp_path / "in.png", tmp_path / f"out.{form}")
    with Image.open(tmp_path / f"out.{form}") as image:
        found = np.asarray(image.convert("L")).astype(int)
    assert np.abs(found - images.filter(smooth(1), "box")).mean() < 2


@pytest.mark.parametrize(
    "after",
    [smooth(1), smooth(3), smooth(3).astype("float32") - 90, np.zeros((9, 9, 7)), 1j * smooth(1)],
    ids=["grey", "colours", "signed", "bank", "complex"],
)
def test_before_and_after(tmp_path: Path, after: np.ndarray) -> None:
    save(tmp_path / "pair.png", smooth(3), after, "a kernel whose name is much too long for this")
    with Image.open(tmp_path / "pair.png") as image:
        assert image.width > WIDTH + after.shape[1]
        left = np.asarray(image)[34 : 34 + HEIGHT, 16 : 16 + WIDTH]
    np.testing.assert_array_equal(left, smooth(3))

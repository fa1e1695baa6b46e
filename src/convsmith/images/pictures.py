"""Picture files as arrays and back: bit depth, alpha, orientation, EXIF and profile are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from convsmith.errors import ConvsmithError, DataError, DtypeError, UnsupportedError, compose
from convsmith.files import replacing
from convsmith.images import png16
from convsmith.images.orientation import AS_STORED, STEPS, TAG, as_stored, upright

Array = NDArray[Any]

QUALITY = 95

TIFF = (".tif", ".tiff")
ARRAYS = (".npy", ".zarr")

FIRST_FRAME = ("MPO",)
"""Formats of one picture, with other sizes of it as further frames."""

TAGGED = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "MPO")
"""Formats that hold EXIF."""


@dataclass
class Picture:
    """What a file shows, as it is seen, and what comes along."""

    colours: Array
    """(height, width) or (height, width, samples); of stacks, pages come before."""
    alpha: Array | None = None
    """(height, width), which isn't filtered."""
    axes: tuple[int, int] = (0, 1)
    """Where rows and columns are."""
    orientation: int = AS_STORED
    extra: dict[str, Any] = field(default_factory=dict)
    """What the format's writer is given again."""

    @property
    def pixels(self) -> Array:
        """The colours, and the alpha as the last sample."""
        if self.alpha is None:
            return self.colours
        flat = self.colours.ndim == self.axes[1] + 1
        colours = self.colours[..., None] if flat else self.colours
        return np.concatenate([colours, self.alpha[..., None].astype(colours.dtype)], -1)


def read(path: Path) -> Picture:
    """Return the picture in a PNG, JPEG or other file that Pillow knows.

    Raises:
        DataError: it isn't there, isn't a picture or is damaged.
        UnsupportedError: several frames.
    """
    if not path.is_file():
        raise DataError(compose(str(path), "is not there"), argument="path", value=path)
    try:
        with Image.open(path) as image:
            return _read(path, image)
    except UnidentifiedImageError as error:
        raise DataError(
            compose(str(path), "is not a picture that Pillow knows"), argument="path", value=path
        ) from error
    except ConvsmithError:
        raise
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        raise unbelievable(path, int(count.group()) if count else 0) from error
    except Exception as error:  # Decoders raise anything on damaged files.
        reason = " ".join(str(error).split())
        raise DataError(
            compose(str(path), f"can't be read: {reason}"), argument="path", value=path
        ) from error


def most_pixels() -> int | None:
    """Return how many pixels Pillow believes in; None where its limit is lifted."""
    limit = Image.MAX_IMAGE_PIXELS
    return None if limit is None else 2 * limit


def unbelievable(path: Path, pixels: int) -> DataError:
    """Return what to say of a small file that would fill the memory."""
    return DataError(
        compose(
            str(path),
            f"says that it has {pixels / 1e6:.0f} millions of pixels, more than a picture is"
            " believed to have",
            expected=f"at most {(most_pixels() or 0) / 1e6:.0f} millions",
            fix="a TIFF, .npy or Zarr result, for which TIFF files are read part by part",
        ),
        argument="path",
        value=path,
    )


def _read(path: Path, image: Image.Image) -> Picture:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in FIRST_FRAME:
        raise UnsupportedError(
            compose(
                str(path),
                f"has {frames} frames",
                expected="one picture in a file, or the pages of a TIFF file",
                fix="save each frame as a file",
            ),
            argument="path",
            value=path,
        )
    exif = image.getexif()
    orientation = exif.get(TAG, AS_STORED)
    orientation = orientation if orientation in STEPS else AS_STORED
    extra: dict[str, Any] = {"exif": exif.tobytes() if len(exif) else None}
    extra |= {name: image.info.get(name) for name in ("icc_profile", "dpi")}
    if image.format in ("JPEG", "MPO"):
        extra["subsampling"] = JpegImagePlugin.get_sampling(image)
    if image.format == "PNG" and png16.is_deep(path):
        pixels = png16.read(path)
        has_alpha = pixels.shape[2] in (2, 4)
    else:
        image = _plain(image)
        extra["mode"] = image.mode
        pixels = np.asarray(image)
        has_alpha = image.mode in ("LA", "RGBA")
    pixels = upright(pixels, orientation)
    alpha = pixels[..., -1] if has_alpha else None
    colours = pixels[..., :-1] if has_alpha else pixels
    if colours.ndim == 3 and colours.shape[2] == 1:
        colours = colours[..., 0]
    extra = {name: value for name, value in extra.items() if value is not None}
    return Picture(colours, alpha, (0, 1), orientation, extra)


def _plain(image: Image.Image) -> Image.Image:
    """Return a picture whose entries are grey levels or colours, rather than names of colours."""
    mode = image.mode
    if mode in ("L", "RGB", "P") and image.has_transparency_data:
        return image.convert("LA" if mode == "L" else "RGBA")
    if mode in ("1", "L", "I;16", "I;16B", "I", "F", "LA", "RGB", "RGBA", "CMYK"):
        return image.convert("L") if mode == "1" else image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def write(path: Path, picture: Picture, quality: int = QUALITY) -> None:
    """Write a picture, all of it or nothing, in the format that the suffix says.

    Raises:
        DtypeError: numbers that the format can't hold.
        UnsupportedError: an unknown format, or one without an alpha, or without so many samples.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise UnsupportedError(
            compose(
                f"output {path.name}",
                "has no suffix of a format that can be written",
                expected=".png, .jpg, .tif, .webp, .npy, .zarr or another of Pillow's",
                fix=path.with_suffix(".png").name,
            ),
            argument="out",
            value=path,
        )
    pixels = picture.pixels
    tagged = kind in TAGGED
    if tagged and "exif" in picture.extra:
        pixels = as_stored(pixels, picture.orientation)
    options = {n: picture.extra[n] for n in ("icc_profile", "dpi") if n in picture.extra}
    if tagged and "exif" in picture.extra:
        options["exif"] = picture.extra["exif"]
    _check(path, kind, pixels, picture.alpha is not None)
    if kind == "JPEG":
        sampling = picture.extra.get("subsampling", 0)
        options |= {"quality": quality, "subsampling": max(sampling, 0)}
    elif kind in ("WEBP", "AVIF"):
        options |= {"quality": quality}
    with replacing(path) as temporary:
        if pixels.dtype == np.uint16 and pixels.ndim == 3:
            exif, icc = options.get("exif"), options.get("icc_profile")
            png16.write(temporary, pixels, icc=icc, exif=exif)
            return
        image = _image(pixels, picture.extra.get("mode"))
        image.save(temporary, format=kind, **options)


def _check(path: Path, kind: str, pixels: Array, alpha: bool) -> None:
    """Refuse what a format would change without a word."""
    held = ["uint8", "uint16"] if kind == "PNG" else ["uint8"]
    if pixels.dtype.name not in held:
        raise DtypeError(
            compose(
                f"output {path.name} of dtype {pixels.dtype}",
                f"{kind} files can't hold such numbers",
                expected=f"dtype {' or '.join(held)}, or a .tif, .npy or .zarr file",
                fix=f"--dtype {held[-1]}, or {path.with_suffix('.tif').name}",
            ),
            argument="out",
            value=path,
        )
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    most = 4 if kind in ("PNG", "JPEG", "WEBP", "AVIF", "TGA", "BMP") else 3 + alpha
    if pixels.ndim not in (2, 3) or samples > most or (samples == 2 and not alpha):
        raise UnsupportedError(
            compose(
                f"output {path.name}",
                f"can't hold a result of shape {pixels.shape}",
                expected="grey levels or colours",
                fix=f"--magnitude for the filters of a bank, or {path.with_suffix('.npy').name}",
            ),
            argument="out",
            value=path,
        )
    if alpha and kind == "JPEG":
        raise UnsupportedError(
            compose(
                f"output {path.name}",
                "JPEG files have no alpha",
                fix=path.with_suffix(".png").name,
            ),
            argument="out",
            value=path,
        )


def _image(pixels: Array, mode: str | None) -> Image.Image:
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and mode == "CMYK":
        size = pixels.shape[1], pixels.shape[0]
        return Image.frombytes("CMYK", size, pixels.tobytes())
    return Image.fromarray(pixels)

"""Image files to arrays: decoding with clear errors, fitting to a size, light or dark ground."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from convsmith.errors import DataError, compose


def read_picture(path: Path, channels: int | None = None) -> Image.Image:
    """Return the image of a file as greyscale (1) or RGB (3); None keeps what it is of the two."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                image.load()
    except FileNotFoundError:
        raise DataError(compose(str(path), "there is no such file")) from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        if path.is_dir():
            problem = "is a folder, not an image file"
        elif isinstance(error, PermissionError):
            problem = "may not be read (permission denied)"
        else:
            problem = "is not an image that can be read"
        raise DataError(
            compose(str(path), problem, expected="a whole PNG, JPEG, BMP, GIF or TIFF file")
        ) from error
    return _as_mode(_flatten(image), channels)


def _flatten(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white: what a person sees, whatever colour hides below."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image


def _as_mode(image: Image.Image, channels: int | None) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips 16-bit and float pixels at 255 when it converts; scale them instead.
        pixels = np.asarray(image, dtype=np.float64)
        scale = 65535.0 if pixels.max(initial=0.0) > 255.0 else 255.0
        image = Image.fromarray(np.clip(pixels * (255.0 / scale), 0, 255).astype(np.uint8))
    grey = image.mode in ("1", "L") if channels is None else channels == 1
    return image.convert("L" if grey else "RGB")


def to_pixels(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Return float32 (height, width, channels) in 0..1, padded to shape and resized if need be."""
    if image.size != (width, height):
        ground = [round(255 * level) for level in border_level(_unit(image)).tolist()]
        image = ImageOps.pad(
            image,
            (width, height),
            method=Image.Resampling.BILINEAR,
            color=tuple(ground) if len(ground) > 1 else ground[0],
        )
    return _unit(image)


def _unit(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    return pixels if pixels.ndim == 3 else pixels[..., None]


def border_level(images: np.ndarray) -> np.ndarray:
    """Return the median level of each channel along the border of (..., height, width, channels).

    It tells dark ground from light, and is what an image is padded with.
    """
    sides: list[Any] = [images[..., 0, :, :], images[..., -1, :, :]]
    sides += [images[..., :, 0, :], images[..., :, -1, :]]
    border = np.concatenate([side.reshape(-1, images.shape[-1]) for side in sides])
    return np.median(border, axis=0)


def is_light(images: np.ndarray) -> bool:
    """Say whether the ground is light; `images` as for `border_level`."""
    level = float(np.mean(border_level(images)))
    return math.isfinite(level) and level > 0.5

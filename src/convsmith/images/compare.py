"""Before and after, side by side, for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convsmith.files import replacing
from convsmith.images.program import LIMITS

Array = NDArray[Any]

SIDE = 1200
"""Neither of the two is larger."""

GAP, CAPTION = 16, 34
INK, PAPER = (34, 48, 60), (255, 255, 255)


def save(path: Path, before: Array, after: Array, title: str) -> None:
    """Write a PNG of two pictures beside each other.

    Args:
        path: the PNG.
        before: (height, width) or (height, width, samples).
        after: likewise; of more axes the first ones are shown.
        title: what was done.
    """
    pair = [Image.fromarray(shown(image)).convert("RGB") for image in (before, after)]
    for image in pair:
        image.thumbnail((SIDE, SIDE))
    width = sum(image.width for image in pair) + 3 * GAP
    height = max(image.height for image in pair) + CAPTION + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, left = ImageDraw.Draw(sheet), GAP
    font = ImageFont.load_default(16)
    for image, text in zip(pair, ("before", title), strict=True):
        shortest = text
        while draw.textlength(shortest, font) > image.width and len(shortest) > 4:
            shortest = shortest[:-4].rstrip() + "..."
        draw.text((left, 8), shortest, INK, font)
        sheet.paste(image, (left, CAPTION))
        left += image.width + GAP
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def middle(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of a large image that is shown: its middle, of other axes the first."""
    cut = []
    for axis, size in enumerate(shape):
        if axis in axes:
            side = min(size, SIDE)
            cut.append(slice((size - side) // 2, (size - side) // 2 + side))
        else:
            # Colours stay together; pages don't.
            cut.append(slice(0, size if axis > max(axes) and size in (3, 4) else 1))
    return tuple(cut)


def first_page(image: Array) -> Array:
    """Return (height, width) or colours (height, width, 3) of an image of any axes."""
    while image.ndim > 2 and not (image.ndim == 3 and image.shape[-1] in (3, 4)):
        image = image[..., 0] if image.shape[-1] <= image.shape[0] else image[0]
    image = np.abs(image) if image.dtype.kind == "c" else image
    return image[..., :3] if image.ndim == 3 else image


def shown(image: Array) -> NDArray[np.uint8]:
    """Return 8 bits of anything: integers on their scale, others from lowest to highest.

    Where there are negative numbers, zero becomes the middle grey. NaN is drawn as zero.
    """
    image = first_page(image)
    name = image.dtype.name
    values = image.astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    if name in LIMITS and LIMITS[name][0] == 0:
        low, high = 0.0, float(LIMITS[name][1])
    elif low < 0:
        high = max(-low, high)
        low = -high
    scaled = (np.clip(np.nan_to_num(values), low, high) - low) * (255 / max(high - low, 1e-30))
    return np.rint(scaled).astype(np.uint8)

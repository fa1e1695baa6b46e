"""TIFF files as pictures: pages, bit depth, layout, compression, profile and orientation kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ConvsmithError, DataError, compose
from convsmith.files import replacing
from convsmith.images import pictures
from convsmith.images.compression import NONE, of_number
from convsmith.images.orientation import AS_STORED, STEPS, TAG, as_stored, upright
from convsmith.images.pictures import Picture
from convsmith.images.sources import LARGE, library

Array = NDArray[Any]

ICC, XRES, YRES, UNIT, DESCRIPTION = 34675, 282, 283, 296, 270

AS_THEY_ARE = (0, 1, 2)
"""Whether white is 0, black is 0, or there are red, green and blue."""

MOST_EXPANDED = 200
"""Times the bytes of its file: so much only the pixels of empty pictures take."""

SHORT = 3
"""The type of a tag's value, in two bytes."""


def read(path: Path) -> Picture:
    """Return what a TIFF file shows, with all of its pages.

    Colours that are named by a palette, or compressed in a way that tifffile doesn't know, are
    read by Pillow.

    Raises:
        DataError: it isn't there, isn't a TIFF file or is damaged.
        UnsupportedError: tifffile isn't installed.
    """
    if not path.is_file():
        raise DataError(compose(str(path), "is not there"), argument="path", value=path)
    tifffile = library("tifffile")
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            page = series.keyframe
            if int(page.photometric) not in AS_THEY_ARE or page.bitspersample < 8:
                return pictures.read(path)
            _check_size(path, series)
            try:
                pixels = series.asarray()
            except (ValueError, KeyError) as error:
                if "imagecodecs" in str(error) and len(series.pages) == 1:
                    return pictures.read(path)
                raise
            return _picture(pixels, series)
    except ConvsmithError:
        raise
    except Exception as error:  # Decoders raise anything on damaged files.
        reason = " ".join(str(error).split())
        fix = LARGE if "imagecodecs" in reason else None
        raise DataError(
            compose(str(path), f"can't be read: {reason}", fix=fix), argument="path", value=path
        ) from error


def _check_size(path: Path, series: Any) -> None:
    """Refuse a small file that would fill the memory, as Pillow does for other formats.

    Raises:
        DataError: more pixels than Pillow believes in, and far more than the file holds.
    """
    limit, page = pictures.most_pixels(), series.keyframe
    pixels = page.imagewidth * page.imagelength * len(series.pages)
    if limit and pixels > limit and series.nbytes > MOST_EXPANDED * path.stat().st_size:
        raise pictures.unbelievable(path, pixels)


def nbytes(path: Path) -> int:
    """Return how much memory the pixels of a TIFF file take; 0 for what is no such file."""
    tifffile = library("tifffile")
    try:
        with tifffile.TiffFile(path) as file:
            return int(file.series[0].nbytes)
    except (tifffile.TiffFileError, OSError, IndexError):
        return 0


def _picture(pixels: Array, series: Any) -> Picture:
    page, names = series.keyframe, series.axes
    extra: dict[str, Any] = {
        "photometric": int(page.photometric),
        "planar": "S" in names and names.index("S") < names.index("X"),
        "compression": of_number(page.compression),
        "predictor": int(page.predictor) == 2,
        "tile": (page.tilelength, page.tilewidth) if page.is_tiled else None,
        "bigtiff": page.parent.is_bigtiff,
        "byteorder": page.parent.byteorder,
    }
    tags = page.tags
    extra["iccprofile"] = tags[ICC].value if ICC in tags else None
    if XRES in tags and YRES in tags:
        across, down = (n / max(d, 1) for n, d in (tags[XRES].value, tags[YRES].value))
        extra["resolution"] = (across, down)
        extra["resolutionunit"] = int(tags[UNIT].value) if UNIT in tags else 2
    has_alpha = "S" in names and any(int(e) in (1, 2) for e in page.extrasamples)
    extra["extrasamples"] = [int(e) for e in page.extrasamples] or None
    if "S" in names:
        pixels = np.moveaxis(pixels, names.index("S"), -1)
        names = names.replace("S", "") + "S"
    rows, columns = names.index("Y"), names.index("X")
    orientation = int(tags[TAG].value) if TAG in tags else AS_STORED
    orientation = orientation if orientation in STEPS else AS_STORED
    # Pages come first, then rows: EXIF's orientation is of these.
    pixels = _turned(pixels, rows, orientation, upright)
    alpha = pixels[..., -1] if has_alpha else None
    colours = pixels[..., :-1] if has_alpha else pixels
    if has_alpha and colours.shape[-1] == 1:
        colours = colours[..., 0]
    return Picture(colours, alpha, (rows, columns), orientation, extra)


def _turned(pixels: Array, rows: int, orientation: int, turn: Any) -> Array:
    front = np.moveaxis(pixels, (rows, rows + 1), (0, 1))
    return np.moveaxis(turn(front, orientation), (0, 1), (rows, rows + 1))


def write(path: Path, picture: Picture) -> None:
    """Write a picture, all of it or nothing.

    Raises:
        UnsupportedError: tifffile isn't installed.
    """
    tifffile = library("tifffile")
    extra = picture.extra
    orientation = picture.orientation if "photometric" in extra else AS_STORED
    pixels = _turned(picture.pixels, picture.axes[0], orientation, as_stored)
    samples = pixels.shape[-1] if pixels.ndim > picture.axes[1] + 1 else 1
    colours = samples - (picture.alpha is not None)
    options: dict[str, Any] = {
        name: extra[name]
        for name in ("compression", "tile", "iccprofile", "resolution", "resolutionunit")
        if extra.get(name) is not None
    }
    if options.get("compression") == NONE:
        del options["compression"]
    if extra.get("icc_profile"):
        options["iccprofile"] = extra["icc_profile"]
    if extra.get("predictor") and "compression" in options and pixels.dtype.kind in "iu":
        options["predictor"] = 2
    options["photometric"] = "rgb" if colours == 3 else "minisblack"
    if extra.get("photometric") == 0 and colours == 1:
        options["photometric"] = "miniswhite"
    elif extra.get("mode") == "CMYK" and colours == 4:
        options["photometric"] = "separated"
    if samples > 1:
        options["planarconfig"] = "separate" if extra.get("planar") else "contig"
        if extra.get("planar"):
            pixels = np.moveaxis(pixels, -1, picture.axes[0])
        before = extra.get("extrasamples") or []
        others = samples - {"rgb": 3, "separated": 4}.get(options["photometric"], 1)
        unsaid = [2] if picture.alpha is not None else [0] * others
        if others:
            options["extrasamples"] = before if len(before) == others else unsaid
    if orientation != AS_STORED:
        options["extratags"] = [(TAG, SHORT, 1, orientation, True)]
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.ascontiguousarray(pixels),
            bigtiff=extra.get("bigtiff") or None,
            byteorder=extra.get("byteorder"),
            **options,
        )

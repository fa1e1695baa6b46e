"""PNG files with 16 bits and several samples, which Pillow would cut down to 8 bits.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import DataError, UnsupportedError, compose

Array = NDArray[Any]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {2: 3, 4: 2, 6: 4}
"""How many samples a pixel has, by the type of its colour; the types with several."""

TYPES = {count: kind for kind, count in SAMPLES.items()}


def is_deep(path: Path) -> bool:
    """Whether a file is a PNG with 16 bits and several samples."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == SIGNATURE and len(head) == 26 and head[24] == 16 and head[25] in SAMPLES


def read(path: Path) -> Array:
    """Return the pixels, (height, width, samples) of uint16.

    Raises:
        DataError: a damaged file.
        UnsupportedError: an interlaced one.
    """
    data = path.read_bytes()
    width, height, _, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if interlaced:
        raise UnsupportedError(
            compose(
                str(path),
                "is interlaced, with 16 bits and several samples",
                fix="save it without interlacing",
            ),
            argument="path",
            value=path,
        )
    samples = SAMPLES[kind]
    try:
        packed = b"".join(body for name, body in _chunks(data) if name == b"IDAT")
        lines = np.frombuffer(zlib.decompress(packed), np.uint8)
        lines = lines.reshape(height, 1 + width * samples * 2)
    except (zlib.error, ValueError, struct.error) as error:
        raise DataError(
            compose(str(path), f"is damaged: {error}"), argument="path", value=path
        ) from error
    plain = _unfiltered(lines[:, 0], lines[:, 1:].reshape(height, width, samples * 2))
    return plain.view(">u2").astype(np.uint16)


def write(
    path: Path, pixels: Array, *, icc: bytes | None = None, exif: bytes | None = None
) -> None:
    """Write pixels, (height, width, 2 to 4 samples) of uint16, with what comes along."""
    height, width, samples = pixels.shape
    rows = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, -1)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 2  # Each row less the one above, modulo 256.
    lines[0, 1:] = rows[0]
    lines[1:, 1:] = rows[1:] - rows[:-1]
    head = struct.pack(">IIBBBBB", width, height, 16, TYPES[samples], 0, 0, 0)
    parts = [(b"IHDR", head)]
    if icc:
        parts.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        parts.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [(b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    with path.open("wb") as file:
        file.write(SIGNATURE)
        for name, body in parts:
            check = zlib.crc32(name + body)
            file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", check))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    at, found = len(SIGNATURE), []
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        found.append((name, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _unfiltered(kinds: Array, lines: Array) -> Array:
    """Return the bytes of pixels from their differences to neighbours left and above.

    Each byte needs those left of it and above it, so that all of a diagonal are found at a time.
    """
    height, width, count = lines.shape
    out = np.zeros((height + 1, width + 1, count), np.uint8)  # with zeros above and left
    if kinds.max(initial=0) > 4:
        raise DataError(compose("PNG", "is damaged: it has a filter that there isn't"))
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        left = out[rows + 1, columns].astype(np.int16)
        above = out[rows, columns + 1].astype(np.int16)
        corner = out[rows, columns].astype(np.int16)
        kind = kinds[rows][:, None]
        guess = above + left - corner
        far = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
        nearest = np.where(
            (far[0] <= far[1]) & (far[0] <= far[2]),
            left,
            np.where(far[1] <= far[2], above, corner),
        )
        choices = [np.zeros_like(left), left, above, (left + above) // 2, nearest]
        expected = np.choose(kind, choices)
        out[rows + 1, columns + 1] = (lines[rows, columns] + expected) & 255
    return np.ascontiguousarray(out[1:, 1:])

"""Image files of every kind become the pixels that a person would see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convsmith.errors import DataError
from convsmith.training import pictures

pytestmark = pytest.mark.backend_free


def pixels(path: Path, channels: int | None = 1, size: int = 2) -> np.ndarray:
    return pictures.to_pixels(pictures.read_picture(path, channels), size, size)


def test_black_ink_on_transparent_ground_is_ink_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png")[..., 0].tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    levels = np.array([[0, 65535], [32768, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    np.testing.assert_allclose(
        pixels(tmp_path / "a.png")[..., 0], [[0.0, 1.0], [0.5, 1.0]], atol=0.01
    )


def test_channels_as_found_or_as_asked(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "red.png")
    Image.new("L", (2, 2), 128).save(tmp_path / "grey.png")
    assert pixels(tmp_path / "red.png", None).shape == (2, 2, 3)
    assert pixels(tmp_path / "grey.png", None).shape == (2, 2, 1)
    assert pixels(tmp_path / "red.png", 1).shape == (2, 2, 1)
    assert pixels(tmp_path / "grey.png", 3).shape == (2, 2, 3)


def test_proportions_are_kept_by_padding_with_the_ground(tmp_path: Path) -> None:
    wide = np.full((10, 40), 255, np.uint8)
    wide[4:6, 18:22] = 0
    Image.fromarray(wide).save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png", size=20)[..., 0]
    assert found.shape == (20, 20)
    assert found[0, 0] == found[-1, -1] == 1.0
    assert found.min() < 0.5


def test_light_and_dark_ground() -> None:
    dark = np.zeros((3, 8, 8, 1))
    dark[:, 2:6, 2:6] = 1.0
    assert not pictures.is_light(dark)
    assert pictures.is_light(1.0 - dark)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "folder", "missing"])
def test_not_an_image(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        Image.effect_noise((64, 64), 50).save(path)
        whole = path.read_bytes()
        path.write_bytes(
            {"text": b"hello", "empty": b"", "truncated": whole[: len(whole) // 2]}[kind]
        )
    wording = {"folder": "is a folder, not an image file", "missing": "there is no such file"}
    with pytest.raises(DataError, match=wording.get(kind, "is not an image that can be read")):
        pictures.read_picture(path)


def test_an_image_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="is not an image that can be read"):
        pictures.read_picture(tmp_path / "a.png")

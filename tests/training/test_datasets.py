"""Every source of data, and what is said when it doesn't hold labelled images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bars import SIDE, bars, save_bar_image, save_bars
from convsmith.errors import DataError
from convsmith.training import datasets

pytestmark = pytest.mark.backend_free


def test_mini_is_balanced_real_digits() -> None:
    mini = datasets.load("mini")
    assert mini.x_train.shape == (4000, 28, 28, 1)
    assert mini.x_test.shape == (1000, 28, 28, 1)
    assert mini.x_train.dtype == np.float32
    assert mini.x_train.min() == 0.0
    assert mini.x_train.max() == 1.0
    assert np.bincount(mini.y_train).tolist() == [400] * 10
    assert np.bincount(mini.y_test).tolist() == [100] * 10
    assert mini.classes == tuple("0123456789")
    assert not mini.light_ground


def test_the_same_data_has_the_same_fingerprint(tmp_path: Path) -> None:
    one = datasets.load(str(save_bars(tmp_path / "a.npz")))
    same = datasets.load(str(save_bars(tmp_path / "b.npz")))
    images, _ = bars(64)
    other = datasets.load(str(save_bars(tmp_path / "c.npz", x_train=255 - images)))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float16"])
def test_pixels_come_out_between_zero_and_one(tmp_path: Path, kind: str) -> None:
    images, _ = bars(64)
    scaled = images / 255.0 if kind.startswith("float") else images
    data = datasets.load(str(save_bars(tmp_path / "d.npz", x_train=scaled.astype(kind))))
    np.testing.assert_allclose(data.x_train[..., 0], images / 255.0, atol=1e-3)


def colour_images(count: int) -> np.ndarray:
    return np.zeros((count, SIDE, SIDE, 3), np.uint8)


def test_colour_images_keep_their_channels(tmp_path: Path) -> None:
    changes = {"x_train": colour_images(64), "x_test": colour_images(16)}
    data = datasets.load(str(save_bars(tmp_path / "d.npz", **changes)))
    assert data.image_shape == (SIDE, SIDE, 3)


NAN = np.full((64, SIDE, SIDE), np.nan, np.float32)
BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"x_train": np.zeros((64, 144))}, r"x_train has shape \(64, 144\); expected images"),
    "empty": ({"x_test": np.zeros((0, 12, 12))}, r"x_test has shape \(0, 12, 12\)"),
    "text": ({"x_train": np.full((64, 12, 12), "a")}, "x_train has dtype <U1"),
    "range": ({"x_train": np.full((64, 12, 12), 255.0)}, "floats in 0..1"),
    "negative": ({"x_train": np.full((64, 12, 12), -1)}, "values from -1 to -1"),
    "nan": ({"x_train": NAN}, "values from nan to nan"),
    "count": ({"y_train": np.zeros(63, int)}, "x_train has 64 images and y_train has 63 labels"),
    "one-hot": ({"y_train": np.zeros((64, 2), int)}, r"Try: np\.argmax"),
    "float labels": ({"y_train": np.zeros(64)}, "dtype float64; expected one non-negative"),
    "big label": ({"y_test": np.full(16, 10**6)}, "a label is 1000000, but there are only 64"),
    "shapes": ({"x_test": np.zeros((16, 13, 12))}, "training and test images differ in shape"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(tmp_path: Path, case: str) -> None:
    changes, message = BAD_ARRAYS[case]
    with pytest.raises(DataError, match=message):
        datasets.load(str(save_bars(tmp_path / "d.npz", **changes)))


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=np.zeros((2, 12, 12)), labels=np.zeros(2))
    message = r"y_train, x_test, y_test are missing; expected .* Received: x_train, labels"
    with pytest.raises(DataError, match=message):
        datasets.load(str(tmp_path / "d.npz"))


@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated", "flipped", "pickle", "npy"])
def test_corrupt_npz(tmp_path: Path, damage: str) -> None:
    path = save_bars(tmp_path / "d.npz")
    whole = path.read_bytes()
    if damage == "pickle":
        np.savez(path, **dict.fromkeys(datasets.KEYS, np.array([None], object)))
    elif damage == "npy":
        np.save(tmp_path / "a.npy", np.zeros(3))
        path.write_bytes((tmp_path / "a.npy").read_bytes())
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        contents = {"garbage": b"not a zip", "empty": b"", "truncated": whole[:middle]}
        path.write_bytes(contents.get(damage, flipped))
    with pytest.raises(DataError, match=re.escape(f"{path}: not a readable .npz file")):
        datasets.load(str(path))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder; expected mini, mnist, a FILE"):
        datasets.load(str(tmp_path / "nothing.npz"))


def class_folders(root: Path, count: int = 5) -> Path:
    for label, name in enumerate(("across", "down")):
        (root / name).mkdir(parents=True)
        for i in range(count):
            save_bar_image(root / name / f"{i}.png", label)
    return root


def test_folder_is_split_per_class(tmp_path: Path) -> None:
    (class_folders(tmp_path) / "across" / ".hidden").write_text("ignored")
    data = datasets.load(str(tmp_path))
    assert data.classes == ("across", "down")
    assert np.bincount(data.y_train).tolist() == [4, 4]
    assert np.bincount(data.y_test).tolist() == [1, 1]
    assert data.image_shape == (SIDE, SIDE, 1)


def test_folder_with_train_and_test(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", 3)
    class_folders(tmp_path / "test", 2)
    data = datasets.load(str(tmp_path))
    assert (len(data.x_train), len(data.x_test)) == (6, 4)


def test_folder_of_mixed_sizes_and_colours(tmp_path: Path) -> None:
    class_folders(tmp_path)
    Image.new("RGB", (40, 20), "red").save(tmp_path / "down" / "big.jpg")
    assert datasets.load(str(tmp_path)).image_shape == (SIDE, SIDE, 3)


def test_folder_without_classes(tmp_path: Path) -> None:
    save_bar_image(tmp_path / "a.png", 0)
    with pytest.raises(DataError, match="it has 0 class subfolders; expected two or more"):
        datasets.load(str(tmp_path))


def test_folder_with_a_file_that_is_no_image(tmp_path: Path) -> None:
    (class_folders(tmp_path) / "down" / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt: is not an image that can be read"):
        datasets.load(str(tmp_path))


def test_folder_with_an_empty_class(tmp_path: Path) -> None:
    (class_folders(tmp_path) / "empty").mkdir()
    with pytest.raises(DataError, match="empty: this class has no images"):
        datasets.load(str(tmp_path))


def test_folder_with_a_single_image_in_a_class(tmp_path: Path) -> None:
    class_folders(tmp_path, 1)
    with pytest.raises(DataError, match="a class has a single image"):
        datasets.load(str(tmp_path))


def test_test_class_that_training_lacks(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    (class_folders(tmp_path / "test") / "new").mkdir()
    with pytest.raises(DataError, match="the classes new are not among the training classes"):
        datasets.load(str(tmp_path))

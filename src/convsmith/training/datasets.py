"""Labelled images from the shipped sample, Keras's MNIST, an .npz file or a folder of images."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from convsmith.errors import DataError, compose
from convsmith.training.pictures import is_light, read_picture, to_pixels

KEYS = ("x_train", "y_train", "x_test", "y_test")
SOURCES = "mini, mnist, a FILE.npz, or a FOLDER with one subfolder of images per class"
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Dataset:
    """Float32 images (count, height, width, channels) in 0..1, and int labels."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]

    @property
    def light_ground(self) -> bool:
        return is_light(self.x_train[:1000])

    def fingerprint(self) -> str:
        """Return a checksum: a resumed run must see the same data."""
        checksum = 0
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
        return f"{checksum:08x}"


def load(source: str) -> Dataset:
    """Load `source`: a name, a file or a folder.

    Raises:
        DataError: if it isn't there, or doesn't hold labelled images.
    """
    if source == "mini":
        return _from_npz(resources.files("convsmith") / "data" / "mini_mnist.npz", source)
    if source == "mnist":
        return _from_arrays(_download_mnist(), source)
    path = Path(source)
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise DataError(
            compose(f"--data {source}", "there is no such file or folder", expected=SOURCES)
        )
    return _from_npz(path, source)


def _download_mnist() -> dict[str, np.ndarray]:
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception when the download fails
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise DataError(
            compose(
                "--data mnist",
                f"Keras could not download MNIST ({reason})",
                fix="--data mini, which is shipped with convsmith, or --data FILE.npz with "
                "a copy of mnist.npz",
            )
        ) from error
    return dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True))


def _from_npz(file: Traversable, name: str) -> Dataset:
    try:
        with file.open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(_not_npz(name, "it holds a single array (.npy)"))
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise DataError(
                    compose(
                        name,
                        f"the arrays {', '.join(missing)} are missing",
                        expected=f"the arrays {', '.join(KEYS)}",
                        received=", ".join(archive.files) or "an empty file",
                        fix=f"np.savez_compressed(file, {', '.join(f'{k}={k}' for k in KEYS)})",
                    )
                )
            arrays = {key: archive[key] for key in KEYS}
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(_not_npz(name, "it is corrupt, or of another kind")) from error
    return _from_arrays(arrays, name)


def _not_npz(name: str, why: str) -> str:
    return compose(
        name,
        f"not a readable .npz file: {why}",
        expected=f"a file made by np.savez with the arrays {', '.join(KEYS)}",
    )


def _from_arrays(arrays: dict[str, np.ndarray], name: str) -> Dataset:
    x_train, x_test = (_images(arrays[key], key, name) for key in ("x_train", "x_test"))
    y_train, y_test = (_labels(arrays[key], key, name) for key in ("y_train", "y_test"))
    for x, y, part in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        if len(x) != len(y):
            raise DataError(
                compose(name, f"x_{part} has {len(x)} images and y_{part} has {len(y)} labels")
            )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            compose(
                name,
                "training and test images differ in shape",
                received=f"{x_train.shape[1:]} and {x_test.shape[1:]}",
            )
        )
    count = int(max(y_train.max(), y_test.max())) + 1
    if count > len(y_train):
        raise DataError(
            compose(
                name,
                f"a label is {count - 1}, but there are only {len(y_train)} training images",
                expected="classes numbered from 0 without gaps",
            )
        )
    return Dataset(x_train, y_train, x_test, y_test, tuple(str(i) for i in range(count)))


def _images(array: np.ndarray, key: str, name: str) -> np.ndarray:
    expected = "(count, height, width) or (count, height, width, channels)"
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            compose(name, f"{key} has shape {array.shape}", expected=f"images of shape {expected}")
        )
    if array.dtype.kind not in "buif":
        raise DataError(
            compose(name, f"{key} has dtype {array.dtype}", expected="integers in 0..255 or floats")
        )
    low, high = float(array.min()), float(array.max())
    top = 1.0 if array.dtype.kind in "bf" else 255.0
    if not (low >= 0.0 and high <= top):  # written so that NaN is refused too
        raise DataError(
            compose(
                name,
                f"{key} ({array.dtype}) has values from {low:g} to {high:g}",
                expected="integers in 0..255, or floats in 0..1",
            )
        )
    pixels = array.astype(np.float32) / np.float32(top)
    return pixels[..., None] if pixels.ndim == 3 else pixels


def _labels(array: np.ndarray, key: str, name: str) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "ui" or array.min(initial=0) < 0:
        raise DataError(
            compose(
                name,
                f"{key} has shape {array.shape} and dtype {array.dtype}",
                expected="one non-negative integer class per image",
                fix="np.argmax(y, axis=-1) if the labels are one-hot",
            )
        )
    return array.astype(np.int32)


def _from_folder(folder: Path) -> Dataset:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        classes = _class_names(folder / "train")
        extra = [name for name in _class_names(folder / "test") if name not in classes]
        if extra:
            raise DataError(
                compose(
                    str(folder / "test"),
                    f"the classes {', '.join(extra)} are not among the training classes",
                    expected=f"some of {', '.join(classes)}",
                )
            )
        parts = [_files(folder / part, classes) for part in ("train", "test")]
    else:
        classes = _class_names(folder)
        parts = _split(_files(folder, classes))
    pictures = {path: read_picture(path) for part in parts for path, _ in part}
    # Grey only if all are; the smallest height and width, so that nothing is blown up.
    channels = 1 if all(image.mode == "L" for image in pictures.values()) else 3
    mode = "L" if channels == 1 else "RGB"
    height = min(image.height for image in pictures.values())
    width = min(image.width for image in pictures.values())
    stacked: list[Any] = []
    for part in parts:
        if not part:
            raise DataError(compose(str(folder), "there are too few images to train and to test"))
        images = [to_pixels(pictures[path].convert(mode), height, width) for path, _ in part]
        stacked += [np.stack(images), np.array([label for _, label in part], np.int32)]
    return Dataset(*stacked, classes=classes)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."))
    if len(names) < 2:
        raise DataError(
            compose(
                str(folder),
                f"it has {len(names)} class subfolder{'s'[: len(names) != 1]}",
                expected="two or more, one for each class, with the images inside",
            )
        )
    return names


def _files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        if (folder / name).is_dir():
            paths = sorted(p for p in (folder / name).iterdir() if p.name[0] != ".")
            if not paths:
                raise DataError(compose(str(folder / name), "this class has no images"))
            found += [(path, label) for path in paths]
    return found


def _split(files: list[tuple[Path, int]]) -> list[list[tuple[Path, int]]]:
    """Hold back a fifth of each class for the test, always the same images."""
    rng = np.random.default_rng(0)
    counts = Counter(label for _, label in files)
    test: set[int] = set()
    for label, count in counts.items():
        if count < 2:
            raise DataError(
                compose(
                    str(files[0][0].parent.parent),
                    "a class has a single image",
                    expected="two or more in each class: one to train and one to test",
                )
            )
        indices = [i for i, (_, other) in enumerate(files) if other == label]
        held_back = max(1, round(TEST_SHARE * count))
        test.update(int(i) for i in rng.permutation(indices)[:held_back])
    chosen = [file for i, file in enumerate(files) if i in test]
    return [[file for i, file in enumerate(files) if i not in test], chosen]

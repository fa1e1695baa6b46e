"""Images that two lines of code can make and a classifier learns in a second: bars.

Class 0 has a horizontal bar, class 1 a vertical one; light on dark, 12x12, with noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 12


def bars(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (count, 12, 12) and their labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 40, (count, SIDE, SIDE)).astype(np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        place = int(rng.integers(3, SIDE - 4))
        view = image.T if label else image
        view[place : place + 2, 2:-2] = 230
    return images, labels.astype(np.uint8)


def save_bars(path: Path, train: int = 64, test: int = 16, **changes: np.ndarray) -> Path:
    """Write an .npz of bars; `changes` replaces arrays by name."""
    x_train, y_train = bars(train)
    x_test, y_test = bars(test, seed=1)
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez(path, **(arrays | changes))
    return path


def save_bar_image(path: Path, label: int, *, ink: bool = False, size: int = SIDE) -> Path:
    """Write one bar as an image file; `ink` makes it dark on light, as on paper."""
    pixels = np.full((SIDE, SIDE), 10, np.uint8)
    view = pixels.T if label else pixels
    view[5:7, 2:-2] = 230
    image = Image.fromarray(255 - pixels if ink else pixels)
    image.resize((size, size), Image.Resampling.NEAREST).save(path)
    return path

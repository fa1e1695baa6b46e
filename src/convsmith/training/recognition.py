"""Naming what image files show, with a trained classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from convsmith.errors import DataError, compose
from convsmith.training import model_file
from convsmith.training.pictures import is_light, read_picture, to_pixels

Invert = Literal["auto", "yes", "no"]
INVERT: tuple[Invert, ...] = get_args(Invert)


@dataclass(frozen=True)
class Guess:
    path: Path
    name: str
    probability: float
    inverted: bool


def recognise(model_path: Path, paths: Sequence[Path], invert: Invert = "auto") -> list[Guess]:
    """Return the most probable class of each image file.

    An image is turned grey or RGB as the model needs, padded to its proportions and resized.

    Args:
        model_path: A `.keras` classifier.
        paths: Image files.
        invert: Whether to swap light and dark. `auto` does so for greyscale models when the ground
            of the image (its border) is light and that of the training images was dark, or the
            other way round: ink on paper for a model that learned white on black.
    """
    model, extras = model_file.load(model_path)
    height, width, channels = _image_shape(model, model_path)
    images: list[np.ndarray] = []
    inverted: list[bool] = []
    for path in paths:
        pixels = to_pixels(read_picture(path, channels), height, width)
        differs = channels == 1 and is_light(pixels) != extras.light_ground
        inverted.append(invert == "yes" or (invert == "auto" and differs))
        images.append(1.0 - pixels if inverted[-1] else pixels)
    found = model_file.answers(model, np.stack(images))
    return [
        Guess(path, extras.name(int(row.argmax())), float(row.max()), flag)
        for path, row, flag in zip(paths, found, inverted, strict=True)
    ]


def _image_shape(model: Any, path: Path) -> tuple[int, int, int]:
    shape: Any = getattr(model, "input_shape", None)
    answer: Any = getattr(model, "output_shape", None)
    match shape, answer:
        case (_, int(height), int(width), (1 | 3) as channels), (_, int()):
            return height, width, channels
    raise DataError(
        compose(
            str(path),
            "not an image classifier",
            expected="input (None, height, width, 1 or 3) and output (None, classes)",
            received=f"input {shape}, output {answer}",
        )
    )

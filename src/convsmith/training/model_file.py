"""The saved model: a `.keras` file that also carries the names of its classes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import convsmith.layers  # noqa: F401  (registers the layers that a file may name)
from convsmith.errors import DataError, compose
from convsmith.files import replacing

_EXTRA = "convsmith.json"


@dataclass(frozen=True)
class Extras:
    """What a classifier needs beside its weights to read an image and name the answer."""

    classes: Sequence[str]
    light_ground: bool

    def name(self, index: int) -> str:
        return self.classes[index] if index < len(self.classes) else str(index)


def save(path: Path, model: keras.Model, extras: Extras) -> None:
    """Write the model, whole or not at all; Keras itself ignores the extra member."""
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_EXTRA, json.dumps(asdict(extras)))


def load(path: Path, *, to_train: bool = False) -> tuple[keras.Model, Extras]:
    """Load a model in safe mode (no code from the file runs), with its extras if it has any.

    Args:
        path: The `.keras` file.
        to_train: Whether to restore the optimizer and its state too.

    Raises:
        DataError: if the file is missing, isn't a whole `.keras` file or names unknown layers.
    """
    expected = "a .keras file, such as the model.keras that `convsmith train` writes"
    if not path.is_file():
        problem = "is a folder, not a model file" if path.is_dir() else "there is no such file"
        raise DataError(compose(str(path), problem, expected=expected))
    if path.suffix != ".keras":
        raise DataError(compose(str(path), "not a model file", expected=expected))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            text = archive.read(_EXTRA).decode() if _EXTRA in members else None
        extras = Extras(**json.loads(text)) if text else Extras((), light_ground=False)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            compose(str(path), "corrupt or incomplete model file", expected=expected)
        ) from error
    try:
        model: Any = keras.saving.load_model(path, safe_mode=True, compile=to_train)
    except Exception as error:  # whatever a damaged or foreign file provokes inside Keras
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise DataError(
            compose(
                str(path),
                "Keras can't load this model",
                expected=expected,
                received=reason,
            )
        ) from error
    return model, extras


def answers(model: Any, images: np.ndarray) -> np.ndarray:
    """Return the probabilities (images, classes), whether the model gives those or logits."""
    found = np.asarray(model.predict(images, batch_size=100, verbose=0), np.float64)
    if np.all(found >= 0.0) and np.allclose(found.sum(axis=-1), 1.0, atol=1e-2):
        return found
    powers = np.exp(found - found.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)

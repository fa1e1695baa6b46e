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

from convsmith.errors import DataError, compose
from convsmith.files import replacing
from convsmith.models import loading

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
        DataError: the file is missing, isn't whole, or is one that `loading.load` refuses.
    """
    loading.check(path)
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_EXTRA).decode() if _EXTRA in archive.namelist() else None
        extras = Extras(**json.loads(text)) if text else Extras((), light_ground=False)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            compose(
                str(path),
                "corrupt or incomplete model file",
                expected=f"a whole {_EXTRA} in it, as `convsmith train` writes it",
            )
        ) from error
    return loading.load(path, compile=to_train), extras


def answers(model: Any, images: np.ndarray) -> np.ndarray:
    """Return the probabilities (images, classes), whether the model gives those or logits."""
    found = np.asarray(model.predict(images, batch_size=100, verbose=0), np.float64)
    if np.all(found >= 0.0) and np.allclose(found.sum(axis=-1), 1.0, atol=1e-2):
        return found
    powers = np.exp(found - found.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)

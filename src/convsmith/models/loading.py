"""A `.keras` file from anyone: loaded in Keras's safe mode, or refused in one clear line."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import keras

import convsmith.layers  # noqa: F401  (registers the layers that a file may name)
from convsmith.errors import DataError, compose

_EXPECTED = "a .keras file that Keras saved, such as the model.keras of `convsmith train`"
_UNKNOWN = re.compile(r"Could not (?:locate (?:class|function)|deserialize) '([^']+)'")


def load(path: Path, *, compile: bool = False) -> Any:
    """Return the model of a `.keras` file; no code from the file runs.

    Args:
        path: the file.
        compile: whether to restore the optimizer and its state too.

    Returns:
        A `keras.Model`.

    Raises:
        DataError: the file isn't there, isn't a whole `.keras` file, holds Python code (a Lambda
            layer), or names classes that neither Keras nor convsmith knows.
    """
    check(path)
    try:
        model = keras.saving.load_model(path, safe_mode=True, compile=compile)
    except (OSError, zipfile.BadZipFile) as error:  # weights that are cut short
        raise _refusal(path, "corrupt or incomplete model file") from error
    except Exception as error:  # whatever a damaged or foreign file provokes inside Keras
        raise _explained(path, error) from error
    if not isinstance(model, keras.Model):
        raise _refusal(path, f"holds a {type(model).__name__}, not a model")
    return model


def check(path: Path) -> None:
    """Check that there is a `.keras` file, as far as that shows without loading it.

    Raises:
        DataError: there is none.
    """
    if not path.is_file():
        problem = "is a folder, not a model file" if path.is_dir() else "there is no such file"
        raise _refusal(path, problem)
    if path.suffix != ".keras":
        raise _refusal(path, "not a model file")
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            whole = any(name.startswith("model.weights.") for name in archive.namelist())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _refusal(path, "corrupt or incomplete model file") from error
    if not (whole and isinstance(config, dict) and "class_name" in config):
        raise _refusal(path, "corrupt or incomplete model file")


def _explained(path: Path, error: Exception) -> DataError:
    """Return what Keras's error means for the file."""
    text = str(error)
    if "`Lambda` layer" in text:
        return _refusal(
            path,
            "holds a Lambda layer, whose Python code convsmith doesn't run",
            fix="a registered layer class, or keras.ops calls, in place of the Lambda",
        )
    unknown = _UNKNOWN.search(text)
    if unknown:
        return _refusal(
            path,
            f"holds {unknown[1]!r}, which neither Keras nor convsmith knows",
            fix="load it in Python with its classes imported, and call convsmith.models there",
        )
    # Keras repeats whole configurations; the reason stands behind them, on a line of its own.
    reason = text.rpartition("Exception encountered: ")[2].strip() or repr(error)
    return _refusal(path, "Keras can't load this model", received=reason.splitlines()[0][:300])


def _refusal(
    path: Path, problem: str, *, received: str | None = None, fix: str | None = None
) -> DataError:
    message = compose(str(path), problem, expected=_EXPECTED, received=received, fix=fix)
    return DataError(message, argument="path", value=path)

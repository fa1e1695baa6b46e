"""Samples from a file of NumPy arrays."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from convsmith.errors import DataError, compose

NAMES = ("calibration", "x")
"""What the array of an `.npz` file may be called, unless it is the only one."""


def read_samples(path: Path) -> np.ndarray | list[np.ndarray]:
    """Return the array of an `.npy` or `.npz` file, or of the latter all, one for each input.

    An `.npz` file with an array of one of `NAMES` gives that one alone.

    Raises:
        DataError: the file isn't there, or isn't one of numbers.
    """
    try:
        found: Any = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if not found.files:
                raise ValueError("holds no array")
            known = [name for name in NAMES if name in found.files]
            names = known[:1] or found.files
            arrays = [found[name] for name in names]
    except FileNotFoundError as error:
        raise _refusal(path, "there is no such file") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _refusal(path, "is corrupt, or not a file of NumPy arrays") from error
    return arrays[0] if len(arrays) == 1 else arrays


def _refusal(path: Path, problem: str) -> DataError:
    expected = "an .npy file of samples, or an .npz file with an array for each input"
    return DataError(compose(str(path), problem, expected=expected), argument="path", value=path)


def holds(path: Path, name: str) -> bool:
    """Return whether a file is an `.npz` file with an array of this name."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return f"{name}.npy" in archive.namelist()

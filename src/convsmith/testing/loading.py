"""Run as a script by a fresh process: loads saved models and compares their outputs.

It imports only what the job names, in the job's order, so it can't be imported as part of convsmith
there. What differs or doesn't load is printed, and the exit status counts it.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> int:
    """Load each model of the job's folder; return how many failed."""
    sys.path[:] = job["path"]
    for name in job["imports"]:
        importlib.import_module(name)
    import keras

    assert keras.backend.backend() == job["backend"]
    failed = 0
    for index, name in enumerate(job["names"]):
        try:
            compare(Path(job["folder"], f"{index}"), job["tolerance"])
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}")
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)
    print(f"loaded {len(job['names']) - failed} of {len(job['names'])}")
    return failed


def compare(stem: Path, tolerance: float) -> None:
    """Assert that the saved model gives the saved outputs for the saved inputs."""
    import keras
    import numpy as np

    model: Any = keras.models.load_model(stem.with_suffix(".keras"))
    with np.load(stem.with_suffix(".npz")) as arrays:
        expected, *inputs = (arrays[name] for name in arrays.files)
    found = np.asarray(keras.ops.convert_to_numpy(model(inputs if inputs[1:] else inputs[0])))
    assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
    worst = np.abs(found - expected).max(initial=0)
    scale = max(1.0, np.abs(expected).max(initial=0))
    assert worst <= tolerance * scale, f"outputs differ by {worst:.3g} at a scale of {scale:.3g}"


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))

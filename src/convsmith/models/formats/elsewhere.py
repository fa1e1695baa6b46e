"""Writing a format in a process of its own, on the backend that can.

Layers and weights are the same on every backend, so the model goes there as a `.keras` file. As a
program, `python -m convsmith.models.formats.elsewhere FOLDER` is that process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from convsmith.errors import ConvsmithError, UnsupportedError, compose
from convsmith.models.formats import FORMATS, Format, Made, Order, make

_MODEL, _ORDER, _MADE = "model.keras", "order", "made"


def make_elsewhere(model: Any, form: Format, order: Order) -> Made:
    """Do what `make` does, in a process with the format's backend.

    Raises:
        UnsupportedError: the model can't be loaded there, or the format refuses it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / _MODEL)
        request = (form.name, order, sorted(_modules(model)))
        (folder / _ORDER).write_bytes(pickle.dumps(request))
        done = subprocess.run(
            [sys.executable, "-m", __name__, name],
            env=os.environ
            | {
                "KERAS_BACKEND": str(form.backend),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        answer = folder / _MADE
        made = pickle.loads(answer.read_bytes()) if answer.exists() else _last_line(done.stderr)
    if isinstance(made, Made):
        return made
    raise UnsupportedError(made, argument="format", value=form.name)


def _modules(model: Any) -> set[str]:
    """Return the modules whose import registers the classes of a model's layers."""
    found = {type(model).__module__}
    for layer in getattr(model, "layers", ()):
        found |= _modules(layer)
    return {m for m in found if m.split(".")[0] not in ("keras", "convsmith", "__main__")}


def _last_line(errors: str) -> str:
    lines = errors.strip().splitlines()
    return compose("export", "the process that writes the format died", received=lines[-1:][0])


def _answer(folder: Path) -> Made | str:
    import keras

    import convsmith.layers  # noqa: F401  (registers what the model may hold)

    name, order, modules = pickle.loads((folder / _ORDER).read_bytes())
    form = FORMATS[name]
    try:
        for module in modules:
            import_module(module)
        model = keras.saving.load_model(folder / _MODEL, compile=False)
    except Exception as error:  # a class that only the first process knows
        return compose(
            f"export: format={name!r}",
            f"the model can't be loaded on {form.backend}, which writes it ({_first_line(error)})",
            fix=f"a process with KERAS_BACKEND={form.backend}, or classes in a module of their own",
        )
    try:
        return make(model, form, order)
    except ConvsmithError as error:
        return error.message


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:300]


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    (_folder / _MADE).write_bytes(pickle.dumps(_answer(_folder)))

"""The checks in fresh processes: one takes many cases, as importing a framework takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from convsmith.errors import compose
from convsmith.testing import loading
from convsmith.testing.case import LayerCase, as_numpy
from convsmith.testing.promises import promise

RELOAD = "reload"
OTHER_BACKENDS = "other backends"
BACKENDS = ("tensorflow", "jax", "torch")


def check_reload(
    cases: Sequence[LayerCase],
    *,
    imports: Sequence[str] = ("keras", "convsmith"),
    modules: Sequence[str] | None = None,
) -> None:
    """Assert that saved models with the layers load in a fresh process and compute the same.

    Args:
        cases: the layers, each saved in a model of its own; one process loads them all.
        imports: what that process imports first, in this order.
        modules: what it imports next: those that register your own layers, by default the ones
            that define them.

    Raises:
        AssertionError: "reload: ...", when a model doesn't load or computes something else; shows
            the process's output.

    Example:
        >>> check_reload([LayerCase(keras.layers.Conv1D, {"filters": 1, "kernel_size": 2},
        ...                         (1, 4, 1))])

    Source: none.
    """
    with promise(RELOAD), tempfile.TemporaryDirectory() as folder:
        _save(cases, folder)
        _load(cases, folder, keras.backend.backend(), [*imports, *_modules(cases, modules)], 1e-5)


def check_backends(
    cases: Sequence[LayerCase],
    *,
    backends: Sequence[str] | None = None,
    modules: Sequence[str] | None = None,
) -> str | None:
    """Assert that models saved here load on other backends and compute the same.

    Args:
        cases: the layers, each saved in a model of its own; one process per backend loads them.
        backends: their names, by default all that are installed.
        modules: as in `check_reload`.

    Returns:
        None, or why there was nothing to compare with.

    Raises:
        AssertionError: "other backends: ...", when a model doesn't load or computes something else
            on one of them; shows the process's output.

    Example:
        >>> case = LayerCase(keras.layers.Dense, {"units": 3}, (2, 4))
        >>> check_backends([case], backends=[])  # one process for each that is named
        'no other backend'

    Source: none.
    """
    if backends is None:
        here = keras.backend.backend()
        backends = [name for name in BACKENDS if name != here and find_spec(name) is not None]
    if not backends:
        return "no other backend"
    with promise(OTHER_BACKENDS), tempfile.TemporaryDirectory() as folder:
        _save(cases, folder)
        imports = ["keras", "convsmith", *_modules(cases, modules)]
        for backend in backends:
            _load(cases, folder, backend, imports, 1e-4)
    return None


def _modules(cases: Sequence[LayerCase], modules: Sequence[str] | None) -> list[str]:
    if modules is None:
        modules = list(dict.fromkeys(case.layer_class.__module__ for case in cases))
    known = ("keras", "convsmith")
    found = [name for name in modules if name.partition(".")[0] not in known]
    assert "__main__" not in found, compose(
        "modules",
        "a layer is defined in __main__, which another process can't import",
        expected="a module that registers it",
        fix="moving it to a module, or modules=['my_package.my_layers']",
    )
    return found


def _save(cases: Sequence[LayerCase], folder: str) -> None:
    for index, case in enumerate(cases):
        model = case.model(case.built(), case.unknown_shape())
        inputs = case.inputs()
        model.save(Path(folder, f"{index}.keras"))
        np.savez(Path(folder, f"{index}.npz"), as_numpy(model(inputs)), *case.each(inputs))


def _load(
    cases: Sequence[LayerCase], folder: str, backend: str, imports: list[str], tolerance: float
) -> None:
    job = {
        "backend": backend,
        "folder": folder,
        "imports": imports,
        "names": [f"{c.layer_class.__name__} {dict(c.init_kwargs)}"[:200] for c in cases],
        "path": sys.path,
        "tolerance": tolerance,
    }
    done = subprocess.run(
        [sys.executable, "-P", loading.__file__],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    output = f"{done.stdout}\n{done.stderr}".strip()
    assert done.returncode == 0, f"a fresh process on {backend} failed:\n{output}"
    assert f"loaded {len(cases)} of {len(cases)}" in done.stdout, output

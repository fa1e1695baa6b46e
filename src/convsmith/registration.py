"""Keras finds convsmith's classes whichever of the two is imported first.

`keras.models.load_model` looks classes up in a registry that a class enters when its module is
imported, and it imports no module itself. Importing the layers with `convsmith` would load a
framework; so where Keras isn't there yet, its import is watched and followed by theirs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LAYERS = "convsmith.layers"


def register_with_keras() -> None:
    """Import the layers now if Keras is imported, otherwise as soon as it is.

    Example:
        >>> register_with_keras()

    Source: none.
    """
    if "keras" in sys.modules:
        importlib.import_module(LAYERS)
    elif not any(isinstance(finder, _KerasWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasWatcher())


class _KerasWatcher(MetaPathFinder):
    """Finds Keras as the other finders do, with a loader that imports the layers afterwards."""

    def __init__(self) -> None:
        self._waiting = False

    def keras_is_there(self) -> None:
        """Import the layers and retire, unless a module that they need is half imported itself."""
        self._waiting = _half_imported()
        if not self._waiting:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            importlib.import_module(LAYERS)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self._waiting and not fullname.startswith("convsmith"):
            self.keras_is_there()
        if fullname != "keras":
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ThenLayers(spec.loader, self)
                return spec
        return None


class _ThenLayers(Loader):
    def __init__(self, loader: Loader, watcher: _KerasWatcher) -> None:
        self._loader, self._watcher = loader, watcher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on Keras's module is an ordinary one, with its own loader.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._watcher.keras_is_there()


def _half_imported() -> bool:
    """Whether the import of a module of convsmith is what brought Keras in."""
    modules = [m for name, m in sys.modules.items() if name.startswith("convsmith.")]
    return any(getattr(m.__spec__, "_initializing", False) for m in modules)

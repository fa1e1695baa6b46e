"""Surgery on whole Keras models: convert their convolutions, fold, export and explain them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convsmith.models import rules
    from convsmith.models.converting import convert
    from convsmith.models.explaining import explain
    from convsmith.models.exporting import export
    from convsmith.models.folding import fold

_FUNCTIONS = {
    "convert": "convsmith.models.converting",
    "explain": "convsmith.models.explaining",
    "export": "convsmith.models.exporting",
    "fold": "convsmith.models.folding",
}

__all__ = ["convert", "explain", "export", "fold", "rules"]


def __getattr__(name: str) -> Any:
    if name == "rules":
        return import_module("convsmith.models.rules")
    if name not in _FUNCTIONS:
        raise AttributeError(f"module 'convsmith.models' has no attribute {name!r}")
    value = getattr(import_module(_FUNCTIONS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""convsmith: build the convolution that you need when the standard layer isn't it.

Everything loads on first use, so that ``import convsmith`` costs nothing and imports no framework;
yet Keras knows the layers as soon as both are imported, whichever comes first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convsmith._version import __version__
from convsmith.registration import register_with_keras

if TYPE_CHECKING:
    from convsmith import (
        direct,
        errors,
        geometry,
        images,
        kernels,
        layers,
        models,
        ops,
        plots,
        reference,
        testing,
        transforms,
    )
    from convsmith.engine import conv, plan
    from convsmith.kernels import as_kernel
    from convsmith.models.explaining import explain
    from convsmith.planner import wisdom
    from convsmith.tuning import tune

_MODULES = (
    "direct",
    "errors",
    "geometry",
    "images",
    "kernels",
    "layers",
    "models",
    "ops",
    "plots",
    "reference",
    "testing",
    "transforms",
)
_FUNCTIONS = {
    "conv": "convsmith.engine",
    "plan": "convsmith.engine",
    "explain": "convsmith.models.explaining",
    "tune": "convsmith.tuning",
    "wisdom": "convsmith.planner",
    "as_kernel": "convsmith.kernels",
}

__all__ = [
    "__version__",
    "as_kernel",
    "conv",
    "direct",
    "errors",
    "explain",
    "geometry",
    "images",
    "kernels",
    "layers",
    "models",
    "ops",
    "plan",
    "plots",
    "reference",
    "testing",
    "transforms",
    "tune",
    "wisdom",
]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        value = getattr(import_module(_FUNCTIONS[name]), name)
    elif name in _MODULES:
        value = import_module(f"convsmith.{name}")
    else:
        raise AttributeError(f"module 'convsmith' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()

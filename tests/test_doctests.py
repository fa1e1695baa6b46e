"""The examples in the docstrings of every public module, on the backend in use."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import convsmith

MODULES = (
    "distribution.communication",
    "distribution.devices",
    "engine",
    "tuning",
    "geometry",
    "notation",
    "ops",
    "reference",
    "problem",
    "dtypes",
    "errors",
)
PACKAGES = (
    "images",
    "kernels",
    "layers",
    "models",
    "models.rules",
    "planner",
    "plots",
    "testing",
    "transforms",
)


def modules() -> Iterator[str]:
    for name in MODULES:
        yield f"convsmith.{name}"
    for name in PACKAGES:
        package = importlib.import_module(f"convsmith.{name}")
        yield package.__name__
        for module in pkgutil.iter_modules(package.__path__):
            yield f"{package.__name__}.{module.name}"


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module)
    assert not results.failed, capsys.readouterr().out


def test_the_public_functions_have_examples() -> None:
    """An example that isn't collected would pass unseen."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in (
        "conv",
        "depthwise_conv",
        "separable_conv",
        "conv_transpose",
        "pad",
        "unfold",
        "fold",
    ):
        found = finder.find(getattr(convsmith.ops, name), name)
        assert any(test.examples for test in found), name
    for name in ("conv", "plan", "explain"):
        found = finder.find(getattr(convsmith, name), name)
        assert any(test.examples for test in found), name

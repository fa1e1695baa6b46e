"""convsmith, its arithmetic and its help start without any framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.backend_free

HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib", "scipy")


def heavy_modules_after(code: str) -> str:
    report = f"import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "module",
    ["convsmith", "convsmith.geometry", "convsmith.notation", "convsmith.plots", "convsmith.cli"],
)
def test_import_loads_no_framework(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "train",
        "predict",
        "info",
        "filter",
        "kernels",
        "kernels show",
        "convert",
        "explain",
        "export",
        "fold",
    ],
)
def test_help_loads_no_framework(command: str) -> None:
    code = f"""
import sys
from convsmith.cli import main
try:
    main([*{command.split()!r}, "--help"])
except SystemExit as stop:
    assert not stop.code, stop.code
assert "numpy" not in sys.modules
"""
    assert heavy_modules_after(code) == "[]"

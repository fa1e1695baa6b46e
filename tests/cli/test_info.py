"""`convsmith info`, the version and the bare command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest

from convsmith import _version
from convsmith.cli import backends

pytestmark = pytest.mark.one_backend
Command = Callable[..., Any]


def test_versions_backends_and_devices(convsmith: Command, backend: str) -> None:
    done = convsmith("info")
    assert done.code == 0, done
    assert f"convsmith {_version.__version__}" in done.out
    assert f"keras {keras.__version__}" in done.out
    for name in backends.BACKENDS:
        line = next(text for text in done.out.splitlines() if text.startswith(name))
        assert "cpu" in line or "gpu" in line or "cuda" in line
    assert f"run on {backend} (KERAS_BACKEND)" in done.out
    assert "Nothing is missing." in done.out


def test_what_is_missing_comes_with_its_command(
    convsmith: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "installed", lambda name: name == "tensorflow")
    monkeypatch.setattr(backends, "version", lambda name: None)
    done = convsmith("info", "--no-devices")
    assert done.code == 0
    for extra in ("jax", "torch", "plots"):
        assert f"Install it with: pip install 'convsmith[{extra}]'" in done.out


def test_version(convsmith: Command) -> None:
    done = convsmith("--version")
    assert (done.code, done.out) == (0, f"convsmith {_version.__version__}\n")


def test_the_bare_command_shows_the_help(convsmith: Command) -> None:
    done = convsmith()
    assert done.code == 2
    assert "train" in done.out + done.err
    assert "error" not in done.err


def test_an_unknown_command(convsmith: Command) -> None:
    done = convsmith("trian")
    assert done.code == 2
    assert done.err.startswith("error: No such command 'trian'. Did you mean 'train'?")


def test_order_of_choosing_the_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert backends.wanted("jax") == ("jax", "--backend")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backends.wanted(None) == ("torch", "KERAS_BACKEND")
    monkeypatch.delenv("KERAS_BACKEND")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert backends.wanted(None) == ("jax", "keras.json")
    (tmp_path / "keras.json").write_text("{}")
    monkeypatch.setattr(backends, "installed", lambda name: name == "torch")
    assert backends.wanted(None) == ("torch", "default")

"""`convsmith build`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convsmith.direct import library
from convsmith.direct.builder import compiler, parts

pytestmark = pytest.mark.one_backend
Command = Callable[..., Any]


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
def test_it_says_where_the_libraries_lie(convsmith: Command) -> None:
    done = convsmith("build")  # They are there already: the session built them.
    assert done.code == 0, done
    for part in parts():
        assert f"{part}: {library.path(part)}" in done.out
    assert "Done in" in done.out
    assert "built" in convsmith("info", "--no-devices").out


def test_without_a_compiler(
    convsmith: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(library.VARIABLE, str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    done = convsmith("build")
    assert done.code == 2
    assert done.err.startswith("error: the `direct` kernels: need a C++ compiler")
    assert "Try: a compiler, such as apt-get install g++." in done.err
    assert "convsmith build" in convsmith("info", "--no-devices").out

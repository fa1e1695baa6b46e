"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from convsmith.files import remove_partial, replacing, replacing_folder, write_text

pytestmark = pytest.mark.backend_free


def half_written(target: Path) -> Path:
    """Fail in the middle of replacing `target`; return where the half was."""
    halves: list[Path] = []

    def write() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            halves.append(temporary)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    return halves[0]


def test_success_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    write_text(target, "new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    half_written(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("whole")
    leftover = half_written(target)
    leftover.write_text("half")
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [target]


def test_folders_are_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a"

    def write(name: str, *, fail: bool = False) -> None:
        with replacing_folder(target) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
            if fail:
                raise RuntimeError

    write("first")
    write("second")
    assert [path.name for path in target.iterdir()] == ["second"]
    with pytest.raises(RuntimeError):
        write("third", fail=True)
    assert [path.name for path in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]
    target.with_name(".partial.a").mkdir()
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == [target]

"""Data that a classifier learns at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bars import save_bars


@pytest.fixture
def bar_file(tmp_path: Path) -> Path:
    return save_bars(tmp_path / "bars.npz")

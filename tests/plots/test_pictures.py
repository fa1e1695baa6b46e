"""Every kind of picture looks as it did when somebody looked at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baseline_pictures import BASELINE, check, difference
from convsmith import plots
from plot_cases import PICTURES

pytestmark = pytest.mark.backend_free

MOST_BYTES = 40_000


@pytest.mark.parametrize("name", PICTURES)
def test_looks_as_before(name: str, tmp_path: Path) -> None:
    check(PICTURES[name](), name, tmp_path)


def test_baselines_are_small_and_used() -> None:
    files = list(BASELINE.glob("*.png"))
    assert {file.stem for file in files} == {*PICTURES, "effective_kernel"}
    assert all(file.stat().st_size < MOST_BYTES for file in files)


def test_another_kernel_is_noticed(tmp_path: Path) -> None:
    assert "RMS" in str(difference(plots.plot_kernel("prewitt_x").figure, "kernel", tmp_path))


def test_one_wrong_cell_is_noticed(tmp_path: Path) -> None:
    wrong = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, -1]])
    figure = plots.plot_kernel(wrong, title="sobel_x").figure
    assert "RMS" in str(difference(figure, "kernel", tmp_path))


def test_a_missing_window_is_noticed(tmp_path: Path) -> None:
    figure = PICTURES["receptive_field"]()
    for patch in list(figure.axes[0].patches):
        patch.remove()
    assert "RMS" in str(difference(figure, "receptive_field", tmp_path))

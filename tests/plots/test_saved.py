"""Pictures are drawn for every kind of kernel, and a missing Matplotlib is explained."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convsmith import plots
from convsmith.errors import UnsupportedError

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 10])
def test_kernels(tmp_path: Path, channels: int, count: int) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, channels, count))
    plots.save_kernels(tmp_path / "a.png", {"one": kernel, "two": 0.0 * kernel})
    with Image.open(tmp_path / "a.png") as picture:
        assert len(set(picture.convert("RGB").get_flattened_data())) > 5


def test_no_kernel_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="there is no kernel to draw"):
        plots.save_kernels(tmp_path / "a.png", {"none": np.zeros((1, 1, 1, 0))})


def test_curves_of_a_single_epoch(tmp_path: Path) -> None:
    row = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "test_loss": 0.9, "test_accuracy": 0.6}
    plots.save_curves(tmp_path / "a.png", {"one": [row]})
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnsupportedError, match=r"Try: pip install 'convsmith\[plots\]'"):
        plots.save_curves(tmp_path / "a.png", {})

"""`convsmith predict`: the right class for files of several kinds, and every refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from bars import save_bar_image, save_bars
from convsmith.training import Settings, run

Command = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    data = save_bars(folder / "bars.npz")
    out = folder / "out"
    run.train(Settings(data=str(data), conv="plain", epochs=6, batch_size=8, out=out))
    return out / "model.keras"


def answers(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines()[1:]]


def test_classes_and_probabilities(convsmith: Command, model: Path, tmp_path: Path) -> None:
    across = save_bar_image(tmp_path / "across.png", 0)
    down = save_bar_image(tmp_path / "down.jpg", 1, size=60)
    done = convsmith("predict", model, across, down)
    assert done.code == 0, done
    assert answers(done.out) == ["0", "1"]
    assert done.out.count("%") == 2
    assert "inverted" not in done.out


@pytest.mark.one_backend
def test_ink_on_paper_is_inverted_unless_told_otherwise(
    convsmith: Command, model: Path, tmp_path: Path
) -> None:
    ink = save_bar_image(tmp_path / "ink.png", 1, ink=True)
    done = convsmith("predict", model, ink)
    assert answers(done.out) == ["1"]
    assert "(inverted)" in done.out
    assert "(inverted)" not in convsmith("predict", model, ink, "--invert", "no").out
    light = save_bar_image(tmp_path / "light.png", 1)
    assert "(inverted)" in convsmith("predict", model, light, "--invert", "yes").out


@pytest.mark.one_backend
def test_refusals(refused: Refused, model: Path, tmp_path: Path) -> None:
    image = save_bar_image(tmp_path / "a.png", 0)
    text = tmp_path / "notes.png"
    text.write_text("hello")
    assert "notes.png: is not an image" in refused("predict", model, image, text)
    assert "gone.png: there is no such file" in refused("predict", model, tmp_path / "gone.png")
    assert "gone.keras: there is no such file" in refused("predict", tmp_path / "gone.keras", image)
    assert "notes.png: not a model file" in refused("predict", text, image)
    (tmp_path / "half.keras").write_bytes(model.read_bytes()[:5000])
    assert "corrupt or incomplete" in refused("predict", tmp_path / "half.keras", image)
    assert "Missing argument 'image'" in refused("predict", model).replace("IMAGE...", "image")


@pytest.mark.one_backend
def test_a_model_that_does_not_take_images(refused: Refused, tmp_path: Path) -> None:
    image = save_bar_image(tmp_path / "a.png", 0)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    found = refused("predict", tmp_path / "m.keras", image)
    assert "m.keras: not an image classifier; expected input (None, height" in found

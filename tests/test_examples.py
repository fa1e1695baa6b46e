"""Every example runs, draws a picture, and holds what it is there to show."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import convsmith as cs

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an example by name, check its picture, and return its names and what main returned."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def quickly(name: str) -> tuple[dict[str, Any], Any]:
        names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
        found = names["main"](["--quick", "--out", str(tmp_path / "out")])
        assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{name}.png"]
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) > 100
        assert pixels.std() > 10
        return names, found

    return quickly


def test_every_example_is_tested_and_listed() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")} - {"common"}
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert scripts <= tested
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.py`" in readme for name in scripts)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme)
    assert len(pictures) == len(scripts)
    assert all((EXAMPLES / picture).exists() for picture in pictures)


def test_edges(run: Any) -> None:
    names, model = run("edges")
    layer = model.get_layer("edges")
    assert not layer.trainable_weights
    bank = np.stack([cs.kernels.get(name) for name in names["FILTERS"]], axis=-1)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.kernel).squeeze(), bank)
    keras.utils.set_random_seed(0)
    untrained = names["build"](with_edges=True).get_layer("lens").get_weights()[0]
    moved = np.abs(model.get_layer("lens").get_weights()[0] - untrained)
    assert moved.min() > 1e-4


def test_residual_block(run: Any) -> None:
    names, losses = run("residual_block")
    assert len(losses) == 2
    assert all(len(found) == 1 and np.isfinite(found[0]) for found in losses.values())
    images, labels = names["shapes"](200, 0)
    again, _ = names["shapes"](200, 0)
    np.testing.assert_array_equal(images, again)
    # Of disk, ring, square and cross, the second and the last cover less.
    covered = [(images[labels == kind].mean(axis=-1) > 0).mean() for kind in range(4)]
    assert max(covered[1], covered[3]) < 0.8 * min(covered[0], covered[2])


def test_pixelcnn(run: Any) -> None:
    names, (model, samples) = run("pixelcnn")
    side = names["SIDE"]
    assert samples.shape == (16, side, side, 1)
    assert set(np.unique(samples)) == {0.0, 1.0}
    # A pixel changes the logits behind it only.
    before = model.predict_on_batch(samples)
    row, column = 6, 7
    samples[:, row, column] = 1 - samples[:, row, column]
    changed = np.abs(model.predict_on_batch(samples) - before).reshape(16, -1) > 1e-6
    place = row * side + column
    assert not changed[:, : place + 1].any()
    assert changed[:, place + 1 :].any()


def test_hypernetwork(run: Any) -> None:
    names, errors = run("hypernetwork")
    assert set(errors) == set(names["TASKS"])
    assert np.mean(list(errors.values())) < 1  # Better than the mean of the targets.


def test_gabor(run: Any) -> None:
    names, kernels = run("gabor")
    first, trained = kernels["Gabor, at first"], kernels["Gabor, trained"]
    assert np.abs(trained - first).max(axis=(0, 1)).min() > 1e-4
    front = names["build"](cs.layers.GaborConv2D).get_layer("front")
    assert front.count_params() == 7 * names["FILTERS"]  # Six, and the bias.


def test_panorama(run: Any) -> None:
    _, errors = run("panorama")
    assert errors["wrap"] < 1e-5
    assert errors["zeros"] > 1e-2


@pytest.mark.one_backend
def test_deploy(run: Any, tmp_path: Path) -> None:
    _, (before, found) = run("deploy")
    assert before > 0.5
    assert found["ONNX, float32"] == found["LiteRT, float32"] == before
    assert min(found.values()) > before - 0.02
    assert len(list((tmp_path / "deploy").iterdir())) == len(found) == 6


def test_bad_epochs_are_refused(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(EXAMPLES / "edges.py"))["main"]
    with pytest.raises(SystemExit):
        main(["--epochs", "0"])
    assert "0 is too few; expected 1 or more" in capsys.readouterr().err

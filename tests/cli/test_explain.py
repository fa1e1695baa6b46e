"""`convsmith explain`: models, patterns, pages and pictures, and files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from PIL import Image

import convsmith as cs

Command = Callable[..., Any]
L: Any = keras.layers


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            cs.layers.Conv2D(8, 3, strides=2, padding="same", padding_mode="reflect", name="first"),
            # Of fewer channels, TensorFlow's own gradient breaks memory on some processors.
            L.Conv2D(2, 1, strides=2, name="second"),
        ],
        name="small",
    )
    path = tmp_path / "model.keras"
    model.save(path)
    return path


def test_a_model(convsmith: Command, model_file: Path) -> None:
    done = convsmith("explain", model_file)
    assert (done.code, done.err) == (0, "")
    for text in (
        "small: input ? x ? x ? x 3",
        "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o   (first, second)",
        "skipped inputs (second): along h and w a stride of 2",
    ):
        assert text in done.out, text


def test_json_page_and_picture(convsmith: Command, model_file: Path, tmp_path: Path) -> None:
    page, plot = tmp_path / "page.html", tmp_path / "plot.png"
    asked = ("--input-shape", "1,16,12,3", "--json", "--html", page, "--plot", plot)
    done = convsmith("explain", model_file, *asked)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["total"]["macs"] == 8 * 6 * 27 * 8 + 4 * 3 * 8 * 2
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with Image.open(plot) as image:
        assert image.size[0] > 1000
    assert {p.name for p in tmp_path.iterdir()} == {"model.keras", "page.html", "plot.png"}


def test_one_layer_with_effective_fields(convsmith: Command, model_file: Path) -> None:
    done = convsmith(
        "explain", model_file, "--layer", "first", "--input-shape", "1x16x12x3", "--effective"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("layer     first (Conv2D)\n")
    assert "3 of 16, stride 2, offset 0; effective 3" in done.out


def test_a_pattern(convsmith: Command) -> None:
    pattern = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
    done = convsmith("explain", pattern, "--shape", "8,32,32,3", "--shape", "3,3,3,16")
    assert (done.code, done.err) == (0, "")
    assert "h: floor((32 + 0 + 0 - 1*(3 - 1) - 1) / 1) + 1 = 30" in done.out
    assert "3.11 M" in done.out


def test_what_is_refused(refused: Callable[..., str], model_file: Path, tmp_path: Path) -> None:
    assert "there is no such file" in refused("explain", tmp_path / "none.keras")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(model_file.read_bytes()[:500])
    assert "corrupt or incomplete" in refused("explain", broken)
    other = tmp_path / "other.txt"
    other.write_text("text")
    assert "not a model file" in refused("explain", other)
    assert "isn't what the model takes" in refused(
        "explain", model_file, "--input-shape", "1,8,8,4"
    )
    assert "'a' is no size" in refused("explain", model_file, "--input-shape", "1,a,8,3")
    assert "names no layer" in refused("explain", model_file, "--layer", "third")
    assert "--shape for each operand" in refused("explain", "b h -> b")
    assert "Received" in refused(
        "explain", "b (h+kh), kh -> b h", "--shape", "1,8,3", "--shape", "3"
    )
    lambda_file = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((3,)), L.Lambda(lambda x: x + 1)]).save(lambda_file)
    assert "Lambda" in refused("explain", lambda_file)

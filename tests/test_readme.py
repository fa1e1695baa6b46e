"""Every Python example of the README runs as written, in the order in which it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

import convsmith as cs

README = Path(__file__).parent.parent / "README.md"


def examples() -> dict[str, Any]:
    """Run all examples in one namespace, and return it."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile("\n".join(blocks), str(README), "exec"), names)
    return names


def test_the_examples_run(capsys: Any) -> None:
    names = examples()
    text = capsys.readouterr().out
    assert "(8, 32, 32, 6)" in text
    assert ": chosen, estimated" in text
    assert names["model"].output_shape == (None, 10)
    assert names["weights"].shape == (5, 5, 3, 6)
    shapes = {
        "dense": (8, 16, 16, 16),
        "up": (8, 64, 64, 16),
        "grouped": (8, 30, 30, 8),
        "depthwise": (8, 30, 30, 6),
        "per_sample": (8, 30, 30, 4),
        "per_pixel": (8, 30, 30, 6),
        "dilation": (8, 30, 30, 6),
    }
    assert {name: tuple(names[name].shape) for name in shapes} == shapes


def test_the_four_lines_are_weight_standardisation() -> None:
    layer = examples()["StandardizedConv2D"](4, 3, strides=2, padding="same", activation="relu")
    ours = cs.layers.StandardizedConv2D(4, 3, strides=2, padding="same", activation="relu")
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 3)).astype("float32")
    layer.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(layer.get_weights())
    found, expected = (keras.ops.convert_to_numpy(each(x)) for each in (layer, ours))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).exists() for picture in pictures)

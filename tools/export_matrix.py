"""Which features of convsmith can be exported to which formats: the table that the tests run.

Each cell is a small model, exported for `tests/models/test_export_matrix.py`, whose result must be
what is recorded here. `python -m tools.export_matrix` writes the table into docs/export.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from convsmith import layers, transforms
from convsmith.files import write_text
from convsmith.models.formats import FORMATS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "export.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
SHAPE = (12, 14, 3)


def _stack(*several: Any, shape: tuple[int | None, ...] = SHAPE) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *several])


def _dynamic() -> keras.Model:
    images, kernels = keras.Input(SHAPE), keras.Input((3, 3, 3, 4))
    outputs = layers.DynamicConv2D(padding="same")([images, kernels])
    return keras.Model([images, kernels], outputs)


def _with_lora() -> keras.Model:
    conv = layers.Conv2D(4, 3)
    model = _stack(conv)
    conv.enable_lora(2)
    conv.lora_kernel_b.assign(np.ones(conv.lora_kernel_b.shape))
    return model


def _normalized() -> keras.Model:
    model = _stack(layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.ReLU())
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def _colour_bank() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 3, 3, 5))


_MODES = ("reflect", "edge", "wrap", "symmetric")
_CP = "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o"

FEATURES: dict[str, Callable[[], keras.Model]] = {
    "plain convolution": lambda: _stack(layers.Conv2D(4, 3, padding="same", activation="relu")),
    "standardised": lambda: _stack(layers.StandardizedConv2D(4, 3)),
    "kernel transforms": lambda: _stack(
        layers.Conv2D(4, 3, kernel_transform=[transforms.CP(rank=2), "unit_norm"])
    ),
    "fixed kernel, by name": lambda: _stack(layers.FixedConv2D("sobel_x"), shape=(12, 14, 1)),
    "fixed kernel, colour": lambda: _stack(layers.FixedConv2D(_colour_bank(), padding="same")),
    **{
        f"padding mode {mode}": lambda mode=mode: _stack(
            layers.Conv2D(4, 3, padding="same", padding_mode=mode)
        )
        for mode in _MODES
    },
    "strides and dilation": lambda: _stack(
        layers.Conv2D(4, 3, strides=2, dilation_rate=2, padding="same")
    ),
    "groups": lambda: _stack(layers.Conv2D(4, 3, groups=2), shape=(12, 14, 4)),
    "depthwise": lambda: _stack(layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "separable": lambda: _stack(layers.SeparableConv2D(4, 3)),
    "transposed": lambda: _stack(layers.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "kernel per sample": _dynamic,
    "any pattern": lambda: _stack(layers.PatternConv(_CP, kh=3, kw=3, r=4, o=6, bias="o")),
    "1-D, causal": lambda: _stack(layers.Conv1D(4, 3, padding="causal"), shape=(12, 3)),
    "3-D": lambda: _stack(layers.Conv3D(4, 3), shape=(6, 7, 8, 3)),
    "mixed precision": lambda: _stack(layers.Conv2D(4, 3, dtype="mixed_float16")),
    "LoRA": _with_lora,
    "batch norm": _normalized,
    "open image size": lambda: _stack(
        layers.Conv2D(4, 3, padding="same", padding_mode="reflect"),
        keras.layers.GlobalAveragePooling2D(),
        shape=(None, None, 3),
    ),
}
"""Small models that have the feature."""

YES = "yes"
RECORDED: dict[tuple[str, str], str] = {
    **{("mixed precision", name): "in float32" for name in FORMATS if name != "keras"},
    ("kernel per sample", "keras"): "with convsmith",
    ("any pattern", "keras"): "with convsmith",
}
"""What the cells say that don't say yes."""

LEGEND = (
    "`yes`: any batch, and any size of images that the model takes. `in float32`: computed in the "
    "precision of the weights. `with convsmith`: loads where convsmith is installed; all others in "
    "Keras alone."
)


def cells() -> Iterator[tuple[str, str]]:
    """Yield the feature and the format of each cell."""
    return ((feature, name) for feature in FEATURES for name in FORMATS)


def recorded(feature: str, name: str) -> str:
    """Return what the table says."""
    return RECORDED.get((feature, name), YES)


def found(report: Any) -> str:
    """Return what a report says, in the words of the table."""
    said = " ".join(report.notes)
    if "fixed size and batch" in said:
        return "one size and batch"
    if "fixed size" in said:
        return "one size"
    if "convsmith" in said:
        return "with convsmith"
    return "in float32" if "float32" in said else YES


def table() -> str:
    """Return the table in Markdown."""
    lines = ["| |" + " | ".join(FORMATS) + " |", "|---" * (len(FORMATS) + 1) + "|"]
    for feature in FEATURES:
        row = " | ".join(recorded(feature, name) for name in FORMATS)
        lines.append(f"| {feature} | {row} |")
    return "\n".join([*lines, "", LEGEND])


def page(text: str) -> str:
    """Return the page with the table of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
    print(PAGE)

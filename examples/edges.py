"""Fixed edge filters in front of a network that is trained.

Training leaves the filters as they are, but gradients flow through them: the layer before them, a
single kernel that works like a lens, learns as well. The same network without the filters is
trained for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import draw_curves, read_options, save_picture
from convsmith import plots
from convsmith.training import datasets

FILTERS = ("sobel_x", "sobel_y", "laplacian")


def build(with_edges: bool) -> keras.Model:
    """Return a lens, the filters if wanted, and a linear classifier of what pooling leaves."""
    same = {"padding": "same", "padding_mode": "edge"}
    bank = np.stack([cs.kernels.get(name) for name in FILTERS], axis=-1)  # (3, 3, filters)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            cs.layers.Conv2D(1, 3, use_bias=False, name="lens", **same),
            *([cs.layers.FixedConv2D(bank, name="edges", **same)] if with_edges else []),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(5e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def draw(model: keras.Model, digit: np.ndarray, curves: dict[str, list[float]]) -> Any:
    """Return the picture: a digit on its way through the first layers, and the accuracies."""
    lens, edges = model.get_layer("lens"), model.get_layer("edges")
    seen = lens(digit[None])
    maps = keras.ops.convert_to_numpy(edges(seen))[0]
    figure = plots.new_figure(figsize=(10, 5))
    images, chart = figure.subfigures(1, 2, width_ratios=(3, 2))
    top, bottom = images.subplots(2, len(FILTERS))
    kernel = keras.ops.convert_to_numpy(lens.kernel)[..., 0, 0]
    plots.show_image(top[0], digit[..., 0], "input")
    plots.show_image(top[1], kernel, "the lens, trained", signed=True)
    plots.show_image(top[2], keras.ops.convert_to_numpy(seen)[0, ..., 0], "behind it", signed=True)
    for axes, name, edge_map in zip(bottom, FILTERS, np.moveaxis(maps, -1, 0), strict=True):
        plots.show_image(axes, edge_map, f"{name}, fixed", signed=True)
    draw_curves(chart.subplots(), "Test accuracy", curves)
    return figure


def main(arguments: Sequence[str] | None = None) -> keras.Model:
    """Train with and without the filters, and return the model with them."""
    options = read_options(__doc__, arguments, epochs=8)
    digits = datasets.load("mini")
    count = 500 if options.quick else len(digits.x_train)
    models = {"edges": build(with_edges=True), "no edges": build(with_edges=False)}
    before = models["edges"].get_layer("lens").get_weights()[0]
    curves = {}
    for name, model in models.items():
        history = model.fit(
            digits.x_train[:count],
            digits.y_train[:count],
            batch_size=50,
            epochs=options.epochs,
            validation_data=(digits.x_test, digits.y_test),
            verbose=0,
        )
        curves[name] = history.history["val_accuracy"]
        print(f"{name}: {curves[name][-1]:.1%} of the test digits after {options.epochs} epochs")
    moved = np.abs(models["edges"].get_layer("lens").get_weights()[0] - before).max()
    print(f"the lens before the fixed filters moved by up to {moved:.2f}")
    save_picture(draw(models["edges"], digits.x_test[0], curves), options.out / "edges.png")
    return models["edges"]


if __name__ == "__main__":
    main()

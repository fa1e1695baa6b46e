"""A front end of Gabor filters: kernels of 7x7 that are made of six trained numbers each.

Frequency, direction, phase, width, shape and amplitude are trained, so that a filter stays a wave
under a bell. The same network with free kernels is trained for comparison.

Source: Alekseev & Bobe, "GaborNet", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import draw_curves, read_options, save_picture
from convsmith import plots
from convsmith.training import datasets

FILTERS, SIZE = 16, 7


def build(conv: Callable[..., Any]) -> keras.Model:
    """Return one convolution of this kind, and a linear classifier of what pooling leaves."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            conv(FILTERS, SIZE, padding="same", activation="relu", name="front"),
            keras.layers.MaxPooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def front_kernel(model: keras.Model) -> np.ndarray:
    """Return the kernel of now, (SIZE, SIZE, FILTERS)."""
    return keras.ops.convert_to_numpy(model.get_layer("front").kernel)[:, :, 0]


def draw(kernels: dict[str, np.ndarray], curves: dict[str, list[float]]) -> Any:
    """Return the picture: the kernels, and the accuracies."""
    figure = plots.new_figure(figsize=(13, 4))
    panels = figure.subfigures(1, len(kernels) + 1, width_ratios=[2] * len(kernels) + [3])
    for panel, (name, kernel) in zip(panels, kernels.items(), strict=False):
        panel.suptitle(name, color=plots.INK, fontweight="bold")
        for axes, taps in zip(panel.subplots(4, 4).flat, np.moveaxis(kernel, -1, 0), strict=True):
            plots.show_image(axes, taps, signed=True)
    draw_curves(panels[-1].subplots(), "Test accuracy", curves)
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Train both networks, and return their kernels."""
    options = read_options(__doc__, arguments, epochs=6)
    digits = datasets.load("mini")
    count = 500 if options.quick else len(digits.x_train)
    models = {"Gabor": build(cs.layers.GaborConv2D), "free": build(cs.layers.Conv2D)}
    kernels = {"Gabor, at first": front_kernel(models["Gabor"])}
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
        kernels[f"{name}, trained"] = front_kernel(model)
        numbers = model.get_layer("front").count_params()
        print(f"{name}: {curves[name][-1]:.1%} of the test digits, {numbers} numbers in front")
    save_picture(draw(kernels, curves), options.out / "gabor.png")
    return kernels


if __name__ == "__main__":
    main()

"""A hypernetwork: a small network that makes a convolution kernel for each image.

A vector says what to do to the image: blur, sharpen, shift or find edges, the last two in a
direction. The network sees images before and after, never the kernels that were used, and learns to
make kernels of its own.

Source: Ha, Dai & Le, "HyperNetworks", 2016, arXiv:1609.09106.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import read_options, save_picture
from convsmith import plots
from convsmith.training import datasets

TASKS = ("blur", "sharpen", "shift", "edges")
SIZE = 7


def build() -> keras.Model:
    """Return the model, from images and conditions to images, with a kernel for each in between."""
    image = keras.Input((28, 28, 1), name="image")
    condition = keras.Input((len(TASKS) + 2,), name="condition")
    x = keras.layers.Dense(64, activation="relu")(condition)
    x = keras.layers.Dense(128, activation="relu")(x)
    kernel = keras.layers.Dense(SIZE * SIZE)(x)
    kernel = keras.layers.Reshape((SIZE, SIZE, 1, 1), name="kernel")(kernel)
    result = cs.layers.DynamicConv2D(padding="same")([image, kernel])
    model = keras.Model([image, condition], result)
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="mse")
    return model


def conditions(tasks: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return (count, 6): which task, and the direction as cosine and sine."""
    chosen = np.eye(len(TASKS))[tasks]
    return np.column_stack([chosen, np.cos(angles), np.sin(angles)]).astype("float32")


def true_kernels(tasks: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return the kernels (count, SIZE, SIZE) that the model has to find."""
    down, right = (np.mgrid[:SIZE, :SIZE] - SIZE // 2)[:, None]
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]

    def spot(width: float, distance: float = 0.0) -> np.ndarray:
        """Return weights around a point in the direction of the angle, which sum to 1."""
        squared = (right - distance * cos) ** 2 + (down - distance * sin) ** 2
        weights = np.exp(-squared / (2 * width**2))
        return weights / weights.sum(axis=(1, 2), keepdims=True)

    blur, pixel = spot(1.5), spot(0.1)
    slope = (right * cos + down * sin) * spot(1.0)
    return np.choose(tasks[:, None, None], [blur, 2 * pixel - blur, spot(0.5, 2.0), slope])


def filtered(images: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return each image filtered with its own kernel."""
    pattern = "b (h+kh) (w+kw) c, b kh kw -> b h w c"
    result = cs.conv(pattern, images, kernels.astype("float32"), padding="same")
    return keras.ops.convert_to_numpy(result)


def draw(model: keras.Model, digit: np.ndarray) -> Any:
    """Return the picture: kernels and results, true and learned, a column for each condition."""
    tasks = np.array([0, 1, 2, 2, 3, 3])
    angles = np.radians([0, 0, 0, 135, 0, 60])
    images = np.repeat(digit[None], len(tasks), axis=0)
    inputs = [images, conditions(tasks, angles)]
    makes_kernels = keras.Model(model.inputs, model.get_layer("kernel").output)
    truth = true_kernels(tasks, angles)
    rows = {
        "input": (images, False),
        "true kernel": (truth, True),
        "learned kernel": (makes_kernels.predict_on_batch(inputs), True),
        "target": (filtered(images, truth), True),
        "result": (model.predict_on_batch(inputs), True),
    }
    figure = plots.new_figure(figsize=(8, 7))
    grid = figure.subplots(len(rows), len(tasks))
    for line, (name, (pictures, signed)) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            plots.show_image(axes, picture.reshape(picture.shape[:2]), signed=signed)
        line[0].set_ylabel(name, color=plots.INK)
    for axes, task, angle in zip(grid[0], tasks, angles, strict=True):
        degrees = f" {np.degrees(angle):.0f}°" if task >= TASKS.index("shift") else ""
        axes.set_title(TASKS[task] + degrees, color=plots.INK)
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, and return each task's squared error as a share of the targets' variance."""
    options = read_options(__doc__, arguments, epochs=15)
    dataset = datasets.load("mini")
    rng = np.random.default_rng(options.seed)

    def examples(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tasks = rng.integers(len(TASKS), size=len(images))
        angles = rng.uniform(0, 2 * np.pi, len(images))
        return tasks, conditions(tasks, angles), filtered(images, true_kernels(tasks, angles))

    model = build()
    images = dataset.x_train[: 650 if options.quick else None]
    _, wishes, targets = examples(images)
    model.fit([images, wishes], targets, batch_size=50, epochs=options.epochs, verbose=0)

    tasks, wishes, targets = examples(dataset.x_test)  # other digits, and other directions
    missed = (model.predict([dataset.x_test, wishes], batch_size=50, verbose=0) - targets) ** 2
    errors = {}
    for index, task in enumerate(TASKS):
        own = tasks == index
        errors[task] = float(missed[own].mean() / targets[own].var())
        print(f"{task}: squared error {errors[task]:.2%} of the targets' variance")
    save_picture(draw(model, dataset.x_test[0]), options.out / "hypernetwork.png")
    return errors


if __name__ == "__main__":
    main()

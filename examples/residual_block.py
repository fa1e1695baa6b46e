"""A residual block of standardised convolutions and group norm, trained on two images at a time.

Batch norm estimates mean and variance from the batch, which two images don't allow; group norm
looks at one image, and standardised kernels give it the smooth loss that batch norm is used for.
The same network with plain convolutions and batch norm is trained for comparison, on coloured,
noisy shapes of CIFAR's size.

Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight
Standardization", 2019, arXiv:1903.10520.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import draw_curves, read_options, save_picture
from convsmith import plots

SHAPES = ("disk", "ring", "square", "cross")
BATCH = 2

Make = Callable[..., Any]


def residual_block(x: Any, filters: int, conv: Make, norm: Make) -> Any:
    """Return `x` at half its size, plus what two convolutions make of it."""
    short_cut = norm()(conv(filters, 1, strides=2, use_bias=False)(x))
    x = conv(filters, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.Activation("relu")(norm()(x))
    x = norm()(conv(filters, 3, padding="same", use_bias=False)(x))
    return keras.layers.Activation("relu")(keras.layers.Add()([x, short_cut]))


def build(conv: Make, norm: Make, widths: Sequence[int] = (16, 32)) -> keras.Model:
    """Return a small ResNet of these convolutions and norms, with a block of each width."""
    images = keras.Input((32, 32, 3))
    x = conv(16, 3, strides=2, padding="same", use_bias=False)(images)
    x = keras.layers.Activation("relu")(norm()(x))
    for filters in widths:
        x = residual_block(x, filters, conv, norm)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(len(SHAPES))(x))
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (count, 32, 32, 3) of a shape on darker ground, and labels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    centres = rng.uniform(10, 22, (2, count, 1, 1))
    radius = rng.uniform(6, 9, (count, 1, 1))
    down, right = np.abs(rows - centres[0]), np.abs(columns - centres[1])
    distance = np.hypot(down, right)
    masks = (
        distance < radius,
        (distance < radius) & (distance > 0.6 * radius),
        np.maximum(down, right) < 0.9 * radius,
        (np.maximum(down, right) < radius) & (np.minimum(down, right) < 0.3 * radius),
    )
    labels = rng.integers(len(SHAPES), size=count)
    mask = np.choose(labels[:, None, None], masks)[..., None]
    ground = rng.uniform(-1, 0, (count, 1, 1, 3))
    colour = rng.uniform(0, 1, (count, 1, 1, 3))
    noise = rng.normal(0, 0.15, (count, 32, 32, 3))
    return (np.where(mask, colour, ground) + noise).astype("float32"), labels


def train(
    model: keras.Model, epochs: int, count: int, test: tuple[np.ndarray, np.ndarray], seed: int
) -> tuple[list[float], float]:
    """Train on new images in each epoch; return the test loss after each, and the last accuracy."""
    losses, accuracy = [], 0.0
    for epoch in range(epochs):
        model.fit(*shapes(count, seed + 1 + epoch), batch_size=BATCH, verbose=0)
        loss, accuracy = model.evaluate(*test, batch_size=64, verbose=0)
        losses.append(loss)
    return losses, accuracy


def draw(images: np.ndarray, labels: np.ndarray, losses: dict[str, list[float]]) -> Any:
    """Return the picture: some images, and the losses by epoch."""
    figure = plots.new_figure(figsize=(9, 3.6))
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    for axes, image, label in zip(left.subplots(3, 4).flat, images, labels, strict=False):
        plots.show_image(axes, np.clip((image + 1) / 2, 0, 1), SHAPES[label])
    draw_curves(right.subplots(), f"Test loss, trained in batches of {BATCH}", losses)
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Train both networks, and return the losses of each by epoch."""
    options = read_options(__doc__, arguments, epochs=5)
    count = 32 if options.quick else 320
    test = shapes(count, options.seed)
    group_norm = partial(keras.layers.GroupNormalization, groups=8)
    kinds = {
        "standardised, group norm": (cs.layers.StandardizedConv2D, group_norm),
        "plain, batch norm": (keras.layers.Conv2D, keras.layers.BatchNormalization),
    }
    losses = {}
    for name, (conv, norm) in kinds.items():
        keras.utils.set_random_seed(options.seed)
        model = build(conv, norm, widths=(16,) if options.quick else (16, 32))
        losses[name], accuracy = train(model, options.epochs, count, test, options.seed)
        print(f"{name}: test loss {losses[name][-1]:.3f}, {accuracy:.1%} right")
    save_picture(draw(*test, losses), options.out / "residual_block.png")
    return losses


if __name__ == "__main__":
    main()

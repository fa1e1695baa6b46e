"""PixelCNN: masked convolutions that draw digits, a pixel at a time.

Each pixel's logit depends only on the pixels before it, row by row, so that the product of the
probabilities is that of the whole image, and images can be drawn pixel by pixel.

Source: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from rich.progress import track

import convsmith as cs
from common import draw_curves, read_options, save_picture
from convsmith import plots
from convsmith.training import datasets

SIDE = 14
BLOCKS = 6


def build(filters: int) -> keras.Model:
    """Return the network: one mask "A", which hides the pixel itself, then "B" throughout."""
    images = keras.Input((SIDE, SIDE, 1))
    x = cs.layers.MaskedConv2D(filters, 7, mask="A", padding="same", activation="relu")(images)
    for _ in range(BLOCKS):
        y = cs.layers.MaskedConv2D(filters, 3, mask="B", padding="same", activation="relu")(x)
        x = keras.layers.Add()([x, cs.layers.MaskedConv2D(filters, 1, mask="B")(y)])
    x = keras.layers.Activation("relu")(x)
    model = keras.Model(images, cs.layers.MaskedConv2D(1, 1, mask="B")(x))
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return model


def sample(model: keras.Model, count: int, seed: int) -> np.ndarray:
    """Draw images (count, SIDE, SIDE, 1) of zeros and ones."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, SIDE, SIDE, 1), "float32")
    for row, column in track(list(np.ndindex(SIDE, SIDE)), description="Sampling"):
        logits = model.predict_on_batch(images)[:, row, column, 0]
        images[:, row, column, 0] = rng.random(count) < 1 / (1 + np.exp(-logits))
    return images


def halved(digits: np.ndarray) -> np.ndarray:
    """Return digits at half their size in black and white."""
    sums = cs.conv("b (2h+kh) (2w+kw) c -> b h w c", digits, kh=2, kw=2)
    return (keras.ops.convert_to_numpy(sums) > 4 * 0.4).astype("float32")


def draw(samples: np.ndarray, digits: np.ndarray, bits: list[float], chance: float) -> Any:
    """Return the picture: samples, real digits, and the bits that a pixel takes."""
    figure = plots.new_figure(figsize=(11, 4))
    panels = figure.subfigures(1, 3)
    for panel, name, images in zip(
        panels, ("samples", "real digits"), (samples, digits), strict=False
    ):
        panel.suptitle(name, color=plots.INK, fontweight="bold")
        for axes, image in zip(panel.subplots(4, 4).flat, images, strict=False):
            plots.show_image(axes, image[..., 0])
    curves = {"PixelCNN": bits, "each pixel by itself": [chance] * len(bits)}
    draw_curves(panels[2].subplots(), "Bits for a pixel, test digits", curves)
    return figure


def bits_by_itself(train: np.ndarray, test: np.ndarray) -> float:
    """Return the bits for a pixel if each is drawn from its own mean over the training digits."""
    mean = train.mean(axis=0).clip(1e-3, 1 - 1e-3)
    return float(-np.log2(np.where(test > 0, mean, 1 - mean)).mean())


def main(arguments: Sequence[str] | None = None) -> tuple[keras.Model, np.ndarray]:
    """Train, draw samples, and return the model and the samples."""
    options = read_options(__doc__, arguments, epochs=8)
    dataset = datasets.load("mini")
    train, test = halved(dataset.x_train), halved(dataset.x_test)
    if options.quick:
        train, test = train[:250], test[:50]
    model = build(filters=8 if options.quick else 16)
    history = model.fit(
        train,
        train,
        batch_size=50,
        epochs=options.epochs,
        validation_data=(test, test),
        verbose=0,
    )
    bits = [loss / np.log(2) for loss in history.history["val_loss"]]
    chance = bits_by_itself(train, test)
    print(f"bits for a pixel: {bits[-1]:.3f}; {chance:.3f} if each pixel is drawn by itself")
    samples = sample(model, 16, options.seed)
    save_picture(draw(samples, test, bits, chance), options.out / "pixelcnn.png")
    return model, samples


if __name__ == "__main__":
    main()

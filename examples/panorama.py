"""Panoramas of 360 degrees: columns wrap around, rows end.

The left and the right edge of a panorama are neighbours. With `padding_mode=("edge", "wrap")` a
convolution sees that: turning the panorama turns its output, exactly, and an object that crosses
the seam is found like any other. With zeros there, as usual, the object is cut in two.

The task: mark the wide bars and not the narrow ones. Where the seam cuts a wide bar, each part may
look like a narrow one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import convsmith as cs
from common import read_options, save_picture
from convsmith import plots

HEIGHT, WIDTH = 24, 64
WIDE, NARROW = 12, 7
BAND = 6  # A bar is 4 rows high, and has 6 for itself.


def build(padding_mode: str | tuple[str, str]) -> keras.Model:
    """Return four convolutions, from a panorama to the logit of each pixel."""
    size, same = (3, 7), {"padding": "same", "padding_mode": padding_mode}
    model = keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 1)),
            *(cs.layers.Conv2D(8, size, activation="relu", **same) for _ in range(3)),
            cs.layers.Conv2D(1, size, **same),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(5e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return model


def panoramas(count: int, seed: int, at_seam: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy panoramas (count, HEIGHT, WIDTH, 1) with bars, and where the wide ones are.

    The bars start anywhere, or all where the seam cuts them.
    """
    rng = np.random.default_rng(seed)
    shape = (count, HEIGHT // BAND)
    wide = rng.random(shape) < 0.5
    length = np.where(wide, WIDE, NARROW)
    start = rng.integers(WIDTH, size=shape)
    if at_seam:
        start = WIDTH - rng.integers(1, length)
    along = (np.arange(WIDTH) - start[..., None]) % WIDTH < length[..., None]
    across = (np.arange(BAND) >= 1) & (np.arange(BAND) < BAND - 1)
    bars = (along[:, :, None] & across[:, None]).reshape(count, HEIGHT, WIDTH, 1)
    found = bars & np.repeat(wide, BAND, axis=1)[:, :, None, None]
    noise = rng.normal(0, 0.2, bars.shape)
    return (bars + noise).astype("float32"), found.astype("float32")


def overlap(model: keras.Model, images: np.ndarray, wanted: np.ndarray) -> float:
    """Return what the wanted and the found pixels share, over their union."""
    found = model.predict_on_batch(images) > 0
    return float((found & (wanted > 0)).sum() / (found | (wanted > 0)).sum())


def turned(images: np.ndarray) -> np.ndarray:
    """Return panoramas turned half around."""
    return np.roll(images, WIDTH // 2, axis=2)


def turning_errors(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return how the output of the turned panoramas differs from the turned output."""
    then = model.predict_on_batch(turned(images))
    return np.abs(then - turned(model.predict_on_batch(images)))


def draw(models: dict[str, keras.Model], images: np.ndarray, wanted: np.ndarray) -> Any:
    """Return the picture of the first, turned half around: the seam is in the middle."""
    columns = [{"panorama": images, "wanted": wanted}]
    for name, model in models.items():
        found = keras.ops.sigmoid(model.predict_on_batch(images))
        column = {f"found, {name}": keras.ops.convert_to_numpy(found)}
        errors = turning_errors(model, images)
        column[f"changed by turning, {name}: up to {errors[0].max():.2g}"] = turned(errors)
        columns.append(column)
    figure = plots.new_figure(figsize=(12, 4))
    for line, column in zip(figure.subplots(2, len(columns)).T, columns, strict=True):
        for axes, (name, maps) in zip(line, column.items(), strict=True):
            plots.show_image(axes, turned(maps)[0, ..., 0], name)
            axes.axvline(WIDTH / 2 - 0.5, color=plots.COLOURS[0], ls="--", lw=1.5)
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train with both paddings, and return the largest turning error of each."""
    options = read_options(__doc__, arguments, epochs=10)
    train = panoramas(64 if options.quick else 512, options.seed)
    anywhere = panoramas(64, options.seed + 1)
    at_seam = panoramas(64, options.seed + 2, at_seam=True)
    models, errors = {}, {}
    for name, padding_mode in {"wrap": ("edge", "wrap"), "zeros": "constant"}.items():
        keras.utils.set_random_seed(options.seed)
        models[name] = build(padding_mode)
        models[name].fit(*train, batch_size=16, epochs=options.epochs, verbose=0)
        errors[name] = float(turning_errors(models[name], anywhere[0]).max())
        print(
            f"{name}: overlap {overlap(models[name], *anywhere):.1%} anywhere, "
            f"{overlap(models[name], *at_seam):.1%} at the seam; "
            f"turning changes logits by up to {errors[name]:.1e}"
        )
    save_picture(draw(models, *at_seam), options.out / "panorama.png")
    return errors


if __name__ == "__main__":
    main()

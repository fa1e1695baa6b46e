"""The pictures that are compared with those in `plots/baseline`, each from fixed numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convsmith import geometry, images, plots


def numbers(*shape: int) -> np.ndarray:
    """The same on every machine: no generator whose stream could change."""
    return np.sin(np.arange(np.prod(shape)) ** 1.5).reshape(shape)


def photo() -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    return (127 + 80 * np.sin(columns / 5) + 40 * np.cos((rows + columns) / 3)).astype("uint8")


def kernel() -> Any:
    return plots.plot_kernel("sobel_x").figure


def kernel_of_fractions() -> Any:
    return plots.plot_kernel("gaussian(sigma=0.8, size=5)").figure


def structuring_element() -> Any:
    return plots.plot_kernel("structuring_disk(radius=2)").figure


def bank() -> Any:
    return plots.plot_bank("robinson", columns=4)


def volume() -> Any:
    return plots.plot_bank({"sobel_z": "sobel_z", "laplacian": "laplacian"}, ndim=3)


def response() -> Any:
    return plots.plot_frequency_response("gabor(wavelength_pixels=4)").figure


def response_of_lines() -> Any:
    lines = np.stack([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0], [-0.5, 0.0, 0.5]], axis=-1)
    return plots.plot_frequency_response(lines, ndim=1, title="three lines").figure


def before_after() -> Any:
    image = photo()
    blurred = images.gaussian_blur(image, 2.0)
    return plots.plot_before_after(image, blurred, difference=True)


def receptive_field() -> Any:
    field = geometry.receptive_field([(3, 2, 1, 1), (3, 1, 2, 2), (3, 1, 1, 1)])
    rows, columns = np.mgrid[:48, :64]
    heat = np.exp(-((rows - 24) ** 2 + (columns - 32) ** 2) / 18)
    return plots.plot_receptive_field(photo(), field, output=(12, 16), heat=heat).figure


def receptive_field_in_the_padding() -> Any:
    return plots.plot_receptive_field(photo(), (15, 4, -7), output=(0, 1)).figure


def composed() -> Any:
    figure = plots.new_figure(figsize=(6, 2.4))
    left, right = figure.subplots(1, 2)
    plots.plot_kernel("scharr_x", left)
    plots.plot_frequency_response("scharr_x", right)
    return figure


PICTURES: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        kernel,
        kernel_of_fractions,
        structuring_element,
        bank,
        volume,
        response,
        response_of_lines,
        before_after,
        receptive_field,
        receptive_field_in_the_padding,
        composed,
    )
}

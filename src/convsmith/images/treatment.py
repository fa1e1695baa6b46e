"""What is done to pictures besides filtering: grey before, absolute values after, and the dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, compose
from convsmith.images.conventions import convention
from convsmith.images.filtering import filter as filter_image
from convsmith.images.portable import converted
from convsmith.images.program import LIMITS, WIDE
from convsmith.images.requests import checked_kernel, checked_target

Array = NDArray[Any]

GRAY_WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601), as in Pillow and OpenCV."""


@dataclass(frozen=True)
class Treatment:
    """A kernel, the options of `convsmith.images.filter`, and what comes before and after it."""

    kernel: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    """Without `dtype`, `axes` and `workers`."""
    gray: bool = False
    magnitude: bool = False
    """Whether the filters of a bank become one: the root of the sum of their squares."""
    absolute: bool = False
    dtype: str | None = None
    """Of the result; the image's by default."""

    def target(self, source: Any) -> str:
        """Return the dtype of the result.

        Raises:
            DtypeError: one that no result can have.
        """
        return checked_target(self.dtype, np.empty(0, source))

    def summed(self, source: Any) -> str:
        """Return the dtype in which filtered values are kept until they are finished."""
        target = self.target(source)
        if not (self.magnitude or self.absolute or self._unit):
            return target
        return "float64" if np.dtype(source).name in WIDE or target in WIDE else "float32"

    def finished(self, values: Array, source: Any, bank: bool) -> Array:
        """Return filtered values as the result; what is done to one is done to all."""
        target = self.target(source)
        if self.magnitude and bank:
            # One after the other: a sum over an axis depends on how long the other axes are.
            total = np.abs(values[..., 0]) ** 2
            for index in range(1, values.shape[-1]):
                total = total + np.abs(values[..., index]) ** 2
            values = np.sqrt(total)
        elif self.magnitude or self.absolute:
            values = np.abs(values)
        if self._unit and target in LIMITS:
            values = values * LIMITS[target][1]
        if values.dtype.kind == "c" or values.dtype == target:
            return values
        return converted(values, target, "even")

    def applied(self, image: Array, axes: Any = None, workers: int | None = None) -> Array:
        """Return an image in memory, filtered and finished."""
        source = image.dtype
        values = filter_image(
            image, self.kernel, axes=axes, dtype=self.summed(source), workers=workers,
            **self.options,
        )  # fmt: skip
        return self.finished(values, source, bank=values.ndim > image.ndim)

    @property
    def _unit(self) -> bool:
        return convention(self.options.get("convention")).unit

    def loses_signs(self, source: Any) -> bool:
        """Whether about half of the results will be cut off: slopes in an unsigned dtype."""
        target = self.target(source)
        if target not in LIMITS or LIMITS[target][0] < 0 or self.magnitude or self.absolute:
            return False
        several = self.kernel if isinstance(self.kernel, list) else [self.kernel]
        arrays = [checked_kernel(each, _rank(each)) for each in several]
        return all(abs(a.sum()) <= 1e-9 * np.abs(a).sum() for a in arrays)


def _rank(kernel: Any) -> int:
    return 2 if isinstance(kernel, str) else np.ndim(kernel)


def gray_of(colours: Array, axis: int) -> Array:
    """Return the grey levels of red, green and blue; a fourth sample (alpha) stays beside them.

    Args:
        colours: with 3 or 4 samples along an axis.
        axis: which goes, or is of two samples where there is an alpha.

    Raises:
        ArgumentError: another number of samples.
    """
    if colours.shape[axis] not in (3, 4):
        raise ArgumentError(
            compose(
                "gray",
                f"needs red, green and blue, and there are {colours.shape[axis]} samples",
                expected="3 samples, or 4 with an alpha",
                fix="leave it out",
            ),
            argument="gray",
            value=colours.shape,
        )
    work = np.float64 if colours.dtype.name in WIDE else np.float32
    total = np.zeros((), work)
    for sample, weight in enumerate(GRAY_WEIGHTS):
        total = total + np.take(colours, sample, axis) * work(weight)
    gray = converted(np.asarray(total), colours.dtype.name, "even")
    if colours.shape[axis] == 3:
        return gray
    return np.stack([gray, np.take(colours, 3, axis)], axis)

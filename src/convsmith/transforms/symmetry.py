"""Kernels that stay the same when they are mirrored or turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.precision import widely

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

TURNS = {"rot90": 4, "rot180": 2}


@keras.saving.register_keras_serializable(package="convsmith")
class Symmetric(KernelTransform):
    """Average a kernel over its mirror images, or over its turned ones.

    Equation: ``y = mean of g(k)`` over all g of the group: flips along each of `axes` and their
    products, or turns by 90 or 180 degrees in the plane of the first two spatial axes. A kernel
    that is symmetric already stays the same.

    Args:
        symmetry: spatial axes to mirror along, such as ``(0,)`` (up and down), ``(1,)``, ``(0,
            1)``; or ``"rot90"``, ``"rot180"``, or ``"all"`` for turns and flips together.

    Raises:
        ArgumentError: another symmetry.
        KernelError: in a call, a kernel without those axes, or one that isn't square.

    Example:
        >>> keras.ops.convert_to_numpy(Symmetric((0,))([[[1.0]], [[3.0]]]))[:, 0, 0].tolist()
        [2.0, 2.0]

    Source: Dieleman, De Fauw & Kavukcuoglu, "Exploiting Cyclic Symmetry in Convolutional Neural
    Networks", 2016.
    """

    def __init__(self, symmetry: str | Sequence[int] = (0, 1)) -> None:
        named = isinstance(symmetry, str)
        axes = () if named else tuple(symmetry)
        good = symmetry in (*TURNS, "all") if named else bool(axes)
        whole = all(isinstance(a, int) and not isinstance(a, bool) and a >= 0 for a in axes)
        if not good or not whole or len(set(axes)) != len(axes):
            raise ArgumentError(
                compose(
                    f"Symmetric: symmetry={symmetry!r}",
                    "is no symmetry",
                    expected="different spatial axes, 'rot90', 'rot180' or 'all'",
                    fix="symmetry=(0, 1)",
                ),
                argument="symmetry",
                value=symmetry,
            )
        self.symmetry: str | tuple[int, ...] = str(symmetry) if named else axes

    def __call__(self, kernel: Any) -> Any:
        """Return the symmetric kernel."""
        shape = tuple(ops.convert_to_tensor(kernel).shape)
        rank = len(shape) - 2
        turned = isinstance(self.symmetry, str)
        axes = (0, 1) if turned else self.symmetry
        square = self.symmetry == "rot180" or not turned or (rank >= 2 and shape[0] == shape[1])
        if max(axes) >= rank or not square:  # type: ignore[type-var]
            raise KernelError(
                compose(
                    f"Symmetric: kernel of shape {shape}",
                    f"has no symmetry {self.symmetry!r}",
                    expected="a square kernel of rank 2 or more" if turned else "more axes",
                    fix="symmetry=(0,)",
                ),
                argument="kernel",
                value=shape,
            )
        return widely("Symmetric", kernel, self._averaged)

    def _averaged(self, wide: Any) -> Any:
        if isinstance(self.symmetry, str):
            turns = TURNS.get(self.symmetry, 4)
            wide = sum(_turned(wide, i * (4 // turns)) for i in range(turns)) / turns
            flips: tuple[int, ...] = (0,) if self.symmetry == "all" else ()
        else:
            flips = self.symmetry
        for axis in flips:
            wide = (wide + ops.flip(wide, axis=axis)) / 2
        return wide

    def get_config(self) -> dict[str, Any]:
        """Return the symmetry."""
        return {"symmetry": self.symmetry}


def _turned(kernel: Any, quarters: int) -> Any:
    """Return a kernel turned in the plane of its first two axes."""
    for _ in range(quarters):
        kernel = ops.flip(ops.swapaxes(kernel, 0, 1), axis=0)
    return kernel

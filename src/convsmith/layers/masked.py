"""Convolutions with a masked kernel, and with a central difference."""

from __future__ import annotations

from typing import Any

import keras

from convsmith import transforms
from convsmith.errors import ArgumentError, compose
from convsmith.layers.conv import Conv2D
from convsmith.layers.own_transform import OwnTransform


@keras.saving.register_keras_serializable(package="convsmith")
class MaskedConv2D(OwnTransform, Conv2D):
    """`Conv2D` with taps that are always 0: PixelCNN's masks, or any array.

    Equation: ``y = activation(conv(x, mask * kernel) + bias)``.

    Args: those of `Conv2D`, and

        mask: ``"A"`` or ``"B"`` (`convsmith.transforms.CausalMask`), or an array as
            `convsmith.transforms.Mask` takes.
        mask_groups: into how many groups channels are split, for ``"A"`` and ``"B"``; 3 for red,
            green, blue.
        kernel_transform: comes before the mask.

    Shapes and Raises: as `Conv2D`, and

    Raises:
        ArgumentError: another mask.
        KernelError: a mask that doesn't fit the kernel.

    Example:
        >>> layer = MaskedConv2D(4, 3, mask="A", padding="same")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 1))).shape)
        (2, 8, 8, 4)

    Source: as `convsmith.transforms.CausalMask`.
    """

    def __init__(self, *args: Any, mask: Any = "B", mask_groups: int = 1, **kwargs: Any) -> None:
        causal = isinstance(mask, str)
        if mask_groups != 1 and not causal:
            raise ArgumentError(
                compose(
                    f"MaskedConv2D: mask_groups={mask_groups!r}",
                    "goes with mask 'A' or 'B' only",
                    expected="1",
                    fix="a mask of shape (*kernel_size, in, filters)",
                ),
                argument="mask_groups",
                value=mask_groups,
            )
        own = transforms.CausalMask(mask, mask_groups) if causal else transforms.Mask(mask)
        super().__init__(*args, own=own, **kwargs)
        self.mask_groups = mask_groups
        self._mask = own

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = self._mask.get_config()
        mask = config.get("kind", config.get("mask"))
        return {**super().get_config(), "mask": mask, "mask_groups": self.mask_groups}


@keras.saving.register_keras_serializable(package="convsmith")
class CentralDifferenceConv2D(OwnTransform, Conv2D):
    """`Conv2D` that mixes values with differences to the pixel in the middle.

    Equation: ``y = activation(conv(x, kernel) - theta * x * sum(kernel) + bias)``.

    Args: those of `Conv2D`, and

        theta: how much the differences count, from 0 (plain) to 1.
        kernel_transform: comes before the difference.

    Shapes and Raises: as `Conv2D`, and

    Raises:
        ArgumentError: `theta` isn't a finite number.
        KernelError: a kernel of even size.

    Example:
        >>> layer = CentralDifferenceConv2D(4, 3, theta=1.0)
        >>> bool(keras.ops.all(keras.ops.abs(layer(keras.ops.ones((1, 5, 5, 2)))) < 1e-5))
        True

    Source: as `convsmith.transforms.CentralDifference`.
    """

    def __init__(self, *args: Any, theta: float = 0.7, **kwargs: Any) -> None:
        own = transforms.CentralDifference(theta)
        super().__init__(*args, own=own, **kwargs)
        self.theta = own.theta

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "theta": self.theta}

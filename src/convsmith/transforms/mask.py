"""Masks: taps of a kernel that are always 0."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.base import KernelTransform

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


def _mask_error(mask: tuple[int, ...], kernel: tuple[int, ...]) -> KernelError:
    spatial = kernel[:-2]
    return KernelError(
        compose(
            f"Mask: mask of shape {mask}",
            f"doesn't fit a kernel of shape {kernel}",
            expected=f"{spatial} for all channels alike, or {kernel}, or with 1 for axes alike",
            fix="numpy.moveaxis, or a mask of the kernel's spatial shape",
        ),
        argument="mask",
        value=mask,
    )


@keras.saving.register_keras_serializable(package="convsmith")
class Mask(KernelTransform):
    """Multiply the kernel by an array, of zeros and ones as a rule.

    Equation: ``y = mask * k``; of ones, the identity.

    Args:
        mask: of the kernel's spatial shape, or of its whole shape ``(*kernel_size, in, out)``; axes
            of size 1 are repeated.

    Raises:
        ArgumentError: the mask isn't an array of finite numbers.
        KernelError: in a call, the mask doesn't fit the kernel.

    Example:
        >>> mask = Mask([[1, 0], [1, 1]])
        >>> keras.ops.convert_to_numpy(mask(keras.ops.ones((2, 2, 1, 1))))[..., 0, 0].tolist()
        [[1.0, 0.0], [1.0, 1.0]]

    Source: none.
    """

    def __init__(self, mask: Any) -> None:
        try:
            self.mask = np.asarray(mask, "float32")
        except (TypeError, ValueError):
            self.mask = np.full((), np.nan, "float32")
        if self.mask.ndim == 0 or not np.isfinite(self.mask).all():
            raise ArgumentError(
                compose(
                    "Mask: mask",
                    "is no array of finite numbers",
                    expected="an array or nested lists of the kernel's spatial shape",
                    received=f"{type(mask).__name__}",
                    fix="numpy.ones((3, 3))",
                ),
                argument="mask",
                value=mask,
            )

    def __call__(self, kernel: Any) -> Any:
        """Return the masked kernel."""
        kernel = ops.convert_to_tensor(kernel)
        shape = tuple(kernel.shape)
        mask = self.mask
        if mask.ndim == len(shape) - 2:
            mask = mask[..., None, None]
        fits = mask.ndim == len(shape) and all(
            m in (1, n) for m, n in zip(mask.shape, shape, strict=True)
        )
        if not fits:
            raise _mask_error(self.mask.shape, shape)
        return kernel * ops.cast(ops.convert_to_tensor(mask), kernel.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the mask as nested lists."""
        return {"mask": self.mask.tolist()}


@keras.saving.register_keras_serializable(package="convsmith")
class CausalMask(KernelTransform):
    """Let each position read only those before it, row by row: the masks of PixelCNN.

    Equation: ``y[k, i, o] = k[k, i, o]`` where tap k stands before the centre in row-major order;
    at the centre, where the group of input channel i is below that of output channel o (kind
    ``"A"``) or not above it (``"B"``); else 0. Channels are in `groups` groups, neighbours
    together: 3 for red, green, blue.

    Args:
        kind: ``"A"`` for the first layer, which must not see the pixel itself; ``"B"`` behind it.
        groups: into how many groups channels are split; 1 for grayscale.

    Raises:
        ArgumentError: another kind, or no positive number of groups.
        KernelError: in a call, a kernel of even size, or channels that can't be split.

    Example:
        >>> mask = CausalMask("A")
        >>> keras.ops.convert_to_numpy(mask(keras.ops.ones((3, 3, 1, 1))))[..., 0, 0].tolist()
        [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]

    Source: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016,
    figure 2.
    """

    def __init__(self, kind: str = "B", groups: int = 1) -> None:
        whole = isinstance(groups, int) and not isinstance(groups, bool) and groups >= 1
        if kind not in ("A", "B") or not whole:
            raise ArgumentError(
                compose(
                    f"CausalMask: kind={kind!r}, groups={groups!r}",
                    "is no such mask",
                    expected="kind 'A' or 'B', and at least one group",
                    fix="CausalMask('A', groups=1)",
                ),
                argument="kind",
                value=kind,
            )
        self.kind, self.groups = kind, groups

    def __call__(self, kernel: Any) -> Any:
        """Return the masked kernel."""
        kernel = ops.convert_to_tensor(kernel)
        mask = self.array(tuple(kernel.shape))
        return kernel * ops.cast(ops.convert_to_tensor(mask), kernel.dtype)

    def array(self, shape: tuple[int, ...]) -> Any:
        """Return the mask for a kernel of this shape, zeros and ones in float32."""
        *taps, depth, filters = shape
        if any(n % 2 == 0 for n in taps) or depth % self.groups or filters % self.groups:
            raise KernelError(
                compose(
                    f"CausalMask: kernel of shape {shape}",
                    f"has no centre, or channels that don't split into {self.groups} groups",
                    expected="odd kernel sizes, and multiples of groups as channels",
                    fix="kernel_size=3, groups=1",
                ),
                argument="kernel",
                value=shape,
            )
        count = int(np.prod(taps))
        before = (np.arange(count) < count // 2).reshape(*taps, 1, 1)
        inward = np.arange(depth) // (depth // self.groups)
        outward = np.arange(filters) // (filters // self.groups)
        apart = outward[None, :] - inward[:, None]
        centre = (np.arange(count) == count // 2).reshape(*taps, 1, 1)
        allowed = apart > 0 if self.kind == "A" else apart >= 0
        return (before | (centre & allowed)).astype("float32")

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {"kind": self.kind, "groups": self.groups}

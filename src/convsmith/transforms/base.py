"""What a kernel transform is, and the composition of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras

Transform = Callable[[Any], Any]
"""A pure function from a kernel (spatial..., in, out) to a kernel of the same shape."""


class KernelTransform:
    """A transform with settings that are saved with the layer that uses it.

    Equation: ``y = f(kernel; settings)``. A subclass defines `__call__` and `get_config`, and is
    registered with `keras.saving.register_keras_serializable`. It has no state: what it returns
    depends on the kernel and the settings alone (`TrainedTransform` is for others).

    Example:
        >>> @keras.saving.register_keras_serializable(package="docs")
        ... class Double(KernelTransform):
        ...     def __call__(self, kernel):
        ...         return 2 * kernel
        >>> Double()(3.0)
        6.0

    Source: none.
    """

    def __call__(self, kernel: Any) -> Any:
        """Return the transformed kernel: same shape, same dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, kernel)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the transform that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, KernelTransform):
            return NotImplemented
        return self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(repr(self))


@keras.saving.register_keras_serializable(package="convsmith")
class Compose(KernelTransform):
    """Apply several transforms, the first one first.

    Equation: ``y = f_n(... f_2(f_1(kernel)))``; of none, the identity.

    Args:
        transforms: anything that `transforms.get` takes, in order.

    Raises:
        ArgumentError: an entry is not a transform.

    Example:
        >>> Compose([lambda kernel: kernel + 1, lambda kernel: kernel * 10])(2)
        30

    Source: none.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        # Here, not above: the registry needs this class.
        from convsmith.transforms.registry import require

        self.transforms: tuple[Transform, ...] = tuple(require(entry) for entry in transforms)

    def __call__(self, kernel: Any) -> Any:
        """Return the kernel after all transforms."""
        for transform in self.transforms:
            kernel = transform(kernel)
        return kernel

    def get_config(self) -> dict[str, Any]:
        """Return the transforms in saved form."""
        from convsmith.transforms.registry import serialize

        return {"transforms": [serialize(transform) for transform in self.transforms]}

    def __repr__(self) -> str:
        return f"Compose({list(self.transforms)!r})"

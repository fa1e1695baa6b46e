"""Convolutions that are known by a transform of their own."""

from __future__ import annotations

from typing import Any

from convsmith import transforms
from convsmith.layers.conv import Convolution


class OwnTransform(Convolution):
    """A layer with a transform of its own, which its config names by its settings.

    What the user adds comes before it; behind it, where it makes the whole kernel.
    """

    def __init__(self, *args: Any, own: Any, kernel_transform: Any = None, **kwargs: Any) -> None:
        more = transforms.get(kernel_transform)
        whole: Any = own
        if more is not None:
            makes = transforms.trained.source_of(own) is not None
            whole = transforms.Compose([own, more] if makes else [more, own])
        super().__init__(*args, kernel_transform=whole, **kwargs)
        self._more = more

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "kernel_transform": transforms.serialize(self._more)}

"""How a candidate wants its data: ``"b h w c -> b c h w"``, ``"kh kw i g o -> (g o) i kh kw"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Layout:
    """A rearrangement of axes, both ways: left the workload's own, right the candidate's.

    The left side has plain names; the right side may merge neighbours in parentheses and insert
    axes of size ``1``.
    """

    text: str

    @cached_property
    def _sides(self) -> tuple[list[str], list[list[str]]]:
        left, right = self.text.split("->")
        groups = [part.strip("()").split() for part in re.findall(r"\([^)]*\)|\S+", right)]
        return left.split(), [[] if group == ["1"] else group for group in groups]

    def there(self, x: np.ndarray) -> np.ndarray:
        """Return data of the workload as the candidate wants it."""
        names, groups = self._sides
        sizes = dict(zip(names, x.shape, strict=True))
        y = x.transpose([names.index(n) for group in groups for n in group])
        shape = [int(np.prod([sizes[n] for n in group], dtype=int)) for group in groups]
        return np.ascontiguousarray(y.reshape(shape))

    def back(self, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return data of the candidate as the workload, whose shape is given, has it."""
        names, groups = self._sides
        sizes = dict(zip(names, shape, strict=True))
        order = [n for group in groups for n in group]
        return y.reshape([sizes[n] for n in order]).transpose([order.index(n) for n in names])

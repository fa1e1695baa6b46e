"""What a training run sees of devices; as it stands, one device and no engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np


class Devices:
    """One device. Engines for more of them override what they do otherwise.

    Example:
        >>> Devices().run(lambda devices, reporter: (devices.count, reporter), "seen")
        (1, 'seen')
    """

    count = 1
    """How many devices share each batch."""

    first = True
    """Whether this process is the one that evaluates, reports and writes."""

    alone = True
    """Whether a model that was made in `scope` also works without the engine."""

    def run(self, job: Callable[[Devices, Any], Any], reporter: Any) -> Any:
        """Return ``job(devices, reporter)``, which an engine may run in processes of its own."""
        return job(self, reporter)

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which models are made, loaded and trained."""
        return nullcontext()

    def prepare(self, model: Any) -> None:
        """Make a compiled model train on all devices."""

    def fit(self, model: Any, x: np.ndarray, y: np.ndarray, batch_size: int, **options: Any) -> Any:
        """Train an epoch on batches in the order of `x`; returns Keras's history.

        Up to ``count - 1`` samples at the end are left out, so that all devices have as many.
        """
        end = len(x) - len(x) % batch_size % self.count
        with self.scope():
            return self._fit(model, x[:end], y[:end], batch_size, **options)

    def _fit(
        self, model: Any, x: np.ndarray, y: np.ndarray, batch_size: int, **options: Any
    ) -> Any:
        return model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0, **options)

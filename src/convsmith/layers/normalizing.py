"""The batch normalisation of the branches."""

from __future__ import annotations

from typing import Any

import keras

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class BranchNormalization(keras.layers.BatchNormalization):
    """Keras's, in float64 where the policy says so: Keras's own computes that in float32."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return the normalised inputs; in training, keep their moments."""
        if self.compute_dtype != "float64":
            return super().call(inputs, training=training, mask=mask)
        kept: list[Any] = [self.moving_mean, self.moving_variance]
        mean, variance = map(ops.convert_to_tensor, kept)
        if training and self.trainable:
            mean, variance = ops.moments(inputs, axes=self._reduction_axes)
            for variable, new in zip(kept, (mean, variance), strict=True):
                variable.assign(variable * self.momentum + new * (1.0 - self.momentum))
        scale = 1 / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            scale = scale * self.gamma
        shift = -mean * scale if self.beta is None else self.beta - mean * scale
        along = [1] * len(inputs.shape)
        along[self.axis] = -1
        return inputs * ops.reshape(scale, along) + ops.reshape(shift, along)

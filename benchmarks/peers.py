"""The backends' own best for a kind of work, called as their documentation says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

Call = Callable[..., Any]


def conv(x: Any, kernel: Any) -> Any:
    """Return a "same" 2-D convolution of channels-last data by the bare backend."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.nn.conv2d(x, kernel, 1, "SAME")
    if name == "jax":
        from jax import lax

        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=names)
    import torch.nn.functional as F

    y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), padding="same")
    return y.permute(0, 2, 3, 1)


def depthwise(x: Any, kernel: Any) -> Any:
    """Return a "same" depthwise convolution, one output for each channel."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
    channels = x.shape[-1]
    if name == "jax":
        import jax.numpy as jnp
        from jax import lax

        taps = jnp.swapaxes(kernel, 2, 3)
        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, taps, (1, 1), "SAME", dimension_numbers=names, feature_group_count=channels
        )
    import torch.nn.functional as F

    taps = kernel.permute(2, 3, 0, 1)
    y = F.conv2d(x.permute(0, 3, 1, 2), taps, padding="same", groups=channels)
    return y.permute(0, 2, 3, 1)


PEERS: dict[str, Call] = {"conv": conv, "depthwise": depthwise}

"""Convolutions that are several branches in training and one kernel afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from convsmith.layers.branches import AVERAGE, ONE, ReparameterizedConvolution, Stages


@keras.saving.register_keras_serializable(package="convsmith")
class RepVGGConv2D(ReparameterizedConvolution):
    """A convolution that trains with a 1x1 convolution and the inputs themselves beside it.

    Equation: ``y = activation(BN(conv(x, k)) + BN(conv(x, k1)) + BN(x))``, k1 a single tap in the
    middle of the window; the last term where outputs have the shape of inputs. In inference that
    is one convolution with `effective_kernel` and `effective_bias`, which
    `convsmith.layers.fold` makes of it.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation,
            padding_mode: as in `Conv2D`; there is no `padding_value`, and no ``"renormalize"``.
        kernel_initializer, kernel_regularizer, kernel_constraint: of all kernels, as in Keras.
        momentum, epsilon: of the normalisations, as in `keras.layers.BatchNormalization`.

    Shapes: as `Conv2D`.

    Raises:
        ArgumentError: an argument that no input could make right.
        ShapeError: another number of axes or channels, or a kernel larger than the padded input.

    Example:
        >>> layer = RepVGGConv2D(3, 3, padding="same", activation="relu")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape), len(layer.trainable_weights)
        ((2, 8, 8, 3), 8)

    Source: Ding, Zhang, Ma, Han, Ding & Sun, "RepVGG: Making VGG-style ConvNets Great Again", 2021.
    """

    def branches(self, channels: int) -> Mapping[str, Stages]:
        """Return the convolution, the single tap, and the inputs where they fit."""
        found: dict[str, Stages] = {"full": (self.kernel_size,)}
        if self.kernel_size != ONE:
            found["point"] = (ONE,)
        # With strides of 1 these don't depend on the size.
        fits = max(self.strides) == 1 and channels == self.filters
        if fits and self._pads((None,) * 4, ONE) == ((0, 0), (0, 0)):
            found["identity"] = ()
        return found


@keras.saving.register_keras_serializable(package="convsmith")
class ACConv2D(ReparameterizedConvolution):
    """A convolution that trains with a column and a row of taps beside it.

    Equation: ``y = activation(BN(conv(x, k)) + BN(conv(x, column)) + BN(conv(x, row)))``, column
    ``(size, 1)`` and row ``(1, size)`` in the middle of the window: they strengthen the kernel's
    cross. In inference one convolution, as `RepVGGConv2D`.

    Args, shapes and Raises: as `RepVGGConv2D`.

    Example:
        >>> layer = ACConv2D(4, 3)
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape), len(layer.trainable_weights)
        ((2, 6, 6, 4), 9)

    Source: Ding, Guo, Ding & Han, "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via
    Asymmetric Convolution Blocks", 2019.
    """

    def branches(self, channels: int) -> Mapping[str, Stages]:
        """Return the square, the column and the row."""
        rows, columns = self.kernel_size
        found: dict[str, Stages] = {"square": (self.kernel_size,)}
        if columns > 1:
            found["column"] = ((rows, 1),)
        if rows > 1:
            found["row"] = ((1, columns),)
        return found


@keras.saving.register_keras_serializable(package="convsmith")
class DiverseBranchConv2D(ReparameterizedConvolution):
    """A convolution that trains with three others beside it, two of them of two stages.

    Equation: ``y = activation(BN(conv(x, k)) + BN(conv(x, k1)) + BN(conv(BN(conv(x, k2)), k3)) +
    BN(average(BN(conv(x, k4)))))``: k and k3 of the full size, the others single taps, average
    the mean of a window. Between two stages, what lies beyond the edges is what the first makes
    of it, and the normalisation has no shift, before the average no scale either, which the one
    behind would undo. In inference one convolution, as `RepVGGConv2D`.

    Args, shapes and Raises: as `RepVGGConv2D`.

    Example:
        >>> layer = DiverseBranchConv2D(4, 3, padding="same")
        >>> tuple(layer(keras.ops.ones((2, 8, 8, 3))).shape), len(layer.trainable_weights)
        ((2, 8, 8, 4), 14)

    Source: Ding, Zhang, Han & Ding, "Diverse Branch Block: Building a Convolution as an
    Inception-like Unit", 2021.
    """

    def branches(self, channels: int) -> Mapping[str, Stages]:
        """Return the convolution, the single tap, and the two chains."""
        found: dict[str, Stages] = {"full": (self.kernel_size,)}
        if self.kernel_size != ONE:
            found |= {"point": (ONE,), "deep": (ONE, self.kernel_size), "mean": (ONE, AVERAGE)}
        return found

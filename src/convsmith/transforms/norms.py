"""Weight normalisation, spectral normalisation, and a trained gain."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from convsmith import engine, geometry
from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.precision import at_least, filter_axes
from convsmith.transforms.trained import Shape, TrainedTransform

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

LEAST = 1e-12
"""What norms are kept above: only a kernel of zeros is below."""


def _lengths(kernel: Any) -> Any:
    """Return the Euclidean norm of every filter, with a finite gradient for zeros."""
    squares = ops.sum(ops.square(kernel), axis=filter_axes(kernel))
    return ops.sqrt(at_least(squares, LEAST**2))


@keras.saving.register_keras_serializable(package="convsmith")
class Gain(TrainedTransform):
    """Multiply every filter by a trained number.

    Equation: ``y[..., o] = g[o] * k[..., o]``, g at first 1: the identity.

    Example:
        >>> keras.ops.convert_to_numpy(Gain()([[1.0], [3.0]])).tolist()
        [[1.0], [3.0]]

    Source: the gain of Brock et al., "High-Performance Large-Scale Image Recognition Without
    Normalization", 2021, section 2.
    """

    def build(self, kernel_shape: Shape) -> None:
        """Make the gains."""
        self.gain = self.add_weight(
            name="gain", shape=(kernel_shape[-1],), initializer="ones", dtype=self.variable_dtype
        )

    def call(self, kernel: Any) -> Any:
        """Return the kernel with its gains."""
        return self.gain * kernel


@keras.saving.register_keras_serializable(package="convsmith")
class WeightNorm(TrainedTransform):
    """Train the length of every filter apart from its direction.

    Equation: ``y[..., o] = g[o] * k[..., o] / ||k[..., o]||``, the norm over all axes but the last,
    g at first the norms of the first kernel: the identity.

    Example:
        >>> keras.ops.convert_to_numpy(WeightNorm()([[3.0], [4.0]])).round(3).tolist()
        [[3.0], [4.0]]

    Source: Salimans & Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks", 2016, eq. 2.
    """

    def build(self, kernel_shape: Shape) -> None:
        """Make the lengths."""
        initial = self.initial_kernel

        def lengths(shape: Shape, dtype: Any = None) -> Any:
            return ops.cast(ops.reshape(_lengths(initial()), shape), dtype)

        self.length = self.add_weight(
            name="length",
            shape=(kernel_shape[-1],),
            initializer=lengths,
            dtype=self.variable_dtype,
        )

    def call(self, kernel: Any) -> Any:
        """Return the kernel with the trained lengths."""
        return kernel * (self.length / _lengths(kernel))


@keras.saving.register_keras_serializable(package="convsmith")
class SpectralNorm(TrainedTransform):
    """Divide the kernel by its largest singular value, so that a layer can't stretch its input.

    Equation: ``y = k / s`` with s from power iteration: ``v = A u / ||A u||``, ``u = A' v / ||A'
    v||``, ``s = <v, A u>``, u and v taken for constants by the gradient. A is the kernel as a
    matrix of filters by inputs (the published approximation), or, with `input_size`, the
    convolution itself on an input of that size whose edges meet. u is a state that moves with
    ``training=True`` only; it starts with enough iterations to be near.

    Args:
        iterations: of power iteration in each training call.
        input_size: None, or the sizes of the input for the norm of the convolution; an int for
            all axes alike.

    Raises:
        ArgumentError: no positive number of iterations, or sizes that are none.
        KernelError: when weights are made: sizes of another rank than the kernel's.

    Example:
        >>> kernel = SpectralNorm()(keras.ops.reshape(keras.ops.arange(6.0), (1, 2, 3)))
        >>> bool(abs(np.linalg.norm(keras.ops.convert_to_numpy(kernel)[0], 2) - 1) < 1e-3)
        True

    Source: Miyato, Kataoka, Koyama & Yoshida, "Spectral Normalization for Generative Adversarial
    Networks", 2018, algorithm 1; of the convolution: Gouk, Frank, Pfahringer & Cree,
    "Regularisation of Neural Networks by Enforcing Lipschitz Continuity", 2018, section 4.
    """

    FIRST_ITERATIONS = 30

    def __init__(self, iterations: int = 1, input_size: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.iterations = geometry.integer(iterations, "iterations", minimum=1)
        self.input_size = input_size if input_size is None else _sizes(input_size)

    def build(self, kernel_shape: Shape) -> None:
        """Make the vector of power iteration, by a first few of its steps."""
        *taps, depth, _ = kernel_shape
        if self.input_size is None:
            shape: Shape = (int(np.prod(taps)) * depth, 1)
        else:
            sizes = self._sizes_for(taps)
            shape = (1, *sizes, depth)
        initial, start = self.initial_kernel, np.random.default_rng(0).normal(size=shape)

        def vector(shape: Shape, dtype: Any = None) -> Any:
            kernel = ops.cast(initial(), dtype)
            u = _unit(ops.convert_to_tensor(start, dtype))
            for _ in range(self.FIRST_ITERATIONS):
                u = self._stepped(kernel, u)
            return u

        self.vector = self.add_weight(
            name="vector",
            shape=shape,
            initializer=vector,
            trainable=False,
            dtype=self.variable_dtype,
        )

    def call(self, kernel: Any, training: bool | None = None) -> Any:
        """Return the kernel divided by its norm."""
        u = ops.convert_to_tensor(self.vector)
        constant = ops.stop_gradient(kernel)
        if training:
            for _ in range(self.iterations):
                u = self._stepped(constant, u)
            self.vector.assign(u)
        v = ops.stop_gradient(_unit(self._applied(constant, u)))
        norm = ops.sum(v * self._applied(kernel, u))
        return kernel / at_least(norm, LEAST)

    def _stepped(self, kernel: Any, u: Any) -> Any:
        """Return u after a step of power iteration; as it was, for a kernel of zeros."""
        ahead = self._adjoint(kernel, _unit(self._applied(kernel, u)))
        return ops.where(ops.sum(ops.square(ahead)) > LEAST**2, _unit(ahead), u)

    def _applied(self, kernel: Any, u: Any) -> Any:
        """Return A u."""
        if self.input_size is None:
            return ops.transpose(_matrix(kernel)) @ u
        windows, taps, places, edges = self._circular(kernel)
        return engine.conv(f"b {windows} i, {taps} i o -> b {places} o", u, kernel, **edges)

    def _adjoint(self, kernel: Any, v: Any) -> Any:
        """Return the transpose of A times v."""
        if self.input_size is None:
            return _matrix(kernel) @ v
        windows, taps, places, edges = self._circular(kernel)
        return engine.conv(f"b {places} o, {taps} i o -> b {windows} i", v, kernel, **edges)

    def _circular(self, kernel: Any) -> tuple[str, str, str, dict[str, Any]]:
        rank = len(kernel.shape) - 2
        axes = range(rank)
        return (
            " ".join(f"(x{a}+k{a})" for a in axes),
            " ".join(f"k{a}" for a in axes),
            " ".join(f"x{a}" for a in axes),
            {"padding": "same", "padding_mode": "wrap"},
        )

    def _sizes_for(self, taps: Any) -> Shape:
        sizes = self.input_size
        assert sizes is not None
        if len(sizes) not in (1, len(taps)):
            raise KernelError(
                compose(
                    f"SpectralNorm: input_size={sizes}",
                    f"doesn't fit a kernel of size {tuple(taps)}",
                    expected=f"{len(taps)} sizes, or one for all",
                    fix=f"input_size={sizes[0]}",
                ),
                argument="input_size",
                value=sizes,
            )
        return tuple(sizes) if len(sizes) == len(taps) else tuple(sizes) * len(taps)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        own = {"iterations": self.iterations, "input_size": self.input_size}
        return {**super().get_config(), **own}


def _sizes(value: Any) -> Shape:
    entries = (value,) if isinstance(value, int) else value
    if not isinstance(entries, list | tuple) or not entries:
        raise ArgumentError(
            compose(
                f"SpectralNorm: input_size={value!r}",
                "is no size",
                expected="None, an int, or one int for each spatial axis",
                fix="input_size=32",
            ),
            argument="input_size",
            value=value,
        )
    return tuple(geometry.integer(n, "input_size", minimum=1) for n in entries)


def _matrix(kernel: Any) -> Any:
    """Return the kernel as a matrix of inputs by filters."""
    return ops.reshape(kernel, (-1, kernel.shape[-1]))


def _unit(vector: Any) -> Any:
    return vector * ops.rsqrt(at_least(ops.sum(ops.square(vector)), LEAST**2))

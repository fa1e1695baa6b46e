"""Transforms that fix the mean, the sum or the norm of every filter."""

from __future__ import annotations

from typing import Any

import keras

from convsmith.errors import ArgumentError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.precision import at_least, filter_axes, filter_means, widely

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


def _positive(name: str, epsilon: Any) -> float:
    number = not isinstance(epsilon, bool) and isinstance(epsilon, int | float)
    # Below float32's smallest normal number it would vanish.
    if not number or not 1.2e-38 <= epsilon < float("inf"):
        raise ArgumentError(
            compose(
                f"{name}: epsilon={epsilon!r}",
                "is not a positive finite number",
                expected="a small number such as 1e-8",
                fix="epsilon=1e-8",
            ),
            argument="epsilon",
            value=epsilon,
        )
    return float(epsilon)


@keras.saving.register_keras_serializable(package="convsmith")
class ZeroMean(KernelTransform):
    """Remove the mean of every filter, so that constant inputs give 0.

    Equation: ``y[..., o] = k[..., o] - mean(k[..., o])`` over all axes but the last.

    Example:
        >>> keras.ops.convert_to_numpy(ZeroMean()([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]

    Source: centred weight normalisation, Huang et al., ICCV 2017, without its norm.
    """

    def __call__(self, kernel: Any) -> Any:
        """Return the kernel without its means."""

        def compute(wide: Any) -> Any:
            return wide - filter_means(wide)

        return widely("ZeroMean", kernel, compute)


@keras.saving.register_keras_serializable(package="convsmith")
class UnitSum(KernelTransform):
    """Divide every filter by its sum, so that constant inputs keep their value.

    Equation: ``y[..., o] = k[..., o] / s[o]`` where ``s`` is the sum over all axes but the last,
    kept at least `epsilon` away from 0.

    Args:
        epsilon: the least magnitude of a sum.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.

    Example:
        >>> keras.ops.convert_to_numpy(UnitSum()([[1.0], [3.0]])).tolist()
        [[0.25], [0.75]]

    Source: none; the gain of a low-pass filter.
    """

    def __init__(self, epsilon: float = 1e-8) -> None:
        self.epsilon = _positive("UnitSum", epsilon)

    def __call__(self, kernel: Any) -> Any:
        """Return the kernel divided by its sums."""

        def compute(wide: Any) -> Any:
            total = ops.sum(wide, axis=filter_axes(wide), keepdims=True)
            sign = ops.where(total < 0, -1.0, 1.0)
            return wide / (ops.cast(sign, wide.dtype) * at_least(ops.abs(total), self.epsilon))

        return widely("UnitSum", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return the epsilon."""
        return {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="convsmith")
class UnitNorm(KernelTransform):
    """Divide every filter by its Euclidean norm.

    Equation: ``y[..., o] = k[..., o] / max(||k[..., o]||, epsilon)``, the norm over all axes but
    the last.

    Args:
        epsilon: the least norm.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.

    Example:
        >>> keras.ops.convert_to_numpy(UnitNorm()([[3.0], [4.0]])).round(3).tolist()
        [[0.6000000238418579], [0.800000011920929]]

    Source: Salimans & Kingma, "Weight Normalization", 2016, with gain 1.
    """

    def __init__(self, epsilon: float = 1e-8) -> None:
        self.epsilon = _positive("UnitNorm", epsilon)

    def __call__(self, kernel: Any) -> Any:
        """Return the kernel divided by its norms."""

        def compute(wide: Any) -> Any:
            squares = ops.sum(ops.square(wide), axis=filter_axes(wide), keepdims=True)
            # The gradient of a root at 0 is infinite; the maximum inside is not.
            return wide * ops.rsqrt(at_least(squares, self.epsilon**2))

        return widely("UnitNorm", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return the epsilon."""
        return {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="convsmith")
class Demodulate(KernelTransform):
    """Scale every filter so that inputs of unit variance give outputs of unit variance.

    Equation: ``y[..., o] = k[..., o] / sqrt(sum of k[..., o]**2 + epsilon)``, the sum over all
    axes but the last.

    Args:
        epsilon: added to the sum of squares.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number.

    Example:
        >>> bool(keras.ops.abs(Demodulate()([[3.0], [4.0]])[0, 0] - 0.6) < 1e-6)
        True

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, eq. 3.
    """

    def __init__(self, epsilon: float = 1e-8) -> None:
        self.epsilon = _positive("Demodulate", epsilon)

    def __call__(self, kernel: Any) -> Any:
        """Return the demodulated kernel."""

        def compute(wide: Any) -> Any:
            squares = ops.sum(ops.square(wide), axis=filter_axes(wide), keepdims=True)
            return wide * ops.rsqrt(squares + self.epsilon)

        return widely("Demodulate", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return the epsilon."""
        return {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="convsmith")
class ScaledStandardize(KernelTransform):
    """Standardise every filter and scale it by its fan-in, so that variances stay.

    Equation: ``y[..., o] = gain * (k[..., o] - m[o]) / d[o]`` over N numbers of a filter with mean
    m and biased variance v; ``d = sqrt(max(N v, epsilon))``, or with ``formula="sum"``
    ``d = sqrt(N v + epsilon)``.

    Args:
        gain: of the activation in front, 1 for none; ``sqrt(2 / (1 - 1/pi))`` for ReLU.
        epsilon: see the equation.
        formula: ``"max"``, which the authors' code has, or ``"sum"``, as in `standardize`.

    Raises:
        ArgumentError: `epsilon` isn't a positive finite number, or another formula.

    Example:
        >>> kernel = ScaledStandardize()(keras.random.normal((3, 3, 8, 4)))
        >>> bool(keras.ops.all(keras.ops.abs(keras.ops.sum(kernel**2, (0, 1, 2)) - 1) < 1e-4))
        True

    Source: Brock, De & Smith, "Characterizing Signal Propagation to Close the Performance Gap in
    Unnormalized ResNets", 2021, eq. 3; Brock et al., "High-Performance Large-Scale Image
    Recognition Without Normalization", 2021.
    """

    def __init__(self, gain: float = 1.0, epsilon: float = 1e-4, formula: str = "max") -> None:
        if formula not in ("max", "sum"):
            raise ArgumentError(
                compose(
                    f"ScaledStandardize: formula={formula!r}",
                    "is unknown",
                    expected="'max' or 'sum'",
                    fix="formula='max'",
                ),
                argument="formula",
                value=formula,
            )
        self.gain = float(gain)
        self.epsilon = _positive("ScaledStandardize", epsilon)
        self.formula = formula

    def __call__(self, kernel: Any) -> Any:
        """Return the scaled, standardised kernel."""

        def compute(wide: Any) -> Any:
            centred = wide - filter_means(wide)
            squares = ops.sum(ops.square(centred), axis=filter_axes(wide), keepdims=True)
            least = self.formula == "max"
            divisor = at_least(squares, self.epsilon) if least else squares + self.epsilon
            return self.gain * centred * ops.rsqrt(divisor)

        return widely("ScaledStandardize", kernel, compute)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {"gain": self.gain, "epsilon": self.epsilon, "formula": self.formula}

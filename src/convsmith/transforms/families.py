"""Kernels from a formula with a few numbers, which are what is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, pi
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.transforms.precision import at_least
from convsmith.transforms.trained import KernelSource, Shape

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Array = NDArray[Any]
LEAST = 1e-12
NARROWEST = 1e-3
"""The least sigma, in taps: a filter of one tap, whose formula stays finite."""


class Family(KernelSource):
    """What the families share: an amplitude for each pair of channels, and the middle of the taps.

    A subclass names its numbers and where they start in `starts`, and gives the filters for
    numbers of shape ``(in, out)`` in `filters`.
    """

    def __init__(self, amplitude: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amplitude = bool(amplitude)

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return the first values of the numbers, by name, each ``(..., in, out)``."""
        raise NotImplementedError

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the filters for positions ``(*taps, 1, 1)`` relative to the middle."""
        raise NotImplementedError

    def build(self, kernel_shape: Shape) -> None:
        """Make the numbers, and the amplitudes that keep the initialiser's variance."""
        *taps, depth, filters = kernel_shape
        self._check_taps(tuple(taps))
        self._taps = tuple(taps)
        self.numbers = {
            name: self.add_weight(
                name=name,
                shape=start.shape,
                initializer=_exactly(start),
                dtype=self.variable_dtype,
            )
            for name, start in self.starts(tuple(taps), depth, filters).items()
        }
        self.scale = None
        if self.amplitude:
            initial = self.initial_kernel

            def projected(shape: Shape, dtype: Any = None) -> Any:
                axes = tuple(range(len(taps)))
                shaped = ops.cast(self._filters(), dtype)
                dots = ops.sum(ops.cast(initial(), dtype) * shaped, axis=axes)
                lengths = at_least(ops.sum(ops.square(shaped), axis=axes), LEAST)
                return ops.reshape(np.sqrt(np.prod(taps)) * dots / lengths, shape)

            self.scale = self.add_weight(
                name="amplitude",
                shape=(depth, filters),
                initializer=projected,
                dtype=self.variable_dtype,
            )

    def make(self) -> Any:
        """Return the filters times their amplitudes."""
        filters = self._filters()
        return filters if self.scale is None else self.scale * filters

    def _filters(self) -> Any:
        rank = len(self._taps)
        positions = []
        for axis, count in enumerate(self._taps):
            middle = np.arange(float(count)) - (count - 1) / 2
            shape = [1] * (rank + 2)
            shape[axis] = count
            positions.append(ops.convert_to_tensor(middle.reshape(shape), self.variable_dtype))
        numbers = {name: ops.convert_to_tensor(n) for name, n in self.numbers.items()}
        return self.filters(positions, **numbers)

    def _check_taps(self, taps: Shape) -> None:
        """Refuse kernels that have no such filters."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "amplitude": self.amplitude}


def _exactly(start: Array) -> Callable[..., Any]:
    def initial(shape: Shape, dtype: Any = None) -> Any:
        return ops.convert_to_tensor(start, dtype)

    return initial


def _bell(positions: list[Any], sigmas: list[Any]) -> Any:
    """Return a Gaussian of the positions with sum 1 over the taps."""
    exponent = sum(
        ops.square(x / at_least(ops.abs(s), NARROWEST))
        for x, s in zip(positions, sigmas, strict=True)
    )
    # The nearest tap is at 0 of the exponent: even a narrow bell of an even size has a sum.
    axes = tuple(range(len(positions)))
    exponent = exponent - ops.min(exponent, axis=axes, keepdims=True)
    bell = ops.exp(-exponent / 2)
    return bell / ops.sum(bell, axis=axes, keepdims=True)


@keras.saving.register_keras_serializable(package="convsmith")
class Gaussian(Family):
    """Gaussians whose widths are trained.

    Equation: ``k[t, i, o] = a[i, o] * exp(-sum over axes of t**2 / (2 sigma**2)) / sum over taps``,
    t counted from the middle, sigma ``[axis, i, o]`` in taps. Without amplitude, a blur whose taps
    add up to 1.

    Args:
        sigma: the first width, in taps; None for a quarter of the kernel's size.
        anisotropic: a width for each axis.
        amplitude: train a factor for each pair of channels, which starts so that the variance is
            that of the layer's initialiser.

    Raises:
        ArgumentError: `sigma` isn't a positive finite number.

    Example:
        >>> from convsmith.layers import DepthwiseConv2D
        >>> blur = DepthwiseConv2D(5, kernel_transform=Gaussian(1.0, amplitude=False))
        >>> _ = blur(keras.ops.ones((1, 8, 8, 3)))
        >>> bool(abs(keras.ops.sum(blur.kernel[..., 0, 0]) - 1) < 1e-6)
        True

    Source: Shelhamer, Wang & Darrell, "Blurring the Line Between Structure and Learning to Optimize
    and Adapt Receptive Fields", 2019.
    """

    def __init__(
        self,
        sigma: float | None = None,
        anisotropic: bool = False,
        amplitude: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(amplitude, **kwargs)
        self.sigma = None if sigma is None else _positive("Gaussian", "sigma", sigma)
        self.anisotropic = bool(anisotropic)

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return the widths."""
        widths = [self.sigma or max(n / 4, 0.5) for n in taps]
        if not self.anisotropic:
            widths = [max(widths)]
        return {"sigma": np.tile(np.reshape(widths, (-1, 1, 1)), (1, depth, filters))}

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the bells."""
        return _bell(positions, _by_axis(numbers["sigma"], len(positions)))

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "sigma": self.sigma, "anisotropic": self.anisotropic}


@keras.saving.register_keras_serializable(package="convsmith")
class DifferenceOfGaussians(Family):
    """A narrow Gaussian less a wide one, both widths trained: blobs and edges of one size.

    Equation: ``k[t, i, o] = a[i, o] * (g(t; sigma1) - g(t; sigma2))``, both bells with sum 1, so
    that constant inputs give 0.

    Args:
        sigma: the first width of the narrow one, in taps; None for an eighth of the kernel's size.
        ratio: how many times wider the other one is at first.
        amplitude: as in `Gaussian`.

    Raises:
        ArgumentError: `sigma` or `ratio` isn't a positive finite number, or `ratio` is 1.

    Example:
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(4, 7, kernel_transform=DifferenceOfGaussians())
        >>> bool(keras.ops.all(keras.ops.abs(layer(keras.ops.ones((1, 9, 9, 1)))) < 1e-5))
        True

    Source: Marr & Hildreth, "Theory of Edge Detection", 1980, appendix B.
    """

    def __init__(
        self,
        sigma: float | None = None,
        ratio: float = 1.6,
        amplitude: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(amplitude, **kwargs)
        self.sigma = None if sigma is None else _positive("DifferenceOfGaussians", "sigma", sigma)
        self.ratio = _positive("DifferenceOfGaussians", "ratio", ratio)
        if self.ratio == 1:
            raise ArgumentError(
                compose(
                    "DifferenceOfGaussians: ratio=1",
                    "gives two equal bells, whose difference is 0",
                    expected="another positive number",
                    fix="ratio=1.6",
                ),
                argument="ratio",
                value=ratio,
            )

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return both widths."""
        narrow = self.sigma or max(max(taps) / 8, 0.5)
        return {
            "sigma1": np.full((depth, filters), narrow),
            "sigma2": np.full((depth, filters), narrow * self.ratio),
        }

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the differences."""
        count = len(positions)
        narrow, wide = numbers["sigma1"], numbers["sigma2"]
        return _bell(positions, [narrow] * count) - _bell(positions, [wide] * count)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "sigma": self.sigma, "ratio": self.ratio}


@keras.saving.register_keras_serializable(package="convsmith")
class Gabor(Family):
    """Gabor filters whose frequency, direction, phase, width and shape are trained; 2-D.

    Equation: ``k[y, x, i, o] = a[i, o] * exp(-(u**2 + gamma**2 * v**2) / (2 sigma**2)) *
    cos(frequency * u + psi)`` with ``u = x cos(theta) + y sin(theta)``, ``v = -x sin(theta) + y
    cos(theta)``, x and y counted from the middle, in taps; frequencies in radians a tap.

    Filters start with eight directions, then five frequencies ``pi/2 * 2**(-n/2)`` with sigma
    ``pi / frequency``, then both phases, 0 and pi/2.

    Args:
        amplitude: as in `Gaussian`.

    Raises:
        KernelError: when weights are made: a kernel of another rank than 2.

    Example:
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(8, 7, kernel_transform=Gabor())
        >>> _ = layer(keras.ops.ones((1, 9, 9, 1)))
        >>> tuple(layer.kernel_transform.numbers["theta"].shape)
        (1, 8)

    Source: Alekseev & Bobe, "GaborNet: Gabor filters with learnable parameters in deep
    convolutional neural network", 2019, eq. 1 and section 3.
    """

    DIRECTIONS, FREQUENCIES = 8, 5

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return the numbers of a bank."""
        number = np.tile(np.arange(filters), (depth, 1))
        frequency = pi / 2 * 2.0 ** (-(number // self.DIRECTIONS % self.FREQUENCIES) / 2)
        return {
            "frequency": frequency,
            "theta": pi / self.DIRECTIONS * (number % self.DIRECTIONS),
            "psi": pi / 2 * (number // (self.DIRECTIONS * self.FREQUENCIES) % 2),
            "sigma": pi / frequency,
            "gamma": np.ones((depth, filters)),
        }

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the waves under their bells."""
        y, x = positions
        cosine, sine = ops.cos(numbers["theta"]), ops.sin(numbers["theta"])
        along, across = x * cosine + y * sine, y * cosine - x * sine
        width = at_least(ops.abs(numbers["sigma"]), NARROWEST)
        squares = ops.square(along) + ops.square(numbers["gamma"] * across)
        bell = ops.exp(-squares / (2 * ops.square(width)))
        return bell * ops.cos(numbers["frequency"] * along + numbers["psi"])

    def _check_taps(self, taps: Shape) -> None:
        _check_rank("Gabor", taps, 2)


@keras.saving.register_keras_serializable(package="convsmith")
class Sinc(Family):
    """Band-pass filters whose two cut-off frequencies are trained; 1-D.

    Equation: ``k[t, i, o] = w[t] * (2 f2 sinc(2 f2 t) - 2 f1 sinc(2 f1 t)) / (2 (f2 - f1))``, with
    ``sinc(x) = sin(pi x) / (pi x)``, t in taps from the middle, w a Hamming window, and ``f1 =
    lowest + |low|``, ``f2 = f1 + narrowest + |band|``, in cycles a tap, at most 1/2. Filters start
    with bands that follow each other on the mel scale.

    Args:
        sample_rate: of the signal, in hertz.
        lowest_hertz: the least lower cut-off.
        narrowest_hertz: the least width of a band.
        amplitude: as in `Gaussian`; the published layer has none.

    Raises:
        ArgumentError: frequencies that aren't positive, or that leave no band below half the rate.
        KernelError: when weights are made: a kernel of another rank than 1.

    Example:
        >>> from convsmith.layers import Conv1D
        >>> layer = Conv1D(8, 51, kernel_transform=Sinc(8000))
        >>> tuple(layer(keras.ops.ones((1, 200, 1))).shape)
        (1, 150, 8)

    Source: Ravanelli & Bengio, "Speaker Recognition from Raw Waveform with SincNet", 2018, eq. 4 to
    6.
    """

    def __init__(
        self,
        sample_rate: float = 16_000,
        lowest_hertz: float = 50,
        narrowest_hertz: float = 50,
        amplitude: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(amplitude, **kwargs)
        self.sample_rate = _positive("Sinc", "sample_rate", sample_rate)
        self.lowest_hertz = _positive("Sinc", "lowest_hertz", lowest_hertz)
        self.narrowest_hertz = _positive("Sinc", "narrowest_hertz", narrowest_hertz)
        if self.lowest_hertz + self.narrowest_hertz >= self.sample_rate / 2:
            raise ArgumentError(
                compose(
                    f"Sinc: sample_rate={sample_rate!r}",
                    "leaves no band between the lowest frequency and half of it",
                    expected=f"more than {2 * (self.lowest_hertz + self.narrowest_hertz):g}",
                    fix="sample_rate=16000",
                ),
                argument="sample_rate",
                value=sample_rate,
            )

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return the bands, in cycles a tap."""
        rate, least = self.sample_rate, self.lowest_hertz + self.narrowest_hertz
        mels = np.linspace(_mel(self.lowest_hertz), _mel(rate / 2 - least), filters + 1)
        hertz = 700 * (10 ** (mels / 2595) - 1)
        low = np.maximum(hertz[:-1] - self.lowest_hertz, 0) / rate
        band = np.maximum(np.diff(hertz) - self.narrowest_hertz, 0) / rate
        # At 0 a magnitude has no slope, and would stay.
        return {
            "low": np.tile(np.maximum(low, 1e-4), (depth, 1)),
            "band": np.tile(np.maximum(band, 1e-4), (depth, 1)),
        }

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the filters."""
        (t,) = positions
        count = int(t.shape[0])
        low = self.lowest_hertz / self.sample_rate + ops.abs(numbers["low"])
        least = self.narrowest_hertz / self.sample_rate
        low = ops.clip(low, 0.0, 0.5 - least)
        high = ops.clip(low + least + ops.abs(numbers["band"]), 0.0, 0.5)
        window = ops.convert_to_tensor(np.hamming(count), t.dtype)
        passed = 2 * high * _sinc(2 * high * t) - 2 * low * _sinc(2 * low * t)
        return ops.reshape(window, (count, 1, 1)) * passed / (2 * (high - low))

    def _check_taps(self, taps: Shape) -> None:
        _check_rank("Sinc", taps, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        own = ("sample_rate", "lowest_hertz", "narrowest_hertz")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="convsmith")
class Binomial(Family):
    """Binomial weights whose probability is trained: smoothing that can lean to a side.

    Equation: ``k[t, i, o] = a[i, o] * product over axes of C(n, t) p**t (1-p)**(n-t)``, n the
    kernel's size less 1, t from 0, p ``[axis, i, o]`` in (0, 1), trained as its logit. At p = 1/2,
    where it starts, the rows of Pascal's triangle over 2**n.

    Args:
        amplitude: as in `Gaussian`.

    Example:
        >>> from convsmith.layers import DepthwiseConv1D
        >>> blur = DepthwiseConv1D(3, kernel_transform=Binomial(amplitude=False))
        >>> _ = blur(keras.ops.ones((1, 8, 1)))
        >>> keras.ops.convert_to_numpy(blur.kernel)[:, 0, 0].tolist()
        [0.25, 0.5, 0.25]

    Source: the binomial distribution, as a filter: Marchand & Marmet, "Binomial smoothing filter",
    1983, for p = 1/2.
    """

    def starts(self, taps: Shape, depth: int, filters: int) -> dict[str, Array]:
        """Return logits of 1/2."""
        return {"logit": np.zeros((len(taps), depth, filters))}

    def filters(self, positions: list[Any], **numbers: Any) -> Any:
        """Return the products over the axes."""
        filters: Any = 1.0
        for axis, x in enumerate(positions):
            n = max(x.shape) - 1
            counts = np.cumprod([1.0, *((n - i) / (i + 1) for i in range(n))])
            choices = ops.convert_to_tensor(counts.reshape(x.shape), x.dtype)
            t = x + n / 2
            logit = numbers["logit"][axis]
            # Logarithms: powers of 0 have no gradient.
            chance = t * ops.log_sigmoid(logit) + (n - t) * ops.log_sigmoid(-logit)
            filters = filters * choices * ops.exp(chance)
        return filters


def _by_axis(numbers: Any, rank: int) -> list[Any]:
    """Return one entry for each axis of numbers ``[axes or 1, in, out]``."""
    return [numbers[axis if numbers.shape[0] > 1 else 0] for axis in range(rank)]


def _sinc(x: Any) -> Any:
    safe = ops.where(ops.abs(x) < 1e-6, ops.ones_like(x), x)
    return ops.where(ops.abs(x) < 1e-6, ops.ones_like(x), ops.sin(pi * safe) / (pi * safe))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _check_rank(name: str, taps: Sequence[int], rank: int) -> None:
    if len(taps) != rank:
        raise KernelError(
            compose(
                f"{name}: kernel of size {tuple(taps)}",
                f"has {len(taps)} axes",
                expected=f"{rank}",
                fix=f"cs.layers.Conv{rank}D",
            ),
            argument="kernel_transform",
            value=tuple(taps),
        )


def _positive(name: str, argument: str, value: Any) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not isfinite(value) or value <= 0:
        raise ArgumentError(
            compose(
                f"{name}: {argument}={value!r}",
                "is not a positive finite number",
                expected="a number above 0",
                fix=f"{argument}=1.0",
            ),
            argument=argument,
            value=value,
        )
    return float(value)

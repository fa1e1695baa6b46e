"""Names for transforms, and their saved form."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import keras

from convsmith.errors import ArgumentError, compose
from convsmith.transforms.base import Compose, KernelTransform, Transform
from convsmith.transforms.blur import Blur
from convsmith.transforms.difference import CentralDifference
from convsmith.transforms.families import Binomial, DifferenceOfGaussians, Gabor, Gaussian, Sinc
from convsmith.transforms.filters import (
    Demodulate,
    ScaledStandardize,
    UnitNorm,
    UnitSum,
    ZeroMean,
)
from convsmith.transforms.norms import Gain, SpectralNorm, WeightNorm
from convsmith.transforms.schedules import KernelAverage
from convsmith.transforms.standardization import Standardize
from convsmith.transforms.symmetry import Symmetric

TransformLike = str | Transform | dict[str, Any] | Sequence[Any] | None
"""What `kernel_transform=` takes: a name, an object or function, its saved form, or a list."""

_FACTORIES: dict[str, Callable[[], Transform]] = {
    "binomial": Binomial,
    "blur": Blur,
    "central_difference": CentralDifference,
    "demodulate": Demodulate,
    "difference_of_gaussians": DifferenceOfGaussians,
    "gabor": Gabor,
    "gain": Gain,
    "gaussian": Gaussian,
    "kernel_average": KernelAverage,
    "scaled_standardize": ScaledStandardize,
    "sinc": Sinc,
    "spectral_norm": SpectralNorm,
    "standardize": Standardize,
    "symmetric": Symmetric,
    "unit_norm": UnitNorm,
    "unit_sum": UnitSum,
    "weight_norm": WeightNorm,
    "zero_mean": ZeroMean,
}


def names() -> tuple[str, ...]:
    """Return the registered names, sorted.

    Example:
        >>> "standardize" in names()
        True
    """
    return tuple(sorted(_FACTORIES))


def register(name: str, factory: Callable[[], Transform]) -> None:
    """Give a transform a name, by which `kernel_transform=` knows it from then on.

    Args:
        name: not yet taken.
        factory: called without arguments, returns the transform; a `KernelTransform` class does.

    Raises:
        ArgumentError: the name is taken or isn't text, or the factory can't be called.

    Example:
        >>> register("twice_standardized", lambda: Compose(["standardize", "standardize"]))
        >>> _ = _FACTORIES.pop("twice_standardized")

    Source: none.
    """
    if not isinstance(name, str) or name in _FACTORIES or not callable(factory):
        raise ArgumentError(
            compose(
                f"transforms.register({name!r}, {factory!r})",
                "can't be added",
                expected=f"a name other than {', '.join(map(repr, names()))} and a callable",
                fix="another name",
            ),
            argument="name",
            value=name,
        )
    _FACTORIES[name] = factory


def get(identifier: TransformLike) -> Transform | None:
    """Return the transform that an identifier stands for, None for None.

    Args:
        identifier: a registered name, a `KernelTransform`, a function of the kernel, the saved
            form of one, or a list of these (applied in order).

    Returns:
        A callable ``kernel -> kernel``, or None.

    Raises:
        ArgumentError: an unknown name, a class instead of an object, or no transform at all.

    Example:
        >>> get("standardize")
        Standardize(epsilon=1e-05)

    Source: none.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return _named(identifier)
    if isinstance(identifier, dict):
        return require(keras.saving.deserialize_keras_object(identifier))
    if isinstance(identifier, Sequence):
        return Compose(identifier)
    if isinstance(identifier, type):
        raise ArgumentError(
            compose(
                f"kernel_transform={identifier.__name__}",
                "is a class",
                expected="an object, a function, a name or a list of these",
                fix=f"kernel_transform={identifier.__name__}()",
            ),
            argument="kernel_transform",
            value=identifier,
        )
    if callable(identifier):
        return identifier
    raise ArgumentError(
        compose(
            f"kernel_transform={identifier!r}",
            "is not a transform",
            expected="a name, a function of the kernel, a KernelTransform, or a list of these",
            fix='kernel_transform="standardize"',
        ),
        argument="kernel_transform",
        value=identifier,
    )


def require(identifier: TransformLike) -> Transform:
    """Return what `get` returns, but refuse None, which composes with nothing.

    Raises:
        ArgumentError: as `get`, and for None.
    """
    transform = get(identifier)
    if transform is None:
        raise ArgumentError(
            compose(
                "kernel_transform=None",
                "is not a transform inside a list",
                expected="names, functions or KernelTransform objects",
                fix="leave it out",
            ),
            argument="kernel_transform",
        )
    return transform


def serialize(transform: Transform | None) -> dict[str, Any] | None:
    """Return the saved form of a transform, which `get` reads back.

    Args:
        transform: what `get` returned.

    Returns:
        A dict of plain values, or None for None.

    Raises:
        ArgumentError: a function or object that Keras couldn't find again when loading, such as
            a lambda.

    Example:
        >>> get(serialize(Standardize(epsilon=0.5)))
        Standardize(epsilon=0.5)

    Source: none.
    """
    if transform is None:
        return None
    known = transform if _is_function(transform) else type(transform)
    if keras.saving.get_registered_object(keras.saving.get_registered_name(known)) is None:
        raise ArgumentError(
            compose(
                f"kernel_transform={transform!r}",
                "can't be found again when a model that uses it is loaded",
                expected="one registered with Keras",
                fix="@keras.saving.register_keras_serializable() above its definition "
                "(a lambda needs a def)",
            ),
            argument="kernel_transform",
            value=transform,
        )
    saved = keras.saving.serialize_keras_object(transform)
    assert isinstance(saved, dict)
    return saved


def _is_function(transform: Transform) -> bool:
    known = isinstance(transform, KernelTransform | keras.layers.Layer)
    return not known and hasattr(transform, "__name__")


def _named(name: str) -> Transform:
    factory = _FACTORIES.get(name)
    if factory is not None:
        return factory()
    close = difflib.get_close_matches(name, _FACTORIES, n=1, cutoff=0.4)
    raise ArgumentError(
        compose(
            f"kernel_transform={name!r}",
            "is not a registered transform",
            expected=f"one of {', '.join(map(repr, names()))}",
            fix=f"kernel_transform={close[0]!r}" if close else "transforms.register first",
        ),
        argument="kernel_transform",
        value=name,
    )

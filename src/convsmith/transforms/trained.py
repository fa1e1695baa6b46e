"""Transforms that have weights: numbers that are trained, or a state that training moves."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Self

import keras

from convsmith.errors import ArgumentError, UnsupportedError, compose
from convsmith.lowerings.backend import current
from convsmith.transforms.base import Compose, Transform

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Shape = tuple[int, ...]


class TrainedTransform(keras.layers.Layer):
    """A transform with weights of its own, which are trained and saved with its layer.

    Equation: ``y = f(kernel; settings, weights)``. A subclass defines `call`, `build` and
    `get_config`, as any Keras layer, and is registered with
    `keras.saving.register_keras_serializable`. `build` gets the shape of the kernel,
    ``(*kernel_size, in, out)``; there `initial_kernel` gives the kernel's first value, so that
    weights may start where the transform changes nothing. It computes in float32, or in float64
    where its layer does. A state moves in calls with ``training=True`` only. One object serves
    one layer.

    Raises:
        ArgumentError: a second layer uses the same object.

    Example:
        >>> @keras.saving.register_keras_serializable(package="docs")
        ... class Volume(TrainedTransform):
        ...     def build(self, kernel_shape):
        ...         self.volume = self.add_weight((), "ones", name="volume")
        ...     def call(self, kernel):
        ...         return self.volume * kernel
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(4, 3, kernel_transform=Volume())
        >>> _ = layer(keras.ops.ones((1, 5, 5, 2)))
        >>> [weight.name for weight in layer.weights]
        ['kernel', 'bias', 'volume']

    Source: none.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Rounding to half precision would cost what transforms are for.
        super().__init__(**{"dtype": "float32", **kwargs})
        self._initial: Callable[[], Any] | None = None
        self._owner: Any = None

    @property
    def initial_kernel(self) -> Callable[[], Any]:
        """While weights are made, a function that gives the kernel's first value."""
        assert self._initial is not None, "initial_kernel is known in build() only"
        return self._initial

    def claim(self, owner: Any) -> None:
        """Take a layer for the only user of this transform.

        Raises:
            ArgumentError: another layer uses it.
        """
        if self._owner is not None and self._owner() is not owner:
            raise ArgumentError(
                compose(
                    f"kernel_transform={self!r}",
                    "has weights, and another layer uses it",
                    expected="an object for each layer",
                    fix=f"{type(self).__name__}(...) again",
                ),
                argument="kernel_transform",
                value=self,
            )
        self._owner = weakref.ref(owner)

    def build_for(self, kernel_shape: Shape, initial: Callable[[], Any], dtype: str) -> None:
        """Make the weights for a kernel; `initial` gives its first value."""
        if self.built:
            return
        if dtype == "float64":
            self.dtype_policy = "float64"
        object.__setattr__(self, "_initial", initial)
        self.build(kernel_shape)
        object.__setattr__(self, "_initial", None)

    def build(self, kernel_shape: Shape) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make the weights for a kernel of shape ``(*kernel_size, in, out)``; here none."""

    def __call__(self, kernel: Any, **kwargs: Any) -> Any:
        """Return the transformed kernel: same shape, same dtype."""
        kernel = ops.convert_to_tensor(kernel)
        self.build_for(tuple(kernel.shape), lambda: kernel, str(kernel.dtype))
        given = keras.backend.standardize_dtype(kernel.dtype)
        return ops.cast(super().__call__(kernel, **kwargs), given)

    def get_build_config(self) -> None:
        """Return None: the layer that uses it builds it, also when it's loaded."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        # Names count up in a process, and the dtype follows the layer.
        return {"trainable": config["trainable"]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the transform that `get_config` described, without weights."""
        return cls(**config)

    def __repr__(self) -> str:
        config = {k: v for k, v in self.get_config().items() if k != "trainable"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in config.items())})"


class KernelSource(TrainedTransform):
    """A kernel that is made of few numbers: the layer has no kernel weight then.

    Equation: ``kernel = f(settings, weights)``. A subclass defines `build` and `make`; `shape` is
    that of the kernel. In a list of transforms it comes first. A kernel that was made eagerly, with
    no gradient recorded, is kept until the numbers change.

    Raises:
        ArgumentError: it isn't the first of a list.
        UnsupportedError: the layer takes none.

    Example:
        >>> @keras.saving.register_keras_serializable(package="docs")
        ... class Flat(KernelSource):
        ...     def build(self, kernel_shape):
        ...         self.value = self.add_weight((), "ones", name="value")
        ...     def make(self):
        ...         return self.value * keras.ops.ones(self.shape)
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(4, 3, kernel_transform=Flat())
        >>> _ = layer(keras.ops.ones((1, 5, 5, 2)))
        >>> tuple(layer.kernel.shape), [weight.name for weight in layer.weights]
        ((3, 3, 2, 4), ['bias', 'value'])

    Source: none.
    """

    shape: Shape

    def make(self) -> Any:
        """Return the kernel."""
        raise NotImplementedError(f"{type(self).__name__} must define make(self)")

    def build_for(self, kernel_shape: Shape, initial: Callable[[], Any], dtype: str) -> None:
        """Make the weights for a kernel; `initial` gives what the layer would start with."""
        self.shape = tuple(kernel_shape)
        super().build_for(kernel_shape, initial, dtype)

    def call(self, kernel: Any) -> Any:
        """Return the kernel; what is given says its dtype only."""
        del kernel
        return self.make()

    def kernel(self) -> Any:
        """Return the kernel in the dtype of the weights, that of before where nothing changed."""
        backend = current()
        weights = [ops.convert_to_tensor(w) for w in self.weights]
        if not backend.settled(weights):
            return self._made()
        numbers = b"".join(ops.convert_to_numpy(w).tobytes() for w in weights)
        kept = self.__dict__.get("_kept")
        if kept is not None and kept[0] == numbers:
            return kept[1]
        kernel = self._made()
        if backend.settled([kernel]):
            # Keras mustn't track it.
            object.__setattr__(self, "_kept", (numbers, kernel))
        return kernel

    def _made(self) -> Any:
        return keras.layers.Layer.__call__(self, ops.zeros((), self.variable_dtype))


class Sourced:
    """Stands in a layer where its kernel weight would be."""

    def __init__(self, source: KernelSource, shape: Shape) -> None:
        self.source = source
        self.shape = shape

    @property
    def trainable(self) -> bool:
        """Whether the numbers are trained."""
        return self.source.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.source.trainable = value


def trained_parts(transform: Transform | None) -> list[TrainedTransform]:
    """Return the transforms with weights in a transform, in the order in which they apply."""
    if isinstance(transform, TrainedTransform):
        return [transform]
    if isinstance(transform, Compose):
        return [one for part in transform.transforms for one in trained_parts(part)]
    return []


def source_of(transform: Transform | None) -> KernelSource | None:
    """Return the source that a transform begins with, if there is one.

    Raises:
        ArgumentError: a source comes behind another transform, which would do nothing.
    """
    if isinstance(transform, KernelSource):
        return transform
    if not isinstance(transform, Compose):
        return None
    parts = flat(transform)
    late = [part for part in parts[1:] if isinstance(part, KernelSource)]
    if late:
        raise ArgumentError(
            compose(
                f"kernel_transform={transform!r}",
                f"has {type(late[0]).__name__}, which makes the kernel, behind another transform",
                expected="it first, since nothing before it counts",
                fix=f"kernel_transform=[{late[0]!r}, ...]",
            ),
            argument="kernel_transform",
            value=transform,
        )
    first = parts[0] if parts else None
    return first if isinstance(first, KernelSource) else None


def without_source(transform: Transform | None) -> Transform | None:
    """Return what comes behind the source that a transform begins with."""
    if source_of(transform) is None:
        return transform
    rest = flat(transform)[1:]
    return Compose(rest) if rest else None


def flat(transform: Transform | None) -> list[Transform]:
    """Return the single transforms of a composition, in order."""
    if isinstance(transform, Compose):
        return [one for part in transform.transforms for one in flat(part)]
    return [] if transform is None else [transform]


def build_trained(
    transform: Transform | None,
    owner: Any,
    kernel_shape: Shape,
    initial: Callable[[], Any],
    dtype: str,
) -> None:
    """Make the weights of all transforms in a transform, each for what comes before it."""
    source_of(transform)
    before: list[Transform] = []

    def given(before: tuple[Transform, ...]) -> Any:
        kernel = ops.convert_to_tensor(initial())
        for one in before:
            kernel = one(kernel)
        return kernel

    for one in flat(transform):
        if isinstance(one, TrainedTransform):
            one.claim(owner)
            one.build_for(kernel_shape, lambda before=tuple(before): given(before), dtype)
        before.append(one)


def refuse_source(transform: Transform | None, layer: str) -> None:
    """Refuse sources for layers that keep a kernel weight."""
    source = source_of(transform)
    if source is not None:
        raise UnsupportedError(
            compose(
                f"{layer}: kernel_transform={transform!r}",
                "makes the whole kernel, which this layer can't be without",
                expected="a transform of the layer's kernel",
                fix="cs.layers.Conv2D or DepthwiseConv2D",
            ),
            argument="kernel_transform",
            value=transform,
        )

"""What convolution layers of every kind share: edges, a geometry that a call may change, a bias."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from threading import get_ident
from typing import Any, NamedTuple

import keras

from convsmith import geometry, transforms
from convsmith.errors import ArgumentError, KernelError, compose
from convsmith.layers.arguments import (
    Shape,
    check_input_shape,
    input_shape_of,
    output_sizes,
    plain_integers,
    stored_padding,
    stored_padding_mode,
    stored_padding_value,
)
from convsmith.layers.initializers import OfShape

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


class Geometry(NamedTuple):
    """Where the windows of a call are."""

    strides: tuple[int, ...]
    padding: Any
    dilation_rate: tuple[int, ...]


class Windowed(keras.layers.Layer):
    """The part of a convolution layer that doesn't depend on how its kernel is combined.

    It stands before Keras's class in the bases of a layer. Keras's constructor refuses what its
    backends lack (strides with dilation, padding beyond two words), so that it's given safe values
    and the real ones are set afterwards, by `_set_edges`.
    """

    spatial_rank: int

    # Set by Keras's constructor.
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    use_bias: bool
    bias: Any
    activation: Any
    padding: Any
    data_format: Any
    dilation_rate: tuple[int, ...]

    _called_with: dict[int, Geometry]

    def _set_edges(
        self, padding: Any, padding_mode: Any, padding_value: float | None, dilation_rate: Any
    ) -> None:
        rank = self.spatial_rank
        self.dilation_rate = geometry.normalize_tuple(dilation_rate, rank, "dilation_rate")
        self.padding = stored_padding(padding, rank)
        self.padding_mode = stored_padding_mode(padding_mode, rank)
        self.padding_value = stored_padding_value(padding_value, padding_mode, rank)
        # Keras's check would come first and say less than ours.
        self.input_spec = None
        # By thread: strategies trace one layer in several. Keras mustn't track it.
        object.__setattr__(self, "_called_with", {})

    # ------------------------------------------------------------------------------ geometry

    @property
    def geometry(self) -> Geometry:
        """Strides, padding and dilation of the call that runs, else those of the constructor."""
        changed = self._called_with
        if changed and get_ident() in changed:
            return changed[get_ident()]
        return Geometry(self.strides, self.padding, self.dilation_rate)

    @contextmanager
    def _geometry_of_call(self, strides: Any, dilation_rate: Any, padding: Any) -> Iterator[None]:
        """Let `geometry` be what a call asks for; None stands for what the constructor said."""
        if strides is None and dilation_rate is None and padding is None:
            yield
            return
        rank, own = self.spatial_rank, self.geometry

        def numbers(value: Any, argument: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
            if value is None:
                return otherwise
            return geometry.normalize_tuple(plain_integers(value, argument), rank, argument)

        changed = self._called_with
        before = changed.get(get_ident())
        changed[get_ident()] = Geometry(
            numbers(strides, "strides", own.strides),
            own.padding if padding is None else stored_padding(padding, rank),
            numbers(dilation_rate, "dilation_rate", own.dilation_rate),
        )
        try:
            yield
        finally:
            if before is None:
                del changed[get_ident()]
            else:
                changed[get_ident()] = before

    # --------------------------------------------------------------------------------- calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Check the input, whatever a subclass does in `call`, then call the layer."""
        inputs = args[0] if args else kwargs.get("inputs")
        shape = input_shape_of(inputs)
        if shape is not None:
            self._check_input(shape, self._channels())
        return super().__call__(*args, **kwargs)

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """Add a weight; a kernel that will be transformed is read in full precision.

        The weights of its transforms are made with it. Where one makes the whole kernel, what is
        returned only stands for a weight.
        """
        name = kwargs.get("name", "")
        if kwargs.get("initializer") is not None:
            kwargs["initializer"] = OfShape(kwargs["initializer"])
        transform = self._transforms().get(name)
        if transform is None:
            return super().add_weight(*args, **kwargs)
        shape = tuple(kwargs["shape"])
        source = transforms.trained.source_of(transform)
        if source is None:
            kernel = super().add_weight(*args, **{**kwargs, "autocast": False})
        else:
            kernel = transforms.trained.Sourced(source, shape)

        @cache
        def initial() -> Any:
            if source is None:
                return self._as_filters(name, ops.convert_to_tensor(kernel))
            first = kwargs["initializer"](shape, dtype=self.variable_dtype)
            return self._as_filters(name, first)

        filters = self._as_filters(name, keras.KerasTensor(shape)).shape
        transforms.trained.build_trained(transform, self, filters, initial, self.variable_dtype)
        return kernel

    def _transforms(self) -> dict[str, transforms.Transform | None]:
        """Return the transforms by the names of the weights that they belong to."""
        return {}

    def _track_transforms(self) -> None:
        """Let Keras find the weights of transforms in lists."""
        own = self._transforms().values()
        self._trained_transforms = [one for t in own for one in transforms.trained.trained_parts(t)]

    def _as_filters(self, name: str, kernel: Any) -> Any:
        """Return the kernel of this name as transforms see it: ``(*kernel_size, in, out)``."""
        return kernel

    def _from_filters(self, name: str, filters: Any, shape: tuple[int, ...]) -> Any:
        """Return what `_as_filters` made, back in its own shape."""
        return filters

    def _made_kernel(self, name: str, held: Any) -> Any:
        """Return a kernel weight, or the kernel that is made where there is none."""
        if not isinstance(held, transforms.trained.Sourced):
            return held
        return self._from_filters(name, held.source.kernel(), held.shape)

    def _effective(self, name: str, kernel: Any) -> Any:
        """Return the kernel of this name after its transforms."""
        transform = transforms.trained.without_source(self._transforms()[name])
        if transform is None:
            return kernel
        shape = tuple(kernel.shape)
        filters = self._as_filters(name, ops.convert_to_tensor(kernel))
        return self._from_filters(name, self._transformed(transform, filters), shape)

    def _transformed(self, transform: transforms.Transform, kernel: Any) -> Any:
        """Return a kernel ``(*kernel_size, in, out)`` after a transform, which keeps its shape."""
        before = tuple(kernel.shape)
        kernel = transform(kernel)
        if tuple(kernel.shape) != before:
            raise KernelError(
                compose(
                    f"{self._described()}: kernel_transform={transform!r}",
                    f"turned a kernel of shape {before} into {tuple(kernel.shape)}",
                    expected="the same shape",
                    fix="keepdims=True in its reductions",
                ),
                argument="kernel_transform",
                value=tuple(kernel.shape),
            )
        return kernel

    def _finished(self, outputs: Any) -> Any:
        """Return the outputs with the bias added, then activated."""
        if self.use_bias:
            last = self.data_format == "channels_last"
            tail = (1,) * (0 if last else self.spatial_rank)
            bias = ops.reshape(ops.cast(self.bias, outputs.dtype), (-1, *tail))
            # keras.ops.add has a shortcut for biases that TensorFlow fuses with the convolution;
            # channels first, it takes the width for the channels where the two are of one size.
            outputs = ops.add(outputs, bias) if last else outputs + bias
        return outputs if self.activation is None else self.activation(outputs)

    # -------------------------------------------------------------------------------- shapes

    def _check_input(self, shape: Any, channels: int | None = None) -> None:
        check_input_shape(self._described(), shape, self.spatial_rank, self.data_format, channels)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for an input shape, None where it isn't known."""
        self._check_input(input_shape)
        last = self.data_format == "channels_last"
        spatial = input_shape[1:-1] if last else input_shape[2:]
        sizes = self._output_sizes(tuple(spatial))
        batch, filters = input_shape[0], self._output_channels(input_shape[-1 if last else 1])
        return (batch, *sizes, filters) if last else (batch, filters, *sizes)

    def compute_output_spec(
        self,
        inputs: Any,
        strides: Any = None,
        dilation_rate: Any = None,
        padding: Any = None,
        **_: Any,
    ) -> Any:
        """Return what a call gives, by shape and dtype."""
        with self._geometry_of_call(strides, dilation_rate, padding):
            shape = self.compute_output_shape(tuple(inputs.shape))
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _output_sizes(self, sizes: Shape) -> Shape:
        now = self.geometry
        return output_sizes(sizes, self.kernel_size, now.strides, now.padding, now.dilation_rate)

    def _output_channels(self, channels: int) -> int:
        raise NotImplementedError

    def _channels(self) -> int | None:
        """Return how many channels the layer was built for, None before."""
        raise NotImplementedError

    def _described(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "padding_mode": self.padding_mode,
            "padding_value": self.padding_value,
        }


class OneKernel(Windowed):
    """A layer of one kernel, which is transformed and then handed to the hook."""

    kernel_transform: transforms.Transform | None

    _kernel: Any

    def _set_transform(self, transform: transforms.TransformLike) -> None:
        self.kernel_transform = transforms.get(transform)
        self._track_transforms()
        if transforms.trained.source_of(self.kernel_transform) is not None:
            self._refuse_regularized()

    def _refuse_regularized(self) -> None:
        """Refuse what acts on a kernel weight where there is none."""
        for weight, part in product(("kernel", "depthwise"), ("regularizer", "constraint")):
            argument = f"{weight}_{part}"
            value = getattr(self, argument, None)
            if value is not None:
                raise ArgumentError(
                    compose(
                        f"{type(self).__name__}: {argument}={value!r}",
                        "has no weight to act on: kernel_transform makes the kernel",
                        expected="None",
                        fix=f"{argument}=None",
                    ),
                    argument=argument,
                    value=value,
                )

    @property
    def kernel(self) -> Any:
        """The kernel before its transforms."""
        return self._made_kernel("kernel", self._kernel)

    @kernel.setter
    def kernel(self, kernel: Any) -> None:
        self._kernel = kernel

    @property
    def effective_kernel(self) -> Any:
        """The kernel that is convolved with, after `kernel_transform`.

        A subclass that only wants another kernel overrides this.
        """
        return self._effective("kernel", self.kernel)

    def convolve(self, inputs: Any, kernel: Any) -> Any:
        """Return the inputs combined with any kernel, as constructor and call said."""
        raise NotImplementedError

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the inputs combined with the effective kernel: the method to override."""
        return self.convolve(inputs, kernel)

    def call(
        self, inputs: Any, strides: Any = None, dilation_rate: Any = None, padding: Any = None
    ) -> Any:
        """Return ``activation(convolution_op(inputs, effective_kernel) + bias)``.

        `strides`, `dilation_rate` and `padding` stand for the constructor's in this call.
        """
        kernel = ops.cast(self.effective_kernel, self.compute_dtype)
        with self._geometry_of_call(strides, dilation_rate, padding):
            outputs = self.convolution_op(inputs, kernel)
        return self._finished(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_transform": transforms.serialize(self.kernel_transform),
        }

    def _transforms(self) -> dict[str, transforms.Transform | None]:
        return {"kernel": getattr(self, "kernel_transform", None)}

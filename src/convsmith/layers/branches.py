"""Branches that are trained side by side, and the one kernel that they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import keras

from convsmith import geometry
from convsmith import ops as convolutions
from convsmith.errors import ArgumentError, compose
from convsmith.layers.arguments import (
    as_floating,
    check_filters,
    check_groups,
    resolved_data_format,
)
from convsmith.layers.normalizing import BranchNormalization
from convsmith.layers.windowed import Windowed

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops

Taps = tuple[int, ...]
ONE: Taps = (1, 1)
AVERAGE = "average"
Stages = tuple[Taps | str, ...]
"""The kernels of a branch in order, by their taps, or a moving average; each is normalised."""


@dataclass
class Branch:
    """A branch with its weights; `kernels` has None for what isn't trained."""

    stages: Stages
    kernels: list[Any] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)


class ReparameterizedConvolution(Windowed):
    """What the layers of this kind share; they say which branches there are."""

    spatial_rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        *,
        padding_mode: Any = "constant",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = geometry.integer(filters, "filters", minimum=1)
        self.kernel_size = geometry.normalize_tuple(kernel_size, 2, "kernel_size")
        self.strides = geometry.normalize_tuple(strides, 2, "strides")
        self.data_format = resolved_data_format(data_format)
        self.groups = geometry.integer(groups, "groups", minimum=1)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.use_bias = False  # The normalisations shift.
        self._set_edges(padding, padding_mode, None, dilation_rate)
        check_filters(type(self).__name__, self.filters, self.groups)
        self._refuse_renormalize()
        self._branches: dict[str, Branch] = {}
        self._built_channels: int | None = None

    def _refuse_renormalize(self) -> None:
        modes = geometry.normalize_padding_mode(self.padding_mode, 2)
        if any("renormalize" in mode for mode in modes):
            raise ArgumentError(
                compose(
                    f"{type(self).__name__}: padding_mode={self.padding_mode!r}",
                    "rescales windows by their size, and branches have windows of several",
                    expected="a mode that says what lies beyond the edges",
                    fix='padding_mode="reflect"',
                ),
                argument="padding_mode",
                value=self.padding_mode,
            )

    def branches(self, channels: int) -> Mapping[str, Stages]:
        """Return the branches for inputs of so many channels: no stages are the inputs."""
        raise NotImplementedError

    # --------------------------------------------------------------------------------- weights

    def build(self, input_shape: Any) -> None:
        """Make the weights of all branches."""
        self._check_input(input_shape)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        check_groups(self._described(), channels, self.groups, input_shape)
        self._built_channels = channels
        # Lists and dicts of lists aren't tracked; these are.
        self._norms: list[Any] = []
        made: dict[str, Branch] = {}
        for name, stages in self.branches(channels).items():
            branch = Branch(stages)
            width = channels
            for number, taps in enumerate(stages or (AVERAGE,)):
                last = number == max(len(stages) - 1, 0)
                # What a moving average reads has the filters' width already.
                narrow = not last and stages[-1] != AVERAGE
                outputs = channels if narrow or not stages else self.filters
                branch.kernels.append(self._kernel(name, number, taps, width, outputs))
                # A normalisation behind another one undoes its shift, and its scale too where
                # channels stay apart: nothing would train them.
                branch.norms.append(
                    self._norm(
                        f"{name}_norm_{number}",
                        outputs,
                        center=last,
                        scale=last or stages[-1] != AVERAGE,
                    )
                )
                width = outputs
            made[name] = branch
        object.__setattr__(self, "_branches", made)

    def _kernel(self, name: str, number: int, taps: Any, width: int, outputs: int) -> Any:
        if taps == AVERAGE:
            return None
        return self.add_weight(
            name=f"{name}_kernel_{number}",
            shape=(*taps, width // self.groups, outputs),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def _norm(self, name: str, channels: int, *, center: bool, scale: bool) -> Any:
        last = self.data_format == "channels_last"
        norm = BranchNormalization(
            axis=-1 if last else 1,
            momentum=self.momentum,
            epsilon=self.epsilon,
            center=center,
            scale=scale,
            name=name,
            dtype=self.dtype_policy,
        )
        norm.build((None, None, None, channels) if last else (None, channels, None, None))
        self._norms.append(norm)
        return norm

    # ----------------------------------------------------------------------------------- calls

    def call(self, inputs: Any) -> Any:
        """Return the activated sum of all branches."""
        inputs = as_floating(inputs, self.compute_dtype)
        outputs = [self._branch(branch, inputs) for branch in self._branches.values()]
        return self._finished(reduce(ops.add, outputs))

    def _branch(self, branch: Branch, inputs: Any) -> Any:
        if not branch.stages:
            return branch.norms[0](inputs)
        kernels = [None if k is None else ops.cast(k, inputs.dtype) for k in branch.kernels]
        if len(kernels) == 1:
            return branch.norms[0](self._convolved(inputs, kernels[0]))
        points = convolutions.conv(
            inputs, kernels[0], groups=self.groups, data_format=self.data_format
        )
        inner = branch.norms[0](points)
        # Beyond the edges is what this normalisation makes of nothing, `shift`, not 0: a
        # convolution of what exceeds it, and that of `shift` everywhere.
        _, shift = self._scale_and_shift(branch.norms[0])
        inner = inner - ops.cast(self._along_channels(shift), inner.dtype)
        if branch.stages[1] == AVERAGE:
            outputs, constant = self._averaged(inner), shift
        else:
            outputs = self._convolved(inner, kernels[1])
            constant = self._constant(self._exact(branch.kernels[1]), shift)
        outputs = outputs + ops.cast(self._along_channels(constant), outputs.dtype)
        return branch.norms[1](outputs)

    def _convolved(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution whose kernel lies in the middle of the layer's window."""
        pads = self._pads(inputs.shape, tuple(kernel.shape[:2]))
        if pads is None:  # the amounts aren't known, but those of the whole window are the same
            kernel = self._embedded(kernel)
        return convolutions.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding if pads is None else pads,
            padding_mode=self.padding_mode,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            data_format=self.data_format,
        )

    def _averaged(self, inputs: Any) -> Any:
        rows, columns = self.kernel_size
        kernel = ops.full((rows, columns, self.filters, 1), 1 / (rows * columns), inputs.dtype)
        return convolutions.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )

    def _pads(self, shape: Any, taps: Taps) -> tuple[tuple[int, int], ...] | None:
        """Return the padding of a kernel in the middle of the window, None if it isn't known."""
        sizes = shape[1:3] if self.data_format == "channels_last" else shape[2:4]
        entries = geometry.normalize_padding(self.padding, 2)
        found: list[tuple[int, int]] = []
        for axis, entry in enumerate(entries):
            size, dilation = self.kernel_size[axis], self.dilation_rate[axis]
            low, high = geometry.resolve_padding(
                entry, sizes[axis], size, self.strides[axis], dilation
            )
            if low is None or high is None:
                return None
            before, behind = _margins(size, taps[axis])
            found.append((low - before * dilation, high - behind * dilation))
        return tuple(found)

    def _along_channels(self, vector: Any) -> Any:
        return vector if self.data_format == "channels_last" else ops.reshape(vector, (-1, 1, 1))

    # --------------------------------------------------------------------------------- merging

    @property
    def effective_kernel(self) -> Any:
        """The one kernel, ``(*kernel_size, channels // groups, filters)``, of all branches."""
        return reduce(ops.add, [self._merged(b)[0] for b in self._branches.values()])

    @property
    def effective_bias(self) -> Any:
        """The bias that goes with `effective_kernel`."""
        return reduce(ops.add, [self._merged(b)[1] for b in self._branches.values()])

    def plain_arguments(self) -> dict[str, Any]:
        """Return the arguments of the `Conv2D` that this layer is in inference."""
        names = ("filters", "kernel_size", "strides", "padding", "padding_mode", "data_format")
        others = ("dilation_rate", "groups", "activation", "name", "trainable")
        arguments = {name: getattr(self, name) for name in (*names, *others)}
        return {**arguments, "dtype": self.dtype_policy}

    def _merged(self, branch: Branch) -> tuple[Any, Any]:
        """Return kernel and bias of one branch in inference."""
        scale, shift = self._scale_and_shift(branch.norms[0])
        if not branch.stages:
            return self._embedded(self._identity()) * scale, shift
        kernel = self._exact(branch.kernels[0]) * scale
        if len(branch.stages) == 1:
            return self._embedded(kernel), shift
        if branch.stages[1] == AVERAGE:
            rows, columns = self.kernel_size
            bias, kernel = shift, ops.tile(kernel, (rows, columns, 1, 1)) / (rows * columns)
        else:
            outer = self._exact(branch.kernels[1])
            bias = self._constant(outer, shift)
            kernel = self._chained(kernel, outer)
        scale, shift = self._scale_and_shift(branch.norms[1])
        return kernel * scale, bias * scale + shift

    def _chained(self, inner: Any, outer: Any) -> Any:
        """Return the kernel of a 1x1 kernel and one behind it, group by group."""
        depth, groups = inner.shape[2], self.groups
        inner = ops.reshape(inner, (depth, groups, -1))
        grouped = ops.reshape(outer, (*outer.shape[:3], groups, -1))
        kernel = ops.einsum("igm,hwmgo->hwigo", inner, grouped)
        return ops.reshape(kernel, (*outer.shape[:2], depth, self.filters))

    def _constant(self, kernel: Any, shift: Any) -> Any:
        """Return what a kernel makes of inputs that are `shift` everywhere."""
        grouped = ops.reshape(kernel, (*kernel.shape[:3], self.groups, -1))
        shift = ops.reshape(shift, (self.groups, -1))
        return ops.reshape(ops.einsum("hwmgo,gm->go", grouped, shift), (self.filters,))

    def _identity(self) -> Any:
        each = self.filters // self.groups
        eye = ops.tile(ops.eye(each, dtype=self._exact_dtype), (1, self.groups))
        return ops.reshape(eye, (1, 1, each, self.filters))

    def _embedded(self, kernel: Any) -> Any:
        """Return a kernel with zeros around it, of the layer's size."""
        margins = map(_margins, self.kernel_size, kernel.shape[:2])
        return ops.pad(kernel, (*margins, (0, 0), (0, 0)))

    @property
    def _exact_dtype(self) -> str:
        return "float64" if self.variable_dtype == "float64" else "float32"

    def _exact(self, weight: Any) -> Any:
        return ops.cast(ops.convert_to_tensor(weight), self._exact_dtype)

    def _scale_and_shift(self, norm: Any) -> tuple[Any, Any]:
        """Return what a normalisation multiplies by and adds in inference."""
        scale = 1 / ops.sqrt(self._exact(norm.moving_variance) + norm.epsilon)
        if norm.gamma is not None:
            scale = self._exact(norm.gamma) * scale
        shift = -self._exact(norm.moving_mean) * scale
        return scale, shift if norm.beta is None else self._exact(norm.beta) + shift

    # ---------------------------------------------------------------------------------- config

    def _output_channels(self, channels: int) -> int:
        return self.filters

    def _channels(self) -> int | None:
        return self._built_channels

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
        del config["padding_value"]  # Branches agree on zeros only.
        return config


def _margins(size: int, taps: int) -> tuple[int, int]:
    """Return how much of a window lies on both sides of a smaller one in its middle."""
    before = (size - taps) // 2
    return before, size - taps - before

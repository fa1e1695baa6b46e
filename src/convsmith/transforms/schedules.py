"""Kernels that differ over time, and between training and evaluation."""

from __future__ import annotations

import copy
from typing import Any

import keras

from convsmith.errors import ArgumentError, compose
from convsmith.transforms.base import KernelTransform
from convsmith.transforms.trained import Shape, TrainedTransform

# Keras's inferred types are too vague to check against.
ops: Any = keras.ops


@keras.saving.register_keras_serializable(package="convsmith")
class KernelSchedule(TrainedTransform):
    """A transform one of whose settings follows a schedule over the steps of training.

    Equation: ``y = transform(kernel; argument=schedule(step))``. `step` counts calls with
    ``training=True`` and is saved; evaluation takes the value of the step that was reached, or
    `evaluation`.

    Args:
        transform: a `KernelTransform`, or the name of one.
        argument: the setting, such as ``"sigma"``; a number.
        schedule: a `keras.optimizers.schedules.LearningRateSchedule`.
        evaluation: None, or the value outside of training.

    Raises:
        ArgumentError: a transform without such a number, or no schedule.

    Example:
        >>> from convsmith.transforms import Blur
        >>> fading = keras.optimizers.schedules.PolynomialDecay(2.0, 1000, 0.0)
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(4, 5, kernel_transform=KernelSchedule(Blur(), "sigma", fading, 0.0))
        >>> tuple(layer(keras.ops.ones((1, 8, 8, 1)), training=True).shape)
        (1, 4, 4, 4)

    Source: the annealed blur of Sinha, Garg & Larochelle, "Curriculum by Smoothing", 2020.
    """

    def __init__(
        self,
        transform: Any,
        argument: str,
        schedule: Any,
        evaluation: float | None = None,
        **kwargs: Any,
    ) -> None:
        # Here, not above: the registry needs this module.
        from convsmith.transforms.registry import require

        super().__init__(**kwargs)
        self.transform = require(transform)
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.argument, self.schedule = argument, schedule
        self.evaluation = None if evaluation is None else float(evaluation)
        value = getattr(self.transform, str(argument), None)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(self.transform, KernelTransform) or not number:
            raise ArgumentError(
                compose(
                    f"KernelSchedule: argument={argument!r}",
                    f"is no number of {self.transform!r}",
                    expected="a pure transform, and the name of one of its numbers",
                    fix='KernelSchedule(Blur(), "sigma", schedule)',
                ),
                argument="argument",
                value=argument,
            )
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise ArgumentError(
                compose(
                    f"KernelSchedule: schedule={schedule!r}",
                    "is no schedule",
                    expected="a keras.optimizers.schedules.LearningRateSchedule",
                    fix="keras.optimizers.schedules.PolynomialDecay(2.0, 1000, 0.0)",
                ),
                argument="schedule",
                value=schedule,
            )

    def build(self, kernel_shape: Shape) -> None:
        """Make the counter."""
        self.step = self.add_weight(
            name="step", shape=(), initializer="zeros", dtype="int32", trainable=False
        )

    def call(self, kernel: Any, training: bool | None = None) -> Any:
        """Return the kernel after the transform of now."""
        if training or self.evaluation is None:
            value = ops.cast(self.schedule(ops.convert_to_tensor(self.step)), kernel.dtype)
        else:
            value = self.evaluation
        if training:
            self.step.assign(self.step + 1)
        now = copy.copy(self.transform)
        setattr(now, self.argument, value)
        return now(kernel)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        from convsmith.transforms.registry import serialize

        return {
            **super().get_config(),
            "transform": serialize(self.transform),
            "argument": self.argument,
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "evaluation": self.evaluation,
        }


@keras.saving.register_keras_serializable(package="convsmith")
class KernelAverage(TrainedTransform):
    """Train the kernel, and evaluate the moving average of the kernels that there were.

    Equation: in training ``y = k`` and ``average = momentum * average + (1 - momentum) * k``;
    otherwise ``y = average``, which starts as the first kernel.

    Args:
        momentum: how much of the average stays in a step, from 0 to below 1.

    Raises:
        ArgumentError: another momentum.

    Example:
        >>> from convsmith.layers import Conv2D
        >>> layer = Conv2D(4, 3, kernel_transform=KernelAverage(0.9))
        >>> tuple(layer(keras.ops.ones((1, 8, 8, 1))).shape)
        (1, 6, 6, 4)

    Source: Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, with
    exponential weights.
    """

    def __init__(self, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        number = not isinstance(momentum, bool) and isinstance(momentum, int | float)
        if not number or not 0 <= momentum < 1:
            raise ArgumentError(
                compose(
                    f"KernelAverage: momentum={momentum!r}",
                    "is no share that stays",
                    expected="a number from 0 to below 1",
                    fix="momentum=0.99",
                ),
                argument="momentum",
                value=momentum,
            )
        self.momentum = float(momentum)

    def build(self, kernel_shape: Shape) -> None:
        """Make the average."""
        initial = self.initial_kernel
        self.average = self.add_weight(
            name="average",
            shape=kernel_shape,
            # A copy: JAX gives away the arrays of the variables that it trains.
            initializer=lambda shape, dtype=None: ops.copy(ops.cast(initial(), dtype)),
            trainable=False,
            dtype=self.variable_dtype,
        )

    def call(self, kernel: Any, training: bool | None = None) -> Any:
        """Return the kernel in training, else the average."""
        average = ops.convert_to_tensor(self.average)
        if not training:
            return average
        self.average.assign(average + (1 - self.momentum) * (ops.stop_gradient(kernel) - average))
        return kernel

    def get_config(self) -> dict[str, Any]:
        """Return the momentum."""
        return {**super().get_config(), "momentum": self.momentum}

"""Folding a whole model: what is constant at inference becomes plain Keras."""

from __future__ import annotations

from typing import Any, Literal, overload

import keras

from convsmith import geometry
from convsmith.errors import ConvsmithError, UnsupportedError, compose
from convsmith.models import verification
from convsmith.models.folding_report import FoldReport
from convsmith.models.folding_rewrite import rewritten
from convsmith.models.graph import is_graph

__all__ = ["FoldReport", "fold"]

_TOLERANCES = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Of outputs, relative to the largest one, by the coarsest dtype that the model computes in."""


@overload
def fold(
    model: Any,
    *,
    inputs: Any = None,
    samples: int = 4,
    seed: int = 0,
    tolerance: float | None = None,
    return_report: Literal[False] = False,
) -> Any: ...
@overload
def fold(
    model: Any,
    *,
    inputs: Any = None,
    samples: int = 4,
    seed: int = 0,
    tolerance: float | None = None,
    return_report: Literal[True],
) -> tuple[Any, FoldReport]: ...
def fold(
    model: Any,
    *,
    inputs: Any = None,
    samples: int = 4,
    seed: int = 0,
    tolerance: float | None = None,
    return_report: bool = False,
) -> Any:
    """Return a copy for inference in which all that can't change any more is computed once.

    Equation: ``fold(f)(x) = f(x)`` in inference. Kernel transforms, LoRA, schedules and branches
    are evaluated, batch normalisation joins the convolution beside it, padding becomes the fewest
    standard operations, and every layer of convsmith that standard Keras layers can express is
    replaced by them, so that the result loads where convsmith isn't installed. What can't be
    expressed stays a layer of convsmith with a constant kernel.

    Args:
        model: a built Sequential or functional `keras.Model`, nested models included.
        inputs: what both models are compared on; random numbers by default.
        samples: how many random samples; sizes that the model leaves open are 32, or what it takes.
        seed: of the random samples.
        tolerance: how far outputs may differ, relative to the largest one; by default 1e-4, where
            the model computes in float16 2e-2, in bfloat16 1e-1.
        return_report: whether to return a `FoldReport` too: layer by layer what was done, or why
            it was kept.

    Returns:
        The folded model, uncompiled, with weights of its own; with `return_report` the model and
        the report, which prints as text and has a `table()`.

    Raises:
        ArgumentError: no positive number of samples.
        UnsupportedError: a subclassed or unbuilt model, a layer that can't be copied, or inputs
            that can't be drawn at random.
        ConvsmithError: the folded model computes something else.

    Example:
        >>> import convsmith as cs
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)),
        ...     cs.layers.StandardizedConv2D(4, 3, padding="same", padding_mode="reflect"),
        ...     keras.layers.BatchNormalization(),
        ... ])
        >>> [type(layer).__name__ for layer in cs.models.fold(model).layers]
        ['Functional', 'Conv2D']

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 3.2 (batch normalisation).
    """
    _check(model)
    geometry.integer(samples, "samples", minimum=1)
    report = FoldReport(parameters_before=model.count_params())
    folded = rewritten(model, report.folds)
    report.parameters_after = folded.count_params()
    report.tolerance = _tolerance(model) if tolerance is None else float(tolerance)
    if inputs is None:
        inputs, expected = _drawn(model, samples, seed)
    else:
        expected = verification.outputs(model, inputs)
    report.shapes = [tuple(x.shape) for x in keras.tree.flatten(inputs)]
    report.difference = verification.difference(verification.outputs(folded, inputs), expected)
    if not report.difference <= report.tolerance:
        raise ConvsmithError(
            compose(
                f"fold: {model.name!r}",
                f"the folded model's outputs differ by {report.difference:.2g} of the largest one",
                expected=f"at most {report.tolerance:.2g}",
                received=f"inputs of shape {', '.join(map(str, report.shapes))}",
                fix="a larger tolerance if such a difference does no harm",
            ),
            argument="tolerance",
            value=report.tolerance,
        )
    return (folded, report) if return_report else folded


def _check(model: Any) -> None:
    if is_graph(model):
        return
    where = f"fold: {type(model).__name__} {getattr(model, 'name', model)!r}"
    expected = "a built Sequential or functional keras.Model"
    problem = "is no graph of layers that could be replaced"
    fix = "cs.layers.fold for single layers, or keras.Model(inputs, outputs)"
    if isinstance(model, keras.Sequential):
        problem = "isn't built, or its layers can't be chained"
        fix = "model.build(input_shape), or keras.Input as its first entry"
    raise UnsupportedError(
        compose(where, problem, expected=expected, fix=fix), argument="model", value=model
    )


def _tolerance(model: Any) -> float:
    return max(_TOLERANCES.get(layer.compute_dtype, 0.0) for layer in model._flatten_layers())


def _drawn(model: Any, samples: int, seed: int) -> tuple[Any, list[Any]]:
    """Return random inputs that the model takes, and its outputs for them."""
    problem: Exception | None = None
    sizes = verification.SIZES if verification.has_open_sizes(model) else verification.SIZES[:1]
    for size in sizes:
        try:
            inputs = verification.random_inputs(model, samples=samples, size=size, seed=seed)
            return inputs, verification.outputs(model, inputs)
        except Exception as error:  # whatever the model's layers say to such inputs
            problem = problem or error
    raise UnsupportedError(
        compose(
            f"fold: {model.name!r}",
            f"can't run on random inputs ({_first_line(problem)})",
            expected="inputs that are numbers",
            fix="inputs=some of your own data",
        ),
        argument="inputs",
    ) from problem


def _first_line(error: Exception | None) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")[:200]

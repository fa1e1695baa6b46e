"""`explain`: what a layer, a model or a pattern does, what it costs, and what looks wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import keras

from convsmith import engine
from convsmith.errors import ArgumentError, ConvsmithError, ShapeError, compose
from convsmith.lowerings.amounts import item_size
from convsmith.lowerings.backend import current
from convsmith.lowerings.running import MODES
from convsmith.models import counting, effective, fields, kernels, warnings, windows
from convsmith.models.calls import Step, steps
from convsmith.models.report import AxisField, Explanation, LayerReport, axis_field
from convsmith.planner import Plan
from convsmith.planner.report import arithmetic


@overload
def explain(subject: str, *operands: Any, **arguments: Any) -> None: ...
@overload
def explain(
    subject: Any,
    input_shape: Any = None,
    *,
    mode: str | None = None,
    effective_field: bool = False,
) -> Explanation: ...
def explain(subject: Any, *operands: Any, **arguments: Any) -> Any:
    """Say what a pattern, a layer or a whole model computes, at what cost, and what looks wrong.

    A pattern with operands or shapes prints its plan, as `convsmith.plan` makes it. A layer or
    model gives an `Explanation`, which prints as a table: for each layer the pattern, the
    arithmetic of its sizes, parameters, multiply-adds, bytes, arithmetic intensity, receptive
    field, how it is computed and why, its share of the total, and warnings with fixes.

    Args:
        subject: a pattern; or a layer, a functional, sequential or nested model of Keras.
        *operands: for a pattern, as in `convsmith.plan`, with all its arguments.
        input_shape: with the batch, for a layer that isn't built and for sizes that a model leaves
            open; a list of shapes for several inputs.
        mode: for which execution mode lowerings are chosen, as in `convsmith.plan`; that of `fit`
            and `predict` unless given.
        effective_field: also measure the effective receptive field by a gradient: how many entries
            hold 95 % of what a central position depends on, over a few random inputs.

    Returns:
        An `Explanation`, with `to_json()`, `to_html(path)` and `plot()`; None for a pattern.

    Raises:
        ArgumentError: a subject that is none of these, or an unknown mode.
        ShapeError: an input shape that doesn't fit, or is missing.
        PatternError, DtypeError, UnsupportedError: for a pattern, as in `convsmith.plan`.

    Example:
        >>> explanation = explain(keras.layers.Conv2D(8, 3, strides=2), (1, 32, 32, 3))
        >>> conv, = explanation.layers
        >>> conv.patterns, conv.macs
        (('b (2h+kh) (2w+kw) i, kh kw i o -> b h w o',), 48600)
        >>> explain("b (h+kh) i, kh i o -> b h o", (1, 5, 1), (2, 1, 4))  # doctest: +ELLIPSIS
        pattern   b (h+kh) i, kh i o -> b h o
        ...

    Source: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, 2019; Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional
    Neural Networks", 2016.
    """
    if isinstance(subject, str):
        engine.explain(subject, *operands, **arguments)
        return None
    return explained(subject, *operands, **arguments)


def explained(
    subject: Any,
    input_shape: Any = None,
    *,
    mode: str | None = None,
    effective_field: bool = False,
) -> Explanation:
    """Return the `Explanation` of a layer or model, as `explain` does."""
    if not isinstance(subject, keras.layers.Layer):
        raise ArgumentError(
            compose(
                f"explain: {type(subject).__name__}",
                "is no layer, model or pattern",
                expected="a keras.layers.Layer, a keras.Model, or the text of a pattern",
                fix="keras.models.load_model(path) for a file",
            ),
            argument="subject",
            value=subject,
        )
    mode = _checked_mode(mode)
    made, inputs, whole = _graph(subject, input_shape)
    shapes = [tuple(x.shape) for x in inputs]
    seen = dict(zip(map(id, inputs), fields.of_inputs(shapes), strict=True))
    spreads = effective.Spreads(whole, inputs) if effective_field else None
    counted: set[int] = set()
    reports: list[LayerReport] = []
    for step in made:
        if isinstance(step.operation, keras.layers.InputLayer):
            continue
        calls = windows.calls(step)
        plans = [call(mode) for call in calls]
        after = fields.through(step, [p.problem for p in plans], [seen[id(x)] for x in step.inputs])
        seen.update(zip(map(id, step.outputs), after, strict=True))
        spread = spreads(step) if spreads is not None and plans else {}
        found = [
            axis_field(key, one, shapes[key[0]][key[1]], spread.get(key))
            for key, one in (after[0] if after else {}).items()
        ]
        reports.append(_report(step, calls, plans, found, counted))
    return _whole(subject.name, mode, shapes, reports)


def explained_pattern(
    pattern: str, *shapes: Sequence[int | None], mode: str | None = None, **arguments: Any
) -> Explanation:
    """Return the `Explanation` of a pattern on operands of these shapes, as of a layer."""
    plan = engine.plan(pattern, *map(tuple, shapes), mode=mode, **arguments)
    first = shapes[0]
    before = fields.of_inputs([tuple(first)])
    step = Step("pattern", None, (keras.KerasTensor(tuple(first)),), (_Output(plan),), ())
    after = fields.through(step, [plan.problem], before)
    found = [axis_field(key, one, first[key[1]]) for key, one in after[0].items()]
    weights = [counting.elements(s) for s in plan.problem.shapes[1:]]
    unknown = any(None in s[1:] for s in plan.problem.shapes)
    report = LayerReport(
        name="pattern",
        kind="convsmith.conv",
        input_shapes=tuple(tuple(s) for s in plan.problem.shapes),
        output_shapes=(tuple(plan.output_shape),),
        patterns=(plan.pattern,),
        arithmetic=_arithmetic([plan]),
        parameters=0 if None in weights else sum(n or 0 for n in weights),
        macs=None if unknown else plan.macs,
        bytes=None if unknown else plan.bytes,
        receptive_field=tuple(found),
        lowering=plan.lowering,
        why=_why([plan]),
        warnings=warnings.of_windows([plan.problem]),
    )
    return _whole(pattern, plan.target.mode, [tuple(s) for s in shapes], [report])


class _Output:
    """Stands for what a pattern computes."""

    def __init__(self, plan: Plan) -> None:
        self.shape = plan.output_shape


def _checked_mode(mode: str | None) -> str:
    modes = MODES[current().NAME]
    if mode is not None and mode not in modes:
        raise ArgumentError(
            compose(
                f"mode={mode!r}",
                f"is no execution mode of {current().NAME}",
                expected=f"one of {', '.join(map(repr, modes))}",
                fix=f"mode={modes[-1]!r}",
            ),
            argument="mode",
            value=mode,
        )
    return mode or windows.default_mode()


def _graph(subject: Any, input_shape: Any) -> tuple[list[Step], list[Any], Any]:
    """Return the steps of a layer or model, its inputs, and what computes them: layer or model."""
    if not _is_graph(subject):
        if subject.built:
            return _single(subject, _shapes(input_shape or _build_shape(subject)))
        subject = _called(subject, input_shape)
        input_shape = None
    given = [tuple(x.shape) for x in subject.inputs]
    if input_shape is not None:
        given = _merged(given, _shapes(input_shape), subject.name)
    inputs = [
        keras.KerasTensor(shape, dtype=x.dtype)
        for shape, x in zip(given, subject.inputs, strict=True)
    ]
    return steps(subject, inputs), inputs, subject


def _is_graph(subject: Any) -> bool:
    return isinstance(subject, keras.Model) and bool(getattr(subject, "inputs", None))


def _single(layer: Any, shapes: list[tuple[Any, ...]]) -> tuple[list[Step], list[Any], Any]:
    """Return the one step of a built layer, without calling it."""
    inputs = [keras.KerasTensor(shape, dtype=layer.compute_dtype) for shape in shapes]
    try:
        outputs = layer.compute_output_spec(inputs[0] if len(inputs) == 1 else inputs)
    except ConvsmithError:
        raise
    except Exception as error:
        raise _unfit(layer, shapes, error) from error
    made = tuple(keras.tree.flatten(outputs))
    return [Step(layer.name, layer, tuple(inputs), made, ())], inputs, layer


def _called(subject: Any, input_shape: Any) -> Any:
    """Return a model of a copy of something unbuilt, which stays as it is."""
    if input_shape is None:
        raise _no_shape(subject)
    shapes = _shapes(input_shape)
    try:
        copy = type(subject).from_config(subject.get_config())
        inputs = [keras.Input(batch_shape=shape) for shape in shapes]
        outputs = copy(inputs[0] if len(inputs) == 1 else inputs)
    except ConvsmithError:
        raise
    except Exception as error:
        raise _unfit(subject, shapes, error) from error
    return copy if _is_graph(copy) else keras.Model(inputs, outputs, name=subject.name)


def _build_shape(layer: Any) -> Any:
    """Return the input shapes that a layer was built for."""
    known = (layer.get_build_config() or {}) if hasattr(layer, "get_build_config") else {}
    shape = known.get("input_shape") or list(known.get("shapes_dict", {}).values()) or None
    if shape is None:
        raise _no_shape(layer)
    return shape


def _shapes(shape: Any) -> list[tuple[int | None, ...]]:
    """Return one shape, or several, as a list."""
    try:
        if all(n is None or isinstance(n, int) for n in shape):
            return [tuple(shape)]
        several = list(shape.values()) if isinstance(shape, dict) else list(shape)
        return [one for each in several for one in _shapes(each)]
    except TypeError:
        raise ShapeError(
            compose(
                f"input_shape={shape!r}",
                "is no shape",
                expected="the sizes of all axes, the batch first, or a list of such shapes",
                fix="input_shape=(1, 32, 32, 3)",
            ),
            argument="input_shape",
            value=shape,
        ) from None


def _merged(
    own: list[tuple[Any, ...]], given: list[tuple[Any, ...]], name: str
) -> list[tuple[Any, ...]]:
    """Return the shapes that are given, which may fill in only what the model leaves open."""
    fits = len(own) == len(given) and all(
        len(mine) == len(theirs)
        and all(a is None or a == b for a, b in zip(mine[1:], theirs[1:], strict=True))
        for mine, theirs in zip(own, given, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, own))
        raise ShapeError(
            compose(
                f"explain {name!r}: input_shape",
                "isn't what the model takes",
                expected=f"{wanted}, with any size for None",
                received=", ".join(map(str, given)),
                fix=f"input_shape={tuple(1 if n is None else n for n in own[0])}",
            ),
            argument="input_shape",
            value=given,
        )
    return given


def _no_shape(subject: Any) -> ShapeError:
    return ShapeError(
        compose(
            f"explain {type(subject).__name__} {subject.name!r}",
            "it isn't built, and without the shape of its input nothing is known",
            expected="input_shape",
            fix="explain(layer, input_shape=(1, 32, 32, 3))",
        ),
        argument="input_shape",
    )


def _unfit(subject: Any, shapes: Any, error: Exception) -> ShapeError:
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return ShapeError(
        compose(
            f"explain {type(subject).__name__} {subject.name!r}",
            f"it can't be called on {', '.join(map(str, shapes))}: {reason}",
            expected="the shapes of its inputs, the batch first",
        ),
        argument="input_shape",
        value=shapes,
    )


def _report(
    step: Step,
    calls: list[Any],
    plans: list[Plan],
    found: list[AxisField],
    counted: set[int],
) -> LayerReport:
    layer = step.operation
    known = all(None not in s[1:] for s in (*step.input_shapes, *step.output_shapes))
    if windows.is_own(step):
        macs = sum(p.macs for p in plans) if known and plans else None
    else:
        macs = counting.macs(layer, step.input_shapes, step.output_shapes)
    variables = getattr(layer, "weights", ())
    new = [v for v in variables if id(v) not in counted]
    counted.update(map(id, variables))
    moved = _bytes(step, variables)
    kernel = kernels.of_step(step)
    return LayerReport(
        name=step.name,
        kind=type(layer).__name__,
        input_shapes=tuple(step.input_shapes),
        output_shapes=tuple(step.output_shapes),
        patterns=tuple(dict.fromkeys(p.pattern for p in plans)),
        arithmetic=_arithmetic(plans),
        parameters=sum(counting.elements(tuple(v.shape)) or 0 for v in new),
        macs=macs,
        bytes=moved,
        receptive_field=tuple(found),
        lowering=_lowering(step, plans),
        why=_why(plans) if windows.is_own(step) else _why_not(step, plans),
        warnings=warnings.of_step(step, plans, kernel, calls),
        kernel=kernel,
    )


def _bytes(step: Step, variables: Sequence[Any]) -> int | None:
    """Return what a layer moves if it reads and writes everything once."""
    layer = step.operation
    dtype = getattr(layer, "compute_dtype", None) or keras.config.floatx()
    sizes = [counting.elements(s) for s in (*step.input_shapes, *step.output_shapes)]
    if None in sizes:
        return None
    weights = sum(counting.elements(tuple(v.shape)) or 0 for v in variables)
    return item_size(dtype) * (sum(n or 0 for n in sizes) + weights)


def _arithmetic(plans: Sequence[Plan]) -> tuple[str, ...]:
    lines = [
        arithmetic(window)
        for plan in plans
        for window in (*plan.problem.input_windows, *plan.problem.output_windows)
    ]
    return tuple(dict.fromkeys(lines))


def _lowering(step: Step, plans: Sequence[Plan]) -> str:
    if not plans:
        return ""
    if not windows.is_own(step):
        return "Keras"
    return "+".join(dict.fromkeys(plan.lowering for plan in plans))


def _why(plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return what each lowering would take, or why it can't."""
    lines: dict[str, None] = {}
    for plan in plans:
        for planned in plan.steps:
            for choice in sorted(planned.choices, key=lambda c: c.lowering != planned.lowering):
                time = "" if choice.microseconds is None else f"{choice.microseconds:,.0f} us"
                if choice.lowering == planned.lowering:
                    lines[f"{choice.lowering}: chosen, {choice.source} {time}".rstrip(", ")] = None
                elif not choice.ok:
                    lines[f"{choice.lowering}: can't, {choice.reason}"] = None
                elif choice.reason:
                    lines[f"{choice.lowering}: only when forced, {choice.reason}"] = None
                else:
                    lines[f"{choice.lowering}: not chosen, {choice.source} {time}"] = None
    return tuple(lines)


def _why_not(step: Step, plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return what convsmith would do in the place of one of Keras's layers."""
    if not plans or isinstance(step.operation, windows.POOLING):
        return ("Keras's layers call the backend's own function",) if plans else ()
    lines = ["Keras's layers call the backend's own convolution"]
    for plan in plans:
        native = windows.native_microseconds(plan)
        if native is None:
            continue
        text = f"estimated {native:,.0f} us"
        if plan.lowering != "native":
            text += f"; convsmith's layer would take {plan.lowering}, {plan.microseconds:,.0f} us"
        lines.append(text)
    return tuple(lines)


def _whole(
    name: str, mode: str, shapes: list[tuple[Any, ...]], reports: list[LayerReport]
) -> Explanation:
    """Return all reports with what only the whole model tells: shares, and which axes are space."""
    total = sum(r.macs or 0 for r in reports)
    space = _space([f for r in reports if r.patterns for f in r.receptive_field])
    made = [
        replace(
            r,
            share=None if r.macs is None or not total else r.macs / total,
            intensity=None if r.macs is None or not r.bytes else 2 * r.macs / r.bytes,
            receptive_field=tuple(f for f in r.receptive_field if (f.input, f.axis) in space),
        )
        for r in reports
    ]
    target = current()
    return Explanation(name, target.NAME, target.device(), mode, tuple(shapes), tuple(made))


def _space(found: list[AxisField]) -> set[tuple[int, int]]:
    """Return the axes along which windows move; the others are those of channels."""
    moved = [f for f in found if f.size is not None and not f.sees_all]
    # A pooling sees channel after channel as an axis of its own.
    wide = [f for f in moved if (f.size, f.stride, f.offset) != (1, 1.0, 0)]
    return {(f.input, f.axis) for f in wide or moved}

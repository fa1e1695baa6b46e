"""Running a plan: flatten the operands, make pads real, take the steps, shape the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from keras import ops

from convsmith import geometry
from convsmith.errors import ShapeError
from convsmith.geometry import Pads
from convsmith.lowerings import Sizes, native
from convsmith.lowerings.backend import current
from convsmith.lowerings.borders import Border, pad_borders, unpad_axis
from convsmith.lowerings.tensors import (
    SEMIRING_FILL,
    connected,
    dtype_name,
    fill_value,
    permute,
    reshape,
    size_product,
)
from convsmith.notation import Group, Leading, One, Window
from convsmith.planner.differentiate import run_step
from convsmith.problem import Place, SizedWindow
from convsmith.steps import needs_real_pads, written_window

if TYPE_CHECKING:
    from convsmith.planner.plan import Plan


def run_plan(plan: Plan, *operands: Any) -> Any:
    """Return the result of a plan on backend tensors."""
    backend = current()
    if plan.has_empty:
        return _empty(plan, operands)
    operands = tuple(_cast(x, plan.compute_dtype) for x in operands)
    sizes = _sizes(plan, operands)
    slots: dict[int, Any] = {}
    for index, (x, needed) in enumerate(zip(operands, plan.needs_preparation, strict=True)):
        slots[index] = _prepare(plan, index, x, sizes) if needed else x
    for offset, window in enumerate(plan.renormalized):
        slots[len(operands) + offset] = _renormalization(plan, window, sizes)
    last = len(slots) - 1
    for planned in plan.steps:
        step = planned.step
        inputs = tuple(slots.pop(i) for i in step.inputs)
        slots[step.slot] = run_step(planned, sizes, inputs)
        last = step.slot
    if not plan.steps:
        last = 0
    result = slots[last]
    if plan.steps and not plan.needs_finish:
        return _cast(result, plan.dtype)
    result = _finish(plan, result, sizes)
    return backend.set_shape(_cast(result, plan.dtype), plan.output_shape)


def bind(plan: Plan, dtypes: Sequence[str]) -> Callable[..., Any]:
    """Return what runs the plan on operands of these dtypes.

    One convolution of the backend, with nothing before or after it, is called directly: in eager
    mode looking at what needn't be done takes as long as a small convolution.
    """
    if (
        plan.target.mode == "eager"
        and [s.lowering for s in plan.steps] == ["native"]
        and plan.steps[0].step.inputs == (0, 1)
        and {*dtypes, plan.compute_dtype} == {plan.dtype}
        and not (plan.has_empty or plan.needs_finish or any(plan.needs_preparation))
        and len(plan.problem.operands) == len(dtypes)
    ):
        return native.bind(plan.steps[0].step, _sizes(plan, ()))
    return plan.run


def _cast(x: Any, dtype: str) -> Any:
    return x if dtype_name(x) == dtype else ops.cast(x, dtype)


def _empty(plan: Plan, operands: tuple[Any, ...]) -> Any:
    """Return zeros of the right shape, still connected to the operands for gradients."""
    shape = tuple(_output_shape(plan, _sizes(plan, operands)))
    zero = fill_value(SEMIRING_FILL[plan.problem.semiring], plan.dtype)
    result = ops.full(shape, zero, dtype=plan.dtype)
    for x in operands:
        result = connected(result, x)
    return result


def _sizes(plan: Plan, operands: tuple[Any, ...]) -> Sizes:
    cached = plan._cache.get("sizes")
    if cached is not None:
        return cached
    if not plan.is_open:
        sizes = Sizes(plan.sizes, {})
        plan._cache["sizes"] = sizes
        return sizes
    return _open_sizes(plan, operands)


def _open_sizes(plan: Plan, operands: tuple[Any, ...]) -> Sizes:
    """Return sizes as scalars of the graph where planning couldn't know them."""
    names: dict[str, Any] = dict(plan.sizes)
    windows: dict[str, tuple[Any, Any, Any]] = {}
    spec, problem = plan.problem.spec, plan.problem
    backend = current()
    for side, places, x in zip(spec.operands, problem.operands, operands, strict=True):
        iterator = iter(places)
        axis = 0
        for item in side:
            if isinstance(item, Leading):
                for _ in range(len(x.shape) - len(side) + 1):
                    place = str(next(iterator))
                    if names[place] is None:
                        names[place] = backend.size(x, axis)
                    axis += 1
                continue
            if isinstance(item, Group):
                factors = [str(next(iterator)) for _ in item.names]
                unknown = [f for f in factors if names[f] is None]
                if len(unknown) == 1:
                    rest = prod(names[f] for f in factors if f != unknown[0])
                    names[unknown[0]] = backend.size(x, axis) // max(rest, 1)
            elif not isinstance(item, One):
                place = next(iterator)
                if isinstance(place, SizedWindow):
                    _open_window(plan, place, backend.size(x, axis), names, windows)
                elif names[place] is None:
                    names[place] = backend.size(x, axis)
            axis += 1
    for window in problem.output_windows:
        if window.size is None:
            low, high = window.pads
            assert window.taps is not None
            reach = geometry.effective_kernel_size(window.taps, window.dilation)
            whole = window.stride * (names[window.position] - 1) + reach
            windows[window.axis] = (whole - low - high, low, high)
    return Sizes(names, windows)


def _open_window(
    plan: Plan,
    window: SizedWindow,
    size: Any,
    names: dict[str, Any],
    windows: dict[str, tuple[Any, Any, Any]],
) -> None:
    if window.size is not None:
        return
    assert window.taps is not None
    reach = geometry.effective_kernel_size(window.taps, window.dilation)
    low, high = window.pads
    if low is None or high is None:
        count = (size + window.stride - 1) // window.stride
        total = current().at_least((count - 1) * window.stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        low, high = (small, large) if window.padding == "same" else (large, small)
    positions = (size + low + high - reach) // window.stride + 1
    positions = current().check_open_size(
        positions,
        1,
        f"pattern '{plan.pattern}': axis '{window.position}': the kernel is larger than the "
        "padded input, so that no output is left. Try: more padding, or a smaller kernel.",
    )
    if names.get(window.position) is None:
        names[window.position] = positions
    windows[window.axis + "<"] = (size, low, high)
    # Steps see the axis as it is once other pads than zeros have been made real.
    real = needs_real_pads(window, plan.problem)
    windows[window.axis] = (size + low + high if real else size, low, high)


def _prepare(plan: Plan, index: int, x: Any, sizes: Sizes) -> Any:
    """Split groups, drop ones, and make real every pad that the steps don't do themselves."""
    places = plan.problem.operands[index]
    shape = [_original(p, sizes) for p in places]
    x = reshape(x, shape)
    borders: dict[float, list[Border]] = {}
    for axis, place in enumerate(places):
        if isinstance(place, SizedWindow) and needs_real_pads(place, plan.problem):
            size, pads = place.size, place.pads
            if size is None:
                size, low, high = sizes.windows[place.axis + "<"]
                pads = Pads(low, high)
            value = fill_value(plan.problem.padding_value, plan.compute_dtype)
            if "renormalize" in place.mode:
                value = 0
            borders.setdefault(value, []).append(Border(axis, size, pads, place.mode))
    for value, alike in borders.items():
        x = pad_borders(x, alike, value)
    return x


def _original(place: Place, sizes: Sizes) -> Any:
    if isinstance(place, SizedWindow) and place.size is None:
        return sizes.windows[place.axis + "<"][0]
    return sizes.of(place)


def _renormalization(plan: Plan, window: SizedWindow, sizes: Sizes) -> Any:
    from convsmith.planner.plan import renormalization

    low, size, positions = window.pads.low, window.size, window.positions
    if low is None or size is None or positions is None:
        key = window.axis + ("" if window.written else "<")
        size, low, _ = sizes.windows[key]
        positions = sizes.names[window.position]
        start: Any = ops.arange(positions, dtype="int32")
        taps: Any = ops.arange(window.taps, dtype="int32")
        reads: Any = ops.expand_dims(start * window.stride - low, 1) + window.dilation * taps
        inside: Any = ops.sum(
            ops.cast(ops.logical_and(reads >= 0, reads < size), plan.compute_dtype), axis=1
        )
        most: Any = ops.maximum(inside, 1)
        return ops.where(inside > 0, window.taps / most, ops.zeros_like(most))
    values = renormalization(window, low, size, positions)
    return ops.convert_to_tensor(values, dtype=plan.compute_dtype)


def _finish(plan: Plan, y: Any, sizes: Sizes) -> Any:
    """Fold back what lies beyond the edges, broadcast output-only names, group and reshape."""
    problem = plan.problem
    flat = list(plan.flat_output)
    axis = 0
    for window in problem.output_windows:
        if not window.plain_padding:
            axis = flat.index(written_window(window))
            if window.size is None:
                raise ShapeError(
                    f"pattern '{plan.pattern}': padding_mode={window.mode[0]!r} on a written "
                    "window needs a known size. Try: a fixed input shape."
                )
            y = unpad_axis(y, Border(axis, window.size, window.pads, window.mode), problem.semiring)
    places = list(problem.output)
    if len(flat) != len(places):
        shape = [
            sizes.of(p) if not isinstance(p, SizedWindow) else _written_size(p, sizes)
            for p in places
        ]
        known = [p if isinstance(p, str) else written_window(p) for p in places]
        y = permute(y, [flat.index(p) for p in known if p in flat])
        y = reshape(y, [s if p in flat else 1 for p, s in zip(known, shape, strict=True)])
        y = ops.broadcast_to(y, tuple(shape))
    return reshape(y, _output_shape(plan, sizes))


def _written_size(window: SizedWindow, sizes: Sizes) -> Any:
    return window.size if window.size is not None else sizes.windows[window.axis][0]


def _output_shape(plan: Plan, sizes: Sizes) -> list[Any]:
    problem = plan.problem
    if not plan.is_open:
        return list(plan.output_shape)
    shape: list[Any] = []
    places = iter(problem.output)
    for item in problem.spec.output:
        if isinstance(item, One):
            shape.append(1)
        elif isinstance(item, Leading):
            count = len(problem.output_shape) - len(problem.spec.output) + 1
            shape.extend(sizes.of(next(places)) for _ in range(count))
        elif isinstance(item, Group):
            shape.append(size_product([sizes.of(next(places)) for _ in item.names]))
        else:
            place = next(places)
            if isinstance(item, Window) and isinstance(place, SizedWindow):
                shape.append(_written_size(place, sizes))
            else:
                shape.append(sizes.of(place))
    return shape

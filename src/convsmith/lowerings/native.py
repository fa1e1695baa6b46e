"""`native`: the backend's own convolution, after naming each axis by its part in it.

An axis that the data and the output share is *batch*; data, kernel and output: *group*; data and
kernel: *depth* (summed channels); kernel and output: *features*. One kernel per sample is thereby
a grouped convolution over the batch, and depthwise one with no depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from keras import ops

from convsmith.lowerings.backend import current
from convsmith.lowerings.base import Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import reduce_to
from convsmith.lowerings.tensors import crop_or_extend, permute, reshape, size_product
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step

name = "native"


@dataclass(frozen=True)
class Form:
    """The part that each axis plays; `data` is the index of the operand with the windows."""

    data: int
    windows: tuple[SizedWindow, ...]
    batch: tuple[Place, ...]
    group: tuple[Place, ...]
    depth: tuple[Place, ...]
    features: tuple[Place, ...]
    shared: tuple[Place, ...]
    transposed: bool
    channels_first: bool
    groups: int | None
    depth_size: int | None
    features_size: int | None

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.windows)

    @property
    def depthwise(self) -> bool:
        """Whether nothing is summed but taps."""
        return self.depth_size == 1 and (self.groups or 2) > 1


def supports(step: Step, target: Target) -> Support:
    """One data operand with every window, one kernel with every tap, nothing unusual."""
    if step.semiring != "sum_product":
        return Support(False, f"the backend has no convolution over {step.semiring}")
    form = analyze(step)
    if isinstance(form, str):
        return Support(False, form)
    return current().conv_support(form, target)


def analyze(step: Step) -> Form | str:
    """Return the parts of the axes, or the reason why the backend's convolution can't do it."""
    form = step.notes.get(name)
    if form is None:
        form = step.notes[name] = _analyze(step)
    return form


def _analyze(step: Step) -> Form | str:
    operands, output = step.operands, step.output
    if len(operands) != 2:
        return "there is no kernel operand"
    read, written = step.input_windows, step.output_windows
    if read and written:
        return "windows are read and written in one step"
    windows = read or written
    if not windows:
        return "there is no window"
    data = _data_operand(operands, windows, bool(written))
    if data is None:
        return "the windows aren't all on one operand with the taps on the other"
    x, kernel = operands[data], operands[1 - data]
    if any(w.taps is None for w in windows):
        return "the number of taps is unknown"
    spatial = {n for w in windows for n in (w.position, w.tap)} | set(windows)
    for window in windows:
        if window.position in kernel:
            return f"the kernel changes with the position '{window.position}'"
        if read and window.tap in output:
            return f"taps '{window.tap}' are kept in the output"
        if read and window.position not in output:
            return f"positions '{window.position}' are summed"
        if written and (window.tap in x or {window.tap, window.position} & set(output)):
            return "a position or tap is also a plain axis of the data or the output"
    plain_x = [p for p in x if p not in spatial]
    plain_k = [p for p in kernel if p not in spatial]
    batch = [p for p in plain_x if p not in plain_k and p in output]
    group = [p for p in plain_x if p in plain_k and p in output]
    depth = [p for p in plain_x if p in plain_k and p not in output]
    features = [p for p in plain_k if p not in plain_x and p in output]
    first = min(x.index(w if read else w.position) for w in windows)
    shared: list[Place] = []
    if not depth and not group:
        # One kernel for all channels: repeating the small kernel beats moving the data's channels.
        shared = [p for p in batch if x.index(p) > first and not isinstance(p, SizedWindow)]
        batch = [p for p in batch if p not in shared]
    channels = [*group, *shared, *depth]
    firsts = bool(channels) and all(x.index(c) < first for c in channels)

    def size_of(names: list[Place]) -> int | None:
        sizes = [step.size(n) for n in names]
        return None if any(s is None for s in sizes) else prod(s or 0 for s in sizes)

    return Form(
        data=data,
        windows=tuple(sorted(windows, key=lambda w: x.index(w if read else w.position))),
        batch=tuple(batch),
        group=(*group, *shared),
        depth=tuple(depth),
        features=tuple(features),
        shared=tuple(shared),
        transposed=bool(written),
        channels_first=firsts,
        groups=size_of([*group, *shared]),
        depth_size=size_of(depth),
        features_size=size_of(features),
    )


def _data_operand(
    operands: tuple[tuple[Place, ...], ...], windows: tuple[SizedWindow, ...], written: bool
) -> int | None:
    for data in (0, 1):
        x, kernel = operands[data], operands[1 - data]
        if not all(w.tap in kernel for w in windows):
            continue
        if written and all(w.position in x for w in windows):
            return data
        if not written and all(w in x and w not in kernel for w in windows):
            return data
    return None


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Bring both operands to the canonical form, call the backend, bring the result back."""
    form = analyze(step)
    assert isinstance(form, Form)
    x, kernel = operands[form.data], operands[1 - form.data]
    x = _data(form, step, sizes, x)
    kernel, shape = _kernel(form, step, sizes, kernel)
    result = current().conv(form, x, kernel, shape)
    return _result(form, step, sizes, result)


def _spatial(form: Form) -> list[Place]:
    return [w.position if form.transposed else w for w in form.windows]


def _merged(names: tuple[Place, ...] | list[Place], sizes: Sizes) -> Any:
    return size_product(sizes.of(n) for n in names)


def _data(form: Form, step: Step, sizes: Sizes, x: Tensor) -> Tensor:
    places = list(step.operands[form.data])
    spatial = _spatial(form)
    keep = {*form.batch, *spatial, *form.group, *form.depth}
    x, places = reduce_to(x, places, keep, "sum_product")  # type: ignore[arg-type]
    channels = [*form.group, *form.depth]
    order = (
        [*form.batch, *channels, *spatial]
        if form.channels_first
        else [*form.batch, *spatial, *channels]
    )
    x = permute(x, [places.index(p) for p in order])
    batch, depth = _merged(form.batch, sizes), _merged(channels, sizes)
    middle = [sizes.of(p) for p in spatial]
    shape = [batch, depth, *middle] if form.channels_first else [batch, *middle, depth]
    if len(form.batch) == 1 and len(channels) == 1:
        return x
    return reshape(x, shape)


def _kernel(form: Form, step: Step, sizes: Sizes, kernel: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
    """Return the kernel with its axes in the order of the canonical form, and the form's shape.

    The shape is [taps..., groups, depth, features]. The backend reshapes, at most once.
    """
    places = list(step.operands[1 - form.data])
    taps = [w.tap for w in form.windows]
    own_group = [p for p in form.group if p not in form.shared]
    keep = {*taps, *own_group, *form.depth, *form.features}
    kernel, places = reduce_to(kernel, places, keep, "sum_product")  # type: ignore[arg-type]
    order = [*taps, *own_group, *form.depth, *form.features]
    kernel = permute(kernel, [places.index(p) for p in order])
    flipped = [i for i, w in enumerate(form.windows) if w.flipped]
    if flipped:
        kernel = ops.flip(kernel, axis=tuple(flipped))
    counts = [w.taps for w in form.windows]
    depth, features = _merged(form.depth, sizes), _merged(form.features, sizes)
    if form.shared:
        groups = _merged(form.shared, sizes)
        kernel = ops.repeat(reshape(kernel, [*counts, 1, 1, features]), groups, axis=len(taps))
    else:
        groups = _merged(form.group, sizes)
    return kernel, (*counts, groups, depth, features)


def _result(form: Form, step: Step, sizes: Sizes, y: Tensor) -> Tensor:
    spatial: list[Place] = [w if form.transposed else w.position for w in form.windows]
    channels = [*form.group, *form.features]
    natural = (
        [*form.batch, *channels, *spatial]
        if form.channels_first
        else [*form.batch, *spatial, *channels]
    )
    if form.transposed:
        for i, window in enumerate(form.windows):
            axis = i + (2 if form.channels_first else 1)
            y = crop_or_extend(y, axis, window.pads.low, window.pads.high, 0.0)
    if len(form.batch) != 1 or len(channels) != 1:
        y = reshape(y, [sizes.of(p) for p in natural])
    return permute(y, [natural.index(p) for p in step.output])

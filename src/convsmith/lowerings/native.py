"""`native`: the backend's own convolution, after naming each axis by its part in it.

An axis that the data and the output share is *batch*; data, kernel and output: *group*; data and
kernel: *depth* (summed channels); kernel and output: *features*. One kernel per sample is thereby
a grouped convolution over the batch, and depthwise one with no depth.

An axis of the batch that stands among the spatial ones stays there, *idle*: a spatial axis with one
tap. Moving it away takes longer than the convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from keras import ops

from convsmith.geometry import Pads
from convsmith.lowerings.amounts import (
    LANES,
    Features,
    item_size,
    operand_bytes,
    output_bytes,
    padded_bytes,
    patch_bytes,
    round_up,
)
from convsmith.lowerings.backend import current
from convsmith.lowerings.base import Sizes, Support, Target, Tensor
from convsmith.lowerings.contract import reduce
from convsmith.lowerings.tensors import crop_or_extend_all, permute, reshape, size_product
from convsmith.problem import Place, SizedWindow
from convsmith.rewrites import EXCHANGED
from convsmith.steps import Step, assumed, elements

name = "native"

IDLE = "1"
"""The tap of an idle axis: no name."""

MOST_RANK = 2
"""Up to how many spatial axes an idle one is worth it: volumes have slower kernels, or none."""

BUSY = 4e7
"""More multiply-adds than this keep a matrix product at its full speed."""

NARROW = 64
"""Fewer products of channels than this don't fill the vectors of a matrix product."""


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
    idle: tuple[Place, ...] = ()
    """Neighbouring places that are one more spatial axis, whose window has the tap `IDLE`."""

    def data_places(self, window: SizedWindow) -> tuple[Place, ...]:
        """Return the places of the data that a window is."""
        if window.tap == IDLE:
            return self.idle
        return (window.position if self.transposed else window,)

    def output_places(self, window: SizedWindow) -> tuple[Place, ...]:
        """Return the places of the output that a window is."""
        if window.tap == IDLE:
            return self.idle
        return (window if self.transposed else window.position,)

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
    form = _form(step)
    if isinstance(form, str):
        return Support(False, form)
    return current().conv_support(form, target)


def analyze(step: Step) -> Form | str:
    """Return the parts of the axes, or the reason why the backend's convolution can't do it."""
    form = step.notes.get(name)
    if form is None:
        form = step.notes[name] = _analyze(step)
    return form


def _form(step: Step) -> Form | str:
    """Return the parts of the axes with those that stay in place idle."""
    key = f"{name} form"
    form = step.notes.get(key)
    if form is None:
        form = analyze(step)
        form = step.notes[key] = form if isinstance(form, str) else _with_idle(form, step)
    return form


def _with_idle(form: Form, step: Step) -> Form:
    data, output = step.operands[form.data], step.output
    order = {place: index for index, place in enumerate(data)}
    # A batch at the front is merged for nothing; so are channels that share a kernel at the end.
    front = next((i for i, p in enumerate(data) if p not in form.batch), len(data))
    inside = [p for p in form.batch if order[p] >= front]
    last = max(order[p] for w in form.windows for p in form.data_places(w))
    behind = [p for p in form.shared if order[p] > last]
    if not inside and len(behind) > 1:
        inside = behind[:-1]
    run = sorted(inside, key=order.__getitem__)
    places = [order[p] for p in run]
    if not run or places != list(range(places[0], places[-1] + 1)) or form.rank >= MOST_RANK:
        return form
    if [p for p in output if p in run] != run:
        return form
    sizes = [step.size(p) for p in run]
    size = None if any(n is None for n in sizes) else prod(n or 0 for n in sizes)
    alike = form.windows[0]
    # As dilated as the others, which changes nothing for one tap and everything for some kernels.
    window = SizedWindow(
        IDLE, IDLE, 1, alike.dilation, False, size, size, 1, Pads(0, 0), "valid", alike.mode
    )
    windows = [*form.windows, window]
    form = replace(form, idle=tuple(run))
    windows.sort(key=lambda w: order[form.data_places(w)[0]])
    shared = tuple(p for p in form.shared if p not in run)
    group = tuple(p for p in form.group if p not in run)
    groups = [step.size(p) for p in group]
    return replace(
        form,
        windows=tuple(windows),
        batch=tuple(p for p in form.batch if p not in run),
        shared=shared,
        group=group,
        groups=None if any(n is None for n in groups) else prod(n or 0 for n in groups),
    )


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
    if group and not batch and x.index(group[0]) < first:
        # A kernel per sample: the samples are in front already.
        firsts = firsts or current().SAMPLES_FIRST

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


@dataclass(frozen=True)
class Move:
    """How one tensor gets from one order of axes to another: sum, transpose, flip, reshape."""

    summed: tuple[int, ...]
    order: tuple[int, ...]
    flipped: tuple[int, ...]
    shape: tuple[Any, ...] | None

    @property
    def unless_idle(self) -> Move | None:
        """This move, or None if it changes nothing."""
        ordered = self.order == tuple(range(len(self.order)))
        idle = ordered and not self.summed and not self.flipped and self.shape is None
        return None if idle else self

    def __call__(self, x: Tensor) -> Tensor:
        x = reduce("sum_product", x, self.summed)
        x = permute(x, self.order)
        if self.flipped:
            x = ops.flip(x, axis=self.flipped)
        return x if self.shape is None else reshape(x, self.shape)


@dataclass(frozen=True)
class Moves:
    """Everything between a step and its canonical form, worked out once where sizes are known.

    `kernel_shape` is [taps..., groups, depth, features]; the backend reshapes, at most once.
    """

    data: Move
    kernel: Move
    kernel_shape: tuple[Any, ...]
    copies: Any
    result_shape: tuple[Any, ...] | None
    result_order: tuple[int, ...]


def run(step: Step, sizes: Sizes, operands: tuple[Tensor, ...]) -> Tensor:
    """Bring both operands to the canonical form, call the backend, bring the result back."""
    return bind(step, sizes)(*operands)


def bind(step: Step, sizes: Sizes) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function of both operands that `run` calls; what can be worked out is, once."""
    call = step.notes.get("native call")
    if call is None:
        call = _bound(step, sizes)
        if sizes.known:  # Scalars of a graph mean nothing in the next one.
            step.notes["native call"] = call
    return call


def _bound(step: Step, sizes: Sizes) -> Callable[[Tensor, Tensor], Tensor]:
    form = _form(step)
    assert isinstance(form, Form)
    moves = _moves(form, step, sizes)
    to_data, to_kernel = moves.data.unless_idle, moves.kernel.unless_idle
    convolve = current().conv(form, moves.kernel_shape)
    cropped = form.transposed and current().crops(form, moves.kernel_shape)

    def call(one: Tensor, other: Tensor) -> Tensor:
        x, kernel = (other, one) if form.data else (one, other)
        if to_data is not None:
            x = to_data(x)
        if to_kernel is not None:
            kernel = to_kernel(kernel)
        if form.shared:
            kernel = ops.repeat(kernel, moves.copies, axis=form.rank)
        y = convolve(x, kernel)
        return y if as_is else finish(y)

    def finish(y: Tensor) -> Tensor:
        if form.transposed and not cropped:
            first = 2 if form.channels_first else 1
            y = crop_or_extend_all(y, first, [w.pads for w in form.windows])
        if moves.result_shape is not None:
            y = reshape(y, moves.result_shape)
        return permute(y, moves.result_order)

    in_order = moves.result_order == tuple(range(len(moves.result_order)))
    as_is = in_order and moves.result_shape is None and not form.transposed
    return call


def _moves(form: Form, step: Step, sizes: Sizes) -> Moves:
    def merged(names: Sequence[Place]) -> Any:
        return size_product(sizes.of(n) for n in names)

    def laid_out(channels: Sequence[Place], spatial: Sequence[Place]) -> list[Place]:
        if form.channels_first:
            return [*form.batch, *channels, *spatial]
        return [*form.batch, *spatial, *channels]

    spatial = [p for w in form.windows for p in form.data_places(w)]
    channels = [*form.group, *form.depth]
    batch, middle = merged(form.batch), [merged(form.data_places(w)) for w in form.windows]
    shape = (
        (batch, merged(channels), *middle)
        if form.channels_first
        else (batch, *middle, merged(channels))
    )
    single = len(form.batch) == 1 and len(channels) == 1 and len(form.idle) < 2
    data = _move(
        step.operands[form.data], laid_out(channels, spatial), (), None if single else shape
    )

    live = [w for w in form.windows if w.tap != IDLE]
    own_group = [p for p in form.group if p not in form.shared]
    order = [*(w.tap for w in live), *own_group, *form.depth, *form.features]
    flipped = tuple(i for i, w in enumerate(live) if w.flipped)
    counts = [w.taps for w in form.windows]
    copies, features = merged(form.shared), merged(form.features)
    expanded = (*counts, 1, 1, features) if form.shared else None
    kernel = _move(step.operands[1 - form.data], order, flipped, expanded)
    groups = copies if form.shared else merged(form.group)

    written = [p for w in form.windows for p in form.output_places(w)]
    outward = [*form.group, *form.features]
    natural = laid_out(outward, written)
    plain = len(form.batch) == 1 and len(outward) == 1 and len(form.idle) < 2
    return Moves(
        data=data,
        kernel=kernel,
        kernel_shape=(*counts, groups, merged(form.depth), features),
        copies=copies,
        result_shape=None if plain else tuple(sizes.of(p) for p in natural),
        result_order=tuple(natural.index(p) for p in step.output),
    )


def _move(
    places: Sequence[Place],
    order: Sequence[Place],
    flipped: tuple[int, ...],
    shape: tuple[Any, ...] | None,
) -> Move:
    kept = [p for p in places if p in order]
    return Move(
        summed=tuple(i for i, p in enumerate(places) if p not in order),
        order=tuple(kept.index(p) for p in order),
        flipped=flipped,
        shape=shape,
    )


def features(step: Step, target: Target) -> Features:
    """Multiply-adds by class: backends have kernels of very different speed for each."""
    form = _form(step)
    assert isinstance(form, Form)
    groups, depth, columns = (
        assumed(n) for n in (form.groups, form.depth_size, form.features_size)
    )
    macs = float(step.macs)
    if EXCHANGED in step.notes:
        macs_by_class = {"macs.exchanged": macs}
    elif form.transposed:
        kind = "depthwise" if form.depthwise else "grouped" if groups > 1 else "dense"
        if kind == "dense" and depth * columns < NARROW:
            kind = "narrow"
        kind = "volume" if form.rank > 2 else kind
        # XLA fills the strides with zeros and multiplies those too.
        spread = _spread(form) if target.by_xla else 1.0
        macs *= spread
        if kind == "dense" and macs >= BUSY:
            kind = "busy"
        macs_by_class = {f"macs.transposed_{kind}": macs}
        if kind == "grouped":
            # Small groups are as many small products, which take as long each.
            macs_by_class["calls.transposed_products"] = macs / (depth * columns)
    elif form.depthwise:
        kind = "depthwise" if _even(form) else "depthwise_general"
        if columns > 1 or groups < LANES:
            kind += "_odd"
        elif form.rank != 2 and any(w.dilation > 1 for w in form.windows):
            kind += "_dilated"
        elif form.channels_first:
            kind += "_first"
        macs_by_class = {f"macs.{kind}": macs}
    elif groups > 1:
        wasted = round_up(depth, 4) * round_up(columns, LANES) / max(depth * columns, 1)
        macs_by_class = {
            "macs.grouped": macs,
            "macs.grouped_padded": macs * wasted,
            "calls.groups": float(groups),
        }
    else:
        wasted = round_up(depth, 4) * round_up(columns, LANES) / max(depth * columns, 1)
        kind = "volume" if form.rank > 2 else "dense"
        if depth * columns < NARROW:
            kind, wasted = "narrow", 1.0  # Hardly a matrix product: other kernels, or none.
        elif all(w.taps == 1 for w in form.windows):
            kind = "pointwise"
        elif any(w.dilation > 1 for w in form.windows):
            kind += "_dilated"
        macs_by_class = {f"macs.{kind}": macs * wasted}
    return {
        "calls": 1.0,
        "bytes": operand_bytes(step, target) + output_bytes(step, target),
        "bytes.moved": _moved_bytes(form, step, target),
        **macs_by_class,
    }


def workspace(step: Step, target: Target) -> int:
    """Return the bytes of transposed copies, and of what XLA is known to make on a CPU: a padded
    copy, and patches where there are groups.
    """
    form = _form(step)
    if not isinstance(form, Form):
        return 0
    total = _moved_bytes(form, step, target)
    if target.by_xla and target.device == "cpu":
        total += padded_bytes(step, target)
        if form.groups != 1 and not form.depthwise:
            total += 1.2 * patch_bytes(step, target)
    return int(total)


def _even(form: Form) -> bool:
    """Whether the axes are alike, as special depthwise kernels want them."""
    strides = {w.stride for w in form.windows}
    dilations = {w.dilation for w in form.windows}
    alike = len(strides) == 1 and len(dilations) == 1
    return form.rank <= 2 and alike and (strides == {1} or dilations == {1})


def _spread(form: Form) -> float:
    return float(prod(w.stride for w in form.windows))


def _moved_bytes(form: Form, step: Step, target: Target) -> float:
    """Return the bytes of data and result that must be transposed, or are in an odd layout."""
    spatial = [p for w in form.windows for p in form.data_places(w)]
    written = [p for w in form.windows for p in form.output_places(w)]
    channels, outward = [*form.group, *form.depth], [*form.group, *form.features]

    def natural(axes: Sequence[Place], own: Sequence[Place]) -> list[Place]:
        return [*form.batch, *axes, *own]

    total = 0.0
    data = step.operands[form.data]
    if [p for p in data if p in natural(spatial, channels)] != natural(spatial, channels):
        total += item_size(target.dtype) * elements(step.operand_shape(form.data))
    if list(step.output) != natural(written, outward):
        total += output_bytes(step, target)
    return total

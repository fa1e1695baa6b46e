"""TensorFlow: its convolutions and what they can't do, and how to tell the execution mode."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import control_flow_util

from convsmith.direct.library import processor
from convsmith.lowerings import tensorflow_direct
from convsmith.lowerings.base import YES, Product, Support, Target
from convsmith.lowerings.borders import Border, gathered, pad_each, unpad_each
from convsmith.lowerings.planes import in_planes
from convsmith.lowerings.tensors import reshape

if TYPE_CHECKING:
    from convsmith.lowerings.native import Form

NAME = "tensorflow"
Tensor = Any


def is_tensor(x: Any) -> bool:
    """Whether `x` is a TensorFlow tensor or variable."""
    return isinstance(x, (tf.Tensor, tf.Variable))


def mode(operands: tuple[Any, ...]) -> str:
    """Return "eager", "xla" or "graph"."""
    if tf.executing_eagerly():
        return "eager"
    # A private module, but the only place that knows; checked over jit_compile in all nestings.
    graph = tf.compat.v1.get_default_graph()
    return "xla" if control_flow_util.GraphOrParentsInXlaContext(graph) else "graph"


def shapes(operands: tuple[Any, ...]) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes of tensors, None for what a graph leaves open."""
    return tuple([tuple(x.shape.as_list()) for x in operands])


def known_shapes(operands: tuple[Any, ...]) -> tuple[tuple[int | None, ...], ...]:
    """Return the shapes of tensors with every size that can be fixed now: no more than those."""
    return shapes(operands)


def opaque(function: Any) -> Any:
    """Return `function` such that AutoGraph doesn't rewrite its Python."""
    return tf.autograph.experimental.do_not_convert(function)


@cache
def device() -> str:
    """Return the kind of device that TensorFlow would use."""
    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def spread() -> bool:
    """Return whether the compiler splits calls over devices: never, strategies split batches."""
    return False


def size(x: Tensor, axis: int) -> Any:
    """Return the size of an axis, as a scalar tensor where the graph leaves it open."""
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else known


def at_least(size: Any, minimum: int) -> Any:
    """Return a size, or `minimum` if it is smaller."""
    return tf.maximum(size, minimum) if isinstance(size, tf.Tensor) else max(size, minimum)


def held_dtype(dtype: str) -> str:
    """Return the dtype that a tensor made as `dtype` has: itself."""
    return dtype


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, in the dtype of both."""
    return tf.matmul(a, b)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger entries, in the dtype of both."""
    return tf.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller entries, in the dtype of both."""
    return tf.minimum(a, b)


def pad(x: Tensor, widths: list[tuple[Any, Any]], value: float) -> Tensor:
    """Return `x` with constant padding."""
    return tf.pad(x, widths, constant_values=tf.cast(value, x.dtype))


def rfft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum of real numbers along the last axis, filled with zeros to `points`."""
    return tf.signal.rfft(x, [points])


def irfft(x: Tensor, points: int) -> Tensor:
    """Return the `points` real numbers whose spectrum lies along the last axis."""
    return tf.signal.irfft(x, [points])


def fft(x: Tensor, points: int) -> Tensor:
    """Return the spectrum along the last axis, filled with zeros to `points`."""
    missing = points - x.shape[-1]
    if missing:
        x = tf.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, missing]])
    return tf.signal.fft(x)


def ifft(x: Tensor) -> Tensor:
    """Return what the last axis is the spectrum of."""
    return tf.signal.ifft(x)


def take_block(x: Tensor, axis: int, start: Any, count: Any) -> Tensor:
    """Return `count` entries of an axis from a computed place on."""
    begin = [start if i == axis else 0 for i in range(len(x.shape))]
    sizes = [count if i == axis else size(x, i) for i in range(len(x.shape))]
    return tf.slice(x, begin, sizes)


def loop(rounds: Any, body: Any, start: Tensor) -> Tensor:
    """Return what `body(round, state)` makes of a tensor in so many rounds."""
    _, result = tf.while_loop(
        lambda i, state: i < rounds,
        lambda i, state: (i + 1, body(i, state)),
        (tf.constant(0), start),
        maximum_iterations=rounds,
    )
    return result


def pad_reading(x: Tensor, borders: tuple[Border, ...], value: float) -> Tensor:
    """Return `x` with borders that read other entries; TensorFlow's gradients would scatter."""

    def pad_all(x: Tensor) -> Tensor:
        result = gathered(x, borders, lambda x, at, axis: tf.gather(x, at, axis=axis))
        return pad_each(x, borders, value) if result is None else result

    if not (x.dtype.is_floating or x.dtype.is_complex):
        return pad_all(x)

    @tf.custom_gradient
    def padded(x: Tensor) -> Any:
        return pad_all(x), lambda gradient: _unpad(gradient, borders)

    return padded(x)


MOST_MIRRORED_AXES = 5
"""What TensorFlow's own gradient of mirrored borders takes."""


def _unpad(gradient: Tensor, borders: tuple[Border, ...]) -> Tensor:
    (word, *others) = {m for b in borders for m in b.mode}
    inside = {"reflect": -1, "symmetric": 0}.get(word)
    far = inside is None or any(max(b.pads) > b.size + inside for b in borders)  # type: ignore[type-var]
    if others or far or len(gradient.shape) > MOST_MIRRORED_AXES:
        return unpad_each(gradient, borders)
    widths = [[0, 0] for _ in gradient.shape]
    for border in borders:
        widths[border.axis] = list(border.pads)  # type: ignore[arg-type]
    return tf.raw_ops.MirrorPadGrad(input=gradient, paddings=widths, mode=word.upper())


def linear_gradient(function: Any, shape: tuple[Any, ...], output_gradient: Tensor) -> Tensor:
    """Return the gradient of a linear function of one tensor."""
    argument = tf.zeros(shape, output_gradient.dtype)
    with tf.GradientTape() as tape:
        tape.watch(argument)
        result = function(argument)
    return tape.gradient(result, argument, output_gradients=output_gradient)


def map_entries(function: Any, one: Tensor, other: Tensor) -> Tensor:
    """Return what a function makes of each entry of two tensors, stacked."""
    if tf.executing_eagerly():
        pairs = zip(tf.unstack(one), tf.unstack(other), strict=True)
        return tf.stack([function(a, b) for a, b in pairs])
    return tf.map_fn(lambda pair: function(*pair), (one, other), fn_output_signature=one.dtype)


def compiled(function: Any) -> Any:
    """Return the function: only the user decides what becomes a graph."""
    return function


def bilinear(product: Product, one: Tensor, other: Tensor) -> Tensor:
    """Return the product of two tensors, with the gradients that it states."""
    if tf.executing_eagerly() and not record.could_possibly_record():
        return product(one, other)  # Stating gradients takes longer than small convolutions.

    @tf.custom_gradient
    def compute(one: Tensor, other: Tensor) -> Any:
        def gradients(output_gradient: Tensor) -> tuple[Tensor, Tensor]:
            return (
                product.gradient(0, output_gradient, other),
                product.gradient(1, output_gradient, one),
            )

        return product(one, other), gradients

    return compute(one, other)


def direct(
    program: tuple[int, ...],
    shape: tuple[Any, ...],
    one: Tensor,
    other: Tensor,
    portable: Callable[..., Any],
) -> Tensor:
    """Return what a program of the compiled kernels makes of two tensors."""
    if mode(()) == "xla":
        return tensorflow_direct.custom_call(program, shape, one, other)
    known = tuple([n if isinstance(n, int) else None for n in shape])
    return set_shape(tensorflow_direct.operation(program, shape, one, other), known)


def settled(tensors: Sequence[Any]) -> bool:
    """Whether tensors are values now, and no gradient of them is recorded."""
    return (
        tf.executing_eagerly()
        and not record.could_possibly_record()
        and all(hasattr(t, "numpy") for t in tensors)
    )


def set_shape(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Tell the graph what planning knows of the shape."""
    if not tf.executing_eagerly() and (x.shape.rank is None or x.shape.as_list() != list(shape)):
        x = tf.ensure_shape(x, shape)
    return x


def check_open_size(found: Any, minimum: int, message: str) -> Any:
    """Return an open size, and stop the graph if it turns out too small.

    TensorFlow would read beyond its memory. Whatever uses the size waits for the check.
    """
    if not isinstance(found, tf.Tensor):
        return found
    least = tf.cast(minimum, found.dtype)
    check = tf.debugging.assert_greater_equal(found, least, message=message)
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(found)


@cache
def _onednn() -> bool:
    """Whether oneDNN is on: without it the plain kernels refuse more.

    By default TensorFlow turns it on only where the processor has instructions for neural
    networks, and it has no public way to say whether it did.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (AttributeError, ImportError):
        return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "0") in ("1", "true")


def conv_support(form: Form, target: Target) -> Support:
    """State what TensorFlow's convolutions refuse, or whose gradients they refuse."""
    if form.rank > 3:
        return Support(False, "TensorFlow has no convolution of rank 4 or more")
    if target.dtype.startswith(("int", "complex")):
        return Support(False, f"TensorFlow's convolutions have no gradient for {target.dtype}")
    if form.groups is None or form.depth_size is None or form.features_size is None:
        return Support(False, "the number of channels or groups is unknown")
    if form.rank == 3 and target.mode != "eager":
        height, width = form.windows[1:]
        if height.dilation != width.dilation and not form.transposed:
            return Support(False, "TensorFlow's graphs confuse the dilations of height and width")
    if target.mode == "xla":
        if form.rank == 3 and form.groups > 1:
            return Support(False, "TensorFlow has no grouped 3-D convolution")
        return YES
    dilated = any(w.dilation > 1 for w in form.windows)
    strided = any(w.stride > 1 for w in form.windows)
    grouped = form.groups > 1
    if target.device == "gpu":
        if dilated and (strided or form.rank == 3):
            return Support(False, "TensorFlow's GPU kernels refuse strides with dilation")
        if form.rank == 3 and grouped:
            return Support(False, "TensorFlow has no grouped 3-D convolution")
        return YES
    if form.rank == 3:
        if grouped:
            return Support(False, "TensorFlow has no grouped 3-D convolution")
        if dilated and not (_onednn() and target.dtype == "float32"):
            return Support(False, "TensorFlow's CPU kernels refuse dilated 3-D convolutions")
        if dilated and form.transposed:
            return Support(False, "TensorFlow's CPU kernels refuse dilated 3-D transposes")
        return YES
    if _depthwise_op(form):
        return YES
    if _single_column(form):
        return Support(False, "oneDNN misreads one channel where the output is a single column")
    if _one_strided_tap(form):
        return Support(False, "oneDNN's kernel gradient of strided single taps breaks memory")
    wide = target.dtype in ("float32", "bfloat16") and _onednn()
    if (grouped or dilated) and not wide:
        return Support(
            False,
            f"TensorFlow's CPU kernels have no gradient for groups or dilation in {target.dtype}",
        )
    return YES


def _single_column(form: Form) -> bool:
    """Whether one channel is convolved to one column, or may be; with short strides it's right."""
    last = form.windows[-1]
    one = form.groups == form.depth_size == 1 and form.rank == 2 and not form.transposed
    return one and last.stride > 2 and last.positions in (1, None)


def _one_strided_tap(form: Form) -> bool:
    """Whether single taps are strided so that TensorFlow's gradient writes anywhere.

    Unequal strides do so on processors with AVX-512; those without do for few channels.
    """
    rows, columns = (w.stride for w in form.windows[-2:]) if form.rank > 1 else (1, 1)
    unsafe = rows != columns or (rows > 1 and (form.depth_size or 1) < 8)
    return unsafe and all(w.taps == 1 for w in form.windows)


def _depthwise_op(form: Form) -> bool:
    strides = {w.stride for w in form.windows}
    dilations = {w.dilation for w in form.windows}
    return (
        form.depthwise
        and not form.transposed
        and form.rank <= 2
        and len(strides) == 1
        and len(dilations) == 1
        and (strides == {1} or dilations == {1})
    )


Convolve = Callable[[Tensor, Tensor], Tensor]


SAMPLES_FIRST = False
"""Where a kernel per sample is fastest: with the samples among the channels, innermost."""


def conv(form: Form, shape: tuple[int, ...]) -> Convolve:
    """Return the convolution of a canonical form, by way of planes under XLA on a CPU."""
    if form.rank == 3 and mode(()) == "xla" and device() == "cpu":
        return in_planes(_conv, form, shape)
    return _conv(form, shape)


def _conv(form: Form, shape: tuple[int, ...]) -> Convolve:
    """Return TensorFlow's convolution; 1-D is 2-D with one row."""
    rank = form.rank
    strides = [w.stride for w in form.windows]
    dilations = [w.dilation for w in form.windows]
    pads = [(0, 0) if form.transposed else tuple(w.pads) for w in form.windows]
    if rank == 1:
        row = strides[0] if _depthwise_op(form) else 1
        across = dilations[0] if _depthwise_op(form) else 1
        strides, dilations, pads = [row, *strides], [across, *dilations], [(0, 0), *pads]
        shape = (1, *shape)
    make = _transposed if form.transposed else _forward
    inner = make(form, shape, strides, dilations, pads)
    if rank > 1 and not form.channels_first:
        return inner

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        if form.channels_first:
            # The CPU kernels want channels last; XLA and the GPU move the transposition away.
            x = tf.transpose(x, [0, *range(2, rank + 2), 1])
        y = inner(tf.expand_dims(x, 1), kernel) if rank == 1 else inner(x, kernel)
        if rank == 1:
            y = tf.squeeze(y, 1)
        return tf.transpose(y, [0, rank + 1, *range(1, rank + 1)]) if form.channels_first else y

    return call


def _forward(
    form: Form,
    shape: tuple[int, ...],
    strides: list[int],
    dilations: list[int],
    pads: list[Any],
) -> Convolve:
    *taps, groups, depth, features = shape
    rank = len(taps)
    sizes = [1] * (rank - form.rank) + [w.size for w in form.windows]
    word: Any = _padding_word(sizes, taps, strides, dilations, pads)
    depthwise = _depthwise_op(form)
    explicit: list[int] = []
    widths = None
    if word is None and rank == 2 and groups == 1 and max(dilations) == 1 and not depthwise:
        word, explicit = "EXPLICIT", [0, 0, *pads[0], *pads[1], 0, 0]
    elif word is None:
        word, widths = "VALID", [[0, 0], *map(list, pads), [0, 0]]
    swapped = (*range(rank), rank + 1, rank, rank + 2)
    full_strides, full_dilations = [1, *strides, 1], [1, *dilations, 1]
    ours = [*taps, groups, features] if depthwise else [*taps, depth, groups * features]

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        if widths is not None:
            x = tf.pad(x, widths)
        if groups > 1 and depth > 1:
            kernel = tf.transpose(reshape(kernel, shape), swapped)
        kernel = reshape(kernel, ours)
        if depthwise:
            return tf.nn.depthwise_conv2d(x, kernel, full_strides, word, dilations=dilations)
        if rank == 3:
            return tf.nn.conv3d(x, kernel, full_strides, word, dilations=full_dilations)
        # Not tf.nn.conv2d, which takes 15 microseconds to bring arguments to this form.
        y = tf.raw_ops.Conv2D(
            input=x,
            filter=kernel,
            strides=full_strides,
            padding=word,
            explicit_paddings=explicit,
            dilations=full_dilations,
        )
        return _unfused(y) if groups > 1 else y

    return call


def _unfused(y: Tensor) -> Tensor:
    """Return the same, kept apart from a bias: the operation for both refuses groups.

    That is so where TensorFlow runs without oneDNN, as on CPUs without AVX-512.
    """
    return y if tf.executing_eagerly() else tf.ensure_shape(y, y.shape)


def _padding_word(
    sizes: Any, taps: list[int], strides: list[int], dilations: list[int], pads: list[Any]
) -> str | None:
    """Return TensorFlow's word for these pads, or None if it has none."""
    if all(p == (0, 0) for p in pads):
        return "VALID"
    for n, k, s, d, (low, high) in zip(sizes, taps, strides, dilations, pads, strict=True):
        reach = d * (k - 1) + 1
        if s == 1:
            total = reach - 1
        elif n is None:
            return None
        else:
            total = max((-(-n // s) - 1) * s + reach - n, 0)
        if (low, high) != (total // 2, total - total // 2):
            return None
    return "SAME"


def _transposed(
    form: Form,
    shape: tuple[int, ...],
    strides: list[int],
    dilations: list[int],
    pads: list[Any],
) -> Convolve:
    """Return the adjoint, cropped where `crops` says so."""
    *taps, groups, depth, features = shape
    rank = len(taps)
    # The filter of the convolution whose adjoint this is: [taps, features, groups * depth].
    order = [*range(rank), rank + 2, rank, rank + 1]
    full_strides, full_dilations = [1, *strides, 1], [1, *dilations, 1]
    cropped = [w.size for w in form.windows] if crops(form, shape) else None
    word = "VALID" if cropped is None else "SAME"

    def call(x: Tensor, kernel: Tensor) -> Tensor:
        spatial = cropped or [
            s * (size(x, i + 1) - 1) + d * (k - 1) + 1
            for i, (k, s, d) in enumerate(zip(taps, strides, dilations, strict=True))
        ]
        kernel = tf.transpose(reshape(kernel, shape), order)
        kernel = reshape(kernel, [*taps, features, groups * depth])
        full: Any = [size(x, 0), *spatial, groups * features]
        if rank == 3:
            return tf.nn.conv3d_transpose(
                x, kernel, full, full_strides, "VALID", dilations=full_dilations
            )
        return tf.nn.conv2d_transpose(x, kernel, full, strides, word, dilations=dilations)

    return call


def crops(form: Form, shape: tuple[int, ...]) -> bool:
    """Whether a transposed convolution leaves away what lies beyond the edges by itself.

    TensorFlow's word for it saves both directions a copy; explicit numbers are slower than none.
    """
    *taps, _, _, _ = shape
    sizes = [w.size for w in form.windows]
    strides = [w.stride for w in form.windows]
    if None in sizes or any(w.positions != -(-(w.size or 0) // w.stride) for w in form.windows):
        return False
    pads = [tuple(w.pads) for w in form.windows]
    dilations = [w.dilation for w in form.windows]
    return form.rank == 2 and _padding_word(sizes, taps, strides, dilations, pads) == "SAME"


def sums_halves_wide(target: Target) -> bool:
    """Whether the native convolutions sum half precision in float32."""
    if target.device == "gpu":
        return True
    # Of oneDNN's kernels those for bfloat16 do, which need AVX-512; TensorFlow's own don't.
    return target.dtype == "bfloat16" and _onednn() and "avx512" in processor()

"""`conv`: one notation for every convolution; `plan` and `explain` say what it will do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from convsmith.apart import MOST_ENTRIES, forget, separated
from convsmith.direct.builder import watchers as direct_watchers
from convsmith.dtypes import adopt, host_dtype
from convsmith.errors import ArgumentError, UnsupportedError, compose
from convsmith.lowerings.backend import current
from convsmith.lowerings.running import MODES
from convsmith.lowerings.tensors import dtype_name
from convsmith.operands import shape_of, to_tensors
from convsmith.planner import Plan, wisdom
from convsmith.planning import Options, frozen, planned
from convsmith.separation import SEPARABLE

MOST_PLANS = 4096

_PLANNED_AS: dict[tuple[str, str | None], str] = {("jax", "eager"): "jit"}
"""Eager calls that are compiled as a whole."""


_plans: dict[Any, Callable[..., Any]] = {}
"""What runs the plan of each call that was made."""


def conv(
    pattern: str,
    *operands: Any,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    semiring: str = "sum_product",
    accumulate_dtype: str | None = None,
    lowering: str | None = None,
    max_workspace_bytes: int | None = None,
    **sizes: int,
) -> Any:
    """Compute any convolution, written as an equation over named axes.

    ``b (2h+kh) i, kh i o -> b h o`` is
    ``out[b,h,o] = sum over kh,i of x[b, 2h+kh, i] * kernel[kh,i,o]``.

    Args:
        pattern: operands, ``->`` and output; `convsmith.notation` has the grammar.
        *operands: tensors of the backend in use, symbolic Keras tensors, NumPy arrays or lists,
            of the shapes that the pattern says. JAX holds float64 arrays as float32 unless its
            x64 mode is on.
        padding: ``"valid"``, ``"same"`` (TensorFlow's), ``"same_lower"``, ``"full"``,
            ``"causal"``, an int, ``(low, high)``, or a dict of these by window position, such as
            ``{"h": "same", "w": (1, 2)}``. Negative amounts crop.
        padding_mode: what lies beyond the edges: ``"constant"``, ``"edge"``, ``"reflect"``,
            ``"symmetric"``, ``"wrap"`` (NumPy's words) or ``"renormalize"`` (zeros, then rescaled
            by the share of taps inside); a pair for the two sides, or a dict by window position.
        padding_value: fill of ``"constant"``; the semiring's zero unless given.
        semiring: ``"sum_product"``, ``"max_plus"`` (dilation) or ``"min_plus"`` (erosion).
        accumulate_dtype: dtype of the sums; float32 for half precision unless given.
        lowering: None lets the planner choose; a name forces one. Kernels that come as arrays or
            lists and are outer products are convolved line after line where that is faster;
            ``"separable"`` forces it.
        max_workspace_bytes: the most memory to use beside the operands and the result, gradients
            each counted apart; no lowering that is known to need more is chosen.
        **sizes: sizes of axes (``kh=3``) and values of named coefficients (``s=2``).

    Returns:
        A tensor of the output's shape, in the promoted dtype of the operands.

    Raises:
        PatternError: the pattern is malformed, or a size can't be found.
        ShapeError: operands that don't fit, or an output that would be empty.
        ArgumentError: an argument with a value that no call accepts.
        DtypeError: dtypes that can't be combined exactly.
        UnsupportedError: the forced lowering can't compute this.

    Example:
        >>> import numpy as np
        >>> x = np.arange(5.0, dtype="float32").reshape(1, 5, 1)
        >>> y = conv("b (h+kh) i, kh i o -> b h o", x, np.ones((2, 1, 1), "float32"))
        >>> np.asarray(y).ravel().tolist()
        [1.0, 3.0, 5.0, 7.0]
    """
    backend = current()
    tensors = operands
    # A plain tuple: the compilers that `_compute_opaque` hides from know no other.
    options = (
        padding,
        padding_mode,
        padding_value,
        semiring,
        accumulate_dtype,
        lowering,
        max_workspace_bytes,
    )
    if not all(map(backend.is_tensor, operands)):
        if any(isinstance(x, keras.KerasTensor) for x in operands):
            arguments = {**Options(*options)._asdict(), **sizes}
            return PatternOperation(pattern, arguments)(*operands)
        tensors = to_tensors(operands)
        mode = backend.mode(tensors)
        if mode != "compiled":  # torch.compile can't look into arrays.
            separate = separated if mode in ("eager", "jit") else _apart_opaque
            dtypes = [dtype_name(x) for x in tensors]
            found = separate(pattern, tensors, operands, dtypes, mode, options, sizes)
            if found is not None:
                pattern, operands, options = found
                tensors = to_tensors(operands)
    mode = backend.mode(tensors)
    # Compilers that rewrite or follow Python must not enter the planning.
    compute = _compute if mode in ("eager", "jit") else _compute_opaque
    return compute(tensors, mode, pattern, options, sizes)


def _compute(
    tensors: tuple[Any, ...],
    mode: str,
    pattern: str,
    options: tuple[Any, ...],
    sizes: Mapping[str, int],
) -> Any:
    backend = current()
    shapes = backend.shapes(tensors)
    padding, padding_mode, *others = options
    key = (
        pattern,
        shapes,
        tuple([x.dtype for x in tensors]),
        mode,
        backend.spread(),
        padding if isinstance(padding, (str, int)) else frozen(padding),
        padding_mode if isinstance(padding_mode, str) else frozen(padding_mode),
        *others,
        tuple(sizes.items()) if sizes else (),
    )
    try:
        found = _plans.get(key)
    except TypeError:
        found, key = None, None  # Something unhashable: planning says what is wrong with it.
    if found is None:
        dtypes = [dtype_name(x) for x in tensors]
        try:
            made = _new_plan(pattern, list(shapes), dtypes, mode, options, sizes)
        except UnsupportedError:
            # PyTorch leaves sizes open that it knows, such as the taps of a kernel.
            known = backend.known_shapes(tensors)
            if known == shapes:
                raise
            made, key = _new_plan(pattern, list(known), dtypes, mode, options, sizes), None
        found = made.bound(dtypes)
        if key is not None:
            if len(_plans) >= MOST_PLANS:
                _plans.clear()
            _plans[key] = found
    return found(*tensors)


# Also loads the backend now: a compiler that traces the first call can't follow an import.
_compute_opaque = current().opaque(_compute)


def plan(
    pattern: str,
    *operands: Any,
    dtype: str | None = None,
    mode: str | None = None,
    padding: Any = "valid",
    padding_mode: Any = "constant",
    padding_value: float | None = None,
    semiring: str = "sum_product",
    accumulate_dtype: str | None = None,
    lowering: str | None = None,
    max_workspace_bytes: int | None = None,
    **sizes: int,
) -> Plan:
    """Return what `conv` would do, without doing it.

    Args:
        pattern: as in `conv`.
        *operands: tensors, arrays, or plain shapes (tuples of ints and None).
        dtype: dtype of operands given as shapes; Keras's default float unless given.
        mode: "eager", "graph", "xla" (TensorFlow), "jit" (JAX, whose eager calls are compiled,
            too), "eager", "compiled" (PyTorch); the mode of this call unless given.
        padding: this and all others as in `conv`.

    Returns:
        A `Plan`: ``print(plan)`` shows shape arithmetic, cost and choices. The plan of an array
        that is convolved line after line takes its lines: ``plan.pattern`` has them.

    Raises:
        PatternError, ShapeError, ArgumentError, DtypeError, UnsupportedError: as in `conv`.

    Example:
        >>> plan("b (h+kh) i, kh i o -> b h o", (None, 5, 1), (2, 1, 4)).output_shape
        (None, 4, 4)
    """
    default = dtype or keras.backend.floatx()
    mode = _PLANNED_AS.get((current().NAME, mode), mode)
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
    chosen = mode or current().mode(())
    options = Options(
        padding,
        padding_mode,
        padding_value,
        semiring,
        accumulate_dtype,
        lowering,
        max_workspace_bytes,
    )
    dtypes = _dtypes(operands, default)
    found = None
    if chosen != "compiled":
        found = separated(pattern, operands, operands, dtypes, chosen, options, sizes)
    if found is not None:
        pattern, operands, options = found
        dtypes = _dtypes(operands, default)
    return _new_plan(pattern, [shape_of(x) for x in operands], dtypes, chosen, options, sizes)


def _dtypes(operands: tuple[Any, ...], default: str) -> list[str]:
    """Return the dtypes that operands will have as tensors; shapes have the default."""
    hosts = (np.ndarray, np.generic, list)
    known = [
        None if isinstance(x, hosts) else default if isinstance(x, tuple) else dtype_name(x)
        for x in operands
    ]
    own = [d for d in known if d is not None]
    return [
        d or (adopt(host_dtype(x), own) if own else host_dtype(x))
        for d, x in zip(known, operands, strict=True)
    ]


def explain(pattern: str, *operands: Any, **arguments: Any) -> None:
    """Print the plan of `conv` for these arguments.

    Raises:
        PatternError, ShapeError, ArgumentError, DtypeError, UnsupportedError: as in `plan`.

    Example:
        >>> explain("b (h+kh) i, kh i o -> b h o", (1, 5, 1), (2, 1, 4))  # doctest: +ELLIPSIS
        pattern   b (h+kh) i, kh i o -> b h o
        ...
    """
    print(plan(pattern, *operands, **arguments))


def _new_plan(
    pattern: str,
    shapes: list[tuple[int | None, ...]],
    dtypes: list[str],
    mode: str,
    options: Sequence[Any],
    sizes: Mapping[str, int],
) -> Plan:
    given = Options(*options)
    if given.lowering == SEPARABLE:
        raise UnsupportedError(
            compose(
                f"lowering={SEPARABLE!r}",
                f"can't take the kernel of '{pattern}' apart",
                expected="a kernel that is an outer product of lines, given as a NumPy array or "
                f"list of at most {MOST_ENTRIES:,} finite real numbers, and float32 or float64 "
                "sums, not under torch.compile",
                fix="the sum of convolutions with the lines of convsmith.kernels.separate",
            ),
            argument="lowering",
            value=given.lowering,
        )
    if _recorder is not None:
        call = _Call(pattern, tuple(shapes), tuple(dtypes), given, tuple(sizes.items()))
        _recorder.append(call)
    return planned(pattern, shapes, dtypes, mode, given, sizes)


_apart_opaque = current().opaque(separated)


class _Call(NamedTuple):
    """The arguments of a call that was planned: enough to plan it again."""

    pattern: str
    shapes: tuple[tuple[int | None, ...], ...]
    dtypes: tuple[str, ...]
    options: Options
    sizes: tuple[tuple[str, int], ...]

    def __call__(self, mode: str) -> Plan:
        """Return the plan of the call in a mode."""
        pattern, shapes, dtypes, options, sizes = self
        return _new_plan(pattern, list(shapes), list(dtypes), mode, options, dict(sizes))


_recorder: list[_Call] | None = None


@contextmanager
def recording() -> Iterator[list[_Call]]:
    """Yield a list that every call of `conv` is put on, planned anew.

    Example:
        >>> with recording() as calls:
        ...     _ = conv("b (h+kh), kh -> b h", np.ones((1, 5)), np.ones(2))
        >>> calls[0].shapes
        ((1, 5), (2,))
    """
    global _recorder
    _plans.clear()
    _recorder = calls = []
    try:
        yield calls
    finally:
        _recorder = None


# What was measured since, or forgotten, may change what is chosen.
for _watchers in (wisdom.watchers, direct_watchers):
    _watchers.extend([_plans.clear, forget])


@keras.saving.register_keras_serializable(package="convsmith")
class PatternOperation(keras.Operation):
    """`conv` as a node of a functional model; made by calling `conv` on symbolic tensors.

    Example:
        >>> x = keras.Input((5, 1))
        >>> conv("b (h+kh) i, kh i o -> b h o", x, np.ones((2, 1, 4))).shape
        (None, 4, 4)
    """

    def __init__(self, pattern: str, arguments: Mapping[str, Any], name: str | None = None) -> None:
        super().__init__(name=name)
        self.pattern = pattern
        self.arguments = {k: _plain(v) for k, v in arguments.items()}

    def call(self, *operands: Any) -> Any:
        """Return the convolution of concrete tensors."""
        return conv(self.pattern, *operands, **self.arguments)

    def compute_output_spec(self, *operands: Any) -> Any:
        """Return the symbolic result."""
        tensors = [x for x in operands if isinstance(x, keras.KerasTensor)]
        shapes = [tuple(x.shape) if hasattr(x, "shape") else np.shape(x) for x in operands]
        own = [str(x.dtype) for x in tensors]
        dtypes = [
            dtype_name(x)
            if current().is_tensor(x) or isinstance(x, keras.Variable)
            else str(x.dtype)
            if isinstance(x, keras.KerasTensor)
            else adopt(host_dtype(x), own)
            for x in operands
        ]
        given = {k: v for k, v in self.arguments.items() if k in Options._fields}
        sizes = {k: v for k, v in self.arguments.items() if k not in Options._fields}
        options = Options(**given)
        if options.lowering == SEPARABLE:
            options = options._replace(lowering=None)  # What is taken apart has the same shape.
        made = _new_plan(self.pattern, shapes, dtypes, current().mode(()), options, sizes)
        return keras.KerasTensor(made.output_shape, dtype=made.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the pattern and the arguments of `conv`."""
        return {"pattern": self.pattern, "arguments": self.arguments, "name": self.name}


def _plain(value: Any) -> Any:
    """Return a value that JSON keeps: a tuple comes back as a list, which means the same."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value

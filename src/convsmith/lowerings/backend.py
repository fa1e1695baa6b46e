"""The backend in use: one module per framework, loaded when the first tensor needs it.

Each of `tensorflow.py`, `jax.py` and `torch.py` has the same few names:

    NAME                         the backend's name
    is_tensor(x)                 whether x is this backend's tensor
    mode(operands)               "eager" | "graph" | "xla" | "jit" | "compiled"
    device()                     "cpu" | "gpu" | "tpu"
    spread()                     whether the compiler splits calls over several devices
    shapes(operands)             their shapes, None where a graph leaves a size open
    known_shapes(operands)       the same, with all sizes fixed that can be fixed now
    opaque(function)             the function, hidden from compilers that rewrite Python
    size(x, axis)                an int, or a scalar where a graph leaves it open
    at_least(size, minimum)      the larger of a size and an int
    held_dtype(dtype)            the dtype that a tensor made as that has
    matmul, maximum, minimum     in the dtype of both (Keras's turn float64 to float32 on PyTorch)
    pad(x, widths, value)        constant padding, widths may be scalars
    take_block(x, axis, start, n) n entries from a computed place on
    loop(rounds, body, start)    a loop of the graph over one tensor
    pad_reading(x, borders, value) padding that reads other entries, on axes of known sizes
    linear_gradient(f, shape, g) the gradient of a linear function of one tensor
    map_entries(function, a, b)  what a function makes of each pair of entries, stacked
    compiled(function)           the function, compiled where that is always better
    bilinear(product, a, b)      a product of two tensors with the gradients that it states
    direct(program, shape, a, b, portable)   what a program of the compiled kernels makes of both
    conv_support(form, target)   what the backend's own convolution can't do
    conv(form, shape)            the backend's own convolution on a canonical form: (x, kernel) -> y
    check_open_size(...)         the runtime check where a graph leaves a size open
    rfft(x, points), irfft       real transforms along the last axis, and their inverse
    fft(x, points), ifft(x)      complex transforms along the last axis, and their inverse
    set_shape(x, shape)          tell a graph what planning knows
    settled(tensors)             whether they are values that no trace or gradient watches
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from convsmith.errors import UnsupportedError, compose

BACKENDS = ("tensorflow", "jax", "torch")


_module: ModuleType | None = None


def current() -> ModuleType:
    """Return the module of Keras's backend.

    Raises:
        UnsupportedError: Keras runs on a backend that convsmith doesn't know.
    """
    # A plain global: compilers that trace through Python can follow it, unlike a cache.
    return _module if _module is not None else _load()


def _load() -> ModuleType:
    import keras

    global _module
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise UnsupportedError(
            compose(
                f"KERAS_BACKEND={name!r}",
                "is not supported",
                expected=f"one of {', '.join(map(repr, BACKENDS))}",
                fix="KERAS_BACKEND=tensorflow in the environment",
            ),
            argument="backend",
            value=name,
        )
    _module = import_module(f"convsmith.lowerings.{name}")
    return _module

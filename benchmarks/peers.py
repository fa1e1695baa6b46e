"""The bare backends' own ways to do the work, called as their documentation says.

Each function here returns the candidates of all backends. PyTorch comes twice: channels first, and
channels last in memory. Frameworks are imported when a candidate runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.candidates import Candidate

TENSORFLOW, JAX = "bare TensorFlow", "bare JAX"
FIRST, LAST = "bare PyTorch, channels first", "bare PyTorch, channels last"
SPATIAL = {1: "t", 2: "h w", 3: "z h w"}
TAPS = {1: "k", 2: "kh kw", 3: "kz kh kw"}
LETTERS = {1: "W", 2: "HW", 3: "DHW"}

Function = Callable[..., Any]


def amounts(padding: str, size: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return what a padding word adds before and after."""
    reach = dilation * (taps - 1) + 1
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def tensorflow_conv(strides: int, dilation: int, padding: str) -> Function:
    """Return TensorFlow's convolution; groups follow from the channels."""

    def run(x: Any, kernel: Any) -> Any:
        import tensorflow as tf

        word: Any = padding.upper()
        if padding == "causal":
            low = dilation * (kernel.shape[0] - 1)
            x, word = tf.pad(x, [(0, 0), (low, 0), (0, 0)]), "VALID"
        if len(x.shape) == 4:
            return tf.nn.conv2d(x, kernel, strides, word, dilations=dilation)
        return tf.nn.convolution(x, kernel, strides, word, dilations=dilation)

    return run


def tensorflow_depthwise(padding: str) -> Function:
    """Return TensorFlow's depthwise convolution, which is 2-D only."""

    def run(x: Any, kernel: Any) -> Any:
        import tensorflow as tf

        ones = [1, 1, 1, 1]
        if len(x.shape) == 4:
            return tf.nn.depthwise_conv2d(x, kernel, ones, padding.upper())
        low = kernel.shape[0] - 1 if padding == "causal" else 0
        word = "VALID" if padding == "causal" else padding.upper()
        x = tf.pad(x, [(0, 0), (low, 0), (0, 0)]) if low else x
        return tf.nn.depthwise_conv2d(x[:, None], kernel[None], ones, word)[:, 0]

    return run


def jax_conv(strides: int, dilation: int, padding: str) -> Function:
    """Return XLA's convolution; groups follow from the channels."""

    def run(x: Any, kernel: Any) -> Any:
        from jax import lax

        rank = len(x.shape) - 2
        letters = LETTERS[rank]
        pads = [
            amounts(padding, n, k, strides, dilation)
            for n, k in zip(x.shape[1:-1], kernel.shape[:rank], strict=True)
        ]
        return lax.conv_general_dilated(
            x,
            kernel,
            (strides,) * rank,
            pads,
            rhs_dilation=(dilation,) * rank,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
            feature_group_count=x.shape[-1] // kernel.shape[-2],
        )

    return run


def torch_conv(strides: int, dilation: int, padding: str) -> Function:
    """Return PyTorch's convolution; groups follow from the channels."""

    def run(x: Any, kernel: Any) -> Any:
        import torch.nn.functional as F

        rank = len(x.shape) - 2
        pads = [
            amounts(padding, n, k, strides, dilation)
            for n, k in zip(x.shape[2:], kernel.shape[2:], strict=True)
        ]
        if any(low != high for low, high in pads):
            x = F.pad(x, [n for pair in reversed(pads) for n in pair])
            pads = [(0, 0)] * rank
        function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
        return function(
            x,
            kernel,
            stride=strides,
            padding=tuple(low for low, _ in pads),
            dilation=dilation,
            groups=x.shape[1] // kernel.shape[1],
        )

    return run


def dense(
    rank: int = 2,
    *,
    strides: int = 1,
    dilation: int = 1,
    padding: str = "same",
    grouped: bool = False,
    channels_first: bool = False,
) -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w i, kh kw i o -> b h w o`` (grouped: kernel kh kw i g o)."""
    taps = TAPS[rank]
    kernel = f"{taps} i g o" if grouped else f"{taps} i o"
    features = "(g o)" if grouped else "o"
    return _conv_candidates(
        rank,
        tensorflow_conv(strides, dilation, padding),
        jax_conv(strides, dilation, padding),
        torch_conv(strides, dilation, padding),
        f"{kernel} -> {taps} i {features}",
        f"{kernel} -> {taps} i {features}",
        f"{kernel} -> {features} i {taps}",
        channels_first,
    )


def depthwise(rank: int = 2, *, padding: str = "same") -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w c, kh kw c m -> b h w (c m)``."""
    taps = TAPS[rank]
    kernel = f"{taps} c m"
    return _conv_candidates(
        rank,
        tensorflow_depthwise(padding),
        jax_conv(1, 1, padding),
        torch_conv(1, 1, padding),
        f"{kernel} -> {kernel}",
        f"{kernel} -> {taps} 1 (c m)",
        f"{kernel} -> (c m) 1 {taps}",
        False,
    )


def _conv_candidates(
    rank: int,
    tensorflow: Function,
    jax: Function,
    torch: Function,
    tensorflow_kernel: str,
    jax_kernel: str,
    torch_kernel: str,
    channels_first: bool,
) -> tuple[Candidate, ...]:
    last, first = f"b {SPATIAL[rank]} n", f"b n {SPATIAL[rank]}"
    own = first if channels_first else last
    to_last, to_first = f"{own} -> {last}", f"{own} -> {first}"
    found = [
        Candidate(TENSORFLOW, tensorflow, ("tensorflow",), (to_last, tensorflow_kernel), to_last),
        Candidate(JAX, jax, ("jax",), (to_last, jax_kernel), to_last),
        Candidate(FIRST, torch, ("torch",), (to_first, torch_kernel), to_first),
    ]
    if rank > 1:  # PyTorch has no channels-last memory for sequences.
        operands = (to_first, torch_kernel)
        found.append(Candidate(LAST, torch, ("torch",), operands, to_first, channels_last=True))
    return tuple(found)


def transposed(stride: int) -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w i, kh kw i o -> b (S*h+kh) (S*w+kw) o``, "same"."""

    def tensorflow(x: Any, kernel: Any) -> Any:
        import tensorflow as tf

        batch, height, width, _ = x.shape
        shape: Any = (batch, height * stride, width * stride, kernel.shape[2])
        return tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME")

    def jax(x: Any, kernel: Any) -> Any:
        from jax import lax

        names = ("NHWC", "HWIO", "NHWC")
        turned = kernel[::-1, ::-1]
        return lax.conv_transpose(x, turned, (stride, stride), "SAME", dimension_numbers=names)

    def torch(x: Any, kernel: Any) -> Any:
        import torch.nn.functional as F

        low = (kernel.shape[2] - stride) // 2
        return F.conv_transpose2d(x, kernel, stride=stride, padding=low)

    first = "b h w c -> b c h w"
    operands = (first, "kh kw i o -> i o kh kw")
    return (
        Candidate(
            TENSORFLOW,
            tensorflow,
            ("tensorflow",),
            ("b h w c -> b h w c", "kh kw i o -> kh kw o i"),
        ),
        Candidate(JAX, jax, ("jax",)),
        Candidate(FIRST, torch, ("torch",), operands, first),
        Candidate(LAST, torch, ("torch",), operands, first, channels_last=True),
    )


def separable() -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w c, kh kw c, c o -> b h w o``, "same"."""

    def tensorflow(x: Any, kernel: Any, mixing: Any) -> Any:
        y = tensorflow_depthwise("same")(x, kernel[..., None])
        return tensorflow_conv(1, 1, "same")(y, mixing[None, None])

    def jax(x: Any, kernel: Any, mixing: Any) -> Any:
        y = jax_conv(1, 1, "same")(x, kernel[:, :, None])
        return jax_conv(1, 1, "same")(y, mixing[None, None])

    def torch(x: Any, kernel: Any, mixing: Any) -> Any:
        y = torch_conv(1, 1, "same")(x, kernel)
        return torch_conv(1, 1, "same")(y, mixing[:, :, None, None])

    first = "b h w c -> b c h w"
    operands = (first, "kh kw c -> c 1 kh kw", "c o -> o c")
    return (
        Candidate(TENSORFLOW, tensorflow, ("tensorflow",)),
        Candidate(JAX, jax, ("jax",)),
        Candidate(FIRST, torch, ("torch",), operands, first),
        Candidate(LAST, torch, ("torch",), operands, first, channels_last=True),
    )


def low_rank() -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w i, kh r, kw r, i r, o r -> b h w o``, "same"."""

    def tensorflow(x: Any, rows: Any, columns: Any, inner: Any, outer: Any) -> Any:
        import tensorflow as tf

        y = tf.nn.conv2d(x, inner[None, None], 1, "SAME")
        y = tensorflow_depthwise("same")(y, rows[:, None, :, None])
        y = tensorflow_depthwise("same")(y, columns[None, :, :, None])
        return tf.nn.conv2d(y, tf.transpose(outer)[None, None], 1, "SAME")

    def jax(x: Any, rows: Any, columns: Any, inner: Any, outer: Any) -> Any:
        conv = jax_conv(1, 1, "same")
        y = conv(x, inner[None, None])
        y = conv(conv(y, rows[:, None, None]), columns[None, :, None])
        return conv(y, outer.T[None, None])

    def torch(x: Any, rows: Any, columns: Any, inner: Any, outer: Any) -> Any:
        conv = torch_conv(1, 1, "same")
        y = conv(x, inner[:, :, None, None])
        y = conv(conv(y, rows[:, None, :, None]), columns[:, None, None, :])
        return conv(y, outer[:, :, None, None])

    first = "b h w c -> b c h w"
    operands = (first, "k r -> r k", "k r -> r k", "i r -> r i", "o r -> o r")
    return (
        Candidate(TENSORFLOW, tensorflow, ("tensorflow",)),
        Candidate(JAX, jax, ("jax",)),
        Candidate(FIRST, torch, ("torch",), operands, first),
        Candidate(LAST, torch, ("torch",), operands, first, channels_last=True),
    )


def per_sample(*, mixed: bool = False, padding: str = "valid") -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w i, b kh kw i o -> b h w o``.

    With `mixed` the kernels are mixtures, ``e kh kw i o, b e``.
    """

    def tensorflow(x: Any, *rest: Any) -> Any:
        import tensorflow as tf

        kernel = tf.einsum("ehwio,be->bhwio", *rest) if mixed else rest[0]
        word: Any = padding.upper()

        def one(pair: Any) -> Any:
            return tf.nn.conv2d(pair[0][None], pair[1], 1, word)[0]

        return tf.vectorized_map(one, (x, kernel))

    def jax(x: Any, *rest: Any) -> Any:
        import jax as framework
        import jax.numpy as jnp

        kernel = jnp.einsum("ehwio,be->bhwio", *rest) if mixed else rest[0]
        conv = jax_conv(1, 1, padding)
        return framework.vmap(lambda one, k: conv(one[None], k)[0])(x, kernel)

    def torch(x: Any, *rest: Any) -> Any:
        import torch as framework

        kernel = framework.einsum("eoihw,be->boihw", *rest) if mixed else rest[0]
        batch, features = kernel.shape[:2]
        merged = kernel.reshape(batch * features, *kernel.shape[2:])
        y = torch_conv(1, 1, padding)(x.reshape(1, -1, *x.shape[2:]), merged)
        return y.reshape(batch, features, *y.shape[2:])

    first = "b h w c -> b c h w"
    operands = (first, "b kh kw i o -> b o i kh kw", *(["b e -> b e"] if mixed else []))
    return (
        Candidate("TensorFlow, vectorized_map", tensorflow, ("tensorflow",)),
        Candidate("JAX, vmap", jax, ("jax",)),
        Candidate("PyTorch, a group each", torch, ("torch",), operands, first),
    )


def per_pixel() -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w (g c), b h w kh kw g -> b h w (g c)``, "same"."""

    def tensorflow(x: Any, kernel: Any) -> Any:
        import tensorflow as tf

        batch, height, width, taps, _, groups = kernel.shape
        patches = tf.image.extract_patches(
            x, [1, taps, taps, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"
        )
        patches = tf.reshape(patches, (batch, height, width, taps, taps, groups, -1))
        y = tf.einsum("bhwklgc,bhwklg->bhwgc", patches, kernel)
        return tf.reshape(y, x.shape)

    def jax(x: Any, kernel: Any) -> Any:
        import jax.numpy as jnp
        from jax import lax

        batch, height, width, taps, _, groups = kernel.shape
        names = ("NHWC", "HWIO", "NHWC")
        patches = lax.conv_general_dilated_patches(
            x, (taps, taps), (1, 1), "SAME", dimension_numbers=names
        )
        patches = patches.reshape(batch, height, width, groups, -1, taps, taps)
        return jnp.einsum("bhwgckl,bhwklg->bhwgc", patches, kernel).reshape(x.shape)

    def torch(x: Any, kernel: Any) -> Any:
        import torch as framework
        import torch.nn.functional as F

        batch, channels, height, width = x.shape
        groups, taps = kernel.shape[1:3]
        patches = F.unfold(x, taps, padding=taps // 2)
        patches = patches.reshape(batch, groups, channels // groups, taps, taps, height, width)
        y = framework.einsum("bgcklhw,bgklhw->bgchw", patches, kernel)
        return y.reshape(x.shape)

    first = "b h w c -> b c h w"
    operands = (first, "b h w kh kw g -> b g kh kw h w")
    return (
        Candidate("TensorFlow, extract_patches", tensorflow, ("tensorflow",)),
        Candidate("JAX, patches", jax, ("jax",)),
        Candidate("PyTorch, unfold", torch, ("torch",), operands, first),
    )


def correlation() -> tuple[Candidate, ...]:
    """Return the candidates of ``b h w c, b (h+dh) (w+dw) c -> b h w dh dw``."""

    def tensorflow(x: Any, other: Any) -> Any:
        import tensorflow as tf

        batch, height, width, channels = x.shape
        reach = other.shape[1] - height + 1
        patches = tf.image.extract_patches(
            other, [1, reach, reach, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
        )
        patches = tf.reshape(patches, (batch, height, width, reach, reach, channels))
        return tf.einsum("bhwc,bhwklc->bhwkl", x, patches)

    def torch(x: Any, other: Any) -> Any:
        import torch as framework

        height, width = x.shape[1:3]
        windows = other.unfold(1, other.shape[1] - height + 1, 1)
        windows = windows.unfold(2, other.shape[2] - width + 1, 1)
        return framework.einsum("bhwc,bhwckl->bhwkl", x, windows)

    return (
        Candidate("TensorFlow, extract_patches", tensorflow, ("tensorflow",)),
        Candidate("PyTorch, unfold", torch, ("torch",)),
    )

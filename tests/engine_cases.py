"""Patterns with operand shapes: the rows of the design's table, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from convsmith import reference

PADDINGS = ["valid", "same", "same_lower", "full", "causal", 1, (2, 0), (-1, 2)]
MODES = ["constant", "edge", "reflect", "symmetric", "wrap", "renormalize"]


@dataclass(frozen=True)
class Case:
    """One call of `conv`, with shapes in place of operands."""

    pattern: str
    shapes: tuple[tuple[int, ...], ...]
    arguments: dict[str, Any] = field(default_factory=dict)

    def operands(self, dtype: str = "float32", seed: int = 0) -> list[np.ndarray]:
        """Return random operands, the same at every call."""
        generator = np.random.default_rng(seed)
        if dtype.startswith("int"):
            return [generator.integers(-4, 5, shape).astype(dtype) for shape in self.shapes]
        values = [generator.normal(size=shape) for shape in self.shapes]
        if dtype.startswith("complex"):
            return [(v + 1j * generator.normal(size=v.shape)).astype(dtype) for v in values]
        return [v.astype("float32" if dtype == "bfloat16" else dtype) for v in values]

    def expected(self, operands: list[np.ndarray]) -> np.ndarray:
        """Return the reference's value."""
        return reference.conv(self.pattern, *operands, **self.arguments)

    def gradients(self, operands: list[np.ndarray], cotangent: np.ndarray) -> list[np.ndarray]:
        """Return the reference's gradients."""
        return list(
            reference.gradients(self.pattern, *operands, cotangent=cotangent, **self.arguments)
        )

    def possible(self) -> bool:
        """Whether the reference accepts this call."""
        try:
            self.expected(self.operands())
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        extra = "".join(f", {k}={v!r}" for k, v in self.arguments.items())
        return f"{self.pattern}{extra} on {self.shapes}"


X, K = (2, 6, 7, 3), (3, 2, 3, 4)

ROWS: dict[str, Case] = {
    "dense": Case("b (h+kh) (w+kw) i, kh kw i o -> b h w o", (X, K)),
    "strides and dilation": Case("b (2h+3kh) (2w+3kw) i, kh kw i o -> b h w o", ((2, 9, 9, 3), K)),
    "named coefficients": Case(
        "b (s*h+d*kh) (s*w+d*kw) i, kh kw i o -> b h w o", ((2, 9, 9, 3), K), {"s": 2, "d": 3}
    ),
    "true convolution": Case("b (h-kh) (w-kw) i, kh kw i o -> b h w o", (X, K)),
    "grouped": Case(
        "b (h+kh) (w+kw) (g i), kh kw i g o -> b h w (g o)", ((2, 6, 7, 6), (3, 2, 3, 2, 4))
    ),
    "depthwise": Case("b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)", (X, (3, 2, 3, 2))),
    "separable": Case("b (h+kh) (w+kw) c, kh c, kw c, c o -> b h w o", (X, (3, 3), (2, 3), (3, 4))),
    "low rank": Case(
        "b (h+kh) (w+kw) i, kh r, kw r, i r, o r -> b h w o", (X, (3, 2), (2, 2), (3, 2), (4, 2))
    ),
    "per sample": Case("b (h+kh) (w+kw) i, b kh kw i o -> b h w o", (X, (2, *K))),
    "per pixel": Case(
        "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)",
        ((2, 6, 7, 6), (2, 4, 6, 3, 2, 2)),
    ),
    "locally connected": Case("b (h+kh) (w+kw) i, h w kh kw i o -> b h w o", (X, (4, 6, *K))),
    "mixture": Case("b (h+kh) (w+kw) i, e kh kw i o, b e -> b h w o", (X, (5, *K), (2, 5))),
    "transposed": Case("b h w i, kh kw i o -> b (2h+kh) (2w+kw) o", ((2, 4, 5, 3), K)),
    "unfold": Case("b (h+kh) (w+kw) c -> b h w kh kw c", (X,), {"kh": 3, "kw": 2}),
    "fold": Case("b h w kh kw c -> b (h+kh) (w+kw) c", ((2, 4, 6, 3, 2, 3),)),
    "sum pooling": Case("b (2h+kh) (2w+kw) c -> b h w c", (X,), {"kh": 2, "kw": 2}),
    "correlation": Case("b h w c, b (h+dh) (w+dw) c -> b h w dh dw", ((2, 4, 5, 3), X)),
    "channels first": Case("b i (h+kh) (w+kw), kh kw i o -> b o h w", ((2, 3, 6, 7), K)),
    "five dimensions": Case(
        "b (t+kt) (z+kz) (h+kh) (w+kw) i, kt kz kh kw i o -> b t z h w o",
        ((1, 3, 3, 4, 4, 2), (2, 2, 2, 2, 2, 3)),
    ),
}
"""Every row of the design's table."""

MORE: dict[str, Case] = {
    "leading dots": Case("... (h+kh) i, kh i o -> ... h o", ((2, 2, 6, 3), (3, 3, 4))),
    "grouped transposed": Case(
        "b h w (g i), kh kw o (g i) -> b (2h+kh) (2w+kw) (g o)",
        ((2, 4, 5, 6), (3, 2, 2, 6)),
        {"g": 2},
    ),
    "grouped transposed, 3-D": Case(
        "b z h w (g i), kz kh kw o (g i) -> b (2z+kz) (2h+kh) (2w+kw) (g o)",
        ((1, 2, 2, 3, 4), (2, 2, 2, 2, 4)),
        {"g": 2},
    ),
    "depthwise, 4 axes": Case(
        "b (t+kt) (z+kz) (h+kh) (w+kw) c, kt kz kh kw c m -> b t z h w (c m)",
        ((1, 3, 3, 4, 4, 2), (2, 2, 2, 2, 2, 3)),
    ),
    "gradient of the kernel": Case("b (2h+kh) i, b h o -> kh i o", ((2, 9, 3), (2, 4, 4))),
    "read and written windows": Case(
        "b (h+kh) i, kh mh i o -> b (h+mh) o", ((2, 6, 3), (3, 2, 3, 4))
    ),
    "one bank for all channels": Case("b (h+kh) (w+kw) c, kh kw n -> b h w (c n)", (X, (3, 2, 2))),
    "separable transposed": Case(
        "b h w c, kh c, kw c -> b (2h+kh) (3w-kw) c", ((2, 4, 5, 3), (3, 3), (2, 3))
    ),
    "one position": Case("b (h+kh) i, kh i o -> b h o", ((2, 3, 3), (3, 3, 4))),
    "one tap": Case("b (3h+kh) i, kh i o -> b h o", ((2, 8, 3), (1, 3, 4))),
    "output only": Case("b (h+kh), kh -> b h n", ((2, 5), (2,)), {"n": 3}),
    "scalar output": Case("h i, h i ->", ((3, 4), (3, 4))),
    "ones": Case("b 1 (h+kh), kh 1 -> b h 1", ((2, 1, 5), (2, 1))),
}


@st.composite
def random_cases(draw: st.DrawFn) -> Case:
    """Draw patterns made from the grammar: any rank, roles and orders of axes, paddings, modes."""

    def flag(one_in: int = 3) -> bool:
        return draw(st.integers(1, one_in)) == 1

    rank = draw(st.sampled_from([1, 1, 2, 2, 2, 3]))
    positions = ["h", "w", "z"][:rank]
    sizes = {"b": draw(st.integers(0, 3)), "g": 2, "i": draw(st.integers(1, 3)), "e": 2, "o": 3}
    taps = {f"k{p}": draw(st.integers(1, 4)) for p in positions}
    windows, counts = {}, {}
    for p in positions:
        stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        sign = "-" if flag(4) else "+"
        windows[p] = f"({stride}*{p}{sign}{dilation}*k{p})"
        counts[p] = draw(st.integers(1, 9 if rank < 3 else 5))
    transposed, grouped, features = flag(), flag(), not flag(4)
    reduced, per_sample = flag(2) or not grouped, flag(5)
    mixed = not transposed and flag(6)

    data = ["b", *positions] if transposed else ["b", *(windows[p] for p in positions)]
    channels = ["g"] * grouped + ["i"] * reduced
    data_shape = [sizes["b"], *(counts[p] for p in positions)]
    if flag():  # One axis that holds all channels.
        data.append(f"({' '.join(channels)})")
        data_shape.append(int(np.prod([sizes[c] for c in channels])))
    else:
        data += channels
        data_shape += [sizes[c] for c in channels]
    kernel = [*taps, *channels, *["o"] * features, *["b"] * per_sample, *["e"] * mixed]
    output = ["b", *((windows[p] for p in positions) if transposed else positions)]
    output += ["g"] * grouped + ["o"] * features
    if grouped and features and flag(2):
        output = [*output[:-2], "(g o)"]

    order = draw(st.permutations(range(len(data))))
    data, data_shape = [data[i] for i in order], [data_shape[i] for i in order]
    kernel = draw(st.permutations(kernel))
    output = draw(st.permutations(output)) if flag(2) else output
    kernel_shape = [{**sizes, **taps}[n] for n in kernel]
    operands = [(data, data_shape), (kernel, kernel_shape)]
    if mixed:
        operands.append((["b", "e"], [sizes["b"], 2]))
    if flag(4):
        operands = operands[::-1]
    pattern = f"{', '.join(' '.join(names) for names, _ in operands)} -> {' '.join(output)}"
    arguments: dict[str, Any] = {"padding": draw(st.sampled_from(PADDINGS))}
    semiring = draw(st.sampled_from(["sum_product"] * 4 + ["max_plus", "min_plus"]))
    if semiring != "sum_product":
        arguments["semiring"] = semiring
    mode = draw(st.sampled_from(MODES[:-1] if arguments.get("semiring") else MODES))
    if mode != "constant":
        arguments["padding_mode"] = mode
    if grouped:
        arguments["g"] = 2
    return Case(pattern, tuple(tuple(s) for _, s in operands), arguments)

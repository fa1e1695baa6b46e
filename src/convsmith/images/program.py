"""What is to be computed for one image plane, apart from its numbers: a chain of passes."""

from __future__ import annotations

from dataclasses import dataclass

BYTES: dict[str, int] = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "float16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
"""The dtypes of images, by what an entry takes."""

LIMITS: dict[str, tuple[int, int]] = {
    "bool": (0, 1),
    "uint8": (0, 2**8 - 1),
    "int8": (-(2**7), 2**7 - 1),
    "uint16": (0, 2**16 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
}
"""What integers are saturated to."""

WIDE = ("int32", "uint32", "float64")
"""Dtypes whose values float32 doesn't hold."""

SIZES = BYTES | {"int64": 8}
"""The same for the dtypes of arithmetic: floats are compared as integers of the same order."""

FIRST = {"sum_product": 0.0, "max_plus": float("-inf"), "min_plus": float("inf")}
"""What a sum of nothing is."""

NARROW = ("uint16", "int16")
"""Dtypes in which sums of small whole numbers are exact; twice as many at a time as of floats."""

FLAT = ("max", "min")
"""Semirings without products: the largest or smallest entry."""

INFINITY = {"int32": 0x7F800000, "int64": 0x7FF0000000000000}
"""Infinity as an integer of the same order; minus infinity is its bitwise complement."""


def nothing(semiring: str, work: str, ordered: bool = False) -> float:
    """Return what a sum of nothing is, in the dtype of the arithmetic."""
    if semiring not in FLAT:
        return 0 if work in NARROW else FIRST[semiring]
    if ordered:
        return ~INFINITY[work] if semiring == "max" else INFINITY[work]
    return LIMITS[work][0 if semiring == "max" else 1]


MOST_UNROLLED = 50
"""Kernels of more taps become loops: machine code of megabytes takes seconds to make."""

Taps = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Stage:
    """A pass: what it combines, and the window of each output."""

    rows: int
    columns: int
    taps: Taps | None = None
    """The entries that are read, in order; all of them if None."""
    semiring: str = "sum_product"
    mirrored: int = 0
    """1 or -1 for a line of which the second half repeats the first, with that sign."""

    @property
    def count(self) -> int:
        """How many entries are read."""
        return self.rows * self.columns if self.taps is None else len(self.taps)


@dataclass(frozen=True)
class Program:
    """What machine code is made for; the numbers of the kernel aren't part of it."""

    source: str
    work: str
    target: str
    step: int
    """How many entries neighbouring pixels are apart: the channels."""
    terms: tuple[tuple[Stage, ...], ...]
    """Sums of chains of passes: one pass alone, or some along rows and one along columns; or a
    single chain of one along columns, which converts what it reads, and one along rows."""
    rounding: str = "even"
    fused: bool = True
    scaled: bool = False
    """Whether results are multiplied by a number for their row and one for their column."""
    bounded: bool = False
    """Whether every sum is a number below 2**31."""
    past: bool = False
    """Whether results are written past the caches, to places that are multiples of a vector."""
    continued: bool = False
    """Whether sums begin with what the target holds."""
    shift: int = 0
    """Sums of whole numbers are so many powers of two too large."""

    @property
    def ordered(self) -> bool:
        """Whether floats are compared as integers."""
        return self.source.startswith("float") and "int" in self.work

    @property
    def whole(self) -> bool:
        """Whether sums are of whole numbers."""
        return self.work in NARROW and self.terms[0][0].semiring == "sum_product"

    @property
    def columns_first(self) -> bool:
        """Whether columns are summed before rows, which takes a few rows of memory."""
        first = self.terms[0][0]
        return len(self.terms[0]) > 1 and first.rows > 1

    @property
    def read_as(self) -> str:
        """The dtype in which tiles are read: the image's, or the arithmetic's after a copy."""
        return self.source if self.columns_first else self.work

    @property
    def margin(self) -> tuple[int, int]:
        """How many more rows and columns of pixels a tile reads than it writes."""
        rows, columns = zip(*(reach(term) for term in self.terms), strict=True)
        return max(rows), max(columns)


def reach(term: tuple[Stage, ...]) -> tuple[int, int]:
    """Return how many more rows and columns a chain of passes reads than it writes."""
    return sum(s.rows - 1 for s in term), sum(s.columns - 1 for s in term)

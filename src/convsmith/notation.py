"""The notation: text such as ``b (2h+kh) i, kh i o -> b h o`` becomes an immutable `Spec`.

    expression := operand ("," operand)* "->" axes
    operand    := axes, at least one
    axes       := (name | "1" | "..." | group | window)*
    group      := "(" name+ ")"
    window     := "(" [coefficient] name ("+" | "-") [coefficient] name ")"
    coefficient:= integer ["*"] | name "*"
    name       := [a-z][a-z0-9_]*

A `Spec` knows the roles of axes but no sizes. Parsing is cached; every error is a `PatternError`
that shows the text with a caret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from convsmith.errors import PatternError

Coefficient = int | str
"""A stride or dilation: a number, or a name whose value is given with the sizes."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One named axis."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class One:
    """An axis of size one without a name."""

    def __str__(self) -> str:
        return "1"


@dataclass(frozen=True, slots=True)
class Leading:
    """``...``: any number of leading axes."""

    def __str__(self) -> str:
        return "..."


@dataclass(frozen=True, slots=True)
class Group:
    """Several named axes that share one place of the shape, the last one running fastest."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"({' '.join(self.names)})"


@dataclass(frozen=True, slots=True)
class Window:
    """A place of the shape that is read at ``stride*position + dilation*tap``.

    `flipped` (a minus sign) reads ``stride*position + dilation*(K-1-tap)``, K the number of taps.
    """

    position: str
    tap: str
    stride: Coefficient = 1
    dilation: Coefficient = 1
    flipped: bool = False

    def __str__(self) -> str:
        sign = "-" if self.flipped else "+"
        return f"({_term(self.stride, self.position)}{sign}{_term(self.dilation, self.tap)})"


Item = Axis | One | Leading | Group | Window


def _term(coefficient: Coefficient, name: str) -> str:
    if coefficient == 1:
        return name
    return f"{coefficient}{name}" if isinstance(coefficient, int) else f"{coefficient}*{name}"


def names_of(item: Item) -> tuple[str, ...]:
    """Return the axis names that an item holds, in order."""
    if isinstance(item, Axis):
        return (item.name,)
    if isinstance(item, Group):
        return item.names
    if isinstance(item, Window):
        return (item.position, item.tap)
    return ()


def format_axes(items: tuple[Item, ...]) -> str:
    """Return the text of one operand."""
    return " ".join(map(str, items))


@dataclass(frozen=True)
class Spec:
    """A parsed pattern: the items of each operand and of the output."""

    operands: tuple[tuple[Item, ...], ...]
    output: tuple[Item, ...]

    def __str__(self) -> str:
        return f"{', '.join(map(format_axes, self.operands))} -> {format_axes(self.output)}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All axis names, in order of first appearance."""
        sides = (*self.operands, self.output)
        return tuple(dict.fromkeys(n for side in sides for item in side for n in names_of(item)))

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names in the output, windows included."""
        return tuple(n for item in self.output for n in names_of(item))

    @cached_property
    def input_windows(self) -> tuple[Window, ...]:
        """Windows on the operands, in order, without repeats."""
        found = (i for side in self.operands for i in side if isinstance(i, Window))
        return tuple(dict.fromkeys(found))

    @cached_property
    def output_windows(self) -> tuple[Window, ...]:
        """Windows on the output (a transposed convolution)."""
        return tuple(i for i in self.output if isinstance(i, Window))

    @cached_property
    def positions(self) -> tuple[str, ...]:
        """Names of window positions: the keys that `padding` and `padding_mode` dicts accept."""
        windows = (*self.input_windows, *self.output_windows)
        return tuple(dict.fromkeys(w.position for w in windows))

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of strides and dilations whose values are given with the sizes."""
        windows = (*self.input_windows, *self.output_windows)
        both = (c for w in windows for c in (w.stride, w.dilation))
        return frozenset(c for c in both if isinstance(c, str))

    @cached_property
    def has_leading(self) -> bool:
        """Whether ``...`` occurs."""
        return any(isinstance(i, Leading) for side in (*self.operands, self.output) for i in side)


_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<arrow>->)|(?P<dots>\.\.\.)|(?P<number>[0-9]+)"
    r"|(?P<name>[a-z][a-z0-9_]*)|(?P<mark>[(),+*-])"
)

_RESERVED = frozenset(
    ("padding", "padding_mode", "padding_value", "semiring", "accumulate_dtype", "lowering")
)

MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def describe_sizes(sizes: Mapping[str, int | None] | None) -> str:
    """Return ``h=4, kh=3`` or ``none``, for the end of an error message."""
    known = [f"{name}={size}" for name, size in (sizes or {}).items() if size is not None]
    return ", ".join(known) or "none"


def pattern_error(
    pattern: str,
    position: int | None,
    problem: str,
    expected: str,
    sizes: Mapping[str, int | None] | None = None,
    length: int = 1,
) -> PatternError:
    """Return the error that shows `pattern` with a caret at `position`."""
    lines = [f"pattern: {problem}; expected {expected}.", f"    {_one_line(pattern)}"]
    if position is not None:
        lines.append("    " + " " * position + "^" * max(length, 1))
    lines.append(f"Sizes known so far: {describe_sizes(sizes)}.")
    return PatternError("\n".join(lines), pattern=pattern, position=position, length=length)


def _one_line(text: str) -> str:
    # One character for one, so that the caret stays under its place.
    return "".join(c if c.isprintable() else " " for c in text)


class _Fault(Exception):
    """A parse failure before the sizes for its message are known (so that it can be cached)."""

    def __init__(self, position: int, problem: str, expected: str, length: int = 1) -> None:
        super().__init__(problem)
        self.position, self.problem, self.expected = position, problem, expected
        self.length = length


def parse(pattern: str, sizes: Mapping[str, int | None] | None = None) -> Spec:
    """Return the `Spec` of a pattern; `sizes` only enrich the error message.

    Raises:
        PatternError: the text breaks the grammar, names an axis twice in one operand, uses a
            name in two roles, or has ``...`` in a place where it can't lead.

    Example:
        >>> str(parse("b (2*h+kh) i, kh i o -> b h o"))
        'b (2h+kh) i, kh i o -> b h o'
    """
    if not isinstance(pattern, str):
        raise PatternError(
            f"pattern: {type(pattern).__name__} is not text; expected a string such as "
            "'b (h+kh) i, kh i o -> b h o'.",
            pattern=repr(pattern),
        )
    result = _parse_cached(pattern)
    if isinstance(result, _Fault):
        raise pattern_error(
            pattern, result.position, result.problem, result.expected, sizes, result.length
        )
    return result


@lru_cache(maxsize=4096)
def _parse_cached(pattern: str) -> Spec | _Fault:
    try:
        return _Parser(pattern).spec()
    except _Fault as fault:
        return fault


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _Fault(
                position,
                f"character {text[position]!r} has no meaning here",
                "lower-case names, integers, '...', '(', ')', '+', '-', '*', ',' or '->'",
            )
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind if kind != "mark" else match.group(), match.group(), position)
        position = match.end()
    yield _Token("end", "", len(text))


class _Parser:
    """Recursive descent over the tokens; remembers where each name stood for later checks."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.index = 0
        self.axes: dict[str, _Token] = {}
        self.symbols: dict[str, _Token] = {}
        self.positions: dict[str, _Token] = {}
        self.taps: dict[str, _Token] = {}

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def advance(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def fail(self, problem: str, expected: str, token: _Token | None = None) -> _Fault:
        at = token or self.token
        return _Fault(at.position, problem, expected, max(len(at.text), 1))

    def spec(self) -> Spec:
        operands = [self.axes_list("an operand")]
        while self.token.kind == ",":
            self.advance()
            operands.append(self.axes_list("an operand"))
        if self.token.kind != "arrow":
            raise self.unexpected("',' or '->'")
        arrow = self.advance()
        operand_names = set(self.axes)
        output = self.axes_list("the output", may_be_empty=True)
        if self.token.kind != "end":
            raise self.unexpected("the end of the pattern: it has one '->' and one output")
        self.check_roles()
        self.check_leading(operands, output, arrow)
        self.check_output(output, operand_names)
        return Spec(tuple(operands), output)

    def unexpected(self, expected: str) -> _Fault:
        if self.token.kind == "end":
            return self.fail("the pattern ends too early", expected)
        return self.fail(f"{self.token.text!r} is out of place", expected)

    def axes_list(self, what: str, may_be_empty: bool = False) -> tuple[Item, ...]:
        items: list[Item] = []
        here: dict[str, _Token] = {}
        while self.token.kind not in (",", "arrow", "end"):
            start = self.token
            item = self.item()
            if isinstance(item, Leading) and items:
                raise self.fail("'...' is not in front", "'...' first in its operand", start)
            for name in names_of(item):
                if name in here:
                    raise self.fail(
                        f"axis '{name}' occurs twice in one operand",
                        "each name once per operand (two names for a diagonal)",
                        self.last_token(name),
                    )
                here[name] = start
            items.append(item)
        if not items and not may_be_empty:
            raise self.fail(f"{what} is empty", "at least one axis (write '1' for a scalar)")
        return tuple(items)

    def last_token(self, name: str) -> _Token:
        seen = range(self.index)
        at = [i for i in seen if self.tokens[i].text == name and self.tokens[i + 1].kind != "*"]
        return self.tokens[at[-1]]

    def item(self) -> Item:
        token = self.advance()
        if token.kind == "name":
            if self.token.kind == "*":
                raise self.fail(
                    f"'{token.text}*' stands outside a window",
                    "coefficients only in a window such as '(s*h+d*kh)'",
                    token,
                )
            self.axes.setdefault(self.checked(token).text, token)
            return Axis(token.text)
        if token.kind == "dots":
            return Leading()
        if token.kind == "number":
            if token.text != "1":
                raise self.fail(
                    f"number {token.text} is not an axis",
                    "a name (its size is given as an argument, such as kh=3) or '1'",
                    token,
                )
            return One()
        if token.kind == "(":
            return self.parenthesis(token)
        self.index -= 1
        raise self.unexpected("a name, '1', '...', a group '(g c)' or a window '(2h+kh)'")

    def checked(self, token: _Token) -> _Token:
        if token.text in _RESERVED:
            raise self.fail(
                f"'{token.text}' is the name of an argument", "another name for this axis", token
            )
        return token

    def parenthesis(self, opening: _Token) -> Item:
        end = self.index
        while self.tokens[end].kind not in (")", "end", "arrow", ",", "("):
            end += 1
        inside = self.tokens[self.index : end]
        if self.tokens[end].kind != ")":
            raise self.fail("this '(' is never closed", "')'", opening)
        if not inside:
            raise self.fail("the parentheses are empty", "names to group, or a window", opening)
        is_window = any(t.kind in ("+", "-", "*") for t in inside) or any(
            a.kind == "number" and b.kind == "name" and a.position + len(a.text) == b.position
            for a, b in pairwise(inside)  # A coefficient, as in '2h'.
        )
        return self.window() if is_window else self.group()

    def group(self) -> Item:
        names: list[str] = []
        while self.token.kind != ")":
            if self.token.kind != "name":
                raise self.unexpected("only names inside a group")
            token = self.checked(self.advance())
            self.axes.setdefault(token.text, token)
            names.append(token.text)
        self.advance()
        return Axis(names[0]) if len(names) == 1 else Group(tuple(names))

    def window(self) -> Window:
        stride, position = self.term()
        if self.token.kind not in ("+", "-"):
            raise self.unexpected("'+' or '-' between the two names of a window")
        flipped = self.advance().kind == "-"
        dilation, tap = self.term()
        if self.token.kind != ")":
            raise self.unexpected("')': a window adds exactly two names, such as '(2h+kh)'")
        self.advance()
        if position.text == tap.text:
            raise self.fail(
                f"window adds '{tap.text}' to itself", "two names, such as '(h+kh)'", tap
            )
        for token, role in ((position, self.positions), (tap, self.taps)):
            self.axes.setdefault(token.text, token)
            role.setdefault(token.text, token)
        return Window(position.text, tap.text, stride, dilation, flipped)

    def term(self) -> tuple[Coefficient, _Token]:
        coefficient: Coefficient = 1
        if self.token.kind == "number":
            number = self.advance()
            # int() refuses thousands of digits with an error of its own: look at the length first.
            if len(number.text) > 10 or not 1 <= int(number.text) <= MAX_NUMBER:
                raise self.fail(
                    f"coefficient {number.text[:20]} is out of range",
                    f"a whole number from 1 to {MAX_NUMBER}",
                    number,
                )
            coefficient = int(number.text)
            if self.token.kind == "*":
                self.advance()
        elif self.token.kind == "name" and self.tokens[self.index + 1].kind == "*":
            symbol = self.checked(self.advance())
            self.symbols.setdefault(symbol.text, symbol)
            coefficient = symbol.text
            self.advance()
        if self.token.kind != "name":
            raise self.unexpected("the name of an axis")
        return coefficient, self.checked(self.advance())

    def check_roles(self) -> None:
        for symbol, token in self.symbols.items():
            if symbol in self.axes:
                raise self.fail(
                    f"'{symbol}' is both an axis and a coefficient",
                    "another name for the stride or dilation",
                    token,
                )
        for tap, token in self.taps.items():
            if tap in self.positions:
                raise self.fail(
                    f"'{tap}' is a position in one window and a tap in another",
                    "the position first and the tap second in every window, such as '(2h+kh)'",
                    token,
                )

    def check_leading(
        self, operands: list[tuple[Item, ...]], output: tuple[Item, ...], arrow: _Token
    ) -> None:
        inside = any(isinstance(i, Leading) for side in operands for i in side)
        outside = any(isinstance(i, Leading) for i in output)
        if inside and not outside:
            raise self.fail(
                "'...' is missing from the output", "'...' first in the output too", arrow
            )
        if outside and not inside:
            raise self.fail("'...' is only in the output", "'...' in at least one operand", arrow)

    def check_output(self, output: tuple[Item, ...], operand_names: set[str]) -> None:
        for window in (i for i in output if isinstance(i, Window)):
            if window.position not in operand_names:
                raise self.fail(
                    f"'{window.position}' is only in a window of the output",
                    f"an operand with the axis '{window.position}' to place there",
                    self.positions[window.position],
                )

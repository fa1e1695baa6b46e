"""The grammar: what each construct becomes, and what each mistake is told."""

from __future__ import annotations

import random
import string
import time

import pytest

from convsmith.errors import ConvsmithError, PatternError
from convsmith.notation import Axis, Group, Leading, One, Window, format_axes, parse
from convsmith.problem import solve
from engine_cases import MODES, MORE, PADDINGS, ROWS

pytestmark = pytest.mark.backend_free


def test_names_operands_and_output() -> None:
    spec = parse("b h i, h i o -> b o")
    assert spec.operands == (
        (Axis("b"), Axis("h"), Axis("i")),
        (Axis("h"), Axis("i"), Axis("o")),
    )
    assert spec.output == (Axis("b"), Axis("o"))
    assert spec.names == ("b", "h", "i", "o")
    assert spec.output_names == ("b", "o")


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("(h+kh)", Window("h", "kh")),
        ("(2h+3kh)", Window("h", "kh", 2, 3)),
        ("(2*h+3*kh)", Window("h", "kh", 2, 3)),
        ("( 2 h + 3 kh )", Window("h", "kh", 2, 3)),
        ("(h-kh)", Window("h", "kh", flipped=True)),
        ("(2h-3kh)", Window("h", "kh", 2, 3, flipped=True)),
        ("(s*h+d*kh)", Window("h", "kh", "s", "d")),
        ("(10h+kh)", Window("h", "kh", 10)),
        ("(h_1+k2)", Window("h_1", "k2")),
    ],
)
def test_windows(text: str, window: Window) -> None:
    spec = parse(f"{text} -> {window.position}", {window.tap: 1, "s": 1, "d": 1})
    assert spec.operands == ((window,),)
    assert spec.input_windows == (window,)
    assert spec.positions == (window.position,)
    written = parse(f"{window.position} -> {text}", {window.tap: 2})
    assert written.output_windows == (window,)


def test_groups_ones_and_dots() -> None:
    spec = parse("... 1 (g i) -> ... (i g)")
    assert spec.operands == ((Leading(), One(), Group(("g", "i"))),)
    assert spec.output == (Leading(), Group(("i", "g")))
    assert spec.has_leading
    assert not parse("a -> a").has_leading
    assert parse("a ->").output == ()


def test_parentheses_around_one_name_are_that_name() -> None:
    assert parse("(a) -> a") == parse("a -> (a)") == parse("a -> a")


def test_a_window_on_two_operands_is_one_window() -> None:
    spec = parse("b (2h+k) i, b (2h+k) i -> b h k")
    assert spec.input_windows == (Window("h", "k", 2),)
    assert spec.positions == ("h",)
    other = parse("b (2h+k) i, b (h+3m) i -> b h k m")
    assert other.input_windows == (Window("h", "k", 2), Window("h", "m", 1, 3))
    assert other.positions == ("h",)


def test_windows_on_both_sides_of_the_arrow() -> None:
    spec = parse("(2x+a) y, a k -> x (3y+d*k)")
    assert spec.input_windows == (Window("x", "a", 2),)
    assert spec.output_windows == (Window("y", "k", 3, "d"),)
    assert spec.positions == ("x", "y")
    assert spec.symbols == {"d"}
    assert spec.names == ("x", "a", "y", "k")
    assert spec.output_names == ("x", "y", "k")


def test_the_largest_coefficient() -> None:
    spec = parse(f"({2**31 - 1}h+1k) -> h")
    assert spec.input_windows == (Window("h", "k", 2**31 - 1, 1),)
    assert str(spec) == "(2147483647h+k) -> h"


def test_named_coefficients_are_symbols() -> None:
    assert parse("(s*h+d*k) -> h", {"k": 3}).symbols == {"s", "d"}
    assert parse("(2h+d*k) -> h", {"k": 3}).symbols == {"d"}


@pytest.mark.parametrize("case", [*ROWS.values(), *MORE.values()], ids=str)
def test_the_text_of_a_spec_parses_to_itself(case: object) -> None:
    pattern, sizes = case.pattern, case.arguments  # type: ignore[attr-defined]
    spec = parse(pattern, sizes)
    again = parse(str(spec), sizes)
    assert again == spec
    assert format_axes(spec.output) == str(spec).split("-> ")[1]


def test_white_space_means_nothing() -> None:
    assert parse("b(2h+kh)i,kh i o->b h o") == parse(" b  ( 2h + kh )  i ,\n kh i o  ->  b h o ")


MISTAKES = [
    # pattern, the text that the caret stands under (and where), problem, what was expected
    ("b h", 3, "ends too early", "'->'"),
    ("b h -> b -> h", 9, "'->' is out of place", "the end of the pattern"),
    ("", 0, "an operand is empty", "at least one axis"),
    (", a -> a", 0, "empty", "at least one axis"),
    ("a, -> a", 3, "empty", "at least one axis"),
    ("a (b -> a", 2, "'(' is never closed", "')'"),
    ("a () -> a", 2, "parentheses are empty", "names to group, or a window"),
    ("a ) -> a", 2, "')' is out of place", "name"),
    ("a ... -> a", 2, "'...' is not in front", "'...' first in its operand"),
    ("a 2 -> a", 2, "number 2 is not an axis", "a name"),
    ("(h+kh+m) -> h", 5, "'+' is out of place", "exactly two names"),
    ("(2h kh) -> h", 4, "out of place", "'+' or '-'"),
    ("(h+) -> h", 3, "')' is out of place", "the name of an axis"),
    ("a A -> a", 2, "character 'A' has no meaning", "lower-case names"),
    ("a $ -> a", 2, "character '$' has no meaning", "lower-case names, integers"),
    ("a -> ... a", 2, "only in the output", "at least one operand"),
    ("a a -> a", 2, "axis 'a' occurs twice in one operand", "each name once per operand"),
    ("(0h+k), k -> h", 1, "coefficient 0", "from 1"),
    ("padding -> padding", 0, "name of an argument", "another name"),
    ("(h+h) -> h", 3, "window adds 'h' to itself", "two names, such as '(h+kh)'"),
    ("(h+kh", 0, "'(' is never closed", "')'"),
    ("(a (b c)) -> a", 0, "'(' is never closed", "')'"),
    ("a (b ... c) -> a", 5, "'...' is out of place", "only names inside a group"),
    ("a (b 1) -> a b", 5, "'1' is out of place", "only names inside a group"),
    ("(1 b) -> b", 1, "'1' is out of place", "only names inside a group"),
    ("a (b b) -> a", 5, "axis 'b' occurs twice", "each name once per operand"),
    ("a (b a) -> a", 5, "axis 'a' occurs twice", "each name once per operand"),
    ("h (h+kh) -> h", 3, "axis 'h' occurs twice", "two names for a diagonal"),
    ("h (h+h*k) -> h", 3, "axis 'h' occurs twice", "two names for a diagonal"),
    ("(h+k) (h+m) -> h", 7, "axis 'h' occurs twice", "each name once per operand"),
    ("s*h -> h", 0, "'s*' stands outside a window", "coefficients only in a window"),
    ("(s*h) -> h", 4, "')' is out of place", "'+' or '-' between the two names"),
    ("(h+1) -> h", 4, "')' is out of place", "the name of an axis"),
    ("(h+k-1) -> h", 4, "'-' is out of place", "a window adds exactly two names"),
    ("(-h+k) -> h", 1, "'-' is out of place", "the name of an axis"),
    ("(2 3h+k) -> h", 3, "'3' is out of place", "the name of an axis"),
    ("(h*2+k) -> h", 3, "'2' is out of place", "the name of an axis"),
    ("(h/2+k) -> h", 2, "character '/' has no meaning", "lower-case names"),
    ("a .. -> a", 2, "character '.' has no meaning", "'...'"),
    ("a > a", 2, "character '>' has no meaning", "'->'"),
    ("a, * -> a", 3, "'*' is out of place", "a name, '1', '...'"),
    ("(padding*h+k) -> h", 1, "'padding' is the name of an argument", "another name"),
    ("(h+semiring) -> h", 3, "'semiring' is the name of an argument", "another name"),
    ("(a lowering) -> a", 3, "'lowering' is the name of an argument", "another name"),
    ("(h+0k) -> h", 3, "coefficient 0", "from 1 to 2147483647"),
    ("(2147483648h+k) -> h", 1, "coefficient 2147483648", "from 1 to 2147483647"),
    (f"({'9' * 9999}h+k) -> h", 1, f"coefficient {'9' * 20} is out of range", "from 1"),
    ("(h*h+k) -> h", 1, "'h' is both an axis and a coefficient", "another name for the stride"),
    ("s (s*h+k) -> h s", 3, "'s' is both an axis and a coefficient", "stride or dilation"),
    ("(h+k), (k+m) -> h", 3, "position in one window and a tap in another", "position first"),
    ("... a -> a", 6, "'...' is missing from the output", "in the output too"),
    ("... a -> a ...", 11, "'...' is not in front", "'...' first in its operand"),
    ("... ... a -> ... a", 4, "'...' is not in front", "'...' first in its operand"),
    ("k -> (h+k)", 6, "'h' is only in a window of the output", "an operand with the axis 'h'"),
    ("a -> b, c", 6, "',' is out of place", "the end of the pattern"),
    ("-> a", 0, "an operand is empty", "write '1' for a scalar"),
    ("a\tb\nA -> a", 4, "character 'A' has no meaning", "lower-case names"),
]


@pytest.mark.parametrize(
    ("pattern", "position", "problem", "expected"), MISTAKES, ids=[m[0][:24] for m in MISTAKES]
)
def test_mistakes_are_shown_with_a_caret(
    pattern: str, position: int, problem: str, expected: str
) -> None:
    with pytest.raises(PatternError) as caught:
        parse(pattern)
    error = caught.value
    assert error.position == position, str(error)
    assert problem in str(error)
    assert expected in str(error)
    shown, caret = str(error).splitlines()[1:3]
    assert shown == "    " + pattern.replace("\t", " ").replace("\n", " ")
    assert caret.index("^") == 4 + position
    assert caret.strip(" ") == "^" * error.length
    assert "expected" in str(error)
    assert error.pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "carets"),
    [
        ("padding -> padding", "^^^^^^^"),
        ("a 234 -> a", "^^^"),
        ("a -> b -> c", "^^"),
        ("a b", "^"),
        ("a (b ... c) -> a", "^^^"),
        ("(s*h+k), s -> h", "^"),
    ],
)
def test_the_carets_span_what_is_to_blame(pattern: str, carets: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse(pattern)
    assert str(caught.value).splitlines()[2].strip() == carets
    assert caught.value.length == len(carets)
    assert caught.value.argument == "pattern"


def test_the_sizes_known_so_far_are_shown() -> None:
    with pytest.raises(PatternError, match=r"Sizes known so far: kh=3, kw=5\."):
        parse("b (h+kh -> b h", {"kh": 3, "kw": 5})
    with pytest.raises(PatternError, match=r"Sizes known so far: none\."):
        parse("b (h+kh -> b h")


def test_a_name_that_only_the_output_has_needs_a_size() -> None:
    spec = parse("a -> a b")
    assert solve("a -> a b", spec, [(3,)], sizes={"b": 2}).output_shape == (3, 2)
    with pytest.raises(PatternError, match="'b'") as caught:
        solve("a -> a b", spec, [(3,)], sizes={})
    assert caught.value.position == 7


def outcome(pattern: str, sizes: dict[str, int] | None = None) -> bool:
    """Return whether a pattern parses; anything but an error of ours fails the test."""
    try:
        parse(pattern, sizes)
    except ConvsmithError:
        return False
    return True


def test_random_strings_give_errors_of_ours() -> None:
    generator = random.Random(0)
    symbols = "abhikow012 ()+-*,.>" + string.printable + "é→\0\U0001f600"
    for _ in range(10_000):
        outcome("".join(generator.choices(symbols, k=generator.randrange(40))))


def mutated(generator: random.Random, text: str) -> str:
    """Return a pattern with one to three edits."""
    symbols = "abhkow12 ()+-*,.>"
    pattern = list(text)
    for _ in range(generator.randint(1, 3)):
        place = generator.randrange(len(pattern) + 1)
        match generator.randrange(4):
            case 0:
                pattern[place:place] = generator.choice(symbols)
            case 1:
                del pattern[place : place + generator.randint(1, 3)]
            case 2:
                pattern[place : place + 1] = generator.choice(symbols)
            case _:
                other = generator.randrange(len(pattern) + 1)
                low, high = sorted((place, other))
                pattern[low:high] = pattern[low:high][::-1]
    return "".join(pattern)


GOOD = [*ROWS.values(), *MORE.values()]


def test_mutations_of_good_patterns_give_errors_of_ours() -> None:
    generator = random.Random(1)
    parsed = 0
    for _ in range(10_000):
        case = generator.choice(GOOD)
        parsed += outcome(mutated(generator, case.pattern), case.arguments)
    assert 500 < parsed < 9_500  # Some mutations are patterns, most aren't.


def test_a_group_of_known_size_leaves_unknown_names_unknown() -> None:
    pattern = "b h w c, (h w) c -> b h c"
    sized = solve(pattern, parse(pattern), [(None, None, None, 3), (49, 3)])
    assert sized.output_shape == (None, None, 3)


def test_mutations_that_parse_are_sized_or_give_errors_of_ours() -> None:
    generator = random.Random(2)
    solved = refused = 0
    for _ in range(4_000):
        case = generator.choice(GOOD)
        pattern = mutated(generator, case.pattern)
        if not outcome(pattern):
            continue
        spec = parse(pattern)
        shapes = [
            tuple(generator.choice([size] * 20 + [0, 1, 7, None, None]) for size in shape)
            for shape in case.shapes
        ]
        known = sorted({*spec.names, *spec.symbols})  # A set's order changes from run to run.
        sizes = {name: size for name, size in case.arguments.items() if name in known}
        sizes |= {name: generator.randint(0, 4) for name in known if generator.random() < 0.1}
        try:
            problem = solve(
                pattern,
                spec,
                shapes,
                padding=generator.choice(PADDINGS),
                padding_mode=generator.choice(MODES),
                sizes=sizes,
            )
        except ConvsmithError:
            refused += 1
        else:
            solved += 1
            assert all(size is None or size >= 0 for size in problem.output_shape)
    assert solved > 100
    assert refused > 100


def test_long_patterns_take_no_time() -> None:
    assert not outcome("(" * 100_000)
    assert not outcome("a " * 20_000 + "-> a")
    assert outcome(" ".join(f"a{i}" for i in range(5_000)) + " -> a0")
    groups = " ".join(f"(a{i} b{i})" for i in range(20_000))
    start = time.process_time()
    assert outcome(f"{groups} -> a0")
    assert time.process_time() - start < 2.0  # 0.2 in proportion to the length, 8 to its square.


@pytest.mark.parametrize("value", [None, 3, b"a -> a", ["a -> a"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(ConvsmithError, match="pattern"):
        parse(value)  # type: ignore[arg-type]

"""Names with arguments, such as ``"gaussian(sigma=2)"``, read without evaluating anything."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from convsmith.errors import ArgumentError, compose


class Call(NamedTuple):
    """What a text names."""

    name: str
    positional: tuple[Any, ...]
    keywords: dict[str, Any]


def parse(text: str) -> Call:
    """Return the name and the arguments of a call that is written out with literals only.

    Raises:
        ArgumentError: anything else than a name, or a name and literals in parentheses.
    """
    if text.isidentifier():
        return Call(text, (), {})
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text, "is neither a name nor a call") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _refused(text, "is neither a name nor a call")
    positional = tuple(_literal(text, argument) for argument in node.args)
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise _refused(text, "unpacks a mapping")
        # Python itself refuses a keyword that is given twice only when it compiles.
        if keyword.arg in keywords:
            raise _refused(text, f"gives {keyword.arg} twice")
        keywords[keyword.arg] = _literal(text, keyword.value)
    return Call(node.func.id, positional, keywords)


def _literal(text: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _refused(
            text, f"has {ast.unparse(node)!r} for an argument, which isn't a literal"
        ) from None


def _refused(text: str, problem: str) -> ArgumentError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return ArgumentError(
        compose(
            f"kernels.get({shown!r})",
            problem,
            expected="a name, or a name with numbers, strings, tuples, True, False or None",
            fix='"gaussian(sigma=2.0)"',
        ),
        argument="name",
        value=text,
    )

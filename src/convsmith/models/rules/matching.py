"""From what a user writes to rules: names, classes, functions, mappings and lists of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from convsmith.errors import ArgumentError, compose
from convsmith.models.drop_ins import DROP_INS
from convsmith.models.rules.base import Outcome, Rule, closest
from convsmith.models.rules.drop_in import ByFunction, ToClass
from convsmith.models.sites import Site


def as_rules(rules: Any) -> list[Rule]:
    """Return the rules of every form that `convert` takes, one for each pass over the model.

    Raises:
        ArgumentError: something that is no rule, or an unknown layer name.
    """
    if isinstance(rules, list | tuple):
        return [rule for one in rules for rule in as_rules(one)]
    return [_as_rule(rules)]


def _as_rule(value: Any) -> Rule:
    if isinstance(value, Rule):
        return value
    if isinstance(value, Mapping):
        return ByKey(value)
    if isinstance(value, type) and issubclass(value, Rule):
        raise _no_rule(value, f"{value.__name__}(), with its arguments")
    if isinstance(value, type | str):
        return ToClass(value)
    if callable(value):
        return ByFunction(value)
    raise _no_rule(value, '{"Conv2D": cs.layers.StandardizedConv2D}')


def _no_rule(value: Any, fix: str) -> ArgumentError:
    return ArgumentError(
        compose(
            f"rules={value!r}",
            "is no rule",
            expected="a mapping, a rule of cs.models.rules, a layer class or its name, a function "
            "of the layer, or a list of these",
            fix=fix,
        ),
        argument="rules",
        value=value,
    )


class ByKey(Rule):
    """The rule of the first key that a layer matches and whose rule has something to say of it.

    A key is a class (and its drop-in), the name of a class, a pattern (``*``, ``?``, ``[...]``)
    for the layer's name or path, or a compiled regular expression that is searched in the path.
    """

    def __init__(self, rules: Mapping[Any, Any]) -> None:
        self.rules = {key: _as_rule(value) for key, value in rules.items()}
        for key in self.rules:
            if not isinstance(key, str | type | re.Pattern):
                raise ArgumentError(
                    compose(
                        f"rules: key {key!r}",
                        "names no layers",
                        expected="a class, its name, a pattern of layer names such as 'block3_*', "
                        "or re.compile(...)",
                        fix='"Conv2D"',
                    ),
                    argument="rules",
                    value=key,
                )
        self._matched: Counter[Any] = Counter()
        self._asked: Counter[Any] = Counter()
        self._about: Counter[Any] = Counter()

    def outcome(self, site: Site) -> Outcome:
        """Return what the first rule says that has something to say."""
        said: Outcome = None
        for key, rule in self.rules.items():
            # What a rule made is no surprise to it: converting twice is converting once.
            already = isinstance(rule, ToClass) and type(site.layer) is rule.target
            if not already and not _matches(key, site):
                continue
            self._matched[key] += 1
            if said is None:
                self._asked[key] += 1
                said = rule.outcome(site)
                self._about[key] += said is not None
        return said

    def check(self, found: Sequence[Site]) -> None:
        """Check that every key was about some layer, once all layers were seen.

        Raises:
            ArgumentError: a key names no layer, or only such that its rule isn't about, or that
                keys before it name too.
        """
        for key in self.rules:
            if self._about[key]:
                continue
            if not self._matched[key]:
                raise self._useless(key, "matches no layer", found)
            if not self._asked[key]:
                raise self._useless(
                    key, "matches only layers that keys before it match", found, "it as first key"
                )
            raise self._useless(key, "matches only layers that its rule isn't about", found)

    def _useless(
        self, key: Any, problem: str, found: Sequence[Site], fix: str | None = None
    ) -> ArgumentError:
        classes = Counter(type(site.layer).__name__ for site in found)
        names = [site.path for site in found]
        there = ", ".join(f"{name} ({n})" for name, n in classes.most_common())
        some = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if names[12:] else "")
        return ArgumentError(
            compose(
                f"rules: key {key!r}",
                problem,
                expected="a class of layers that can be replaced, or a pattern of their names",
                received=f"layers of {there}; named {some}",
                fix=fix or repr(closest(str(key), [*classes, *names]) or "*"),
            ),
            argument="rules",
            value=key,
        )


def check_matched(rule: Rule, found: Sequence[Site]) -> None:
    """Check that a rule which names layers has found them.

    Raises:
        ArgumentError: it hasn't.
    """
    if isinstance(rule, ByKey):
        rule.check(found)


def _matches(key: Any, site: Site) -> bool:
    if isinstance(key, type):
        return type(site.layer) in (key, DROP_INS.get(key))
    if isinstance(key, re.Pattern):
        return key.search(site.path) is not None
    return (
        type(site.layer).__name__ == key
        or fnmatchcase(site.layer.name, key)
        or fnmatchcase(site.path, key)
    )

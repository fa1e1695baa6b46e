"""Conversion: other convolutions in a whole model, with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from convsmith.models import measuring
from convsmith.models.conversion_report import ConversionReport, LayerChange
from convsmith.models.drop_ins import DROP_INS, is_convolution
from convsmith.models.rebuilding import Rebuilding
from convsmith.models.rules.base import Kept, Rule, Swap
from convsmith.models.rules.matching import as_rules, check_matched
from convsmith.models.sites import Site, sites

__all__ = ["ConversionReport", "LayerChange", "convert"]

_STEM = "is the model's first convolution (except_first)"


def convert(
    model: Any, rules: Any, *, except_first: bool = False, inputs: Any = None, seed: int = 0
) -> tuple[Any, ConversionReport]:
    """Return a new model with other layers in the place of some, and a report.

    The new layers start with the weights of the old ones. Everything else is copied: other layers
    with their weights and states (batch normalisation's, for one), names, trainable flags, dtype
    policies, what is shared and what is nested. The old model stays as it was; the two share no
    weights. The new one isn't compiled.

    Args:
        model: a functional or Sequential model, built; nested ones, and those in wrappers such as
            `keras.layers.TimeDistributed`, are converted too.
        rules: what is replaced by what. A mapping ``{which: what}``, a `what` alone for all layers
            that it's about, or a list of these, each for the model that those before it made.

            `which` is a class, the name of a class, a pattern such as ``"block3_*"`` for the
            layer's name or path (``"encoder/conv1"``), or ``re.compile(...)`` that is searched in
            the path. The first that fits counts.

            `what` is a layer class or its name (ours, or Keras's); a rule of
            `convsmith.models.rules` such as ``DropIn()``, ``Padding("reflect")``, ``BlurPool()``,
            ``LowRank("tucker", rank=8)`` or ``StandardizedGroupNorm()``; or a function of the
            layer that returns a new one, a list of them, or None.
        except_first: whether the first convolution of the model stays as it is.
        inputs: what the models are compared on, as the model takes it; random numbers by default.
        seed: of the random inputs.

    Returns:
        The new model, and a `ConversionReport`: what was changed, parameters and multiply-adds
        before and after, and the largest difference between the outputs of the two.

    Raises:
        ArgumentError: rules that aren't, a key that is about no layer, or a layer class that can't
            be made with the old layer's settings.
        UnsupportedError: a subclassed model, one that has no weights yet, or a layer that can't be
            made again from its configuration.

    Example:
        >>> import keras
        >>> from convsmith import layers
        >>> model = keras.Sequential([
        ...     keras.Input((16, 16, 3)),
        ...     keras.layers.Conv2D(8, 3, name="stem"),
        ...     keras.layers.Conv2D(8, 3, name="body"),
        ... ])
        >>> new, report = convert(model, {"Conv2D": layers.StandardizedConv2D}, except_first=True)
        >>> [type(layer).__name__ for layer in new.layers]
        ['Conv2D', 'StandardizedConv2D']
        >>> report.changes[0].name, report.parameters
        ('body', (808, 808))

    Source: none.
    """
    rules_in_order = as_rules(rules)
    given, shapes = measuring.inputs_of(model, inputs, seed)
    macs = [measuring.macs_by_layer(model, shapes)]
    changes: list[LayerChange] = []
    kept: dict[str, str] = {}
    notes: list[str] = []
    new = model
    for rule in rules_in_order:
        found = sites(new)
        swaps, staying = _swaps(found, rule, except_first)
        building = Rebuilding(swaps)
        new = building.model(new)
        building.copy_weights()
        macs.append(measuring.macs_by_layer(new, shapes))
        changes += [_change(swap, building, macs[-2], macs[-1]) for swap in swaps]
        kept.update(staying)
        notes += building.notes
    difference, scale, problem = measuring.difference(model, new, given)
    notes += [problem] if problem else []
    if model.compiled:
        notes.append("not compiled: optimizer, loss and metrics stay with the old model")
    report = ConversionReport(
        changes=tuple(changes),
        kept=tuple(kept.items()),
        parameters=(model.count_params(), new.count_params()),
        macs=(measuring.total(macs[0]), measuring.total(macs[-1])),
        input_shapes=tuple(shapes),
        max_difference=difference,
        output_scale=scale,
        notes=tuple(notes),
    )
    return new, report


def _swaps(
    found: Sequence[Site], rule: Rule, except_first: bool
) -> tuple[list[Swap], dict[str, str]]:
    """Return what a rule replaces, each layer once, and the reasons for what it keeps."""
    swaps: list[Swap] = []
    kept: dict[str, str] = {}
    taken: set[int] = set()
    first = next((site for site in found if is_convolution(site.layer)), None)
    for site in found:
        outcome = rule.outcome(site)
        if outcome is None:
            continue
        if isinstance(outcome, Kept):
            kept[site.path] = outcome.reason
        elif except_first and any(swap.site is first for swap in outcome):
            kept[site.path] = _STEM
        elif any(id(swap.site.layer) in taken for swap in outcome):
            kept[site.path] = "a layer that would change with it was replaced already"
        else:
            swaps += outcome
            taken |= {id(swap.site.layer) for swap in outcome}
    check_matched(rule, found)
    _make_names_unique(found, swaps)
    return swaps, kept


def _make_names_unique(found: Sequence[Site], swaps: Sequence[Swap]) -> None:
    names = {site.layer.name for site in found}
    for swap in swaps:
        for part in swap.parts:
            layer, name = part.layer, part.layer.name
            if layer is swap.site.layer or name == swap.site.layer.name:
                continue
            if name in names:
                layer.name = next(n for i in count(1) if (n := f"{name}_{i}") not in names)
            names.add(layer.name)


def _change(
    swap: Swap, building: Rebuilding, before: measuring.Macs, after: measuring.Macs
) -> LayerChange:
    old, made = swap.site.layer, building.chain(swap.site.layer)
    unused = building.missing.get(swap.site.path, [])
    notes = [swap.note] if swap.note else []
    if unused:
        notes.append(f"{', '.join(unused)} not carried over")
    return LayerChange(
        name=swap.site.path,
        before=_labelled(old),
        after=" + ".join(map(_labelled, made)),
        parameters=(old.count_params(), sum(layer.count_params() for layer in made)),
        macs=(
            before.get(id(old)),
            measuring.total({id(layer): after.get(id(layer)) for layer in made}),
        ),
        note="; ".join(notes),
    )


def _labelled(layer: Any) -> str:
    """Return the name of a layer's class, and of the library where both have such a class."""
    name = type(layer).__name__
    if type(layer) in DROP_INS:
        return f"keras.{name}"
    return f"cs.{name}" if type(layer) in DROP_INS.values() else name

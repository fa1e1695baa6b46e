"""`native` keeps axes of the batch that stand among the spatial ones where they are."""

from __future__ import annotations

import pytest

import convsmith as cs
from convsmith.lowerings import native
from engine_cases import Case
from engine_runs import MODES, check_values_and_gradients

X = (2, 7, 5, 3)
CASES = {
    "one kernel for all": (Case("b (h+kh) w c, kh -> b h w c", (X, (3,))), ("w",)),
    "already a batch": (Case("b h (w+kw) c, kw -> b h w c", (X, (3,))), ()),
    "dense": (Case("b (h+kh) w i, kh i o -> b h w o", (X, (3, 3, 4))), ("w",)),
    "depthwise": (Case("b (h+kh) w c, kh c -> b h w c", (X, (3, 3))), ("w",)),
    "strided": (Case("b (2h+kh) w c, kh c -> b h w c", (X, (3, 3))), ("w",)),
    "flipped, dilated": (Case("b (h-2kh) w c, kh c -> b h w c", (X, (3, 3))), ("w",)),
    "two of them": (Case("b (d+kd) h w c, kd c -> b d h w c", ((*X, 2), (3, 2))), ("h", "w")),
    "before the window": (Case("c h b (w+kw), kw c -> c h b w", (X, (2, 2))), ("h", "b")),
    "no room": (Case("b (d+kd) h (w+kw) c, kd kw c -> b d h w c", ((*X, 2), (3, 2, 2))), ()),
    "another order": (Case("b (d+kd) h w c, kd c -> b d w h c", ((*X, 2), (3, 2))), ()),
    "written": (Case("b h w c, kh c -> b (2h+kh) w c", (X, (3, 3))), ("w",)),
    "channels first": (Case("b c (h+kh) w, kh c -> b c h w", ((2, 3, 7, 5), (3, 3))), ("w",)),
    "separable": (
        Case("b (h+kh) (w+kw) c, kh c, kw c, c o -> b h w o", (X, (3, 3), (2, 3), (3, 4))),
        None,
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, mode: str) -> None:
    case, idle = CASES[name]
    if idle is None:
        check_values_and_gradients(case, mode)
        return
    (planned,) = cs.plan(case.pattern, *case.shapes).steps
    form = native._form(planned.step)
    assert isinstance(form, native.Form)
    assert form.idle == idle
    check_values_and_gradients(case, mode, lowering="native")

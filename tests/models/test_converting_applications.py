"""Conversion of the networks of keras.applications, with weights at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.models.rules import DROP_INS, BlurPool, DropIn, LowRank, StandardizedGroupNorm
from model_cases import assert_equal_outputs, inputs_for, outputs, randomized, walk

pytestmark = pytest.mark.one_backend

applications: Any = keras.applications
SMALL = {"input_shape": (32, 32, 3), "weights": None, "classes": 10}
NETWORKS: dict[str, Callable[[], Any]] = {
    "MobileNetV2": lambda: applications.MobileNetV2(alpha=0.35, **SMALL),
    "ResNet50": lambda: applications.ResNet50(**SMALL),
    "EfficientNetB0": lambda: applications.EfficientNetB0(**SMALL),
    "ConvNeXtTiny": lambda: applications.ConvNeXtTiny(**SMALL),
}
CONVOLUTIONS = {"MobileNetV2": 52, "ResNet50": 53, "EfficientNetB0": 81, "ConvNeXtTiny": 22}
DEAR = ("EfficientNetB0", "ConvNeXtTiny")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in DEAR else ()) for n in NETWORKS]
)
def test_drop_ins_are_equal_and_reload(name: str, tmp_path: Path) -> None:
    model = randomized(NETWORKS[name]())
    new, report = cs.models.convert(model, DropIn())
    assert len(report.changes) == CONVOLUTIONS[name]
    assert not any(type(layer) in DROP_INS for layer in walk(new).values())
    assert report.relative_difference is not None
    assert report.relative_difference <= 1e-5
    assert report.output_scale is not None
    assert report.output_scale > 1e-3
    assert report.macs[0] == report.macs[1]
    new.save(tmp_path / "new.keras")
    assert_equal_outputs(new, keras.saving.load_model(tmp_path / "new.keras"))


@pytest.mark.slow
def test_all_rules_on_a_network() -> None:
    model = randomized(NETWORKS["MobileNetV2"]())
    rules = [BlurPool(), {"Conv1": StandardizedGroupNorm(8)}, LowRank("tucker", rank=2)]
    new, report = cs.models.convert(model, rules)
    strided = {n for n, layer in walk(model).items() if max(getattr(layer, "strides", [1])) > 1}
    assert strided <= {c.name for c in report.changes}
    assert {f"{name}_blur" for name in strided} <= set(walk(new))
    assert outputs(new)[0].shape == outputs(model)[0].shape
    assert report.macs[1] > report.macs[0] > 0  # type: ignore[operator]
    new.compile("sgd", "sparse_categorical_crossentropy")
    before = [np.array(w) for w in new.get_weights()]
    x = inputs_for(new)
    new.fit(x, np.zeros(len(x)), verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, new.get_weights(), strict=True))


@pytest.mark.slow
def test_resnet_by_group_norm() -> None:
    """Every convolution of a ResNet has its own batch normalisation."""
    new, report = cs.models.convert(
        NETWORKS["ResNet50"](), StandardizedGroupNorm(), except_first=True
    )
    kinds = [type(layer).__name__ for layer in walk(new).values()]
    assert kinds.count("StandardizedConv2D") == kinds.count("GroupNormalization") == 52
    assert kinds.count("BatchNormalization") == kinds.count("Conv2D") == 1
    assert np.isfinite(outputs(new)[0]).all()
    assert len(report.changes) == 104

"""What conversion refuses, and the words in which it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith.errors import ArgumentError, UnsupportedError
from convsmith.models.rules import BlurPool, DropIn, LowRank, Padding, StandardizedGroupNorm
from convsmith.models.rules.written import written_rules
from model_cases import sequential, two_streams

pytestmark = pytest.mark.one_backend

layers: Any = keras.layers


def refusal(kind: type[Exception], action: Callable[[], Any]) -> str:
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = layers.Conv2D(2, 3)

    def call(self, inputs: Any) -> Any:
        return self.convolution(inputs)


class Detour(keras.Model):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return 2.0 * super().call(inputs)


def test_models_that_cannot_be_read() -> None:
    model = Subclassed()
    model(np.ones((1, 5, 5, 1), "float32"))
    found = refusal(UnsupportedError, lambda: cs.models.convert(model, DropIn()))
    assert found.startswith(f"Subclassed '{model.name}': is a subclassed model: its layers are")
    assert "Try: keras.Model(inputs, outputs) of the same layers" in found
    inputs = keras.Input((5, 5, 1))
    nested = keras.Model(inputs, model(inputs))
    assert refusal(UnsupportedError, lambda: cs.models.convert(nested, DropIn())) == found
    detour = Detour(inputs, layers.Conv2D(2, 3)(inputs))
    assert "it overrides 'call', so that its layers don't say what it does" in refusal(
        UnsupportedError, lambda: cs.models.convert(detour, DropIn())
    )
    open_model = keras.Sequential([layers.Conv2D(2, 3)])
    assert "has no weights yet; expected a model that was built. Try: model.build" in refusal(
        UnsupportedError, lambda: cs.models.convert(open_model, DropIn())
    )
    found = refusal(ArgumentError, lambda: cs.models.convert(layers.Conv2D(2, 3), DropIn()))
    assert "is not a Keras model" in found
    assert "Try: keras.Sequential([layer])" in found


def test_keys_that_are_about_nothing() -> None:
    model = two_streams()

    def convert(rules: Any) -> Callable[[], Any]:
        return lambda: cs.models.convert(model, rules)

    found = refusal(ArgumentError, convert({"Conv3D": DropIn()}))
    assert found == (
        "rules: key 'Conv3D': matches no layer; expected a class of layers that can be replaced, "
        "or a pattern of their names. Received: layers of Conv2D (3), Functional (1), "
        "BatchNormalization (1), ReLU (1), DepthwiseConv2D (1), GlobalAveragePooling2D (1), "
        "Dense (1); named encoder, encoder/down, encoder/norm, encoder/relu, encoder/depthwise, "
        "shared, body, pooled, head. Try: 'Conv2D'."
    )
    assert "Try: 'encoder/relu'." in refusal(ArgumentError, convert({"encoder/rely": DropIn()}))
    assert "matches only layers that its rule isn't about" in refusal(
        ArgumentError, convert({"Dense": "StandardizedConv2D"})
    )
    assert "matches only layers that keys before it match" in refusal(
        ArgumentError, convert({"Conv2D": DropIn(), "body": DropIn()})
    )
    # A rule on its own may find nothing.
    _, report = cs.models.convert(sequential(), BlurPool())
    assert report.changes == ()
    assert "0 layers replaced" in str(report)


def test_rules_that_are_none() -> None:
    model = None

    def convert(rules: Any) -> Callable[[], Any]:
        return lambda: cs.models.convert(model, rules)

    assert "rules=3: is no rule" in refusal(ArgumentError, convert(3))
    assert "Try: DropIn(), with its arguments" in refusal(ArgumentError, convert(DropIn))
    assert "rules: key 3: names no layers" in refusal(ArgumentError, convert({3: DropIn()}))
    found = refusal(ArgumentError, convert({"Conv2D": "StandardisedConv2D"}))
    assert "is no layer of convsmith or Keras" in found
    assert "Try: StandardizedConv2D." in found
    assert "LowRank('svd')" in refusal(ArgumentError, lambda: LowRank("svd", rank=2))  # type: ignore[arg-type]
    assert "rank" in refusal(ArgumentError, lambda: LowRank("cp", rank=0))
    assert "groups" in refusal(ArgumentError, lambda: StandardizedGroupNorm(0))
    assert "BlurPool(after='relu')" in refusal(ArgumentError, lambda: BlurPool(after="relu"))  # type: ignore[arg-type]
    assert "'mirror'" in refusal(ArgumentError, lambda: Padding("mirror"))


def test_layers_that_do_not_fit() -> None:
    model = sequential()

    def convert(rules: Any) -> Callable[[], Any]:
        return lambda: cs.models.convert(model, rules)

    found = refusal(ArgumentError, convert({"stem": cs.layers.FixedConv2D}))
    assert "FixedConv2D for Conv2D 'stem': can't be made of its settings" in found
    assert "Try: a function: lambda layer: FixedConv2D(..., name=layer.name)" in found
    assert "returned no layer" in refusal(ArgumentError, convert({"stem": lambda layer: 3}))
    padded, _ = cs.models.convert(model, {"body/inner": DropIn(padding_mode="wrap")})
    found = refusal(
        UnsupportedError, lambda: cs.models.convert(padded, {"body/inner": layers.Conv2D})
    )
    assert "would lose padding_mode='wrap'" in found
    assert "cs.models.fold(model)" in found
    plain, _ = cs.models.convert(model, DropIn())
    back, _ = cs.models.convert(plain, {"Conv2D": layers.Conv2D})
    assert type(back.get_layer("stem")) is layers.Conv2D


def test_layers_that_cannot_be_made_again() -> None:
    class Forgetful(keras.layers.Layer):
        def __init__(self, size: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.size = size

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight((self.size,), name="scale")

        def call(self, x: Any) -> Any:
            return x * self.scale[0]

        def get_config(self) -> dict[str, Any]:
            return super().get_config()

    class Broken(Forgetful):
        def get_config(self) -> dict[str, Any]:
            raise NotImplementedError("no configuration")

    for made, words in (
        (Forgetful(3, name="odd"), "has other weights when it's made again"),
        (Broken(name="odd"), "can't be made again from its configuration (no configuration)"),
    ):
        model = keras.Sequential([keras.Input((5, 5, 1)), layers.Conv2D(2, 3), made])
        assert words in refusal(UnsupportedError, lambda m=model: cs.models.convert(m, DropIn()))


def test_wrappers_with_weights_of_their_own() -> None:
    inputs = keras.Input((6, 6, 2))
    wrapped = layers.SpectralNormalization(layers.Conv2D(2, 3, name="inside"), name="spectral")
    model = keras.Model(inputs, wrapped(inputs))
    found = refusal(UnsupportedError, lambda: cs.models.convert(model, DropIn()))
    assert "has weights that belong to 'inside', which is to be replaced" in found


def test_words_that_are_no_rules() -> None:
    assert "has nothing to do" in refusal(ArgumentError, lambda: written_rules())
    assert "rule 'Conv2D': is no pair" in refusal(ArgumentError, lambda: written_rules(["Conv2D"]))
    assert "low rank 'tucker': has no rank" in refusal(
        ArgumentError, lambda: written_rules(low_rank="tucker")
    )
    assert "LowRank('svd')" in refusal(ArgumentError, lambda: written_rules(low_rank="svd:3"))
    assert [repr(rule) for rule in written_rules(["a=DropIn"], blur_pool=3, group_norm=8)] == [
        "{'a': DropIn()}",
        "StandardizedGroupNorm(groups=8)",
        "BlurPool(kernel_size=3, after='activation', padding_mode='reflect')",
    ]
    assert repr(written_rules(low_rank="tucker:2,3")) == "[LowRank('tucker', rank=(2, 3))]"

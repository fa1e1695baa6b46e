"""Models of mixed precision, computing in the precision of their weights."""

from __future__ import annotations

from typing import Any

import keras

MIXED = {"mixed_float16": "float32", "mixed_bfloat16": "float32"}


def is_mixed(model: Any) -> bool:
    """Return whether a layer computes in less precision than its weights have."""
    return any(name in _policies(model.get_config()) for name in MIXED)


def widened(model: Any) -> Any:
    """Return a copy without mixed precision: the same weights, float32 throughout."""
    config = _replaced(model.get_config())
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def _policies(config: Any) -> set[str]:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {config["config"]["name"]}
        config = list(config.values())
    if isinstance(config, list | tuple):
        return set().union(*map(_policies, config))
    return {config.name} if isinstance(config, keras.DTypePolicy) else set()


def _replaced(config: Any) -> Any:
    if isinstance(config, keras.DTypePolicy):
        return keras.DTypePolicy(MIXED.get(config.name or "", config.name))
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            name = config["config"]["name"]
            return {**config, "config": {"name": MIXED.get(name, name)}}
        return {key: _replaced(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_replaced(value) for value in config]
    if isinstance(config, tuple):
        return tuple(_replaced(value) for value in config)
    return config

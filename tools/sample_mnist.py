"""Draws the shipped sample: sample_mnist.py MNIST.npz (Keras's file) writes mini_mnist.npz."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SEED = 20260101
PER_CLASS = {"train": 400, "test": 100}
TARGET = Path(__file__).resolve().parent.parent / "src" / "convsmith" / "data" / "mini_mnist.npz"


def main(source: str) -> None:
    rng = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray] = {}
    with np.load(source) as full:
        for part, count in PER_CLASS.items():
            labels = full[f"y_{part}"]
            chosen = np.concatenate(
                [rng.choice(np.flatnonzero(labels == d), count, replace=False) for d in range(10)]
            )
            chosen = rng.permutation(chosen)
            arrays[f"x_{part}"] = full[f"x_{part}"][chosen]
            arrays[f"y_{part}"] = labels[chosen]
    np.savez_compressed(TARGET, **arrays)  # pyright: ignore[reportArgumentType]
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])

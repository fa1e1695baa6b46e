"""PyTorch's ExportedProgram: a graph of ATen operations, for `torch.export.load`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from convsmith.errors import UnsupportedError, compose
from convsmith.models.formats import Arrays, Order, Run, Shape, Written


def write(model: Any, order: Order) -> Written:
    """Write the file with all sizes open, else with those of the images fixed, else with all.

    Raises:
        UnsupportedError: PyTorch can't trace the model even so.
    """
    sample = [x.shape for x in order.trials[0]]
    open_: list[Shape] = [tuple(x.shape) for x in model.inputs]
    any_batch: list[Shape] = [(None, *shape[1:]) for shape in sample]
    attempts = [
        (open_, ""),
        (any_batch, f"fixed size of {_text([s[1:] for s in sample])}, any batch"),
        ([*sample], f"fixed size and batch of {_text(sample)}"),
    ]
    last: Exception | None = None
    for asked, note in attempts:
        try:
            _export(model, order.path, asked, sample)
        except Exception as error:  # Keras wraps whatever the tracer raises
            last = error
            continue
        return Written(tuple(asked), (note,)) if note else Written()
    reason = str(last).partition("Original error: ")[2].strip() or str(last)
    raise UnsupportedError(
        compose(
            "export: format='torch'",
            f"PyTorch can't trace this model ({reason.splitlines()[0][:300]})",
        ),
        argument="format",
        value="torch",
    ) from last


def _text(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _export(model: Any, path: Path, asked: list[Shape], sample: list[tuple[int, ...]]) -> None:
    import torch

    open_ = torch.export.Dim.DYNAMIC
    specs = [
        keras.InputSpec(shape=shape, dtype=x.dtype, name=x.name)
        for x, shape in zip(model.inputs, sample, strict=True)
    ]
    dims: list[Any] = [{i: open_ for i, n in enumerate(shape) if n is None} for shape in asked]
    # What Keras calls is `forward(*args)`, so that args is one argument to PyTorch.
    one = len(specs) == 1
    packed = dims[0] if one else keras.tree.pack_sequence_as(model.input, dims)
    signature = specs[0] if one else keras.tree.pack_sequence_as(model.input, specs)
    model.export(
        path,
        format="torch",
        verbose=False,
        input_signature=[signature],
        dynamic_shapes=[(packed,)],
    )


def opened(path: Path, model: Any) -> Run:
    """Return the loaded program as a function."""
    import torch

    program = torch.export.load(path).module()

    def run(inputs: Arrays) -> Arrays:
        tensors = [torch.from_numpy(x) for x in inputs]
        one = len(tensors) == 1
        given = tensors[0] if one else keras.tree.pack_sequence_as(model.input, tensors)
        with torch.no_grad():
            outputs = keras.tree.flatten(program(given))
        return [y.detach().cpu().numpy() for y in outputs]

    return run

"""The formats that models are exported to: a module for each, and what they have in common here.

Such a module has `write(model, order)`, which runs on the format's own backend, and
`opened(path, model)`, which returns the artifact as a function of arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from convsmith.errors import ArgumentError, UnsupportedError, compose

FormatName = Literal["keras", "saved_model", "onnx", "litert", "torch"]
Quantize = Literal["float16", "int8"]
QUANTIZE: tuple[Quantize, ...] = get_args(Quantize)

Arrays = list[np.ndarray]
"""One array for each input, or for each output."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Format:
    """What is known about a format before anything of it is imported.

    Attributes:
        name: What `format=` is given.
        suffix: That of the file; "" for a folder.
        backend: The Keras backend that writes it; None: any.
        needs: The modules that write and run it, beside the backend.
        quantize: What `quantize=` may be.
    """

    name: FormatName
    suffix: str
    backend: str | None
    needs: tuple[str, ...] = ()
    quantize: tuple[Quantize, ...] = ()

    @property
    def module(self) -> Any:
        """The module that writes and opens it."""
        name = "keras_file" if self.name == "keras" else self.name
        return import_module(f"convsmith.models.formats.{name}")


FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format("keras", ".keras", None),
        Format("saved_model", "", "tensorflow"),
        Format("onnx", ".onnx", "tensorflow", ("onnx", "onnxruntime", "tf2onnx"), QUANTIZE),
        Format("litert", ".tflite", "tensorflow", ("ai_edge_litert",), QUANTIZE),
        Format("torch", ".pt2", "torch"),
    )
}


@dataclass(frozen=True)
class Order:
    """What a writer is asked for.

    Attributes:
        path: Where to write.
        trials: Inputs that the artifact will be run on.
        quantize: What the weights become, and for int8 the activations too.
        calibration: For int8: inputs that show which numbers occur.
        evaluation: Inputs whose answers are wanted too.
    """

    path: Path
    trials: list[Arrays]
    quantize: Quantize | None = None
    calibration: Arrays | None = None
    evaluation: Arrays | None = None


@dataclass(frozen=True)
class Written:
    """What a writer did.

    Attributes:
        fixed: The shape that each input must have, where that is less than the model allows.
        notes: What the reader of a report should know.
    """

    fixed: tuple[Shape, ...] | None = None
    notes: tuple[str, ...] = ()

    def takes(self, inputs: Arrays) -> bool:
        """Return whether the artifact can be run on inputs of these shapes."""
        return self.fixed is None or all(
            all(n in (None, m) for n, m in zip(shape, x.shape, strict=True))
            for shape, x in zip(self.fixed, inputs, strict=True)
        )


@dataclass(frozen=True)
class Made:
    """What a writer did, and what its artifact returned; None for inputs that it can't take."""

    written: Written
    outputs: list[Arrays | None]
    answers: np.ndarray | None = None


Run = Callable[[Arrays], Arrays]


def make(model: Any, form: Format, order: Order) -> Made:
    """Write the model in this process, and run what was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of converters about themselves: what counts is the run
        written: Written = form.module.write(model, order)
        return _run(form, model, order, written)


def _run(form: Format, model: Any, order: Order, written: Written) -> Made:
    try:
        run: Run = form.module.opened(order.path, model)
        outputs = [run(x) if written.takes(x) else None for x in order.trials]
        answers = None if order.evaluation is None else in_batches(run, order.evaluation)
    except Exception as error:  # each runtime has its own
        reason = (str(error).strip() or repr(error)).splitlines()[0][:300]
        raise UnsupportedError(
            compose(
                f"export: format={form.name!r}",
                f"what was written doesn't run ({reason}), and was removed",
            ),
            argument="format",
            value=form.name,
        ) from error
    return Made(written, outputs, answers)


def in_batches(run: Run, inputs: Arrays, size: int = 100) -> np.ndarray:
    """Return the first output for many samples."""
    parts = [[x[i : i + size] for x in inputs] for i in range(0, len(inputs[0]), size)]
    return np.concatenate([run(part)[0] for part in parts])


def find(name: str | None, path: Path) -> Format:
    """Return the format of this name, or that of the path.

    Raises:
        ArgumentError: no such format, or a path whose suffix is another format's.
    """
    suffix = path.suffix.lower()
    known = ", ".join(f"{f.name} ({f.suffix or 'a folder'})" for f in FORMATS.values())
    if name is None:
        found = [f for f in FORMATS.values() if f.suffix == suffix]
        if found:
            return found[0]
        raise ArgumentError(
            compose(
                f"export: path={str(path)!r}",
                f"no format has the suffix {suffix!r}",
                expected=known,
                fix="model.onnx as the name",
            ),
            argument="path",
            value=path,
        )
    if name not in FORMATS:
        raise ArgumentError(
            compose(f"export: format={name!r}", "there is no such format", expected=known),
            argument="format",
            value=name,
        )
    form = FORMATS[name]
    if suffix != form.suffix:
        raise ArgumentError(
            compose(
                f"export: path={str(path)!r}",
                f"isn't a name for the format {name}",
                expected=f"the suffix {form.suffix}" if form.suffix else "a folder without suffix",
                fix=repr(str(path.with_suffix(form.suffix))),
            ),
            argument="path",
            value=path,
        )
    return form


def check_installed(form: Format) -> None:
    """Check that what writes the format is there.

    Raises:
        UnsupportedError: it isn't; the message has the command that installs it.
    """
    missing = [name for name in form.needs if not there(name)]
    extras = ["export"] if missing else []
    if form.backend and not there(form.backend):
        missing.insert(0, form.backend)
        extras.insert(0, form.backend)
    if missing:
        raise UnsupportedError(
            compose(
                f"export: format={form.name!r}",
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
                fix=f"pip install 'convsmith[{','.join(extras)}]'",
            ),
            argument="format",
            value=form.name,
        )


def there(module: str) -> bool:
    """Return whether a module is installed."""
    return find_spec(module) is not None


def names_of(tensors: Sequence[Any]) -> list[str]:
    """Return the names of a model's inputs."""
    return [x.name for x in tensors]

"""A training run: the chosen convolution and the baseline, epoch by epoch, then the pictures."""

from __future__ import annotations

import csv
import io
import itertools
import math
import statistics
import time
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from convsmith import distribution, plots
from convsmith.distribution import Devices
from convsmith.errors import DataError, UnsupportedError, compose
from convsmith.files import replacing, write_text
from convsmith.training import classifier, datasets, model_file
from convsmith.training.checkpoints import RESULT_FILES, Checkpoints
from convsmith.training.report import QUIET, Reporter, Row
from convsmith.training.settings import Settings


@dataclass(frozen=True)
class Summary:
    """One line of the final table."""

    conv: str
    accuracy: float
    loss: float
    milliseconds_per_step: float
    parameters: int


@dataclass(frozen=True)
class Results:
    """What a run found and wrote; `notes` says what could not be done and why."""

    summaries: list[Summary]
    files: dict[str, Path]
    notes: list[str]


@dataclass(frozen=True)
class _Trained:
    model: keras.Model
    rows: list[Row]


def train(
    settings: Settings,
    reporter: Reporter = QUIET,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Results:
    """Train, evaluate, save and picture; see `Settings` for the choices.

    Args:
        resume: Continue the run found in `settings.out` from its last finished epoch.
        overwrite: Replace the run found there.

    Returns:
        The final table and the files written.

    Raises:
        ConvsmithError: if a choice, the data or the folder doesn't allow the run.
    """
    devices = distribution.claim(settings.devices)
    for conv in settings.convs:
        classifier.find_conv(conv)  # before the data: a wrong name shows at once
    dataset = datasets.load(settings.data)
    checkpoints = Checkpoints(settings.out)
    checkpoints.begin(settings, dataset.fingerprint(), resume=resume, overwrite=overwrite)
    return devices.run(partial(_train, settings, dataset), reporter)


def _train(
    settings: Settings, dataset: datasets.Dataset, devices: Devices, reporter: Reporter
) -> Results | None:
    """Do the work of one process; the results are the first one's."""
    checkpoints = Checkpoints(settings.out)
    trained: dict[str, _Trained] = {}
    for conv in settings.convs:
        trained[conv] = _fit(conv, settings, dataset, checkpoints, devices, reporter)
    return _write(settings, dataset, trained) if devices.first else None


def _fit(
    conv: str,
    settings: Settings,
    dataset: datasets.Dataset,
    checkpoints: Checkpoints,
    devices: Devices,
    reporter: Reporter,
) -> _Trained:
    def build() -> keras.Model:
        return classifier.build(
            conv,
            dataset.image_shape,
            len(dataset.classes),
            precision=settings.precision,
            seed=settings.seed,
        )

    with devices.scope():
        model, rows = checkpoints.restore(conv) or (build(), [])
        devices.prepare(model)
    judge: Any = model if devices.alone else build()
    extras = model_file.Extras(dataset.classes, dataset.light_ground)
    count = len(dataset.x_train)
    reporter.start(
        conv,
        epochs=settings.epochs,
        done=len(rows),
        steps=-(-count // settings.batch_size),
    )
    for epoch in range(len(rows), settings.epochs):
        # The order and the dropout depend on the seed and the epoch alone, not on what ran before.
        order = np.random.default_rng([settings.seed, epoch]).permutation(count)
        fresh = np.random.SeedSequence([settings.seed, epoch]).generate_state(1)[0]
        classifier.restart_random(model, int(fresh >> 1))
        classifier.set_learning_rate(model, epoch, settings.epochs)
        watch = _Watch(reporter)
        history = devices.fit(
            model,
            dataset.x_train[order],
            dataset.y_train[order],
            settings.batch_size,
            callbacks=[watch],
        )
        if not devices.first:
            continue
        if judge is not model:
            judge.set_weights(model.get_weights())
        test = judge.evaluate(
            dataset.x_test, dataset.y_test, batch_size=500, verbose=0, return_dict=True
        )
        last = {key: float(values[-1]) for key, values in history.history.items()}
        row = Row(
            conv=conv,
            epoch=epoch + 1,
            loss=last["loss"],
            accuracy=last["accuracy"],
            test_loss=float(test["loss"]),
            test_accuracy=float(test["accuracy"]),
            seconds=watch.seconds,
            milliseconds_per_step=watch.milliseconds_per_step,
        )
        if not np.isfinite(row.loss):
            raise DataError(
                compose(
                    f"train --conv {conv}",
                    f"the loss became {row.loss} in epoch {epoch + 1}",
                    fix="--precision float32, or data without extreme values",
                )
            )
        rows.append(row)
        checkpoints.save(conv, model, extras, rows)
        reporter.epoch(row)
    reporter.finish()
    if judge is not model:
        judge.set_weights(model.get_weights())
    return _Trained(judge, rows)


class _Watch(keras.callbacks.Callback):
    """Times the steps of one epoch and passes the progress on."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self._ends: list[float] = []
        self._start = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._ends.append(time.perf_counter())
        logs = logs or {}
        self._reporter.step(float(logs.get("loss", 0.0)), float(logs.get("accuracy", 0.0)))

    @property
    def seconds(self) -> float:
        """What has passed since the epoch began."""
        return time.perf_counter() - self._start

    @property
    def milliseconds_per_step(self) -> float:
        """The median over the epoch; the first step, which may compile, barely moves it."""
        times = [self._start, *self._ends]
        steps = [b - a for a, b in itertools.pairwise(times)]
        return 1000.0 * statistics.median(steps) if steps else 0.0


def _write(settings: Settings, dataset: datasets.Dataset, trained: dict[str, _Trained]) -> Results:
    model_path, history, curves, kernels = (settings.out / name for name in RESULT_FILES)
    notes: list[str] = []
    files = {"the trained model": model_path, "the history of every epoch": history}
    model = trained[settings.conv].model
    extras = model_file.Extras(dataset.classes, dataset.light_ground)
    model_file.save(model_path, model, extras)
    notes.append(_compare_reloaded(model_path, model, dataset.x_test[:500]))
    if settings.devices > 1:
        notes.append(_describe_traffic(model, settings.devices))
    write_text(history, _to_csv([row for t in trained.values() for row in t.rows]))
    try:
        with replacing(curves) as path:
            plots.save_curves(
                path, {conv: list(map(asdict, t.rows)) for conv, t in trained.items()}
            )
        with replacing(kernels) as path:
            plots.save_kernels(path, {conv: _kernel(t.model) for conv, t in trained.items()})
    except UnsupportedError as error:
        notes.append(error.message)
    else:
        files["accuracy and loss by epoch"] = curves
        files["the kernels of the first layer"] = kernels
    return Results([_summarize(conv, t) for conv, t in trained.items()], files, notes)


def _compare_reloaded(path: Path, model: keras.Model, images: np.ndarray) -> str:
    """Prove that the file gives back the model; a mistake here must not go unseen."""
    again, _ = model_file.load(path)
    wanted, found = (model_file.answers(each, images) for each in (model, again))
    if not np.allclose(wanted, found, atol=1e-3):
        raise DataError(
            compose(
                str(path),
                "the reloaded model answers differently from the trained one",
                received=f"a difference of {np.abs(wanted - found).max():.3g}",
                fix="check get_config and the weights of the layer given to --conv",
            )
        )
    return f"Reloaded {path.name}: the same answers on {len(images)} test images."


def _describe_traffic(model: keras.Model, devices: int) -> str:
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    sent = distribution.reduced_bytes(4 * trained, devices)
    return f"{devices} devices: each sends {sent:,.0f} bytes a step, to sum the gradients."


def _summarize(conv: str, trained: _Trained) -> Summary:
    last = trained.rows[-1]
    return Summary(
        conv,
        last.test_accuracy,
        last.test_loss,
        statistics.median(row.milliseconds_per_step for row in trained.rows),
        trained.model.count_params(),
    )


def _kernel(model: keras.Model) -> np.ndarray:
    """Return the kernel of the first convolution as it is applied, (height, width, in, out)."""
    layer: Any = model.get_layer("conv_1")
    kernel = getattr(layer, "effective_kernel", None)
    if kernel is None:
        kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return np.zeros((1, 1, 1, 0))
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(kernel, "float32")))


def _to_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()}
        writer.writerow(shown)
    return text.getvalue()

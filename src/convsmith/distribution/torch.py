"""PyTorch: `DistributedDataParallel`, in a process for each device."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from convsmith.distribution.devices import Devices
from convsmith.distribution.dropout import share_masks
from convsmith.distribution.processes import Crew
from convsmith.distribution.refusals import too_few


def claim(count: int) -> Devices:
    """Return so many processes, each with a GPU of its own or a part of the CPU's threads.

    Raises:
        ArgumentError: there are GPUs, but fewer.
    """
    there = torch.cuda.device_count()
    if there and there < count:
        names = [torch.cuda.get_device_name(i) for i in range(there)]
        raise too_few(count, there, names, f"--devices {there}")
    return Processes(count)


class Processes(Devices):
    """Devices each of which is a process still to be started."""

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, job: Callable[[Devices, Any], Any], reporter: Any) -> Any:
        """Return what the first process makes of the job, which can be pickled.

        Raises:
            DeviceError: a process died.
        """
        with tempfile.TemporaryDirectory() as folder:
            store = (Path(folder) / "store").as_uri()
            crew = Crew(self.count, _Task(job, self.count, store))
            return crew.work(reporter)


class _Task:
    """What each process runs; an object, because it is pickled."""

    def __init__(self, job: Callable[[Devices, Any], Any], count: int, store: str) -> None:
        self.job, self.count, self.store = job, count, store

    def __call__(self, rank: int, reporter: Any) -> Any:
        gpus = torch.cuda.is_available()
        if gpus:
            torch.cuda.set_device(rank)
        else:
            torch.set_num_threads(max(1, torch.get_num_threads() // self.count))
        dist.init_process_group(
            "nccl" if gpus else "gloo",
            init_method=self.store,
            rank=rank,
            world_size=self.count,
        )
        try:
            return self.job(Worker(rank, self.count), reporter)
        finally:
            dist.destroy_process_group()


class Worker(Devices):
    """The device of this process, one of several."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self.first = rank == 0

    def prepare(self, model: Any) -> None:
        """Average the gradients of all processes in each step, and sum their metrics."""
        share_masks(model, self.count, lambda: self.rank)
        spread = DistributedDataParallel(model)
        model.train_step = lambda data: _train_step(model, spread, data)

    def _fit(
        self, model: Any, x: np.ndarray, y: np.ndarray, batch_size: int, **options: Any
    ) -> Any:
        own = np.concatenate(
            [
                np.array_split(batch, self.count)[self.rank]
                for batch in np.split(np.arange(len(x)), range(batch_size, len(x), batch_size))
            ]
        )
        share = math.ceil(batch_size / self.count)
        return super()._fit(model, x[own], y[own], share, **options)


def _train_step(model: Any, spread: Any, data: Any) -> Any:
    """Keras's step, the forward pass through what averages gradients in the backward one."""
    x, y = data
    before = [v.value.detach().clone() for v in model.metrics_variables]
    y_pred = spread(x, training=True)
    model.zero_grad()
    loss = model.compute_loss(x=x, y=y, y_pred=y_pred, training=True)
    model.optimizer.scale_loss(loss).backward()
    trained = model.trainable_weights
    with torch.no_grad():
        model.optimizer.apply([v.value.grad for v in trained], trained)
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=len(y))
        else:
            metric.update_state(y, y_pred)
    _sum_metrics(model, before)
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _sum_metrics(model: Any, before: list[torch.Tensor]) -> None:
    """Add to the state of all metrics what the other processes added to theirs."""
    variables = model.metrics_variables
    grown = torch.cat(
        [
            (v.value.detach() - old).double().flatten()
            for v, old in zip(variables, before, strict=True)
        ]
    )
    dist.all_reduce(grown)
    sizes = [old.numel() for old in before]
    for variable, old, more in zip(variables, before, grown.split(sizes), strict=True):
        variable.assign(old + more.reshape(old.shape).to(old.dtype))

"""Processes that work on one task, and end together: when one dies, so do the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any, NamedTuple

import torch.multiprocessing

from convsmith.errors import ConvsmithError, DeviceError, compose

GRACE_SECONDS = 5.0
"""How long processes may take to end, and to tell that another one was killed."""

Task = Callable[[int, Any], Any]


class _Call(NamedTuple):
    """What the first process tells the reporter."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class _Result(NamedTuple):
    value: Any


class _Failure(NamedTuple):
    error: BaseException


class Crew:
    """Processes that each call ``task(rank, reporter)``; the first one's reporter is heard here."""

    def __init__(self, count: int, task: Task) -> None:
        self._pipes = [multiprocessing.Pipe(duplex=False) for _ in range(count)]
        self._task = task
        self._ranks: dict[Any, int] = {}
        self._processes: list[Any] = []

    def work(self, reporter: Any) -> Any:
        """Return what the first process's task returns.

        Raises:
            DeviceError: a process died.
            Exception: what a task raised.
        """
        writers = [writer for _, writer in self._pipes]
        with _quiet_stderr():
            started: Any = torch.multiprocessing.start_processes(
                _work, (self._task, writers), len(writers), join=False, daemon=True
            )
        self._processes = started.processes
        for writer in writers:
            writer.close()
        try:
            return self._listen(reporter)
        finally:
            self._end()

    def _listen(self, reporter: Any) -> Any:
        waiting: dict[Any, int] = {reader: i for i, (reader, _) in enumerate(self._pipes)}
        waiting |= {process.sentinel: i for i, process in enumerate(self._processes)}
        result = None
        while waiting:
            for ready in connection.wait(list(waiting)):
                rank = waiting[ready]
                if isinstance(ready, connection.Connection):
                    message = _received(ready)
                    if message is None:
                        del waiting[ready]
                    elif isinstance(message, _Call):
                        getattr(reporter, message.name)(*message.arguments, **message.options)
                    elif isinstance(message, _Failure):
                        raise self._cause(message.error)
                    elif rank == 0:
                        result = message.value
                else:
                    del waiting[ready]
                    self._processes[rank].join()  # Its end is seen a moment before its code.
                    if self._processes[rank].exitcode:
                        raise self._cause(None)
        return result

    def _cause(self, error: BaseException | None) -> BaseException:
        """Return why the work ended: a death among the processes comes before what it led to."""
        if isinstance(error, ConvsmithError):
            return error
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            codes = [process.exitcode for process in self._processes]
            killed = [i for i, code in enumerate(codes) if code is not None and code < 0]
            if killed or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        count = len(codes)
        if killed:
            name = signal.Signals(-codes[killed[0]]).name
            return DeviceError(
                compose(
                    f"--devices {count}",
                    f"worker {killed[0] + 1} of {count} was killed ({name}), so the run was "
                    "stopped; its finished epochs are kept",
                    fix="--resume, with any number of --devices",
                )
            )
        if error is not None:
            return error
        dead = next(i for i, code in enumerate(codes) if code)
        return DeviceError(
            compose(
                f"--devices {count}",
                f"worker {dead + 1} of {count} ended with code {codes[dead]}",
                fix="--devices 1, which shows what is wrong",
            )
        )

    def _end(self) -> None:
        """Make sure that no process outlives the work."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _received(reader: Any) -> Any:
    """Return the next message, None at the end: also where its sender was killed in the middle."""
    try:
        return reader.recv()
    except (EOFError, OSError, pickle.UnpicklingError):
        return None


class _Reports:
    """Sends what the first process reports; what the others report isn't heard."""

    def __init__(self, writer: Any, heard: bool) -> None:
        self._writer, self._heard = writer, heard

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*arguments: Any, **options: Any) -> None:
            if self._heard:
                self._writer.send(_Call(name, arguments, options))

        return tell


def _work(rank: int, task: Task, writers: list[Any]) -> None:
    for other, writer in enumerate(writers):
        if other != rank:
            writer.close()
    writer = writers[rank]
    try:
        value = task(rank, _Reports(writer, heard=rank == 0))
        writer.send(_Result(value if rank == 0 else None))
    except Exception as error:
        writer.send(_Failure(_portable(error, rank)))


def _portable(error: Exception, rank: int) -> BaseException:
    """Return an error that survives pickling, with a note of where it was raised."""
    text = "".join(traceback.format_exception(error))
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        again = RuntimeError(f"{type(error).__name__}: {error}")
    again.add_note(f"In worker {rank + 1}:\n{text}")
    return again


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Start processes whose stderr goes to no terminal: frameworks greet there, once in each."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)

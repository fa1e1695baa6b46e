"""Work small enough for the tests of this harness, with candidates that fail in every way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from benchmarks import peers, usual
from benchmarks.candidates import Candidate
from benchmarks.workloads import DENSE, DEPTHWISE, PER_SAMPLE, SAME, Workload


def _refuses(x: Any, kernel: Any) -> Any:
    raise ValueError("refused on purpose")


def _twice(x: Any, kernel: Any) -> Any:
    return 2 * usual.dense()(x, kernel)


def _aborts(x: Any, kernel: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _hangs(x: Any, kernel: Any) -> Any:
    time.sleep(3600)


_SHAPES = ((1, 6, 7, 4), (3, 3, 4, 4))

TINY_WORK = (
    Workload("tiny dense", DENSE, _SHAPES, SAME, usual.dense(), peers.dense()),
    Workload(
        "tiny depthwise",
        DEPTHWISE,
        ((1, 6, 7, 4), (3, 3, 4, 2)),
        SAME,
        usual.depthwise(),
        peers.depthwise(),
    ),
    Workload(
        "tiny per sample",
        PER_SAMPLE,
        ((2, 5, 6, 3), (2, 3, 3, 3, 4)),
        {},
        usual.per_sample,
        peers.per_sample(),
    ),
    Workload(
        "tiny with faults",
        DENSE,
        _SHAPES,
        SAME,
        usual.dense(),
        (Candidate("refuses", _refuses), Candidate("twice as much", _twice), *peers.dense()),
    ),
    Workload(
        "tiny that dies", DENSE, _SHAPES, SAME, usual.dense(), (Candidate("aborts", _aborts),)
    ),
    Workload("tiny that hangs", DENSE, _SHAPES, SAME, usual.dense(), (Candidate("hangs", _hangs),)),
)

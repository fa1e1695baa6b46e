"""Work that grows: pixels, channels, kernel size and batch, one at a time."""

from __future__ import annotations

from benchmarks import peers, usual
from benchmarks.workloads import DENSE, SAME, Workload, depthwise


def _dense(series: str, size: int, batch: int, side: int, channels: int) -> Workload:
    shapes = ((batch, side, side, channels), (3, 3, channels, channels))
    name = f"scale: {series} {size}"
    return Workload(name, DENSE, shapes, SAME, usual.dense(), peers.dense())


SERIES: dict[str, dict[int, Workload]] = {
    "pixels, dense 3x3, 16 channels": {
        n * n: _dense("pixels, dense", n * n, 1, n, 16) for n in (16, 32, 64, 128, 256, 512, 1024)
    },
    "pixels, depthwise 7x7, 32 channels": {
        n * n: depthwise(f"scale: pixels, depthwise {n * n}", (1, n, n, 32), 7)
        for n in (16, 32, 64, 128, 256, 512)
    },
    "channels, dense 3x3, 32x32": {
        n: _dense("channels", n, 4, 32, n) for n in (4, 8, 16, 32, 64, 128, 256, 512)
    },
    "kernel size, depthwise, 128x128x8": {
        n: depthwise(f"scale: kernel {n}", (1, 128, 128, 8), n)
        for n in (3, 5, 7, 9, 13, 17, 25, 31, 47, 63, 95, 127)
    },
    "batch, dense 3x3, 32x32x32": {
        n: _dense("batch", n, n, 32, 32) for n in (1, 2, 4, 8, 16, 32, 64)
    },
}
"""For each picture the workloads by the size that grows."""

SCALE_WORK = tuple(work for series in SERIES.values() for work in series.values())

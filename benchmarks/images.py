"""Image filtering against OpenCV, SciPy and the bandwidth of a copy: ``-m benchmarks images``.

Every row is one image, kernel and way to call: OpenCV's function of that purpose is the peer, with
its own result arrays, as users call it, and again into an array that exists (``out``: OpenCV's
``dst``; ours then has memory that was used before).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks._measure import RESULTS, commit, machine, roofline, time_in_turns, use_two_threads
from convsmith.files import write_text

SIZES = (3, 5, 9, 15, 31)
GOAL, SCIPY_GOAL = 2.0, 10.0


def pictures() -> dict[str, Any]:
    """Return the images that are filtered."""
    rng = np.random.default_rng(0)
    return {
        "float32 4096x4096": rng.random((4096, 4096), dtype="float32"),
        "uint8 RGB 1920x1080": rng.integers(0, 256, (1080, 1920, 3), dtype="uint8"),
    }


def calls(image: Any, kind: str, size: int) -> Mapping[str, Callable[[], Any]]:
    """Return ours and the peers' call for one kind of kernel."""
    import cv2
    import scipy.ndimage as ndi

    from convsmith import images

    rng = np.random.default_rng(size)
    deep = image.ndim == 3
    target = np.empty_like(image)
    if kind == "any kernel":
        kernel = rng.normal(size=(size, size)).astype("float32")
        kernel /= np.abs(kernel).sum()
        return {
            "ours": lambda: images.filter(image, kernel),
            "opencv": lambda: cv2.filter2D(image, -1, kernel),
            "opencv into dst": lambda: cv2.filter2D(image, -1, kernel, dst=target),
            "scipy": lambda: ndi.correlate(
                image, kernel[..., None] if deep else kernel, mode="mirror"
            ),
        }
    line = cv2.getGaussianKernel(size, -1)[:, 0]
    if kind == "lines":
        return {
            "ours": lambda: images.filter_lines(image, [line, line]),
            "opencv": lambda: cv2.sepFilter2D(image, -1, line, line),
            "opencv into dst": lambda: cv2.sepFilter2D(image, -1, line, line, dst=target),
            "scipy": lambda: ndi.correlate1d(
                ndi.correlate1d(image, line, 0, mode="mirror"), line, 1, mode="mirror"
            ),
        }
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    if kind == "gaussian":
        return {
            "ours": lambda: images.gaussian_blur(image, sigma, size=size),
            "opencv": lambda: cv2.GaussianBlur(image, (size, size), sigma),
            "opencv into dst": lambda: cv2.GaussianBlur(image, (size, size), sigma, dst=target),
            "scipy": lambda: ndi.gaussian_filter(
                image, sigma, mode="mirror", radius=size // 2, axes=(0, 1)
            ),
        }
    if kind == "box":
        return {
            "ours": lambda: images.box_blur(image, size),
            "opencv": lambda: cv2.blur(image, (size, size)),
            "opencv into dst": lambda: cv2.blur(image, (size, size), dst=target),
            "scipy": lambda: ndi.uniform_filter(image, size, mode="mirror", axes=(0, 1)),
        }
    square = np.ones((size, size), np.uint8)
    return {
        "ours": lambda: images.dilate(image, size),
        "opencv": lambda: cv2.dilate(image, square, borderType=cv2.BORDER_REFLECT_101),
        "opencv into dst": lambda: cv2.dilate(
            image, square, dst=target, borderType=cv2.BORDER_REFLECT_101
        ),
        "scipy": lambda: ndi.maximum_filter(image, size, mode="mirror", axes=(0, 1)),
    }


KINDS = ("any kernel", "lines", "gaussian", "box", "dilate")
AIMED = ("any kernel", "lines")

FIRST = """
import time
start = time.perf_counter()
import numpy as np
from convsmith import images
ready = time.perf_counter()
images.filter(np.ones((64, 64), "float32"), np.random.default_rng(0).normal(size=({n}, {n})))
print(ready - start, time.perf_counter() - ready)
"""


def first_calls(size: int) -> dict[str, float]:
    """Return the seconds of the first call in a process, without and with kept machine code."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"CONVSMITH_IMAGES": folder}
        found = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", FIRST.format(n=size)],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append([float(word) for word in done.stdout.split()])
    return {"import": found[1][0], "made": found[0][1], "kept": found[1][1]}


def main(arguments: list[str]) -> None:
    """Measure all rows and write ``results/images.json`` and ``images.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks images", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row")
    parser.add_argument("--quick", action="store_true", help="one second for each row")
    options = parser.parse_args(arguments)
    use_two_threads()
    import cv2

    cv2.setNumThreads(2)
    limits = roofline()
    rows = []
    for name, image in pictures().items():
        for kind in KINDS:
            for size in SIZES:
                candidates = dict(calls(image, kind, size))
                known = {}
                for label, call in candidates.items():
                    call()
                    start = time.perf_counter()
                    call()
                    known[label] = time.perf_counter() - start
                seconds = 1.0 if options.quick else options.seconds
                times = time_in_turns(candidates, seconds, known)
                row = {
                    "image": name,
                    "kind": kind,
                    "size": size,
                    "times": times,
                    "copy": 2e3 * image.nbytes / limits["copy_gb"] / 1e9,
                }
                rows.append(row)
                print(_line(row), flush=True)
    content = {
        "machine": machine() | {"limits": limits},
        "commit": commit(),
        "first": {str(n): first_calls(n) for n in (3, 5, 9, 15)},
        "rows": rows,
    }
    write_text(RESULTS / "images.json", json.dumps(content, indent=1) + "\n")
    write_text(RESULTS / "images.md", table(content) + "\n")
    print(summary(content))


def ratio(row: Mapping[str, Any], peer: str) -> float:
    """Return a peer's time over ours."""
    times = row["times"]
    return times[peer]["milliseconds"] / times["ours"]["milliseconds"]


def _line(row: Mapping[str, Any]) -> str:
    times = {name: f"{t['milliseconds']:.2f}" for name, t in row["times"].items()}
    cells = [row["image"], row["kind"], str(row["size"]), *times.values(), f"{row['copy']:.2f}"]
    cells += [f"{ratio(row, peer):.2f}" for peer in ("opencv", "opencv into dst", "scipy")]
    return f"| {' | '.join(cells)} |"


def table(content: Mapping[str, Any]) -> str:
    """Return all rows and what they come to."""
    columns = (
        "image", "kernel", "size", "ours (ms)", "OpenCV", "OpenCV into dst", "SciPy", "a copy",
        "OpenCV / ours", "into dst / ours", "SciPy / ours",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_line(row) for row in content["rows"]]
    lines += ["", summary(content), "", "First call of a process (seconds):", ""]
    lines += ["| kernel | import | machine code made | kept on disk |", "|---|---|---|---|"]
    lines += [
        f"| {n}x{n} | {t['import']:.2f} | {t['made']:.2f} | {t['kept']:.2f} |"
        for n, t in content["first"].items()
    ]
    return "\n".join(lines)


def summary(content: Mapping[str, Any]) -> str:
    """Return medians and the worst rows: of all rows, and of those that the goal is about."""
    lines = []
    for kinds, what in ((AIMED, "Separable and not"), (KINDS, "All rows")):
        rows = [row for row in content["rows"] if row["kind"] in kinds]
        for peer, goal in (("opencv", GOAL), ("opencv into dst", GOAL), ("scipy", SCIPY_GOAL)):
            ratios = [ratio(row, peer) for row in rows]
            slower = sum(r < 1 for r in ratios)
            lines.append(
                f"{what}, {peer}: {statistics.median(ratios):.2f} times our time in the median "
                f"(goal {goal:g}), least {min(ratios):.2f}; faster than us in {slower} of "
                f"{len(ratios)} rows."
            )
    return "\n\n".join(lines)


def page(content: Mapping[str, Any]) -> str:
    """Return what ``docs/performance.md`` shows."""
    where = content["machine"]["processor"]
    head = f"Measured on {where}, two threads, commit {content['commit']}."
    return f"{head}\n\n{table(content)}"

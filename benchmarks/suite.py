"""Every workload by convsmith, by what a Keras user writes, and by the backend's own best.

Each backend runs in a process of its own; the candidates of a workload take turns within it.
Results go to ``results/suite.json``, ``.md`` and ``.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

BACKENDS = {"tensorflow": ("eager", "graph", "xla"), "jax": ("jit",), "torch": ("eager",)}
THREADS = "2"
BUDGET = {True: 0.6, False: 3.0}
"""Seconds of repeats for one workload, mode and direction: quick, full."""


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Return `function` as `mode` runs it."""
    if mode == "eager":
        return function
    if mode == "jit":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=mode == "xla", autograph=False)


def with_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the gradients of the sum of squares for all operands."""
    import keras

    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        def run(*xs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(xs)
                y = function(*xs)
                loss = tf.reduce_sum(y * y)
            return tape.gradient(loss, xs)

        return run
    if name == "jax":
        import jax

        def loss(*xs: Any) -> Any:
            y = function(*xs)
            return (y * y).sum()

        return lambda *xs: jax.grad(loss, argnums=tuple(range(len(xs))))(*xs)
    import torch

    def grads(*xs: Any) -> Any:
        ys = [x.detach().requires_grad_(True) for x in xs]
        y = function(*ys)
        return torch.autograd.grad((y * y).sum(), ys)

    return grads


def wait(result: Any) -> Any:
    """Wait until a result is there."""
    first = result[0] if isinstance(result, list | tuple) else result
    if hasattr(first, "block_until_ready"):
        first.block_until_ready()
    return result


def host(result: Any) -> np.ndarray:
    """Return the first array of a result."""
    import keras

    first = result[0] if isinstance(result, list | tuple) else result
    return np.asarray(keras.ops.convert_to_numpy(first))


def time_in_turns(
    candidates: dict[str, Callable[[], Any]], seconds: float
) -> dict[str, dict[str, float]]:
    """Return median milliseconds of a call and the seconds that its first call took."""
    first: dict[str, float] = {}
    for name, call in candidates.items():
        start = time.perf_counter()
        wait(call())
        first[name] = time.perf_counter() - start
    times: dict[str, list[float]] = {name: [] for name in candidates}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 3:
        for name, call in candidates.items():
            start = time.perf_counter()
            wait(call())
            times[name].append(time.perf_counter() - start)
    return {
        name: {
            "milliseconds": 1e3 * float(np.median(t)),
            "fastest": 1e3 * min(t),
            "first_call_seconds": first[name],
        }
        for name, t in times.items()
    }


def roofline() -> dict[str, float]:
    """Return what the machine can do: multiply-adds and bytes copied a second, best of several."""
    a, b = (np.random.default_rng(0).random((1536, 1536), dtype="float32") for _ in range(2))
    source = np.ones(2**26, "float32")
    target = np.empty_like(source)
    best = {"gflops": 0.0, "copy_gb": 0.0}
    for _ in range(5):
        start = time.perf_counter()
        np.matmul(a, b)
        best["gflops"] = max(best["gflops"], 2 * 1536**3 / (time.perf_counter() - start) / 1e9)
        start = time.perf_counter()
        np.copyto(target, source)
        best["copy_gb"] = max(
            best["copy_gb"], 2 * source.nbytes / (time.perf_counter() - start) / 1e9
        )
    return best


def ours(work: Workload, lowering: str | None = None) -> Callable[..., Any]:
    """Return the workload as a call of `cs.conv`."""
    import convsmith as cs

    return lambda *xs: cs.conv(work.pattern, *xs, lowering=lowering, **work.arguments)


def lowerings(work: Workload, mode: str) -> list[str]:
    """Return the lowerings that can be forced on a workload."""
    import convsmith as cs
    from convsmith.errors import UnsupportedError
    from convsmith.lowerings import LOWERINGS

    found: list[str] = []
    for name in LOWERINGS:
        try:
            cs.plan(work.pattern, *work.shapes, mode=mode, lowering=name, **work.arguments)
        except UnsupportedError:
            continue
        found.append(name)
    return found


def measure(quick: bool, only: str, every_lowering: bool) -> list[dict[str, Any]]:
    """Return the rows of the backend in use."""
    import keras

    import convsmith as cs
    from benchmarks.peers import PEERS
    from benchmarks.workloads import WORKLOADS

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(int(THREADS))
    limits = roofline()
    rows: list[dict[str, Any]] = []
    for work in WORKLOADS:
        if (quick and not work.quick) or only not in work.name:
            continue
        random = np.random.default_rng(0)
        arrays = [random.normal(size=s).astype("float32") for s in work.shapes]
        xs = [keras.ops.convert_to_tensor(a) for a in arrays]
        functions: dict[str, Callable[..., Any]] = {"convsmith": ours(work)}
        if work.keras is not None:
            functions["keras"] = work.keras
        if work.peer is not None:
            functions["peer"] = PEERS[work.peer]
        for mode in BACKENDS[keras.backend.backend()]:
            if every_lowering:
                forced = {name: ours(work, name) for name in lowerings(work, mode)}
                functions = {"convsmith": ours(work), **forced}
            plan = cs.plan(work.pattern, *work.shapes, mode=mode, **work.arguments)
            ideal = max(2e-6 * plan.macs / limits["gflops"], 1e-6 * plan.bytes / limits["copy_gb"])
            for direction in ("forward", "backward"):
                row = {
                    "workload": work.name,
                    "backend": keras.backend.backend(),
                    "mode": mode,
                    "direction": direction,
                    "lowering": plan.lowering,
                    "roofline_milliseconds": ideal,
                }
                candidates: dict[str, Callable[[], Any]] = {}
                failed: dict[str, str] = {}
                wanted: np.ndarray | None = None
                for name, function in functions.items():
                    run = with_gradients(function) if direction == "backward" else function
                    call = compiled(run, mode)
                    try:
                        found = host(wait(call(*xs)))
                    except Exception as error:  # what others can't do is a result too
                        if name == "convsmith":
                            raise
                        failed[name] = f"{type(error).__name__}: {str(error)[:120]}"
                        continue
                    if wanted is None:
                        wanted = found
                    scale = np.abs(wanted).max()
                    if found.shape != wanted.shape or np.abs(found - wanted).max() > 2e-3 * scale:
                        failed[name] = "computes something else"
                        continue
                    candidates[name] = partial(call, *xs)
                row["results"] = time_in_turns(candidates, BUDGET[quick])
                row["failed"] = failed
                rows.append(row)
                print(describe(row), file=sys.stderr, flush=True)
    return rows


def describe(row: dict[str, Any]) -> str:
    """Return one line for people."""
    results = row["results"]
    ours = results["convsmith"]["milliseconds"]
    text = (
        f"{row['workload']:32} {row['backend']:10} {row['mode']:6} {row['direction']:8} "
        f"{row['lowering']:16} {ours:9.2f} ms"
    )
    for name in (*results, *row["failed"]):
        if name == "convsmith":
            continue
        if name in results:
            text += f"   {name} {results[name]['milliseconds'] / ours:6.2f}x"
        else:
            text += f"   {name} fails ({row['failed'][name]})"
    return text


def main(arguments: list[str] | None = None) -> None:
    """Measure all backends and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, under 10 minutes")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--backend", action="append", choices=list(BACKENDS))
    parser.add_argument("--name", default="suite", help="name of the result files")
    parser.add_argument(
        "--lowerings", action="store_true", help="compare with every lowering, not with others"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(measure(options.quick, options.only, options.lowerings)))
        return
    from benchmarks._measure import RESULTS, save
    from benchmarks.pictures import draw, table

    rows: list[dict[str, Any]] = []
    for backend in options.backend or BACKENDS:
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": THREADS,
            "TF_NUM_INTRAOP_THREADS": THREADS,
        }
        command = [sys.executable, "-m", "benchmarks.suite", "--worker", "--only", options.only]
        command += ["--quick"] if options.quick else []
        command += ["--lowerings"] if options.lowerings else []
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        rows += json.loads(done.stdout.splitlines()[-1])
    path = save(options.name, rows)
    (RESULTS / f"{options.name}.md").write_text(table(rows), encoding="utf-8")
    draw(rows, RESULTS / f"{options.name}.png")
    print(f"kept in {path}, {path.with_suffix('.md').name} and {path.with_suffix('.png').name}")


if __name__ == "__main__":
    main()

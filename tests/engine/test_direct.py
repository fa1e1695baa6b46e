"""`direct`, the compiled loop nest: right in every arrangement, portable where graphs leave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import convsmith as cs
from convsmith.adjoints import adjoint
from convsmith.direct import library
from convsmith.direct.builder import compiler as build_compiler
from convsmith.errors import UnsupportedError
from convsmith.lowerings import LOWERINGS, Sizes
from convsmith.lowerings.nest import BLOCK, nest
from convsmith.rewrites import equivalents
from engine_cases import Case
from engine_runs import BACKEND, MODES, assert_close, check_values_and_gradients, tensors

DOORS = {"tensorflow": ("eager", "xla"), "jax": ("eager", "jit"), "torch": ("eager",)}[BACKEND]

built = pytest.mark.skipif(bool(library.missing(BACKEND)), reason=library.missing(BACKEND))

DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c -> b h w c"
DENSE = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
SAME: dict[str, Any] = {"padding": "same"}

CASES = {
    "depthwise": Case(DEPTHWISE, ((2, 9, 11, 37), (3, 5, 37)), SAME),
    "depthwise, even kernel": Case(DEPTHWISE, ((2, 9, 11, 20), (4, 2, 20)), SAME),
    "kernel larger than the image": Case(DEPTHWISE, ((1, 4, 5, 18), (9, 11, 18)), SAME),
    "channels first": Case("b c (h+kh) (w+kw), c kh kw -> b c h w", ((2, 19, 6, 7), (19, 3, 3))),
    "strided": Case(
        "b (2h+kh) (3w+kw) c, kh kw c -> b h w c", ((2, 9, 23, 20), (3, 4, 20)), {"padding": (2, 1)}
    ),
    "strided and dilated": Case(
        "b (2h+3kh) (2w+2kw) c, kh kw c -> b h w c", ((2, 19, 23, 20), (3, 4, 20)), SAME
    ),
    "flipped": Case("b (h-kh) (2w-3kw) c, kh kw c -> b h w c", ((2, 9, 11, 20), (3, 2, 20)), SAME),
    "one multiplier": Case(
        "b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)", ((2, 5, 6, 17), (3, 3, 17, 1)), SAME
    ),
    "multiplier": Case(
        "b (h+kh) (w+kw) c, kh kw c m -> b h w (c m)", ((2, 5, 6, 3), (3, 3, 3, 18)), SAME
    ),
    "one kernel for all channels": Case(
        "b (h+kh) (w+kw) c, kh kw -> b h w c", ((2, 9, 11, 55), (3, 4)), SAME
    ),
    "dense": Case(DENSE, ((2, 9, 11, 6), (3, 3, 6, 41)), SAME),
    "dense, few filters": Case(DENSE, ((2, 9, 11, 33), (3, 3, 33, 2)), SAME),
    "grouped": Case(
        "b (h+kh) (w+kw) (g i), kh kw i g o -> b h w (g o)", ((2, 5, 6, 34), (3, 3, 2, 17, 3)), SAME
    ),
    "per sample": Case(
        "b (h+kh) (w+kw) c, b kh kw c -> b h w c", ((3, 5, 6, 20), (3, 3, 3, 20)), SAME
    ),
    "per pixel": Case(
        "b (h+kh) (w+kw) (g c), b h w kh kw g -> b h w (g c)",
        ((2, 5, 6, 36), (2, 5, 6, 3, 3, 2)),
        SAME,
    ),
    "written": Case("b h w c, kh kw c -> b (2h+kh) (3w+kw) c", ((2, 4, 5, 20), (3, 4, 20)), SAME),
    "written, gaps between taps": Case(
        "b h w c, kh kw c -> b (2h+2kh) (4w+2kw) c", ((2, 4, 5, 20), (3, 3, 20))
    ),
    "written, stride beyond the kernel": Case(
        "b h w i, kh kw o i -> b (3h+kh) (4w+kw) o", ((2, 4, 5, 9), (2, 2, 18, 9))
    ),
    "written and flipped": Case(
        "b h w i, kh kw i o -> b (2h-kh) (w-2kw) o", ((2, 4, 5, 9), (3, 2, 9, 18))
    ),
    "causal": Case("b (t+2k) c, k c -> b t c", ((2, 50, 20), (4, 20)), {"padding": "causal"}),
    "volume": Case(
        "b (d+kd) (h+kh) (w+kw) c, kd kh kw c -> b d h w c", ((1, 5, 6, 7, 18), (3, 3, 2, 18)), SAME
    ),
    "long, alone": Case("b (t+k) c, k c -> b t c", ((1, 3000, 64), (4, 64))),
}


@built
@pytest.mark.parametrize("mode", DOORS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, mode: str) -> None:
    check_values_and_gradients(CASES[name], mode, lowering="direct")


@built
@pytest.mark.parametrize("mode", DOORS)
def test_correlation_sums_over_lanes(mode: str) -> None:
    pattern = "b h w c, b (h+dy) (w+dx) c -> b h w dy dx"
    for channels in (3, 8, 20, 41):
        shapes = ((2, 5, 6, channels),) * 2
        case = Case(pattern, shapes, {**SAME, "dy": 3, "dx": 5})
        check_values_and_gradients(case, mode, lowering="direct")


@st.composite
def wide_cases(draw: st.DrawFn) -> Case:
    """Windows of all kinds with enough channels to fill vectors, and to leave some over."""

    def window(name: str, tap: str) -> str:
        stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        return f"({stride}{name}{draw(st.sampled_from('+-'))}{dilation}{tap})"

    lanes, few = draw(st.integers(1, 70)), draw(st.integers(1, 9))
    sizes = [draw(st.integers(1, 20)), draw(st.integers(1, 20))]
    taps = [draw(st.integers(1, 9)), draw(st.integers(1, 9))]
    h, w = window("h", "kh"), window("w", "kw")
    kinds = ["depthwise", "filter", "dense", "narrow", "grouped", "written", "gradient"]
    kind = draw(st.sampled_from(kinds))
    arguments: dict[str, Any] = {
        "padding": draw(st.sampled_from(["valid", "same", "full", (2, 1)]))
    }
    if kind == "filter":
        return Case(f"b {h} {w} c, kh kw -> b h w c", ((2, *sizes, lanes), tuple(taps)), arguments)
    if kind == "dense":
        shapes = ((2, *sizes, few), (*taps, few, lanes))
        return Case(f"b {h} {w} i, kh kw i o -> b h w o", shapes, arguments)
    if kind == "narrow":
        shapes = ((2, *sizes, lanes), (*taps, lanes, few))
        return Case(f"b {h} {w} i, kh kw i o -> b h w o", shapes, arguments)
    if kind == "grouped":
        shapes = ((1, *sizes, 2 * lanes), (*taps, 2, lanes, 3))
        return Case(f"b {h} {w} (g i), kh kw i g o -> b h w (g o)", shapes, arguments)
    if kind == "written":
        shapes = ((2, *sizes, lanes), (*taps, lanes))
        return Case(f"b h w c, kh kw c -> b {h} {w} c", shapes, {})
    if kind == "gradient":
        shapes = ((2, *sizes, lanes), (2, *taps, lanes))
        return Case(f"b {h} {w} c, b kh kw c -> h w c", shapes, arguments)
    return Case(f"b {h} {w} c, kh kw c -> b h w c", ((2, *sizes, lanes), (*taps, lanes)), arguments)


@built
@settings(max_examples=settings.default.max_examples * (1 if BACKEND == "jax" else 3))
@given(wide_cases())
def test_any_window(case: Case) -> None:
    assume(case.possible())
    expected = case.expected(case.operands())
    assume(expected.size)
    y = cs.conv(
        case.pattern, *tensors(case.operands(), "float32"), lowering="direct", **case.arguments
    )
    assert_close(y, expected, "float32", str(case))


@built
@pytest.mark.skipif(BACKEND == "jax", reason="JAX holds float64 as float32 here")
def test_float64() -> None:
    for case in (CASES["depthwise"], CASES["dense"], CASES["written"]):
        operands = tensors(case.operands("float64"), "float64")
        y = cs.conv(case.pattern, *operands, lowering="direct", **case.arguments)
        assert_close(y, case.expected(case.operands("float64")), "float64", str(case))


def test_what_it_refuses() -> None:
    x, kernel = np.ones((1, 5, 5, 8), "float32"), np.ones((3, 3, 8), "float32")
    whole = [keras.ops.convert_to_tensor(a, "int32") for a in (x, kernel)]
    with pytest.raises(UnsupportedError, match="it computes float32 and float64, not int32"):
        cs.plan(DEPTHWISE, *whole, lowering="direct")
    with pytest.raises(UnsupportedError, match="sums of products"):
        cs.plan(DEPTHWISE, x, kernel, semiring="max_plus", lowering="direct")
    # Its kernel has no axis that the data or the result share besides windows.
    with pytest.raises(UnsupportedError, match="no axis of two tensors is free"):
        cs.plan("(h+kh) (w+kw), kh kw -> h w", x[0, ..., 0], kernel[..., 0], lowering="direct")


@built
@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch says how many threads there are")
def test_results_do_not_depend_on_threads() -> None:
    import torch

    case = CASES["per sample"]
    gradient = Case("b (t+k) c, b t c -> k c", ((40, 300, 33), (40, 296, 33)))
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(
            [
                cs.conv(c.pattern, *tensors(c.operands(), "float32"), lowering="direct")
                for c in (Case(case.pattern, case.shapes), gradient)
            ]
        )
    torch.set_num_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert torch.equal(one, same)


@built
def test_calls_from_many_threads() -> None:
    case = Case("b (h+kh) (w+kw) c, kh kw c -> b h w c", ((4, 40, 40, 64), (5, 5, 64)), SAME)
    operands = tensors(case.operands(), "float32")
    expected = case.expected(case.operands())
    found: list[Any] = []

    def call() -> None:
        for _ in range(5):
            found.append(cs.conv(case.pattern, *operands, lowering="direct", **case.arguments))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 20
    for y in found:
        assert_close(y, expected, "float32", "called from many threads")


def test_blocks_and_lanes() -> None:
    """The arrangement of a depthwise convolution and of the gradient of its kernel."""
    (planned,) = cs.plan(DEPTHWISE, (8, 56, 56, 96), (7, 7, 96), padding="same").steps
    forward = nest(planned.step)
    assert not isinstance(forward, str)
    assert (forward.lane, forward.block, forward.run) == ("c", "w", "kw")
    assert (forward.tasks, forward.sums, forward.orders) == (("b", "h"), ("kh",), (None,) * 3)
    gradient = adjoint(planned.step, 1)
    assert gradient is not None
    for step in equivalents(gradient):  # Whichever of both loops is called the tap.
        back = nest(step)
        assert not isinstance(back, str)
        assert (back.lane, back.block, back.run) == ("c", "kw", "w")
        assert (back.tasks, back.outer, back.inner) == ((), ("b", "h"), ("kh",))
        assert back.parts(4 * 7 * 7 * 96) > 1
    source = library.source("kernels.h")
    assert f"constexpr int kBlock = {BLOCK};" in source


# --------------------------------------------------------------------- graphs that leave


@built
@pytest.mark.skipif(BACKEND != "jax", reason="what JAX exports")
def test_jax_exports_what_runs_anywhere() -> None:
    import jax
    from jax import export

    case = CASES["grouped"]
    operands = tensors(case.operands(), "float32")

    def convolve(*xs: Any) -> Any:
        return cs.conv(case.pattern, *xs, lowering="direct", **case.arguments)

    called = "custom_call @convsmith_direct"
    assert called in jax.jit(convolve).lower(*operands).as_text()
    exported = export.export(jax.jit(convolve))(*operands)
    assert called not in exported.mlir_module()
    y = export.deserialize(exported.serialize()).call(*operands)
    assert_close(y, case.expected(case.operands()), "float32", "exported")


@built
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
def test_only_gradients_are_computed_so_in_plain_graphs() -> None:
    import tensorflow as tf

    case = Case(DEPTHWISE, ((8, 30, 30, 96), (9, 9, 96)), SAME)
    operands = tensors(case.operands(), "float32")
    with pytest.raises(UnsupportedError, match="graphs stay portable"):
        cs.plan(case.pattern, *case.shapes, mode="graph", lowering="direct")

    @tf.function(input_signature=[tf.TensorSpec([None, 30, 30, 96]), tf.TensorSpec([9, 9, 96])])
    def train(x: Any, kernel: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = cs.conv(case.pattern, x, kernel, **case.arguments)
        return y, tape.gradient(y, (x, kernel))

    @tf.function
    def infer(x: Any, kernel: Any) -> Any:
        return cs.conv(case.pattern, x, kernel, **case.arguments)

    def operations(function: Any) -> set[str]:
        return {o.type for o in function.graph.get_operations()}

    assert "ConvsmithDirect" in operations(train.get_concrete_function())
    assert "ConvsmithDirect" not in operations(infer.get_concrete_function(*operands))
    y, gradients = train(*operands)
    expected = case.expected(case.operands())
    assert_close(y, expected, "float32", "value")
    wanted = case.gradients(case.operands(), np.ones_like(expected))
    for found, true in zip(gradients, wanted, strict=True):
        assert_close(found, true, "float32", "gradient in a graph with an open batch")


@built
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
@pytest.mark.parametrize("name", ["depthwise", "channels first", "written", "causal", "dense"])
def test_gradients_of_open_batches(name: str) -> None:
    import tensorflow as tf

    case = CASES[name]
    (planned,) = cs.plan(
        case.pattern, (None, *case.shapes[0][1:]), case.shapes[1], mode="graph", **case.arguments
    ).steps
    for adjoint_step in planned.adjoints:
        assert adjoint_step is not None
        step = adjoint_step.step
        shapes = [step.operand_shape(i) for i in range(2)]
        found = [np.ones([n or 3 for n in s], "float32") for s in shapes]
        names = {
            **{n: size or 3 for n, size in step.sizes.items()},
            **{p.axis: p.size for p in step.output if not isinstance(p, str)},
        }

        def run(lowering: str, step: Any = step, names: Any = names, found: Any = found) -> Any:
            # The batch is a tensor, as in a graph that leaves it open.
            open_names = {**names, "b": tf.shape(found[0])[0] * 0 + 3}
            return LOWERINGS[lowering].run(
                step, Sizes(open_names, {}), tuple(map(tf.constant, found))
            )

        if LOWERINGS["direct"].supports(step, adjoint_step.target).ok:
            np.testing.assert_allclose(run("direct"), run("unfold"), rtol=1e-5)


@built
@pytest.mark.skipif(BACKEND != "torch", reason="what PyTorch exports and transforms")
def test_torch_exports_what_runs_anywhere() -> None:
    import torch

    class Model(torch.nn.Module):
        def forward(self, x: Any, kernel: Any) -> Any:
            return cs.conv(DEPTHWISE, x, kernel, padding="same")

    operands = tensors(CASES["depthwise"].operands(), "float32")
    exported = torch.export.export(Model(), tuple(operands), strict=False)
    assert "convsmith" not in str(exported.graph)


@built
@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's transformations")
def test_torch_transformations() -> None:
    import torch

    x, kernel = tensors(CASES["depthwise"].operands(), "float32")

    def loss(kernel: Any, x: Any, lowering: str) -> Any:
        return (cs.conv(DEPTHWISE, x, kernel, padding="same", lowering=lowering) ** 2).sum()

    def all_of(lowering: str) -> list[Any]:
        def per_sample(kernel: Any, x: Any) -> Any:
            return loss(kernel, x[None], lowering)

        one = torch.func.jvp(lambda k: loss(k, x, lowering), (kernel,), (kernel,))[1]
        each = torch.func.vmap(torch.func.grad(per_sample), in_dims=(None, 0))(kernel, x)
        second = torch.func.jvp(
            torch.func.grad(lambda k: loss(k, x, lowering)), (kernel,), (kernel,)
        )[1]
        return [one, each, second]

    for ours, theirs in zip(all_of("direct"), all_of("native"), strict=True):
        assert_close(ours, theirs.detach().numpy(), "float32", "transformed")


# ----------------------------------------------------------------------- building, calling


@pytest.fixture
def kernels_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Point to another folder of kernels for a test."""

    def use(place: str | Path) -> None:
        monkeypatch.setenv(library.VARIABLE, str(place))
        library.forget()

    yield use
    library.forget()


def refusal(lowering: str = "direct") -> str:
    shapes = (1, 5, 6, 7), (3, 3, 7)  # Of no other test: plans are kept.
    with pytest.raises(UnsupportedError) as raised:
        cs.plan(DEPTHWISE, *shapes, mode=MODES[0] if BACKEND != "jax" else "jit", lowering=lowering)
    return str(raised.value)


def test_switched_off_or_not_built(kernels_in: Any, tmp_path: Path) -> None:
    kernels_in(library.NOWHERE)
    assert "CONVSMITH_DIRECT=off switches it off" in refusal()
    assert set(cs.direct.status().values()) == {"off"}
    with pytest.raises(UnsupportedError, match="switches the kernels off"):
        cs.direct.build()
    kernels_in(tmp_path)
    assert "`convsmith build` compiles it for this machine" in refusal()
    assert set(cs.direct.status().values()) == {"not built"}


def test_a_broken_library_is_not_chosen(kernels_in: Any, tmp_path: Path) -> None:
    kernels_in(tmp_path)
    for part in library.NEEDED[BACKEND]:
        place = library.path(part)
        assert place is not None
        place.write_bytes(b"no library")
    assert "can't be loaded" in refusal()


def test_no_compiler(kernels_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_in(tmp_path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UnsupportedError, match="need a C\\+\\+ compiler.*apt-get install g\\+\\+"):
        cs.direct.build()
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'error: nothing works' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(UnsupportedError, match="can't compile nest.cpp: error: nothing works"):
        cs.direct.build()
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.one_backend
@pytest.mark.skipif(build_compiler() is None, reason="there is no C++ compiler")
def test_two_processes_build_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import convsmith as cs; print(cs.direct.build()['jax'])"]
    # The door of JAX is compiled in seconds; the nest, which takes longer, is there already.
    nest_library = library.path(library.CORE)
    assert nest_library is not None
    shutil.copy(nest_library, tmp_path / nest_library.name)
    environment = {**os.environ, library.VARIABLE: str(tmp_path)}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    made = {process.communicate(timeout=300)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    (place,) = made
    assert Path(place).stat().st_size > 1000
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".partial")]


@built
def test_a_program_that_does_not_fit_is_refused() -> None:
    def run(program: list[int], *tensors: np.ndarray) -> bytes | None:
        described: list[Any] = []
        for x in tensors:
            described += [x.ctypes.data, library.numbers(x.shape), x.ndim]
        return library.core()(library.numbers(program), len(program), 0, *described, 1, None)

    (planned,) = cs.plan(DEPTHWISE, (1, 5, 5, 8), (3, 3, 8)).steps
    made = nest(planned.step)
    assert not isinstance(made, str)
    program = made.program(288)
    x, kernel = np.ones((1, 5, 5, 8), "float32"), np.ones((3, 3, 8), "float32")
    out = np.empty((1, 3, 3, 8), "float32")
    assert run(program, x, kernel, out) is None
    assert (out == 9).all()
    assert run(program, x, kernel[0], out) == b"an operand has another rank"
    assert run(program, x, kernel[..., :4].copy(), out) == b"sizes of the operands disagree"
    assert run([9, *program[1:]], x, kernel, out) == b"the program is of another version"
    assert run(program[:-3], x, kernel, out) == b"an operand has another rank"
    assert run(program[:20], x, kernel, out) is not None


FORKED = """
import os, numpy as np
from convsmith.adjoints import adjoint
from convsmith.direct import library
from convsmith.direct.builder import compiler as build_compiler
from convsmith.lowerings.nest import nest
import convsmith as cs

x, k = np.ones((4, 60, 60, 32), "float32"), np.ones((3, 3, 32), "float32")
(planned,) = cs.plan("b (h+kh) (w+kw) c, kh kw c -> b h w c", x.shape, k.shape).steps
program = nest(planned.step).program(10)

def run():
    out = np.zeros((4, 58, 58, 32), "float32")
    told = [v for a in (x, k, out) for v in (a.ctypes.data, library.numbers(a.shape), a.ndim)]
    assert library.core()(library.numbers(program), len(program), 0, *told, 2, None) is None
    return bool((out == 9).all())

assert run()
child = os.fork()
if child == 0:
    os._exit(0 if run() else 1)
assert os.waitpid(child, 0)[1] == 0
assert run()
"""


@built
@pytest.mark.skipif(sys.platform == "win32", reason="Windows doesn't fork")
@pytest.mark.skipif(BACKEND == "jax", reason="JAX warns of every fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr

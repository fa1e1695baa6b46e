"""`tune` measures and remembers; wisdom survives other writers, faults and newer versions."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convsmith as cs
from convsmith import engine
from convsmith.errors import ArgumentError, UnsupportedError
from convsmith.lowerings import LOWERINGS, Sizes, Support, Target, unfold
from convsmith.lowerings.running import MODES as EVERY_MODE
from convsmith.planner import tune as timing
from convsmith.planner import wisdom
from convsmith.planner.features import workspace
from convsmith.steps import Step

DENSE = "b (h+kh) i, kh i o -> b h o"
SHAPES = ((2, 19, 3), (3, 3, 5))
MODES = EVERY_MODE[keras.backend.backend()]
MODE = MODES[0]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A wisdom file of the test's own."""
    path = tmp_path / "wisdom.json"
    monkeypatch.setenv(wisdom.VARIABLE, str(path))
    cs.wisdom.load()
    wisdom._warned.clear()
    yield path
    monkeypatch.undo()
    cs.wisdom.load()


class Sluggish:
    """Right, and slow: it multiplies large matrices on the side."""

    name = "sluggish"

    def supports(self, step: Step, target: Target) -> Support:
        return Support(True)

    def features(self, step: Step, target: Target) -> dict[str, float]:
        return {"calls": 1e-9}  # By this estimate it would always be chosen.

    def run(self, step: Step, sizes: Sizes, operands: tuple[Any, ...]) -> Any:
        ballast: Any = keras.ops.ones((400, 400)) * keras.ops.sum(operands[0])
        for _ in range(20):
            ballast = keras.ops.matmul(ballast, ballast) * 0.0
        return unfold.run(step, sizes, operands) + ballast[0, 0]


@pytest.fixture
def sluggish(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(LOWERINGS, "sluggish", Sluggish())
    monkeypatch.setattr("convsmith.tuning.OUT_OF_QUESTION", float("inf"))
    engine._plans.clear()
    yield
    engine._plans.clear()


def tuned(**arguments: Any) -> Any:
    return cs.tune(DENSE, *SHAPES, seconds=0.02, mode=MODE, **arguments)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    "mode", [m for m in MODES if m != "compiled"]
)  # That needs a C++ compiler.
def test_the_measured_best_is_chosen(sluggish: None, mode: str, gradients: bool) -> None:
    assert cs.plan(DENSE, *SHAPES, mode=mode).lowering == "sluggish"
    made = cs.tune(DENSE, *SHAPES, mode=mode, seconds=0.05, gradients=gradients)
    assert made.lowering != "sluggish"
    assert cs.plan(DENSE, *SHAPES, mode=mode).lowering == made.lowering
    times = {c.lowering: c.microseconds for c in made.steps[0].choices if c.source == "measured"}
    assert times["sluggish"] > times[made.lowering] == min(times.values())


def test_plans_made_before_are_not_kept(sluggish: None) -> None:
    x, kernel = (keras.ops.ones(s) for s in SHAPES)
    ran: list[str] = []
    run = Sluggish.run

    def watched(self: Any, *arguments: Any) -> Any:
        ran.append("sluggish")
        return run(self, *arguments)

    LOWERINGS["sluggish"].run = watched.__get__(LOWERINGS["sluggish"])  # type: ignore[method-assign]
    before = np.asarray(keras.ops.convert_to_numpy(cs.conv(DENSE, x, kernel)))
    assert ran
    tuned()
    ran.clear()
    after = np.asarray(keras.ops.convert_to_numpy(cs.conv(DENSE, x, kernel)))
    assert not ran
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_explain_says_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    cs.explain(DENSE, *SHAPES, mode=MODE)
    text = capsys.readouterr().out
    assert "estimated" in text
    assert "measured" not in text
    tuned()
    cs.explain(DENSE, *SHAPES, mode=MODE)
    text = capsys.readouterr().out
    chosen = next(line for line in text.splitlines() if "chosen" in line and "not" not in line)
    assert "measured" in chosen
    # Another size was never measured.
    assert "measured" not in str(cs.plan(DENSE, (2, 20, 3), SHAPES[1], mode=MODE))


def test_names_of_axes_do_not_matter_and_open_sizes_match() -> None:
    tuned()
    other = cs.plan("n (t+k) c, k c d -> n t d", *SHAPES, mode=MODE)
    assert other.steps[0].chosen.source == "measured"
    opened = cs.plan(DENSE, (None, 19, 3), SHAPES[1], mode=MODE)
    assert opened.steps[0].chosen.source == "measured"
    assert cs.plan(DENSE, *SHAPES, mode=MODE, dtype="float64").steps[0].chosen.source == "estimated"
    strided = cs.plan("b (2h+kh) i, kh i o -> b h o", *SHAPES, mode=MODE)
    assert strided.steps[0].chosen.source == "estimated"


def test_what_was_measured_beats_what_is_only_estimated() -> None:
    """Estimates of a faster machine, or none at all, must not win over a measurement."""
    planned = cs.plan(DENSE, *SHAPES, mode=MODE).steps[0]
    other = next(
        c.lowering
        for c in planned.choices
        if c.ok and not c.reason and c.lowering != planned.lowering
    )
    measured = {"lowering": other, "microseconds": {other: 1e9}}
    wisdom.keep(wisdom.entry(planned.step, planned.target, measured))
    assert cs.plan(DENSE, *SHAPES, mode=MODE).lowering == other


def test_wisdom_is_read_by_the_next_process(file: Path) -> None:
    tuned()
    engine._plans.clear()
    assert cs.wisdom.load() == 1
    assert cs.plan(DENSE, *SHAPES, mode=MODE).steps[0].chosen.source == "measured"
    entry = next(iter(next(iter(json.loads(file.read_text())["contexts"].values())).values()))
    assert entry["lowering"] == min(entry["microseconds"], key=entry["microseconds"].get)


def test_forget_export_and_import(file: Path, tmp_path: Path) -> None:
    tuned()
    cs.wisdom.export_to(tmp_path / "mine.json")
    cs.wisdom.forget()
    assert not file.exists()
    assert cs.plan(DENSE, *SHAPES, mode=MODE).steps[0].chosen.source == "estimated"
    assert cs.wisdom.import_from(tmp_path / "mine.json") == 1
    assert cs.plan(DENSE, *SHAPES, mode=MODE).steps[0].chosen.source == "measured"
    assert file.exists()
    with pytest.raises(FileNotFoundError):
        cs.wisdom.import_from(tmp_path / "none.json")


def test_the_argument_and_the_variable_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    tuned(wisdom_file=tmp_path / "deep" / "other.json")
    assert (tmp_path / "deep" / "other.json").exists()
    assert not file.exists()
    assert cs.wisdom.path() == file
    monkeypatch.setenv(wisdom.VARIABLE, "off")
    assert cs.wisdom.path() is None
    assert cs.wisdom.load() == 0
    assert tuned().steps[0].chosen.source == "measured"
    monkeypatch.delenv(wisdom.VARIABLE)
    usual = cs.wisdom.path()
    assert usual is not None
    assert "convsmith" in usual.parts


@pytest.mark.parametrize(
    "text",
    ['{"format": "conv', "[]", '{"format": "convsmith wisdom", "version": 1}', "\x00", "{}"],
)
def test_a_corrupt_file_is_one_warning_and_estimates(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.warns(RuntimeWarning, match=r"wisdom.json .*estimates instead"):
        cs.wisdom.load()
    # Warnings are errors here: a second one would fail.
    assert cs.plan(DENSE, *SHAPES, mode=MODE).steps[0].chosen.source == "estimated"
    cs.wisdom.load()
    # Tuning writes a sound one over it.
    assert tuned().steps[0].chosen.source == "measured"
    assert cs.wisdom.load() == 1


def test_unsound_entries_are_left_out(file: Path) -> None:
    tuned()
    data = json.loads(file.read_text())
    entries = next(iter(data["contexts"].values()))
    key = next(iter(entries))
    entries["a"], entries["b"], entries["c"] = 3, {"microseconds": {}}, {"microseconds": {"x": "y"}}
    entries[key]["microseconds"] = {"gone": 1.0}
    file.write_text(json.dumps(data))
    assert cs.wisdom.load() == 1
    # A lowering that is no more decides nothing.
    assert cs.plan(DENSE, *SHAPES, mode=MODE).steps[0].chosen.source == "estimated"


def test_a_newer_file_is_not_written_over(file: Path) -> None:
    text = json.dumps({"format": wisdom.FORMAT, "version": wisdom.VERSION + 1, "contexts": []})
    file.write_text(text)
    with pytest.warns(RuntimeWarning, match="version 2, newer than 1"):
        cs.wisdom.load()
    assert tuned().steps[0].chosen.source == "measured"  # In memory.
    assert file.read_text() == text


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").write_text("")
    monkeypatch.setenv(wisdom.VARIABLE, str(tmp_path / "plain" / "wisdom.json"))
    with pytest.warns(RuntimeWarning, match="can't be"):
        made = tuned()
    assert made.steps[0].chosen.source == "measured"


WRITER = """
import sys
from convsmith.planner import wisdom
from convsmith.planner.features import workspace
for number in range(40):
    key = f"{sys.argv[1]} {number}"
    wisdom.keep({"here": {key: {"lowering": "native", "microseconds": {"native": 1.0}}}})
"""


def test_two_processes_lose_no_entry(file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in ("one", "two")]
    assert [w.wait(120) for w in writers] == [0, 0]
    assert cs.wisdom.load() == 80
    assert not list(file.parent.glob("*partial*"))


def test_a_model_is_tuned_layer_by_layer() -> None:
    model = keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            cs.layers.Conv2D(3, 3, padding="same", padding_mode="reflect"),
            cs.layers.Conv2D(4, 3, strides=2),
        ]
    )
    mode = "jit" if "jit" in MODES else "eager"
    plans = cs.tune(model, (2, 12, 12, 2), seconds=0.01, mode=mode)
    assert [p.output_shape for p in plans] == [(2, 12, 12, 3), (2, 5, 5, 4)]
    assert all(p.steps[0].chosen.source == "measured" for p in plans)
    assert all(p.target.mode == mode for p in plans)
    sample = keras.ops.ones((2, 12, 12, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuple(model(sample).shape) == (2, 5, 5, 4)


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(ArgumentError, match="can't be measured while a size is unknown"):
        cs.tune(DENSE, (None, 19, 3), SHAPES[1])
    layer = cs.layers.Conv1D(3, 3)
    with pytest.raises(ArgumentError, match=r"has an unknown size.*Try: \(8, 9, 2\)"):
        cs.tune(layer, (None, 9, 2))
    with pytest.raises(ArgumentError, match="a pattern with its operands, or a layer"):
        cs.tune(layer, (2, 9, 2), (3, 4))


def test_candidates_take_turns_and_failures_are_told() -> None:
    now = [0.0]
    calls: list[str] = []

    def candidate(name: str, seconds: float) -> Any:
        def call() -> None:
            calls.append(name)
            now[0] += seconds

        return call

    def broken() -> None:
        raise ValueError("no such kernel")

    found = timing.time_in_turns(
        {
            "fast": candidate("fast", 0.1),
            "slow": candidate("slow", 0.2),
            "hopeless": candidate("hopeless", 9.0),
            "broken": broken,
        },
        2.0,
        clock=lambda: now[0],
    )
    assert found.best == "fast"
    assert found.microseconds == pytest.approx({"fast": 1e5, "slow": 2e5, "hopeless": 9e6})
    assert found.failed == {"broken": "ValueError: no such kernel"}
    assert calls.count("hopeless") == 2
    assert calls[-4:] == ["fast", "slow", "fast", "slow"]


DEPTHWISE = "b (h+kh) (w+kw) c, kh kw c -> b h w c"
WIDE = ((2, 16, 16, 8), (5, 5, 8))


def test_a_lowering_over_the_limit_is_refused_with_numbers() -> None:
    free = cs.plan(DEPTHWISE, *WIDE, mode=MODE)
    needed = {c.lowering: c.workspace for c in free.steps[0].choices if c.ok}
    patches = 4 * 2 * 12 * 12 * 25 * 8
    assert 2 * patches <= needed["unfold"] <= 4 * patches
    limit = needed["unfold"] - 1
    tight = cs.plan(DEPTHWISE, *WIDE, mode=MODE, max_workspace_bytes=limit)
    refused = next(c for c in tight.steps[0].choices if c.lowering == "unfold")
    assert not refused.ok
    assert refused.reason == f"it needs {limit + 1:,} bytes of workspace, more than {limit:,}"
    assert refused.reason in str(tight)
    assert tight.workspace_bytes <= limit
    with pytest.raises(UnsupportedError, match=f"{limit + 1:,} bytes of workspace"):
        cs.plan(DEPTHWISE, *WIDE, mode=MODE, lowering="unfold", max_workspace_bytes=limit)


def test_where_nothing_fits_the_message_says_what_would() -> None:
    pattern = "(h+kh) -> h kh"
    needed = cs.plan(pattern, (4,), kh=2).workspace_bytes
    assert needed >= 4 * 3 * 2
    with pytest.raises(
        UnsupportedError,
        match=rf"at least {needed} bytes, which lowering 'unfold' needs.*={needed}",
    ) as caught:
        cs.conv(pattern, np.ones(4, "float32"), kh=2, max_workspace_bytes=needed - 1)
    assert caught.value.argument == "max_workspace_bytes"
    found = cs.conv(pattern, np.ones(4, "float32"), kh=2, max_workspace_bytes=needed)
    assert tuple(found.shape) == (3, 2)
    for wrong in (-1, 1.5, True, "1GB"):
        with pytest.raises(ArgumentError, match="is no number of bytes"):
            cs.plan(pattern, (4,), kh=2, max_workspace_bytes=wrong)


def test_the_plan_counts_copies_and_flags_much_memory() -> None:
    plain = cs.plan(DEPTHWISE, *WIDE, mode=MODE, lowering="unfold")
    copied = cs.plan(
        DEPTHWISE,
        *WIDE,
        mode=MODE,
        lowering="unfold",
        padding="same",
        padding_mode="reflect",
    )
    assert "more than 2 times what goes in and out" in str(plain)
    step = cs.plan(DEPTHWISE, (2, 20, 20, 8), (5, 5, 8), mode=MODE, lowering="unfold")
    assert copied.workspace_bytes == step.workspace_bytes + 4 * 2 * 20 * 20 * 8
    light = cs.plan("b i, i o -> b o", (2, 3), (3, 4), mode=MODE)
    assert light.workspace_bytes == 0
    assert "0B of workspace" in str(light)
    assert "more than 2 times" not in str(light)


def test_limits_pass_through_symbolic_calls() -> None:
    x = keras.Input((16, 16, 8))
    y = cs.conv(DEPTHWISE, x, np.ones((5, 5, 8), "float32"), max_workspace_bytes=10**9)
    assert y.shape == (None, 12, 12, 8)


def test_a_plain_graph_counts_all_terms_and_a_compiler_none() -> None:
    step = cs.plan(DEPTHWISE, *WIDE, mode=MODE).steps[0].step
    term = 4 * 2 * 12 * 12 * 8

    def stated(backend: str, mode: str) -> int:
        return workspace("shift", step, Target(backend, mode, "cpu", "float32"))

    assert stated("tensorflow", "graph") == 25 * 2 * term
    assert stated("torch", "eager") == 2 * term
    assert stated("jax", "jit") == 0

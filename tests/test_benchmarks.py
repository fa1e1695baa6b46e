"""The benchmark harness: tiny work end to end, failures, resuming, comparison and goals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks import compare, goals, page, pictures, scale, suite
from benchmarks._measure import LEAST, SLOW, time_in_turns
from benchmarks.agreement import disagreeing
from benchmarks.layouts import Layout
from benchmarks.registry import BY_NAME, MODES, QUICK_MODES, SUITE, Job, suite_jobs
from benchmarks.scale_work import SERIES
from benchmarks.session import NO_FACTS, PLACE, SCHEMA, Kept, run_jobs
from benchmarks.workloads import WORKLOADS

QUIET = Console(quiet=True)


def job(name: str, backend: str, direction: str = "forward", **changes: Any) -> Job:
    mode = QUICK_MODES[backend][0]
    return replace(Job(name, backend, mode, direction, 0.01), **changes)


def row(
    times: dict[str, float], failed: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    """A row with these milliseconds."""
    place = ("work", "jax", "jit", "forward", "time")
    results = {name: {"milliseconds": t} for name, t in times.items()}
    found = {**dict(zip(PLACE, place, strict=True)), **NO_FACTS, "failed": failed or {}}
    return {**found, "lowering": "native", "results": results, **changes}


def content(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA, "machine": {}, "limits": {}, "rows": list(rows)}


# ------------------------------------------------------------------------------- end to end


def test_tiny_work_end_to_end_with_faults_and_resuming(tmp_path: Path, backend: str) -> None:
    """One run: good rows, a candidate that refuses, one that is wrong, one that dies, a resume."""
    jobs = [
        job("tiny dense", backend, mode="resumed"),
        job("tiny dense", backend),
        job("tiny depthwise", backend, "backward"),
        job("tiny with faults", backend),
        job("tiny that dies", backend),
        job("tiny dense", backend, lowerings=True),
        job("tiny per sample", backend),
    ]
    path = tmp_path / "tiny.json"
    kept = Kept(path, "suite", {"tiny": True})
    # A first run was stopped after one row.
    place = dict(zip(PLACE, jobs[0].key, strict=True))
    first = row({"convsmith": 1.0, "keras": 2.0}, **place)
    kept.add(first, jobs[0].key)
    assert not path.exists()

    again = Kept(path, "suite", {"tiny": True})
    assert again.resume()
    lines: list[str] = []
    run_jobs(
        jobs,
        again,
        describe=lambda found: lines.append(suite.describe(found)) or "",
        roofline_seconds=0.01,
        console=QUIET,
    )
    assert again.rows[0] == first, "a row that was done is not measured again"
    assert len(lines) == len(jobs) - 1
    done = suite.finish(again)
    assert json.loads(path.read_text()) == done
    assert not kept.partial.exists()

    rows = {(r["workload"], r["kind"]): r for r in done["rows"][1:]}
    assert len(rows) == len(jobs) - 1
    dense = rows["tiny dense", "time"]
    assert not dense["failed"]
    assert {"convsmith", "keras"} < set(dense["results"])
    assert len(dense["results"]) == 3 + (backend == "torch")
    assert all(r["milliseconds"] > 0 and r["calls"] >= 3 for r in dense["results"].values())
    assert dense["roofline_milliseconds"] > 0
    assert not rows["tiny depthwise", "time"]["failed"], "gradients of all operands agree"

    faults = rows["tiny with faults", "time"]
    assert faults["failed"]["refuses"] == "ValueError: refused on purpose"
    assert faults["failed"]["twice as much"].startswith("computes something else than")
    assert {"convsmith", "keras"} < set(faults["results"])
    died = rows["tiny that dies", "time"]
    assert died["failed"]["aborts"].startswith("killed its process: exit code -9")
    assert set(died["results"]) == {"convsmith", "keras"}
    forced = rows["tiny dense", "lowerings"]
    assert {"convsmith", "convsmith: unfold"} < set(forced["results"])

    table = path.with_suffix(".md").read_text()
    assert "| tiny dense |" in table
    assert "refused on purpose" in table
    assert path.with_suffix(".png").stat().st_size > 1000
    assert done["complete"]
    assert done["machine"]["versions"]["keras"]


@pytest.mark.one_backend
@pytest.mark.slow
def test_a_candidate_that_hangs_and_memory(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "hang.json", "suite", {})
    jobs = [
        job("tiny dense", "jax"),
        job("tiny dense", "jax", memory=True),
        job("tiny that hangs", "jax", candidates=("hangs", "keras")),
    ]
    run_jobs(jobs[:2], kept, roofline_seconds=0.01, console=QUIET)
    run_jobs(jobs, kept, limit=10, console=QUIET)
    measured, hangs = kept.rows
    assert measured["kind"] == "time"
    assert measured["results"]["convsmith"]["extra_bytes"] >= 0
    assert measured["results"]["convsmith"]["milliseconds"] > 0
    assert hangs["failed"] == {"hangs": "stopped after 10 s"}
    assert list(hangs["results"]) == ["keras"]


def test_resuming_needs_the_same_run(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.json", "suite", {"quick": True})
    assert not kept.resume(), "nothing is there"
    kept.add(row({"convsmith": 1.0}), ("work", "jax", "jit", "forward", "time"))
    assert Kept(tmp_path / "a.json", "suite", {"quick": True}).resume()
    assert not Kept(tmp_path / "a.json", "suite", {"quick": False}).resume()
    assert not Kept(tmp_path / "a.json", "goals", {"quick": True}).resume()
    kept.partial.write_text("{ half a file")
    assert not Kept(tmp_path / "a.json", "suite", {"quick": True}).resume()


# ------------------------------------------------------------------------------- pieces


def test_slow_candidates_are_called_once_and_others_take_turns() -> None:
    now, order = [0.0], []

    def call(name: str, seconds: float) -> Any:
        def run() -> None:
            order.append(name)
            now[0] += seconds

        return run

    calls = {"a": call("a", 0.125), "b": call("b", 0.25), "slow": call("slow", 2 * SLOW)}
    found = time_in_turns(calls, 3.0, clock=lambda: now[0])
    assert order.count("slow") == 1
    assert found["slow"]["milliseconds"] == pytest.approx(2e3 * SLOW)
    assert found["a"]["milliseconds"] == pytest.approx(125)
    assert found["a"]["calls"] == 8
    assert found["b"]["calls"] == 4
    assert "".join(n for n in order if n != "slow").startswith(("abba", "abab"))
    order.clear()
    known = time_in_turns(calls, 0.0, {"slow": 7.0}, clock=lambda: now[0])
    assert known["slow"] == {"milliseconds": 7000.0, "fastest": 7000.0, "calls": 1}
    assert "slow" not in order
    assert known["a"]["calls"] == LEAST


@pytest.mark.backend_free
@pytest.mark.parametrize(
    ("text", "shape", "there"),
    [
        ("b h w c -> b c h w", (2, 3, 4, 5), (2, 5, 3, 4)),
        ("kh kw i g o -> (g o) i kh kw", (3, 2, 4, 5, 6), (30, 4, 3, 2)),
        ("kh kw c m -> (c m) 1 kh kw", (3, 2, 4, 2), (8, 1, 3, 2)),
    ],
)
def test_layouts_go_there_and_back(
    text: str, shape: tuple[int, ...], there: tuple[int, ...]
) -> None:
    x = np.arange(np.prod(shape)).reshape(shape)
    y = Layout(text).there(x)
    assert y.shape == there
    assert (Layout(text).back(y, shape) == x).all()


@pytest.mark.backend_free
def test_layout_merges_in_order() -> None:
    x = np.arange(6).reshape(2, 3)
    assert Layout("g o -> (g o)").there(x).tolist() == [0, 1, 2, 3, 4, 5]
    assert Layout("g o -> (o g)").there(x).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.backend_free
def test_the_minority_is_wrong_and_we_must_convince_others() -> None:
    one, two = [np.ones(3)], [2 * np.ones(3)]
    assert disagreeing({"convsmith": one, "keras": one}) == {}
    assert list(disagreeing({"convsmith": one, "keras": two, "peer": one})) == ["keras"]
    assert list(disagreeing({"convsmith": one, "keras": two})) == ["convsmith"]
    found = disagreeing({"convsmith": [np.ones(4)], "keras": one})
    assert found["convsmith"].endswith("(other shapes)")
    assert list(disagreeing({"a": one, "b": one, "c": [np.array([1, np.nan, 1])]})) == ["c"]
    gradients = [np.ones(3), np.ones(2)], [np.ones(3), np.array([1.0, 1.1])]
    assert disagreeing({"convsmith": gradients[0], "keras": gradients[1]})


@pytest.mark.backend_free
def test_every_kind_of_work_of_the_list_is_there() -> None:
    names = [w.name for w in SUITE]
    assert len(set(names)) == len(names)
    for words in (
        "dense 3x3, 56x56", "channels first", "ResNeXt", "depthwise 3x3", "depthwise 7x7",
        "depthwise 15x15", "depthwise 31x31", "1-D depthwise causal 3", "1-D depthwise causal 4",
        "separable", "stride 2", "dilation 2", "stride 2, dilation 2", "transposed", "per sample",
        "per pixel", "locally connected", "CondConv", "correlation volume", "reflect padding",
        "wrap padding", "standardised conv", "low rank", "127x127", "length 1048576", "3-D dense",
        "batch 1",
    ):  # fmt: skip
        assert any(words in name for name in names), words
    assert all(w.beside for w in WORKLOADS if "padding" in w.name)


@pytest.mark.backend_free
def test_jobs_of_the_quick_and_the_full_run() -> None:
    backends = tuple(MODES)
    quick, full = suite_jobs(backends, quick=True), suite_jobs(backends, quick=False)
    assert {j.key for j in quick} < {j.key for j in full}
    assert {(j.backend, j.mode) for j in full} == {(b, m) for b, ms in MODES.items() for m in ms}
    assert not any(j.mode == "compiled" for j in quick)
    assert [j.backend for j in full] == sorted([j.backend for j in full], key=backends.index)
    memory = suite_jobs(backends, quick=False, memory=True)
    assert {j.key[-1] for j in memory} == {"memory"}


# ------------------------------------------------------------------------------- compare


@pytest.mark.backend_free
def test_compare_prints_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(
        row({"convsmith": 2.0, "keras": 3.0}, workload="a"),
        row({"convsmith": 2.0}, workload="b"),
        row({"convsmith": 2.0}, {"keras": "no"}, workload="c"),
        row({"convsmith": 2.0}, workload="gone"),
    )
    after = content(
        row({"convsmith": 1.0, "keras": 9.0}, workload="a", lowering="shift"),
        row({"convsmith": 2.1}, workload="b"),
        row({"convsmith": 5.0}, {"bare JAX": "no"}, workload="c"),
        row({"convsmith": 2.0}, workload="new"),
    )
    for name, value in (("a", before), ("b", after)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    paths = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    compare.main(paths)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fails now: c | jax | jit | forward | time | bare JAX"
    assert lines[1] == "works now: c | jax | jit | forward | time | keras"
    assert lines[2].split()[:5] == ["0.50x", "2.000", "->", "1.000", "ms"]
    assert lines[2].endswith("native -> shift")
    assert lines[3].startswith("  2.50x")
    assert lines[4:6] == [
        "only before: gone | jax | jit | forward | time",
        "only after: new | jax | jit | forward | time",
    ]
    assert lines[6] == "2 moved by more than 10% in 3 common rows"
    compare.main([*paths, "--all", "--threshold", "0.01"])
    assert "4 moved by more than 1%" in capsys.readouterr().out


@pytest.mark.backend_free
def test_compare_refuses_another_schema(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"rows": []}')
    with pytest.raises(SystemExit, match="schema None; expected"):
        compare.read(tmp_path / "old.json")


# ------------------------------------------------------------------------------- goals


@pytest.mark.backend_free
def test_goals_name_work_and_candidates_that_exist() -> None:
    for goal in goals.goals():
        if goal.measure == "overhead":
            continue
        work = BY_NAME[goal.workload]
        assert goal.direction in work.directions
        assert goal.mode in MODES[goal.backend]
        if hasattr(work, "candidates") and goal.measure == "ratio":
            names = [c.name for c in work.candidates(goal.backend)]
            assert goal.slow in names, goal
            assert goal.fast in names


@pytest.mark.backend_free
def test_goals_are_judged() -> None:
    place = ("work", "jax", "jit", "forward")
    ratio = goals.Goal("faster", *place, 5.0)
    rows = [row({"convsmith": 2.0, "keras": 12.0})]
    (found,) = goals.judged([ratio], rows)
    assert (found["measured"], found["met"]) == (6.0, True)
    assert goals.judged([replace(ratio, wanted=7.0)], rows)[0]["met"] is False
    other = goals.judged([replace(ratio, slow="JAX, vmap")], rows)[0]
    assert (other["met"], other["remark"]) == (None, "JAX, vmap: not measured")
    assert goals.judged([replace(ratio, workload="else")], rows)[0]["remark"] == "not measured"
    broken = [row({"convsmith": 2.0}, {"keras": "ValueError: no"})]
    assert goals.judged([ratio], broken)[0]["remark"] == "keras: ValueError: no"

    lowerings = row({}, kind="lowerings")
    lowerings["results"] = {
        "convsmith": {"compile_seconds": 1.0},
        "convsmith: shift": {"compile_seconds": 6.0},
    }
    slowest = goals.Goal("compiles", *place, 5.0, "compile")
    (found,) = goals.judged([slowest], [lowerings])
    assert (found["measured"], found["met"], found["remark"]) == (6.0, False, "shift")

    needs = row({}, kind="lowerings memory", bytes=100, output_bytes=50)
    needs["results"] = {
        "convsmith: shift": {"extra_bytes": 150},
        "convsmith: unfold": {"extra_bytes": 650, "stated_bytes": 600},
    }
    memory = goals.Goal("memory", *place, 2.0, "memory")
    (found,) = goals.judged([memory], [needs])
    assert (found["measured"], found["met"], found["remark"]) == (2.0, True, "unfold")
    needs["results"]["convsmith: shift"]["extra_bytes"] = 300
    (found,) = goals.judged([memory], [needs])
    assert (found["measured"], found["met"], found["remark"]) == (2.5, False, "shift")

    text = goals.table(goals.judged([ratio, slowest], [*rows, lowerings]))
    assert "| faster | work | jax | jit | forward | >= 5 | 6 | yes | 12 / 2 ms, native |" in text
    assert "| compiles | work | jax | jit | forward | <= 5 | 6 | **no** | shift |" in text
    assert text.endswith("1 met, 1 not met, 0 not measured\n")


@pytest.mark.backend_free
def test_memory_of_padding_is_counted_in_padded_copies() -> None:
    name = "reflect padding, dense 3x3, 64 channels"
    goal = goals.Goal("padding", name, "jax", "jit", "forward", 0.5, "padding memory")
    copy = 4 * 8 * 64 * 58 * 58
    found = row({}, workload=name)
    found["results"] = {
        "convsmith": {"extra_bytes": copy + 1000},
        "zero padding": {"extra_bytes": 1000},
    }
    assert goals.judged([goal], [found])[0]["measured"] == 1.0


# ------------------------------------------------------------------------------- pictures, scale


@pytest.mark.backend_free
def test_ratios_of_a_row_and_its_line_in_the_table() -> None:
    times = {"convsmith": 2.0, "keras": 8.0, "bare JAX": 5.0, "other": 3.0, "zero padding": 1.0}
    one = row(times, roofline_milliseconds=0.5)
    assert pictures.ratio(one, "keras") == 4.0
    assert pictures.best_other(one) == "other"
    assert pictures.share_of_roofline(one) == 0.25
    machine = {"processor": "P", "versions": {"keras": "3"}}
    text = pictures.table({**content(one), "machine": machine, "commit": "c"})
    assert "| work | jax | jit | forward | native | 2 | 25% | 4.00 | 1.50 | other |" in text


@pytest.mark.backend_free
def test_scale_curves_and_their_picture(tmp_path: Path) -> None:
    series = "batch, dense 3x3, 32x32x32"
    rows = [
        row({"convsmith": 0.1 * n, "keras": 0.3}, workload=work.name)
        for n, work in SERIES[series].items()
    ]
    found = scale.curves(rows)
    assert list(found) == [series]
    assert scale.slope(found[series]["jax jit"]["convsmith"]) == pytest.approx(1.0)
    assert scale.slope(found[series]["jax jit"]["keras"]) == pytest.approx(0.0)
    path = tmp_path / "scale.png"
    pictures.draw_scale(found, path)
    assert path.stat().st_size > 1000
    jobs = scale.jobs(("jax",), "kernel", 0.1)
    assert [j.workload for j in jobs] == [w.name for w in SERIES[jobs[0].series].values()]


@pytest.mark.backend_free
def test_the_page_takes_its_tables_from_the_results(tmp_path: Path) -> None:
    text = "before\n<!-- table: suite -->\nold\n<!-- end -->\n"
    text += "<!-- table: goals --><!-- end -->after\n"
    empty = page.filled(text, tmp_path)
    assert empty.count(page.NOTHING) == 2
    assert "old" not in empty
    head = {"machine": {"processor": "P"}, "commit": "c"}
    rows = [row({"convsmith": 1.0, "keras": n, "bare JAX": 2.0}) for n in (2.0, 3.0, 9.0)]
    (tmp_path / "suite-quick.json").write_text(json.dumps({**content(*rows), **head}))
    assert "results/suite-quick.png" in page.filled(text, tmp_path)
    (tmp_path / "suite.json").write_text(json.dumps({**content(*rows), **head}))
    found = goals.judged([goals.Goal("faster", "work", "jax", "jit", "forward", 2.5)], rows)
    (tmp_path / "goals.json").write_text(json.dumps({"goals": found, **head}))
    full = page.filled(empty, tmp_path)
    assert "| jax | jit | forward | 3 | 3.00 | 2.00 | 2.00 |  |" in full
    assert "| faster | jax | jit | >= 2.5 | 9 to 9 | 1 of 1 |" in full
    assert "results/suite.png" in full
    assert full.startswith("before\n")
    assert full.endswith("after\n")
    assert page.filled(full, tmp_path) == full


def test_the_page_describes_every_lowering() -> None:
    from convsmith.lowerings import LOWERINGS

    text = page.PAGE.read_text(encoding="utf-8")
    for name in LOWERINGS:
        assert f"\n| `{name}` |" in text, f"docs/performance.md lacks a row for {name!r}"

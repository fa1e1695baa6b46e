"""`convsmith filter`: what goes where, what is refused, and what the exit code says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from convsmith import images
from convsmith.images import batch, naming

pytestmark = pytest.mark.backend_free
Command = Callable[..., Any]

PATIENCE_SECONDS = 60


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 31)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8")
    Image.fromarray(pixels).save(path, quality=95)
    return pixels


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_picture(convsmith: Command, tmp_path: Path) -> None:
    pixels = picture(tmp_path / "in.png")
    done = convsmith(
        "filter", tmp_path / "in.png", "-k", "gaussian(sigma=2)", "-o", tmp_path / "o.png"
    )
    assert (done.code, done.out, done.err) == (0, f"{tmp_path / 'o.png'}\n", "")
    np.testing.assert_array_equal(opened(tmp_path / "o.png"), images.filter(pixels, "gaussian(2)"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--padding-mode", "wrap"], {"padding_mode": "wrap"}),
        (["--padding-mode", "wrap,edge"], {"padding_mode": ("wrap", "edge")}),
        (
            ["--padding-mode", "constant", "--padding-value", "9"],
            {"padding_mode": "constant", "padding_value": 9},
        ),
        (
            ["--convention", "scipy", "--padding-mode", "mirror"],
            {"convention": "scipy", "padding_mode": "mirror"},
        ),
        (["--flip"], {"flip": True}),
        (["--method", "fourier"], {"method": "fourier"}),
    ],
)
def test_options_are_those_of_the_function(
    convsmith: Command, tmp_path: Path, options: list[str], expected: dict[str, Any]
) -> None:
    pixels = picture(tmp_path / "in.png")
    kernel = [[1, 2, 0], [0, 1, 0.5]]
    done = convsmith(
        "filter", tmp_path / "in.png", "-k", str(kernel), "-o", tmp_path / "o.png", *options
    )
    assert done.code == 0, done
    np.testing.assert_array_equal(
        opened(tmp_path / "o.png"), images.filter(pixels, np.array(kernel), **expected)
    )


def test_kernels_from_files_and_banks_of_several(convsmith: Command, tmp_path: Path) -> None:
    pixels = picture(tmp_path / "in.png")
    np.save(tmp_path / "k.npy", np.eye(5) / 5)
    out = tmp_path / "o.npy"
    assert convsmith("filter", tmp_path / "in.png", "-k", tmp_path / "k.npy", "-o", out).code == 0
    np.testing.assert_array_equal(np.load(out), images.filter(pixels, np.eye(5) / 5))
    both = ["-k", "sobel_x", "-k", "sobel_y", "--magnitude", "--gray"]
    done = convsmith("filter", tmp_path / "in.png", *both, "-o", tmp_path / "m.png")
    assert (done.code, done.err) == (0, "")
    with Image.open(tmp_path / "in.png") as image:
        gray = np.asarray(image.convert("L"))
    x, y = (images.filter(gray, name, dtype="float32") for name in ("sobel_x", "sobel_y"))
    difference = opened(tmp_path / "m.png") - np.hypot(x, y).clip(0, 255)
    assert np.abs(difference).max() < 6  # Pillow rounds grey levels down.


def test_slopes_come_with_a_hint(convsmith: Command, tmp_path: Path) -> None:
    picture(tmp_path / "in.png")
    arguments = ["filter", tmp_path / "in.png", "-k", "sobel_x", "-o"]
    done = convsmith(*arguments, tmp_path / "o.png")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert done.err.startswith("note: this kernel adds up to 0")
    assert convsmith(*arguments, tmp_path / "a.png", "--absolute").err == ""
    assert convsmith(*arguments, tmp_path / "a.tif", "--dtype", "float32").err == ""
    assert tifffile.imread(tmp_path / "a.tif").min() < 0


def test_large_files_by_parts(
    convsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LARGE_TIFF", 10000)
    image = np.random.default_rng(1).random((120, 90), dtype="float32")
    np.save(tmp_path / "in.npy", image)
    chain = ["in.npy", "a.zarr", "b.tif", "c.npy"]
    for source, target in pairwise(chain):
        done = convsmith(
            "filter", tmp_path / source, "-k", "box", "-o", tmp_path / target, "--compare", "-j", 2
        )
        assert (done.code, done.err) == (0, ""), done
        image = images.filter(image, "box")
        assert (tmp_path / f"{Path(target).stem}-compare.png").exists()
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), image)
    assert zarr.open_array(str(tmp_path / "a.zarr")).dtype == "float32"
    assert not list(tmp_path.glob("*.partial"))


def test_stacks_and_axes(convsmith: Command, tmp_path: Path) -> None:
    stack = np.random.default_rng(2).integers(0, 256, (4, 30, 20, 2), "uint8")
    np.save(tmp_path / "in.npy", stack)
    out = tmp_path / "o.npy"
    arguments = ["filter", tmp_path / "in.npy", "-k", "box", "-o", out]
    done = convsmith(*arguments)
    assert done.code == 2
    assert "leaves open which 2 of them are filtered" in done.err
    assert convsmith(*arguments, "--axes", "1,2").code == 0
    np.testing.assert_array_equal(np.load(out), images.filter(stack, "box", axes=(1, 2)))


def test_a_folder_keeps_its_tree_and_a_bad_file_stops_no_other(
    convsmith: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "scans"
    shots = {name: picture(folder / name, seed) for seed, name in enumerate(["a.png", "b/a.png"])}
    (folder / "b" / "bad.png").write_bytes(b"nothing")
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    out = tmp_path / "out"
    done = convsmith("filter", folder, "-k", "box(5)", "-o", out)
    assert done.code == 3
    assert done.out == f"2 of 3 images: {out}\n"
    assert done.err == f"failed: {folder / 'b' / 'bad.png'}: is not a picture that Pillow knows.\n"
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert found == sorted(shots)
    for name, pixels in shots.items():
        np.testing.assert_array_equal(opened(out / name), images.filter(pixels, "box(5)"))
    refused = convsmith("filter", folder, "-k", "box(5)", "-o", out)
    assert refused.code == 2
    assert "2 of 3 results: are there already" in refused.err
    picture(folder / "b" / "bad.png")
    again = convsmith("filter", folder, "-k", "box(5)", "-o", out, "--resume")
    assert (again.code, again.out) == (0, f"1 of 3 images: {out}; 2 were there already\n")
    everything = convsmith("filter", folder, "-k", "box(5)", "-o", out, "--overwrite")
    assert (everything.code, everything.out) == (0, f"3 of 3 images: {out}\n")


def test_many_files(convsmith: Command, tmp_path: Path) -> None:
    for index in range(200):
        picture(tmp_path / "in" / f"{index:03}.png", index)
    (tmp_path / "in" / "100.png").write_bytes(b"")
    pattern = tmp_path / "in" / "*.png"
    out = tmp_path / "out"
    done = convsmith("filter", pattern, "-k", "gaussian", "-o", out, "--format", "tif", "-j", 4)
    assert done.code == 3
    assert done.out.startswith("199 of 200 images")
    assert done.err.count("\n") == 1
    assert len(list(out.glob("*.tif"))) == 199


def test_errors_that_are_ours_are_told_apart(
    convsmith: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        picture(tmp_path / "in" / f"{name}.png")

    def broken(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("a fault\nof ours")

    monkeypatch.setattr(batch, "filter_picture", broken)
    monkeypatch.setattr(batch, "_filter_by_parts", broken)
    arguments = ["-k", "box", "-o", tmp_path / "out"]
    done = convsmith("filter", tmp_path / "in", *arguments)
    assert (done.code, done.err.count("a.png: RuntimeError: a fault of ours")) == (3, 1)
    assert "Traceback" in convsmith("filter", tmp_path / "in", *arguments, "--debug").err
    one = convsmith("filter", tmp_path / "in" / "a.png", *arguments)
    assert one.code == 1
    assert "unexpected RuntimeError: a fault of ours" in one.err


def test_where_results_go(tmp_path: Path) -> None:
    def outs(inputs: list[str], out: str, **options: Any) -> list[str]:
        found = naming.pairs([str(tmp_path / i) for i in inputs], str(tmp_path / out), **options)
        return [str(p.out.relative_to(tmp_path)) for p in found]

    for name in ("a.png", "b.jpg", "in/c.png", "in/d/e.tif", "in/made/x.png", "in/f-compare.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in" / "g.zarr").mkdir()
    (tmp_path / "in" / "g.zarr" / "zarr.json").touch()
    assert outs(["a.png"], "z.jpg") == ["z.jpg"]
    assert outs(["a.png"], "there") == ["there/a.png"]
    assert outs(["a.png"], "in") == ["in/a.png"]
    assert outs(["a.png", "b.jpg"], "there", form="tif") == ["there/a.tif", "there/b.tif"]
    assert outs(["in"], "in/made") == ["in/made/c.png", "in/made/d/e.tif", "in/made/g.zarr"]
    assert outs(["in/**/*.tif"], "o", form=".png") == ["o/d/e.png"]
    assert outs(["in/*"], "o") == ["o/c.png", "o/g.zarr"]
    assert outs(["in/g.zarr"], "o.npy") == ["o.npy"]
    assert outs(["in/g.zarr"], "g.zarr") == ["g.zarr"]


def test_what_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b" / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.npy").write_bytes(b"no")
    a, out = tmp_path / "a.png", tmp_path / "out"
    for arguments, problem in (
        ([a, "-k", "sobol_x", "-o", out], "Try: 'sobel_x'"),
        ([a, "-k", "gaussian(sigm=1)", "-o", out], "is not a parameter"),
        ([a, "-k", "[[1,2],[3]]", "-o", out], "is not rows of numbers"),
        ([a, "-k", "[['a']]", "-o", out], "is not rows of numbers"),
        ([a, "-k", "none.npy", "-o", out], "--kernel none.npy: is not there"),
        ([a, "-k", tmp_path / "bad.npy", "-o", out], "is not an array file"),
        ([a, "-k", "box", "-o", a], "is an input. Try: another -o, or --overwrite"),
        ([a, "-k", "box", "-o", out, "--dtype", "int64"], "is not one that results can have"),
        ([a, "-k", "box", "-o", out, "--padding-mode", "mirror"], "is not a known padding mode"),
        ([a, "-k", "box", "-o", out, "--axes", "x"], "is not a list of axes"),
        ([tmp_path / "none.png", "-k", "box", "-o", out], "none.png: is not there"),
        ([tmp_path / "empty", "-k", "box", "-o", out], "holds no images"),
        ([tmp_path / "*.gif", "-k", "box", "-o", out], "holds no images"),
        ([a, tmp_path / "b", "-k", "box", "-o", tmp_path / "one.png"], "is one file for 2 images"),
        ([a, tmp_path / "b", "-k", "box", "-o", out], "would be the result of"),
        ([a, "-k", "box", "-o", tmp_path / "f.png", "--dtype", "float32"], "--dtype uint16"),
        ([a, "-k", "kirsch", "-o", tmp_path / "f.png"], "--magnitude for the filters of a bank"),
        ([a, "-k", "box", "-o", tmp_path / "f.png", "--jobs", "0"], "equal to 1"),
    ):
        assert problem in refused("filter", *arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b", "bad.npy", "empty"]


def test_an_input_is_replaced_when_asked(convsmith: Command, tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png")
    same = [tmp_path / "a.png", "-k", "box", "-o", tmp_path / "a.png", "--overwrite"]
    assert convsmith("filter", *same).code == 0
    np.testing.assert_array_equal(opened(tmp_path / "a.png"), images.filter(pixels, "box"))


def test_before_and_after(convsmith: Command, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", size=(200, 300))
    done = convsmith(
        "filter", tmp_path / "a.jpg", "-k", "box(9)", "-o", tmp_path / "b.jpg", "--compare"
    )
    assert done.code == 0
    assert opened(tmp_path / "b-compare.png").shape == (250, 648, 3)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "convsmith.cli", "filter", *map(str, arguments)]


@pytest.mark.parametrize("out", ["out.npy", "out.zarr"])
def test_kill_and_resume(tmp_path: Path, out: str) -> None:
    image = np.random.default_rng(3).random((4000, 3000), dtype="float32")
    np.save(tmp_path / "in.npy", image)
    # Slow enough to be killed between two tiles.
    arguments = [tmp_path / "in.npy", "-k", "disk(25)", "-o", tmp_path / out, "--method", "direct"]
    with subprocess.Popen(command(*arguments, "-j", 1), stdout=subprocess.DEVNULL) as process:
        done = tmp_path / f"{out}.partial" / "done"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (done.exists() and done.read_text()):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert not (tmp_path / out).exists()
    before = len(done.read_text().split())
    again = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "half done by a run that was stopped. Try: --resume" in again.stderr
    other = [tmp_path / "in.npy", "-k", "disk(24)", "-o", tmp_path / out, "--resume"]
    changed = subprocess.run(command(*other), capture_output=True, text=True, check=False)
    assert changed.returncode == 2
    assert "kernel changed" in changed.stderr
    assert len(done.read_text().split()) == before
    subprocess.run(command(*arguments, "--resume"), check=True, stdout=subprocess.DEVNULL)
    written = tmp_path / out
    found = np.load(written) if out == "out.npy" else np.asarray(zarr.open_array(str(written))[...])
    np.testing.assert_array_equal(found, images.filter(image, "disk(25)", method="direct"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.npy", out])


def test_no_framework_is_imported(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.ones((9, 9), "float32"))
    code = f"""
import sys
from convsmith.cli import main
for name in ("png", "npy"):
    try:
        main(["filter", f"{tmp_path}/a.{{name}}", "-k", "box", "-o", f"{tmp_path}/o.{{name}}"])
    except SystemExit as stop:
        assert not stop.code, stop.code
try:
    main(["kernels"])
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = ("keras", "tensorflow", "jax", "torch", "matplotlib", "dask", "zarr")
print([name for name in heavy if name in sys.modules])
"""
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_compressed_results(
    convsmith: Command, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 50), "uint8")
    tifffile.imwrite(tmp_path / "in.tif", image)
    expected = images.filter(image, "box")
    for limit in (batch.LARGE_TIFF, 0):  # In memory, and part by part.
        monkeypatch.setattr(batch, "LARGE_TIFF", limit)
        out = tmp_path / f"out{limit}.tif"
        convsmith("filter", tmp_path / "in.tif", "-k", "box", "-o", out, "--compression", "lzw")
        np.testing.assert_array_equal(tifffile.imread(out), expected)
        with tifffile.TiffFile(out) as file:
            assert file.series[0].keyframe.compression.name == "LZW"
    words = ("filter", tmp_path / "in.tif", "-k", "box", "--compression", "zlib", "-o")
    assert "is of TIFF files, and a.png is none" in refused(*words, tmp_path / "a.png")

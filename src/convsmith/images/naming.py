"""Which files are meant, and where the result of each goes."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from convsmith.errors import ArgumentError, DataError, compose
from convsmith.images.pictures import ARRAYS, TIFF

COMPARED = "-compare.png"


@dataclass(frozen=True)
class Pair:
    """One input with its result."""

    path: Path
    out: Path

    @property
    def compared(self) -> Path:
        """The picture of before and after."""
        return self.out.with_name(f"{self.out.stem}{COMPARED}")


def pairs(inputs: Sequence[str], out: str, *, form: str | None = None) -> list[Pair]:
    """Return what is to be filtered to where.

    A folder is taken with all images below it, in the same tree. One file goes to `out`, or into
    it if that is a folder; several go into the folder `out` under their names.

    Args:
        inputs: files, folders and patterns such as ``"scans/**/*.png"``.
        out: a file, or a folder.
        form: the suffix of the results, the input's by default.

    Raises:
        ArgumentError: several inputs for one file, or two results of one name.
        DataError: an input that isn't there, or nothing to filter.
    """
    found = [each for text in inputs for each in _expanded(text, Path(out))]
    if not found:
        raise DataError(
            compose(
                " ".join(inputs),
                "holds no images",
                expected="PNG, JPEG, TIFF or other picture files, .npy files or Zarr folders",
            ),
            argument="inputs",
        )
    alone = len(inputs) == 1 and len(found) == 1 and found[0][0] == Path(inputs[0])
    target, suffix = Path(out), _suffix(form)
    is_file = _is_image_name(target) and (target.suffix == ".zarr" or not target.is_dir())
    if alone and is_file and not out.endswith("/"):
        return [Pair(found[0][0], target)]
    if is_file or target.is_file():
        raise ArgumentError(
            compose(
                f"output {out}",
                f"is one file for {len(found)} images",
                expected="a folder",
                fix=f"-o {target.stem}/",
            ),
            argument="out",
            value=out,
        )
    result = []
    for path, base in found:
        name = path.relative_to(base)
        result.append(Pair(path, target / (name.with_suffix(suffix) if suffix else name)))
    twice = [path for path, count in Counter(p.out for p in result).items() if count > 1]
    if twice:
        clash = " and ".join(str(p.path) for p in result if p.out == twice[0])
        raise ArgumentError(
            compose(
                f"output {twice[0]}",
                f"would be the result of {clash}",
                expected="results of different names",
                fix="give the folder that holds both",
            ),
            argument="out",
            value=out,
        )
    return result


def _suffix(form: str | None) -> str | None:
    return None if form is None else "." + form.lower().removeprefix(".")


def _is_image_name(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in (*TIFF, *ARRAYS) or suffix in Image.registered_extensions()


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def _expanded(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file with the folder from which its name is kept."""
    path = Path(text)
    if path.is_dir() and not is_zarr(path):
        yield from ((each, path) for each in _below(path, out))
    elif path.exists():
        yield path, path.parent
    elif glob.has_magic(text):
        parts = path.parts
        first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        base = Path(*parts[:first])
        matched = [Path(each) for each in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
        for each in matched:
            if each.is_dir() and not is_zarr(each):
                continue
            if _is_image_name(each) and not _made(each, out):
                yield each, base
    else:
        raise DataError(compose(text, "is not there"), argument="inputs", value=text)


def _below(folder: Path, out: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.name.startswith(".") or each.name.endswith(".partial") or _made(each, out):
            continue
        if each.is_dir() and not is_zarr(each):
            yield from _below(each, out)
        elif _is_image_name(each):
            yield each


def _made(path: Path, out: Path) -> bool:
    """Whether a file was made by an earlier run."""
    inside = out.is_dir() and path.resolve().is_relative_to(out.resolve())
    return path.name.endswith(COMPARED) or inside

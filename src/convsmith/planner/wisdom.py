"""Wisdom: which lowering was measured to be the fastest, kept in a file, as FFTW's is.

`convsmith.tune` adds to it and the planner consults it. An entry holds for one backend and its
version, execution mode, device and machine, and for one step: its pattern, sizes and dtype. The
file lies in the user's cache folder; the environment variable ``CONVSMITH_WISDOM`` names another,
or none if it is ``off``. A file that can't be read is a warning, and estimates instead.

Example:
    >>> load("/no/such/file")  # Nothing was measured yet: no entries.
    0
    >>> load() >= 0  # Back to the usual file.
    True
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from convsmith.files import write_text
from convsmith.lowerings import Target
from convsmith.lowerings.running import device_name
from convsmith.problem import Place, SizedWindow
from convsmith.steps import Step

FORMAT, VERSION = "convsmith wisdom", 1
VARIABLE = "CONVSMITH_WISDOM"
NOWHERE = "off"

Entry = dict[str, Any]
Contexts = dict[str, dict[str, Entry]]

__all__ = ["export_to", "forget", "import_from", "load", "path"]

watchers: list[Callable[[], None]] = []
"""Called whenever choices may have changed: whoever keeps plans forgets them then."""

_memory: Contexts | None = None
_file: Path | None = None
_warned: set[str] = set()


def path() -> Path | None:
    """Return the file that wisdom is kept in, None if it is kept in memory only.

    Example:
        >>> path() is None or path().suffix == ".json"
        True
    """
    if _file is not None:
        return _file
    named = os.environ.get(VARIABLE, "")
    if named == NOWHERE:
        return None
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_cache_path("convsmith") / "wisdom.json"


def load(file: str | os.PathLike[str] | None = None) -> int:
    """Read wisdom again, from the usual file or from another that is used from now on.

    Returns:
        The number of entries, for all backends and machines.

    Example:
        >>> load("/no/such/file")
        0
        >>> _ = load()
    """
    global _memory, _file
    _file = None if file is None else Path(file)
    where = path()
    _memory = {} if where is None else _read(where)[0]
    _changed()
    return sum(map(len, _memory.values()))


def forget() -> None:
    """Forget all wisdom, in memory and in the file.

    Example:
        >>> load("/no/such/file")
        0
        >>> forget()
        >>> _ = load()
    """
    global _memory
    _memory = {}
    where = path()
    if where is not None and where.parent.exists():
        with _locked(where):
            where.unlink(missing_ok=True)
    _changed()


def export_to(file: str | os.PathLike[str]) -> None:
    """Write all wisdom to a file, to take it to another process or to an equal machine.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_to(pathlib.Path(folder) / "mine.json")
        ...     import_from(pathlib.Path(folder) / "mine.json") >= 0
        True
    """
    target = Path(file)
    with _locked(target):
        _write(target, _known())


def import_from(file: str | os.PathLike[str]) -> int:
    """Add the wisdom of a file to what is known and kept; newer entries win.

    Returns:
        The number of entries in the file.

    Raises:
        FileNotFoundError: there is no such file.

    Example:
        >>> import_from("/no/such/file")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /no/such/file
    """
    source = Path(file)
    if not source.exists():
        raise FileNotFoundError(str(source))
    found, _ = _read(source)
    keep(found)
    return sum(map(len, found.values()))


def find(step: Step, target: Target) -> Entry | None:
    """Return what was measured of a step; open sizes are taken for any that was measured.

    Example:
        >>> from convsmith import plan
        >>> made = plan("b (h+kh) i, kh i o -> b h o", (3, 11, 5), (2, 5, 7))
        >>> find(made.steps[0].step, made.target) is None
        True
    """
    known = _known()
    if not known:
        return None
    entries = known.get(context(target))
    if not entries:
        return None
    name, sizes = signature(step, target)
    found = entries.get(_key(name, sizes))
    if found is not None or None not in sizes:
        return found
    alike = [e for key, e in entries.items() if _fits(key, name, sizes)]
    return max(alike, key=lambda e: e.get("measured", ""), default=None)


def entry(step: Step, target: Target, measured: Entry) -> Contexts:
    """Return one measurement as wisdom, for `keep`."""
    return {context(target): {_key(*signature(step, target)): measured}}


def keep(
    found: Mapping[str, Mapping[str, Entry]], file: str | os.PathLike[str] | None = None
) -> None:
    """Add entries to what is known, and to the file; entries that others wrote there stay."""
    known = _known()
    _merge(known, found)
    where = path() if file is None else Path(file)
    if where is not None:
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
            with _locked(where):
                kept, writable = _read(where)
                if writable:
                    _merge(kept, found)
                    _write(where, kept)
        except OSError as error:
            _warn(where, f"can't be written ({error}); what was measured is kept in memory only")
    _changed()


@cache
def _machine() -> str:
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return f"{processor} x {cores} {device_name()}".strip()


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"


@cache
def context(target: Target) -> str:
    """Return where a measurement holds: backend, mode, device, machine and versions.

    Example:
        >>> from convsmith import plan
        >>> "cpu" in context(plan("i -> i", (1,)).target)
        True
    """
    return (
        f"{target.backend} {_version(target.backend)}, {target.mode}, {target.device}, "
        f"convsmith {_version('convsmith')}, {_machine()}"
    )


def signature(step: Step, target: Target) -> tuple[str, tuple[int | None, ...]]:
    """Return a step without its names and sizes, and the sizes: what its speed depends on."""
    letters: dict[str, str] = {}
    sizes: list[int | None] = []

    def letter(name: str, size: int | None) -> str:
        if name not in letters:
            letters[name] = f"x{len(letters)}"
            sizes.append(size)
        return letters[name]

    def text(place: Place) -> str:
        if not isinstance(place, SizedWindow):
            return letter(place, step.sizes.get(place))
        position, tap = letter(place.position, place.positions), letter(place.tap, place.taps)
        sizes.extend((place.size, *place.pads))
        sign = "-" if place.flipped else "+"
        return f"({place.stride}{position}{sign}{place.dilation}{tap})"

    sides = [" ".join(map(text, side)) for side in step.operands]
    name = f"{', '.join(sides)} -> {' '.join(map(text, step.output))}"
    return f"{name} {step.semiring} {target.dtype}", tuple(sizes)


def _key(name: str, sizes: tuple[int | None, ...]) -> str:
    return f"{name} | {' '.join('?' if n is None else str(n) for n in sizes)}"


def _fits(key: str, name: str, sizes: tuple[int | None, ...]) -> bool:
    known, _, measured = key.partition(" | ")
    if known != name:
        return False
    numbers = measured.split()
    return len(numbers) == len(sizes) and all(
        n is None or str(n) == m for n, m in zip(sizes, numbers, strict=True)
    )


def _known() -> Contexts:
    global _memory
    if _memory is None:
        where = path()
        _memory = {} if where is None else _read(where)[0]
    return _memory


def _changed() -> None:
    for watcher in watchers:
        watcher()


def _merge(into: Contexts, found: Mapping[str, Mapping[str, Entry]]) -> None:
    for place, entries in found.items():
        mine = into.setdefault(place, {})
        for key, one in entries.items():
            if key not in mine or mine[key].get("measured", "") <= one.get("measured", ""):
                mine[key] = one


def _read(file: Path) -> tuple[Contexts, bool]:
    """Return the entries of a file, and whether it may be written over."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, True
    except (OSError, ValueError) as error:
        _warn(file, f"can't be read ({error}); the planner estimates instead")
        return {}, True
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        _warn(file, "is no wisdom of convsmith; the planner estimates instead")
        return {}, True
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        _warn(file, f"is of version {version}, newer than {VERSION}; the planner estimates instead")
        return {}, False
    contexts = data.get("contexts")
    if not isinstance(contexts, dict):
        _warn(file, "has no contexts; the planner estimates instead")
        return {}, True
    return {
        place: {key: one for key, one in entries.items() if _sound(one)}
        for place, entries in contexts.items()
        if isinstance(entries, dict)
    }, True


def _sound(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    times = one.get("microseconds")
    return (
        isinstance(times, dict)
        and bool(times)
        and all(isinstance(t, int | float) for t in times.values())
    )


def _write(file: Path, contexts: Contexts) -> None:
    data = {"format": FORMAT, "version": VERSION, "contexts": contexts}
    write_text(file, json.dumps(data, indent=1, sort_keys=True) + "\n")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock beside the file, which every process that writes it waits for."""
    with file.with_name(f"{file.name}.lock").open("a+") as handle:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            try:
                yield
            finally:
                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield  # Closing the file releases it.


def _warn(file: Path, problem: str) -> None:
    if str(file) not in _warned:
        _warned.add(str(file))
        warnings.warn(
            f"wisdom: {file} {problem}. "
            f"Try: convsmith.wisdom.forget(), or {VARIABLE}=another file.",
            RuntimeWarning,
            stacklevel=4,
        )

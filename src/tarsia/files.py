"""Files are written whole or not at all, and a full disk is one clear error.

By hand, since nobody maintains the package for it, atomicwrites, any more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tarsia.errors import NoRoomError, OutputError

LOCK = ".tarsia.lock"  # in a folder that is written into: folder_lock.py
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "file size limit",
    errno.EIO: "the disk reports an error",
    errno.EROFS: "it can only be read",
}
_PART = re.compile(r"\.(?s:.{1,40})\.[0-9a-f]{12}\.part")  # what is being written: `_part_of`


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` in one step, on failure it vanishes.

    Raises OutputError where the folder cannot be written, as NoRoomError where the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        held = part.open("xb")
        mode = part.stat().st_mode & 0o777  # what the umask lets; some writers make the file anew, for one user only
    except OSError as error:
        raise refusal(path, error) from error
    try:
        _take(held.fileno())
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(part, mode)
        os.replace(part, path)
        _sync_folder(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        cause = _os_error(error)
        if cause is not None:
            raise refusal(path, cause) from error
        raise
    finally:
        held.close()


@contextlib.contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """The same for a folder of files, which replaces what is at `path`, be it a folder with all that is in it."""
    part = _part_of(path)
    try:
        part.mkdir(parents=True)
        yield part
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        part.rename(path)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise refusal(path, error) from error
        raise


def remove_parts(folders: Iterable[Path], deep: bool = False) -> None:
    """Remove what a killed process was writing in `folders` (and, where `deep`, in each folder there): nothing else,
    and nothing that is still being written.

    For whoever has the folders to himself (folder_lock.py): a folder of files is not known to be in use.
    """
    for folder in folders:
        entries: list[os.DirEntry[str]] = []
        with contextlib.suppress(OSError):  # not there, or not to be read: what is to be written will say so
            entries = list(os.scandir(folder))
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and _PART.fullmatch(entry.name):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif is_folder and deep:
                remove_parts([Path(entry)])
            elif _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unless_held(entry.path)


def holds_files(folder: Path) -> bool:
    """Whether there is anything in `folder` but what a killed process leaves: a lock's file (folder_lock.py), parts."""
    return any(path.name != LOCK and not _PART.fullmatch(path.name) for path in folder.iterdir())


def write_text(path: Path, text: str) -> None:
    r"""Write a text file atomically (UTF-8); of a file's name that is no UTF-8 bytes are `\udcff`, as in JSON."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN becomes null, as JSON has no such number."""
    write_text(path, json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_list(path: Path, before: dict[str, Any], name: str, items: Iterable[Any], after: dict[str, Any]) -> None:
    """What `write_json` writes of `before`, `items` in a list under `name`, and `after`; one of them in memory."""

    def written(value: Any, spaces: int) -> str:
        found = json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False)
        return found.replace("\n", "\n" + " " * spaces)

    with writing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("{\n" + "".join(f"  {json.dumps(key)}: {written(one, 2)},\n" for key, one in before.items()))
        file.write(f"  {json.dumps(name)}: [")
        between = ""
        for item in items:
            file.write(f"{between}\n    {written(item, 4)}")
            between = ","
        file.write("\n  ]" if between else "]")
        file.write("".join(f",\n  {json.dumps(key)}: {written(one, 2)}" for key, one in after.items()) + "\n}\n")


def is_utf8(path: str | Path) -> bool:
    """Whether a path is text: libraries in Rust and C++, as safetensors and TensorBoard, open no other."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def new_folder(parent: Path, name: str) -> Path:
    """Create and return `parent/name`, or `parent/name-2`, `-3` ... where that exists."""
    for count in range(1, 100_000):
        folder = parent / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise refusal(folder, error) from error
    raise OutputError(f"{parent}: no free name for {name}")


def require_new(folder: Path, overwrite: bool) -> Path:
    """`folder`, created; OutputError where it already holds files and `overwrite` is off."""
    try:
        if folder.is_dir() and holds_files(folder) and not overwrite:
            raise OutputError(f"{folder} exists and is not empty: choose another `out` or add `overwrite=True`")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(folder, error) from error
    return folder


def require_others(targets: Iterable[Path], sources: Iterable[str | Path], advice: str) -> None:
    """OutputError where a file to be written is one of the sources, by whatever way there."""
    own = {os.path.realpath(path) for path in sources}
    for path in targets:
        if os.path.join(os.path.realpath(path.parent), path.name) in own:
            raise OutputError(f"{path}: would replace {advice}")


def refusal(path: Path, error: OSError) -> OutputError:
    """The error of a file that the system refuses to write; a NoRoomError where it will refuse the next one too."""
    reason = _FULL.get(error.errno or 0, error.strerror or str(error))
    fault = f"cannot write {path}: {reason}"
    if error.errno is None or error.errno in _FULL:  # without a number: a library's, which was writing
        return NoRoomError(fault)
    return OutputError(f"{fault}; what was there is as it was: choose another name or folder")


def _part_of(path: Path) -> Path:
    return path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.part"


def _take(descriptor: int) -> bool:
    """Hold an open file until it is closed, by whatever end the process comes to; False where another has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else a file system without locks
    return True


def _remove_unless_held(path: str) -> None:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if _take(file.fileno()):
            os.unlink(path)


def _os_error(error: BaseException) -> OSError | None:
    """The OSError behind `error`: libraries wrap a full disk in errors of their own."""
    if isinstance(error, OSError):
        return error
    text = str(error)
    for number in _FULL:
        if isinstance(error, Exception) and os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _without_nan(value.item())
    if hasattr(value, "tolist"):
        return _without_nan(value.tolist())
    return value


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # the file is in place already; some network file systems cannot do this
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

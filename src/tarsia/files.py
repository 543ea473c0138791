"""Files are written whole or not at all, and a full disk is one clear error."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tarsia.errors import OutputError

LOCK = ".tarsia.lock"  # in a folder that is written into: folder_lock.py
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "file size limit",
    errno.EIO: "the disk reports an error",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` in one step, on failure it vanishes.

    Raises OutputError where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.part"
        part.touch(exist_ok=False)
        mode = part.stat().st_mode & 0o777  # what the umask lets; some writers make the file anew, for one user only
    except OSError as error:
        raise _explained(path, error) from error
    try:
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
            raise _explained(path, cause) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN becomes null, as JSON has no such number."""
    write_text(path, json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
            raise _explained(folder, error) from error
    raise OutputError(f"{parent}: no free name for {name}")


def require_new(folder: Path, overwrite: bool) -> Path:
    """`folder`, created; OutputError where it already holds files and `overwrite` is off."""
    try:
        # The file of a lock (folder_lock.py) is nobody's result; a killed process leaves it.
        if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder} exists and is not empty: choose another --out or add --overwrite")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _explained(folder, error) from error
    return folder


def _os_error(error: BaseException) -> OSError | None:
    """The OSError behind `error`: libraries wrap a full disk in errors of their own."""
    if isinstance(error, OSError):
        return error
    text = str(error)
    for number in _FULL:
        if isinstance(error, Exception) and os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None


def _explained(path: Path, error: OSError) -> OutputError:
    reason = _FULL.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}; nothing was changed, make room or choose another folder")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
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

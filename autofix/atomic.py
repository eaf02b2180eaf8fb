"""Replacing a file in one step, so that whoever reads it sees the old bytes or the new ones."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def replace_file(target: Path, data: bytes, expected: bytes) -> bool:
    """Put `data` in place of `expected` in one step, with the file's mode and owner; False when the file holds
    something else by now.

    Raises:
        OSError: the file or its folder cannot be read or written. The file is untouched then.
    """
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".autofix")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            status = target.stat()
            with contextlib.suppress(OSError):  # another's file in a shared folder: the content matters more
                os.chown(handle, status.st_uid, status.st_gid)
            os.chmod(handle, stat.S_IMODE(status.st_mode))
            os.fsync(handle)
        if target.read_bytes() != expected:
            return False
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""The transport to this machine: a device that is a folder here."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from edgesmith import process
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import Capabilities, RemoteCommand, Transport
from edgesmith.errors import DeviceError, IntegrityError
from edgesmith.files import host_file_errors
from edgesmith.process import Completed

_CHUNK_BYTES = 1 << 20
_HINTS = {
    errno.ENOSPC: "free some space there, or set root to a folder on another disk",
    errno.EROFS: "the file system is read-only: set root to a writable folder",
    errno.EACCES: "give your user write permission there, or set another root",
    errno.EPERM: "give your user write permission there, or set another root",
    errno.EEXIST: "a file stands where a folder is needed: set another root",
    errno.ENOTDIR: "a file stands where a folder is needed: set another root",
}


class LocalTransport(Transport):
    """Copies files and runs programs below a folder of this machine."""

    capabilities = Capabilities(
        runs_programs=True, exclusive=True, real_time=True, own_processes=True
    )

    def _put(self, local: Path, name: str, *, sha256: str, mode: int, deadline: Deadline) -> None:
        target = self._inside(name)
        with self._device_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".put-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as to_file:
                    found = _copy(local, to_file, deadline=deadline)
                    to_file.flush()
                    os.fsync(to_file.fileno())
                _require_hash(local, expected=sha256, found=found)
                Path(temporary).chmod(mode)
                Path(temporary).replace(target)
            finally:
                Path(temporary).unlink(missing_ok=True)

    def _fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None:
        source = self._inside(name)
        with self._device_errors(source):
            size = source.stat().st_size
        if size > max_bytes or not source.is_file():
            raise DeviceError(
                f"refused to fetch {name}: {size} bytes, at most {max_bytes} are expected",
                where=str(source),
                hint="see what wrote this file on the device",
            )
        with host_file_errors(local):
            shutil.copyfile(source, local)

    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed:
        return process.run(
            process.Command(
                argv=command.argv,
                purpose=command.purpose,
                hint=command.hint,
                timeout_s=deadline.remaining_s(command.purpose),
                error=command.error,
                env=_device_environment(),
                accept=command.accept,
                separate_stderr=command.separate_stderr,
            ),
            events=self.events,
            on_line=on_line,
        )

    def _exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._locked(self._inside(name))

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        with self._device_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self.busy() from None
            yield

    def _inside(self, name: str) -> Path:
        """The file's path; raises DeviceError when a link on the way leads out of the root."""
        root = Path(self.root)
        path = root / name
        with self._device_errors(path):
            inside = path.parent.resolve().is_relative_to(root.resolve())
        if not inside or path.is_symlink():
            raise DeviceError(
                f"refused the path {name}: a link on the way leads elsewhere",
                where=str(path),
                hint="remove the link, or set another root",
            )
        return path

    @contextmanager
    def _device_errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeviceError(
                f"device '{self.device}' refused: {error.strerror or error}",
                where=str(error.filename or path),
                hint=_HINTS.get(error.errno or 0, "check the device's root folder"),
            ) from error


def _copy(source: Path, to_file: BinaryIO, *, deadline: Deadline) -> str:
    """Copies the bytes and returns their SHA-256, taken from what was really copied."""
    digest = hashlib.sha256()
    with _opened(source) as from_file:
        while chunk := from_file.read(_CHUNK_BYTES):
            deadline.remaining_s(f"sending {source.name}")
            digest.update(chunk)
            to_file.write(chunk)
    return digest.hexdigest()


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise IntegrityError(
            f"cannot read a file of the bundle: {error.strerror}",
            where=str(source),
            hint="build the bundle anew: edgesmith build",
        ) from error


def _require_hash(local: Path, *, expected: str, found: str) -> None:
    if found != expected:
        raise IntegrityError(
            f"the file changed while it was sent: sha256 {found}, expected {expected}",
            where=str(local),
            hint="build the bundle anew: edgesmith build",
        )


def _device_environment() -> dict[str, str]:
    """Little and known: a LD_LIBRARY_PATH of the host must not swap the bundled runtime."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C",
    }

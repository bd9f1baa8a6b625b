"""How a device is reached: a template that checks, and small classes that do.

Names of files on the device are relative to the device's root and use `/`.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self

from edgesmith.devices.deadline import Deadline
from edgesmith.errors import DeviceError, EdgesmithError, UsageError
from edgesmith.events import EventStream
from edgesmith.process import Completed

# What measures or installs on a device holds this lock: neither disturbs the other.
DEVICE_LOCK = "bench.lock"
BUSY_WAIT_S = 3600.0
# A device program's exit code is read by the caller, who knows what it means there.
ANY_EXIT_CODE = tuple(range(-64, 256))
_BYTES_PER_BLOCK = 1024


_LOCK_INTERVAL_S = 0.5


class DeviceBusyError(DeviceError):
    """Another edgesmith uses the device."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a transport can do. `real_time`: latencies there are those of the device itself.

    `own_processes`: what it runs are processes that this one started.
    """

    runs_programs: bool
    exclusive: bool
    real_time: bool
    own_processes: bool = False


@dataclass(frozen=True, kw_only=True)
class Room:
    """The nearest folder to the root that is there, and how much fits into it."""

    folder: str
    writable: bool
    free_bytes: int


@dataclass(frozen=True, kw_only=True)
class RemoteCommand:
    """A program to run on the device.

    `argv[0]` is a program of the device's PATH or an absolute path from `Transport.path`;
    `purpose` completes the sentence "... failed".
    """

    argv: Sequence[str]
    purpose: str
    hint: str
    accept: tuple[int, ...] = (0,)
    error: type[EdgesmithError] = DeviceError
    separate_stderr: bool = True


@dataclass(frozen=True, kw_only=True)
class FileToSend:
    """A file of this machine, and what it is to be on the device."""

    local: Path
    name: str
    sha256: str
    mode: int


class Transport(ABC):
    """One way to reach one device, below one root folder there.

    The public methods check names and capabilities; a subclass implements those with an
    underscore, and nothing else.
    """

    capabilities: ClassVar[Capabilities]
    # Whether the device resolves a relative root, against its login's home.
    takes_relative_root: ClassVar[bool] = False

    def __init__(self, *, device: str, root: str, events: EventStream) -> None:
        self.device = device
        self.configured_root = root
        self.events = events
        # Bytes of files that went to the device by put_all.
        self.sent_bytes = 0
        if ".." in root.split("/") or not (root.startswith("/") or self.takes_relative_root):
            raise self._bad_root(root)
        self.require_own_folder(root)

    @property
    def root(self) -> str:
        """The root folder as an absolute path on the device."""
        return self.configured_root

    def require_own_folder(self, root: str) -> None:
        """Raises UsageError for the root of the file system, however it is written."""
        if os.path.normpath(root).strip("/") in ("", "."):
            raise self._bad_root(root)

    def _bad_root(self, root: str) -> UsageError:
        return UsageError(
            f"the root of device '{self.device}' is '{root}': it must be a folder of its own",
            where=f"devices.{self.device}.root",
            hint="name an absolute folder that holds nothing else, such as ~/edgesmith",
        )

    def close(self) -> None:
        """Ends the connection, if there is one, and what runs over it."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def path(self, name: str = "") -> str:
        """The absolute path on the device of a file below the root."""
        return str(PurePosixPath(self.root) / _checked(name)) if name else self.root

    def put(self, local: Path, name: str, *, sha256: str, mode: int, deadline: Deadline) -> None:
        """Copies a file to the device, where it appears complete or not at all.

        Raises IntegrityError when what was sent does not have the hash `sha256`, DeviceError
        when the device refuses.
        """
        deadline.remaining_s(f"sending {local.name}")
        self._put(local, _checked(name), sha256=sha256, mode=mode, deadline=deadline)

    def put_all(
        self,
        files: Sequence[FileToSend],
        *,
        deadline: Deadline,
        on_file: Callable[[int], None],
        checked_later: bool = False,
        fresh: bool = False,
    ) -> None:
        """Copies files as `put` does, telling the index of each before it goes.

        An upload that was interrupted is continued, unless `fresh`. With `checked_later`, a file
        may come in wrong: the caller has the device check it.
        """
        for file in files:
            _checked(file.name)
        self._put_all(
            files, deadline=deadline, on_file=on_file, checked_later=checked_later, fresh=fresh
        )

    def fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None:
        """Copies a file of at most `max_bytes` from the device; raises DeviceError."""
        deadline.remaining_s(f"fetching {name}")
        self._fetch(_checked(name), local, max_bytes=max_bytes, deadline=deadline)

    def run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs a program on the device to its end; raises the command's error class."""
        if not self.capabilities.runs_programs:
            raise self._unable("run programs")
        deadline.remaining_s(command.purpose)
        return self._run(command, deadline=deadline, on_line=on_line)

    @contextmanager
    def exclusive(self, name: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Holds the lock `name` on the device, waiting for it and saying so.

        Raises DeviceBusyError when another has had it for `wait_s`.
        """
        if not self.capabilities.exclusive:
            raise self._unable("hold a lock")
        give_up_s = time.monotonic() + wait_s
        told = False
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self._exclusive(_checked(name)))
                    break
                except DeviceBusyError:
                    if time.monotonic() >= give_up_s:
                        raise
                if not told:
                    self.events.info(f"{self._in_use()}: waiting for it")
                    told = True
                time.sleep(_LOCK_INTERVAL_S)
            yield

    def _in_use(self) -> str:
        return f"device '{self.device}' ({self.root}) is in use by another edgesmith"

    def busy(self) -> DeviceBusyError:
        """What `_exclusive` raises when another holds the lock."""
        return DeviceBusyError(
            self._in_use(),
            where=self.root,
            hint="wait until it has ended; devices with the same root are one device, also those"
            " of other projects: give this one another root where it is not",
        )

    @property
    def emulator_argv(self) -> tuple[str, ...]:
        """What runs the device's programs where the device itself can't; empty elsewhere."""
        return ()

    @property
    def system_root(self) -> str:
        """The folder that holds the device's system files; empty: the root of what it runs on."""
        return ""

    def machine(self, deadline: Deadline) -> str:
        """The device's architecture as `uname -m` says it; raises DeviceError."""
        answer = self._ask(["uname", "-m"], "asking for the architecture", deadline)
        return answer.output.strip()

    def free_bytes(self, deadline: Deadline) -> int:
        """Space left below the root, which must exist; raises DeviceError."""
        return self._free_bytes(self.path(), deadline)

    def room(self, deadline: Deadline) -> Room:
        """Where the root is or would be made; changes nothing there. Raises DeviceError."""
        argv = ["sh", "-c", _NEAREST_FOLDER, "nearest", self.path()]
        answer = self._ask(argv, "looking at the root folder", deadline)
        # The folder's name may have letters that this host can't write: it is only shown here.
        first, _, table = answer.output.partition("\n")
        state, _, folder = first.partition(" ")
        free_bytes = self._free_in(table, folder)
        return Room(folder=folder, writable=state == "writable", free_bytes=free_bytes)

    def _free_bytes(self, folder: str, deadline: Deadline) -> int:
        answer = self._ask(["df", "-Pk", folder], "asking for free space", deadline)
        return self._free_in(answer.output, folder)

    def _free_in(self, table: str, folder: str) -> int:
        """The bytes that df's table names."""
        fields = table.strip().splitlines()[-1].split() if table.strip() else []
        if len(fields) < 5 or not fields[-3].isdigit():
            raise DeviceError(
                f"device '{self.device}' gave no free space that can be read",
                where=folder,
                hint="run df -Pk there and see what it prints",
            )
        return int(fields[-3]) * _BYTES_PER_BLOCK

    def exists(self, name: str, deadline: Deadline) -> bool:
        """Whether a file or folder of this name is there."""
        command = RemoteCommand(
            argv=["test", "-e", self.path(name)],
            purpose=f"looking for {name}",
            hint=_REACH_HINT,
            accept=(0, 1),
        )
        return self.run(command, deadline=deadline).returncode == 0

    def list_folder(self, name: str, deadline: Deadline) -> tuple[str, ...]:
        """The names in a folder; raises DeviceError when it is not there."""
        done = self._ask(["ls", "-A", self.path(name)], f"listing {name}", deadline)
        return tuple(done.output.splitlines())

    def make_folder(self, name: str, deadline: Deadline) -> None:
        """Makes a folder and those above it; none of them may be missing permission."""
        self._ask(["mkdir", "-p", self.path(name)], f"making the folder {name or '.'}", deadline)

    def remove(self, name: str, deadline: Deadline) -> None:
        """Removes a file or a folder with all that is in it; a link is removed, not followed."""
        self._ask(["rm", "-rf", self.path(name)], f"removing {name}", deadline)

    def _ask(self, argv: Sequence[str], doing: str, deadline: Deadline) -> Completed:
        command = RemoteCommand(argv=argv, purpose=f"{self.device}: {doing}", hint=_REACH_HINT)
        return self.run(command, deadline=deadline)

    def _unable(self, what: str) -> DeviceError:
        return DeviceError(
            f"the transport of device '{self.device}' cannot {what}",
            where=f"devices.{self.device}.transport",
            hint="use another transport for this device",
        )

    @abstractmethod
    def _put(
        self, local: Path, name: str, *, sha256: str, mode: int, deadline: Deadline
    ) -> None: ...

    def _put_all(
        self,
        files: Sequence[FileToSend],
        *,
        deadline: Deadline,
        on_file: Callable[[int], None],
        checked_later: bool,
        fresh: bool,
    ) -> None:
        """For transports to which a file more is no connection more."""
        for index, file in enumerate(files):
            on_file(index)
            self.put(file.local, file.name, sha256=file.sha256, mode=file.mode, deadline=deadline)
            self.sent_bytes += file.local.stat().st_size

    @abstractmethod
    def _fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None: ...

    @abstractmethod
    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed: ...

    @abstractmethod
    def _exclusive(self, name: str) -> AbstractContextManager[None]: ...


_NEAREST_FOLDER = """
folder=$1
while [ ! -e "$folder" ]; do
  folder=${folder%/*}
  [ -n "$folder" ] || folder=/
done
if [ -d "$folder" ] && [ -w "$folder" ] && [ -x "$folder" ]; then state=writable; else state=no; fi
printf '%s %s\\n' "$state" "$folder"
df -Pk "$folder"
"""
_REACH_HINT = "check that the device is reachable and that its root folder may be written"


def _checked(name: str) -> str:
    """`name` when it stays below the root; anything else is a bug or an attack."""
    parts = name.split("/")
    if not name or name.startswith("/") or any(p in ("", ".", "..") for p in parts) or "\0" in name:
        raise DeviceError(
            f"refused the file name {name!r}: it does not stay below the device's root",
            hint="build the bundle anew; if that does not help, report this as a bug",
        )
    return name

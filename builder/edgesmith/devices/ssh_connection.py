"""One connection to a device: a control master that is also the guard of all that runs there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgesmith import process
from edgesmith.devices.background import Background
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.remote.script import BOOTSTRAP, make_script
from edgesmith.devices.ssh_errors import connection_error, no_shell
from edgesmith.devices.ssh_options import (
    SshAddress,
    Timing,
    alias,
    asking_argv,
    known_hosts_path,
    master_argv,
    session_argv,
)
from edgesmith.devices.transport import ANY_EXIT_CODE
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.events import EventStream
from edgesmith.host_keys import HostKey, keys_in, known_hosts_line

# A Unix socket's path has 104 bytes, and ssh appends 17 while it makes it.
_LONGEST_FOLDER = 80
# Limits of the master itself come from whoever uses it.
_FOREVER_S = 10 * 365 * 86_400.0
_SSH_FAILED = 255
INSTALL_SSH = "install the OpenSSH client (Debian: apt-get install openssh-client)"


class Connection:
    """An open connection; `root` is the device's root folder as an absolute path there."""

    def __init__(
        self,
        to: SshAddress,
        *,
        device: str,
        root: str,
        timing: Timing,
        events: EventStream,
        deadline: Deadline,
    ) -> None:
        self._to, self._device, self._timing, self._events = to, device, timing, events
        self._folder = _private_folder()
        try:
            if to.host_key is not None:
                line = known_hosts_line(alias(device), to.host_key)
                known_hosts_path(self._folder).write_text(line)
            self._master = self._start(root)
            facts = self._hello(deadline.at_most(2 * timing.connect_s))
        except BaseException:
            self.close()
            raise
        self.root, self.real_root, self.guard = facts["root"], facts["real"], facts["guard"]
        self.tools = frozenset(facts["tools"].split())

    def command(
        self,
        *,
        purpose: str,
        timeout_s: float,
        stdin: Iterable[bytes],
        error: type[EdgesmithError] = DeviceError,
    ) -> process.Command:
        """The local program that runs the script that its input begins with on the device."""
        return process.Command(
            argv=session_argv(self._to, self._folder, BOOTSTRAP),
            purpose=purpose,
            hint=INSTALL_SSH,
            timeout_s=timeout_s,
            error=error,
            where=f"device '{self._device}'",
            timeout_hint="see whether the device is busy or hangs, then run the command again",
            accept=ANY_EXIT_CODE,
            separate_stderr=True,
            stdin=stdin,
        )

    def close(self) -> None:
        """Ends the connection, and with it whatever still runs there."""
        master = getattr(self, "_master", None)
        if master is not None:
            master.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def abort(self) -> None:
        """Ends a connection over which nothing goes any more, without saying so to the device."""
        self._master.close(at_once=True)

    def lost(self, doing: str, said: str) -> DeviceError:
        """The error for a connection that ended under an operation."""
        return connection_error(f"{said}\n{self._master.stderr}", self._device, self._to, doing)

    def _start(self, root: str) -> Background:
        timing = self._timing
        self._script = make_script("guard", str(timing.poll_s), str(timing.quiet_s), root)
        command = process.Command(
            argv=master_argv(self._to, self._folder, timing, BOOTSTRAP, self._device),
            purpose=f"{self._device}: connecting",
            hint=INSTALL_SSH,
            timeout_s=_FOREVER_S,
            error=DeviceError,
            accept=ANY_EXIT_CODE,
            separate_stderr=True,
        )
        return Background(
            command, first=self._script.line(), beat_s=timing.beat_s, events=self._events
        )

    def _hello(self, deadline: Deadline) -> dict[str, str]:
        facts: dict[str, str] = {}
        printed: list[str] = []
        while "guard" not in facts:
            line = self._master.next_line(deadline, f"connecting to {self._to.address}")
            if line is None:
                raise self._refused(deadline, "\n".join(printed))
            mark, _, rest = line.partition(" ")
            if mark == self._script.mark:
                key, _, value = rest.partition(" ")
                facts[key] = value
            else:
                printed.append(line)
        return facts

    def _refused(self, deadline: Deadline, printed: str) -> DeviceError:
        said = self._master.stderr
        # ssh ends with this code when it failed itself, and says why; a command's own code else.
        code = self._master.returncode
        if code is not None and code >= 0 and (code != _SSH_FAILED or not said.strip()):
            return no_shell(printed, said, self._device, self._to)
        if "Host key verification failed" in said or "host key is known" in said:
            offered = self._offered_keys(deadline)
            return connection_error(said, self._device, self._to, "connecting", offered)
        return connection_error(said, self._device, self._to, "connecting")

    def _offered_keys(self, deadline: Deadline) -> tuple[HostKey, ...]:
        """The key that the host shows, asked for without logging in."""
        known_hosts = self._folder / "offered"
        command = process.Command(
            argv=asking_argv(self._to, known_hosts, self._timing, self._device),
            purpose=f"{self._device}: asking for the host key",
            hint=INSTALL_SSH,
            timeout_s=deadline.remaining_s("asking for the host key"),
            error=DeviceError,
            accept=ANY_EXIT_CODE,
            separate_stderr=True,
        )
        process.run(command, events=self._events)
        with contextlib.suppress(FileNotFoundError, ValueError):
            return keys_in(known_hosts.read_text(errors="replace"))
        return ()


def _private_folder() -> Path:
    """A new folder of mode 0700 with a short path."""
    places = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")
    for place in places:
        if place and len(os.fsencode(place)) < _LONGEST_FOLDER and os.access(place, os.W_OK):
            try:
                return Path(tempfile.mkdtemp(prefix="es-", dir=place))
            except OSError:
                continue
    raise DeviceError(
        "there is no folder for the socket of an ssh connection",
        where="TMPDIR",
        hint="set TMPDIR to a folder with a short path that you may write",
    )

"""The transport over SSH: the OpenSSH programs, and a POSIX shell on the device."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from edgesmith import process
from edgesmith.devices.background import Background
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.remote.answers import held_open, refusal, run_marked
from edgesmith.devices.remote.script import Answer, Name, Script, make_script, parse_answer
from edgesmith.devices.remote.upload import Part, append_stream, packed, tar_stream
from edgesmith.devices.scripted import How, Packing, ScriptedTransport
from edgesmith.devices.ssh_connection import Connection
from edgesmith.devices.ssh_errors import AGAIN
from edgesmith.devices.ssh_options import SshAddress, Timing
from edgesmith.devices.transport import Capabilities
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.events import EventStream

# The device may take longer to notice the end of the time than the host.
_LIMIT_MARGIN_S = 10
_CONNECT_TIMEOUT_S = 30.0
# Whoever holds a lock has deadlines of its own.
_LOCK_LIMIT_S = 10 * 365 * 86_400.0


class SshTransport(ScriptedTransport):
    """Connects when it is first used; `close` ends the connection and all that runs over it."""

    capabilities = Capabilities(runs_programs=True, exclusive=True, real_time=True)
    has_input = True
    exact_output = True

    def __init__(
        self,
        *,
        device: str,
        root: str,
        to: SshAddress,
        events: EventStream,
        timing: Timing | None = None,
    ) -> None:
        super().__init__(device=device, root=root, events=events)
        self._to = to
        self._timing = timing or Timing()
        self._opened: Connection | None = None

    @property
    def root(self) -> str:
        """The root as an absolute path on the device, which knows its login's home."""
        return self._connection().root

    def close(self) -> None:
        connection, self._opened = self._opened, None
        if connection is not None:
            connection.close()

    def _connection(self, deadline: Deadline | None = None) -> Connection:
        if self._opened is None:
            self._opened = Connection(
                self._to,
                device=self.device,
                root=self.configured_root,
                timing=self._timing,
                events=self.events,
                deadline=deadline or Deadline.after(_CONNECT_TIMEOUT_S),
            )
            self.require_own_folder(self._opened.root)
            if self._opened.real_root:
                self.require_own_folder(self._opened.real_root)
        return self._opened

    def _script(self, name: Name, deadline: Deadline, *words: str) -> Script:
        limit_s = int(deadline.remaining_s("talking to the device")) + _LIMIT_MARGIN_S
        guard = self._connection(deadline).guard
        return make_script(name, str(self._timing.poll_s), guard, str(limit_s), *words)

    def _exchange(
        self,
        script: Script,
        doing: str,
        deadline: Deadline,
        *,
        stream: Iterable[bytes] | None = None,
        listeners: process.Listeners | None = None,
        error: type[EdgesmithError] = DeviceError,
    ) -> Answer:
        listeners = listeners or process.Listeners()
        connection = self._connection(deadline)
        with held_open(script.line()) as lasting:
            stdin = lasting if stream is None else itertools.chain([script.line()], stream)
            command = connection.command(
                purpose=doing, timeout_s=deadline.remaining_s(doing), stdin=stdin, error=error
            )
            done = run_marked(command, script.mark, self.events, listeners)
        answer = parse_answer(done.output, done.stderr, script.mark)
        if answer.status is None and listeners.on_bytes is None:
            raise connection.lost(doing, answer.stderr)
        return answer

    def _send_missing(
        self,
        parts: Sequence[tuple[Part, int]],
        deadline: Deadline,
        *,
        checked_later: bool,
        on_part: Callable[[Part], None],
    ) -> list[Part]:
        """What was begun goes on one by one; the rest goes as one archive where there is tar."""
        tools = self._connection(deadline).tools
        packing: Packing = "gzip" if "gzip" in tools else "plain"
        archived = [part for part, size in parts if size == 0] if "tar" in tools else []
        send = partial(
            self._name,
            deadline=deadline,
            checked_later=checked_later,
            packing=packing,
            listeners=process.Listeners(on_stall=self._stalled, stall_s=self._timing.stall_s),
        )
        sent = packed if packing == "gzip" else iter
        wrong: list[Part] = []
        for part, size in parts:
            if part not in archived:
                on_part(part)
                how: How = "append" if size else "begin"
                wrong += send([part], how=how, stream=sent(append_stream(part, size)))
        if archived:
            wrong += send(archived, how="tar", stream=sent(tar_stream(archived, on_part)))
        return wrong

    def _stalled(self) -> None:
        # The master holds the ends of what its sessions read and write.
        self._connection().abort()
        raise DeviceError(
            f"device '{self.device}' took nothing for {self._timing.stall_s:g} s while files were"
            " sent",
            where=f"devices.{self.device}.address, {self._to.address}",
            hint=f"see whether the network is up; nothing was changed there: {AGAIN}",
        )

    def _exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._locked(name)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        deadline = Deadline.after(_CONNECT_TIMEOUT_S)
        connection = self._connection(deadline)
        script = self._script("lock", deadline, connection.root, name)
        doing = f"{self.device}: taking the lock"
        holder = Background(
            connection.command(purpose=doing, timeout_s=_LOCK_LIMIT_S, stdin=()),
            first=script.line(),
            beat_s=self._timing.beat_s,
            events=self.events,
        )
        try:
            self._await_lock(holder, script, deadline, doing)
            yield
        finally:
            holder.close()

    def _await_lock(
        self, holder: Background, script: Script, deadline: Deadline, doing: str
    ) -> None:
        heard = ""
        while (line := holder.next_line(deadline, doing)) is not None:
            if line == f"{script.mark} held":
                return
            if line == f"{script.mark} busy":
                raise self.busy()
            heard += f"{line}\n"
        answer = parse_answer(heard, holder.stderr, script.mark)
        if answer.status is None:
            raise self._connection().lost(doing, answer.stderr)
        raise refusal(f"{doing} failed", answer, self.path(), "check the device's root folder")

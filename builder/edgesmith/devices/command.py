"""The transport through a user's own programs: docker, adb, a serial console, a lab's tool."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesmith import process
from edgesmith.cache import cache_root
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.remote.answers import refusal, require_done, run_marked
from edgesmith.devices.remote.script import Answer, Name, Script, make_script, parse_answer
from edgesmith.devices.remote.upload import Part
from edgesmith.devices.scripted import ScriptedTransport
from edgesmith.devices.transport import ANY_EXIT_CODE, Capabilities, RemoteCommand
from edgesmith.errors import DeviceError, EdgesmithError, IntegrityError
from edgesmith.events import EventStream
from edgesmith.files import host_file_errors
from edgesmith.process import Completed, describe_end

_POLL_S = 5
_LIMIT_MARGIN_S = 10
_ROOT_TIMEOUT_S = 60.0
# What looks at a device and changes little there, and the slowest that a file may go or be read.
_QUICK = frozenset({"uname", "df", "test", "ls", "mkdir", "sh"})
_SMALL_LIMIT_S = 120.0
_PUSH_LIMIT_S = 60.0
_SLOWEST_BYTES_PER_S = 5_000
_TELL_EVERY_S = 15.0
_TOOL_HINT = "try the command by hand; it must reach the device and end by itself"


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Command lines with placeholders; `fetch` may be empty."""

    push: tuple[str, ...]
    exec: tuple[str, ...]
    fetch: tuple[str, ...] = ()

    def push_argv(self, local: Path, remote: str) -> tuple[str, ...]:
        return _filled(self.push, local, remote)

    def fetch_argv(self, local: Path, remote: str) -> tuple[str, ...]:
        return _filled(self.fetch, local, remote)

    def exec_argv(self, words: Sequence[str]) -> tuple[str, ...]:
        """`{argv}` is replaced by the words, `{command}` by all of them quoted for a shell."""
        whole = shlex.join(words)
        given = self.exec
        if "{argv}" not in given and not any("{command}" in word for word in given):
            given = (*given, "{argv}")
        argv: list[str] = []
        for word in given:
            argv += words if word == "{argv}" else [word.replace("{command}", whole)]
        return tuple(argv)


_PLACEHOLDERS = re.compile(r"\{local\}|\{remote\}")


def _filled(words: Sequence[str], local: Path, remote: str) -> tuple[str, ...]:
    """In one pass: a value that looks like a placeholder is none."""
    values = {"{local}": str(local), "{remote}": remote}
    return tuple(_PLACEHOLDERS.sub(lambda found: values[found[0]], word) for word in words)


def _slowest_s(size_bytes: int) -> float:
    return size_bytes / _SLOWEST_BYTES_PER_S


class CommandTransport(ScriptedTransport):
    """Runs the user's `exec` for each script and `push` for each file.

    The tool's input is left alone and its output may have other line ends. Taking turns holds
    for one user of this machine; the device's installer has a lock of its own.
    """

    capabilities = Capabilities(runs_programs=True, exclusive=True, real_time=True)
    has_input = False
    exact_output = False

    def __init__(self, *, device: str, root: str, tools: Tools, events: EventStream) -> None:
        super().__init__(device=device, root=root, events=events)
        self._tools = tools
        self._root = root if root.startswith("/") else ""

    @property
    def root(self) -> str:
        """The root as an absolute path on the device, which knows its home."""
        if not self._root:
            deadline = Deadline.after(_ROOT_TIMEOUT_S)
            script = self._script("run", deadline, "alone", "sh", "-c", 'printf %s "$HOME"')
            doing = f"{self.device}: asking for the home folder"
            answer = require_done(self._exchange(script, doing, deadline), doing, "HOME")
            root = f"{answer.output.rstrip('/')}/{self.configured_root}"
            self.require_own_folder(root)
            self._root = root
        return self._root

    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed:
        """What only looks at the device has a limit of its own, for a tool that hangs."""
        if command.argv[0] in _QUICK:
            deadline = deadline.at_most(_SMALL_LIMIT_S)
        return super()._run(command, deadline=deadline, on_line=on_line)

    def _sizes(self, parts: Sequence[Part], deadline: Deadline) -> list[int]:
        return super()._sizes(parts, deadline.at_most(_SMALL_LIMIT_S))

    def _name(self, parts: Sequence[Part], deadline: Deadline, **more: Any) -> list[Part]:
        limit_s = _SMALL_LIMIT_S + _slowest_s(sum(part.bytes for part in parts))
        return super()._name(parts, deadline.at_most(limit_s), **more)

    def _came_in_wrong(self, part: Part) -> IntegrityError:
        return IntegrityError(
            f"{part.file.name} reads back on device '{self.device}' differently from what was sent",
            where=f"devices.{self.device}.push: {self._tools.push[0]}",
            hint=f"try devices.{self.device}.push by hand: the whole of {{local}} must come in as"
            " {remote}; if it does, check the device's memory and storage",
        )

    def _telling(self, listeners: process.Listeners, doing: str, key: str) -> process.Listeners:
        """Says that a silent tool is waited for; what has lines of its own tells by them."""
        if listeners.on_line is not None:
            return listeners

        def on_silence(spent_s: float) -> None:
            what = f"{doing}: waiting for devices.{self.device}.{key} ({spent_s:.0f} s)"
            self.events.info(what)

        return dataclasses.replace(listeners, on_silence=on_silence, silence_s=_TELL_EVERY_S)

    def _script(self, name: Name, deadline: Deadline, *words: str) -> Script:
        limit_s = int(deadline.remaining_s("talking to the device")) + _LIMIT_MARGIN_S
        return make_script(name, str(_POLL_S), "", str(limit_s), *words)

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
        assert not stream, "input does not reach the device"
        listeners = self._telling(listeners or process.Listeners(), doing, "exec")
        argv = self._tools.exec_argv(script.argv())
        command = self._tool(argv, "exec", doing, deadline, error)
        done = run_marked(command, script.mark, self.events, listeners)
        answer = parse_answer(done.output, done.stderr, script.mark)
        if answer.status is None and listeners.on_bytes is None:
            said = Answer(output=done.output, stderr=done.stderr, status=None)
            what = f"{doing}: the exec command of device '{self.device}' did not run it to its end"
            raise refusal(
                f"{what} ({describe_end(done.returncode)})",
                said,
                command.where or argv[0],
                _TOOL_HINT,
            )
        return answer

    def _tool(
        self,
        argv: Sequence[str],
        key: str,
        doing: str,
        deadline: Deadline,
        error: type[EdgesmithError] = DeviceError,
    ) -> process.Command:
        return process.Command(
            argv=argv,
            purpose=doing,
            hint=_TOOL_HINT,
            timeout_s=deadline.remaining_s(doing),
            error=error,
            where=f"devices.{self.device}.{key}: {argv[0]}",
            accept=ANY_EXIT_CODE,
            separate_stderr=True,
        )

    def _send_missing(
        self,
        parts: Sequence[tuple[Part, int]],
        deadline: Deadline,
        *,
        checked_later: bool,
        on_part: Callable[[Part], None],
    ) -> list[Part]:
        """Files go whole; each that has come in stays, should the next fail."""
        self._sizes([part for part, _ in parts], deadline)
        for part, _ in parts:
            on_part(part)
            argv = self._tools.push_argv(part.file.local, self.path(part.name))
            limit_s = _PUSH_LIMIT_S + _slowest_s(part.bytes)
            doing = f"sending {part.file.local.name}"
            self._require_success(argv, "push", doing, deadline.at_most(limit_s))
        return self._name([part for part, _ in parts], deadline, checked_later=checked_later)

    def _require_success(
        self, argv: Sequence[str], key: str, doing: str, deadline: Deadline
    ) -> None:
        command = self._tool(argv, key, f"{self.device}: {doing}", deadline)
        listeners = self._telling(process.Listeners(), command.purpose, key)
        done = process.run(command, events=self.events, listeners=listeners)
        if done.returncode != 0:
            said = Answer(output=done.output, stderr=done.stderr, status=None)
            what = f"{self.device}: {doing} failed ({describe_end(done.returncode)})"
            raise refusal(what, said, f"devices.{self.device}.{key}: {argv[0]}", _TOOL_HINT)

    def _fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None:
        if not self._tools.fetch:
            super()._fetch(name, local, max_bytes=max_bytes, deadline=deadline)
            return
        argv = self._tools.fetch_argv(local, self.path(name))
        self._require_success(argv, "fetch", f"fetching {name}", deadline)
        if not local.is_file() or local.stat().st_size > max_bytes:
            raise DeviceError(
                f"fetching {name} gave no file of at most {max_bytes} bytes",
                where=f"devices.{self.device}.fetch: {argv[0]}",
                hint=_TOOL_HINT,
            )

    def _exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._locked(name)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """A lock on this machine, for all that name the same device in the same way."""
        identity = "\0".join((*self._tools.exec, self.root, name)).encode(errors="surrogateescape")
        folder = cache_root() / "locks"
        file = folder / hashlib.sha256(identity).hexdigest()
        with host_file_errors(file):
            folder.mkdir(parents=True, exist_ok=True)
            opened = file.open("ab")
        with opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self.busy() from None
            yield

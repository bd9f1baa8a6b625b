"""What transports have in common that reach a device's shell: programs, files, locks by script."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from edgesmith import process
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.remote.answers import completed, require_done
from edgesmith.devices.remote.download import Download
from edgesmith.devices.remote.script import Answer, Name, Script, between_marks
from edgesmith.devices.remote.upload import Part, part_of
from edgesmith.devices.transport import FileToSend, RemoteCommand, Transport
from edgesmith.errors import DeviceError, EdgesmithError, IntegrityError
from edgesmith.files import host_file_errors
from edgesmith.process import Completed

# Sending so little again costs less than asking whether it is there.
_SMALL_BYTES = 1 << 18
# How a device takes in what is sent: as an archive, as one file from its beginning or from where
# it ends, or not at all.
Packing = Literal["gzip", "plain"]
How = Literal["tar", "begin", "append", "nothing"]


class ScriptedTransport(Transport):
    """Sends scripts; a subclass knows how, and how files go."""

    takes_relative_root = True
    # Whether a script's input reaches it, and ends with the connection.
    has_input: ClassVar[bool]
    # Whether its output comes as it was printed, every byte.
    exact_output: ClassVar[bool]

    @abstractmethod
    def _script(self, name: Name, deadline: Deadline, *words: str) -> Script:
        """The script with these arguments, after those that every script takes."""

    @abstractmethod
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
        """Runs a script to its end, with an input of its own or one that lasts as long as it.

        Raises DeviceError when it does not come to its end, `error` when the time is over.
        """

    @abstractmethod
    def _send_missing(
        self,
        parts: Sequence[tuple[Part, int]],
        deadline: Deadline,
        *,
        checked_later: bool,
        on_part: Callable[[Part], None],
    ) -> list[Part]:
        """Sends the bytes from each offset on, and names them; returns what came in wrong."""

    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed:
        how = "stdin" if self.has_input else "alone"
        script = self._script("run", deadline, how, *command.argv)
        listen = None if on_line is None else between_marks(script.mark, on_line)
        answer = self._exchange(
            script,
            command.purpose,
            deadline,
            listeners=process.Listeners(on_line=listen),
            error=command.error,
        )
        return completed(command, answer)

    def _put(self, local: Path, name: str, *, sha256: str, mode: int, deadline: Deadline) -> None:
        file = FileToSend(local=local, name=name, sha256=sha256, mode=mode)
        self._put_all(
            [file], deadline=deadline, on_file=lambda _: None, checked_later=False, fresh=False
        )

    def _put_all(
        self,
        files: Sequence[FileToSend],
        *,
        deadline: Deadline,
        on_file: Callable[[int], None],
        checked_later: bool,
        fresh: bool,
    ) -> None:
        """Goes on with what an earlier, interrupted upload left; sends anew what came in wrong."""
        parts = [part_of(file) for file in files]
        wrong = parts
        for anew in (fresh, True):
            there = {} if anew else self._present(wrong, deadline)
            usable = [(part, there.get(part.name, 0)) for part in wrong]
            whole = [part for part, size in usable if size == part.bytes and part.name in there]
            missing = [(p, size) for p, size in usable if p not in whole]
            wrong = self._name(whole, deadline, checked_later=checked_later) if whole else []
            if missing:
                self.sent_bytes += sum(part.bytes - size for part, size in missing)
                wrong += self._send_missing(
                    missing,
                    deadline,
                    checked_later=checked_later,
                    on_part=lambda part: on_file(parts.index(part)),
                )
            if not wrong:
                return
        raise self._came_in_wrong(wrong[0])

    def _came_in_wrong(self, part: Part) -> IntegrityError:
        return IntegrityError(
            f"{part.file.name} reads back on device '{self.device}' differently from what was sent",
            where=self.path(part.file.name),
            hint="check the device's memory and storage, then run the command again",
        )

    def _present(self, parts: Sequence[Part], deadline: Deadline) -> dict[str, int]:
        """How much there is of each that is worth asking for, by its name."""
        large = [part for part in parts if part.bytes > _SMALL_BYTES]
        found = zip(large, self._sizes(large, deadline) if large else (), strict=True)
        return {part.name: size for part, size in found if 0 < size <= part.bytes}

    def _sizes(self, parts: Sequence[Part], deadline: Deadline) -> list[int]:
        """How much of each is there; their folders are there then, too."""
        script = self._script("parts", deadline, self.root, *(part.name for part in parts))
        doing = f"{self.device}: looking for what was sent before"
        answer = require_done(self._exchange(script, doing, deadline), doing, self.path())
        return [int(line.removeprefix("size ")) for line in answer.lines()]

    def _name(
        self,
        parts: Sequence[Part],
        deadline: Deadline,
        *,
        checked_later: bool,
        how: How = "nothing",
        stream: Iterable[bytes] = (),
        packing: Packing = "plain",
        listeners: process.Listeners | None = None,
    ) -> list[Part]:
        """Takes in `stream`, then gives whole parts their names; returns those that are wrong."""
        check = "later" if checked_later else "check"
        words = [word for part in parts for word in part.words()]
        script = self._script("receive", deadline, self.root, how, packing, check, *words)
        doing = f"{self.device}: sending {_what(parts)}"
        answer = self._exchange(script, doing, deadline, stream=stream, listeners=listeners)
        states = require_done(answer, doing, self.path()).lines()
        wrong = []
        for part, state in zip(parts, states, strict=True):
            if state == "unhashed" and self._sha256_of(part, deadline) == part.file.sha256:
                self._name([part], deadline, checked_later=True)
            elif state != "whole":
                wrong.append(part)
        return wrong

    def _sha256_of(self, part: Part, deadline: Deadline) -> str:
        """Of what the device reads back, for devices that cannot tell it themselves."""
        download = self._download(Download(max_bytes=part.bytes), part.name, deadline)
        return download.sha256()

    def _fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None:
        with host_file_errors(local), local.open("wb") as file:
            self._download(Download(max_bytes=max_bytes, to_file=file), name, deadline)
            file.flush()

    def _download(self, download: Download, name: str, deadline: Deadline) -> Download:
        how = "raw" if self.exact_output else "hex"
        script = self._script("send", deadline, self.root, name, how)
        take = download.take_for(script.mark, hexadecimal=not self.exact_output)
        listeners = process.Listeners(on_bytes=take)
        doing = f"{self.device}: fetching {name}"
        answer = self._exchange(script, doing, deadline, listeners=listeners)
        download.require_complete(answer, name=name, where=self.path(name))
        return download


def _what(parts: Sequence[Part]) -> str:
    return parts[0].file.local.name if len(parts) == 1 else f"{len(parts)} files"

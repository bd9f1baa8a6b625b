"""A device for tests: a folder whose programs are Python functions; nothing is executed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import Capabilities, RemoteCommand, Transport
from edgesmith.errors import DeviceError, IntegrityError
from edgesmith.events import EventStream
from edgesmith.process import Completed


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a fake program ends."""

    returncode: int = 0
    output: str = ""
    stderr: str = ""


# Gets the arguments after the program's name.
Program = Callable[[Sequence[str]], Answer]


@dataclass(kw_only=True)
class FakeFacts:
    """What the fake device says of itself; tests change it as they go."""

    machine: str = "x86_64"
    probe: str = (
        "shell 023e00\nloader yes\nversion GLIBC_2.36\nversion GLIBCXX_3.4.30\n"
        "version CXXABI_1.3.13\nversion GCC_12.0.0\nfeatures sse4_2 avx2\n"
    )
    gpu: str = "driver \n"
    free_bytes: int = 1 << 40
    hard_links: bool = True
    programs: dict[str, Program] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)


class FakeTransport(Transport):
    """Keeps files below a real folder; `facts.programs` maps a program's file name to its code."""

    capabilities = Capabilities(runs_programs=True, exclusive=True, real_time=True)

    def __init__(self, *, device: str, root: str, events: EventStream) -> None:
        super().__init__(device=device, root=root, events=events)
        self.facts = FakeFacts()
        self._locked: set[str] = set()

    def _put(self, local: Path, name: str, *, sha256: str, mode: int, deadline: Deadline) -> None:
        data = local.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError("the file changed while it was sent", hint="build it anew")
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
        self.facts.sent.append(name)

    def _fetch(self, name: str, local: Path, *, max_bytes: int, deadline: Deadline) -> None:
        data = Path(self.path(name)).read_bytes()
        if len(data) > max_bytes:
            raise DeviceError(f"{name} is too large", hint="see what wrote it")
        local.write_bytes(data)

    def _run(
        self,
        command: RemoteCommand,
        *,
        deadline: Deadline,
        on_line: Callable[[str], None] | None,
    ) -> Completed:
        argv = tuple(command.argv)
        self.facts.calls.append(argv)
        answer = self._answer(argv)
        if on_line is not None:
            for line in answer.output.splitlines():
                on_line(line)
        if answer.returncode not in command.accept:
            raise command.error(f"{command.purpose} failed: {answer.stderr}", hint=command.hint)
        return Completed(
            argv=argv,
            returncode=answer.returncode,
            output=answer.output,
            stderr=answer.stderr,
        )

    def _exclusive(self, name: str) -> AbstractContextManager[None]:
        return self._hold(name)

    @contextmanager
    def _hold(self, name: str) -> Iterator[None]:
        if name in self._locked:
            raise self.busy()
        self._locked.add(name)
        try:
            yield
        finally:
            self._locked.discard(name)

    def _answer(self, argv: tuple[str, ...]) -> Answer:
        program = argv[0].rpartition("/")[2]
        if program in self.facts.programs:
            return self.facts.programs[program](argv[1:])
        builtin = self._builtins().get(program)
        if builtin is None:
            return Answer(returncode=127, stderr=f"{argv[0]}: not found")
        return builtin(argv[1:])

    def _builtins(self) -> Mapping[str, Program]:
        return {
            "uname": lambda _: Answer(output=self.facts.machine + "\n"),
            "sh": self._script,
            "df": lambda _: Answer(output=_df(self.facts.free_bytes)),
            "test": lambda words: Answer(returncode=0 if Path(words[1]).exists() else 1),
            "ls": lambda words: Answer(output="\n".join(p.name for p in Path(words[1]).iterdir())),
            "mkdir": lambda words: _silent(Path(words[1]).mkdir, parents=True, exist_ok=True),
            "rm": lambda words: _silent(shutil.rmtree, words[1], ignore_errors=True),
            "cp": self._copy,
        }

    def _script(self, words: Sequence[str]) -> Answer:
        """Answers the scripts that are sent: the probes, and the look at the root folder."""
        if words[2] == "nearest":
            return Answer(output="writable /\n" + _df(self.facts.free_bytes))
        return Answer(output=self.facts.gpu if words[2] == "gpu" else self.facts.probe)

    def _copy(self, words: Sequence[str]) -> Answer:
        option, source, target = words
        if option == "-al" and not self.facts.hard_links:
            return Answer(returncode=1, stderr="cp: cannot create hard link")
        shutil.copytree(source, target, symlinks=True)
        return Answer()


def _df(free_bytes: int) -> str:
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    return f"{head}\n/dev/x 1000000000 1 {free_bytes // 1024} 1% /\n"


def _silent(act: Callable[..., Any], *arguments: Any, **options: Any) -> Answer:
    act(*arguments, **options)
    return Answer()

"""The installer program on a device: its command line, answers and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import ANY_EXIT_CODE, RemoteCommand, Transport
from edgesmith.errors import (
    DeviceError,
    EdgesmithError,
    HostFileError,
    IntegrityError,
    error_class_for,
)
from edgesmith.process import Completed
from edgesmith.report.plain import clean

_ID = re.compile(r"[0-9a-f]{64}")
_MAX_LINES = 12

_HINTS: Mapping[int, str] = {
    6: "see whether another installation is running and whether the device has room",
    7: "build the bundle anew and flash again",
    8: "what was current before still is; run edgesmith -v to see the self-test",
    10: "check the device's file system: full, read-only, or a folder that is not writable",
}

_ROLLBACK_HINT = (
    "see what is installed: edgesmith flash --list; without a sound earlier release there, build"
    " the version you want and flash it"
)
# The installer names it where a release is older than the current one, and nowhere else.
_DOWNGRADE_OPTION = "--allow-downgrade"
_DOWNGRADE_HINT = (
    f"give the model a newer version in edgesmith.toml, or flash with {_DOWNGRADE_OPTION}"
)


@dataclass(frozen=True, kw_only=True)
class InstalledRelease:
    """A release on the device; `version` is empty where the device does not tell it."""

    id: str
    version: str
    sequence: int | None
    current: bool
    previous: bool

    def record(self) -> dict[str, Any]:
        return asdict(self)


# What the harness says of an execution provider for which another stands in.
_HARNESS = "harness: "
_NOT_USED = f"{_HARNESS}provider "


class Installer:
    """The installer of one model's folder on one device."""

    def __init__(self, transport: Transport, model: str) -> None:
        self._transport = transport
        self._folder = model

    @property
    def name(self) -> str:
        """The program's name below the device's root."""
        return f"{self._folder}/installer"

    @property
    def incoming_folder(self) -> str:
        return f"{self._folder}/incoming"

    def incoming(self, name: str) -> str:
        return f"{self.incoming_folder}/{name}"

    def is_there(self, deadline: Deadline) -> bool:
        return self._transport.exists(self.name, deadline)

    def needed(self, bundle_id: str, deadline: Deadline) -> tuple[str, ...]:
        """SHA-256 of the release's files that the device has not got."""
        done = self._run(["need", bundle_id], "asking what the device needs", deadline)
        hashes = tuple(done.output.split())
        if not all(_ID.fullmatch(h) for h in hashes):
            raise self._strange("need", done.output)
        return hashes

    def install(self, bundle_id: str, options: Sequence[str], deadline: Deadline) -> None:
        """Verifies, self-tests and switches; raises the error class of the exit code."""
        emulator = [w for word in self._transport.emulator_argv for w in ("--emulator", word)]
        words = ["install", bundle_id, *options, *emulator]
        done = self._run(words, "installing the release", deadline)
        for line in done.stderr.splitlines():
            if line.startswith(_NOT_USED):
                said = clean(line.removeprefix(_HARNESS))
                self._transport.events.warning(f"{self._transport.device}: {said}")

    def rollback(self, deadline: Deadline) -> None:
        self._run(["rollback"], "going back to the release before", deadline)

    def verify(self, bundle_id: str, deadline: Deadline) -> None:
        """Checks the hashes of an installed release on the device."""
        self._run(["verify", bundle_id], "verifying the installed release", deadline)

    def releases(self, deadline: Deadline) -> tuple[InstalledRelease, ...]:
        """What is installed, the current release first; nothing when nothing was ever flashed."""
        return self.listed(deadline) if self.is_there(deadline) else ()

    def listed(self, deadline: Deadline) -> tuple[InstalledRelease, ...]:
        """What is installed, where an installer is there to ask."""
        done = self._run(["list", "--json"], "asking what is installed", deadline)
        try:
            return _releases(json.loads(done.output))
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange("list", done.output) from error

    def _run(self, words: Sequence[str], doing: str, deadline: Deadline) -> Completed:
        verb, *rest = words
        command = RemoteCommand(
            argv=[self._transport.path(self.name), verb, self._transport.path(self._folder), *rest],
            purpose=f"{self._transport.device}: {doing}",
            hint="check that the device runs programs of this architecture, and from this folder"
            " (it may be mounted noexec), then flash again",
            accept=ANY_EXIT_CODE,
        )
        done = self._transport.run(command, deadline=deadline)
        if done.returncode != 0:
            raise self._failure(done, verb, doing)
        return done

    def _failure(self, done: Completed, verb: str, doing: str) -> EdgesmithError:
        lines = [clean(line) for line in done.stderr.splitlines() if line.strip()]
        said = "".join(f"\n    | {line}" for line in lines[-_MAX_LINES:])
        code = done.returncode
        ending = f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
        # A signal means that the program broke, not that it refused; the file system it speaks of
        # is the device's, not the host's.
        on_device = code <= 0 or code == HostFileError.exit_code
        error = DeviceError if on_device else error_class_for(code)
        return error(
            f"device '{self._transport.device}': {doing} failed ({ending}){said}",
            where=self._transport.path(self._folder),
            hint=_hint(code, verb, done.stderr),
        )

    def _strange(self, verb: str, output: str) -> DeviceError:
        return DeviceError(
            f"device '{self._transport.device}': the installer's answer to '{verb}' cannot be"
            f" read: {clean(output[:200])!r}",
            where=self._transport.path(self.name),
            hint="remove that installer on the device and flash again",
        )


def _hint(code: int, verb: str, said: str) -> str:
    if code == IntegrityError.exit_code and verb == "rollback":
        return _ROLLBACK_HINT
    if code == IntegrityError.exit_code and _DOWNGRADE_OPTION in said:
        return _DOWNGRADE_HINT
    return _HINTS.get(code, "run the command again with -v and read what the installer says")


def _releases(answer: Mapping[str, Any]) -> tuple[InstalledRelease, ...]:
    current, previous = answer["current"], answer["previous"]
    found = [
        InstalledRelease(
            id=_require_id(one["id"]),
            version=clean(str(one.get("version") or "")),
            sequence=one.get("sequence"),
            current=one["id"] == current,
            previous=one["id"] == previous,
        )
        for one in answer["releases"]
    ]
    return tuple(sorted(found, key=lambda r: (not r.current, not r.previous, r.id)))


def _require_id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"not a bundle id: {value!r}")
    return value

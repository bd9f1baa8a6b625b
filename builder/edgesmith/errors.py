"""Every error a user can meet: one class an exit code, each message with its remedy."""

from __future__ import annotations

from typing import ClassVar


class EdgesmithError(Exception):
    """An expected failure: what happened, where, and what to do next.

    `where` names the file, key or option; `hint` is the next step. Only `main()` turns it
    into text and an exit code.
    """

    exit_code: ClassVar[int] = 70
    title: ClassVar[str] = "internal error"

    def __init__(self, what: str, *, hint: str, where: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def render(self) -> str:
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"   in: {self.where}")
        lines.append(f"  fix: {self.hint}")
        return "\n".join(lines)

    def record(self) -> dict[str, object]:
        """The same facts for `--format json`."""
        return {
            "error": self.title,
            "exit_code": self.exit_code,
            "what": self.what,
            "where": self.where,
            "hint": self.hint,
        }


class UsageError(EdgesmithError):
    """A wrong option, command or project file."""

    exit_code = 2
    title = "usage"


class ModelError(EdgesmithError):
    """A model or its data can't be used: export, simplify, shapes, samples."""

    exit_code = 3
    title = "model or data"


class GateError(EdgesmithError):
    """The accuracy budget or a gate failed."""

    exit_code = 4
    title = "budget or gate failed"


class ToolchainError(EdgesmithError):
    """A tool outside failed: compiler, Conan, CMake, a download."""

    exit_code = 5
    title = "toolchain"


class DeviceError(EdgesmithError):
    """The device is unreachable, refuses, is full, or is of the wrong kind."""

    exit_code = 6
    title = "device"


class IntegrityError(EdgesmithError):
    """A bundle is not what its manifest says."""

    exit_code = 7
    title = "bundle integrity"


class HarnessError(EdgesmithError):
    """The harness or its self-test failed on the device."""

    exit_code = 8
    title = "harness or self-test"


class UndecidedError(EdgesmithError):
    """A gate could not be decided from the measurement."""

    exit_code = 9
    title = "gate undecided"


class HostFileError(EdgesmithError):
    """The host's file system refused: full, read-only, or a folder that is not ours."""

    exit_code = 10
    title = "host file system"


class Interrupted(EdgesmithError):
    """The user pressed Ctrl-C."""

    exit_code = 130
    title = "interrupted"

    def __init__(self) -> None:
        super().__init__(
            "interrupted",
            hint="run the same command again; finished stages are kept, nothing half-written is",
        )


BUG_EXIT_CODE = 70

ERRORS: tuple[type[EdgesmithError], ...] = (
    UsageError,
    ModelError,
    GateError,
    ToolchainError,
    DeviceError,
    IntegrityError,
    HarnessError,
    UndecidedError,
    HostFileError,
    Interrupted,
)


def error_class_for(exit_code: int) -> type[EdgesmithError]:
    """The class of a subprocess of ours (harness, installer) that ended with `exit_code`."""
    for cls in ERRORS:
        if cls.exit_code == exit_code and cls is not Interrupted:
            return cls
    return HarnessError

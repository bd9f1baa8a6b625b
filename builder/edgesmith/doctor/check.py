"""What one look gives."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

from edgesmith.errors import EdgesmithError, ToolchainError


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    `part` names what it is for: this machine, the project, a target or a device. `needed` is
    False for what only some jobs take. `exit_code` is that of a command which would fail for it.
    """

    part: str
    name: str
    passed: bool
    found: str
    remedy: str
    needed: bool = True
    exit_code: int = ToolchainError.exit_code


def failed(part: str, name: str, error: EdgesmithError) -> Check:
    """The check that ended with an error."""
    where = f", {error.where}" if error.where else ""
    return Check(
        part=part,
        name=name,
        passed=False,
        found=f"{error.what}{where}",
        remedy=error.hint,
        exit_code=error.exit_code,
    )


def pip_install(packages: str, python: str = sys.executable) -> str:
    """The command that installs `packages` for an interpreter, to be pasted into a shell."""
    return f"run: {shlex.quote(python)} -m pip install {packages}"

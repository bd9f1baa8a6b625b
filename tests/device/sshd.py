"""A real sshd on loopback with throw-away keys, and a proxy that counts, cuts, stalls and flips."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_START_S = 20.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def make_key(file: Path) -> str:
    """Makes a key pair and returns the public half's line without its comment."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)]
    subprocess.run(argv, check=True)
    return file.with_suffix(".pub").read_text().strip()


@dataclass(kw_only=True)
class Sshd:
    """A server of our own user; `home` is what its logins have as HOME."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    host_key: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def user_key(self) -> Path:
        return self.folder / "user"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        self.home.mkdir(parents=True)
        self.host_key = make_key(self.folder / "host")
        (self.folder / "authorized").write_text(make_key(self.user_key) + "\n")
        self.port = free_port()
        (self.folder / "config").write_text(self._config())
        self._launch()

    def _config(self) -> str:
        given = {"HOME": str(self.home), **self.environment}
        variables = " ".join(f'"{name}={value}"' for name, value in given.items())
        return f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey "{self.folder / "host"}"
AuthorizedKeysFile "{self.folder / "authorized"}"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
SetEnv {variables}
"""

    def _launch(self) -> None:
        if os.getuid() == 0:
            # Where its unprivileged half is locked in; the package's own start makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        argv = [str(SSHD), "-D", "-e", "-f", str(self.folder / "config")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        give_up_s = time.monotonic() + _START_S
        while "listening" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > give_up_s:
                pytest.fail(f"sshd did not start: {self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.getuid()).pw_name

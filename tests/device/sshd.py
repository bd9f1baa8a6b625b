"""A real sshd on loopback with throw-away keys, and a client configuration that reaches it."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
SSHD = shutil.which("sshd", path=_PLACES)
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
    """A server of our own user. Its logins have `home` as HOME and `environment` besides.

    `launcher` is put before its command line, such as `unshare`.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: Sequence[str] = ()
    disks: Path = Path()
    options: str = ""
    port: int = 0
    host_key: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        self.home.mkdir(parents=True)
        self.host_key = make_key(self.folder / "host")
        (self.folder / "authorized").write_text(make_key(self.folder / "user") + "\n")
        self.port = free_port()
        (self.folder / "config").write_text(self._config())
        self._launch()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

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
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
Subsystem sftp internal-sftp
{self.options}
SetEnv {variables}
"""

    def _launch(self) -> None:
        if os.getuid() == 0:
            # Where its unprivileged half is locked in; the package's own start makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        argv = [*self.launcher, str(SSHD), "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        give_up_s = time.monotonic() + _START_S
        while "listening" not in self.log:
            if self.process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"sshd did not start: {self.log}")
            time.sleep(0.02)


def user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@dataclass(frozen=True, kw_only=True)
class Client:
    """A user's ssh configuration, given to `ssh` by a program of that name on the PATH."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Client:
        """A configuration without any host."""
        client = cls(folder=folder)
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name in ("ssh", "scp"):
            real = shutil.which(name, path=_PLACES)
            text = f'#!/bin/sh\nexec {real} -F {shlex.quote(str(client.config))} "$@"\n'
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        client.known_hosts.write_text("")
        client.config.write_text("")
        return client

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def path(self) -> str:
        """The PATH with which `ssh` reads this configuration."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    def add_host(self, name: str, server: Sshd, *, port: int = 0, more: str = "") -> None:
        """`name` reaches the server, through a proxy when a port is given."""
        text = f"""
Host {name}
  HostName 127.0.0.1
  Port {port or server.port}
  User {user()}
  IdentityFile "{server.folder / "user"}"
  IdentitiesOnly yes
  UserKnownHostsFile "{self.known_hosts}"
  {more}
"""
        self.config.write_text(text + self.config.read_text())

    def trust(self, server: Sshd, port: int = 0) -> None:
        """As if the user had connected before."""
        line = f"[127.0.0.1]:{port or server.port} {server.host_key}\n"
        with self.known_hosts.open("a") as file:
            file.write(line)

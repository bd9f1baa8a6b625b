"""Command lines of the OpenSSH client; pure, so that a table of them can be tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesmith.host_keys import HostKey


@dataclass(frozen=True, kw_only=True)
class SshAddress:
    """Where a device is: `[user@]host` or a host of the user's ssh config.

    Without `host_key`, the key must stand in the user's known_hosts.
    """

    address: str
    port: int | None = None
    host_key: HostKey | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long what may take; tests wait less."""

    connect_s: float = 10.0
    # The device's side ends itself after `quiet_s` without one of the lines sent every `beat_s`;
    # it looks every `poll_s`. Long, since uploads go before those lines on a slow link.
    beat_s: float = 5.0
    quiet_s: int = 60
    poll_s: int = 5
    keepalive_s: int = 5
    keepalives: int = 4
    stall_s: float = 30.0


# Whatever the user's config says: no question, no terminal, nothing forwarded or run besides.
_ALWAYS = (
    # Options that clients older than OpenSSH 8.7 lack, and need not have.
    "IgnoreUnknown=KnownHostsCommand,ForkAfterAuthentication,StdinNull",
    "BatchMode=yes",
    "RequestTTY=no",
    "RemoteCommand=none",
    "EscapeChar=none",
    "LogLevel=ERROR",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ForkAfterAuthentication=no",
    "StdinNull=no",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
)


def master_argv(
    to: SshAddress, folder: Path, timing: Timing, command: str, device: str
) -> tuple[str, ...]:
    """The connection that the others share; `folder` holds its socket."""
    options = [
        *_ALWAYS,
        "StrictHostKeyChecking=yes",
        *host_key_options(to, folder, device),
        "ControlMaster=yes",
        f"ControlPath={_literal(socket_path(folder))}",
        "ControlPersist=no",
        f"ConnectTimeout={max(1, round(timing.connect_s))}",
        "ConnectionAttempts=1",
        f"ServerAliveInterval={timing.keepalive_s}",
        f"ServerAliveCountMax={timing.keepalives}",
        "TCPKeepAlive=yes",
    ]
    return ("ssh", *_options(options), *_port(to), "--", to.address, command)


def session_argv(to: SshAddress, folder: Path, command: str) -> tuple[str, ...]:
    """A command through the master, and only through it: were it gone, the proxy fails."""
    options = [
        "BatchMode=yes",
        "ControlMaster=no",
        f"ControlPath={_literal(socket_path(folder))}",
        "ProxyCommand=false",
        "RequestTTY=no",
        "EscapeChar=none",
        "LogLevel=ERROR",
    ]
    return ("ssh", "-F", "none", *_options(options), "--", to.address, command)


def asking_argv(to: SshAddress, known_hosts: Path, timing: Timing, device: str) -> tuple[str, ...]:
    """Writes the host's key into an empty file and goes away without logging in."""
    options = [
        *_ALWAYS,
        "StrictHostKeyChecking=accept-new",
        f"UserKnownHostsFile={_literal(known_hosts)}",
        "GlobalKnownHostsFile=/dev/null",
        f"HostKeyAlias={alias(device)}",
        "HashKnownHosts=no",
        "PreferredAuthentications=none",
        "PubkeyAuthentication=no",
        "ControlPath=none",
        f"ConnectTimeout={max(1, round(timing.connect_s))}",
    ]
    return ("ssh", *_options(options), *_port(to), "--", to.address, "true")


def host_key_options(to: SshAddress, folder: Path, device: str) -> list[str]:
    """With a pinned key, no other source of keys counts."""
    if to.host_key is None:
        return []
    return [
        f"UserKnownHostsFile={_literal(known_hosts_path(folder))}",
        "GlobalKnownHostsFile=/dev/null",
        "KnownHostsCommand=none",
        f"HostKeyAlias={alias(device)}",
        "CheckHostIP=no",
    ]


def alias(device: str) -> str:
    """The name under which a pinned key stands in a known_hosts file of our own."""
    return f"edgesmith-{device}"


def socket_path(folder: Path) -> Path:
    return folder / "s"


def known_hosts_path(folder: Path) -> Path:
    return folder / "k"


def _literal(path: Path) -> str:
    """A path as a value of ssh's options: quoted, and `%` doubled."""
    return '"' + str(path).replace("%", "%%") + '"'


def _options(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _port(to: SshAddress) -> list[str]:
    return [] if to.port is None else ["-p", str(to.port)]

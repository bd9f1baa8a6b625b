"""What ssh says when it fails, as an error with a remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from edgesmith.devices.ssh_options import SshAddress
from edgesmith.errors import DeviceError
from edgesmith.host_keys import HostKey
from edgesmith.report.plain import clean

_MAX_LINES = 8
AGAIN = "run the same command again: it continues where it stopped"
# The first that is found in ssh's words is told.
_REMEDIES: Sequence[tuple[str, str, str]] = (
    (
        "Permission denied",
        "refused the login",
        "let your key in there (ssh-copy-id), or load it: ssh-add; passwords are not asked for",
    ),
    (
        "Could not resolve hostname",
        "has an address that is not known",
        "correct its address, or add the host to your ssh config",
    ),
    ("Connection refused", "refused the connection", "see that sshd runs there, and on which port"),
    ("timed out", "does not answer", "see that it is on and in this network, and its address"),
    ("No route to host", "cannot be reached", "see that it is on and in this network"),
    ("Network is unreachable", "cannot be reached", "see that this machine has a network"),
    ("not responding", "no longer answers", AGAIN),
    ("Too many authentication failures", "refused the login", "name one key in your ssh config"),
    (
        "kex_exchange_identification",
        "ended the connection before it said that it is an SSH server",
        "correct its port or address if something else answers there; a server that turns clients"
        " away has a low MaxStartups, or PerSourcePenalties, in its sshd_config",
    ),
    ("Session open refused", "allows too few sessions", "set MaxSessions 10 in its sshd_config"),
)

# How ssh says that what answers at a port speaks something else.
_NO_SERVER = ("kex_exchange_identification: banner line", "Bad remote protocol version")


def no_shell(printed: str, said: str, device: str, to: SshAddress) -> DeviceError:
    """The error for a login that let us in and then ran no command; `printed` is its stdout."""
    return _error(
        f"the login of device '{device}' gives no POSIX shell",
        f"{printed}\n{said}",
        device,
        to,
        "give this user a shell there, such as /bin/sh (chsh), and look for ForceCommand in its"
        " sshd_config and for command= in its authorized_keys",
    )


def _no_server(said: str, device: str, to: SshAddress) -> DeviceError:
    port = "the ssh port of your ssh config, or 22" if to.port is None else f"port {to.port}"
    return _error(
        f"no SSH server answers at the address of device '{device}' ({port}): something else does",
        said,
        device,
        to,
        f"correct devices.{device}.port or devices.{device}.address",
    )


def connection_error(
    said: str, device: str, to: SshAddress, doing: str, offered: Sequence[HostKey] = ()
) -> DeviceError:
    """The error for a connection that was refused or lost while `doing`."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return _changed_key(device, to, offered, said)
    if "Host key verification failed" in said or "host key is known" in said:
        return _unknown_key(device, to, offered)
    if any(words in said for words in _NO_SERVER):
        return _no_server(said, device, to)
    for words, finding, hint in _REMEDIES:
        if words in said:
            return _error(f"device '{device}' {finding} ({doing})", said, device, to, hint)
    what = f"the connection to device '{device}' was lost ({doing})"
    return _error(what, said, device, to, AGAIN)


def _error(what: str, said: str, device: str, to: SshAddress, hint: str) -> DeviceError:
    lines = [clean(line) for line in said.splitlines() if line.strip()]
    tail = "".join(f"\n    | {line}" for line in dict.fromkeys(lines[-_MAX_LINES:]))
    return DeviceError(what + tail, where=f"devices.{device}.address, {to.address}", hint=hint)


def _unknown_key(device: str, to: SshAddress, offered: Sequence[HostKey]) -> DeviceError:
    if to.host_key is not None:
        return _changed_key(device, to, offered)
    if not offered:
        return DeviceError(
            f"the host key of device '{device}' is not known, and it showed none",
            where=f"devices.{device}.address, {to.address}",
            hint=f"connect once by hand and compare the key: ssh {to.address}",
        )
    key = offered[0]
    return DeviceError(
        f"the host key of device '{device}' is not known: {key.type} {key.fingerprint}",
        where=f"devices.{device}.address, {to.address}",
        hint=f"{_compare(key)}; if it is the same, write into [devices.{device}] of"
        f' edgesmith.toml: host_key = "{key.line()}"',
    )


def _changed_key(
    device: str, to: SshAddress, offered: Sequence[HostKey], said: str = ""
) -> DeviceError:
    shown = f" {offered[0].type} {offered[0].fingerprint}" if offered else " another one"
    pinned = to.host_key
    expected = f", not the pinned {pinned.type} {pinned.fingerprint}" if pinned else ""
    old = re.search(r"Offending .*key in (.+):(\d+)", said)
    known = f"{old[1]}:{old[2]}" if old else "known_hosts"
    place = f"devices.{device}.host_key" if pinned else known
    then = f" and replace the old in {place}" if pinned else _forget(old, said, place)
    return DeviceError(
        f"the host key of device '{device}' has changed: it shows{shown}{expected}; this may be"
        " another machine, or one that listens in",
        where=f"{place}, {to.address}",
        hint=(_compare(offered[0]) if offered else "find out why it changed")
        + f"; only if the device itself was set up anew, trust the new key{then}",
    )


def _forget(old: re.Match[str] | None, said: str, place: str) -> str:
    """How the old key is removed: by a command where ssh told the file and the name in it."""
    name = re.search(r"Host key for (\S+) has changed", said)
    if old is None or name is None:
        return f" and remove the old from {place}"
    argv = ["ssh-keygen", "-R", name[1], "-f", old[1]]
    return f": remove the old one with {shlex.join(argv)}"


def _compare(key: HostKey) -> str:
    kind = key.type.removeprefix("ssh-").partition("-")[0]
    return (
        "compare it with what the device itself says, on its own screen: ssh-keygen -lf"
        f" /etc/ssh/ssh_host_{kind}_key.pub"
    )

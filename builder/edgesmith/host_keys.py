"""Host keys: what a project pins, and what to tell a user whose device's key is not known."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A public host key as known_hosts has it: its type and base64."""

    type: str
    text: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l shows it."""
        digest = hashlib.sha256(base64.b64decode(self.text)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def line(self) -> str:
        return f"{self.type} {self.text}"


def parse_host_key(line: str) -> HostKey:
    """The key in `ssh-ed25519 AAAA... [comment]`; raises ValueError that says what is expected."""
    words = line.split()
    expected = "a public host key such as 'ssh-ed25519 AAAA...' on one line"
    if len(words) < 2 or not line.isprintable():
        raise ValueError(expected)
    try:
        blob = base64.b64decode(words[1], validate=True)
        (length,) = struct.unpack_from(">I", blob)
    except (binascii.Error, struct.error) as error:
        raise ValueError(expected) from error
    if blob[4 : 4 + length] != words[0].encode() or len(blob) <= 4 + length:
        raise ValueError(expected)
    return HostKey(type=words[0], text=words[1])


def known_hosts_line(name: str, key: HostKey) -> str:
    return f"{name} {key.line()}\n"


def keys_in(known_hosts: str) -> tuple[HostKey, ...]:
    """The keys of a known_hosts file that ssh wrote."""
    lines = (line.partition(" ")[2] for line in known_hosts.splitlines())
    return tuple(parse_host_key(line) for line in lines if line)

"""Transports to test with, which wait less than those of users, and a look at what runs."""

from __future__ import annotations

import time
from pathlib import Path

from edgesmith.devices.ssh import SshTransport
from edgesmith.devices.ssh_options import SshAddress, Timing
from edgesmith.events import EventStream

QUICK = Timing(
    connect_s=10, beat_s=0.5, quiet_s=6, poll_s=1, keepalive_s=3, keepalives=3, stall_s=2
)
_WAIT_S = 60.0


def transport_to(address: str, root: str) -> SshTransport:
    """A host of the user's ssh config."""
    to = SshAddress(address=address)
    return SshTransport(device="pi", root=root, to=to, events=EventStream(), timing=QUICK)


def running(token: str) -> list[str]:
    """The command lines of this machine with `token` in them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            found += [words] if token in words else []
    return found


def await_none(token: str) -> None:
    """Waits until nothing with `token` runs."""
    give_up_s = time.monotonic() + _WAIT_S
    while left := running(token):
        assert time.monotonic() < give_up_s, left
        time.sleep(0.1)


def await_some(token: str) -> None:
    """Waits until something with `token` runs."""
    give_up_s = time.monotonic() + _WAIT_S
    while not running(token):
        assert time.monotonic() < give_up_s, f"nothing runs with {token}"
        time.sleep(0.05)

"""Whatever ends an operation, nothing of it runs on, and no device stays locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from over_ssh import await_none, await_some, running, transport_to
from proxy import Proxy
from sshd import Client

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import DeviceBusyError, RemoteCommand
from edgesmith.errors import DeviceError

# A program and, in a process group of its own, another; $0 is what both are found by.
_SLEEPS = 'perl -e "setpgrp(0, 0); sleep 600" "$0" & perl -e "sleep 600" "$0"; :'
_HOLDER = """
import sys
address, root, script, token, *places = sys.argv[1:]
sys.path[:0] = places
from over_ssh import transport_to
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.transport import RemoteCommand
command = RemoteCommand(argv=["sh", "-c", script, token], purpose="x", hint="x")
with transport_to(address, root) as transport, transport.exclusive("lock"):
    transport.run(command, deadline=Deadline.after(600))
"""


@pytest.fixture
def token() -> str:
    return f"token-{uuid.uuid4()}"


def test_after_its_deadline_a_program_is_ended(client: Client, tmp_path: Path, token: str) -> None:
    command = RemoteCommand(argv=["sh", "-c", _SLEEPS, token], purpose="sleeping", hint="wake up")
    with transport_to("board", tmp_path.name) as transport:
        transport.machine(Deadline.after(30))
        with pytest.raises(DeviceError, match="took longer") as caught:
            transport.run(command, deadline=Deadline.after(2))
        assert "begin" not in caught.value.what
        await_none(token)
        # The connection is as good as before.
        assert transport.machine(Deadline.after(30))


def start_holder(address: str, root: str, token: str, runtime: str) -> subprocess.Popen[bytes]:
    """Another host that holds the lock and runs a program."""
    here = Path(__file__).parent
    places = [str(here), str(here.parents[1] / "builder")]
    argv = [sys.executable, "-c", _HOLDER, address, root, _SLEEPS, token, *places]
    environment = {**os.environ, "XDG_RUNTIME_DIR": runtime}
    holder = subprocess.Popen(
        argv, start_new_session=True, stderr=subprocess.DEVNULL, env=environment
    )
    await_some(f"sleep 600 {token}")
    return holder


@pytest.mark.parametrize("end", ["killed", "interrupted", "out of reach"])
def test_a_host_that_goes_leaves_nothing_and_no_lock(
    client: Client, proxy: Proxy, tmp_path: Path, token: str, end: str
) -> None:
    root = tmp_path.name
    with (
        # What is killed at once leaves its folder behind.
        tempfile.TemporaryDirectory(dir="/tmp") as runtime,
        transport_to("board", root) as transport,
    ):
        holder = start_holder("far", root, token, runtime)
        with pytest.raises(DeviceBusyError, match="in use"), transport.exclusive("lock"):
            raise AssertionError("two hold the lock")
        if end == "out of reach":
            # The device does not even hear that the host has gone.
            proxy.do_harm("stall", 0)
        holder.send_signal(signal.SIGINT if end == "interrupted" else signal.SIGKILL)
        holder.wait()
        await_none(token)
        with transport.exclusive("lock", wait_s=60):
            held = transport.path("lock")
    await_none(held)


def test_the_socket_lies_in_a_private_folder_and_goes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        with transport_to("board", tmp_path.name) as transport:
            transport.machine(Deadline.after(30))
            [folder] = Path(name).iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            assert [file.is_socket() for file in folder.iterdir()] == [True]
            assert running(str(folder))
        assert list(Path(name).iterdir()) == []
        await_none(str(folder))

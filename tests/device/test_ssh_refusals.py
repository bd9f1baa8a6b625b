"""What is refused over SSH before anything changes, and what a user is told."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from over_ssh import transport_to
from sshd import Client, Sshd, make_key

from conftest import MakeServer
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.install import flash
from edgesmith.devices.inventory import look_at
from edgesmith.devices.ssh import SshTransport
from edgesmith.devices.ssh_options import SshAddress
from edgesmith.devices.transport import DEVICE_LOCK, DeviceBusyError
from edgesmith.errors import EdgesmithError, IntegrityError, UsageError
from edgesmith.events import EventStream
from edgesmith.host_keys import parse_host_key
from edgesmith.project.load import load_project
from edgesmith.project.project import Device
from workbench import Edgesmith, edit_project


def device_of(board: Edgesmith, name: str = "board") -> Device:
    return load_project(board.folder / "edgesmith.toml").device(name)


def refused(board: Edgesmith, name: str = "board") -> EdgesmithError:
    """The error of a flash."""
    bundle = board.folder / "build/digits/host/bundle"
    with pytest.raises(EdgesmithError) as caught:
        flash(bundle, device_of(board, name), events=EventStream())
    return caught.value


def unreachable(transport: SshTransport) -> EdgesmithError:
    """The error of connecting."""
    with transport, pytest.raises(EdgesmithError) as caught:
        transport.machine(Deadline.after(30))
    return caught.value


def nothing_there(server: Sshd, board: Edgesmith) -> bool:
    return not (server.home / device_of(board).root).exists()


def test_an_unknown_host_key(board: Edgesmith, server: Sshd, client: Client) -> None:
    client.known_hosts.write_text("")
    error = refused(board)
    key = parse_host_key(server.host_key)
    assert error.exit_code == 6 and key.fingerprint in error.what
    assert f'host_key = "{server.host_key}"' in error.hint and "[devices.board]" in error.hint
    assert client.known_hosts.read_text() == ""
    assert nothing_there(server, board)
    # What it says to do works.
    edit_project(board.folder, 'address = "board"', f'address = "board"\nhost_key = "{key.line()}"')
    assert look_at(device_of(board), "digits", events=EventStream()).answers


def test_another_host_key_than_the_known_or_pinned_one(
    board: Edgesmith, server: Sshd, client: Client, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    client.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other}\n")
    error = refused(board)
    assert error.exit_code == 6 and "has changed" in error.what
    assert str(client.known_hosts) in str(error.where)
    edit_project(board.folder, 'address = "board"', f'address = "board"\nhost_key = "{other}"')
    client.trust(server)
    pinned = refused(board)
    assert pinned.exit_code == 6 and parse_host_key(other).fingerprint in pinned.what
    assert parse_host_key(server.host_key).fingerprint in pinned.what
    assert nothing_there(server, board)


def test_a_login_that_is_not_let_in(
    board: Edgesmith, server: Sshd, client: Client, tmp_path: Path
) -> None:
    make_key(tmp_path / "stranger")
    text = client.config.read_text().replace(
        str(server.folder / "user"), str(tmp_path / "stranger")
    )
    client.config.write_text(text)
    error = refused(board)
    assert (error.exit_code, "refused the login" in error.what) == (6, True)
    assert "ssh-copy-id" in error.hint and nothing_there(server, board)


def test_nobody_at_that_address(board: Edgesmith, server: Sshd, client: Client) -> None:
    edit_project(board.folder, 'address = "board"', 'address = "127.0.0.1"\nport = 1')
    error = refused(board)
    assert (error.exit_code, "refused the connection" in error.what) == (6, True)


@pytest.mark.parametrize(
    ("forced", "said"),
    [
        ("/bin/false", ""),
        ("/bin/echo you may not", "you may not"),
        ("internal-sftp", ""),
        ("/usr/sbin/nologin", "not available"),
    ],
)
def test_a_login_without_a_shell(
    make_server: MakeServer, client: Client, forced: str, said: str
) -> None:
    server = make_server(options=f"ForceCommand {forced}")
    client.add_host("shut", server)
    client.trust(server)
    error = unreachable(transport_to("shut", "edgesmith"))
    assert error.exit_code == 6 and "the login of device 'pi' gives no POSIX shell" in error.what
    assert said in error.what and "ForceCommand" in error.hint
    server.stop()


def test_the_remedy_for_a_changed_host_key_works(
    server: Sshd, client: Client, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    client.known_hosts.write_text(f"[127.0.0.1]:{server.port} {other}\n")
    error = unreachable(transport_to("board", "edgesmith"))
    assert str(client.known_hosts) in str(error.where)
    remedy = error.hint.partition("remove the old one with ")[2]
    subprocess.run(shlex.split(remedy), check=True, capture_output=True)
    assert other not in client.known_hosts.read_text()


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of a server that speaks HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_port_where_something_else_answers(client: Client, web_server: int) -> None:
    to = SshAddress(address="127.0.0.1", port=web_server)
    error = unreachable(SshTransport(device="pi", root="x", to=to, events=EventStream()))
    assert error.exit_code == 6 and "SSH server" in error.what and "port" in error.hint, error


@pytest.mark.parametrize("root", ["/", "//", "/.", "..", "/a/../..", "."])
def test_a_root_that_is_all_of_the_device(board: Edgesmith, client: Client, root: str) -> None:
    edit_project(board.folder, f'root = "{device_of(board).root}"', f'root = "{root}"')
    with pytest.raises(UsageError, match=r"devices\.board\.root"):
        device_of(board)


def test_a_root_that_leads_to_all_of_the_device(
    board: Edgesmith, server: Sshd, client: Client
) -> None:
    (server.home / device_of(board).root).symlink_to("/")
    assert isinstance(refused(board), UsageError)
    assert not Path("/bench.lock").exists()


@pytest.mark.parametrize(
    "address", ["-oProxyCommand=touch /tmp/x", "user@-o", "a b", "a\nb", "$(id)"]
)
def test_an_address_that_is_no_address(board: Edgesmith, client: Client, address: str) -> None:
    text = address.replace("\n", "\\n")
    edit_project(board.folder, 'address = "board"', f'address = "{text}"')
    with pytest.raises(UsageError, match=r"devices\.board\.address"):
        device_of(board)


def test_another_flasher_at_work(
    board: Edgesmith, server: Sshd, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesmith.devices.install.BUSY_WAIT_S", 0)
    with transport_to("board", device_of(board).root) as other, other.exclusive(DEVICE_LOCK):
        assert isinstance(refused(board), DeviceBusyError)
        assert list(Path(other.root).iterdir()) == [Path(other.path(DEVICE_LOCK))]


KINDS = ("app", "runtime", "model", "golden", "licence", "bench")


@pytest.mark.parametrize("kind", ["manifest", *KINDS])
def test_one_flipped_byte_in_the_bundle(
    board: Edgesmith, server: Sshd, client: Client, kind: str
) -> None:
    from edgesmith.devices.release import open_release

    bundle = board.folder / "build/digits/host/bundle"
    release = open_release(bundle, target="host")
    path = "manifest.json" if kind == "manifest" else ""
    path = path or next(f.path for f in release.files if f.role == kind)
    data = bytearray((bundle / path).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / path).write_bytes(data)
    error = refused(board)
    assert isinstance(error, IntegrityError)
    # What a changed manifest says of other files is told as it is found.
    assert kind == "manifest" or path in str(error.where) + error.what
    assert nothing_there(server, board)


@pytest.fixture(scope="module")
def hard(make_server: MakeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A device with file systems that are full, read-only, and of somebody else."""
    launcher = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "-r", "--mount"]
    if subprocess.run([*launcher, "true"], capture_output=True).returncode != 0:
        pytest.skip("the kernel refuses a mount namespace")
    folder = tmp_path_factory.mktemp("disks")
    for name in ("small", "frozen"):
        (folder / name).mkdir()
    (folder / "locked").mkdir(mode=0o555)
    script = (
        f"mount -t tmpfs -o size=8m none {folder}/small &&"
        f" mount -t tmpfs -o ro none {folder}/frozen &&"
        ' exec setpriv --bounding-set=-dac_override,-dac_read_search "$@"'
    )
    server = make_server(launcher=[*launcher, "sh", "-c", script, "sh"])
    server.disks = folder
    return server


@pytest.mark.parametrize(
    ("root", "said", "fix"),
    [
        ("small/edgesmith", "is too full", "free some space"),
        ("frozen/edgesmith", "Read-only file system", "writable folder"),
        ("locked/edgesmith", "Permission denied", "write permission"),
    ],
)
def test_disks_that_refuse(
    board: Edgesmith, hard: Sshd, client: Client, root: str, said: str, fix: str
) -> None:
    client.add_host("hard", hard)
    client.trust(hard)
    folder = hard.disks / root
    edit_project(board.folder, 'address = "board"', 'address = "hard"')
    edit_project(board.folder, f'root = "{device_of(board).root}"', f'root = "{folder}"')
    error = refused(board)
    assert error.exit_code == 6 and said in error.what and fix in error.hint
    state = board("doctor", "--device", "board").out
    assert str(folder.parent) in state

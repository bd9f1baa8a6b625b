"""A device with busybox's shell and little else, whose login is talkative."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path

import pytest
from over_ssh import await_none, transport_to
from sshd import Client, Sshd

from conftest import MakeServer
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.ssh import SshTransport
from edgesmith.devices.transport import DeviceBusyError, RemoteCommand
from edgesmith.errors import DeviceError

# All that edgesmith runs there; flock, sha256sum and tar are used where they are.
NEEDED = "sh env mkdir wc chmod mv rm cat sleep ln readlink sync uname df test ls cp od"
NOISE = "echo Welcome; echo 'edgesmith-0 begin'; echo mind the gap >&2\n"


@pytest.fixture(scope="module", params=["busybox", "dash"])
def small(
    make_server: MakeServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Sshd:
    """Busybox's shell has programs besides those on its PATH, tar and sha256sum among them."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed (Debian: busybox-static)")
    programs = tmp_path_factory.mktemp("programs")
    for name in NEEDED.split():
        (programs / name).symlink_to(busybox)
    if request.param == "dash":
        (programs / "sh").unlink()
        (programs / "sh").symlink_to(shutil.which("dash") or pytest.skip("there is no dash"))
    server: Sshd = make_server(environment={"PATH": str(programs)})
    for name in (".bashrc", ".profile"):
        (server.home / name).write_text(NOISE)
    return server


@pytest.fixture
def transport(small: Sshd, client: Client, tmp_path: Path) -> SshTransport:
    client.add_host("small", small)
    client.trust(small)
    return transport_to("small", f"root of {tmp_path.name}")


def content(folder: Path, size: int) -> tuple[Path, str]:
    file = folder / "content"
    file.write_bytes(os.urandom(size))
    return file, hashlib.sha256(file.read_bytes()).hexdigest()


def test_programs_and_files(transport: SshTransport, tmp_path: Path) -> None:
    deadline = Deadline.after(60)
    argv = ["sh", "-c", 'printf "%s|" "$@"; echo said >&2; exit 3', "sh"]
    words = ["two words", "$HOME", "`id`", "it's", "line\nbreak", "\\n%s", "é\x81", ""]
    with transport:
        command = RemoteCommand(argv=[*argv, *words], purpose="x", hint="x", accept=(3,))
        done = transport.run(command, deadline=deadline)
        assert (
            done.output.encode(errors="surrogateescape") == "".join(f"{w}|" for w in words).encode()
        )
        assert (done.returncode, done.stderr) == (3, "said\n")
        file, sha256 = content(tmp_path, 1_000_003)
        for name in ("a/b/named", f"a/{sha256}"):
            transport.put(file, name, sha256=sha256, mode=0o750, deadline=deadline)
            transport.fetch(name, tmp_path / "back", max_bytes=1 << 20, deadline=deadline)
            assert (tmp_path / "back").read_bytes() == file.read_bytes()
            assert Path(transport.path(name)).stat().st_mode & 0o777 == 0o750
        assert transport.list_folder("a", deadline) == ("b", sha256)[:: 1 if sha256 > "b" else -1]
        assert transport.room(deadline).writable


def test_what_was_begun_goes_on_and_what_is_wrong_is_sent_anew(
    transport: SshTransport, tmp_path: Path
) -> None:
    deadline = Deadline.after(60)
    file, sha256 = content(tmp_path, 1_000_003)
    with transport:
        for number, begun in enumerate((file.read_bytes()[:400_000], b"wrong" * 80_000)):
            name = f"models/{number}-{sha256}"
            part = Path(transport.path(f"{name}.part"))
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(begun)
            transport.put(file, name, sha256=sha256, mode=0o644, deadline=deadline)
            assert Path(transport.path(name)).read_bytes() == file.read_bytes()
            assert not part.exists()


def test_a_link_in_the_root_leads_nowhere(transport: SshTransport, tmp_path: Path) -> None:
    deadline = Deadline.after(60)
    file, sha256 = content(tmp_path, 10)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    with transport:
        transport.make_folder("models", deadline)
        Path(transport.path("models/link")).symlink_to(outside)
        with pytest.raises(DeviceError, match="leads elsewhere"):
            transport.put(file, "models/link/x", sha256=sha256, mode=0o644, deadline=deadline)
        with pytest.raises(DeviceError, match="leads elsewhere"):
            transport.fetch("models/link/secret", tmp_path / "x", max_bytes=99, deadline=deadline)
    assert [p.name for p in outside.iterdir()] == ["secret"]


def test_a_lock_without_flock_goes_with_its_holder(transport: SshTransport, tmp_path: Path) -> None:
    with transport, transport_to("small", transport.configured_root) as other:
        with transport.exclusive("lock"):
            with pytest.raises(DeviceBusyError), other.exclusive("lock"):
                raise AssertionError("two hold the lock")
            link = Path(transport.path("lock.holder"))
            os.kill(int(str(link.readlink()).split()[0]), signal.SIGKILL)
            with other.exclusive("lock", wait_s=30):
                assert link.is_symlink()
        assert not link.is_symlink()
        # As after the device was switched off: the number may be another process by now.
        link.symlink_to("1 1 another-boot")
        with other.exclusive("lock"), pytest.raises(DeviceBusyError), transport.exclusive("lock"):
            raise AssertionError("two hold the lock")
    await_none(str(link.parent))

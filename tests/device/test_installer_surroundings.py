"""The installer on devices that are full, read-only, bare, not ours, or of another architecture."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from interrupted import NEW, OLD, OLDER, install_all, links, run, run_ok
from system_calls import require_strace, trace
from tiny_release import TinyRelease, faults, leftovers, send, sha256

from workbench import NOT_ROOT, Edgesmith, root_can_be_dropped

# Words after the first three run with a copy of a folder on a small disk of their own; then what
# is on that disk is brought back.
ON_A_DISK = """
mount -t tmpfs -o "size=$1" tmpfs "$2" && cp -a "$3"/. "$2" && shift 3 || exit 99
[ -z "$REMOUNT" ] || mount -o "remount,$REMOUNT" "$DISK" || exit 99
"$@"
code=$?
cp -a "$DISK"/. "$BACK"
exit $code
"""
NAMESPACE = ("unshare", "--map-root-user", "--mount", "sh", "-c")
EMULATORS = {"pi": "qemu-aarch64-static", "board": "qemu-arm-static"}


class Disk:
    """A disk of its own, with what is in `contents`; after a run, `contents` is what is on it."""

    def __init__(self, folder: Path) -> None:
        self.contents, self.mounted = folder / "contents", folder / "disk"
        self.root = self.contents / "tiny"
        self.mounted.mkdir(parents=True)

    def run(
        self, installer: Path, *words: str, size: str = "64m", remount: str = ""
    ) -> subprocess.CompletedProcess[str]:
        verb, *more = words
        back = self.contents.with_name("back")
        back.mkdir()
        command = [str(installer), verb, str(self.mounted / "tiny"), *more]
        environment = {"DISK": self.mounted, "BACK": back, "REMOUNT": remount, "PATH": "/bin:/sbin"}
        done = subprocess.run(
            [*NAMESPACE, ON_A_DISK, "sh", size, self.mounted, self.contents, *command],
            capture_output=True,
            text=True,
            env={k: str(v) for k, v in environment.items()},
            timeout=60,
        )
        shutil.rmtree(self.contents)
        back.rename(self.contents)
        return done


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    one = Disk(tmp_path)
    mount = [*NAMESPACE, f"mount -t tmpfs tmpfs '{one.mounted}'"]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("the kernel refuses a mount namespace")
    return one


def with_model_of(size_bytes: int, release: TinyRelease) -> TinyRelease:
    files = [
        replace(f, data=f.data.ljust(size_bytes, b".")) if f.role == "model" else f
        for f in release.files
    ]
    return replace(release, files=tuple(files))


def test_a_full_disk_is_told_in_bytes(disk: Disk, static_installer: Path) -> None:
    install_all(static_installer, disk.root, OLD)
    large = with_model_of(1 << 20, NEW)
    send(disk.root, large)
    full = disk.run(static_installer, "install", large.id, size="2300k")
    assert full.returncode == 6, full.stderr
    needed = sum(len(f.data) for f in large.files) + (1 << 20)
    assert f"the release needs {needed} bytes, the device has " in full.stderr
    assert links(disk.root) == (OLD.id, None)
    assert {p.name for p in (disk.root / "releases").iterdir()} == {OLD.id}
    enough = disk.run(static_installer, "install", large.id)
    assert enough.returncode == 0, enough.stderr
    assert links(disk.root) == (large.id, OLD.id)


def test_what_an_abandoned_flash_left_makes_room(disk: Disk, static_installer: Path) -> None:
    install_all(static_installer, disk.root, OLD)
    abandoned = with_model_of(1 << 20, NEW)
    send(disk.root, abandoned)
    draft = disk.root / "releases" / f".tmp-{NEW.id}"
    draft.mkdir()
    (draft / "model").write_bytes(b"." * (1 << 20))
    later = with_model_of(2 << 20, NEW)
    send(disk.root, later, only=frozenset())
    needed = disk.run(static_installer, "need", later.id, size="3m")
    assert needed.returncode == 0, needed.stderr
    assert needed.stdout.split() == [sha256(later.file("model/int8.onnx").data)]
    incoming = {p.name for p in (disk.root / "incoming").iterdir()}
    assert sha256(abandoned.file("model/int8.onnx").data) not in incoming
    assert f"{abandoned.id}.manifest.json" not in incoming
    assert {p.name for p in (disk.root / "releases").iterdir()} == {OLD.id}


def test_a_read_only_root(disk: Disk, static_installer: Path) -> None:
    install_all(static_installer, disk.root, OLDER, OLD)
    send(disk.root, NEW)
    for words in (("install", NEW.id), ("need", NEW.id), ("rollback",)):
        refused = disk.run(static_installer, *words, remount="ro")
        assert refused.returncode == 10
        assert f"{disk.mounted}/tiny/lock: Read-only file system" in refused.stderr
    # What only reads works all the same.
    assert disk.run(static_installer, "verify", remount="ro").returncode == 0
    listed = disk.run(static_installer, "list", "--json", remount="ro")
    assert json.loads(listed.stdout)["current"] == OLD.id
    assert links(disk.root) == (OLD.id, OLDER.id)


@pytest.mark.parametrize("name", ["", "releases", "incoming", "lock"])
def test_no_permission(name: str, static_installer: Path, tmp_path: Path) -> None:
    if not root_can_be_dropped():
        pytest.skip("the kernel refuses a user namespace")
    root = tmp_path / "tiny"
    install_all(static_installer, root, OLD)
    send(root, NEW)
    (root / name).chmod(0o400 if name == "lock" else 0o500)
    argv = [*NOT_ROOT, str(static_installer), "install", str(root), NEW.id]
    done = subprocess.run(argv, capture_output=True, text=True)
    (root / name).chmod(0o700)
    assert done.returncode == 10, done
    assert "Permission denied" in done.stderr
    assert str(root / name) in done.stderr
    current = NEW.id if name == "incoming" else OLD.id
    assert links(root)[0] == current
    run_ok(static_installer, "install", root, NEW.id)
    assert leftovers(root) == set()


def test_a_file_system_without_links(static_installer: Path, tmp_path: Path) -> None:
    """FAT, for one: said before anything but the manifest was sent."""
    require_strace()
    root = tmp_path / "tiny"
    send(root, NEW, only=frozenset())
    argv = [static_installer, "need", root, NEW.id]
    done = trace(argv, tmp_path / "log", inject=["symlink:error=EPERM"])
    assert done.returncode == 10
    assert "must be on a file system with symbolic links" in done.stderr
    run_ok(static_installer, "need", root, NEW.id)


def test_a_device_without_anything(static_installer: Path, tmp_path: Path) -> None:
    """No shell, no libraries, no /proc: the installer is all there is."""
    (tmp_path / "data").mkdir()
    shutil.copy(static_installer, tmp_path / "installer")
    enter = ["unshare", "--map-root-user", "chroot", str(tmp_path), "/installer"]
    if subprocess.run([*enter, "--help"], capture_output=True).returncode != 0:
        pytest.skip("the kernel refuses a user namespace")
    root = tmp_path / "data" / "tiny"
    for release in (OLD, NEW):
        send(root, release)
        argv = [*enter, "install", "/data/tiny", release.id, "--no-self-test"]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert subprocess.run([*enter, "rollback", "/data/tiny"]).returncode == 0
    assert links(root) == (OLD.id, NEW.id)
    assert leftovers(root) == set()


@pytest.mark.parametrize("target", EMULATORS)
def test_installers_of_other_architectures(
    target: str, everywhere: Edgesmith, tmp_path: Path
) -> None:
    """Install, repair and go back, with the same system calls; no library is there for them."""
    if shutil.which(EMULATORS[target]) is None:
        pytest.skip(f"{EMULATORS[target]} is not installed (Debian: qemu-user-static)")
    program = everywhere.folder / "build" / "digits" / target / "bundle" / "bin" / "installer"
    installer = tmp_path / "installer"
    installer.write_text(f"#!/bin/sh\nexec {EMULATORS[target]} '{program}' \"$@\"\n")
    installer.chmod(0o755)
    root = tmp_path / "tiny"
    install_all(installer, root, OLDER, OLD)
    (root / "current/model/int8.onnx").write_bytes(b"torn")
    assert run(installer, "verify", root).returncode == 7
    install_all(installer, root, OLD)
    run_ok(installer, "rollback", root)
    assert links(root) == (OLDER.id, OLD.id)
    assert [w for i in links(root) if i for w in faults(root, i)] == []
    assert leftovers(root) == set()

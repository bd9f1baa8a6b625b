"""Devices on which a bundle would not run are refused before anything changes there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edgesmith.devices.emulation import MACHINES, Emulator, chosen_cpu, make_emulator
from edgesmith.devices.install import flash
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.qemu_user import QemuUserTransport
from edgesmith.devices.transport import DEVICE_LOCK, Transport
from edgesmith.errors import DeviceError
from edgesmith.events import EventStream
from edgesmith.project.load import load_project
from edgesmith.project.project import Device
from workbench import Edgesmith


def device_of(everywhere: Edgesmith, name: str) -> Device:
    return load_project(everywhere.folder / "edgesmith.toml", {}).device(name)


def bundle_of(everywhere: Edgesmith, target: str) -> Path:
    return everywhere.folder / "build" / "digits" / target / "bundle"


def refusal(bundle: Path, device: Device, transport: Transport, root: Path) -> str:
    """The error's text, after a look that nothing is on the device but the lock."""
    with pytest.raises(DeviceError) as caught:
        flash(bundle, device, events=EventStream(), transport=transport)
    assert caught.value.exit_code == 6
    assert {p.name for p in root.iterdir()} <= {DEVICE_LOCK}
    return caught.value.render()


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    """That of a small aarch64 system, to be spoilt."""
    cross = Path(MACHINES["EM_AARCH64"].links["lib"])
    if not cross.is_dir():
        pytest.skip("libc6-arm64-cross is not installed")
    root = tmp_path / "system"
    (root / "lib").mkdir(parents=True)
    for file in cross.glob("*.so.*"):
        shutil.copy(file, root / "lib" / file.name)
    return root


@pytest.fixture
def emulated(everywhere: Edgesmith, tmp_path: Path, sysroot: Path) -> QemuUserTransport:
    root = tmp_path / "root"
    root.mkdir()
    cpu = chosen_cpu("cortex-a53", "EM_AARCH64", "cpu")
    try:
        program = make_emulator(cpu, tmp_path / "sysroots").program
    except DeviceError as error:
        pytest.skip(error.what)
    emulator = Emulator(program=program, cpu=cpu, sysroot=sysroot)
    return QemuUserTransport(device="pi", root=str(root), events=EventStream(), emulator=emulator)


def test_another_architecture(everywhere: Edgesmith, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    transport = LocalTransport(device="desk", root=str(root), events=EventStream())
    said = refusal(
        bundle_of(everywhere, "pi"), device_of(everywhere, "cortex-a53"), transport, root
    )
    assert "needed EM_AARCH64, 64 bits" in said and "found EM_X86_64, 64 bits" in said


def test_an_older_c_library(
    everywhere: Edgesmith, emulated: QemuUserTransport, sysroot: Path
) -> None:
    """The names of its newer versions are overwritten: what remains is glibc 2.17's."""
    libc = sysroot / "lib" / "libc.so.6"
    newer = re.compile(rb"GLIBC_2\.(1[89]|[23]\d)(?=\0)")
    data, count = newer.subn(lambda found: b"GLIBC_2.17"[: len(found[0])], libc.read_bytes())
    assert count > 3
    libc.write_bytes(data)
    said = refusal(
        bundle_of(everywhere, "pi"),
        device_of(everywhere, "cortex-a53"),
        emulated,
        Path(emulated.root),
    )
    assert re.search(r"GLIBC: needed 2\.\d+, found 2\.17", said)


@pytest.mark.parametrize("name", ["libstdc++.so.6", "libgcc_s.so.1", "libc.so.6"])
def test_a_missing_library(
    everywhere: Edgesmith, emulated: QemuUserTransport, sysroot: Path, name: str
) -> None:
    (sysroot / "lib" / name).unlink()
    said = refusal(
        bundle_of(everywhere, "pi"),
        device_of(everywhere, "cortex-a53"),
        emulated,
        Path(emulated.root),
    )
    assert f"library: needed {name}, found none" in said


def test_a_missing_loader(
    everywhere: Edgesmith, emulated: QemuUserTransport, sysroot: Path
) -> None:
    (sysroot / "lib" / "ld-linux-aarch64.so.1").unlink()
    said = refusal(
        bundle_of(everywhere, "pi"),
        device_of(everywhere, "cortex-a53"),
        emulated,
        Path(emulated.root),
    )
    assert "loader: needed /lib/ld-linux-aarch64.so.1" in said


def test_a_32_bit_system_on_a_64_bit_kernel(
    everywhere: Edgesmith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uname -m` tells the kernel's architecture; what runs there is decided by its system."""
    libraries = Path(MACHINES["EM_ARM"].links["lib"])
    if not libraries.is_dir():
        pytest.skip("libc6-armhf-cross is not installed")
    system, root = tmp_path / "system", tmp_path / "root"
    root.mkdir()
    (system / "bin").mkdir(parents=True)
    (system / "lib").symlink_to(libraries)
    # Any program of that architecture stands for the shell; its header is looked at.
    shutil.copy(bundle_of(everywhere, "board") / "bin" / "installer", system / "bin" / "sh")
    (system / "proc").mkdir()
    cpu = chosen_cpu("cortex-a7", "EM_ARM", "cpu")
    (system / "proc" / "cpuinfo").write_text(cpu.cpuinfo())
    try:
        program = make_emulator(cpu, tmp_path / "sysroots").program
    except DeviceError as error:
        pytest.skip(error.what)
    for folder in ("sys/devices/system/cpu",):
        (system / folder).mkdir(parents=True)
        for name in ("possible", "present", "online", "kernel_max"):
            (system / folder / name).write_text("0\n")
    emulator = Emulator(program=program, cpu=cpu, sysroot=system)
    monkeypatch.setattr(QemuUserTransport, "machine", lambda self, deadline: "aarch64")
    transport = QemuUserTransport(
        device="pi", root=str(root), events=EventStream(), emulator=emulator
    )
    said = refusal(
        bundle_of(everywhere, "pi"), device_of(everywhere, "cortex-a53"), transport, root
    )
    assert "found EM_ARM, 32 bits (its /bin/sh)" in said
    done = flash(
        bundle_of(everywhere, "board"),
        device_of(everywhere, "cortex-a7"),
        events=EventStream(),
        transport=transport,
    )
    assert done.self_test == "passed"

"""Emulated devices: which CPU, which programs run where, and what is said when something lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesmith.devices import emulation, qemu_user
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.emulation import MACHINES, Emulator, chosen_cpu, emulated_cpus, make_emulator
from edgesmith.devices.local import LocalTransport
from edgesmith.devices.qemu_user import QemuUserTransport
from edgesmith.devices.transport import RemoteCommand
from edgesmith.errors import DeviceError, UsageError
from edgesmith.events import EventStream
from edgesmith.process import Completed
from edgesmith.project.load import load_project


@pytest.mark.parametrize("name", sorted(emulated_cpus()))
def test_each_cpu_is_complete(name: str) -> None:
    cpu = emulated_cpus()[name]
    assert cpu.machine in MACHINES
    text = cpu.cpuinfo()
    assert f"{name} (emulated)\n" in text
    if cpu.machine == "EM_X86_64":
        assert "avx2" in cpu.features.split()
    else:
        assert f"CPU part\t: {cpu.part}\n" in text
        assert ("neon" if cpu.machine == "EM_ARM" else "asimd") in cpu.features.split()


def test_every_machine_has_its_default_cpu() -> None:
    for name, machine in MACHINES.items():
        assert chosen_cpu(None, name, "devices.d.cpu").name == machine.default_cpu


def test_a_cpu_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="can't stand for 'cortex-a7'"):
        chosen_cpu("cortex-a7", "EM_AARCH64", "devices.d.cpu")


def test_the_sysroot_shows_the_emulated_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = tmp_path / "cross" / "lib"
    libraries.mkdir(parents=True)
    machine = MACHINES["EM_AARCH64"]
    monkeypatch.setattr(
        emulation,
        "MACHINES",
        {"EM_AARCH64": machine.__class__(**{**vars(machine), "links": {"lib": str(libraries)}})},
    )
    monkeypatch.setattr(emulation, "find_qemu", lambda machine: Path("/qemu"))
    emulator = make_emulator(emulated_cpus()["cortex-a76"], tmp_path / "sysroots")
    root = tmp_path / "sysroots" / "cortex-a76"
    assert emulator.argv == ("/qemu", "-cpu", "cortex-a76", "-L", str(root))
    assert "asimddp" in (root / "proc" / "cpuinfo").read_text()
    assert (root / "sys/devices/system/cpu/possible").read_text() == "0\n"
    assert (root / "lib").resolve() == libraries
    libraries.rmdir()
    with pytest.raises(DeviceError, match="C library for aarch64") as caught:
        make_emulator(emulated_cpus()["cortex-a76"], tmp_path / "sysroots")
    assert "libc6-arm64-cross" in str(caught.value.hint)


def test_without_qemu_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="qemu-arm is not installed") as caught:
        emulation.find_qemu("EM_ARM")
    assert "apt-get install qemu-user-static" in str(caught.value.hint)


def test_only_the_devices_own_programs_are_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []

    def note(self: object, command: RemoteCommand, **_: object) -> Completed:
        ran.append(tuple(command.argv))
        return Completed(argv=(), returncode=0, output="", stderr="")

    monkeypatch.setattr(LocalTransport, "_run", note)
    cpu = emulated_cpus()["cortex-a53"]
    emulator = Emulator(program=Path("/qemu"), cpu=cpu, sysroot=Path("/root"))
    transport = QemuUserTransport(
        device="pi", root=str(tmp_path), events=EventStream(), emulator=emulator
    )
    for argv in ([transport.path("digits/installer"), "list"], ["df", "-Pk", str(tmp_path)]):
        command = RemoteCommand(argv=argv, purpose="asking", hint="try again")
        transport.run(command, deadline=Deadline.after(5))
    assert ran == [
        ("/qemu", "-cpu", "cortex-a53", "-L", "/root", f"{tmp_path}/digits/installer", "list"),
        ("df", "-Pk", str(tmp_path)),
    ]
    assert transport.machine(Deadline.after(5)) == "aarch64"
    assert not transport.capabilities.real_time
    assert qemu_user.MACHINES["EM_AARCH64"].uname == "aarch64"


def test_an_emulated_device_measures_one_inference_unless_told_otherwise(
    project_file: Path, project_text: str
) -> None:
    emulated = project_text.replace('transport = "local"', 'transport = "qemu-user"')
    project_file.write_text(emulated)
    bench = load_project(project_file, {}).device("desk").bench
    assert (bench.min_iterations, bench.processes) == (1, 1)
    project_file.write_text(emulated + "bench = { min_iterations = 7 }\n")
    assert load_project(project_file, {}).device("desk").bench.min_iterations == 7

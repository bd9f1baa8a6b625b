"""The script that looks for NVIDIA's driver and libraries, run on made-up systems."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gpu_systems import (
    AARCH64,
    CUDA,
    FILES,
    LIB,
    MODULES,
    PLATFORM,
    RootedTransport,
    System,
    applets,
    whole_system,
)

from edgesmith.devices.registry import TRANSPORTS
from edgesmith.doctor.check import Check
from edgesmith.doctor.device import check_device
from edgesmith.events import EventStream
from edgesmith.project.load import load_project
from edgesmith.project.project import Device
from workbench import copy_digits, edit_project

Look = Callable[[], dict[str, Check]]


@pytest.fixture
def system(tmp_path: Path) -> System:
    return whole_system(tmp_path / "a system")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copy_digits(tmp_path)
    edit_project(folder, 'platform = "linux-x86_64"', f'platform = "{PLATFORM.name}"')
    edit_project(folder, 'transport = "local"', f'transport = "local"\nroot = "{tmp_path}/root"')
    return folder


@pytest.fixture
def doctor(system: System, project: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """What doctor finds of NVIDIA's products."""

    def make(device: Device, events: EventStream) -> RootedTransport:
        made = RootedTransport(device=device.name, root=device.root, events=events)
        made.rooted_at = system.root
        return made

    monkeypatch.setitem(TRANSPORTS, "local", make)
    loaded = load_project(project / "edgesmith.toml", {})
    products = set(PLATFORM.drivers["tensorrt"].products)

    def look() -> dict[str, Check]:
        found = check_device(loaded.device("desk"), loaded.target("host"), EventStream())
        return {check.name: check for check in found if check.name in products}

    return look


def failures(found: dict[str, Check]) -> dict[str, str]:
    assert len(found) == 4
    return {name: check.found for name, check in found.items() if not check.passed}


@pytest.mark.parametrize("shell", ["the system's", "BusyBox"])
def test_a_whole_machine(
    doctor: Look, shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shell == "BusyBox":
        monkeypatch.setenv("PATH", applets(tmp_path / "path"))
    assert {name: check.found for name, check in doctor().items()} == {
        "NVIDIA driver": "580.65.06, NVIDIA H200, needed >=580",
        "CUDA": "13.0.96, needed >=13,<14",
        "cuDNN": "9.13.0, needed >=9,<10",
        "TensorRT": "10.13.3, needed >=10,<11",
    }


def test_cuda_of_another_release(system: System, doctor: Look) -> None:
    for name in ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13"):
        system.remove(name)
        system.library(name.replace("13", "12"), "usr/local/cuda-12.4/lib64", "12.4.127")
    assert failures(doctor()) == {
        "CUDA": "12.4.127, needed >=13,<14;"
        " libcublas.so.13, libcublasLt.so.13, libcudart.so.13 not found, only other versions in"
        " /usr/local/cuda-12.4/lib64; without it models run on cpu"
    }


def test_without_tensorrt(system: System, doctor: Look) -> None:
    for name in ("libnvinfer.so.10", "libnvinfer_plugin.so.10"):
        system.remove(name)
    said = "libnvinfer.so.10, libnvinfer_plugin.so.10 not found; without it models run on cuda"
    assert failures(doctor()) == {"TensorRT": f"{said} or cpu"}


def test_no_library(system: System, doctor: Look) -> None:
    """One of another machine, an empty file, a link to nothing; then a right one elsewhere."""
    system.library("libcudnn.so.9", LIB, "9.13.0", AARCH64)
    system.library("libnvinfer.so.10", LIB, "10.13.3").write_bytes(b"")
    (system.root / LIB / "libnvonnxparser.so.10.13.3").unlink()
    found = failures(doctor())
    assert f"libcudnn.so.9 in /{LIB} is for EM_AARCH64, 64 bits" in found["cuDNN"]
    names = "libnvinfer.so.10, libnvonnxparser.so.10"
    assert f"{names} in /{LIB} is no library, but empty or a broken link" in found["TensorRT"]
    system.library("libcudnn.so.9", "usr/local/lib", "9.14.0")
    assert doctor()["cuDNN"].found.startswith("9.14.0,")


def test_where_the_loader_does_not_look(system: System, doctor: Look) -> None:
    (system.root / "etc/ld.so.conf.d/cuda.conf").unlink()
    check = doctor()["CUDA"]
    assert (
        check.found.startswith("13.0.96, needed")
        and "where the loader does not look" in check.found
    )
    assert check.remedy.startswith(f"add /{CUDA} to a file in /etc/ld.so.conf.d there")


@pytest.mark.parametrize("shell", ["the system's", "BusyBox"])
def test_what_ldconfig_has_not_seen(
    system: System, doctor: Look, shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shell == "BusyBox":
        monkeypatch.setenv("PATH", applets(tmp_path / "path"))
    seen = [f"/{CUDA}/{name}" for name in FILES if name != "libcublas.so.13"]
    system.cache(*seen)
    check = doctor()["CUDA"]
    assert not check.passed and f"libcublas.so.13 in /{CUDA}, which ldconfig has not" in check.found
    assert check.remedy == "run ldconfig there, as root"
    system.cache(*seen, f"/{CUDA}/libcublas.so.13")
    assert doctor()["CUDA"].passed


def test_no_driver(system: System, doctor: Look) -> None:
    shutil.rmtree(system.root / "proc")
    system.remove("libcuda.so.1")
    said = "no driver is loaded; libcuda.so.1 not found; without it models run on cpu"
    assert failures(doctor()) == {"NVIDIA driver": said}


def test_a_driver_that_is_too_old(system: System, doctor: Look) -> None:
    system.module(MODULES["570.124.06"])
    system.remove("libcuda.so.1")
    system.library("libcuda.so.1", LIB, "570.124.06")
    said = "570.124.06, NVIDIA H200, needed >=580; without it models run on cpu"
    assert failures(doctor()) == {"NVIDIA driver": said}


def test_hostile_texts_of_the_system(system: System, doctor: Look) -> None:
    system.module("NVRM version: Kernel Module  \x1b[2J580\nKernel Module for x  1.2\n")
    gpu = system.root / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    gpu.write_bytes(b"Model: \x1b]0;x\x07H200\xff\\n%s\nModel: $(reboot)`reboot`\n")
    system.library("libcudart.so.13", CUDA, "13.0.96 of\na joker")
    found = doctor()
    assert all((check.found + check.remedy).isprintable() for check in found.values())
    assert failures(found).keys() == {"NVIDIA driver"}
    assert found["CUDA"].found.startswith("13, needed")

"""Folders that stand for the root of a device with NVIDIA's driver and libraries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgesmith.devices.local import LocalTransport
from edgesmith.platforms import load_platforms

PLATFORM = load_platforms()["linux-x86_64-cuda"]
X86_64, AARCH64 = b"\x3e\x00", b"\xb7\x00"
LIB = "usr/lib/x86_64-linux-gnu"
CUDA = "usr/local/cuda-13.0/targets/x86_64-linux/lib"
FILES = {
    "libcuda.so.1": (LIB, "580.65.06"), "libcudart.so.13": (CUDA, "13.0.96"),
    "libcublas.so.13": (CUDA, "13.1.0.3"), "libcublasLt.so.13": (CUDA, "13.1.0.3"),
    "libcurand.so.10": (CUDA, "10.4.0.35"), "libcudnn.so.9": (LIB, "9.13.0"),
    "libnvinfer.so.10": (LIB, "10.13.3"), "libnvinfer_plugin.so.10": (LIB, "10.13.3"),
    "libnvonnxparser.so.10": (LIB, "10.13.3"),
}  # fmt: skip
MODULES = {
    "580.65.06": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build"
    "  (dvs-builder@U22)  Sun Jul 27 06:44:27 UTC 2025\nGCC version:  gcc version 12.3.0\n",
    "570.124.06": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 02:00:50"
    " UTC 2025\nGCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n",
}
CONFIGURATION = "# CUDA\n  \n/usr/local/cuda/lib64 # not there\n/" + CUDA + "  \n"


@dataclass(frozen=True)
class System:
    """A folder that stands for a device's root."""

    root: Path

    def library(self, name: str, folder: str, version: str, machine: bytes = X86_64) -> Path:
        """A file of that version and the link that the loader looks for."""
        file = self.root / folder / f"{name.partition('.so')[0]}.so.{version}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine + bytes(40))
        link = file.with_name(name)
        if link != file:
            link.unlink(missing_ok=True)
            link.symlink_to(file.name)
        return file

    def remove(self, name: str) -> None:
        """The link, and the file that it leads to."""
        link = self.root / FILES[name][0] / name
        link.resolve().unlink()
        link.unlink()

    def module(self, text: str) -> None:
        file = self.root / "proc/driver/nvidia/version"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def cache(self, *paths: str) -> None:
        head = b"glibc-ld.so.cache1.1\x01\x00\x00\x00\x41"
        (self.root / "etc/ld.so.cache").write_bytes(head + "\0".join(["", *paths, ""]).encode())


class RootedTransport(LocalTransport):
    """To a system below a folder; nothing but shells runs there."""

    rooted_at: Path

    @property
    def system_root(self) -> str:
        return str(self.rooted_at)


def whole_system(root: Path) -> System:
    """One that has everything."""
    made = System(root)
    for name, (folder, version) in FILES.items():
        made.library(name, folder, version)
    made.module(MODULES["580.65.06"])
    gpu = made.root / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    gpu.parent.mkdir(parents=True)
    gpu.write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 171\n")
    (made.root / "etc/ld.so.conf.d").mkdir(parents=True)
    (made.root / "etc/ld.so.conf.d/cuda.conf").write_text(CONFIGURATION)
    return made


def applets(folder: Path) -> str:
    """A PATH on which BusyBox is everything."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    folder.mkdir()
    for name in ("sh", "od", "tr", "cut", "grep", "sed", "readlink", "sort", "uname", "df"):
        (folder / name).symlink_to(busybox)
    return str(folder)

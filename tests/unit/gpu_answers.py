"""What a device's script answers about NVIDIA's products, and what doctor makes of it."""

from __future__ import annotations

from pathlib import Path

from edgesmith.devices.fake import FakeTransport
from edgesmith.doctor.check import Check
from edgesmith.doctor.gpu import check_gpu
from edgesmith.events import EventStream
from edgesmith.project.load import load_project

FOLDER = "/usr/lib/x86_64-linux-gnu"
VERSIONS = {
    "libcublas.so.13": "13.1.0.3", "libcublasLt.so.13": "13.1.0.3", "libcuda.so.1": "580.65.06",
    "libcudart.so.13": "13.0.96", "libcurand.so.10": "10.4.0.35", "libcudnn.so.9": "9.13.0",
    "libcufft.so.12": "12.0.0.61", "libnvinfer.so.10": "10.13.3",
    "libnvinfer_plugin.so.10": "10.13.3", "libnvonnxparser.so.10": "10.13.3",
}  # fmt: skip


def told(place: str, name: str, folder: str = FOLDER) -> str:
    file = f"{name.partition('.so')[0]}.so.{VERSIONS[name]}"
    return f"{place} {name} {file} 023e00 {folder}/{name}\n"


WHOLE = "driver 580.65.06\ngpu NVIDIA H200\n" + "".join(told("searched", one) for one in VERSIONS)


def checks(
    file: Path,
    answer: str = WHOLE,
    *,
    platform: str = "linux-x86_64-cuda",
    target: str = "",
    device: str = "",
    project: str = "",
) -> dict[str, Check]:
    """Those of a device of the platform, by name; the others are lines of the project file."""
    text = file.read_text().replace(
        'platform = "linux-x86_64"', f'platform = "{platform}"\n{target}'
    )
    file.write_text(text + f'root = "{file.parent / "device"}"\n{device}\n{project}\n')
    loaded = load_project(file)
    transport = FakeTransport(device="desk", root=str(file.parent), events=EventStream())
    transport.facts.gpu = answer
    found = check_gpu("device desk", transport, loaded.device("desk"), loaded.target("host"))
    return {check.name: check for check in found}


def without(*names: str) -> str:
    lines = (line for line in WHOLE.splitlines() if not any(f" {one} " in line for one in names))
    return "\n".join([*lines, *(f"missing {name}" for name in names)])

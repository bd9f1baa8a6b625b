"""The script that looks for NVIDIA's driver and libraries, asked directly; and what it asks for."""

from __future__ import annotations

import mmap
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from gpu_systems import System

from edgesmith.bundle.drivers import driver_needs
from edgesmith.bundle.elf import read_elf
from edgesmith.cache import cache_root
from edgesmith.devices.gpu import GpuFacts, parse
from edgesmith.devices.probe import device_script
from edgesmith.platforms import Platform, load_platforms

WITH_DRIVERS = [one for one in load_platforms().values() if one.drivers]
LIBRARY = "libmade-up-for-edgesmith.so.13"


def ask(*libraries: str, root: Path | str = "", path: Path | None = None, **more: str) -> GpuFacts:
    """Without a root, this machine is looked at; programs of `path` come before its own."""
    env = {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"], **more}
    argv = ["sh", "-c", device_script("gpu.sh"), "gpu", str(root), "023e00", *libraries]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return parse(done.stdout.splitlines(), "here")


def management(folder: Path, text: str) -> Path:
    """A folder with an nvidia-smi of that text."""
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a driver of its own")
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "nvidia-smi").chmod(0o755)
    return folder


def test_a_driver_that_only_its_tool_tells_of(tmp_path: Path) -> None:
    folder = management(tmp_path / "a path", 'printf "580.65.06, NVIDIA Thor\\n580.65.06, T4\\n"')
    facts = ask(path=folder)
    assert (facts.driver, facts.gpus) == ("580.65.06", ("NVIDIA Thor", "T4"))


@pytest.mark.parametrize(
    "text", ["echo 580.1, T4; exit 9", "echo 'NVIDIA-SMI has failed'", "echo '[N/A], Orin'"]
)
def test_a_tool_that_fails_tells_nothing(tmp_path: Path, text: str) -> None:
    facts = ask(path=management(tmp_path / "path", text))
    assert (facts.driver, facts.gpus) == ("", ())


def test_the_tool_of_this_machine_says_nothing_of_another(tmp_path: Path) -> None:
    folder = management(tmp_path / "path", "echo 580.65.06, T4")
    assert ask(root=tmp_path / "nothing", path=folder).driver == ""


def test_the_library_path_of_a_login(tmp_path: Path) -> None:
    file = System(tmp_path).library(LIBRARY, "a folder", "13.0.96")
    assert ask(LIBRARY).libraries == {}
    for path in (str(file.parent), f"/nowhere:{file.parent}", f":relative;{file.parent}:"):
        found = ask(LIBRARY, LD_LIBRARY_PATH=path).libraries[LIBRARY]
        assert (found.place, found.version) == ("searched", "13.0.96")
        assert found.path == f"{file.parent}/{LIBRARY}"


@pytest.mark.parametrize("platform", WITH_DRIVERS, ids=lambda one: str(one.name))
def test_platforms_name_all_that_their_runtime_looks_for(
    platform: Platform, tmp_path: Path
) -> None:
    """What stands in the ELF headers, and beside that what stands in the code as text."""
    wheels = cache_root() / "downloads" / platform.runtime.wheel_sha256
    wheel = next(iter(wheels.glob("*.whl")), None)
    if wheel is None:
        pytest.skip(f"the runtime of {platform.name} is not downloaded")
    for name, facts in platform.drivers.items():
        (path,) = (p for p in platform.runtime.files if p.endswith(f"_providers_{name}.so"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(path, tmp_path)
        elf = read_elf(tmp_path, path)
        needed = set(elf.needed)
        own = driver_needs([elf], platform, {})[name]["libraries"]
        assert set(own) == set(facts.libraries)
        with (tmp_path / path).open("rb") as file, mmap.mmap(
            file.fileno(), 0, access=mmap.ACCESS_READ
        ) as data:  # fmt: skip
            opened = set(facts.libraries) - needed
            assert [one for one in sorted(opened) if data.find(one.encode()) < 0] == []
        (tmp_path / path).unlink()

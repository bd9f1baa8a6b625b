"""One project for three platforms: built by an ordinary user who has no compiler, and emulated."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from edgesmith.bundle.elf import ElfFile, read_elf
from edgesmith.devices.emulation import MACHINES, chosen_cpu, make_emulator
from edgesmith.errors import DeviceError
from edgesmith.platforms import load_platforms
from edgesmith.project.load import load_project
from edgesmith.report.schema import load_report
from needed_libraries import unmet
from workbench import COMPILERS, Edgesmith, root_can_be_dropped

PLATFORMS = {"host": "linux-x86_64", "pi": "linux-aarch64", "board": "linux-armv7"}
NEWEST_GLIBC = {"host": (2, 28), "pi": (2, 28), "board": (2, 34)}
SOME = 40
EMULATED = ("haswell", "cortex-a53", "cortex-a76", "cortex-a7")


def bundle_of(everywhere: Edgesmith, target: str) -> Path:
    return everywhere.folder / "build" / "digits" / target / "bundle"


def manifest_of(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text())


def test_the_build_had_no_compiler_and_no_root(everywhere: Edgesmith) -> None:
    path = Path(everywhere.environment["PATH"])
    assert (path / "sh").exists()
    assert [p.name for p in path.iterdir() if COMPILERS.fullmatch(p.name)] == []
    for name in ("gcc", "g++", "clang", "ld", "node"):
        assert COMPILERS.fullmatch(name)
    for target, platform in PLATFORMS.items():
        assert manifest_of(bundle_of(everywhere, target))["platform"] == platform
    if os.geteuid() == 0 and not root_can_be_dropped():
        pytest.skip("the kernel refuses a user namespace: the build ran as root")
    who = [*everywhere.launcher, "id", "-u"]
    assert subprocess.run(who, capture_output=True, text=True).stdout.strip() != "0"


def elf_files(bundle: Path) -> dict[str, ElfFile]:
    """All programs and libraries of the bundle, by file name."""
    paths = [p for p in bundle.rglob("*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"]
    return {p.name: read_elf(bundle, p.relative_to(bundle).as_posix()) for p in paths}


@pytest.mark.parametrize("target", PLATFORMS)
def test_every_file_is_of_its_platform_and_old_enough(everywhere: Edgesmith, target: str) -> None:
    elf = load_platforms()[PLATFORMS[target]].elf
    files = elf_files(bundle_of(everywhere, target))
    assert {"harness", "installer", "digits-app"} < files.keys()
    for name, file in files.items():
        assert (file.machine, file.bits) == (elf.machine, elf.bits), name
        assert file.versions.get("GLIBC", ()) <= NEWEST_GLIBC[target], name
    installer, harness = files["installer"], files["harness"]
    assert (installer.interpreter, installer.needed, installer.versions) == ("", (), {})
    assert harness.interpreter and harness.versions["GLIBC"]
    assert harness.search_path == ("$ORIGIN/../lib",)
    assert unmet(bundle_of(everywhere, target)) == []


def test_each_target_has_its_encoding_from_one_calibration(everywhere: Edgesmith) -> None:
    encodings = {
        target: {
            v["name"]: v["encoding"] for v in manifest_of(bundle_of(everywhere, target))["variants"]
        }
        for target in PLATFORMS
    }
    assert encodings["host"]["int8"] == "u8s8-pairs"
    assert encodings["pi"]["int8"] == encodings["board"]["int8"] == "s8s8"
    assert (everywhere.folder / "build/digits/observe/observed.safetensors").is_file()


def run_harness(
    bundle: Path, samples: Path, variant: str, out: Path, *, emulator: tuple[str, ...] = ()
) -> Any:
    """The logits for every sample, as [samples, 1, 10]."""
    argv = [
        *emulator, bundle / "bin/harness", "bench", "--variant", variant, "--processes", "1",
        "--min-iterations", "1", "--min-seconds", "0.001", "--samples", samples,
        "--outputs", out, "--json", out.with_suffix(".json"),
        *(["--emulated"] if emulator else []),
    ]  # fmt: skip
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return load_file(out)["outputs/output"]


def some_samples(bundle: Path, target: Path) -> Path:
    """The first evaluation samples: emulated inferences are slow."""
    with safe_open(bundle / "bench/samples.safetensors", "np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name)[:SOME] for name in file.keys()}  # noqa: SIM118 - no dict
    save_file(tensors, target, metadata)
    return target


def emulator_of(everywhere: Edgesmith, device: str) -> tuple[str, ...]:
    found = load_project(everywhere.folder / "edgesmith.toml", {}).device(device)
    try:
        cpu = chosen_cpu(found.cpu, found.machine, device)
        return make_emulator(cpu, everywhere.cache / "sysroots").argv
    except DeviceError as error:
        pytest.skip(str(error.what))


@pytest.mark.parametrize("device", EMULATED)
def test_emulated_outputs_agree_with_those_of_x86(
    everywhere: Edgesmith, device: str, tmp_path: Path
) -> None:
    emulator = emulator_of(everywhere, device)
    target = load_project(everywhere.folder / "edgesmith.toml", {}).device(device).target
    here, there = bundle_of(everywhere, "host"), bundle_of(everywhere, target)
    samples = some_samples(here, tmp_path / "samples.safetensors")
    expected = run_harness(here, samples, "fp32", tmp_path / "here.safetensors")
    found = run_harness(there, samples, "fp32", tmp_path / "there.safetensors", emulator=emulator)
    assert expected.shape == found.shape == (SOME, 1, 10)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.fixture(scope="module")
def top1_of_x86(everywhere: Edgesmith, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The INT8 variant's share of right answers on this machine."""
    bundle = bundle_of(everywhere, "host")
    samples = bundle / "bench/samples.safetensors"
    out = tmp_path_factory.mktemp("x86") / "int8.safetensors"
    logits = run_harness(bundle, samples, "int8", out)
    labels = load_file(samples)["labels"].reshape(-1)
    return float((logits.reshape(len(labels), -1).argmax(1) == labels).mean())


@pytest.mark.parametrize("device", EMULATED)
def test_an_emulated_device_is_flashed_and_measured(
    everywhere: Edgesmith, top1_of_x86: float, device: str
) -> None:
    emulator_of(everywhere, device)
    (flashed,) = everywhere.ok("flash", "--device", device, "--format", "json").json()["devices"]
    assert flashed["self_test"] == "passed"
    (measured,) = everywhere.ok("bench", "--device", device, "--format", "json").json()["devices"]
    report = load_report(Path(measured["file"]))
    assert report["context"]["device"]["cpu"] == f"{device} (emulated)"
    assert report["context"]["device"]["emulated"] is True
    machine = load_project(everywhere.folder / "edgesmith.toml", {}).device(device).machine
    assert report["context"]["device"]["architecture"] == MACHINES[machine].uname
    for run in report["runs"]:
        assert run["verdict"] == "emulated" and run["latency"] is None
        assert len(run["processes"]) == 1
        top1 = next(m for m in run["accuracy"] if m["metric"] == "top1")
        assert top1["samples"] == 500 and abs(top1["value"] - top1_of_x86) <= 0.01
    shown = everywhere.ok("report", measured["file"]).out
    assert "emulated" in shown and "peak memory" not in shown and "speed-up not known" in shown

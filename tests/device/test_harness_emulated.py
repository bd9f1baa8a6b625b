"""The harness on emulated ARM: what it says of right files and of files that are not.

Only the tiny model's files: how a whole bundle does there is shown in test_everywhere.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from edgesmith.devices.emulation import MACHINES, chosen_cpu, make_emulator
from edgesmith.errors import DeviceError
from edgesmith.project.load import load_project
from edgesmith.report.schema import load_report, parse_report
from harness_files import (
    DATA,
    INPUT,
    METADATA,
    OUTPUT,
    big_output_model,
    entry,
    good_manifest,
    safetensors,
    samples_file,
    write_bundle,
    write_manifest,
)
from workbench import Edgesmith

DEVICES = ("cortex-a53", "cortex-a7")
TIMEOUT_S = 200
BENCH = ("bench", "--emulated", "--min-seconds", "0", "--min-iterations", "1")
LOOSE = ("--model", "{folder}/m.onnx", "--samples", "{folder}/s.safetensors")


@dataclass(frozen=True, kw_only=True)
class Board:
    """An emulated device and a bundle of the tiny model for it."""

    emulator: tuple[str, ...]
    folder: Path
    machine: str

    def run(self, *words: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        argv = [*launcher, *self.argv(*words)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S)

    def argv(self, *words: str) -> list[str]:
        told = (word.format(folder=self.folder) for word in words)
        return [*self.emulator, str(self.folder / "bin/harness"), *told]


@pytest.fixture(params=DEVICES)
def board(request: pytest.FixtureRequest, everywhere: Edgesmith, tmp_path: Path) -> Board:
    device = load_project(everywhere.folder / "edgesmith.toml", {}).device(request.param)
    try:
        cpu = chosen_cpu(device.cpu, device.machine, request.param)
        emulator = make_emulator(cpu, everywhere.cache / "sysroots").argv
    except DeviceError as error:
        pytest.skip(str(error.what))
    built = everywhere.folder / "build" / "digits" / device.target / "bundle"
    folder = tmp_path / "a bundle"
    write_bundle(folder, built / "bin" / "harness")
    (folder / "lib").symlink_to(built / "lib")
    (folder / "m.onnx").write_bytes((DATA / "tiny.onnx").read_bytes())
    (folder / "s.safetensors").write_bytes(samples_file())
    return Board(emulator=emulator, folder=folder, machine=MACHINES[device.machine].uname)


def error_of(text: str, code: int) -> str:
    """The first error of a report."""
    report = parse_report(text.encode(), where="stdout")
    assert report["exit_code"] == code
    errors = [report["error"], *(run["error"] for run in report["runs"])]
    return str(next(error["message"] for error in errors if error is not None))


def test_right_files(board: Board) -> None:
    info = json.loads(board.run("info", "--json", "-").stdout)
    assert info["context"]["device"]["architecture"] == board.machine
    verified = board.run("verify", "--json", "-")
    assert verified.returncode == 0 and json.loads(verified.stdout)["passed"] is True
    measured = board.run(*BENCH, "--json", "{folder}/report.json", "--variant", "int8")
    assert measured.returncode == 0, measured.stderr
    report = load_report(board.folder / "report.json")
    (run,) = report["runs"]
    assert run["verdict"] == "emulated" and run["latency"] is None
    assert run["accuracy"][0]["value"] == 15 / 16


def test_outputs_of_each_variant_and_a_metric_of_the_project_s_own(board: Board) -> None:
    write_manifest(board.folder, {**good_manifest(), "metrics": ["metrics.py:score", "top1"]})
    (board.folder / "outputs").mkdir()
    words = ("--json", "{folder}/report.json", "--outputs-folder", "{folder}/outputs")
    measured = board.run(*BENCH, *words)
    assert measured.returncode == 0, measured.stderr
    report = load_report(board.folder / "report.json")
    assert "not computed on the device" in report["comparisons"][0]["accuracy_loss"]["reason"]
    for run in report["runs"]:
        (found,) = load_file(board.folder / "outputs" / run["outputs"]["file"]).values()
        wanted = load_file(board.folder / "bench/samples.safetensors")[f"outputs/{OUTPUT}"]
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def _manifest(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: write_manifest(folder, {**good_manifest(), **changes})


def _written(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _fifo(folder: Path) -> None:
    (folder / "m.onnx").unlink()
    os.mkfifo(folder / "m.onnx")


def _sparse(folder: Path) -> None:
    """Samples of 2^40 bytes each, which no 32-bit size holds."""
    shape = [1, 1 << 38, 4]
    header = {"__metadata__": METADATA, f"inputs/{INPUT}": entry("F32", shape, 0, 1 << 42)}
    start = safetensors(header)
    with (folder / "s.safetensors").open("wb") as file:
        file.write(start)
        file.truncate(len(start) + (1 << 42))


_ESCAPE = [{**good_manifest()["variants"][0], "path": "../../x.onnx"}]
_OVERLAP = {
    "__metadata__": METADATA,
    f"inputs/{INPUT}": entry("F32", [16, 1, 4], 0, 256),
    "labels": entry("I64", [16], 128, 256),
}
WRONG: dict[str, tuple[Callable[[Path], object], tuple[str, ...], int, tuple[str, ...]]] = {
    "manifest cut": (_written("manifest.json", b'{"sc'), (), 7, ("manifest.json", "not JSON")),
    "manifest leads out": (_manifest(variants=_ESCAPE), (), 7, ("variants[0].path",)),
    "manifest sequence": (_manifest(sequence=2**63), (), 7, ("sequence",)),
    "samples cut": (_written("s.safetensors", samples_file()[:-1]), LOOSE, 3, ("outside",)),
    "samples overlap": (
        _written("s.safetensors", safetensors(_OVERLAP, bytes(256))), LOOSE, 3, ("overlap",),
    ),
    "samples too large": (_sparse, LOOSE, 0, ()),
    "model is none": (_written("m.onnx", b"no model"), LOOSE, 3, ("m.onnx",)),
    "model a pipe": (_fifo, LOOSE, 10, ("m.onnx", "regular")),
    "output too large": (_written("m.onnx", big_output_model()), LOOSE, 3, ("memory",)),
    "batch too large": (
        lambda folder: None, (*LOOSE, "--shape", "batch=17592186044416"), 3, ("memory",),
    ),
    "no such folder": (lambda folder: None, (*LOOSE, "--json", "/absent/r"), 10, ("/absent/r",)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_right_is_told(name: str, board: Board) -> None:
    spoil, words, code, says = WRONG[name]
    spoil(board.folder)
    ended = board.run(*BENCH, "--json", "-", *words)
    if name == "samples too large":
        # A 32-bit system does not open what its offsets cannot tell; others find it does not fit.
        code, says = (10, ("too large",)) if board.machine == "armv7l" else (3, ("memory",))
    assert ended.returncode == code, ended.stderr
    told = error_of(ended.stdout, code)
    assert all(words in told for words in says), told


def test_a_file_that_meets_a_limit(board: Board) -> None:
    ended = board.run(
        *BENCH, *LOOSE, "--json", "{folder}/r.json", launcher=("prlimit", "--fsize=300")
    )
    assert ended.returncode == 10
    assert "too large" in error_of(ended.stdout, 10)
    assert not (board.folder / "r.json").exists()


def test_an_interrupt_ends_the_run_with_a_report(board: Board) -> None:
    words = ("bench", "--emulated", *LOOSE, "--min-seconds", "600")
    process = subprocess.Popen(
        board.argv(*words, "--json", "{folder}/r.json"), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "process 1 of 1" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    report = load_report(board.folder / "r.json")
    assert report["runs"][0]["error"]["stage"] == "interrupted"

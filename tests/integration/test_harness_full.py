"""Results that cannot be written, and memory that cannot be had: the code, the reason, a report."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sanitized import run_program

from edgesmith.report.schema import load_report, parse_report
from harness_files import DATA
from workbench import NOT_ROOT, Edgesmith, root_can_be_dropped

MODEL = ("--model", str(DATA / "tiny.onnx"), "--samples", str(DATA / "tiny.safetensors"))
BENCH = ("bench", *MODEL, "--min-seconds", "0", "--min-iterations", "50")
# Mounts a small disk over the folder of its second word, and runs the rest.
SMALL_DISK = 'mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 99; shift 2; exec "$@"'


@pytest.fixture
def harness(sanitized_libraries: Path) -> Path:
    return sanitized_libraries / "harness"


@pytest.fixture
def full() -> Iterator[int]:
    """A place that is full."""
    fd = os.open("/dev/full", os.O_WRONLY)
    yield fd
    os.close(fd)


def told(text: str, code: int) -> str:
    """The error of a report that went to stdout instead."""
    report = parse_report(text.encode(), where="stdout")
    assert report["exit_code"] == code
    return str(report["error"]["message"])


@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        ("absent/report.json", 10, "No such file"),
        ("", 10, "is a folder"),
        ("/proc/report.json", 10, "/proc/report.json"),
        ("file/report.json", 10, "Not a directory"),
        ("pipe", 10, "pipe"),
    ],
)
def test_a_report_that_cannot_be_written_goes_to_stdout(
    place: str, code: int, says: str, harness: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    os.mkfifo(tmp_path / "pipe")
    ended = run_program([harness, *BENCH, "--json", tmp_path / place])
    assert ended.code == code
    assert says in told(ended.out, code) and says in ended.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_folder_that_may_not_be_written_to(harness: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0 and not root_can_be_dropped():
        pytest.skip("the kernel refuses a user namespace, and root writes everywhere")
    tmp_path.chmod(0o555)
    launcher = NOT_ROOT if os.geteuid() == 0 else ()
    ended = run_program([*launcher, harness, *BENCH, "--json", tmp_path / "report.json"])
    tmp_path.chmod(0o755)
    assert ended.code == 10
    assert "denied" in told(ended.out, 10) and "denied" in ended.err


def test_devices_are_written_to_and_links_lead_on(harness: Path, tmp_path: Path) -> None:
    """A rename would put a file in the place of what is none: as root, of /dev/null for everyone.

    A pipe stands for the device: a test that fails must not do that to the machine.
    """
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    file.write_text("old")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run_program([harness, *BENCH, "--json", pipe]).code == 0
    assert pipe.is_fifo() and parse_report(os.read(reader, 1 << 20), where="the pipe")
    os.close(reader)
    assert run_program([harness, *BENCH, "--json", link]).code == 0
    assert link.is_symlink() and load_report(file)["exit_code"] == 0


@pytest.mark.parametrize(
    "words", [(*BENCH, "--json", "-"), BENCH, ("verify", *MODEL), ("info", "--json", "-")]
)
def test_a_full_stdout(words: tuple[str, ...], harness: Path, full: int) -> None:
    ended = run_program([harness, *words], stdout=full)
    assert ended.code == 6
    assert "stdout" in ended.err and "No space left" in ended.err


def test_a_closed_stdout(harness: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_program([harness, *BENCH, "--json", "-"], stdout=writer)
    os.close(writer)
    assert ended.code == 10
    assert "stdout: cannot write: Broken pipe" in ended.err


@pytest.mark.parametrize("option", ["--json", "--samples-out", "--outputs"])
@pytest.mark.parametrize("limit", ["size", "disk"])
def test_a_file_that_meets_a_limit(option: str, limit: str, harness: Path, tmp_path: Path) -> None:
    """A limit of the process, of a file's size, or of the disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    launcher = ["prlimit", "--fsize=100"]
    if limit == "disk":
        launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK]
        launcher += ["sh", "4k", str(disk)]
        if subprocess.run([*launcher, "true"], capture_output=True).returncode != 0:
            pytest.skip("the kernel refuses a mount namespace")
    words = [*BENCH, option, disk / "result", *(() if option == "--json" else ("--json", "-"))]
    iterations = ["--min-iterations", "2" if limit == "size" else "2000"]
    if option == "--outputs" and limit == "disk":
        pytest.skip("the outputs of the tiny model fit the smallest disk")
    ended = run_program([*launcher, harness, *words, *iterations])
    report = parse_report(ended.out.encode(), where="stdout")
    assert ended.code == report["exit_code"] == (6 if limit == "disk" else 10)
    errors = [report["error"], *(run["error"] for run in report["runs"])]
    (message, *_) = [error["message"] for error in errors if error is not None]
    assert "result" in message
    assert ("No space left" if limit == "disk" else "too large") in message
    assert list(disk.iterdir()) == []


def test_a_profile_that_has_no_room(harness: Path, tmp_path: Path) -> None:
    """What was asked for and cannot be had is an error, what was not is told."""
    absent = {"TMPDIR": str(tmp_path / "absent")}
    for words, code in (((), 0), (("--profile",), 10)):
        ended = run_program([harness, *BENCH, *words, "--json", "-"], environment=absent)
        assert ended.code == code
        (run,) = parse_report(ended.out.encode(), where="stdout")["runs"]
        reason = run["error"]["message"] if code else run["effective"]["reasons"]["placement"]
        assert "absent" in reason


@pytest.mark.parametrize("mebibytes", [100, 150, 200, 300, 500])
def test_little_memory(mebibytes: int, built: Edgesmith, tmp_path: Path) -> None:
    """Sanitizers need all addresses, so this is the bundle's own harness.

    Whatever fits, what is written is whole: a report, or nothing where the loader had no room.
    """
    bundle = built.folder / "build/digits/host/bundle"
    report = tmp_path / "report.json"
    argv = ["prlimit", f"--as={mebibytes << 20}", str(bundle / "bin/harness"), "bench"]
    argv += ["--shape", "batch=100", "--min-seconds", "0", "--min-iterations", "1"]
    done = subprocess.run(
        [*argv, "--json", str(report)], capture_output=True, text=True, timeout=100
    )
    if not report.exists():
        assert done.returncode == 127 and "shared object" in done.stderr
        return
    document: dict[str, Any] = json.loads(report.read_text())
    assert load_report(report)["exit_code"] == done.returncode
    assert done.returncode in (0, 3, 8)
    failed = [run["error"] for run in document["runs"] if run["error"] is not None]
    assert bool(failed or document["error"]) == (done.returncode != 0)

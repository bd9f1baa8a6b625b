"""Bad input that needs real tools: PyTorch models, a worker that dies, compiled programs.

The quick cases are in tests/unit/test_bad_input.py.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bad_input import (
    Case,
    Spoil,
    all_of,
    edited,
    half_written,
    removed,
    setting,
    written,
)
from workbench import QUICK, Edgesmith


def data(body: str) -> Spoil:
    """Calibration and evaluation data that functions of this body make."""
    functions = [f"def {name}():\n    {body}\n" for name in ("calibration", "evaluation")]
    return written(
        "data.py", "import os, sys, time\nimport numpy as np\n\n\n" + "\n".join(functions)
    )


def model(body: str) -> Spoil:
    return written("model.py", f"import os, signal, sys\n\n\ndef build():\n    {body}\n")


def truncated_onnx(project: Path) -> None:
    whole = (project / "build/digits/export/model.onnx").read_bytes()
    written("model.onnx", whole[: len(whole) // 2])(project)
    setting('"model.py:build"', '"model.onnx"')(project)


def foreign_build_folder(project: Path) -> None:
    removed("build/digits/simplify")(project)
    written("build/digits/simplify/notes.txt", "mine")(project)


def pictures_of_nan(project: Path) -> None:
    (project / "pictures").mkdir()
    np.savez(project / "pictures/0.npz", image=np.full((1, 1, 8, 8), np.nan, np.float32))
    setting('"data.py:calibration"', '"pictures"')(project)


def case(
    name: str,
    spoil: Spoil,
    *says: str,
    code: int = 3,
    command: str = "quantize",
    environment: Mapping[str, str] | None = None,
) -> Case:
    return Case(
        name=name,
        spoil=spoil,
        says=says,
        code=code,
        command=(command,),
        environment=environment or {},
    )


FORWARD = "def forward(self, image: torch.Tensor) -> torch.Tensor:"
BOUNDED = {"EDGESMITH_WORKER__MAX_MEMORY_BYTES": "2_000_000_000"}
HASTY = {"EDGESMITH_WORKER__MAX_SECONDS": "6"}
# From linux/prctl.h and linux/capability.h: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER.
PR_CAPBSET_DROP = 24
CAPABILITIES_OVER_FILES = (1, 2, 3)
CASES = [
    case("missing weights", removed("weights.safetensors"), "weights.safetensors", "model.py"),
    case("no such callable", setting("py:build", "py:bild"), "no 'bild'", "did you mean 'build'"),
    case("syntax error", written("model.py", "def build(:\n"), "SyntaxError", "model.py:1"),
    case("no module", model("return {}"), "a dict, not a torch.nn.Module", "model.source"),
    case("other weights each time",
         model("import torch; n = torch.nn; return n.Sequential(n.Flatten(), n.Linear(64, 10))"),
         "other weights each time", "torch.manual_seed"),
    case("forward raises",
         edited("network.py", FORWARD, f"{FORWARD}\n        raise ValueError('no such digit')"),
         "ValueError: no such digit", "network.py:"),
    case("the model ends the process", model("os._exit(0)"), "ended the process", "model.source"),
    case("the model exits", model("sys.exit(3)"), "SystemExit: 3", "model.py:5"),
    case("the model dies", model("os.kill(os.getpid(), signal.SIGSEGV)"), "SIGSEGV", "model.py"),
    case("wrong input shape", setting('["batch", 1, 8, 8]', '["batch", 1, 4, 8]'),
         "[1, 1, 4, 8]", "[model.inputs]"),
    case("the data ends the process", data("os._exit(3)"), "exit code 3", "data.calibration"),
    case("the data is killed", data("os.kill(os.getpid(), 9)"), "SIGKILL", "want of memory"),
    case("the data exhausts memory", data("held = [bytearray(1 << 26) for _ in range(9999)]"),
         "may take 2.0 GB", "data.py:6", "max_memory_bytes", environment=BOUNDED),
    case("PyTorch exhausts memory", model("import torch; torch.ones(1 << 30)"),
         "may take 2.0 GB", "model.py:5", environment=BOUNDED),
    case("the data hangs", data("time.sleep(1000)"), "longer than 6 s", "max_seconds",
         environment=HASTY),
    case("the data prints megabytes",
         data("print('x' * 9_000_000); os.write(1, bytes(range(256)) * 40_000); "
              "sys.stderr.write('y' * 9_000_000); print('@progress x y'); raise ValueError('end')"),
         "ValueError: end", "data.py:6"),
    case("NaN in a file", pictures_of_nan, "NaN", "sample 0, 'pictures/0.npz'"),
    case("truncated model", truncated_onnx, "not a valid ONNX model", "truncated"),
    # A count of its own: other tests expect that nothing but minmax was ever calibrated.
    case("budget missed", all_of(setting("accuracy_budget = 0.01", "accuracy_budget = 0.0"),
                                 setting('metrics = ["top1"]', 'metrics = ["max_abs_error"]'),
                                 setting("calibration_samples = 200", "calibration_samples = 194")),
         "the budget is", "exclude", code=4),
    case("folder that is not ours", foreign_build_folder, "not made by edgesmith", code=10),
    case("interpreter that is none", all_of(
        written("python", "no program"), setting('version = "1.0.0"',
                                                 'version = "1.0.0"\npython = "python"')),
         "model.python", code=2),
    case("an ended device root", setting('transport = "local"',
                                         'transport = "local"\nroot = "/proc/edgesmith"'),
         "device 'desk' refused", code=6, command="flash"),
    case("the same for bench", setting('transport = "local"',
                                       'transport = "local"\nroot = "/proc/edgesmith"'),
         "device 'desk' refused", code=6, command="bench"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_told_with_place_and_remedy(digits: Edgesmith, case: Case) -> None:
    case.spoil(digits.folder)
    before = records(digits.folder)
    result = Edgesmith(folder=digits.folder, cache=digits.cache, environment=case.environment)(
        *case.command
    )
    assert result.code == case.code, result.err
    for words in (*case.says, "fix: "):
        assert words in result.err
    assert result.out == ""
    assert len(result.err) < 4000
    assert half_written(digits.folder) == []
    # A stage's record changes only with its whole result.
    assert all((path.parent / ".edgesmith.json").is_file() for path in before if path.exists())


def records(folder: Path) -> list[Path]:
    return list(folder.rglob("record.json"))


# Settings that no other test uses: what was made once comes from the cache.
@pytest.mark.parametrize(("number", "samples"), [(signal.SIGINT, 196), (signal.SIGTERM, 195)])
def test_an_interrupt_in_the_middle_of_quantization(
    digits: Edgesmith, number: signal.Signals, samples: int
) -> None:
    setting('calibration = "auto"', 'calibration = "entropy"')(digits.folder)
    setting("calibration_samples = 200", f"calibration_samples = {samples}")(digits.folder)
    record = digits.folder / "build/digits/host/quantize/record.json"
    before = record.read_bytes()
    interrupt(digits, number, "quantize", "quantize [host] ...")
    assert record.read_bytes() == before
    assert "entropy" in digits.ok("quantize").out


def test_an_interrupt_in_the_middle_of_compiling(digits: Edgesmith) -> None:
    setting('version = "1.0.0"', 'version = "7.7.7"')(digits.folder)
    manifest = digits.folder / "build/digits/host/bundle/manifest.json"
    before = manifest.read_bytes()
    interrupt(digits, signal.SIGTERM, "compile", "compile [host] ...")
    assert manifest.read_bytes() == before
    digits.ok("compile")
    assert json.loads(manifest.read_text())["model"]["version"] == "7.7.7"


def test_an_interrupt_in_the_middle_of_measuring(digits: Edgesmith) -> None:
    digits.ok("flash")
    interrupt(digits, signal.SIGINT, "bench", "  harness: process 1")
    assert list((digits.folder / "reports").iterdir()) == []
    assert Edgesmith(folder=digits.folder, cache=digits.cache, environment=QUICK).ok("bench").out


def interrupt(project: Edgesmith, number: signal.Signals, verb: str, after: str) -> None:
    """Sends the signal shortly after the line `after`; all must be in order then."""
    process = project.start(verb, "-v")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(after):
            break
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert half_written(project.folder) == []


def test_a_full_disk(digits: Edgesmith) -> None:
    """A file size limit stands for the full disk: writing more gives an error, not a signal."""
    setting("calibration_samples = 200", "calibration_samples = 199")(digits.folder)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = raw(digits, "quantize", preexec_fn=limit)
    assert done.returncode in (3, 10), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"fix:" in done.stderr
    assert half_written(digits.folder) == []


def raw(project: Edgesmith, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A finished edgesmith whose streams and identity the caller chooses."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": project.env()}
    argv = [sys.executable, "-m", "edgesmith", *words]
    return subprocess.run(argv, cwd=project.folder, timeout=300, **{**streams, **options})


def without_power_over_files() -> None:
    """Takes from root what lets it pass by permissions; others have not got it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in CAPABILITIES_OVER_FILES if os.geteuid() == 0 else ():
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            os._exit(77)


def test_a_folder_that_may_not_be_written(digits: Edgesmith, tmp_path: Path) -> None:
    setting("calibration_samples = 200", "calibration_samples = 198")(digits.folder)
    for path in (digits.folder, *digits.folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o555)
    (tmp_path / "other cache").mkdir()
    environment = {**digits.env(), "EDGESMITH_CACHE": str(tmp_path / "other cache")}
    done = raw(digits, "quantize", env=environment, preexec_fn=without_power_over_files)
    if done.returncode == 77:
        pytest.skip("this root may not give up its capabilities")
    assert done.returncode == 10, done.stderr
    assert b"Permission denied" in done.stderr
    assert b"fix: give your user write permission there" in done.stderr
    assert half_written(digits.folder) == []


def test_paths_with_letters_of_all_kinds(built: Edgesmith, tmp_path: Path) -> None:
    """The whole job in a folder with spaces and letters beyond ASCII, in a terminal without."""
    folder = tmp_path / "mein Gerät – 数字"
    shutil.copytree(built.folder, folder, symlinks=True)
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0",
                   "EDGESMITH_BENCH__MIN_SECONDS": "0.1", "EDGESMITH_BENCH__PROCESSES": "1",
                   "XDG_DATA_HOME": str(tmp_path / "données")}  # fmt: skip
    here = Edgesmith(folder=folder, cache=built.cache, environment=environment)
    assert "\ndecision " in here.ok("run").out
    assert here.ok("build").out.isascii()
    assert here.ok("flash", "--list").out.isascii()
    wrong = here("build", "-p", "größe")
    assert wrong.code == 2
    assert wrong.err.isascii()


@pytest.fixture(scope="module")
def reported(built: Edgesmith, tmp_path_factory: pytest.TempPathFactory) -> Edgesmith:
    """A project with the example report."""
    folder = tmp_path_factory.mktemp("reported") / "digits"
    shutil.copytree(built.folder, folder, ignore=shutil.ignore_patterns("build"))
    example = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"
    (folder / "reports").mkdir()
    shutil.copy(example, folder / "reports/r.json")
    return Edgesmith(folder=folder, cache=built.cache)


def test_a_reader_that_leaves_is_no_error(reported: Edgesmith) -> None:
    read, write = os.pipe()
    os.close(read)
    for words in (("report",), ("report", "--format", "json"), ("report", "--help")):
        done = raw(reported, *words, stdout=write)
        assert (done.returncode, done.stderr) == (0, b"")
    os.close(write)


def test_streams_that_are_closed(reported: Edgesmith) -> None:
    for stream in (0, 1, 2):
        done = raw(reported, "report", preexec_fn=lambda stream=stream: os.close(stream))
        assert (done.returncode, done.stderr) == (0, b""), stream
    done = raw(reported, "report", "nowhere", preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_stdout_that_is_full(reported: Edgesmith) -> None:
    with Path("/dev/full").open("wb") as full:
        done = raw(reported, "report", stdout=full)
    assert done.returncode == 10
    assert b"in: stdout" in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_a_terminal_of_forty_columns(reported: Edgesmith, variables: dict[str, str]) -> None:
    """On a real terminal: lines fit, and colours come only where they are wanted."""
    import pty

    master, slave = pty.openpty()
    environment = {"TERM": "xterm", **reported.env(), "COLUMNS": "40", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "edgesmith", "report"],
        cwd=reported.folder, env=environment, stdout=slave, stderr=slave, stdin=slave,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0
    lines = shown.decode().replace("\r", "").splitlines()
    assert (b"\x1b[" in shown) == (not variables)
    plain = [line for line in lines if "\x1b" not in line and not line.startswith("report  ")]
    assert len(plain) > 20
    assert max(map(len, plain)) <= 40


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side was closed
        return b""

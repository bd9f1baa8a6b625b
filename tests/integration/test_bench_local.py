"""The local transport with real processes: death, interrupt, deadline, and what may not leak.

The programs on the device are small scripts that keep the installer's and harness's contracts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesmith.devices.bench import BenchRequest, Measured, bench
from edgesmith.devices.install import flash
from edgesmith.errors import DeviceError, HarnessError
from edgesmith.events import EventStream
from edgesmith.report.schema import load_report

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
sys.path.insert(0, str(UNIT))

import device_world  # noqa: E402

EXAMPLE = ROOT / "runtime_cpp/tests/data/report_example.json"
PATHS = [str(UNIT), str(ROOT / "builder")]
HEAD = f"#!{sys.executable}\nimport sys\nsys.path[:0] = {PATHS!r}\n"
INSTALLER = (
    HEAD
    + """
from pathlib import Path
from device_world import ToyInstaller
answer = ToyInstaller(Path(sys.argv[2]))(sys.argv[1:])
sys.stdout.write(answer.output)
sys.stderr.write(answer.stderr)
sys.exit(answer.returncode)
"""
)
SLEEPER = """#!/bin/sh
echo "$$" > "{pid}"
echo "run 1/2" >&2
sleep 60
"""
REPORTER = (
    HEAD
    + f"""
import hashlib, json, os
words = sys.argv[1:]
bundle = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
report = json.load(open({str(EXAMPLE)!r}))
report["runs"], report["comparisons"] = report["runs"][:2], report["comparisons"][:1]
report["exit_code"] = 0
data = open(os.path.join(bundle, "manifest.json"), "rb").read()
report["context"]["bundle"]["id"] = hashlib.sha256(data).hexdigest()
report["environment"] = sorted(os.environ)
json.dump(report, open(words[words.index("--json") + 1], "w"))
"""
)


class Place:
    """A bundle whose harness is `harness`, flashed to a folder of this machine."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, harness: str) -> None:
        accept = type(sys)("edgesmith.bundle.verify")
        accept.verify_bundle = lambda folder: None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "edgesmith.bundle.verify", accept)
        content = dict(device_world.CONTENT)
        content["bin/installer"] = ("app", "0755", INSTALLER.encode())
        content["bin/harness"] = ("app", "0755", harness.encode())
        monkeypatch.setattr(device_world, "CONTENT", content)
        self.folder = folder
        self.bundle = folder / "build/digits/host/bundle"
        device_world.write_bundle(self.bundle)
        self.device = device_world.make_device(folder / "a device")
        flash(self.bundle, self.device, events=EventStream())

    def measure(self, timeout_s: float | None = None) -> Measured:
        request = BenchRequest(
            bundle_folder=self.bundle,
            device=self.device,
            reports_folder=self.folder / "reports",
            settings={},
            accuracy_budget=0.01,
            id_salt="x",
            timeout_s=timeout_s,
        )
        return bench(request, events=EventStream())

    def scratch(self) -> list[Path]:
        return list((Path(self.device.root) / "digits").glob("scratch-*"))


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_measurement_over_real_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    monkeypatch.setenv("LD_PRELOAD", "")
    place = Place(tmp_path, monkeypatch, REPORTER)
    measured = place.measure()
    report = load_report(measured.file)
    assert measured.failure() is None
    assert not {"LD_LIBRARY_PATH", "LD_PRELOAD"} & set(report["environment"])
    assert place.scratch() == []


def test_a_harness_killed_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    place = Place(tmp_path, monkeypatch, SLEEPER.format(pid=pid))

    def kill() -> None:
        wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        # The whole group, as the kernel's out-of-memory killer would end harness and children.
        os.killpg(int(pid.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    measured = place.measure()
    killer.join()
    report = load_report(measured.file)
    assert {run["verdict"] for run in report["runs"]} == {"failed"}
    assert report["error"]["signal"] == signal.SIGKILL
    failure = measured.failure()
    assert failure is not None
    assert failure.exit_code == 8
    assert place.scratch() == []


def test_a_harness_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    place = Place(tmp_path, monkeypatch, SLEEPER.format(pid=pid))
    measured = place.measure(timeout_s=4)
    assert isinstance(measured.failure(), HarnessError)
    assert "took longer" in load_report(measured.file)["error"]["message"]
    assert not is_running(int(pid.read_text()))
    assert place.scratch() == []


def test_an_interrupt_ends_the_harness_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    place = Place(tmp_path, monkeypatch, SLEEPER.format(pid=pid))
    root = place.device.root
    (tmp_path / "edgesmith.toml").write_text(
        'schema = 1\n[model]\nname = "digits"\nsource = "m.onnx"\n'
        '[data]\ncalibration = "d.py:c"\nevaluation = "d.py:e"\n'
        '[targets.host]\nplatform = "linux-x86_64"\n'
        f'[devices.desk]\ntarget = "host"\ntransport = "local"\nroot = "{root}"\n'
    )
    program = (
        "import sys, types\n"
        "module = types.ModuleType('edgesmith.bundle.verify')\n"
        "module.verify_bundle = lambda folder: None\n"
        "sys.modules['edgesmith.bundle.verify'] = module\n"
        "from edgesmith.cli.main import main\n"
        "sys.exit(main(['bench']))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "builder")}
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        assert len(place.scratch()) == 1
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 130, err
    assert "interrupted" in err
    assert place.scratch() == []
    assert list((tmp_path / "reports").iterdir()) == []
    assert not is_running(int(pid.read_text()))


@pytest.mark.parametrize("root", ["/sys/edgesmith", "/proc/edgesmith", "{file}/below"])
def test_a_root_that_refuses_is_exit_code_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    place = Place(tmp_path, monkeypatch, REPORTER)
    (tmp_path / "file").write_text("in the way")
    device = device_world.make_device(Path(root.format(file=tmp_path / "file")))
    with pytest.raises(DeviceError) as caught:
        flash(place.bundle, device, events=EventStream())
    assert caught.value.hint


def test_the_release_on_the_device_shares_no_file_with_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, REPORTER)
    manifest = json.loads((place.bundle / "manifest.json").read_text())
    for one in manifest["files"]:
        assert (place.bundle / one["path"]).stat().st_nlink == 1

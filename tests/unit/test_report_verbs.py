"""The verbs report, devices, flash and bench as a user calls them, with a fake device."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from device_world import World
from test_devices_bench import Harness

from edgesmith.cli.main import main
from edgesmith.devices import registry
from edgesmith.errors import DeviceError
from edgesmith.report.schema import write_report

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"
PROJECT = """
schema = 1
[model]
name = "digits"
version = "1.0.0"
source = "model.py:build"
[model.inputs.image]
shape = ["batch", 1, 8, 8]
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
[bench]
processes = 2
[targets.host]
platform = "linux-x86_64"
[devices.desk]
target = "host"
transport = "local"
root = "{root}"
[devices.shelf]
target = "host"
transport = "local"
root = "{root}-of-shelf"
[defaults]
devices = ["desk"]
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project with a built bundle; desk is a fake device, shelf does not answer."""
    accept = SimpleNamespace(verify_bundle=lambda folder: None)
    monkeypatch.setitem(sys.modules, "edgesmith.bundle.verify", accept)
    world = World(tmp_path)
    world.facts.programs["harness"] = Harness(world)
    (tmp_path / "edgesmith.toml").write_text(PROJECT.format(root=world.root))
    (tmp_path / "build/digits/host").mkdir(parents=True)
    world.bundle = world.bundle.rename(tmp_path / "build/digits/host/bundle")

    def connect(device: Any, events: Any) -> Any:
        if device.name == "shelf":
            raise DeviceError("no route to shelf", hint="plug it in")
        return world.transport

    monkeypatch.setattr(registry, "connect", connect)
    monkeypatch.chdir(tmp_path)
    return world


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    done = capsys.readouterr()
    return code, done.out, done.err


def call_json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code, out, _ = call(capsys, *words, "--format", "json")
    return code, json.loads(out)


def test_flash_bench_report(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "flash")
    assert code == 0
    assert world.bundle_id[:16] in out
    code, out, _ = call(capsys, "bench", "--device", "desk")
    assert code == 0
    assert "ship int8" in out
    code, again, _ = call(capsys, "report")
    assert code == 0
    assert again.splitlines()[:20] == out.splitlines()[:20]


def test_json_is_one_document(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, flashed = call_json(capsys, "flash")
    assert (code, flashed["devices"][0]["bundle_id"]) == (0, world.bundle_id)
    code, listed = call_json(capsys, "flash", "--list")
    assert [r["current"] for r in listed["devices"][0]["releases"]] == [True]
    code, measured = call_json(capsys, "bench")
    assert code == 0
    report = measured["devices"][0]["report"]
    code, rendered = call_json(capsys, "report", measured["devices"][0]["file"])
    assert rendered == report


def test_a_failing_device_hides_no_other(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "flash", "--device", "all")
    assert code == 6
    assert "desk: digits 1.0.0" in out
    assert "shelf: failed, exit code 6" in out
    assert "plug it in" in err
    code, data = call_json(capsys, "flash", "--device", "all")
    assert [(d["device"], d["exit_code"]) for d in data["devices"]] == [("desk", 0), ("shelf", 6)]
    assert data["devices"][1]["error"]["what"] == "no route to shelf"


def test_a_single_failing_device_is_the_commands_error(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "flash", "--device", "shelf")
    assert (code, out) == (6, "")
    assert "no route to shelf" in err


def test_a_killed_harness_is_exit_code_8_with_the_report_shown(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgesmith.devices.fake import Answer

    assert main(["flash", "-q"]) == 0
    world.facts.programs["harness"] = lambda words: Answer(returncode=-9)
    code, out, err = call(capsys, "bench")
    assert code == 8
    assert "ended by signal 9" in out
    assert "ended by signal 9" in err
    assert len(list(Path("reports").glob("*.json"))) == 1


def test_require_valid(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "-q"]) == 0
    assert call(capsys, "bench", "--require-valid")[0] == 9


@pytest.mark.parametrize(
    "words", [["flash"], ["flash", "--rollback"], ["bench"], ["flash", "--device", "all"]]
)
def test_a_dry_run_touches_nothing(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, _ = call(capsys, *words, "--dry-run")
    assert code == 0
    assert "would" in out
    assert world.facts.calls == []
    assert not world.root.exists()
    assert not Path("reports").exists()


def test_a_bundle_that_is_not_built(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.bundle.rename("elsewhere")
    code, _, err = call(capsys, "flash")
    assert code == 2
    assert "edgesmith build --target host" in err
    assert call(capsys, "flash", "--dry-run")[0] == 0


def test_the_inventory_ends_green_whoever_answers(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", "-q"]) == 0
    capsys.readouterr()
    code, data = call_json(capsys, "devices")
    assert code == 0
    states = {d["name"]: d for d in data["devices"]}
    assert states["desk"]["answers"] is True
    assert (states["desk"]["bundle_id"], states["desk"]["version"]) == (world.bundle_id, "1.0.0")
    assert states["shelf"]["answers"] is False
    assert "no route" in states["shelf"]["reason"]
    code, out, _ = call(capsys, "devices")
    assert "yes (x86_64)" in out
    world.facts.calls.clear()
    assert call(capsys, "devices", "--dry-run")[0] == 0
    assert world.facts.calls == []


def test_report_of_several_files_and_into_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = json.loads(EXAMPLE.read_text())
    for name in ("a.json", "b.json"):
        write_report(tmp_path / name, report)
    code, out, _ = call(capsys, "report", "a.json", "b.json")
    assert code == 0
    assert out.count("digits 1.0.0 on") == 2
    assert len(call_json(capsys, "report", "a.json", "b.json")[1]) == 2
    Path("out").mkdir()
    assert call(capsys, "report", "a.json", "-o", "out/r.txt") == (0, "written: out/r.txt\n", "")
    assert "61.2 µs" in Path("out/r.txt").read_text(encoding="utf-8")
    code, data = call_json(capsys, "report", "a.json", "-o", "out/r.json")
    assert (code, data) == (0, {"file": "out/r.json"})
    assert json.loads(Path("out/r.json").read_text())["kind"] == "edgesmith-report"


def test_no_report_yet(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "report")
    assert code == 2
    assert "edgesmith bench" in err


def test_an_edited_report_is_exit_code_7(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.json"
    write_report(file, json.loads(EXAMPLE.read_text()))
    file.write_text(file.read_text().replace('"digits"', '"fidgets"'))
    assert call(capsys, "report", str(file))[0] == 7

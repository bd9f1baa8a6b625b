"""Bench: what is measured is what is installed, nothing stays, and no failure ends green."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from device_world import World, write_bundle

from edgesmith.devices.bench import BenchRequest, Measured, bench
from edgesmith.devices.fake import Answer
from edgesmith.devices.install import flash
from edgesmith.errors import DeviceError, GateError, HarnessError, IntegrityError, UsageError
from edgesmith.events import Event, Message, Progress
from edgesmith.report.schema import load_report

EXAMPLE = Path(__file__).parents[2] / "runtime_cpp/tests/data/report_example.json"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return ready(tmp_path, monkeypatch)


def ready(folder: Path, monkeypatch: pytest.MonkeyPatch, **gates: float) -> World:
    """A flashed device whose harness writes the example's two good runs."""
    accept = SimpleNamespace(verify_bundle=lambda folder: None)
    monkeypatch.setitem(sys.modules, "edgesmith.bundle.verify", accept)
    world = World(folder, **gates)
    flash(world.bundle, world.device, events=world.events, transport=world.transport)
    world.facts.sent.clear()
    world.facts.programs["harness"] = Harness(world)
    return world


def good_report(bundle_id: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(EXAMPLE.read_text())
    report["runs"], report["comparisons"] = report["runs"][:2], report["comparisons"][:1]
    report["exit_code"] = 0
    report["context"]["bundle"]["id"] = bundle_id
    return report


# Two rounds over two runs, as the harness tells it; other numbers are not progress.
TALK = "".join(
    f"harness: process {round_} of 2: {run}/cpu/threads=1/single-stream\nfound 3/7 of 9\n"
    for round_, run in [(1, "fp32"), (1, "int8"), (2, "int8"), (2, "fp32")]
)


class Harness:
    """Checks the bundle that it finds, then writes `report`."""

    def __init__(self, world: World) -> None:
        self.report: dict[str, Any] | str | None = good_report(world.bundle_id)
        self.answer = Answer(output=TALK)
        self.argv: tuple[str, ...] = ()
        self.seen: set[str] = set()
        self.world = world

    def __call__(self, words: Sequence[str]) -> Answer:
        self.argv = tuple(words)
        file = Path(words[words.index("--json") + 1])
        self.seen = {
            p.relative_to(file.parent).as_posix() for p in file.parent.rglob("*") if p.is_file()
        }
        if isinstance(self.report, dict):
            file.write_text(json.dumps(self.report))
            Path(words[words.index("--samples-out") + 1]).write_bytes(b"raw latencies")
        elif self.report is not None:
            file.write_text(self.report)
        return self.answer


def measure(world: World, folder: Path, **settings: Any) -> Measured:
    request = BenchRequest(
        bundle_folder=world.bundle,
        device=world.device,
        reports_folder=folder / "reports",
        settings={"quantize": {"accuracy_budget": 0.01}, **settings},
        accuracy_budget=0.01,
        id_salt="edgesmith digits",
    )
    return bench(request, events=world.events, transport=world.transport)


def harness_of(world: World) -> Harness:
    found = world.facts.programs["harness"]
    assert isinstance(found, Harness)
    return found


def scratch_folders(world: World) -> list[Path]:
    return list(world.model.glob("scratch-*"))


def test_the_harness_finds_a_whole_bundle_and_nothing_stays(world: World, tmp_path: Path) -> None:
    measure(world, tmp_path)
    manifest = json.loads((world.bundle / "manifest.json").read_text())
    assert harness_of(world).seen == {f["path"] for f in manifest["files"]} | {"manifest.json"}
    assert scratch_folders(world) == []
    assert all("/scratch-" in name for name in world.facts.sent)
    assert len(world.facts.sent) == 3


def test_the_report_is_complete(world: World, tmp_path: Path) -> None:
    measured = measure(world, tmp_path)
    report = load_report(measured.file)
    assert report == measured.report
    assert report["context"]["device"]["name"] == "desk"
    assert report["context"]["settings"] == {"quantize": {"accuracy_budget": 0.01}}
    assert report["context"]["tools"]["edgesmith"]
    assert report["decision"]["ship"] == "int8"
    assert report["gates"] == []
    assert len(report["content_sha256"]) == 64
    assert measured.failure() is None


def test_the_names_are_those_of_the_contract(world: World, tmp_path: Path) -> None:
    measured = measure(world, tmp_path)
    name = rf"\d{{8}}T\d{{6}}Z-desk-{world.bundle_id[:8]}"
    assert re.fullmatch(name + r"\.json", measured.file.name)
    assert measured.samples is not None
    assert measured.samples.name == measured.file.stem + ".samples.safetensors"
    assert measured.samples.read_bytes() == b"raw latencies"
    assert measured.report["samples"]["file"] == measured.samples.name
    assert {p.name for p in measured.file.parent.iterdir()} == {
        measured.file.name,
        measured.samples.name,
    }


def test_two_measurements_are_two_reports(world: World, tmp_path: Path) -> None:
    assert measure(world, tmp_path).file != measure(world, tmp_path).file


def test_progress_comes_from_the_harness(world: World, tmp_path: Path) -> None:
    found: list[Event] = []
    world.events.subscribe(found.append)
    measure(world, tmp_path)
    runs = [
        e for e in found if isinstance(e, Progress) and e.stage == "bench" and "measured" in e.unit
    ]
    assert [(e.done, e.total) for e in runs] == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_nothing_installed_says_flash_first(world: World, tmp_path: Path) -> None:
    (world.model / "installer").unlink()
    with pytest.raises(DeviceError) as caught:
        measure(world, tmp_path)
    assert caught.value.hint == "run edgesmith flash --device desk first"


def test_another_release_installed_says_flash_first(world: World, tmp_path: Path) -> None:
    write_bundle(world.bundle, version="1.0.1", sequence=2)
    with pytest.raises(DeviceError) as caught:
        measure(world, tmp_path)
    assert caught.value.hint == "run edgesmith flash --device desk first"
    assert not (tmp_path / "reports").exists()


def test_a_changed_installation_is_not_measured(world: World, tmp_path: Path) -> None:
    honest = world.installer

    def finds_damage(words: Sequence[str]) -> Answer:
        bad = Answer(returncode=7, stderr="model/int8.onnx changed")
        return bad if words[0] == "verify" else honest(words)

    world.facts.programs["installer"] = finds_damage
    with pytest.raises(IntegrityError, match=r"int8\.onnx changed"):
        measure(world, tmp_path)


@pytest.mark.parametrize("code", [-9, -11, 137, 1, 0])
def test_a_harness_that_dies_leaves_a_failed_report(
    world: World, tmp_path: Path, code: int
) -> None:
    harness_of(world).report = None
    harness_of(world).answer = Answer(returncode=code, output="loading \x1b[31mint8\n")
    measured = measure(world, tmp_path)
    report = load_report(measured.file)
    assert [run["verdict"] for run in report["runs"]] == ["failed", "failed"]
    assert report["error"]["signal"] == (-code if code < 0 else None)
    sizes = {one["name"]: one["bytes"] for one in report["context"]["bundle"]["variants"]}
    assert sizes == {"int8": len("int8 model"), "fp32": len("fp32 model" + "its weights")}
    assert "loading" in report["error"]["message"]
    assert "\x1b" not in report["error"]["message"]
    assert report["decision"]["ship"] is None
    failure = measured.failure()
    assert isinstance(failure, HarnessError)
    assert measured.samples is None
    assert scratch_folders(world) == []


@pytest.mark.parametrize("text", ["", "{", '{"kind": "edgesmith-report"}', "[1]", "NaN"])
def test_a_report_that_cannot_be_used_is_a_failure(world: World, tmp_path: Path, text: str) -> None:
    harness_of(world).report = text
    failure = measure(world, tmp_path).failure()
    assert isinstance(failure, HarnessError)


def test_a_printed_report_is_taken_where_none_was_written(world: World, tmp_path: Path) -> None:
    harness = harness_of(world)
    printed = {**good_report(world.bundle_id), "exit_code": 10}
    harness.report = None
    harness.answer = Answer(returncode=10, output=f"run 2/2\n{json.dumps(printed)}\nno space\n")
    measured = measure(world, tmp_path)
    assert measured.report["runs"][0]["verdict"] == "uncontrolled"
    failure = measured.failure()
    assert failure is not None
    assert failure.exit_code == 10


def test_a_bad_exit_after_a_good_report_is_not_green(world: World, tmp_path: Path) -> None:
    harness_of(world).answer = Answer(returncode=-11)
    failure = measure(world, tmp_path).failure()
    assert isinstance(failure, HarnessError)


def test_a_report_of_another_bundle_is_refused(world: World, tmp_path: Path) -> None:
    harness_of(world).report = good_report("0" * 64)
    with pytest.raises(IntegrityError, match="measured bundle 0000"):
        measure(world, tmp_path)
    assert scratch_folders(world) == []


def test_an_interrupt_removes_the_scratch_folder(world: World, tmp_path: Path) -> None:
    def interrupted(words: Sequence[str]) -> Answer:
        assert len(scratch_folders(world)) == 1
        raise KeyboardInterrupt

    world.facts.programs["harness"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        measure(world, tmp_path)
    assert scratch_folders(world) == []
    assert list((tmp_path / "reports").iterdir()) == []


def test_leftovers_of_a_killed_run_go(world: World, tmp_path: Path) -> None:
    (world.model / "scratch-abc/bin").mkdir(parents=True)
    measure(world, tmp_path)
    assert scratch_folders(world) == []


def test_a_busy_device_is_left_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesmith.devices.bench.BUSY_WAIT_S", 0.0)
    (world.model / "scratch-of-the-other").mkdir()
    with (
        world.transport.exclusive("bench.lock"),
        pytest.raises(DeviceError, match="in use by another"),
    ):
        measure(world, tmp_path)
    assert scratch_folders(world) == [world.model / "scratch-of-the-other"]


def test_a_busy_device_is_waited_for_and_that_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Event] = []
    world.events.subscribe(said.append)
    held = world.transport.exclusive("bench.lock")
    held.__enter__()
    monkeypatch.setattr(
        "edgesmith.devices.transport.time.sleep", lambda _: held.__exit__(None, None, None)
    )
    measure(world, tmp_path)
    texts = [event.text for event in said if isinstance(event, Message)]
    assert [t for t in texts if "waiting for it" in t and str(world.root) in t]


def test_without_hard_links_the_release_is_copied(world: World, tmp_path: Path) -> None:
    world.facts.hard_links = False
    measure(world, tmp_path)
    assert "bin/harness" in harness_of(world).seen


def test_a_failed_gate_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ready(tmp_path, monkeypatch, max_p99_latency_ms=0.001)
    measured = measure(world, tmp_path)
    assert measured.report["gates"][0]["outcome"] == "fail"
    assert isinstance(measured.failure(), GateError)


def test_variants_that_the_bundle_lacks_are_told_of(world: World, tmp_path: Path) -> None:
    manifest = json.loads((world.bundle / "manifest.json").read_text())
    manifest["variants"] = manifest["variants"][1:]
    (world.bundle / "manifest.json").write_text(json.dumps(manifest))
    done = flash(world.bundle, world.device, events=world.events, transport=world.transport)
    harness_of(world).report = good_report(done.bundle_id)
    measure(world, tmp_path)
    argv = harness_of(world).argv
    assert [v for k, v in pairwise(argv) if k == "--variant"] == ["fp32"]
    manifest["variants"] = []
    (world.bundle / "manifest.json").write_text(json.dumps(manifest))
    flash(world.bundle, world.device, events=world.events, transport=world.transport)
    with pytest.raises(UsageError, match="none of the variants"):
        measure(world, tmp_path)


def test_metrics_of_a_later_project_file_are_not_measured_in_silence(
    world: World, tmp_path: Path
) -> None:
    said: list[str] = []
    world.events.subscribe(lambda event: said.append(str(event)))
    bundled = json.loads((world.bundle / "manifest.json").read_text())["metrics"]
    measure(world, tmp_path, data={"metrics": bundled})
    assert not any("data.metrics" in line for line in said)
    measure(world, tmp_path, data={"metrics": ["cosine", *bundled]})
    assert any("data.metrics says cosine, " in line for line in said)

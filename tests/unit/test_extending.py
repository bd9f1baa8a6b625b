"""What CONTRIBUTING.md says about adding a command, a platform, a transport, a metric."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import types
import typing
from importlib import resources
from pathlib import Path

import pytest

from edgesmith.cli import main as command_line
from edgesmith.cli.session import Outcome, Session
from edgesmith.devices.deadline import Deadline
from edgesmith.devices.fake import Answer, FakeTransport
from edgesmith.devices.registry import TRANSPORTS, connect
from edgesmith.devices.transport import RemoteCommand
from edgesmith.errors import UsageError
from edgesmith.events import EventStream
from edgesmith.metric_names import BUILT_IN_METRICS
from edgesmith.platforms import parse_platforms
from edgesmith.project import settings
from edgesmith.project.load import load_project
from edgesmith.project.project import Device
from edgesmith.report.numbers import METRIC_TITLES

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "CONTRIBUTING.md"


def test_every_file_that_the_guide_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text())
    assert len(links) > 30
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_guide_passes_every_stage_folder() -> None:
    text = GUIDE.read_text()
    folders = {p.parent.name for p in (ROOT / "builder" / "edgesmith").glob("*/__init__.py")}
    assert [name for name in sorted(folders) if f"edgesmith/{name}" not in text] == []


def test_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("edgesmith.cli.hello")

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="whom to greet")

    def run(arguments: argparse.Namespace, session: Session) -> Outcome:
        if arguments.name == "nobody":
            raise UsageError("there is nobody", where="hello NAME", hint="name somebody")
        return Outcome(data={"name": arguments.name}, text=f"hello {arguments.name}")

    module.add_arguments, module.run = add_arguments, run  # type: ignore[attr-defined]
    module.EXAMPLES = ("edgesmith hello you",)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edgesmith.cli.hello", module)
    monkeypatch.setitem(command_line.VERBS, "hello", "greet")
    assert command_line.main(["hello", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    assert command_line.main(["hello", "you", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "you"}
    assert command_line.main(["hello", "nobody"]) == 2
    assert "fix: name somebody" in capsys.readouterr().err
    assert command_line.main(["--help"]) == 0
    assert "hello" in capsys.readouterr().out


def test_a_platform() -> None:
    text = resources.files("edgesmith").joinpath("platforms.toml").read_text()
    table = text[text.index("[linux-x86_64]") : text.index("[linux-aarch64]")]
    older = table.replace("linux-x86_64", "linux-x86_64-old").replace(
        'GLIBC = "2.28"', 'GLIBC = "2.17"'
    )
    platforms = parse_platforms(f"{text}\n{older}")
    added = platforms["linux-x86_64-old"]
    assert added.zig.target == "x86_64-linux-gnu.2.17"
    assert added.runtime.wheel_sha256 == platforms["linux-x86_64"].runtime.wheel_sha256


def test_a_transport(project_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set(TRANSPORTS) == set(
        typing.get_args(settings.DeviceSettings.model_fields["transport"].annotation)
    )

    def make(device: Device, events: EventStream) -> FakeTransport:
        return FakeTransport(device=device.name, root=str(device.root), events=events)

    monkeypatch.setitem(TRANSPORTS, "local", make)
    monkeypatch.setenv("EDGESMITH_DEVICES__DESK__ROOT", str(tmp_path / "device"))
    transport = connect(load_project(project_file).device("desk"), EventStream())
    assert isinstance(transport, FakeTransport)
    (tmp_path / "hello").write_bytes(b"#!hello")
    transport.facts.programs["hello"] = lambda words: Answer(output="hello " + words[0])
    deadline = Deadline.after(60)
    digest = hashlib.sha256(b"#!hello").hexdigest()
    transport.put(tmp_path / "hello", "bin/hello", sha256=digest, mode=0o755, deadline=deadline)
    command = RemoteCommand(
        argv=[transport.path("bin/hello"), "you"], purpose="greeting", hint="try again"
    )
    assert transport.run(command, deadline=deadline).output == "hello you"


def test_a_metric_is_known_wherever_metrics_are() -> None:
    names = set(BUILT_IN_METRICS)
    assert names == set(METRIC_TITLES)
    on_device = (ROOT / "runtime_cpp/src/harness/accuracy_report.cpp").read_text()
    assert [name for name in sorted(names) if f'"{name}"' not in on_device] == []

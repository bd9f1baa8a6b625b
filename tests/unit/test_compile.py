"""Compiling: the exact commands, their environment, and when a build folder is made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesmith.compile import cmake, conan, stage, tools
from edgesmith.compile.stage import CompileSettings, compile_project
from edgesmith.errors import ToolchainError
from edgesmith.events import Event, EventStream, Message, Progress
from edgesmith.process import Command, Completed

GRAPH = {
    "graph": {
        "nodes": {
            "0": {"ref": "conanfile", "recipe": "Consumer", "name": None, "info": {}},
            "1": {
                "ref": "edgesmith-runtime/0.1.0+aa#rev",
                "recipe": "Cache",
                "name": "edgesmith-runtime",
                "info": {"conf": {"user.edgesmith:abi": "zig-0.17.0-x86_64-linux-gnu.2.28"}},
            },
            "2": {
                "ref": "edgesmith-onnxruntime/1.31.1+bb#rev",
                "recipe": "Cache",
                "name": "edgesmith-onnxruntime",
                "info": {},
            },
        }
    }
}


class Tools:
    """Stands for conan and cmake: notes commands, leaves what they would leave."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.packages = "/conan/p/edges1"

    def run(self, command: Command, *, events: EventStream, on_line: Any = None) -> Completed:
        self.commands.append(command)
        words = [str(word) for word in command.argv]
        for word in words:
            if word.startswith("--out-file="):
                graph = Path(word.removeprefix("--out-file="))
                graph.write_text(json.dumps(GRAPH))
                graph.with_name("conan_toolchain.cmake").write_text(self.packages)
        if "-B" in words:
            Path(words[words.index("-B") + 1]).mkdir(parents=True, exist_ok=True)
        if "--build" in words and on_line:
            on_line("[3/7] Building CXX object x.o")
        return Completed(argv=tuple(words), returncode=0, output="", stderr="")

    def words(self) -> list[str]:
        return [" ".join(map(str, command.argv)) for command in self.commands]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Tools:
    fake = Tools()
    for module in (cmake, conan):
        monkeypatch.setattr(module, "run", fake.run)
        monkeypatch.setattr(module, "program", lambda name: name)
    return fake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "CMakePresets.json").write_text("{}")
    return folder


def _compile(project: Path, cache: Path, seen: list[Event] | None = None) -> stage.StagedTree:
    events = EventStream()
    events.subscribe((seen if seen is not None else []).append)
    return compile_project(
        project, project.parent / "work", CompileSettings(cache=cache), events=events
    )


def test_the_steps_are_those_of_the_readme(project: Path, tmp_path: Path, fake: Tools) -> None:
    seen: list[Event] = []
    tree = _compile(project, tmp_path / "cache", seen)
    work = tmp_path / "work"
    profiles = f"{project}/conan/profiles"
    assert fake.words() == [
        "conan remote remove *",
        f"conan remote add edgesmith {project}/conan/index --type=local-recipes-index --force",
        f"conan install {project} --output-folder={work}/conan --remote=edgesmith"
        f" --build=missing --profile:build={profiles}/build --profile:host={profiles}/host"
        f" --format=json --out-file={work}/conan/graph.json",
        f"cmake --preset release -S {project} -B {work}/build"
        f" --toolchain {work}/conan/conan_toolchain.cmake",
        f"cmake --build {work}/build",
        f"cmake --install {work}/build --prefix {work}/stage --component release",
    ]
    assert tree.toolchain == "zig-0.17.0-x86_64-linux-gnu.2.28"
    assert tree.recipes == ("edgesmith-onnxruntime/1.31.1+bb", "edgesmith-runtime/0.1.0+aa")
    progress = [event for event in seen if isinstance(event, Progress)]
    assert [(event.done, event.total) for event in progress] == [(3, 7)]


def test_tools_see_only_a_chosen_environment(tmp_path: Path) -> None:
    outside = {"HOME": "/h", "PATH": "/p", "CXXFLAGS": "-O0", "CONAN_HOME": "/c", "LD_PRELOAD": "x"}
    env = tools.build_environment(tmp_path, outside)
    assert env["HOME"] == "/h" and env["PATH"].endswith(":/p")
    assert env["CONAN_HOME"] == str(tmp_path / "conan")
    assert env["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "zig")
    assert not {"CXXFLAGS", "LD_PRELOAD"} & set(env)


def test_a_conanrc_of_a_parent_folder_can_not_lead_conan_elsewhere(
    project: Path, tmp_path: Path, fake: Tools
) -> None:
    home = tmp_path / "cache" / "conan"
    _compile(project, tmp_path / "cache")
    conans = [command for command in fake.commands if command.argv[0] == "conan"]
    assert {command.cwd for command in conans} == {home}
    assert (home / ".conanrc").read_text() == "conan_home=./\n"


def test_an_unchanged_build_folder_is_kept(project: Path, tmp_path: Path, fake: Tools) -> None:
    _compile(project, tmp_path / "cache")
    (tmp_path / "work" / "build" / "object.o").write_text("")
    _compile(project, tmp_path / "cache")
    assert (tmp_path / "work" / "build" / "object.o").exists()


def test_a_stale_build_folder_is_made_anew_and_the_reason_said(
    project: Path, tmp_path: Path, fake: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compile(project, tmp_path / "cache")
    (tmp_path / "work" / "build" / "object.o").write_text("")
    monkeypatch.setattr(cmake, "program", lambda name: f"/new/{name}")
    seen: list[Event] = []
    _compile(project, tmp_path / "cache", seen)
    assert not (tmp_path / "work" / "build" / "object.o").exists()
    talk = [event.text for event in seen if isinstance(event, Message)]
    assert "the build folder is made anew: CMake, Ninja" in talk


def test_packages_of_another_release_are_not_linked_with_a_kept_build_folder(
    project: Path, tmp_path: Path, fake: Tools
) -> None:
    """CMake keeps where it found a package, whatever the toolchain file says later."""
    _compile(project, tmp_path / "cache")
    (tmp_path / "work" / "build" / "object.o").write_text("")
    fake.packages = "/conan/p/edges2"
    seen: list[Event] = []
    _compile(project, tmp_path / "cache", seen)
    assert not (tmp_path / "work" / "build" / "object.o").exists()
    talk = [event.text for event in seen if isinstance(event, Message)]
    assert "the build folder is made anew: packages" in talk


def test_installed_files_of_before_do_not_stay(project: Path, tmp_path: Path, fake: Tools) -> None:
    old = tmp_path / "work" / "stage" / "model" / "old.onnx"
    old.parent.mkdir(parents=True)
    old.write_text("")
    _compile(project, tmp_path / "cache")
    assert not old.exists()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda *words, **named: None)
    with pytest.raises(ToolchainError, match="'ninja' was not found"):
        tools.program("ninja")

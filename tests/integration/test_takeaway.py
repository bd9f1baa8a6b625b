"""The generated project by itself: its README's commands, find_package, and its bundle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from takeaway import INPUT, OUTPUT, SAMPLES, bundle_request, make_request

from edgesmith.bundle.assemble import assemble_bundle
from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.stage import CompileSettings, compile_project
from edgesmith.compile.tools import search_path
from edgesmith.events import EventStream
from edgesmith.generate.request import GenerateRequest
from edgesmith.generate.stage import write_project
from edgesmith.values import Bundle

CONSUMER_CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(hostile 1.2 CONFIG REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE hostile::hostile)
set_target_properties(consumer PROPERTIES BUILD_RPATH "${hostile_DIR}/../..")
"""
CONSUMER_CPP = """
#include <hostile/model.hpp>
#include <iostream>
int main(int, char** argv) {
  static_assert(hostile::inputs::image_system_id::kDims[1] == 3);
  hostile::Sizes sizes;
  sizes.batch = 2;
  auto model = hostile::Model::open(argv[1], sizes);
  if (!model) { std::cerr << model.error().message; return 1; }
  for (float& element : model->image_system_id()) element = 1;
  if (auto status = model->run(); !status) { std::cerr << status.error().message; return 1; }
  std::cout << hostile::inputs::image_system_id::kName << '\\0' << hostile::outputs::o::kName
            << '\\0' << model->o().size() << '\\0' << model->found_id_x_dims()[0];
}
"""


def _environment(cache: Path) -> dict[str, str]:
    """As after activating the virtual environment that the README asks for."""
    return {
        "HOME": os.environ["HOME"],
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), search_path()]),
        "CONAN_HOME": str(cache / "conan"),
        "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
    }


def _run(*words: str | Path, env: Mapping[str, str], cwd: Path | None = None) -> bytes:
    done = subprocess.run(
        list(map(str, words)), env=dict(env), cwd=cwd, capture_output=True, timeout=580
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> GenerateRequest:
    return make_request(tmp_path_factory.mktemp("model"), session_cache)


def _bundle(folder: Path, request: GenerateRequest, cache: Path) -> Bundle:
    """Generated, compiled and assembled below `folder`."""
    for name in ("project", "bundle"):
        (folder / name).mkdir(parents=True)
    write_project(folder / "project", request)
    events = EventStream()
    staged = compile_project(
        folder / "project", folder / "work", CompileSettings(cache=cache), events=events
    )
    return assemble_bundle(folder / "bundle", staged, bundle_request(request), events=events)


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory, request_: GenerateRequest, session_cache: Path
) -> Path:
    folder = tmp_path_factory.mktemp("first") / "a folder"
    _bundle(folder, request_, session_cache)
    return folder / "bundle"


@pytest.fixture(scope="module")
def taken_away(
    tmp_path_factory: pytest.TempPathFactory,
    request_: GenerateRequest,
    session_cache: Path,
    bundle: Path,
) -> Path:
    """The project, built by the commands of its README and nothing else.

    After `bundle`, whose compiled packages lie in the Conan home already.
    """
    folder = tmp_path_factory.mktemp("taken") / "taken away"
    folder.mkdir()
    write_project(folder, request_)
    blocks = re.findall(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2 and blocks[0].startswith("python3 -m venv")
    _run("bash", "-e", "-c", blocks[1], env=_environment(session_cache), cwd=folder)
    return folder


def test_equal_requests_give_equal_projects(tmp_path: Path, request_: GenerateRequest) -> None:
    trees = []
    for name in ("a", "b c"):
        folder = tmp_path / name
        folder.mkdir()
        files = write_project(folder, request_).files
        trees.append({path: (folder / path).read_bytes() for path in files})
        here = str(tmp_path).encode()
        assert not [path for path, data in trees[-1].items() if here in data]
    assert trees[0] == trees[1]


def test_the_example_program_runs_the_samples(taken_away: Path) -> None:
    shown = _run(taken_away / "build" / "install" / "bin" / "hostile-app", env={}).decode()
    assert shown.startswith(f"hostile 1.2.3, {SAMPLES} samples\n")
    assert shown.count("o\\n*/ float32 [1, 5]:") == SAMPLES
    assert "int64 [2, " in shown


def test_the_harness_takes_the_loose_files(taken_away: Path) -> None:
    root = taken_away / "build" / "install"
    _run(root / "bin" / "harness", "verify", "--model", root / "model" / "int8.onnx",
         "--samples", root / "golden" / "samples.safetensors", env={})  # fmt: skip


def test_another_program_finds_the_package(
    taken_away: Path, tmp_path: Path, session_cache: Path
) -> None:
    install = taken_away / "build" / "install"
    source, build = tmp_path / "consumer", tmp_path / "consumer build"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(CONSUMER_CMAKE)
    (source / "main.cpp").write_text(CONSUMER_CPP)
    env = _environment(session_cache)
    compiler = taken_away / "conan" / "toolchain" / "c++"
    _run("cmake", "-G", "Ninja", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release",
         f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_PREFIX_PATH={install}",
         env=env)  # fmt: skip
    _run("cmake", "--build", build, env=env)
    shown = _run(build / "consumer", install / "model" / "int8.onnx", env={})
    assert shown.decode().split("\0") == [INPUT, OUTPUT, "10", "2"]


def test_a_bundle_is_the_same_wherever_it_is_made(
    tmp_path: Path, request_: GenerateRequest, session_cache: Path, bundle: Path
) -> None:
    first = verify_bundle(bundle)
    again = _bundle(tmp_path / "elsewhere", request_, session_cache)
    assert again.id == first.id
    archive = tmp_path / "elsewhere" / "bundle" / again.archive
    assert archive.read_bytes() == (bundle / first.archive).read_bytes()


def test_no_path_of_this_machine_is_in_a_bundle(bundle: Path, session_cache: Path) -> None:
    paths = {str(bundle.parent), str(session_cache), str(Path(sys.prefix)), os.environ["HOME"]}
    for file in bundle.rglob("*"):
        if file.is_file() and file.suffix not in (".onnx", ".safetensors"):
            data = file.read_bytes()
            assert not [path for path in paths if len(path) > 5 and path.encode() in data], file


def test_a_bundle_holds_what_its_design_says(bundle: Path) -> None:
    manifest = verify_bundle(bundle)
    content = manifest.content
    roles = {file.path: file.role for file in manifest.files}
    assert roles["bin/hostile-app"] == roles["bin/harness"] == roles["bin/installer"] == "app"
    assert roles["lib/libonnxruntime.so.1"] == "runtime"
    assert roles["model/int8.onnx"] == "model" and roles["bench/fp32.onnx"] == "bench"
    assert {path.split("/")[1] for path, role in roles.items() if role == "licence"} == {
        "edgesmith", "glibc", "libsodium", "llvm", "musl", "nlohmann-json", "onnxruntime", "zig",
    }  # fmt: skip
    needs = content["requires"]
    assert needs["elf"] == {"machine": "EM_X86_64", "bits": 64}
    assert tuple(map(int, needs["glibc"].split("."))) <= (2, 28)
    assert "libonnxruntime.so.1" not in needs["libraries"]
    assert content["provenance"]["toolchain"].startswith("zig-")
    assert len(content["provenance"]["recipes"]) == 5
    assert content["sequence"] == 10000200003


@pytest.mark.slow
def test_another_conan_home_and_gcc(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, session_cache: Path, bundle: Path
) -> None:
    """Other caches give the same bytes; gcc gives a bundle that says what it needs."""
    other = tmp_path / "other cache"
    other.mkdir()
    for name in ("downloads", "zig"):
        (other / name).symlink_to((session_cache / name).resolve())
    request = make_request(tmp_path_factory.mktemp("model"), other)
    made = verify_bundle(bundle)
    again = _bundle(tmp_path / "zig", request, other)
    programs = {f.path: f.sha256 for f in made.files if f.role in ("app", "runtime")}
    anew = verify_bundle(tmp_path / "zig" / "bundle")
    assert {f.path: f.sha256 for f in anew.files if f.path in programs} == programs
    assert again.release_bytes > 0
    gcc = make_request(tmp_path_factory.mktemp("gcc"), other, toolchain="gcc")
    _bundle(tmp_path / "gcc", gcc, other)
    content = verify_bundle(tmp_path / "gcc" / "bundle").content
    assert content["provenance"]["toolchain"].startswith("gcc-")

"""The generated project by itself: its README's commands, find_package, and its bundle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.tools import search_path
from edgesmith.generate.request import GenerateRequest
from edgesmith.generate.stage import write_project
from takeaway import SAMPLES, make_bundle, make_request, run_in_python
from workbench import ROOT

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
#include <cstdint>
#include <iostream>
#include <numeric>
int main(int, char** argv) {
  for (const std::int64_t size :
       {INT64_MIN, INT64_C(-1), INT64_C(0), INT64_C(99999999999999), INT64_MAX}) {
    auto refused = hostile::Model::open(argv[1], hostile::Sizes{size});
    if (refused || refused.error().code != edgesmith::ErrorCode::kModelOrData) return 2;
  }
  auto model = hostile::Model::open(argv[1], hostile::Sizes{2});
  if (!model) { std::cerr << model.error().message; return 1; }
  static_assert(hostile::inputs::image_system_id::kDims[1] == 3);
  std::iota(model->image_system_id().begin(), model->image_system_id().end(), -7.25F);
  std::iota(model->a_photo().begin(), model->a_photo().end(), 100);
  if (auto status = model->run(); !status) { std::cerr << status.error().message; return 1; }
  for (float logit : model->o()) std::cout << std::hexfloat << logit << ' ';
  std::cout << model->found_id_x_dims()[1];
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
def taken_away(
    tmp_path_factory: pytest.TempPathFactory,
    hostile_request: GenerateRequest,
    session_cache: Path,
    hostile_bundle: Path,
) -> Path:
    """The project, built by the commands of its README and nothing else.

    After `hostile_bundle`, whose compiled packages lie in the Conan home already.
    """
    folder = tmp_path_factory.mktemp("taken") / "taken away"
    folder.mkdir()
    write_project(folder, hostile_request)
    blocks = re.findall(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2 and blocks[0].startswith("python3 -m venv")
    _run("bash", "-e", "-c", blocks[1], env=_environment(session_cache), cwd=folder)
    return folder


def test_equal_requests_give_equal_projects(
    tmp_path: Path, hostile_request: GenerateRequest
) -> None:
    trees = []
    for name in ("a", "b c"):
        folder = tmp_path / name
        folder.mkdir()
        files = write_project(folder, hostile_request).files
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
    model = install / "model" / "int8.onnx"
    *logits, found = _run(build / "consumer", model, env={}).decode().split()
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - np.float32(7.25)
    photo = np.arange(100, 124, dtype=np.uint8).reshape(2, 2, 2, 3)
    expected, expected_found = run_in_python(model, image, photo)
    assert [float.fromhex(one) for one in logits] == expected.flatten().tolist()
    assert int(found) == expected_found.shape[1]


def test_generated_sources_are_clean(taken_away: Path) -> None:
    sources = [taken_away / "src" / name for name in ("app.cpp", "model.cpp")]
    # The analyzer loses which of its types a std::variant holds on the way out of Model::bind.
    lost = "--checks=-clang-analyzer-core.uninitialized.Assign"
    _run(Path(sys.executable).parent / "clang-tidy", "--quiet", lost,
         f"--config-file={ROOT / '.clang-tidy'}", *sources, "--", "-std=c++17",
         "-I", taken_away / "include", "-I", ROOT / "runtime_cpp" / "include",
         env=dict(os.environ))  # fmt: skip


def test_a_bundle_is_the_same_wherever_it_is_made(
    tmp_path: Path, hostile_request: GenerateRequest, session_cache: Path, hostile_bundle: Path
) -> None:
    first = verify_bundle(hostile_bundle)
    again = make_bundle(tmp_path / "elsewhere", hostile_request, session_cache)
    assert again.id == first.id
    archive = tmp_path / "elsewhere" / "bundle" / again.archive
    assert archive.read_bytes() == (hostile_bundle / first.archive).read_bytes()


def test_no_path_of_this_machine_is_in_a_bundle(hostile_bundle: Path, session_cache: Path) -> None:
    paths = {
        str(hostile_bundle.parent),
        str(session_cache),
        str(Path(sys.prefix)),
        os.environ["HOME"],
    }
    for file in hostile_bundle.rglob("*"):
        if file.is_file() and file.suffix not in (".onnx", ".safetensors"):
            data = file.read_bytes()
            assert not [path for path in paths if len(path) > 5 and path.encode() in data], file


def test_a_bundle_holds_what_its_design_says(hostile_bundle: Path) -> None:
    manifest = verify_bundle(hostile_bundle)
    content = manifest.content
    roles = {file.path: file.role for file in manifest.files}
    assert roles["bin/hostile-app"] == roles["bin/harness"] == roles["bin/installer"] == "app"
    assert roles["lib/libonnxruntime.so.1"] == "runtime"
    assert roles["model/int8.onnx"] == "model" and roles["bench/fp32.onnx"] == "bench"
    assert {path.split("/")[1] for path, role in roles.items() if role == "licence"} == {
        "edgesmith", "glibc", "libsodium", "llvm", "musl", "nlohmann-json", "onnxruntime", "wuffs",
        "zig",
    }  # fmt: skip
    needs = content["requires"]
    assert needs["elf"] == {"machine": "EM_X86_64", "bits": 64}
    assert tuple(map(int, needs["glibc"].split("."))) <= (2, 28)
    assert "libonnxruntime.so.1" not in needs["libraries"]
    assert content["provenance"]["toolchain"].startswith("zig-")
    assert len(content["provenance"]["recipes"]) == 6
    assert content["sequence"] == 10000200003


LICENCES = {
    "edgesmith/LICENSE": "MIT License",
    "glibc/LICENSES": "GNU",
    "libsodium/LICENSE": "ISC License",
    "llvm/LICENSE.TXT": "Apache License",
    "musl/COPYRIGHT": "MIT license",
    "nlohmann-json/LICENSE": "MIT License",
    "onnxruntime/LICENSE": "Microsoft Corporation",
    "onnxruntime/ThirdPartyNotices.txt": "protobuf",
    "wuffs/LICENSE": "The Wuffs Authors",
    "zig/LICENSE": "Zig contributors",
}


def test_the_licences_of_everything_inside_are_there(hostile_bundle: Path) -> None:
    folder = hostile_bundle / "licenses"
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(files) == set(LICENCES)
    for name, words in LICENCES.items():
        assert words in files[name].read_text(errors="replace"), name
    # What is linked from a package of ours has its licence there, by the package's name.
    recipes = verify_bundle(hostile_bundle).content["provenance"]["recipes"]
    packages = {one.split("/")[0].removeprefix("edgesmith-") for one in recipes}
    known = {"sodium": "libsodium", "runtime": "edgesmith", "installer": "edgesmith"}
    assert {known.get(name, name) for name in packages} <= {name.split("/")[0] for name in files}


@pytest.mark.slow
def test_another_conan_home_and_gcc(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    session_cache: Path,
    hostile_bundle: Path,
) -> None:
    """Other caches give the same bytes; gcc gives a bundle that says what it needs."""
    other = tmp_path / "other cache"
    other.mkdir()
    for name in ("downloads", "zig"):
        (other / name).symlink_to((session_cache / name).resolve())
    request = make_request(tmp_path_factory.mktemp("model"), other)
    made = verify_bundle(hostile_bundle)
    again = make_bundle(tmp_path / "zig", request, other)
    programs = {f.path: f.sha256 for f in made.files if f.role in ("app", "runtime")}
    anew = verify_bundle(tmp_path / "zig" / "bundle")
    assert {f.path: f.sha256 for f in anew.files if f.path in programs} == programs
    assert again.size.release_bytes > 0
    gcc = make_request(tmp_path_factory.mktemp("gcc"), other, toolchain="gcc")
    make_bundle(tmp_path / "gcc", gcc, other)
    content = verify_bundle(tmp_path / "gcc" / "bundle").content
    assert content["provenance"]["toolchain"].startswith("gcc-")

"""Whole programs under AddressSanitizer and UBSan, on the digits bundle; any finding ends them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from workbench import ROOT, Edgesmith

# The folder and the options of `make test-cpp-sanitized`, which leaves nothing to build here.
BUILD = ROOT / "build" / "cpp-sanitized"
CONFIGURE = [
    "cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_UNITY_BUILD_BATCH_SIZE=10", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_COMPILER=g++",
    "-DCMAKE_C_COMPILER=gcc", "-DEDGESMITH_SANITIZE=ON",
]  # fmt: skip
COMPILE = [
    "g++", "-std=c++17", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    "-D_GLIBCXX_ASSERTIONS", "-I", ROOT / "runtime_cpp" / "include",
]  # fmt: skip
QUICK = ["--min-seconds", "0.05", "--min-iterations", "20", "--json", "-"]

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="sanitizers need g++")


def run(*words: str | Path, code: int = 0, library: Path | None = None) -> str:
    """Runs a program; its findings and those of its children fail the test."""
    env = dict(os.environ)
    if library is not None:
        env |= {
            "LD_LIBRARY_PATH": str(library),
            "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
    done = subprocess.run(
        list(map(str, words)), env=env, capture_output=True, text=True, timeout=580
    )
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def libraries() -> Path:
    """The folder of the sanitized libraries and the harness."""
    run(*CONFIGURE)
    run("cmake", "--build", BUILD)
    return BUILD / "runtime_cpp"


@pytest.fixture(scope="module")
def bundle(libraries: Path, built: Edgesmith, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits bundle with the sanitized harness in place of its own."""
    folder = tmp_path_factory.mktemp("sanitized") / "bundle"
    shutil.copytree(built.folder / "build/digits/host/bundle", folder)
    shutil.copy(libraries / "harness", folder / "bin" / "harness")
    assert b"__asan_init" in (folder / "bin" / "harness").read_bytes()
    return folder


def test_bench_and_its_measuring_processes(bundle: Path) -> None:
    words = ["--processes", "2", "--shape", "batch=3", "--profile"]
    report = json.loads(
        run(bundle / "bin/harness", "bench", *words, *QUICK, library=bundle / "lib")
    )
    assert len(report["runs"]) == 2
    assert all(one["error"] is None and len(one["processes"]) == 2 for one in report["runs"])


def test_verify(bundle: Path) -> None:
    document = json.loads(run(bundle / "bin/harness", "verify", *QUICK[4:], library=bundle / "lib"))
    assert document["passed"] is True


def test_the_example_program(
    libraries: Path, bundle: Path, built: Edgesmith, tmp_path: Path
) -> None:
    project = built.folder / "build/digits/host/project"
    app = bundle / "bin" / "digits-app"
    parts = [libraries / f"libedgesmith-{name}.a" for name in ("app", "runtime")]
    sources = [project / "src" / "app.cpp", project / "src" / "model.cpp"]
    run(*COMPILE, "-I", project / "include", *sources, *parts, bundle / "lib/libonnxruntime.so.1",
        "-o", app)  # fmt: skip
    assert b"__asan_init" in app.read_bytes()
    image, cut = tmp_path / "image.npy", tmp_path / "cut.npy"
    np.save(image, np.ones((2, 1, 8, 8), dtype=np.float32))
    cut.write_bytes(image.read_bytes()[:-1])
    png = ROOT / "runtime_cpp/tests/data/images/rgb.png"
    shown = run(app, "--input", f"image={image}", "--json", library=bundle / "lib")
    assert json.loads(shown)["outputs"][0]["shape"] == [2, 10]
    run(app, library=bundle / "lib")
    run(app, "--input", f"image={cut}", code=3, library=bundle / "lib")
    run(app, "--input", f"image={png}", code=3, library=bundle / "lib")
    run(app, "--input", "imgae=x", code=2, library=bundle / "lib")

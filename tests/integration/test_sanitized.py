"""Whole programs under AddressSanitizer and UBSan, on the digits bundle; any finding ends them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sanitized import run_program

from workbench import ROOT, Edgesmith

COMPILE = [
    "g++", "-std=c++17", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    "-D_GLIBCXX_ASSERTIONS", "-I", ROOT / "runtime_cpp" / "include",
]  # fmt: skip
QUICK = ["--min-seconds", "0.05", "--min-iterations", "20", "--json", "-"]

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="sanitizers need g++")


def run(*words: str | Path, code: int = 0, library: Path | None = None) -> str:
    """Runs a program that must end with `code`, and returns what it said."""
    environment = {} if library is None else {"LD_LIBRARY_PATH": str(library)}
    ended = run_program(words, environment=environment)
    assert ended.code == code, (ended.out + ended.err)[-4000:]
    return ended.out


@pytest.fixture(scope="module")
def bundle(
    sanitized_libraries: Path, built: Edgesmith, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The digits bundle with the sanitized harness in place of its own."""
    folder = tmp_path_factory.mktemp("sanitized") / "bundle"
    shutil.copytree(built.folder / "build/digits/host/bundle", folder)
    shutil.copy(sanitized_libraries / "harness", folder / "bin" / "harness")
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
    sanitized_libraries: Path, bundle: Path, built: Edgesmith, tmp_path: Path
) -> None:
    project = built.folder / "build/digits/host/project"
    app = bundle / "bin" / "digits-app"
    parts = [sanitized_libraries / f"libedgesmith-{name}.a" for name in ("app", "runtime")]
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

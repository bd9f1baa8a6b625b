"""doctor as a process on a machine where everything is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import ROOT, Edgesmith, copy_digits, edit_project

GCC_TARGET = '\n[targets.native]\nplatform = "linux-x86_64"\ntoolchain = "gcc"\n'


def bare(
    folder: Path, *words: str, python: tuple[str, ...] = (sys.executable,), **environment: str
) -> subprocess.CompletedProcess[str]:
    """doctor with nothing in its environment but what `environment` gives."""
    env = {"PATH": str(folder / "no-programs"), "PYTHONPATH": str(ROOT / "builder"), **environment}
    argv = [*python, "-m", "edgesmith", "doctor", *words]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_digits(tmp_path)


def test_a_bare_machine(project: Path, tmp_path: Path) -> None:
    """Nothing on the PATH, no HOME, nothing downloaded; a target that needs a system compiler."""
    toml = project / "edgesmith.toml"
    toml.write_text(toml.read_text() + GCC_TARGET)
    environment = {"EDGESMITH_CACHE": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path)}
    done = bare(project, "--target", "all", **environment)
    assert done.returncode == 5, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("not for: musl")
    native = done.stdout[done.stdout.index("target native") :]
    assert "MISSING  toolchain gcc: g++ is not on the PATH" in native
    assert 'fix: run: apt-get install g++ (as root), or set toolchain = "zig"' in native
    zig = done.stdout[done.stdout.index("target host") : done.stdout.index("target native")]
    assert "ok       toolchain zig" in zig
    assert "absent   downloads: not downloaded yet: onnxruntime" in zig
    assert "fix: run: edgesmith fetch --target host" in zig
    assert "toolchain gcc (target native)" in lines[-1]
    assert "downloads" not in lines[-1], "builds fetch them: not missing"
    again = bare(project, "--target", "all", "--format", "json", **environment)
    facts = json.loads(again.stdout)
    assert again.returncode == done.returncode
    assert facts["not_for"] == lines[0]
    for check in facts["checks"]:
        assert check["part"] in lines
        assert any(line.endswith(f" {check['name']}: {check['found']}") for line in lines)
        assert check["passed"] or f"fix: {check['remedy']}" in done.stdout


def test_a_python_without_any_package(project: Path, tmp_path: Path) -> None:
    """doctor itself needs none of what it looks for."""
    done = bare(project, python=(sys.executable, "-S"), EDGESMITH_CACHE=str(tmp_path))
    assert done.returncode == 5
    for name in ("numpy", "onnxruntime", "pydantic", "ziglang"):
        assert f"MISSING  package {name}: not installed" in done.stdout
        assert f"package {name} (this machine)" in done.stdout.splitlines()[-1]
    assert f"fix: run: {sys.executable} -m pip install edgesmith" in done.stdout
    assert f"fix: run: {sys.executable} -m ensurepip" in done.stdout
    assert "a project is looked at when edgesmith's packages are there" in done.stderr


def test_npm_is_named_only_where_its_headers_are_missing(built: Edgesmith) -> None:
    environment = {"EDGESMITH_CACHE": str(built.cache), "XDG_DATA_HOME": str(built.cache)}
    done = bare(built.folder, "--target", "host", "--offline", **environment)
    assert "ok       downloads: all there" in done.stdout
    assert "npm" not in done.stdout
    empty = {**environment, "EDGESMITH_CACHE": str(built.cache / "nowhere")}
    assert "npm, to download ONNX Runtime's headers" in bare(built.folder, **empty).stdout
    assert bare(built.folder, "--offline", **empty).returncode == 5


def test_another_interpreter_without_torch(project: Path, tmp_path: Path) -> None:
    """A bare virtual environment: what to install into it, in one command."""
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    edit_project(project, "[model]\n", f'[model]\npython = "{other}/bin/python"\n')
    done = bare(project, EDGESMITH_CACHE=str(tmp_path), XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 3
    assert f"torch for the model: not installed for {other}/bin/python" in done.stdout
    assert f"run: {other}/bin/python -m pip install torch onnx onnxscript numpy" in done.stdout


def test_an_unwritable_cache_and_device(project: Path, tmp_path: Path) -> None:
    """A file stands where folders are wanted: not even root can write below it."""
    file = tmp_path / "file"
    file.write_text("")
    edit_project(project, 'transport = "local"', f'transport = "local"\nroot = "{file}/root"')
    done = bare(project, "--device", "desk", EDGESMITH_CACHE=f"{file}/cache", PATH="/usr/bin:/bin")
    assert done.returncode == 6, done.stdout
    assert done.stdout.count(f"{file} can't be written") == 2
    assert "set EDGESMITH_CACHE to another folder" in done.stdout
    assert "set devices.desk.root to another folder" in done.stdout

"""The installed wheel, outside of the checkout: in empty environments with and without torch."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgesmith.compile.archives import headers_archive
from edgesmith.hashing import sha256_bytes
from workbench import ROOT, Edgesmith, Result, edit_project

MAX_WHEEL_BYTES = 2_000_000
TORCH_SOURCE = 'source = "model.py:build"'
NOT_NEEDED = re.compile(
    r"npm|npx|node|pip|python|cmake|ninja|git|.*g\+\+|.*gcc|.*clang|cc|c\+\+|ld"
)
QUICK = {
    "EDGESMITH_BENCH__MIN_SECONDS": "0.1",
    "EDGESMITH_BENCH__MIN_ITERATIONS": "50",
    "EDGESMITH_BENCH__PROCESSES": "1",
}
pytestmark = pytest.mark.timeout(900)


def command(*words: str | Path, **environment: str) -> str:
    """The output of a command that must succeed; our own PYTHONPATH never reaches it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | environment
    done = subprocess.run(list(map(str, words)), env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A virtual environment with the wheel, and a PATH without npm and compilers."""

    venv: Path
    folder: Path
    cache: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def programs(self) -> Path:
        """The system's programs but those that the installed wheel must not need."""
        folder = self.folder / "programs"
        if not folder.exists():
            folder.mkdir()
            for path in Path("/usr/bin").iterdir():
                if not NOT_NEEDED.match(path.name):
                    (folder / path.name).symlink_to(path)
        return folder

    def __call__(self, *words: str | Path, project: Path) -> Result:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        env = {
            **QUICK,
            "PATH": f"{self.venv / 'bin'}:{self.programs()}",
            "HOME": str(home),
            "EDGESMITH_CACHE": str(self.cache),
        }
        argv = [str(self.venv / "bin" / "edgesmith"), *map(str, words)]
        done = subprocess.run(
            argv, cwd=project, env=env, capture_output=True, text=True, timeout=580
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Result(code=done.returncode, out=done.stdout, err=done.stderr)

    def ok(self, *words: str | Path, project: Path) -> Result:
        result = self(*words, project=project)
        assert result.code == 0, result.out + result.err
        return result


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source archive, so that it holds all that the wheel is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    builder = folder / "builder"
    command(sys.executable, "-m", "venv", builder)
    command(builder / "bin" / "pip", "install", "--quiet", "hatchling>=1.27")
    argv = (builder / "bin" / "python", "-m", "hatchling", "build", "-t", "sdist", "-d", folder)
    done = subprocess.run(list(map(str, argv)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (source,) = folder.glob("*.tar.gz")
    command(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, built: Edgesmith) -> Path:
    """Downloads without the headers, Zig's libraries, and the Conan packages of other tests.

    Packages are named by a digest of all they are made of, so the wheel's own sources count.
    """
    folder = tmp_path_factory.mktemp("wheel-cache")
    (folder / "downloads").mkdir()
    for archive in (built.cache / "downloads").iterdir():
        if archive.name != headers_archive().sha256:
            (folder / "downloads" / archive.name).symlink_to(archive)
    for name in ("zig", "conan", "conan.lock"):
        (folder / name).symlink_to(built.cache / name)
    return folder


@pytest.fixture(scope="session")
def environments(
    tmp_path_factory: pytest.TempPathFactory, wheel: Path, cache: Path
) -> dict[str, Installed]:
    """The wheel alone, and with [torch]."""

    def install(extra: str) -> Installed:
        folder = tmp_path_factory.mktemp("environment")
        command(sys.executable, "-m", "venv", folder / "venv")
        pip = (folder / "venv" / "bin" / "pip", "install", "--quiet", "--no-compile")
        command(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}{extra}")
        share_zig(folder / "venv")
        return Installed(venv=folder / "venv", folder=folder, cache=cache)

    with ThreadPoolExecutor() as pool:
        plain, torch = pool.map(install, ("", "[torch]"))
    return {"plain": plain, "torch": torch}


def share_zig(venv: Path) -> None:
    """Zig caches its C++ library by the place of its own files: ours are there and compiled."""
    ours = importlib.util.find_spec("ziglang")
    assert ours is not None and ours.origin is not None
    (installed,) = venv.glob("lib/python*/site-packages/ziglang")
    shutil.rmtree(installed)
    installed.symlink_to(Path(ours.origin).parent)


@pytest.fixture
def plain(environments: dict[str, Installed]) -> Installed:
    return environments["plain"]


@pytest.fixture
def with_torch(environments: dict[str, Installed]) -> Installed:
    return environments["torch"]


@pytest.fixture
def project(tmp_path: Path, plain: Installed) -> Iterator[Path]:
    """The example, as `edgesmith init` of the wheel writes it."""
    plain.ok("init", "x", "--example", "digits", project=tmp_path)
    yield tmp_path / "x"


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name, sha256 in headers_archive().kept_files.values():
            data = archive.read(f"edgesmith/_data/onnxruntime_headers/{name}")
            assert sha256_bytes(data) == sha256
    tops = {name.split("/")[0] for name in names}
    assert tops == {"edgesmith", next(t for t in tops if t.endswith(".dist-info"))}
    for name in (
        "edgesmith/py.typed",
        "edgesmith/platforms.toml",
        "edgesmith/_data/templates/cmake_project/CMakeLists.txt.j2",
        "edgesmith/_data/runtime_cpp/CMakeLists.txt",
        "edgesmith/_data/runtime_cpp/src/session.cpp",
        "edgesmith/_data/examples/digits/edgesmith.toml",
    ):
        assert name in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"__pycache__", "build", "reports", "tests", ".git"}
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_only_a_build_that_can_verify_the_headers_makes_a_wheel(
    tmp_path: Path, no_network: tuple[str, ...]
) -> None:
    """Without a network and without a cache: the reason, no wheel."""
    source = tmp_path / "source"
    listed = command("git", "-C", ROOT, "ls-files", "builder", "pyproject.toml", "hatch_build.py",
                     "README.md", "LICENSE", "examples", "runtime_cpp", "templates")  # fmt: skip
    for name in listed.splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    venv = tmp_path / "venv"
    command(sys.executable, "-m", "venv", venv)
    command(venv / "bin" / "pip", "install", "--quiet", "hatchling>=1.27")
    argv = ["unshare", "-rn", str(venv / "bin" / "python"), "-m", "hatchling", "build", "-t",
            "wheel", "-d", str(tmp_path / "out")]  # fmt: skip
    env = {"PATH": os.environ["PATH"], "EDGESMITH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(argv, cwd=source, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the wheel needs ONNX Runtime's headers" in done.stdout + done.stderr
    assert "no network" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*.whl"))


def test_init_and_run_with_torch(with_torch: Installed, project: Path) -> None:
    where = command(with_torch.python, "-I", "-c", "import edgesmith; print(edgesmith.__file__)")
    assert Path(where.strip()).is_relative_to(with_torch.venv)
    result = with_torch.ok("run", project=project)
    assert "decision" in result.out
    (report,) = (project / "reports").glob("*.json")
    assert {run["requested"]["variant"] for run in json.loads(report.read_text())["runs"]} == {
        "fp32",
        "int8",
    }
    assert not (with_torch.cache / "downloads" / headers_archive().sha256).exists()


def test_a_pytorch_source_without_torch_says_what_to_install(
    plain: Installed, project: Path
) -> None:
    result = plain("export", project=project)
    assert result.code == 3
    assert re.search(rf"{plain.venv}/bin/python\S* has no torch", result.err)
    assert re.search(
        rf"run: {plain.venv}/bin/python\S* -m pip install 'edgesmith\[torch\]'", result.err
    )
    assert "[model] python" in result.err


def test_an_onnx_source_needs_no_torch(plain: Installed, project: Path, built: Edgesmith) -> None:
    shutil.copy(built.folder / "build/digits/export/model.onnx", project / "digits.onnx")
    for name in ("model.py", "network.py", "weights.safetensors"):
        (project / name).unlink()
    edit_project(project, TORCH_SOURCE, 'source = "digits.onnx"')
    assert "decision" in plain.ok("run", project=project).out
    assert not (plain.venv / "lib" / "python3.11" / "site-packages" / "torch").exists()


def test_the_torch_of_another_environment(
    plain: Installed, with_torch: Installed, project: Path, tmp_path: Path
) -> None:
    """It holds everything that the environment with torch holds, but edgesmith."""
    other = tmp_path / "other"
    command(sys.executable, "-m", "venv", "--without-pip", other)
    (packages,) = other.glob("lib/python*/site-packages")
    (given,) = with_torch.venv.glob("lib/python*/site-packages")
    for entry in given.iterdir():
        if not entry.name.startswith("edgesmith"):
            (packages / entry.name).symlink_to(entry)
    probe = "import importlib.util as u; print(u.find_spec('edgesmith'), u.find_spec('torch').name)"
    assert command(other / "bin" / "python", "-I", "-c", probe).split() == ["None", "torch"]
    edit_project(project, TORCH_SOURCE, f'source = "model.py:build"\npython = "{other}/bin/python"')
    assert "decision" in plain.ok("run", project=project).out

"""What integration tests share: the worker in process, the C++ side under sanitizers, and bundles
for platforms with more execution providers than the cpu."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sanitized import build_sanitized

from in_process import serve_in_process
from workbench import QUICK, Edgesmith, copy_digits, edit_project


@pytest.fixture
def worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker answers in this process: many models, one import of torch."""
    serve_in_process(monkeypatch)


@pytest.fixture(scope="session")
def sanitized_libraries() -> Path:
    """The folder of the sanitized libraries and the harness."""
    if shutil.which("g++") is None:
        pytest.skip("sanitizers need g++")
    return build_sanitized()


ACCELERATED = """
[targets.openvino]
platform = "linux-x86_64-openvino"

[targets.cuda]
platform = "linux-x86_64-cuda"

[targets.cuda-arm]
platform = "linux-aarch64-cuda"

[devices.intel]
target = "openvino"
transport = "local"

[devices.gpu]
target = "cuda"
transport = "local"

[devices.gpu-arm]
target = "cuda-arm"
transport = "qemu-user"
cpu = "cortex-a76"
"""
# Emulated inferences are slow.
FEW = "evaluation_samples = 40"


@pytest.fixture(scope="session")
def accelerated(tmp_path_factory: pytest.TempPathFactory, built: Edgesmith) -> Edgesmith:
    """The digits project for OpenVINO and CUDA, each target with its platform's own precision;
    targets are built by the fixtures below."""
    folder = copy_digits(tmp_path_factory.mktemp("accelerated"))
    edit_project(folder, "evaluation_samples = 500", FEW)
    edit_project(folder, 'precision = "int8"\n', "")
    edit_project(folder, 'variants = ["fp32", "int8"]\n', "")
    file = folder / "edgesmith.toml"
    file.write_text(file.read_text() + ACCELERATED)
    return Edgesmith(folder=folder, cache=built.cache, environment=QUICK)


@pytest.fixture(scope="session")
def openvino_bundle(accelerated: Edgesmith) -> Path:
    """Tests must not change it."""
    return build_target(accelerated, "openvino")


@pytest.fixture(scope="session")
def cuda_bundle(accelerated: Edgesmith) -> Path:
    """Tests must not change it."""
    return build_target(accelerated, "cuda")


@pytest.fixture(scope="session")
def cuda_arm_bundle(accelerated: Edgesmith) -> Path:
    """Tests must not change it."""
    return build_target(accelerated, "cuda-arm")


def build_target(project: Edgesmith, target: str) -> Path:
    said = project.ok("build", "--target", target).err
    (project.folder / f"{target}.log").write_text(said)
    return project.folder / "build" / "digits" / target / "bundle"

"""Platform facts: complete, consistent, and only of platforms that can be built."""

from __future__ import annotations

import re

import pytest

from edgesmith.compile.archives import archives_for
from edgesmith.compile.compilers import CLANG_OF_ZIG
from edgesmith.platforms import load_platforms
from edgesmith.resources import resource_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


def test_the_platforms_that_can_be_built() -> None:
    assert set(load_platforms()) == {
        "linux-x86_64", "linux-x86_64-openvino", "linux-x86_64-cuda",
        "linux-aarch64", "linux-aarch64-cuda", "linux-armv7",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(load_platforms()))
def test_each_fact_is_usable(name: str) -> None:
    platform = load_platforms()[name]
    runtime = platform.runtime
    assert platform.name == name
    assert platform.providers[-1] == "cpu"
    assert platform.default_toolchain in ("zig", "gcc")
    assert runtime.library in runtime.files
    assert runtime.soname.startswith("libonnxruntime.so")
    assert all(_SHA256.fullmatch(sha256) for sha256 in runtime.files.values())
    assert platform.zig.target == f"{platform.zig.triple}.{platform.zig.glibc_floor}"
    assert set(platform.floors) == {"GLIBC", "GLIBCXX", "CXXABI", "GCC"}
    assert platform.elf.interpreter.startswith("/lib")
    assert platform.cpu_features
    assert platform.zig.installer_triple.rpartition("-")[2].startswith("musl")


@pytest.mark.parametrize(
    ("platform", "file"),
    [
        ("linux-x86_64", "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl"),
        ("linux-aarch64", "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl"),
        ("linux-armv7", "sherpa_onnx_core-2.0.1-py3-none-manylinux_2_35_armv7l.whl"),
        (
            "linux-x86_64-openvino",
            "onnxruntime_openvino-1.24.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        ),
        ("linux-x86_64-cuda", "onnxruntime_gpu-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl"),
        ("linux-aarch64-cuda", "onnxruntime_gpu-1.31.1-cp311-cp311-manylinux_2_34_aarch64.whl"),
    ],
)
def test_every_archive_is_pinned(platform: str, file: str) -> None:
    archives = archives_for(load_platforms()[platform])
    assert archives.runtime.file == file
    for archive in archives.all():
        assert _SHA256.fullmatch(archive.sha256), archive.title
        assert all(_SHA256.fullmatch(sha256) for sha256 in archive.files.values())
        assert archive.requirement.endswith(f" --hash=sha256:{archive.sha256}\n")


def test_the_clang_in_the_supported_zig_is_known() -> None:
    assert "0.17" in CLANG_OF_ZIG


@pytest.mark.parametrize("name", ["templates", "runtime_cpp"])
def test_resources_of_the_checkout_are_found(name: str) -> None:
    assert resource_folder(name).name == name  # type: ignore[arg-type]

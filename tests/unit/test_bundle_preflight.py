"""What keeps a bundle from its platform, each finding with the file that it is of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgesmith.bundle.drivers import driver_needs, from_devices
from edgesmith.bundle.elf import ElfFile, requirements
from edgesmith.bundle.preflight import above_floors, require_fit, unfit
from edgesmith.errors import ToolchainError
from edgesmith.platforms import Platform, load_platforms
from edgesmith.providers import Plugin, Provider

PLATFORM = load_platforms()["linux-aarch64"]
HARNESS = ElfFile(
    path="bin/harness",
    machine="EM_AARCH64",
    bits=64,
    interpreter="/lib/ld-linux-aarch64.so.1",
    needed=("libonnxruntime.so.1", "libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1"),
    search_path=("$ORIGIN/../lib",),
    versions={"GLIBC": (2, 28)},
)
RUNTIME = ElfFile(
    path="lib/libonnxruntime.so.1",
    machine="EM_AARCH64",
    bits=64,
    interpreter="",
    needed=("libstdc++.so.6", "libgcc_s.so.1", "libdl.so.2", "librt.so.1", "libpthread.so.0"),
    search_path=("$ORIGIN",),
    versions={"GLIBC": (2, 28), "GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 11), "GCC": (4, 5, 0)},
)
INSTALLER = replace(HARNESS, path="bin/installer", interpreter="", needed=(), search_path=())
RIGHT = (HARNESS, RUNTIME, INSTALLER)


def test_a_bundle_that_fits() -> None:
    assert unfit(RIGHT, PLATFORM) == ()
    assert above_floors(RIGHT, PLATFORM) == ()
    require_fit(RIGHT, PLATFORM, floors=True)
    braces = replace(HARNESS, search_path=("${ORIGIN}/../lib",))
    assert unfit((braces, RUNTIME), PLATFORM) == ()


@pytest.mark.parametrize(
    ("wrong", "finding"),
    [
        (replace(HARNESS, machine="EM_X86_64"), "is for EM_X86_64, 64 bits, not EM_AARCH64"),
        (replace(HARNESS, machine="EM_AARCH64", bits=32), "is for EM_AARCH64, 32 bits"),
        (replace(HARNESS, interpreter="/lib/ld-musl-aarch64.so.1"), "/lib/ld-musl-aarch64.so.1"),
        (replace(HARNESS, needed=("libssl.so.3",)), "needs libssl.so.3, which is neither in lib/"),
        (replace(HARNESS, needed=("ld-linux-x86-64.so.2",)), "needs ld-linux-x86-64.so.2"),
        (replace(HARNESS, search_path=()), "does not look for it in lib/"),
        (replace(HARNESS, search_path=("$ORIGIN/lib",)), "does not look for it in lib/"),
        (replace(HARNESS, search_path=("$ORIGIN/../lib", "/opt/lib")), "libraries in /opt/lib"),
        (replace(HARNESS, search_path=("$ORIGIN/../lib", "")), "libraries in an empty entry"),
        (replace(HARNESS, search_path=("$ORIGIN/../lib", "$ORIGIN/../..")), "in $ORIGIN/../.."),
        (replace(INSTALLER, needed=("libc.so.6",)), "is not static: needs libc.so.6"),
        (replace(INSTALLER, interpreter="/lib/ld-linux-aarch64.so.1"), "is not static"),
    ],
)
def test_each_finding_names_its_file(wrong: ElfFile, finding: str) -> None:
    files = [wrong if file.path == wrong.path else file for file in RIGHT]
    with pytest.raises(ToolchainError) as caught:
        require_fit(files, PLATFORM, floors=False)
    assert finding in caught.value.what
    assert wrong.path in caught.value.what.splitlines()[1]
    assert len(caught.value.what.splitlines()) == 2


@pytest.mark.parametrize(
    ("kind", "version"),
    [("GLIBC", (2, 29)), ("GLIBCXX", (3, 4, 23)), ("CXXABI", (1, 3, 12)), ("GCC", (4, 5, 1))],
)
def test_each_floor_holds_for_each_file(kind: str, version: tuple[int, ...]) -> None:
    newer = replace(RUNTIME, versions={**RUNTIME.versions, kind: version})
    files = (HARNESS, newer, INSTALLER)
    (finding,) = above_floors(files, PLATFORM)
    needs = f"needs {kind}_{'.'.join(map(str, version))}, the platform promises"
    assert finding.render().startswith(f"lib/libonnxruntime.so.1: {needs}")
    require_fit(files, PLATFORM, floors=False)
    with pytest.raises(ToolchainError, match=needs):
        require_fit(files, PLATFORM, floors=True)


GPU = load_platforms()["linux-aarch64-cuda"]
CUDA = replace(
    RUNTIME,
    path="lib/libonnxruntime_providers_cuda.so",
    needed=("libcublas.so.13", "libcuda.so.1", "libonnxruntime_providers_shared.so", "libc.so.6"),
)
SHARED = replace(RUNTIME, path="lib/libonnxruntime_providers_shared.so")


def npu(*needs: str) -> Provider:
    library, compiler = Path("vendor/libnpu.so"), Path("vendor/libnpu_compiler.so")
    plugin = Plugin(name="npu", library=library, files=(compiler,), needs=needs)
    return Provider(name="npu", plugin=plugin)


NPU = replace(
    RUNTIME, path="lib/plugins/npu/libnpu.so", needed=("libOpenCL.so.1", "libnpu_compiler.so")
)
COMPILER = replace(NPU, path="lib/plugins/npu/libnpu_compiler.so", needed=("libc.so.6",))


def test_a_provider_of_the_runtime_may_need_what_only_devices_have() -> None:
    files = (*RIGHT, SHARED, CUDA)
    free = from_devices(files, GPU, {"cuda": Provider(name="cuda")})
    require_fit(files, GPU, floors=False, free=free)
    assert "libcublas.so.13" not in requirements(files, free=free).libraries
    assert driver_needs(files, GPU, {}) == {
        "cuda": {
            "libraries": sorted(GPU.drivers["cuda"].libraries),
            "products": {"NVIDIA driver": ">=580", "CUDA": ">=13,<14", "cuDNN": ">=9,<10"},
        }
    }
    with pytest.raises(ToolchainError, match=r"libcublas\.so\.13, which is neither"):
        require_fit(files, GPU, floors=False, free=from_devices(files, PLATFORM, {}))


@pytest.mark.parametrize("base", [PLATFORM, GPU], ids=lambda one: str(one.name))
def test_what_a_runtime_of_ones_own_needs_is_in_its_files_alone(base: Platform) -> None:
    """Such as one for CUDA 12 on a board: nothing is known of its products."""
    own = replace(
        base,
        providers=("cuda", "cpu"),
        drivers={},
        runtime=replace(base.runtime, folder=Path("ort"), soname="libonnxruntime.so.1"),
    )
    cuda = replace(CUDA, needed=("libcublas.so.12", "libc.so.6"))
    files = (*RIGHT, SHARED, cuda)
    require_fit(files, own, floors=False, free=from_devices(files, own, {}))
    assert driver_needs(files, own, {}) == {
        "cuda": {"libraries": ["libcublas.so.12"], "products": {}}
    }


def test_a_plugin_may_need_what_the_project_names_and_no_more() -> None:
    named = {"npu": npu("libOpenCL.so.1", "libnpu_driver.so.2")}
    files = (*RIGHT, NPU, COMPILER)
    require_fit(files, PLATFORM, floors=False, free=from_devices(files, PLATFORM, named))
    assert driver_needs(files, PLATFORM, named) == {
        "npu": {"libraries": ["libOpenCL.so.1", "libnpu_driver.so.2"], "products": {}}
    }
    forgotten = (*RIGHT, NPU)
    for one, missing in ((named, "libnpu_compiler"), ({"npu": npu()}, "libOpenCL")):
        with pytest.raises(ToolchainError, match=f"needs {missing}") as caught:
            require_fit(forgotten, PLATFORM, floors=False, free=from_devices(files, PLATFORM, one))
        assert "lib/plugins/npu/libnpu.so" in caught.value.where
        assert "files of [plugins.NAME]" in caught.value.hint

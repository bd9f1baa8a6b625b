"""What keeps a bundle from its platform, each finding with the file that it is of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgesmith.bundle.elf import ElfFile
from edgesmith.bundle.preflight import above_floors, require_fit, unfit
from edgesmith.errors import ToolchainError
from edgesmith.platforms import load_platforms

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

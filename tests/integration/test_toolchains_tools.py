"""Compilers other than Zig: what is found out about them, and the bundles that they make."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgesmith.bundle.elf import read_elf
from edgesmith.bundle.verify import verify_bundle
from edgesmith.compile.compilers import Compiler, system_compiler
from edgesmith.errors import ToolchainError
from edgesmith.events import EventStream
from edgesmith.platforms import load_platforms
from edgesmith.toolchains import toolchain_of
from workbench import Edgesmith

CROSS = "aarch64-linux-gnu-g++"
BOARD = """set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
include("${CMAKE_CURRENT_LIST_DIR}/cpu.cmake")
"""
CPU = 'set(CMAKE_CXX_FLAGS_INIT "-mcpu=cortex-a53")\n'
TARGETS = """
[targets.gcc-pi]
platform = "linux-aarch64"
cpu = "cortex-a53"
toolchain = "gcc"

[targets.board-pi]
platform = "linux-aarch64"
cpu = "cortex-a53"
toolchain = "board.cmake"

[devices.gcc-pi]
target = "gcc-pi"
transport = "qemu-user"

[devices.board-pi]
target = "board-pi"
transport = "qemu-user"
"""

needs_cross = pytest.mark.skipif(
    shutil.which(CROSS) is None, reason=f"{CROSS} of g++-aarch64-linux-gnu is not installed"
)


def write_board(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "board.cmake").write_text(BOARD)
    (folder / "cpu.cmake").write_text(CPU)


def find(folder: Path, toolchain: str, platform: str = "linux-aarch64") -> Compiler:
    return system_compiler(
        toolchain_of(toolchain, folder),
        load_platforms()[platform],
        cache=folder / "cache",
        events=EventStream(),
    )


@needs_cross
def test_what_a_toolchain_file_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, gcc = tmp_path / "my boards", find(tmp_path, "gcc")
    write_board(board)
    chosen = find(board, "board.cmake")
    assert (chosen.name, chosen.libcxx) == (gcc.name, gcc.libcxx) == ("gcc", "libstdc++11")
    assert chosen.version == gcc.version
    assert gcc.abi.endswith("-aarch64-linux-gnu") and "-glibc-2." in gcc.abi
    assert gcc.executables == ("aarch64-linux-gnu-gcc", CROSS)
    # The file's own text, what it includes and the variables it reads are all in the ABI.
    moved = tmp_path / "moved"
    shutil.copytree(board, moved)
    assert find(moved, "board.cmake").abi == chosen.abi
    (moved / "cpu.cmake").write_text(CPU.replace("a53", "a72"))
    assert find(moved, "board.cmake").abi != chosen.abi
    write_board(moved)
    (moved / "board.cmake").write_text(f"{BOARD}set(SDK $ENV{{BOARD_SDK}})\n")
    without = find(moved, "board.cmake")
    monkeypatch.setenv("BOARD_SDK", "/opt/sdk")
    assert find(moved, "board.cmake").environment == {"BOARD_SDK": "/opt/sdk"}
    assert find(moved, "board.cmake").abi != without.abi


@needs_cross
@pytest.mark.parametrize(
    ("text", "platform", "finding"),
    [
        (BOARD, "linux-armv7", "compiles for EM_AARCH64, 64 bits; linux-armv7 is EM_ARM"),
        (BOARD.replace("g++", "gxx"), "linux-aarch64", "aarch64-linux-gnu-gxx"),
        ("set(\n", "linux-aarch64", "Parse error"),
    ],
)
def test_a_toolchain_file_that_does_not_fit(
    tmp_path: Path, text: str, platform: str, finding: str
) -> None:
    write_board(tmp_path)
    (tmp_path / "board.cmake").write_text(text)
    with pytest.raises(ToolchainError) as caught:
        find(tmp_path, "board.cmake", platform)
    assert finding in caught.value.what
    assert 'or set toolchain = "zig"' in caught.value.hint


@pytest.mark.slow
@needs_cross
@pytest.mark.parametrize(("name", "kind"), [("gcc-pi", "gcc"), ("board-pi", "file")])
def test_a_bundle_of_another_compiler(digits: Edgesmith, name: str, kind: str) -> None:
    """It says what it needs, and runs on the emulated board; its installer is Zig's."""
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("qemu-aarch64-static is not installed")
    file = digits.folder / "edgesmith.toml"
    file.write_text(file.read_text() + TARGETS)
    write_board(digits.folder)
    made = digits.ok("build", "--target", name)
    assert "bin/harness: needs GLIBC_2.34, the platform promises 2.28" in made.err
    folder = digits.folder / "build" / "digits" / name / "bundle"
    content = verify_bundle(folder).content
    assert content["requires"]["glibc"] == "2.34"
    assert content["provenance"]["toolchain"].split("-")[0] == kind
    installer = read_elf(folder, "bin/installer")
    assert installer.machine == "EM_AARCH64"
    assert (installer.interpreter, installer.needed) == ("", ())
    assert "libstdc++.so.6" in read_elf(folder, "bin/harness").needed
    assert "self-test passed" in digits.ok("flash", "--device", name).out
    assert os.fspath(digits.folder).encode() not in (folder / "bin" / "harness").read_bytes()
    assert "Nothing to do" in digits.ok("build", "--target", name).out

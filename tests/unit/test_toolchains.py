"""Toolchains: how a project names them, and what is said of a compiler that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgesmith.cli.main import main
from edgesmith.compile.compilers import clang_version, system_compiler, zig_compiler
from edgesmith.errors import ToolchainError, UsageError
from edgesmith.events import EventStream
from edgesmith.generate.render import profile_string
from edgesmith.generate.toolchain_licenses import toolchain_licenses
from edgesmith.platforms import load_platforms
from edgesmith.toolchains import is_toolchain, toolchain_of


def test_a_file_is_relative_to_the_project(tmp_path: Path) -> None:
    assert toolchain_of("zig", tmp_path).file is None
    assert toolchain_of("gcc", tmp_path).kind == "gcc"
    named = toolchain_of("boards/pi.cmake", tmp_path)
    assert (named.kind, named.name) == ("file", "boards/pi.cmake")
    assert named.file == tmp_path / "boards" / "pi.cmake"
    assert toolchain_of("/opt/sdk.cmake", tmp_path).file == Path("/opt/sdk.cmake")
    assert [is_toolchain(text) for text in ("zig", "clang", "", "a.cmake")] == [True, False, False,
                                                                               True]  # fmt: skip


def test_zig_says_its_clang_and_the_oldest_glibc() -> None:
    compiler = zig_compiler(load_platforms()["linux-armv7"], "0.17.0")
    assert compiler.is_zig
    assert compiler.version == clang_version("0.17.3")
    assert compiler.abi == "zig-0.17.0-arm-linux-gnueabihf.2.34"


@pytest.mark.parametrize(
    ("platform", "program", "package"),
    [
        ("linux-aarch64", "aarch64-linux-gnu-g++", "apt-get install g++-aarch64-linux-gnu"),
        ("linux-armv7", "arm-linux-gnueabihf-g++", "apt-get install g++-arm-linux-gnueabihf"),
    ],
)
def test_a_missing_cross_compiler_is_told_before_anything_is_built(
    project_file: Path, project_text: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], platform: str, program: str, package: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("edgesmith.compile.compilers.runs_here", lambda elf: False)
    monkeypatch.setattr(shutil, "which", lambda name, **named: None)
    project_file.write_text(
        project_text.replace(
            'platform = "linux-x86_64"', f'platform = "{platform}"\ntoolchain = "gcc"'
        )
    )
    assert main(["build", "-p", str(project_file)]) == ToolchainError.exit_code
    told = capsys.readouterr().err
    assert f"{program} is not on the PATH" in told
    assert f"run: {package} (as root)" in told
    assert not (project_file.parent / "build" / "digits" / "export").exists()


def test_a_missing_toolchain_file_is_a_wrong_project_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no toolchain file 'board\.cmake'"):
        system_compiler(
            toolchain_of("board.cmake", tmp_path),
            load_platforms()["linux-aarch64"],
            cache=tmp_path,
            events=EventStream(),
        )


def test_no_path_is_code_in_a_conan_profile() -> None:
    assert profile_string('/a {{ b }} "c"') == '"/a \\u007b\\u007b b \\u007d\\u007d \\"c\\""'


def test_what_each_toolchain_links_has_its_licence() -> None:
    installer = {"llvm/LICENSE.TXT", "musl/COPYRIGHT", "zig/LICENSE", "edgesmith/LICENSE"}
    assert toolchain_licenses("zig").keys() == installer | {"glibc/LICENSES"}
    assert toolchain_licenses("gcc").keys() == installer | {"gcc/NOTICE.txt"}
    assert toolchain_licenses("file").keys() == installer | {"toolchain/NOTICE.txt"}

"""[platforms.NAME]: what it changes of its base, and what is said of mistakes in it."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from edgesmith.compile.archives import archives_for
from edgesmith.compile.own_runtime import folder_files, read_library, resolved, wheel_files
from edgesmith.doctor.target import check_target
from edgesmith.errors import ToolchainError, UsageError
from edgesmith.platforms import Platform, load_platforms
from edgesmith.project.load import load_project

WHEEL = """
[platforms.board.wheel]
package = "board-onnxruntime"
version = "2.0"
library_version = "1.23.0"
platform = "manylinux_2_31_aarch64"
tag = "py3-none"
sha256 = "{sha256}"
library = "board/lib/libonnxruntime.so.1"
""".format(sha256="ab" * 32)


def platform(project_file: Path, tables: str, *, name: str = "board") -> Platform:
    text = project_file.read_text()
    text = text.replace('platform = "linux-x86_64"', f'platform = "{name}"')
    project_file.write_text(f"{text}\n{tables}")
    return load_project(project_file, {}).target("host").platform


def test_only_what_is_said_differs_from_the_base(project_file: Path) -> None:
    base = load_platforms()["linux-aarch64"]
    made = platform(
        project_file,
        '[platforms.board]\nbase = "linux-aarch64"\nglibc = "2.31"\ncpu = "cortex-a72"\n'
        'int8_encoding = "u8s8"\ntoolchain = "board.cmake"\nmax_opset = 21\n',
    )
    assert made.name == "board"
    assert (made.runtime, made.elf, made.conan) == (base.runtime, base.elf, base.conan)
    assert made.zig.target == "aarch64-linux-gnu.2.31"
    assert made.floors == {**base.floors, "GLIBC": "2.31"}
    assert (made.int8_encoding, made.max_opset) == ("u8s8", 21)
    target = load_project(project_file, {}).target("host")
    assert target.cpu == "cortex-a72"
    assert target.toolchain.file == project_file.parent / "board.cmake"


def test_another_wheel_is_pinned_by_its_hash_alone(project_file: Path) -> None:
    made = platform(project_file, f'[platforms.board]\nbase = "linux-aarch64"\n{WHEEL}')
    archive = archives_for(made).runtime
    assert archive is not None
    assert archive.file == "board_onnxruntime-2.0-py3-none-manylinux_2_31_aarch64.whl"
    assert archive.requirement == f"board-onnxruntime==2.0 --hash=sha256:{'ab' * 32}\n"
    assert made.runtime.library_version == "1.23.0"
    assert made.floors == {"GLIBC": "2.28"}, "the C++ libraries' floors were those of the base's"


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ('[platforms.board]\nbase = "linux-arm64"', "did you mean 'linux-aarch64'?"),
        ("[platforms.board]\n", "platforms.board.base: missing"),
        ('[platforms.board]\nbase = "linux-x86_64"\nglib = "2.31"', "did you mean 'glibc'?"),
        ('[platforms.board]\nbase = "linux-x86_64"\nglibc = "2"', "a version such as 2.31"),
        ('[platforms.board]\nbase = "linux-x86_64"\n[platforms.linux-armv7]\nbase = "board"',
         "platforms.linux-armv7: edgesmith has a platform of this name"),
        (f'[platforms.board]\nbase = "linux-x86_64"\nonnxruntime = "ort"\n{WHEEL}',
         "platforms.board.onnxruntime: found beside wheel"),
        ('[platforms.bord]\nbase = "linux-x86_64"', "found 'board', which is not defined; did you"),
        (f'[platforms.board]\nbase = "linux-x86_64"\n{WHEEL}'.replace("ab", "AB"), "a SHA-256"),
    ],
)  # fmt: skip
def test_mistakes_name_their_key(project_file: Path, tables: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        platform(project_file, tables)
    assert says in caught.value.what


JETSON = """
[platforms.board]
base = "linux-aarch64-cuda"
onnxruntime = "ort"
providers = ["tensorrt", "cuda"]
"""


def test_its_own_providers_are_those_that_targets_may_name(project_file: Path) -> None:
    """The cpu is in every runtime, whether it is listed or not."""
    text = project_file.read_text()
    made = platform(project_file, JETSON)
    assert made.providers == ("tensorrt", "cuda", "cpu")
    assert made.drivers == {}, "products are those of the base's own runtime"
    for name in made.providers:
        project_file.write_text(text.replace('"linux-x86_64"', f'"board"\nprovider = "{name}"'))
        with project_file.open("a") as file:
            file.write(JETSON)
        assert load_project(project_file, {}).target("host").provider_of("int8").name == name


def test_a_provider_that_it_leaves_out_is_not_there(project_file: Path) -> None:
    text = project_file.read_text().replace('"linux-x86_64"', '"board"\nprovider = "cuda"')
    project_file.write_text(text + JETSON.replace('"tensorrt", "cuda"', '"cpu"'))
    with pytest.raises(UsageError, match="found 'cuda', which the platform board does not have"):
        load_project(project_file, {})


def onnxruntime_library() -> Path:
    """The library inside the installed Python package."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None and spec.origin is not None
    (found,) = (Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a release of ONNX Runtime has it."""
    root = tmp_path / "ort"
    (root / "lib").mkdir(parents=True)
    (root / "include").mkdir()
    (root / "lib" / "libonnxruntime.so").symlink_to(onnxruntime_library())
    (root / "include" / "onnxruntime_cxx_api.h").write_text("// C++\n")
    (root / "include" / "onnxruntime_c_api.h").write_text("// C\n")
    (root / "LICENSE").write_text("MIT\n")
    (root / "README.md").write_text("not taken\n")
    return root


FOLDER = '[platforms.board]\nbase = "linux-x86_64"\nonnxruntime = "ort"\n'


def test_a_folder_tells_its_release_and_is_in_the_key(project_file: Path, folder: Path) -> None:
    asked = platform(project_file, FOLDER)
    assert archives_for(asked).runtime is None
    made = resolved(asked)
    assert made.runtime.folder == folder
    assert made.runtime.library_version.startswith("1.31.")
    assert made.runtime.soname == "libonnxruntime.so.1"
    files = folder_files(made)
    assert set(files) == {
        "lib/libonnxruntime.so.1",
        "include/onnxruntime_cxx_api.h",
        "include/onnxruntime_c_api.h",
        "licenses/onnxruntime/LICENSE",
        "licenses/onnxruntime/UNVERIFIED.txt",
    }
    before = json.dumps(made.record(), allow_nan=False)
    assert str(folder) not in before, "where it lies is no fact"
    (folder / "include" / "onnxruntime_c_api.h").write_text("// other\n")
    assert json.dumps(resolved(asked).record()) != before
    with pytest.raises(ToolchainError, match="was changed during the build"):
        folder_files(made)


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("lib/libonnxruntime.so", "the folder does not hold lib/libonnxruntime.so"),
        ("include/onnxruntime_cxx_api.h", "does not hold include/onnxruntime_cxx_api.h"),
    ],
)
def test_an_incomplete_folder(project_file: Path, folder: Path, missing: str, says: str) -> None:
    asked = platform(project_file, FOLDER)
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=says) as caught:
        resolved(asked)
    assert "platforms.board.onnxruntime" in caught.value.where
    target = load_project(project_file, {}).target("host")
    checks = {check.name: check for check in check_target(target, offline=False)}
    assert not checks["ONNX Runtime of the project's own"].passed


def test_no_folder_and_one_of_another_machine(project_file: Path, folder: Path) -> None:
    asked = platform(project_file, FOLDER.replace("x86_64", "aarch64"))
    with pytest.raises(ToolchainError, match="is for EM_X86_64, 64 bits; board is EM_AARCH64"):
        resolved(asked)
    folder.rename(folder.parent / "elsewhere")
    with pytest.raises(UsageError, match="there is no such folder"):
        resolved(asked)


def test_a_wheel_of_ones_own_is_opened(project_file: Path) -> None:
    made = platform(project_file, f'[platforms.board]\nbase = "linux-x86_64"\n{WHEEL}')
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        wheel.write(onnxruntime_library(), "board/lib/libonnxruntime.so.1")
        wheel.writestr("board/lib/libother.so", b"")
        wheel.writestr("board.dist-info/licenses/LICENSE", "one")
        wheel.writestr("board/third/LICENSE", "two")
    with zipfile.ZipFile(data) as wheel:
        soname, files = wheel_files(wheel, made)
    assert soname == "libonnxruntime.so.1"
    texts = {name.rpartition("/")[2] for name in files if name.startswith("licenses/")}
    assert texts == {"LICENSE", "LICENSE-third"}
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as wheel:
        wheel.writestr("board/libother.so.1", b"")
    with (
        zipfile.ZipFile(empty) as wheel,
        pytest.raises(ToolchainError, match=r"does not hold board/lib.*libother\.so\.1"),
    ):
        wheel_files(wheel, made)


def test_what_is_no_library_is_told() -> None:
    with pytest.raises(ToolchainError, match="no whole ELF file"):
        read_library(b"\x7fELF\x02", where="here")


def test_the_example_in_the_docs_is_right(project_file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (table,) = [block for block in blocks if block.startswith("[platforms.")]
    project_file.write_text(f"{project_file.read_text()}\n{table}")
    made = load_project(project_file, {}).target("gateway").platform
    assert (made.name, made.floors, made.cpu) == ("gateway", {"GLIBC": "2.31"}, "cortex-a72")
    assert made.runtime.folder == project_file.parent / "vendor" / "ort"

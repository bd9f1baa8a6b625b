"""Bundles: what a manifest may say, verification in both directions, the archive, sequences."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edgesmith.bundle import archive
from edgesmith.bundle.archive import write_archive
from edgesmith.bundle.assemble import sequence_of
from edgesmith.bundle.content import is_safe_path
from edgesmith.bundle.elf import read_elf, requirements
from edgesmith.bundle.manifest import parse_manifest, read_manifest
from edgesmith.bundle.verify import verify_bundle
from edgesmith.errors import IntegrityError, ToolchainError
from edgesmith.hashing import sha256_bytes, sha256_file

FILES = {
    "bin/harness": (b"#!", "0755", "app"),
    "model/int8.onnx": (b"model", "0644", "model"),
    "bench/fp32.onnx": (b"float", "0644", "bench"),
}


def content() -> dict[str, Any]:
    return {
        "schema_version": "1.7",
        "model": {"name": "digits", "version": "1.0.0"},
        "target": "host",
        "platform": "linux-x86_64",
        "sequence": sequence_of("1.0.0"),
        "default_variant": "int8",
        "variants": [
            {"name": "int8", "path": "model/int8.onnx", "precision": "int8", "encoding": "u8s8",
             "provider": "cpu", "threads": 1,
             "session_options": {"graph_optimization_level": "all", "config": {}}},
        ],
        "metrics": ["top1"],
        "requires": {"elf": {"machine": "EM_X86_64", "bits": 64}, "bytes": 7},
        "runtime": {"name": "onnxruntime", "version": "1", "wheel_sha256": "0" * 64},
        "provenance": {"edgesmith": "1", "source_sha256": "1" * 64, "onnx_sha256": {},
                       "toolchain": "zig", "recipes": []},
        "quantization": {},
        "from_the_future": True,
        "files": [
            {"path": path, "bytes": len(data), "sha256": sha256_bytes(data), "mode": mode,
             "role": role}
            for path, (data, mode, role) in FILES.items()
        ],
    }  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    for path, (data, mode, _) in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        (folder / path).chmod(int(mode, 8))
    (folder / "manifest.json").write_text(json.dumps(content()))
    return folder


def test_a_whole_bundle_is_accepted_with_what_stages_add(bundle: Path) -> None:
    for name in (".edgesmith.json", "record.json", "digits-1.0.0-host.tar"):
        (bundle / name).write_text("{}")
    (bundle / "signatures").mkdir()
    (bundle / "signatures" / "key.sig").write_text("")
    manifest = verify_bundle(bundle)
    assert manifest.id == sha256_file(bundle / "manifest.json")
    assert [file.path for file in manifest.files] == list(FILES)


def _remove(folder: Path) -> None:
    (folder / "model/int8.onnx").unlink()


def _change(folder: Path) -> None:
    (folder / "model/int8.onnx").write_bytes(b"m0del")


def _lengthen(folder: Path) -> None:
    (folder / "model/int8.onnx").write_bytes(b"model and more")


def _link(folder: Path) -> None:
    (folder / "model/int8.onnx").rename(folder.parent / "elsewhere")
    (folder / "model/int8.onnx").symlink_to(folder.parent / "elsewhere")


def _linked_folder(folder: Path) -> None:
    (folder / "model").rename(folder.parent / "elsewhere")
    (folder / "model").symlink_to(folder.parent / "elsewhere")


def _add(folder: Path) -> None:
    (folder / "model/more.onnx").write_bytes(b"")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "model/pipe")


def _no_execution(folder: Path) -> None:
    (folder / "bin/harness").chmod(0o644)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (_remove, "model/int8.onnx is missing"),
        (_change, "model/int8.onnx was changed"),
        (_lengthen, "model/int8.onnx was changed"),
        (_link, "model/int8.onnx is a link"),
        (_linked_folder, "model is a link"),
        (_add, "model/more.onnx is not in the manifest"),
        (_fifo, "model/pipe is a link or a device"),
        (_no_execution, "bin/harness may not be executed"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest is missing"),
    ],
)
def test_each_damage_is_found_and_named(bundle: Path, damage: Any, finding: str) -> None:
    damage(bundle)
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(bundle)
    assert finding in caught.value.what
    assert str(bundle) in str(caught.value.where)


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\\b", "a\nb",
     "manifest.json", "signatures/x", "x" * 256, 3, None],
)  # fmt: skip
def test_paths_that_leave_the_bundle_are_refused(path: object) -> None:
    assert not is_safe_path(path)
    wrong = content()
    wrong["files"][0]["path"] = path
    with pytest.raises(IntegrityError):
        parse_manifest(json.dumps(wrong).encode(), Path("m"))


@pytest.mark.parametrize("version", ["2.0", "0.9", "", None, 1])
def test_another_major_version_is_refused_by_name(version: object) -> None:
    wrong = {**content(), "schema_version": version}
    with pytest.raises(IntegrityError, match="schema version"):
        parse_manifest(json.dumps(wrong).encode(), Path("m"))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("files", 0, "bytes"), -1),
        (("files", 0, "bytes"), True),
        (("files", 0, "sha256"), "0" * 63),
        (("files", 0, "mode"), "4755"),
        (("files", 0, "role"), "root"),
        (("files", 1, "path"), "bin/harness"),
        (("model", "name"), "a/b"),
        (("target",), ""),
        (("default_variant",), "fp16"),
        (("files",), None),
        (("providers",), []),
        (("providers",), {"npu": 1}),
        (("providers",), {"npu": {"options": {"level": 3}}}),
        (("providers",), {"npu": {"device": []}}),
        (("providers",), {"npu": {"graph_optimization_level": "most"}}),
        (("providers",), {"npu": {"library": "/usr/lib/libnpu.so"}}),
        (("providers",), {"npu": {"library": "lib/../../libnpu.so"}}),
        # Not among the files, and not among those of a runtime.
        (("providers",), {"npu": {"library": "lib/plugins/npu/libnpu.so"}}),
        (("providers",), {"npu": {"library": "bin/harness"}}),
        (("requires", "providers"), []),
        (("requires", "providers"), {"cuda": {"libraries": "libcuda.so.1"}}),
        (("requires", "providers"), {"cuda": {"libraries": [""]}}),
        (("requires", "providers"), {"cuda": {"products": {"CUDA": 13}}}),
        (("requires", "driver_libraries"), [1]),
    ],
)
def test_wrong_fields_are_refused(where: tuple[Any, ...], value: object) -> None:
    wrong = copy.deepcopy(content())
    place: Any = wrong
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(IntegrityError, match="wrong form"):
        parse_manifest(json.dumps(wrong).encode(), Path("m"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(data, Path("m"))


def test_a_file_that_the_plain_header_cannot_hold_gets_another(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(bundle)
    largest = max(file.bytes for file in manifest.files)
    for limit, magic in ((largest + 1, b"ustar\x0000"), (largest, b"ustar  \x00")):
        monkeypatch.setattr(archive, "_USTAR_LIMIT_BYTES", limit)
        write_archive(bundle, manifest, tmp_path / "a.tar")
        assert (tmp_path / "a.tar").read_bytes()[257:265] == magic
    with pytest.raises(ValueError, match="overflow"):
        _header(8**11)
    _header(8**11 - 1)


def _header(size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_the_archive_depends_on_the_bundle_only(bundle: Path, tmp_path: Path) -> None:
    manifest = verify_bundle(bundle)
    write_archive(bundle, manifest, tmp_path / "a.tar")
    other = tmp_path / "other place"
    shutil.copytree(bundle, other, copy_function=shutil.copy)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / ".edgesmith.json").write_text("{}")
    write_archive(other, manifest, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == sorted([*FILES, "manifest.json"])
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0, 0, 0, "")}
    assert {m.name: m.mode for m in members}["bin/harness"] == 0o755


def test_sequences_rise_with_versions() -> None:
    versions = ["0.0.0", "0.0.1", "0.0.99999", "0.1.0", "0.99999.0", "1.0.0", "99999.99999.99999"]
    sequences = [sequence_of(version) for version in versions]
    assert sequences == sorted(set(sequences))
    assert sequences[-1] < 2**53
    assert sequence_of("1.2.3-rc1+x") == sequence_of("1.2.3") == 10000200003


def test_needs_are_read_from_a_real_program() -> None:
    program = Path(sys.executable).resolve()
    if program.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("the interpreter is no ELF file")
    elf = read_elf(program.parent, program.name)
    assert (elf.machine, elf.bits) in {("EM_X86_64", 64), ("EM_AARCH64", 64)}
    needs = requirements([elf])
    assert needs.interpreter.startswith("/lib")
    assert "libc.so.6" in needs.libraries
    assert needs.versions["GLIBC"] >= (2, 2, 5)


@pytest.mark.parametrize(
    ("data", "finding"),
    [(b"\x7fELF" + b"\x02" * 20, "is damaged"), (b"#!/bin/sh", "is neither a program nor")],
)
def test_what_is_no_whole_program_is_named(tmp_path: Path, data: bytes, finding: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "harness").write_bytes(data)
    with pytest.raises(ToolchainError, match=f"bin/harness {finding}"):
        read_elf(tmp_path, "bin/harness")
